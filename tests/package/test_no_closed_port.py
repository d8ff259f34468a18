"""Whatever is changed, the ports stay open and the relay the same: machines that have no queue of their own lose no
alarm because somebody has saved a form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.caller import Caller
from tests.support.router import STATUS
from tests.support.router_container import LAN, WAN, Container

pytestmark = pytest.mark.root
INIT = "/etc/init.d/mailrelay"


@pytest.fixture
def running() -> Iterator[Container]:
    with Container() as router:
        router.enabled_router()
        yield router


def lan(address: str) -> dict[str, Any]:
    return {**LAN, "ipv4-address": [{"address": address, "mask": 24}], "ipv6-prefix-assignment": []}


def change(router: Container, main: str) -> None:
    """Until the relay runs by it."""
    router.configure(main)
    before = router.status()["loaded"]
    router.ok(INIT, "reload")
    router.wait_relay(loaded_before=before)


def test_settings_addresses_and_a_firewall_reload_close_no_port(running: Container) -> None:
    before = running.status()
    with Caller(running) as caller:
        for number in range(10):
            change(running, f"option postmaster 'owner{number}@example.org'\nlist allow '10.7.{number}.0/24'")
        running.network(lan("192.168.5.1"), WAN)
        running.event("interface.update", interface="lan")
        running.wait_relay("192.168.5.1:25")
        runs = running.procd_log().count("run ")
        running.event("config.change", package="firewall")
        running.wait(lambda: running.procd_log().count("run ") > runs, "the script runs")
        running.ok(INIT, "reload")  # waits for the lock that the script holds
        made = len(caller.greetings)
        running.wait(lambda: len(caller.greetings) > made, "it calls once more")
    assert caller.disappointments() == []
    after = running.status()
    assert (after["pid"], after["started"]) == (before["pid"], before["started"])
    assert running.starts() == 1
    assert "10.7.9.0/24" in after["allow"]
    running.wait(lambda: running.status()["counts"]["connections"] >= made, "what was counted before still counts")


def test_the_spool_can_be_moved_under_open_ports(running: Container) -> None:
    running.send("Before")
    [before] = running.queue()
    pid = running.status()["pid"]
    with Caller(running) as caller:
        change(running, "option spool '/srv/mail'")
        running.wait(lambda: running.status()["spool"] == "/srv/mail", "the new spool is told")
        running.send("After")
        assert len(running.ok("ls", "/srv/mail/queue").split()) == 1
        change(running, "")
        running.wait(lambda: running.status()["spool"] == "/etc/mailrelay/spool", "it is back")
    assert caller.disappointments(but_cut_off=True) == []
    assert running.queue() == [before], "what lay there still does"
    assert running.status()["pid"] == pid


def test_a_spool_that_cannot_be_had_leaves_the_mail_where_it_was(running: Container) -> None:
    running.ok("mkdir -p /srv/mail && chown 1:1 /srv/mail")
    running.put("/usr/bin/chown", "#!/bin/sh\n", 0o755)  # or the init script would give it to the relay
    change(running, "option spool '/srv/mail'")
    running.send()
    assert len(running.queue()) == 1
    texts = [warning["text"] for warning in running.status()["warnings"]]
    assert any("/srv/mail: belongs to uid 1" in text for text in texts), texts
    running.ok(f"/bin/chown $(stat -c %u /etc/mailrelay/spool) /srv/mail; cat {STATUS}")
    running.wait(lambda: running.status()["spool"] == "/srv/mail", "it is tried again")


def test_a_change_while_the_relay_starts_is_not_missed(running: Container) -> None:
    """It has read the old files and has no FIFO yet."""
    running.ok(INIT, "stop")
    running.wait(lambda: not running.instance(), "it ends")
    place = "/usr/lib/mailrelay/relay/mailrelay/core/ipc.py"
    slow = 'def make_control(run_dir: str) -> int:\n    import time\n    open("/tmp/reading-done", "w").close()\n'
    slow += '    while not os.path.exists("/tmp/go-on"):\n        time.sleep(0.02)\n'
    running.put(place, running.read(place).replace("def make_control(run_dir: str) -> int:\n", slow))
    running.ok(INIT, "start")
    running.wait(lambda: (running.root / "tmp/reading-done").exists(), "it has read its settings")
    running.configure("list port '2525'")
    running.ok(INIT, "reload")
    running.put("/tmp/go-on", "")
    running.wait_relay("192.168.1.1:2525")
    assert running.starts() == 2


def test_nothing_is_read_again_where_nothing_has_changed(running: Container) -> None:
    before = running.status()["loaded"]
    for _ in range(3):
        running.ok(INIT, "reload")
    running.send()
    running.wait(lambda: running.status()["queue"] == 1, "the relay has looked up since")
    assert running.status()["loaded"] == before
    assert " reloaded" not in running.log()


def test_the_listener_before_answers_until_the_new_one_can(running: Container) -> None:
    """On a small router a new one takes longer to load than some machines wait for a greeting."""
    place = "/usr/lib/mailrelay/relay/mailrelay/listener/listener.py"
    slow = "from __future__ import annotations\nimport os, time\nopen('/tmp/loading', 'w').close()\n"
    slow += "while not os.path.exists('/tmp/go-on'):\n    time.sleep(0.02)\n"
    running.put(place, running.read(place).replace("from __future__ import annotations\n", slow, 1))
    before = running.status()["loaded"]
    running.ok("echo >>/var/run/mailrelay/config; echo reload 1<>/var/run/mailrelay/control")
    running.wait(lambda: (running.root / "tmp/loading").exists(), "the new one is loading")
    running.send("Meanwhile")
    assert running.status()["loaded"] == before
    running.put("/tmp/go-on", "")
    running.wait_relay(loaded_before=before)
    running.send("Afterwards")
