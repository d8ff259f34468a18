"""What the init script tells of the settings, in service.json: are they in force, and if not, since when and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.router import SETTINGS
from tests.support.router_container import Container

pytestmark = pytest.mark.root
INIT = "/etc/init.d/mailrelay"
SERVICE_FACTS = "/var/run/mailrelay/service.json"


@pytest.fixture
def router() -> Iterator[Container]:
    with Container() as router:
        router.enabled_router()
        yield router


def told(router: Container) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(router.read(SERVICE_FACTS))
    return found


def test_good_settings_are_told_with_the_engine_and_its_networks(router: Container) -> None:
    assert told(router) == {
        "engine": "python", "package": "1.0.0-r1", "enabled": True, "settings": "good", "since": None,
        "running_old": False, "findings": [], "networks": ["lan"], "cannot": [],
        "spool": "/etc/mailrelay/spool",
    }  # fmt: skip
    assert router.mode(SERVICE_FACTS) == "-rw-r--r--"


def test_refused_settings_are_told_with_their_faults_and_since_when(router: Container) -> None:
    router.configure("option port 'abc'")
    router.ok(INIT, "reload")
    first = told(router)
    assert (first["settings"], first["enabled"], first["running_old"]) == ("refused", True, True)
    assert [(one["option"], one["line"], one["warning"]) for one in first["findings"]] == [("port", 5, False)]
    assert first["networks"] == ["lan"], "those of the relay that runs"

    router.put(SERVICE_FACTS, router.read(SERVICE_FACTS).replace(f'"since": {first["since"]}', '"since": 1000'))
    router.configure("option port 'abcd'")
    router.ok(INIT, "reload")
    assert told(router)["since"] == 1000, "refused all the while"
    router.configure()
    router.ok(INIT, "reload")
    assert (told(router)["settings"], told(router)["since"], told(router)["findings"]) == ("good", None, [])


def test_settings_that_are_missing_or_switched_off_are_told(router: Container) -> None:
    router.ok("rm", SETTINGS)
    router.ok(INIT, "reload")
    assert (told(router)["settings"], told(router)["running_old"]) == ("missing", True)
    router.configure(enabled="0")
    router.ok(INIT, "reload")
    assert (told(router)["settings"], told(router)["enabled"], told(router)["running_old"]) == ("off", False, False)


def test_a_reboot_with_refused_settings_goes_on_with_the_last_good_ones(router: Container) -> None:
    kept = router.root / "etc/mailrelay/last-good"
    good = router.read(SETTINGS)
    assert kept.read_text() == good and router.mode("/etc/mailrelay/last-good") == "-rw-------"
    router.configure("option port 'abc'")
    router.reboot()
    router.ok("ip", "addr", "add", "192.168.1.1/24", "dev", "lo")
    router.wait_relay("192.168.1.1:25")
    router.send()
    assert "going on with the last good settings" in router.log()
    assert (told(router)["settings"], told(router)["running_old"]) == ("refused", True)
    assert told(router)["since"] == int((router.root / SETTINGS[1:]).stat().st_mtime), "since they were written"
    text = router.ok("mailrelay", "status")
    assert "the relay goes on with the ones before, also after a reboot" in text and "'abc' is not a port" in text
    done = router.run(INIT, "check")
    assert (done.status, "goes on with the settings before" in done.output) == (1, True)

    router.configure("option sender 'plant@example.net'")
    router.ok(INIT, "reload")
    assert "plant@example.net" in kept.read_text() and told(router)["settings"] == "good"


def test_whoever_asks_a_relay_that_is_switched_off_is_told_how_to_switch_it_on(router: Container) -> None:
    router.configure(enabled="0")
    router.ok(INIT, "reload")
    switch_on = "uci set mailrelay.main.enabled=1; uci commit mailrelay; service mailrelay reload"
    router.wait(lambda: not router.status(), "it has ended")
    assert router.run("mailrelay", "status").output.startswith("mailrelay     is switched off; ")
    texts = [router.run("mailrelay", "status").output, router.ok(INIT, "check"), router.log()]
    assert all(switch_on in text and "mailrelay serve" not in text for text in texts), texts
    assert switch_on in router.run("mailrelay", "flush").errors
    router.ok(switch_on)
    router.wait_relay()


def test_who_has_the_port_is_told_by_status_check_and_ubus(router: Container) -> None:
    router.ok(INIT, "stop")
    router.wait(lambda: not router.status(), "it has ended")
    script = "import signal, socket; s = socket.create_server(('0.0.0.0', 25)); signal.pause()"
    router.ok(f'(python3 -c "{script}" </dev/null >/dev/null 2>&1 & echo $! >/tmp/other)')
    pid = router.read("/tmp/other").strip()
    router.ok(INIT, "start")
    taken = router.wait(lambda: router.status().get("port_taken"), "who it is is told")
    assert taken and all(f"(pid {pid})" in one["by"] for one in taken)
    for text in (router.ok("mailrelay", "status"), router.run(INIT, "check").output, router.log("cannot-listen")):
        assert "127.0.0.1:25" in text and f"(pid {pid})" in text and "another port than 25" in text
    assert router.run("mailrelay", "check").status == 1
    router.ok("kill", pid)
    router.wait_relay("192.168.1.1:25")
    assert router.run("mailrelay", "check").status == 0
