"""Mail from the LAN to a real provider, whatever is in the way for a while."""

from __future__ import annotations

import email
import email.utils
import socket
import time

from forge.servers.postfix import Provider
from tests.support.router_ssh import SshRouter


def arrived(provider: Provider, count: int = 1) -> list[email.message.Message]:
    mails = provider.wait_for(count)
    assert len(mails) == count
    return [email.message_from_bytes(mail.raw) for mail in mails]


def test_what_a_controllino_sends_arrives_over_starttls_with_a_login(router: SshRouter, provider: Provider) -> None:
    with socket.create_connection(router.lan(25), timeout=30) as machine:
        lines = machine.makefile("rb")
        assert lines.readline().startswith(b"220 ")
        for line, code in (
            (b"ehlo plc@plant.example", b"250"),
            (b"mail from: <plc@plant.example>", b"250"),
            (b"rcpt to: owner@phone.example", b"250"),
            (b"data", b"354"),
            (b"Subject: Pump 3 stopped\r\nTank level is 87 % and rising.\r\n.", b"250"),
        ):
            machine.sendall(line + b"\r\n")
            reply = lines.readline()
            while reply[3:4] == b"-":
                reply = lines.readline()
            assert reply.startswith(code), (line, reply)
    [mail] = arrived(provider)
    assert mail["Subject"] == "Pump 3 stopped" and mail.get_payload() == "Tank level is 87 % and rising.\n"
    assert mail["Message-ID"] and mail["From"] and mail["To"]
    sent = email.utils.parsedate_to_datetime(mail["Date"]).timestamp()
    assert abs(sent - time.time()) < 3600, mail["Date"]
    [taken] = provider.messages()
    assert "TLSv1." in taken.received and "Authenticated sender" in taken.received, taken.received
    router.wait(lambda: router.queue() == [], "the queue is empty")


def test_mail_arrives_over_tls_from_the_start(changed_router: SshRouter, provider: Provider) -> None:
    changed_router.set_up(provider, tls="tls", port=str(changed_router.reach(provider.tls_port)))
    changed_router.send("Over 465")
    [mail] = arrived(provider)
    assert mail["Subject"] == "Over 465"
    assert "provider/tls" in provider.log


def test_a_wrong_password_keeps_the_mail_and_says_so(changed_router: SshRouter, provider: Provider) -> None:
    router = changed_router
    router.set_up(provider, password="wrong")
    router.send("Kept")
    failure = router.wait(lambda: router.status().get("last_failure"), "the refusal is told")
    assert "username and password" in str(failure)
    assert "login-refused" in router.log("smarthost-failed")
    assert len(router.queue()) == 1
    router.set_up(provider)
    router.ok("service mailrelay flush")
    kept, mended = sorted(mail["Subject"] for mail in arrived(provider, 2))
    assert kept == "Kept" and mended.startswith("Mended: "), "and the account's owner is told"


def test_what_waits_is_sent_at_once_when_the_way_out_comes_back(router: SshRouter, provider: Provider) -> None:
    provider.stop()
    for number in range(3):
        router.send(f"Alarm {number}")
    router.wait(lambda: router.status().get("last_failure"), "the first attempt has failed")
    assert len(router.queue()) == 3
    provider.start()
    wan = router.ok(". /lib/functions/network.sh; network_find_wan net; echo $net").strip()
    router.ok(f"ifup {wan}")
    assert {mail["Subject"] for mail in arrived(provider, 3)} == {"Alarm 0", "Alarm 1", "Alarm 2"}
