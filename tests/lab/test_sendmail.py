"""Mail from programs on the router itself: sendmail and mailq as they are called there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forge.servers.postfix import Mail, Provider
from tests.support.router_ssh import SshRouter

NUT = 113  # the uid of the user that the package nut has on OpenWrt


@pytest.fixture(scope="module")
def router_with_alias(router: SshRouter) -> SshRouter:
    router.ok(
        "uci add_list mailrelay.main.alias='root=owner@phone.example'; uci commit mailrelay; service mailrelay reload"
    )
    router.wait_relay()
    return router


@pytest.fixture
def user(router_with_alias: SshRouter) -> Iterator[str]:
    """A user without any rights, as nut's."""
    name = "labnut"
    router_with_alias.ok(f"grep -q ^{name}: /etc/passwd || echo '{name}:x:{NUT}:{NUT}::/var:/bin/false' >>/etc/passwd")
    yield name
    router_with_alias.ok(f"sed -i /^{name}:/d /etc/passwd")


def one(provider: Provider) -> Mail:
    [mail] = provider.wait_for(1)
    return mail


def test_nut_mails_root(router_with_alias: SshRouter, provider: Provider, user: str) -> None:
    """upsmon's way: another uid, `sendmail root`, a From: of root, and a lone dot at the end."""
    text = "From: root\nSubject: UPS on battery\n\nUPS ups@localhost on battery\n.\nnot this\n"
    router_with_alias.ok(f"start-stop-daemon -S -c {user} -x /usr/sbin/sendmail -- root", input=text)
    mail = one(provider)
    assert mail.recipients == ("owner@phone.example",)
    assert b"Subject: UPS on battery" in mail.header
    assert mail.body == b"UPS ups@localhost on battery\n"


def test_root_mails_with_recipients_in_the_header(router_with_alias: SshRouter, provider: Provider) -> None:
    text = "To: somebody@phone.example\nSubject: Report\n\nall well\n.\nstill well\n"
    router_with_alias.ok("sendmail -t -i", input=text)
    mail = one(provider)
    assert mail.recipients == ("somebody@phone.example",)
    assert mail.body == b"all well\n.\nstill well\n"


def test_a_script_of_the_owners_sends_with_a_sender_of_its_own(
    router_with_alias: SshRouter, provider: Provider
) -> None:
    router_with_alias.put("/tmp/alarm.sh", "#!/bin/sh\nprintf 'Subject: %s\\n\\n%s\\n' \"$1\" \"$2\" | "
                          "sendmail -oi -f plant@plant.example root\n", 0o755)  # fmt: skip
    router_with_alias.ok("/tmp/alarm.sh 'Level high' 'Tank 4'; rm /tmp/alarm.sh")
    mail = one(provider)
    assert (mail.envelope_from, mail.body) == ("plant@plant.example", b"Tank 4\n")


def test_mailq_lists_what_waits(router_with_alias: SshRouter, provider: Provider, user: str) -> None:
    provider.stop()
    router_with_alias.ok("sendmail root", input="Subject: waits\n\nx\n")
    [queue_id] = router_with_alias.wait(router_with_alias.queue, "the mail is queued")
    assert queue_id in router_with_alias.ok("mailq")
    provider.start()
    router_with_alias.ok("mailrelay flush")
    assert b"Subject: waits" in one(provider).header


def test_with_the_service_stopped_root_still_queues_and_others_are_told_to_wait(
    router_with_alias: SshRouter, provider: Provider, user: str
) -> None:
    router_with_alias.ok("service mailrelay stop")
    router_with_alias.wait(lambda: not router_with_alias.listening(25), "it is down")
    refused = router_with_alias.run(
        f"start-stop-daemon -S -c {user} -x /usr/sbin/sendmail -- root", input="Subject: x\n\nx\n"
    )
    assert refused.status == 75, refused.output
    router_with_alias.ok("sendmail root", input="Subject: later\n\nx\n")
    router_with_alias.ok("service mailrelay start")
    router_with_alias.wait_relay()
    assert b"Subject: later" in one(provider).header
