"""A way out that comes up and a clock that is set make the relay try what waits, and not too often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.router_container import LAN, WAN, Container

pytestmark = pytest.mark.root
IFACE = "/etc/hotplug.d/iface/60-mailrelay"
NTP = "/etc/hotplug.d/ntp/60-mailrelay"


@pytest.fixture
def router() -> Iterator[Container]:
    with Container() as router:
        router.enabled_router()
        yield router


def plug(router: Container, script: str, **env: str) -> None:
    """As hotplug-call does: sourced, in a shell of its own."""
    done = router.run("env", *(f"{name}={value}" for name, value in env.items()), "sh", "-c", f". {script}")
    assert not done.errors


def flushes(router: Container) -> int:
    return router.log().count(": flush")


def test_an_interface_with_a_default_route_flushes(router: Container) -> None:
    plug(router, IFACE, ACTION="ifup", INTERFACE="wan")
    router.wait(lambda: flushes(router) == 1, "the relay flushes")


@pytest.mark.parametrize("route", [{"target": "::", "mask": 0, "nexthop": "fe80::1"}, {**WAN["route"][0], "table": 7}])
def test_by_whatever_name_and_family(router: Container, route: dict[str, object]) -> None:
    router.network(LAN, {"interface": "wwan_4", "up": True, "route": [route]})
    plug(router, IFACE, ACTION="ifup", INTERFACE="wwan_4")
    router.wait(lambda: flushes(router) == 1, "the relay flushes")


@pytest.mark.parametrize(
    ("action", "interface"), [("ifup", "lan"), ("ifdown", "wan"), ("ifup", "gone"), ("ifup", ""), ("ifup", "a b;c")]
)
def test_others_do_not(router: Container, action: str, interface: str) -> None:
    plug(router, IFACE, ACTION=action, INTERFACE=interface)
    plug(router, NTP, ACTION="stratum", stratum="2")  # the one that does
    router.wait(lambda: flushes(router) == 1, "the relay flushes")
    assert (router.root / "var/run/mailrelay/flush.lock").exists()
    assert flushes(router) == 1


def test_many_events_make_one_flush_at_once_and_one_when_ten_seconds_are_over(router: Container) -> None:
    plug(router, IFACE, ACTION="ifup", INTERFACE="wan")
    router.wait(lambda: flushes(router) == 1, "the first is heard at once")
    for _ in range(4):
        plug(router, IFACE, ACTION="ifup", INTERFACE="wan")
    at = float((router.root / "var/run/mailrelay/flushed").read_text())
    router.wait(lambda: flushes(router) == 2, "what came later is served together")
    assert float((router.root / "var/run/mailrelay/flushed").read_text()) - at >= 10


def test_a_clock_that_is_set_is_believed_from_then_on(router: Container) -> None:
    marker = router.root / "var/run/mailrelay/clock-set"
    plug(router, NTP, ACTION="step")
    plug(router, NTP, ACTION="stratum", stratum="16")
    assert not marker.exists(), "in step with nothing"
    plug(router, NTP, ACTION="stratum", stratum="3")
    assert marker.exists()
    router.wait(lambda: flushes(router) == 1, "the relay flushes")
    plug(router, NTP, ACTION="stratum", stratum="2")
    assert flushes(router) == 1, "it was set before"


def test_the_clock_may_be_set_before_the_relay_runs(router: Container) -> None:
    router.ok("/etc/init.d/mailrelay", "stop")
    router.wait(lambda: "exit mailrelay" in router.procd_log(), "it ends")
    router.ok("rm", "-rf", "/var/run/mailrelay")
    plug(router, NTP, ACTION="periodic", stratum="3")
    assert (router.root / "var/run/mailrelay/clock-set").exists()
    router.ok("/etc/init.d/mailrelay", "start")
    status = router.wait_relay()
    assert status["clock_trusted"] is (status["updated"] > 1761955200)
