"""The Postfix engine on Debian's real Postfix: whom mail is from and goes to, and life beside the owner's Postfix."""

from __future__ import annotations

import os
import re
import time

import pytest

from forge.servers import postfix
from tests.package.postfix_router import OWNERS_MAIN_CF, Router
from tests.package.postfix_sending import at, client, main, section, send, wait
from tests.package.smarthost import Smarthost

pytest_plugins = ("tests.package.postfix_fixtures",)
pytestmark = pytest.mark.root


# ---- whom it is from and whom it goes to -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("From: plc@cabinet", "From: me$1@example.org"),
        ("From: Pump 3 <plc@cabinet>", "From: Pump 3 <me$1@example.org>"),
        ('From: "Pump, 3" <plc@cabinet>', 'From: "Pump, 3" <me$1@example.org>'),
        ("From: a@b.example, c@d.example", "From: me$1@example.org"),
        ("X-Nothing: here", "From: me$1@example.org"),
    ],
)
def test_every_mail_comes_from_the_accounts_address(
    written: str, sent: str, router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main(sender="me$1@example.org") + at(provider))
    router.start(port)
    send(port, f"{written}\r\nSender: x@y.example\r\n\r\nFrom: me\r\n".encode())
    (mail,) = provider.wait_for(1)
    header = mail.header.decode()
    assert mail.envelope_from == "me$1@example.org"
    assert [line for line in header.splitlines() if line.startswith("From:")] == [sent]
    assert "\nSender:" not in header
    if written.startswith("From:"):
        assert f"X-Original-{written}" in header
    assert mail.body == b"From: me\n"


def test_a_mail_that_is_from_the_account_already_keeps_its_header(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main(sender="me@example.org") + at(provider))
    router.start(port)
    send(port, b"From: Me <ME@example.org>\r\n\r\n")
    (mail,) = provider.wait_for(1)
    assert b"X-Original-From" not in mail.header


def test_a_notice_keeps_its_empty_sender(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main(sender="me@example.org") + at(provider))
    router.start(port)
    with client(port) as session:
        session.sendmail("", ["owner@example.net"], b"Subject: n\r\n\r\n")
    assert provider.wait_for(1)[0].envelope_from == ""


def test_aliases_lead_local_names_to_people(router: Router, provider: postfix.Provider, port: int) -> None:
    aliases = [
        "Root=admin,second@example.net",
        "admin=owner@example.net",
        "old@example.com=new@example.com",
        "a$b=c@d.example",
    ]
    router.configure(main(alias=aliases) + at(provider))
    router.start(port)
    with client(port) as session:
        session.ehlo()
        for name in ("root", "root@router.example.org", "ROOT@localhost", "OLD@example.com", "a$b"):
            session.sendmail("plc@cabinet", [name], b"Subject: x\r\n\r\n")
        session.mail("plc@cabinet")
        assert session.rcpt("nobody")[0] == 550
        assert session.rcpt("nobody@localhost")[0] == 550
        assert session.rcpt("root@elsewhere.example")[0] == 250
    both = ("owner@example.net", "second@example.net")
    found = sorted(mail.recipients for mail in provider.wait_for(5))
    assert found == [("c@d.example",), ("new@example.com",), both, both, both]


def test_the_postmaster_gets_what_no_alias_names(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main(postmaster="pm@example.net") + at(provider))
    router.start(port)
    send(port, to="whoever")
    assert provider.wait_for(1)[0].recipients == ("pm@example.net",)


def test_all_mail_goes_to_the_owners_of_the_override(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main(recipient=["a@example.net", "b@example.net"], alias=["root=c@example.net"]) + at(provider))
    router.start(port)
    for to in ("x@example.org", "root", "b@example.net"):
        send(port, to=to)
    assert {mail.recipients for mail in provider.wait_for(3)} == {("a@example.net", "b@example.net")}


def test_only_allowed_recipients_and_the_owners_aliases_are_served(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(
        main(
            allowed_recipient=["example.net", "boss@example.com"],
            alias=["root=x@example.org", "chain=root"],
        )
        + at(provider)
    )
    router.start(port)
    with client(port) as session:
        session.ehlo()
        session.mail("plc@cabinet")
        codes = {
            to: session.rcpt(to)[0]
            for to in (
                *("a@example.net", "Boss@example.com", "root", "chain@localhost"),
                *("a@example.com", "a@sub.example.net", "evil", "both"),
            )
        }
    assert list(codes.values()) == [250] * 4 + [550] * 4, codes


def test_a_failed_mail_is_told_to_the_postmaster_and_never_to_the_machine(router: Router, port: int) -> None:
    with Smarthost(refuse=b"bad@") as provider:
        router.configure(
            main(postmaster="pm@example.net")
            + section("smarthost", "p", host="127.0.0.1", port=provider.port, tls="none")
        )
        router.start(port)
        send(port, to="bad@example.net")
        sender, recipients, text = provider.next()
        assert (sender, recipients) == (b"", [b"pm@example.net"])
        assert b"bad@example.net" in text and b"No such user" in text


def test_without_a_postmaster_a_notice_goes_nowhere(router: Router, port: int) -> None:
    with Smarthost(refuse=b"bad@") as provider:
        router.configure(main() + section("smarthost", "p", host="127.0.0.1", port=provider.port, tls="none"))
        router.start(port)
        send(port, to="bad@example.net")
        router.wait_for_log("relay=none.*status=sent .*discard")
        wait(lambda: router.queue() == [])
        assert provider.mails.empty()


def test_a_login_goes_to_a_server_without_tls_only_as_the_config_says(router: Router, port: int) -> None:
    with Smarthost() as provider:
        router.configure(main() + section("smarthost", "p", host="127.0.0.1", port=provider.port, tls="starttls"))
        router.start(port)
        send(port)
        router.wait_for_log("status=deferred .*TLS is required")
        assert provider.mails.empty()


# ---- beside the owner's Postfix --------------------------------------------------------------------------------------


def test_the_routers_own_sendmail_reaches_the_provider(router: Router, provider: postfix.Provider, port: int) -> None:
    """Postfix's sendmail leaves mail in the maildrop of OpenWrt's instance, which nobody runs."""
    router.configure(main(alias=["root=owner@example.net"]) + at(provider))
    router.start(port)
    router.sh("printf 'Subject: UPS\\n\\nOn battery\\n' | sendmail root", engine=False)
    (mail,) = provider.wait_for(1, timeout=40)
    assert mail.recipients == ("owner@example.net",)


def test_openwrts_instance_is_stopped_and_disabled_and_the_owners_settings_stay(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router._add(
        "etc/init.d/postfix", '#!/bin/sh\necho "$1" >>/tmp/calls\n[ "$1" != enabled ] || [ ! -e /tmp/off ]\n', 0o755
    )
    try:
        router.configure(main() + at(provider))
        router.start(port)
        assert router.path("tmp/calls").read_text().split() == ["enabled", "disable", "stop"]
        router._add("tmp/off", "")
        router.path("tmp/calls").unlink()
        router.sh("engine_prepare")
        assert router.path("tmp/calls").read_text().split() == ["enabled"]
        assert router.path("etc/postfix/main.cf").read_text() == OWNERS_MAIN_CF
    finally:
        for name in ("etc/init.d/postfix", "tmp/calls", "tmp/off"):
            router.path(name).unlink(missing_ok=True)


def test_links_that_another_user_left_in_the_queue_are_not_followed(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    """The spool's folder was the Python engine's user's, if that was here before."""
    spool = router.path("etc/mailrelay/spool")
    (spool / "postfix").mkdir(parents=True)
    os.chown(spool, 587, 587)
    (spool / "postfix/active").symlink_to("/etc")
    router.configure(main() + at(provider))
    router.start(port)
    assert router.path("etc").stat().st_uid == 0 and spool.stat().st_uid == 0
    assert not (spool / "postfix/active").is_symlink()
    router.stop()
    os.chown(spool / "postfix", 587, 587)
    assert router.sh("postfix_facts; postfix_queue /etc/mailrelay/spool/postfix", check=False).returncode == 1


def test_messages_can_be_held_released_shown_and_deleted(router: Router, provider: postfix.Provider, port: int) -> None:
    provider.stop()
    router.configure(main(retry_min="1h", retry_max="2h") + at(provider))
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred")
    wait(lambda: [one["queue_name"] for one in router.queue()] == ["deferred"])
    queue_id = str(router.queue()[0]["queue_id"])
    assert b"is dry" in router.sh(f"engine_show {queue_id}").stdout.encode()
    router.sh(f"engine_hold {queue_id}")
    assert '"hold": 1' in router.sh("engine_status").stdout
    router.sh(f"engine_release {queue_id}")
    wait(lambda: [one["queue_name"] for one in router.queue()] == ["deferred"])
    assert queue_id in router.sh("engine_queue").stdout
    router.sh(f"engine_delete {queue_id}")
    assert router.queue() == []
    assert router.sh(f"engine_delete {queue_id}", check=False).returncode == 1


def test_a_queue_survives_the_end_of_master_and_a_restore_from_an_archive(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    provider.stop()
    router.configure(main() + at(provider))
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred")
    router.sh(
        "INIT=/tmp/init; printf '#!/bin/sh\nkill $(cat /var/run/mailrelay/postfix.pid)\n' >/tmp/init\n"
        "chmod 755 /tmp/init; engine_freeze"
    )
    router.stop()
    sockets = router.sh("find /etc/mailrelay/spool -type s -o -type p", engine=False).stdout
    assert sockets == ""
    router.sh(
        "cd /; tar -cf /tmp/kept.tar etc/mailrelay/spool; rm -rf etc/mailrelay/spool; tar -xf /tmp/kept.tar",
        engine=False,
    )
    provider.start()
    router.start(port)
    provider.wait_for(1)


def test_a_mail_from_before_the_clock_was_set_begins_its_life_anew_at_the_flush_that_ntp_brings(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    def created() -> str:
        return router.sh(
            "for f in $(find /etc/mailrelay/spool/postfix/deferred -type f); do postcat -e $f; done"
        ).stdout

    provider.stop()
    router.configure(main(retry_min="1h", retry_max="2h") + at(provider))
    router.start(port)
    send(port)
    wait(lambda: "create_time: " in created())
    before = re.search("create_time: .*", created())
    assert before
    wait(lambda: time.strftime("%H:%M:%S", time.gmtime()) not in before[0])
    router.sh(": >/var/run/mailrelay/clock-set; engine_flush")
    wait(lambda: "create_time: " in created() and before[0] not in created())
    assert not router.path("var/run/mailrelay/postfix.undated").exists()
    provider.start()
    router.sh("engine_flush")
    provider.wait_for(1)
