"""The stand-in's procd does with an instance what procd's documentation says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.router_container import Container

pytestmark = pytest.mark.root
SLEEP = ["/bin/sleep", "1000"]


@pytest.fixture(scope="module")
def router() -> Iterator[Container]:
    with Container() as router:
        yield router


@pytest.fixture
def service(router: Container, request: pytest.FixtureRequest) -> Iterator[Service]:
    made = Service(router, request.node.name.partition("[")[0])
    yield made
    router.ask("delete", {"name": made.name})


class Service:
    def __init__(self, router: Container, name: str) -> None:
        self.router = router
        self.name = name

    def set(self, command: list[str], **params: Any) -> None:
        instance = {"command": command, **params}
        self.router.ask("set", {"name": self.name, "instances": {"main": instance}})

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.router.ask("list", {"name": self.name})[self.name]["instances"]["main"]
        return found

    def starts(self) -> int:
        return self.router.procd_log().count(f"start {self.name}::main")

    def ended(self) -> str:
        found = re.findall(rf"exit {self.name}::main \d+ (-?\d+)", self.router.procd_log())
        return found[-1] if found else ""


def test_output_goes_to_the_log_only_where_it_is_asked_for(router: Container, service: Service) -> None:
    service.set(["/bin/sh", "-c", "echo said; echo hushed >&2"], stdout=True)
    router.wait(lambda: re.search(r"daemon\.info sh\[\d+\]: said", router.log()), "it is logged")
    assert "hushed" not in router.log()
    service.set(["/bin/sh", "-c", "echo complained >&2"], stderr=True)
    router.wait(lambda: re.search(r"daemon\.err sh\[\d+\]: complained", router.log()), "it is logged")


def test_limits_nice_and_environment_are_the_instances(router: Container, service: Service) -> None:
    script = "echo limits $(ulimit -Sn) $(ulimit -Hn) $(nice) $COLOUR"
    service.set(["/bin/sh", "-c", script], stdout=True, limits={"nofile": "128 256"}, env={"COLOUR": "red"})
    router.wait(lambda: re.search(r": limits 128 256 .*red", router.log()), "it has them")


def test_a_changed_file_restarts_and_the_same_again_does_not(router: Container, service: Service) -> None:
    router.put("/tmp/code", "1")
    service.set(SLEEP, file=["/tmp/code"])
    service.set(SLEEP, file=["/tmp/code"])
    assert service.starts() == 1
    router.put("/tmp/code", "2")
    service.set(SLEEP, file=["/tmp/code"])
    router.wait(lambda: service.starts() == 2, "it is started again")


def test_with_a_reload_signal_a_change_only_sends_it(router: Container, service: Service) -> None:
    script = "trap 'echo heard' HUP; echo ready; while :; do sleep 0.05; done"
    service.set(["/bin/sh", "-c", script], stdout=True, reload_signal=1, env={"A": "1"})
    router.wait(lambda: ": ready" in router.log(), "its trap is set")
    service.set(["/bin/sh", "-c", script], stdout=True, reload_signal=1, env={"A": "2"})
    router.wait(lambda: ": heard" in router.log(), "the signal comes")
    assert service.starts() == 1


def test_one_that_will_not_end_is_killed_when_its_time_is_over(router: Container, service: Service) -> None:
    script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"
    service.set(["/bin/sh", "-c", script], stdout=True, term_timeout=1)
    router.wait(lambda: ": deaf" in router.log(), "its trap is set")
    router.ask("delete", {"name": service.name})
    router.wait(service.ended, "it ends")
    assert service.ended() == "-9"


def test_without_respawn_the_end_is_the_end(router: Container, service: Service) -> None:
    service.set(["/bin/sh", "-c", "exit 7"])
    router.wait(lambda: not service.facts()["running"], "it ends")
    assert service.facts()["exit_code"] == 7
    assert service.starts() == 1


@pytest.mark.parametrize(("retry", "starts"), [("2", 3), ("0", 6)])
def test_crashes_are_counted_unless_retry_is_0(router: Container, service: Service, retry: str, starts: int) -> None:
    service.name += retry
    service.set(["/bin/false"], respawn=["3600", "1", retry])
    router.wait(lambda: service.starts() >= starts, "it is started again")
    if retry != "0":
        router.wait(lambda: f"{service.name}::main s in a crash loop" in router.log(), "it is given up")
        assert service.starts() == starts


def test_a_signal_can_be_sent(router: Container, service: Service) -> None:
    service.set(SLEEP)
    router.ask("signal", {"name": service.name, "signal": 15})
    router.wait(service.ended, "it ends")
    assert service.ended() == "-15"


def test_the_bus_is_roots_but_for_what_is_allowed(router: Container) -> None:
    router.put("/usr/share/acl.d/some.json", '{"user": "mailrelay", "send": ["some*"]}')
    router.ok("killall", "-HUP", "ubusd")

    def told(*words: str) -> int:
        return router.run("/host/usr/bin/setpriv", "--reuid=587", "--clear-groups", "ubus", *words).status

    router.put("/etc/passwd", "root:x:0:0::/:\nmailrelay:x:587:587::/:\n")
    assert told("send", "something", "{}") == 0
    assert told("send", "other", "{}") == 6
    assert told("call", "service", "list") == 6
    assert told("listen") != 0
