"""Postfix takes up settings and addresses with its ports open: the master stays, as does every session."""

from __future__ import annotations

import pytest

from tests.package.postfix_router import FOLDER, INIT, PostfixRouter
from tests.package.postfix_sending import main, section
from tests.support.caller import Caller
from tests.support.router_container import LAN, WAN

pytest_plugins = ("tests.package.postfix_fixtures",)
pytestmark = pytest.mark.root


def test_settings_addresses_and_a_firewall_reload_close_no_port(router: PostfixRouter) -> None:
    router.start(main(), listening="192.168.1.1")
    pid, starts = router.instance()["pid"], router.starts()
    with router.client() as patient, Caller(router) as caller:
        patient.ehlo()
        for number in range(10):
            router.write(main(max_message_size=f"{100 + number}K", allow=[f"10.7.{number}.0/24"]))
            router.ok(INIT, "reload")
        router.ok("ip addr add 192.168.5.1/24 dev lo")
        router.network({**LAN, "ipv4-address": [{"address": "192.168.5.1", "mask": 24}]}, WAN)
        router.event("interface.update", interface="lan")
        router.wait(lambda: router.listens("192.168.5.1"), "the new address is listened on")
        router.ok(INIT, "reload")
        router.wait(lambda: not router.listens("192.168.1.1"), "the old one is not")
        made = len(caller.greetings)
        router.wait(lambda: len(caller.greetings) > made, "it calls once more")
        assert patient.noop()[0] == 250, "a session that had begun goes on"
    router.ok("ip addr del 192.168.5.1/24 dev lo")
    router.network(LAN, WAN)
    assert caller.disappointments() == []
    assert (router.instance()["pid"], router.starts()) == (pid, starts)
    with router.client() as session:
        session.ehlo()
        assert session.esmtp_features["size"] == str(109 * 1024)
    assert "10.7.9.0/24" in router.main_cf()
    assert "ignoring" not in router.log(), "nothing was changed that takes a restart"


def test_what_is_no_longer_set_leaves_no_file_behind(router: PostfixRouter) -> None:
    router.start(main() + section("smarthost", "p", host="mail.example.net", username="plant", password="s3cret-once"))
    assert "s3cret-once" in router.ok(f"cat {FOLDER}/*")
    router.write(main())
    router.ok(INIT, "reload")
    assert "s3cret-once" not in router.ok(f"cat {FOLDER}/*")
    assert router.ok("ls -d /var/run/mailrelay/postfix*").count("postfix.new") == 0


def test_an_event_that_changes_nothing_is_not_told_to_master(router: PostfixRouter) -> None:
    router.start(main())
    router.wait(lambda: router.run("ls /var/run/mailrelay/postfix.made-of").status == 0, "it is rendered")
    router.ok(INIT, "reload")
    assert "reload -- version" not in router.log()
