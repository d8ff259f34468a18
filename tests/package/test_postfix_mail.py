"""The Postfix engine, run by busybox ash on Debian's real Postfix: from the networks in, and out to the provider."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
from pathlib import Path

import pytest

from forge.core.ports import free_ports
from forge.servers import postfix
from tests.package.postfix_router import Router, listens
from tests.package.postfix_sending import PASSWORD, at, client, main, section, send, wait

pytest_plugins = ("tests.package.postfix_fixtures",)
pytestmark = pytest.mark.root


# ---- out to the provider -------------------------------------------------------------------------------------------


def test_a_path_of_strange_characters_is_taken_as_it_is(router: Router, provider: postfix.Provider, port: int) -> None:
    name = "/etc/my ca's $myhostname ${x} {y} #1 \\.pem"
    router._add(name.lstrip("/"), provider.ca_file.read_bytes())
    router.configure(main() + at(provider, ca_file=name))
    router.start(port)
    send(port)
    provider.wait_for(1)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_reaches_the_provider_over_tls_with_the_login(
    tls: str, router: Router, provider: postfix.Provider, port: int
) -> None:
    where = provider.starttls_port if tls == "starttls" else provider.tls_port
    router.configure(main() + at(provider, tls=tls, port=where))
    assert router.check() == (0, [])
    router.start(port)
    send(port, b"Subject: pump\r\n\r\n..two dots\r\n.\xff\r\n")
    (mail,) = provider.wait_for(1)
    assert mail.recipients == ("owner@example.net",) and mail.envelope_from == "plc@cabinet"
    assert f"Authenticated sender: {provider.username}" in mail.received and "TLSv1" in mail.received
    assert "from router.example.org" in mail.received
    assert mail.body == b"..two dots\n.\xff\n"
    assert "Verified TLS connection" in router.log


def test_the_password_is_only_in_the_map_that_root_alone_can_read(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main() + at(provider))
    router.start(port)
    send(port)
    provider.wait_for(1)
    folder = router.path("var/run/mailrelay/postfix")
    holding = {path.name: path.stat() for path in folder.iterdir() if b'a"ss' in path.read_bytes()}
    assert list(holding) == ["passwords1"]
    assert (holding["passwords1"].st_mode & 0o777, holding["passwords1"].st_uid) == (0o600, 0)
    assert (
        f"[localhost]:{provider.starttls_port} {provider.username}:{PASSWORD}\n" in (folder / "passwords1").read_text()
    )
    processes = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert b'a"ss' not in processes
    assert 'a"ss' not in router.log


def test_a_certificate_that_nothing_vouches_for_is_refused(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main() + at(provider, ca_file="/etc/other.pem"))
    before = len(provider.log)
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred .*not (trusted|verified)")
    assert provider.messages() == [] and "sasl_username" not in provider.log[before:]
    assert len(router.queue()) == 1


def test_a_certificate_for_another_name_is_refused(router: Router, provider: postfix.Provider, port: int) -> None:
    router._add("etc/hosts", "127.0.0.1 localhost other.example.org\n")
    router.configure(main() + at(provider, host="other.example.org"))
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred .*not verified")
    assert provider.messages() == []


def test_a_fingerprint_trusts_one_certificate_and_no_other(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    import hashlib
    import ssl

    pem = provider.certificates.certificate.decode()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + 25])).hexdigest()
    for fingerprint, arrives in ((digest, True), (digest[::-1], False)):
        router.fresh()
        router.configure(main() + at(provider, ca_file="/etc/none.pem", fingerprint=fingerprint))
        router.start(port)
        send(port)
        router.wait_for_log("status=sent" if arrives else "status=deferred")
    assert len(provider.messages()) == 1


def test_verify_off_sends_encrypted_and_unverified(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main() + at(provider, ca_file="/etc/none.pem", verify="0"))
    router.start(port)
    send(port)
    provider.wait_for(1)
    assert re.search("(Untrusted|Trusted) TLS connection", router.log)


def test_mail_waits_while_the_provider_is_away_and_flush_sends_it(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    provider.stop()
    router.configure(main(retry_min="1h", retry_max="2h") + at(provider))
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred")
    status = router.sh("engine_status").stdout
    assert '"running": true' in status and '"queue": 1' in status
    queue = router.sh("engine_queue_json 10").stdout
    assert '"total": 1}' in queue and re.search(r'"last_answer": "[^"]+', queue)
    provider.start()
    router.sh("engine_flush")
    provider.wait_for(1)
    wait(lambda: '"queue": 0' in router.sh("engine_status").stdout)


def test_a_name_that_cannot_be_found_defers_and_never_fails_mail(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main() + at(provider, host="nowhere.example.org"))
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred .*unable to look up host")
    assert "status=bounced" not in router.log and len(router.queue()) == 1


def test_a_refused_login_waits(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main() + at(provider, password="wrong"))
    router.start(port)
    send(port)
    router.wait_for_log("status=deferred .*SASL authentication failed")
    assert len(router.queue()) == 1


def test_the_next_provider_takes_over_and_priority_decides(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    (closed,) = free_ports(1)
    router.configure(main() + at(provider, "spare", priority=20) + at(provider, "first", port=closed, priority=1))
    assert router.check() == (0, [])
    router.start(port)
    assert router.postconf("default_transport") == [f"out1:[localhost]:{closed}"]
    send(port)
    provider.wait_for(1)


def test_the_sender_decides_about_the_provider(router: Router, provider: postfix.Provider, port: int) -> None:
    (closed,) = free_ports(1)
    router.configure(
        main()
        + at(provider, "all", port=closed)
        + at(provider, "plant", sender=["@Plant.example"], tls="tls", port=provider.tls_port)
    )
    router.start(port)
    with client(port) as session:
        session.sendmail("pump@plant.example", ["a@example.net"], b"Subject: 1\r\n\r\n")
        session.sendmail("pump@plant.example.org", ["b@example.net"], b"Subject: 2\r\n\r\n")
    (mail,) = provider.wait_for(1)
    assert mail.envelope_from == "pump@plant.example"
    router.wait_for_log("status=deferred")
    assert len(provider.messages()) == 1


# ---- in from the networks ------------------------------------------------------------------------------------------


def test_outsiders_read_554(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main() + at(provider))
    router.start(port, subnets="127.0.0.1/32")
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        client(port, "127.0.0.9")
    assert refused.value.smtp_code == 554
    with socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.9", 0)) as stranger:
        stranger.sendall(b"HELO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n")
        replies = stranger.makefile("rb")
        codes = [replies.readline()[:3] for _ in range(4)]
    assert codes[0] == b"554" and b"354" not in codes
    send(port)
    provider.wait_for(1)


def test_allow_lets_further_networks_in(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main(allow=["127.0.0.9"]) + at(provider))
    router.start(port, subnets="127.0.0.1/32")
    assert client(port, "127.0.0.9").ehlo()[0] == 250
    with pytest.raises(smtplib.SMTPConnectError):
        client(port, "127.0.0.10")


def test_only_the_given_addresses_are_listened_on(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main() + at(provider))
    router.start(port, addresses="127.0.0.1 ::1")
    wait(lambda: listens("::1", port))
    local = []
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        local += [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    assert sorted(local) == [f"{'0' * 24}01000000:{port:04X}", f"0100007F:{port:04X}"]
    assert not listens("127.0.0.3", port)
    with smtplib.SMTP("::1", port, timeout=10) as session:
        assert session.ehlo()[0] == 250


def test_an_address_that_cannot_be_bound_stops_no_other(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main() + at(provider))
    router.start(port, addresses="127.0.0.1 ::1 192.0.2.77 2001:db8::77", subnets="127.0.0.0/8 192.0.2.77/24")
    send(port)
    provider.wait_for(1)
    assert "192.0.2.77" not in router.main_cf()
    assert "192.0.2.0/24" in router.main_cf()


def test_naive_machines_are_understood(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main() + at(provider))
    router.start(port)
    with socket.create_connection(("127.0.0.1", port), 10) as machine:
        replies = machine.makefile("rb")
        for line, code in (
            (b"", b"220"),
            (b"HELO\r\n", b"250"),
            (b"mail from: plc@cabinet\r\n", b"250"),
            (b"RCPT TO: <owner@example.net>\r\n", b"250"),
            (b"VRFY root\r\n", b"502"),
            (b"DATA\n", b"354"),
            (b"Subject: bare\n\none\ntwo\r\n.\r\n", b"250"),
        ):
            machine.sendall(line)
            assert replies.readline()[:3] == code, line
    (mail,) = provider.wait_for(1)
    assert mail.body == b"one\ntwo\n"
    for field in (b"From: ", b"To: ", b"Date: ", b"Message-Id: ", b"Subject: bare"):
        assert re.search(b"^" + field, mail.header, re.M | re.I), field


SMUGGLED = (
    b"Subject: outer\r\n\r\nouter\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\n"
    b"DATA\r\nSubject: smuggled\r\n\r\ninner\r\n.\r\n"
)


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\n.\n", b"\r\n.\n", b"\r.\r\n"])
@pytest.mark.parametrize("version", ["installed", "openwrt"])
def test_a_mail_cannot_hide_a_second_one(
    version: str, end: bytes, router: Router, provider: postfix.Provider, port: int
) -> None:
    if version == "openwrt":  # 3.8.2 does not know the parameter, and this one does nothing until it is set
        router._add("usr/bin/postconf", '#!/bin/sh\n/usr/sbin/postconf "$@" | grep -v bare_newline_reject\n', 0o755)
        path = "PATH=/usr/bin:/usr/sbin:/bin:/sbin"
    else:
        path = "PATH=/usr/sbin:/usr/bin:/bin:/sbin"
    router.configure(main() + at(provider))
    router.start(port, path=path)
    assert ("smtpd_forbid_bare_newline = normalize" in router.main_cf()) == (version == "installed")
    with socket.create_connection(("127.0.0.1", port), 10) as machine:
        replies = machine.makefile("rb")
        for line in (
            b"",
            b"HELO x\r\n",
            b"MAIL FROM:<plc@cabinet>\r\n",
            b"RCPT TO:<owner@example.net>\r\n",
            b"DATA\r\n",
        ):
            machine.sendall(line)
            replies.readline()
        machine.sendall(SMUGGLED.replace(b"\n.\r\nMAIL", end + b"MAIL"))
        machine.sendall(b"QUIT\r\n")
        machine.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while replies.readline():
                pass
    mails = provider.wait_for(1)
    router.wait_for_log("qmgr.*removed")
    assert [mail.recipients for mail in mails] == [("owner@example.net",)]
    assert "evil@example.org" not in {mail.envelope_from for mail in provider.messages()}
    assert router.queue() == []


def test_a_config_that_uci_cannot_read_is_told_with_its_line(router: Router) -> None:
    error = "uci: Parse error (invalid command) at line 7, byte 1\n"
    router.configure("config mailrelay 'main'\n\tbogus\n", error)
    status, lines = router.check()
    assert status == 1
    assert lines[0].startswith("/etc/config/mailrelay:7: cannot be parsed (invalid command); ")


def test_limits_are_the_configs(router: Router, provider: postfix.Provider, port: int) -> None:
    router.configure(main(max_message_size="20K", max_recipients="2", max_useless_commands="5") + at(provider))
    router.start(port)
    with client(port) as session:
        session.ehlo()
        assert session.esmtp_features["size"] == "20480" and "chunking" not in session.esmtp_features
        session.mail("plc@cabinet")
        codes = [session.rcpt(f"a{number}@example.net")[0] for number in range(3)]
        assert codes == [250, 250, 452]
        session.rset()
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            session.sendmail("plc@cabinet", ["a@example.net"], b"x" * 70 + b"\r\n" + b"y\r\n" * 9000)
        assert refused.value.smtp_code == 552


def test_room_is_kept_free_and_the_largest_mail_fits_the_queue(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main(max_queue_size="1M") + at(provider))
    router.start(port)
    assert router.postconf("message_size_limit") == ["1048576"]
    assert int(router.postconf("queue_minfree")[0]) == 2147483647


def test_without_a_provider_mail_is_put_off(router: Router, port: int) -> None:
    router.configure(main())
    router.start(port)
    with client(port) as session:
        session.ehlo()
        assert session.mail("plc@cabinet")[0] == 451


def test_mail_is_put_off_while_the_spools_storage_is_away_and_nothing_is_written_under_it(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(main() + at(provider))
    router.start(port, mount="/etc/mailrelay")
    with client(port) as session:
        session.ehlo()
        assert session.mail("plc@cabinet")[0] == 452
    assert list(router.path("etc/mailrelay").iterdir()) == []
    router.sh("mount -t tmpfs none /etc/mailrelay")
    try:
        assert router.master
        router.master.wait(20)  # procd starts it anew
    finally:
        router.sh("umount /etc/mailrelay")


def test_a_machine_that_must_log_in_is_refused_and_no_login_is_offered(
    router: Router, provider: postfix.Provider, port: int
) -> None:
    router.configure(
        main()
        + at(provider)
        + section("client", "camera", address="127.0.0.40", accept_any_login="1")
        + section("client", "printer", address="127.0.0.41", username="printer", password="w")
    )
    router.start(port)
    with client(port, "127.0.0.40") as camera:
        camera.ehlo()
        assert "auth" not in camera.esmtp_features
    with pytest.raises(smtplib.SMTPConnectError):
        client(port, "127.0.0.41")
    send(port)
    provider.wait_for(1)
