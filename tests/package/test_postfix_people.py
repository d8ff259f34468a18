"""The Postfix engine on Debian's real Postfix: whom mail is from and goes to, and life beside the owner's Postfix."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

import pytest

from forge.servers import postfix
from tests.package.postfix_router import OWNERS_MAIN_CF, PostfixRouter
from tests.package.postfix_sending import at, main, section
from tests.support.scripted_provider import ScriptedProvider

pytest_plugins = ("tests.package.postfix_fixtures",)
pytestmark = pytest.mark.root
NOBODY = "550 5.1.1 No such user"


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
    written: str, sent: str, router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.start(main(sender="me$1@example.org") + at(provider))
    router.mail(f"{written}\r\nSender: x@y.example\r\n\r\nFrom: me\r\n".encode())
    (mail,) = provider.wait_for(1)
    header = mail.header.decode()
    assert mail.envelope_from == "me$1@example.org"
    assert [line for line in header.splitlines() if line.startswith("From:")] == [sent]
    assert "\nSender:" not in header
    if written.startswith("From:"):
        assert f"X-Original-{written}" in header
    assert mail.body == b"From: me\n"


def test_a_mail_that_is_from_the_account_already_keeps_its_header(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.start(main(sender="me@example.org") + at(provider))
    router.mail(b"From: Me <ME@example.org>\r\n\r\n")
    (mail,) = provider.wait_for(1)
    assert b"X-Original-From" not in mail.header


def test_a_notice_keeps_its_empty_sender(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main(sender="me@example.org") + at(provider))
    with router.client() as session:
        session.sendmail("", ["owner@example.net"], b"Subject: n\r\n\r\n")
    assert provider.wait_for(1)[0].envelope_from == ""


def test_aliases_lead_local_names_to_people(router: PostfixRouter, provider: postfix.Provider) -> None:
    aliases = [
        "Root=admin,second@example.net",
        "admin=owner@example.net",
        "old@example.com=new@example.com",
        "a$b=c@d.example",
    ]
    router.start(main(alias=aliases) + at(provider))
    with router.client() as session:
        session.ehlo()
        for name in ("root", "root@router.example.org", "ROOT@localhost", "OLD@example.com", "a$b"):
            session.sendmail("plc@cabinet", [name], b"Subject: x\r\n\r\n")
    both = ("owner@example.net", "second@example.net")
    found = sorted(mail.recipients for mail in provider.wait_for(5))
    assert found == [("c@d.example",), ("new@example.com",), both, both, both]


def test_names_of_the_own_network_are_local_names_unless_the_settings_deliver_to_them(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    aliases = ["root=a@example.net", "@plant.local=b@example.net", "x@plant.local=c@example.net", "ops=ops@nas.lan"]
    aliases.append("@old.example=d@example.net")
    router.start(main(alias=aliases) + at(provider))
    with router.client() as session:
        session.ehlo()
        sent = ("root@pi", "ROOT@a.lan", "y@Plant.local", "x@plant.local", "ops@pi", "y@old.example", "root@localhost")
        for name in sent:
            session.sendmail("plc@cabinet", [name], b"Subject: x\r\n\r\n")
    found = sorted(mail.recipients[0] for mail in provider.wait_for(len(sent)))
    assert found == [*["a@example.net"] * 3, "b@example.net", "c@example.net", "d@example.net", "ops@nas.lan"]


def test_a_local_name_that_leads_nowhere_is_refused(router: PostfixRouter) -> None:
    router.start(
        main(alias=["root=owner@example.net"]) + section("smarthost", "p", host="127.0.0.1", tls="none", port=9)
    )
    with router.client() as session:
        session.ehlo()
        session.mail("plc@cabinet")
        for name in (
            "nobody",
            "nobody@localhost",
            "nobody@pi",
            "nobody@a.local",
            "nobody@localhost.localdomain",
            "n@nas.internal",
        ):
            assert session.rcpt(name)[0] == 550, name
        assert session.rcpt("root@raspberrypi")[0] == 250
        assert session.rcpt("root@elsewhere.example")[0] == 250


@pytest.mark.parametrize("named", [True, False])
def test_the_postmaster_or_else_the_accounts_owner_gets_what_no_alias_names(
    named: bool, router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.start(main(**{"postmaster": "pm@example.net"} if named else {}) + at(provider))
    for to in ("whoever", "root@raspberrypi", "camera@nas.local"):
        router.mail(to=to)
    owner = "pm@example.net" if named else provider.username
    assert {mail.recipients for mail in provider.wait_for(3)} == {(owner,)}


def test_all_mail_goes_to_the_owners_of_the_override(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main(recipient=["a@example.net", "b@example.net"], alias=["root=c@example.net"]) + at(provider))
    for to in ("x@example.org", "root", "b@example.net"):
        router.mail(to=to)
    assert {mail.recipients for mail in provider.wait_for(3)} == {("a@example.net", "b@example.net")}


def test_only_allowed_recipients_and_the_owners_aliases_are_served(router: PostfixRouter) -> None:
    router.start(
        main(
            allowed_recipient=["example.net", "boss@example.com"],
            alias=["root=x@example.org", "chain=root"],
        )
        + section("smarthost", "p", host="127.0.0.1", tls="none", port=9)
    )
    with router.client() as session:
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


def test_a_failed_mail_is_told_to_the_postmaster_and_never_to_the_machine(router: PostfixRouter) -> None:
    with ScriptedProvider({"rcpt": [NOBODY]}) as provider:
        router.start(
            main(postmaster="pm@example.net")
            + section("smarthost", "p", host="127.0.0.1", port=router.reach(provider.port), tls="none")
        )
        router.mail(to="bad@example.net")
        provider.wait_for(1, 20)
        (notice,) = provider.messages
        assert (notice.sender, notice.recipients) == (b"", [b"pm@example.net"])
        assert b"bad@example.net" in notice.data and b"No such user" in notice.data


def test_without_a_postmaster_a_notice_goes_nowhere(router: PostfixRouter) -> None:
    with ScriptedProvider({"rcpt": NOBODY}) as provider:
        router.start(main() + section("smarthost", "p", host="127.0.0.1", port=router.reach(provider.port), tls="none"))
        router.mail(to="bad@example.net")
        router.wait_for_log("relay=none.*status=sent .*discard")
        router.wait(lambda: router.waiting() == [], "the queue is empty")
        assert provider.messages == []


def test_a_login_goes_to_a_server_without_tls_only_as_the_config_says(router: PostfixRouter) -> None:
    with ScriptedProvider() as provider:
        router.start(
            main() + section("smarthost", "p", host="127.0.0.1", port=router.reach(provider.port), tls="starttls")
        )
        router.mail()
        router.wait_for_log("status=deferred .*TLS is required")
        assert provider.messages == []


# ---- beside the owner's Postfix --------------------------------------------------------------------------------------


def test_the_routers_own_sendmail_reaches_the_provider(router: PostfixRouter, provider: postfix.Provider) -> None:
    """Postfix's sendmail leaves mail in the maildrop of OpenWrt's instance, which nobody runs."""
    router.start(main(alias=["root=owner@example.net"]) + at(provider))
    router.engine("printf 'Subject: UPS\\n\\nOn battery\\n' | sendmail root")
    (mail,) = provider.wait_for(1)
    assert mail.recipients == ("owner@example.net",)


def test_openwrts_instance_is_stopped_and_disabled_and_the_owners_settings_stay(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    calls, off = router.root / "tmp/calls", router.root / "tmp/off"
    router.put(
        "/etc/init.d/postfix", '#!/bin/sh\necho "$1" >>/tmp/calls\n[ "$1" != enabled ] || [ ! -e /tmp/off ]\n', 0o755
    )
    try:
        router.start(main() + at(provider))
        assert calls.read_text().split()[:3] == ["enabled", "disable", "stop"]
        off.touch()
        calls.unlink()
        router.engine("engine_prepare")
        assert calls.read_text().split() == ["enabled"]
        assert router.read("/etc/postfix/main.cf") == OWNERS_MAIN_CF
    finally:
        for path in (router.root / "etc/init.d/postfix", calls, off):
            path.unlink(missing_ok=True)


def test_links_that_another_user_left_in_the_queue_are_not_followed(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    """The spool's folder was the Python engine's user's, if that was here before."""
    spool = router.root / "etc/mailrelay/spool"
    (spool / "postfix").mkdir(parents=True)
    os.chown(spool, 587, 587)
    (spool / "postfix/active").symlink_to("/etc")
    router.start(main() + at(provider))
    assert (router.root / "etc").stat().st_uid == 0 and spool.stat().st_uid == 0
    assert not (spool / "postfix/active").is_symlink()
    router.stop()
    os.chown(spool / "postfix", 587, 587)
    assert router.engine("postfix_facts; postfix_queue /etc/mailrelay/spool/postfix").status == 1


def test_the_web_interface_can_see_hold_release_and_delete_what_waits(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    """By rpcd's executable, as LuCI does."""

    def call(method: str, **arguments: object) -> dict[str, Any]:
        text = router.ok("/usr/libexec/rpcd/mailrelay", "call", method, input=json.dumps(arguments))
        return dict(json.loads(text))

    def states() -> list[str]:
        return [one["state"] for one in call("queue")["messages"]]

    provider.stop()
    router.start(main(retry_min="1h", retry_max="2h", notify="/bin/true") + at(provider))
    router.mail()
    router.wait_for_log("status=deferred")
    status = router.wait(lambda: found if (found := call("status"))["queue"] else None, "the mail is counted")
    assert (status["engine"], status["running"], status["cannot"]) == ("postfix", True, ["test", "play"])
    assert (status["queue"], status["hold"], status["failed"]) == (1, 0, 0)
    (mail,) = router.wait(lambda: call("queue")["messages"], "the queue is listed")
    assert mail["sender"] == "plc@cabinet" and mail["recipients"][0]["address"] == "owner@example.net"
    assert mail["last_answer"] and not mail["sending"] and call("queue", limit=10)["total"] == 1
    assert "is dry" in call("show", id=mail["id"])["text"]
    assert call("hold", ids=[mail["id"]])["ok"] and states() == ["hold"] and call("status")["hold"] == 1
    assert call("queue", state="hold")["total"] == 1
    assert call("queue", state="queue") == call("queue", state="failed") == {"messages": [], "total": 0}
    assert call("release", ids=[mail["id"]])["ok"] and states() == ["queue"]
    assert mail["id"] in router.ok("mailrelay", "queue")
    assert call("delete", ids=[mail["id"]])["ok"] and states() == []
    assert not call("delete", ids=[mail["id"]])["ok"]
    shown = call("show", id=mail["id"])
    assert not shown["ok"] and mail["id"] in shown["text"], "it is there no more"
    checked = call("check")
    (told,) = checked["findings"]
    assert checked["ok"] and (told["warning"], told["section"], told["option"]) == (True, "main", "notify")
    assert "is not carried out by Postfix" in told["problem"] and told["hint"]
    for method in ("test", "play"):
        answer = call(method, address="owner@example.net")
        assert not answer["ok"] and "cannot" in answer["text"]


def test_a_queue_survives_the_end_of_master_and_a_restore_from_an_archive(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    provider.stop()
    router.start(main() + at(provider))
    router.mail()
    router.wait_for_log("status=deferred")
    router.engine("engine_freeze")
    assert not router.listens("127.0.0.1")
    assert router.ok("find /etc/mailrelay/spool -type s -o -type p") == ""
    router.ok("cd /; tar -cf /tmp/kept.tar etc/mailrelay; rm -rf etc/mailrelay; tar -xf /tmp/kept.tar")
    provider.start()
    router.start()
    provider.wait_for(1)


def test_a_mail_from_before_the_clock_was_set_begins_its_life_anew_at_the_flush_that_ntp_brings(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    def created() -> str:
        return router.engine(
            "for f in $(find /etc/mailrelay/spool/postfix/deferred -type f); do postcat -e $f; done"
        ).output

    provider.stop()
    router.start(main(retry_min="1h", retry_max="2h") + at(provider))
    router.mail()
    router.wait(lambda: "create_time: " in created(), "it is deferred")
    before = re.search("create_time: .*", created())
    assert before
    router.wait(lambda: time.strftime("%H:%M:%S", time.gmtime()) not in before[0], "another second has begun")
    router.engine(": >/var/run/mailrelay/clock-set; engine_flush")
    router.wait(lambda: "create_time: " in created() and before[0] not in created(), "it is requeued")
    assert not (router.root / "var/run/mailrelay/postfix.undated").exists()
    provider.start()
    router.engine("engine_flush")
    provider.wait_for(1)
