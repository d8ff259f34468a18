"""The init script under busybox' shell, with the real relay behind it: what it hands procd, and when."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.router import PROVIDER
from tests.support.router_container import LAN, WAN, Container

pytestmark = pytest.mark.root
INIT = "/etc/init.d/mailrelay"
LOCAL = ["127.0.0.0/8", "::1/128"]


@pytest.fixture
def router() -> Iterator[Container]:
    """Our files are there, nothing is set up, nothing runs."""
    with Container() as router:
        router.lay_out()
        yield router


@pytest.fixture
def running() -> Iterator[Container]:
    with Container() as router:
        router.enabled_router()
        yield router


def start(router: Container, main: str = "", rest: str = PROVIDER) -> None:
    router.configure(main, rest)
    router.ok(INIT, "start")


def lan(address: str, mask: int = 24) -> dict[str, Any]:
    return {**LAN, "ipv4-address": [{"address": address, "mask": mask}], "ipv6-prefix-assignment": []}


def test_networks_become_addresses_and_subnets_with_loopback_always_among_them(running: Container) -> None:
    places = ["127.0.0.1:25", "[::1]:25", "192.168.1.1:25", "[fd00:1:2::1]:25"]
    assert running.given("listen") == places
    assert running.given("allow") == [*LOCAL, "192.168.1.1/24", "fd00:1:2::1/60"]
    assert set(running.wait_relay()["listening"]) == set(places)
    running.send(ip="192.168.1.1")
    service = running.instance()
    assert service["respawn"] == {"threshold": 3600, "timeout": 5, "retry": 0}
    assert service["term_timeout"] == 15


def test_ports_and_further_addresses_are_handed_over(router: Container) -> None:
    start(router, "list port '25'\nlist port '2525'\nlist allow '10.7.0.0/16'")
    assert "192.168.1.1:2525" in router.given("listen")
    assert router.given("allow")[2] == "10.7.0.0/16"
    assert [rule["dest_port"] for rule in router.rules()] == ["25", "2525"]


def test_switched_off_means_that_nothing_runs(running: Container) -> None:
    running.configure(enabled="0")
    running.ok("reload_config")  # the first one only takes the checksums
    assert running.instance()["running"]
    running.ok(INIT, "reload")
    assert running.instance() == {}
    assert running.rules() == []
    running.wait(lambda: "exit mailrelay::relay" in running.procd_log(), "the process ends")
    assert not (running.root / "var/run/mailrelay/config").exists(), "no password is left in memory"
    assert running.ok(INIT, "status") == "active with no instances\n"

    running.configure()
    running.ok("reload_config")
    running.wait(running.instance, "the change reaches us")
    running.wait_relay()


def test_an_interface_that_renumbers_takes_the_relay_along(running: Container) -> None:
    running.network(lan("192.168.5.1"), WAN)
    running.event("interface.update", interface="lan")
    running.wait(lambda: "192.168.5.1:25" in running.given("listen"), "the new address is taken")
    status = running.wait_relay("192.168.5.1:25")
    assert "192.168.1.1:25" not in status["listening"]
    assert "192.168.5.1/24" in status["allow"]


def test_an_event_that_changes_nothing_restarts_nothing(running: Container) -> None:
    runs = running.procd_log().count("run ")
    running.event("interface.update", interface="lan")
    running.wait(lambda: running.procd_log().count("run ") > runs, "the script runs")
    running.ok(INIT, "reload")  # waits for the lock that the script holds
    assert running.starts() == 1


def test_a_network_that_goes_and_comes_never_stops_the_rest(running: Container) -> None:
    running.network({"interface": "lan", "up": False}, WAN)
    running.event("interface.down", interface="lan")
    running.wait(lambda: len(running.given("listen")) == 2, "only loopback is left")
    running.wait_relay()
    running.send()
    assert "network 'lan' has no address now" in running.log()
    assert [rule["src"] for rule in running.rules()] == ["lan"], "the zone is there without an address"
    running.network(LAN, WAN)
    running.event("interface.up", interface="lan")
    running.wait(lambda: "192.168.1.1:25" in running.given("listen"), "the address is back")
    running.wait_relay("192.168.1.1:25")


def test_a_network_that_does_not_exist_yet_is_waited_for(router: Container) -> None:
    start(router, "list network 'usb'")
    router.wait_relay("192.168.1.1:25")
    assert "network 'usb' has no address now" in router.log()
    router.network(LAN, WAN, {**lan("10.4.4.1"), "interface": "usb"})
    router.event("interface.up", interface="usb")
    router.wait(lambda: "10.4.4.1:25" in router.given("listen"), "the new network is served")


def test_an_interface_that_came_up_while_we_looked_is_not_missed(router: Container) -> None:
    """Between netifd's answer and procd's taking our triggers nobody would tell us."""
    router.configure()
    later = router.root / "tmp/later.json"
    router.network(LAN, WAN)
    (router.root / "tmp/network.json").rename(later)
    router.network({"interface": "lan", "up": False}, WAN)
    # the answer is swapped as the service is handed to procd, which is before its triggers are known
    (router.root / "usr/bin/standin-service").unlink()
    (router.root / "usr/lib/standin/standin-service").symlink_to("ask")
    router.put(
        "usr/bin/standin-service",
        '#!/bin/sh\n[ "$1" != set ] || mv /tmp/later.json /tmp/network.json 2>/dev/null\n'
        'exec /usr/lib/standin/standin-service "$@"\n',
        0o755,
    )
    router.ok(INIT, "boot")
    assert "192.168.1.1:25" in router.given("listen")


def test_a_faulty_config_is_refused_and_the_last_good_one_goes_on(running: Container) -> None:
    """Through a reload, a renumbering and a kill -9."""
    first = running.wait_relay()["pid"]
    running.configure("option port 'abc'")
    running.ok(INIT, "reload")
    assert running.instance()["pid"] == first, "the running relay is left alone"
    log = running.log()
    assert "settings refused: /etc/config/mailrelay:" in log
    assert "'abc' is not a port; write a number from 1 to 65535" in log
    assert "going on with the last good settings" in log
    kept = running.root / "var/run/mailrelay/config"
    assert (kept.stat().st_mode & 0o777, kept.stat().st_uid) == (0o600, os.geteuid())

    running.network(lan("192.168.5.1"), WAN)
    running.event("interface.update", interface="lan")
    running.wait(lambda: "192.168.5.1:25" in running.given("listen"), "it follows its interface")
    running.wait_relay("192.168.5.1:25")

    pid = running.instance()["pid"]
    starts = running.starts()
    running.ok("kill", "-9", str(pid))
    running.wait(lambda: running.starts() > starts, "procd starts it again")
    running.wait_relay("192.168.5.1:25")
    running.send()

    running.configure("option sender 'plant@example.net'")
    running.ok(INIT, "reload")
    assert "plant@example.net" in kept.read_text()


def test_a_faulty_config_from_the_start_runs_nothing_and_says_what_to_mend(router: Container) -> None:
    start(router, "option port 'abc'")
    assert router.instance() == {}
    assert "write a number from 1 to 65535" in router.log()
    assert "nothing runs until /etc/config/mailrelay is mended" in router.log()
    router.configure()
    router.ok("reload_config")
    router.configure("option sender 'plant@example.net'")
    router.ok("reload_config")
    router.wait(router.instance, "it starts once the file is mended")


def test_text_that_is_no_config_at_all_is_refused_too(running: Container) -> None:
    running.put("/etc/config/mailrelay", "config mailrelay 'main\n", 0o600)
    running.ok(INIT, "reload")
    assert running.instance()["running"]
    assert "cannot be parsed" in running.log()


def test_changes_that_are_not_committed_do_not_count(running: Container) -> None:
    running.ok("uci", "set", "mailrelay.main.enabled=0")
    running.ok(INIT, "reload")
    assert running.instance()["running"]
    running.ok("uci", "commit", "mailrelay")
    running.ok(INIT, "reload")
    assert running.instance() == {}


def test_an_upgraded_file_restarts_the_instance(running: Container) -> None:
    """apk replaces the files under a running relay and calls `start`, nothing else."""
    running.put("/usr/lib/mailrelay/version", "1.0.1-r1\n")
    running.ok(INIT, "start")
    running.wait(lambda: running.starts() == 2, "procd starts the new one")
    path = running.root / "usr/lib/mailrelay/relay/mailrelay/listener/listener.py"
    path.write_text(path.read_text() + "# newer\n")
    running.ok(INIT, "start")
    running.wait(lambda: running.starts() == 3, "procd starts the new code")
    running.wait_relay()


def test_settings_that_a_newer_check_refuses_are_not_run_from_the_copy(running: Container) -> None:
    kept = running.root / "var/run/mailrelay/config"
    for path in (kept, running.root / "etc/config/mailrelay"):
        path.write_text(path.read_text() + "\toption nonsense '1'\n")
    running.put("/usr/lib/mailrelay/version", "1.0.1-r1\n")
    running.ok(INIT, "start")
    assert running.instance() == {}
    assert "'nonsense' is not known here" in running.log()


# The firewall.


def test_ports_are_open_for_the_zone_of_each_network(running: Container) -> None:
    rule = {"type": "rule", "src": "lan", "proto": "tcp", "dest_port": "25", "family": "any", "target": "ACCEPT"}
    assert running.rules() == [rule]
    running.ok(INIT, "stop")
    assert running.rules() == []


def test_a_network_in_no_zone_gets_no_rule_and_a_log_line(router: Container) -> None:
    router.configure("list network 'lab'")
    router.network(LAN, WAN, {**lan("10.4.4.1"), "interface": "lab"})
    router.ok(INIT, "start")
    assert [rule["src"] for rule in router.rules()] == ["lan"]
    assert "network 'lab' is in no firewall zone: no rule is made for it" in router.log()
    zone = "\nconfig zone\n\toption name 'works'\n\toption network 'lab'\n"
    router.ok("reload_config")
    firewall = router.root / "etc/config/firewall"
    firewall.write_text(firewall.read_text() + zone)
    router.ok("reload_config")
    router.wait(lambda: [rule["src"] for rule in router.rules()] == ["lan", "works"], "the new zone is heard of")
    assert router.starts() == 1, "a rule is no reason to restart"


def test_while_the_firewall_is_stopped_its_settings_tell_the_zone(router: Container) -> None:
    """It reads our rules when it starts, and tells nobody."""
    (router.root / "var/run/fw4.state").unlink()
    start(router)
    assert [rule["src"] for rule in router.rules()] == ["lan"]


def test_without_a_firewall_there_are_no_rules_and_no_complaints(router: Container) -> None:
    (router.root / "sbin/fw4").unlink()
    start(router)
    assert router.rules() == []
    assert "zone" not in router.log()


def test_a_network_that_faces_the_internet_is_refused(running: Container) -> None:
    running.configure("list network 'wan'")
    done = running.run(INIT, "check")
    assert done.status == 1
    assert "'wan' is in the firewall zone 'wan', which faces the internet" in done.output
    assert running.run("mailrelay", "check").status == 1
    running.ok(INIT, "reload")
    assert "remove 'wan' from the list" in running.log()
    assert "203.0.113.7:25" not in running.given("listen")


def test_a_network_that_is_moved_to_the_internets_side_is_left_out(running: Container) -> None:
    firewall = running.root / "etc/config/firewall"
    firewall.write_text(
        firewall.read_text().replace("'wan6'", "'lan'").replace("\tlist network 'lan'\n\toption", "\toption")
    )
    running.ok(INIT, "reload")
    assert running.given("listen") == ["127.0.0.1:25", "[::1]:25"]
    assert running.given("allow") == LOCAL
    assert running.rules() == []


def test_a_machine_with_a_mail_server_built_in_is_caught_by_its_address_only(router: Container) -> None:
    camera = "\nconfig client 'camera'\n\toption address '192.168.1.40'\n\toption redirect '1'\n"
    other = "\nconfig client 'plc'\n\toption address '192.168.1.41'\n"
    six = "\nconfig client 'six'\n\toption address 'fd00:1:2::9'\n\toption redirect '1'\n"
    start(router, rest=PROVIDER + camera + other + six)
    redirects = [rule for rule in router.rules() if rule["type"] == "redirect"]
    assert [(rule["src_ip"], rule["family"]) for rule in redirects] == [
        ("192.168.1.40", "ipv4"),
        ("fd00:1:2::9", "ipv6"),
    ]
    assert redirects[0] == {
        "type": "redirect", "src": "lan", "src_ip": "192.168.1.40", "proto": "tcp", "src_dport": "25",
        "dest_port": "25", "family": "ipv4", "reflection": "0", "target": "DNAT",
    }  # fmt: skip


# Where the queue is.

FSTAB = """config mount
	option target '/mnt/usb'
	option enabled '1'

config mount
	option target '/mnt/usb/mail'
	option enabled '0'
"""


def test_a_missing_mount_means_452_and_not_a_byte_beneath_it(router: Container) -> None:
    router.put("/etc/config/fstab", FSTAB)
    (router.root / "mnt/usb").mkdir()
    start(router, "option spool '/mnt/usb/mail'")
    router.wait_relay()
    assert router.given("spool-mount") == ["/mnt/usb"]
    assert router.try_to_send().startswith("452")
    assert "nothing is mounted there" in router.log()
    assert list((router.root / "mnt/usb").iterdir()) == []
    assert "not mounted" in router.ok("mailrelay", "status")

    router.ok("mount", "-t", "tmpfs", "none", "/mnt/usb")
    router.event("mount.add", target="/mnt/usb")
    router.wait(lambda: not router.status()["spool_missing"], "it is there")
    router.wait(lambda: router.try_to_send().startswith("250"), "mail is taken")
    assert router.starts() == 1, "its ports were open all the time"
    assert router.ok("ls", "/mnt/usb/mail/queue")

    router.ok("umount", "-l", "/mnt/usb")
    router.wait(lambda: router.try_to_send().startswith("452"), "the storage is gone and so is the room")
    assert list((router.root / "mnt/usb").iterdir()) == []


def test_a_queue_on_flash_that_tar_brought_back_as_roots_is_given_to_the_relay(router: Container) -> None:
    (router.root / "etc/mailrelay/spool/queue").mkdir(parents=True)
    start(router)
    assert router.given("spool") == ["/etc/mailrelay/spool"]
    assert router.given("spool-mount") == [], "without a mount of its own"
    router.wait_relay()
    router.send()


# What people type.


def test_check_flush_and_queue(running: Container) -> None:
    assert "config is fine" in running.ok(INIT, "check")
    running.send()
    assert running.queue()[0] in running.ok(INIT, "queue")
    assert "tried now" in running.ok(INIT, "flush")
    running.wait(lambda: " flush" in running.log(), "the relay hears of it")
    running.ok(INIT, "stop")
    running.wait(lambda: "exit mailrelay" in running.procd_log(), "it ends")
    assert running.run(INIT, "flush").status == 1
    running.configure("option port 'abc'")
    done = running.run(INIT, "check")
    assert (done.status, "is not a port" in done.output) == (1, True)


def test_warnings_of_the_copy_name_the_file_that_the_owner_edits(router: Container) -> None:
    start(router, rest="")
    router.wait_relay()
    assert any(one["text"].startswith("/etc/config/mailrelay") for one in router.status()["warnings"])


def test_commands_without_an_engine_say_so(router: Container) -> None:
    (router.root / "usr/lib/mailrelay/python.sh").unlink()
    start(router)
    assert router.instance() == {}
    assert "no engine is installed" in router.log()
