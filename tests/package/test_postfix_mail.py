"""The Postfix engine, run by busybox ash on Debian's real Postfix: from the networks in, and out to the provider."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
from pathlib import Path

import pytest

from forge.servers import postfix
from tests.package.postfix_router import STRANGER, PostfixRouter
from tests.package.postfix_sending import PASSWORD, at, main, section

pytest_plugins = ("tests.package.postfix_fixtures",)
pytestmark = pytest.mark.root


# ---- out to the provider -------------------------------------------------------------------------------------------


def test_a_path_of_strange_characters_is_taken_as_it_is(router: PostfixRouter, provider: postfix.Provider) -> None:
    name = "/etc/my ca's $myhostname ${x} {y} #1 \\.pem"
    router.put(name, provider.ca_file.read_text())
    router.start(main() + at(provider, ca_file=name))
    router.mail()
    provider.wait_for(1)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_reaches_the_provider_over_tls_with_the_login(
    tls: str, router: PostfixRouter, provider: postfix.Provider
) -> None:
    where = provider.starttls_port if tls == "starttls" else provider.tls_port
    router.write(main() + at(provider, tls=tls, port=where))
    assert router.check() == (0, ["/etc/config/mailrelay: providers are greeted as 'router.example.org'"])
    router.start()
    router.mail(b"Subject: pump\r\n\r\n..two dots\r\n.\xff\r\n")
    (mail,) = provider.wait_for(1)
    assert mail.recipients == ("owner@example.net",) and mail.envelope_from == "plc@cabinet"
    assert f"Authenticated sender: {provider.username}" in mail.received and "TLSv1" in mail.received
    assert "from router.example.org" in mail.received
    assert mail.body == b"..two dots\n.\xff\n"
    assert "Verified TLS connection" in router.log()


def test_the_password_is_only_in_the_map_that_root_alone_can_read(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.start(main() + at(provider))
    router.mail()
    provider.wait_for(1)
    folder = router.root / "var/run/mailrelay/postfix"
    holding = {path.name: path.stat() for path in folder.iterdir() if b'a"ss' in path.read_bytes()}
    assert list(holding) == ["passwords1"]
    assert (holding["passwords1"].st_mode & 0o777, holding["passwords1"].st_uid) == (0o600, 0)
    assert (
        f"[localhost]:{provider.starttls_port} {provider.username}:{PASSWORD}\n" in (folder / "passwords1").read_text()
    )
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end meanwhile
            assert b'a"ss' not in command.read_bytes()
    assert 'a"ss' not in router.log()


DEFERRED = {
    "a certificate that nothing vouches for": ({"ca_file": "/etc/other.pem"}, "not (trusted|verified)"),
    "a certificate for another name": ({"host": "other.example.org"}, "not verified"),
    "a name that cannot be found": ({"host": "nowhere.example.org"}, "unable to look up host"),
    "a refused login": ({"password": "wrong"}, "SASL authentication failed"),
}


@pytest.mark.parametrize("what", DEFERRED)
def test_what_may_be_mended_makes_mail_wait_and_never_fail(
    what: str, router: PostfixRouter, provider: postfix.Provider
) -> None:
    options, why = DEFERRED[what]
    before = len(provider.log)
    router.put("/etc/hosts", "127.0.0.1 localhost other.example.org\n")
    router.start(main() + at(provider, **options))
    router.mail()
    router.wait_for_log(f"status=deferred .*{why}")
    assert "status=bounced" not in router.log() and len(router.waiting()) == 1
    assert provider.messages() == []
    assert ("sasl_username" in provider.log[before:]) == (what == "a refused login"), "no other server hears the login"


def test_a_fingerprint_trusts_one_certificate_and_no_other(router: PostfixRouter, provider: postfix.Provider) -> None:
    import hashlib
    import ssl

    pem = provider.certificates.certificate.decode()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + 25])).hexdigest()
    for fingerprint, arrives in ((digest, True), (digest[::-1], False)):
        router.fresh()
        router.start(main() + at(provider, ca_file="/etc/none.pem", fingerprint=fingerprint))
        router.mail()
        router.wait_for_log("status=sent" if arrives else "status=deferred")
    assert len(provider.messages()) == 1


def test_verify_off_sends_encrypted_and_unverified(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main() + at(provider, ca_file="/etc/none.pem", verify="0"))
    router.mail()
    provider.wait_for(1)
    assert re.search("(Untrusted|Trusted) TLS connection", router.log())


def test_mail_waits_while_the_provider_is_away_and_flush_sends_it(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    provider.stop()
    router.start(main(retry_min="1h", retry_max="2h") + at(provider))
    router.mail()
    router.wait_for_log("status=deferred")
    provider.start()
    router.engine("engine_flush")
    provider.wait_for(1)
    router.wait(
        lambda: '"queue": 0, "deferred": 0' in router.read("/var/run/mailrelay/status.json"), "the queue is empty"
    )


def test_the_next_provider_takes_over_and_priority_decides(router: PostfixRouter, provider: postfix.Provider) -> None:
    closed = 9
    router.write(main() + at(provider, "spare", priority=20) + at(provider, "first", port=closed, priority=1))
    assert router.check() == (0, ["/etc/config/mailrelay: providers are greeted as 'router.example.org'"])
    router.start()
    assert router.postconf("default_transport") == [f"out1:[localhost]:{closed}"]
    router.mail()
    provider.wait_for(1)


def test_the_sender_decides_about_the_provider(router: PostfixRouter, provider: postfix.Provider) -> None:
    closed = 9
    router.start(
        main()
        + at(provider, "all", port=closed)
        + at(provider, "plant", sender=["@Plant.example"], tls="tls", port=provider.tls_port)
    )
    with router.client() as session:
        session.sendmail("pump@plant.example", ["a@example.net"], b"Subject: 1\r\n\r\n")
        session.sendmail("pump@plant.example.org", ["b@example.net"], b"Subject: 2\r\n\r\n")
    (mail,) = provider.wait_for(1)
    assert mail.envelope_from == "pump@plant.example"
    router.wait_for_log("status=deferred")
    assert len(provider.messages()) == 1


# ---- in from the networks ------------------------------------------------------------------------------------------


def test_outsiders_read_554(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main() + at(provider))
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        router.client(STRANGER, "192.168.1.1")
    assert refused.value.smtp_code == 554
    with router.connect(25, ip="192.168.1.1", source=STRANGER) as stranger:
        stranger.sendall(b"HELO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n")
        replies = stranger.makefile("rb")
        codes = [replies.readline()[:3] for _ in range(4)]
    assert codes[0] == b"554" and b"354" not in codes
    router.mail()
    provider.wait_for(1)


def test_allow_lets_further_networks_in(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main(allow=[STRANGER]) + at(provider))
    assert router.client(STRANGER, "192.168.1.1").ehlo()[0] == 250


def test_only_the_networks_addresses_are_listened_on(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main() + at(provider), listening="fd00:1:2::1")
    for address in ("127.0.0.1", "::1", "192.168.1.1"):
        assert router.listens(address)
    assert not router.listens("127.0.0.3") and not router.listens(STRANGER)
    assert router.client("::", "fd00:1:2::1").ehlo()[0] == 250


def test_an_address_that_cannot_be_bound_stops_no_other_and_is_listened_on_when_it_comes(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.ok("ip", "addr", "del", "192.168.1.1/24", "dev", "lo")
    try:
        router.start(main() + at(provider))
        router.mail()
        provider.wait_for(1)
        assert "proxy_interfaces = 127.0.0.1, [::1], [fd00:1:2::1]\n" in router.main_cf()
        assert "192.168.1.0/24" in router.main_cf()
    finally:
        router.ok("ip", "addr", "add", "192.168.1.1/24", "dev", "lo")
    router.wait(lambda: router.listens("192.168.1.1"), "it is listened on, too")


def test_naive_machines_are_understood(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main() + at(provider))
    with router.connect(25) as machine:
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
    version: str, end: bytes, router: PostfixRouter, provider: postfix.Provider
) -> None:
    if version == "openwrt":  # 3.8.2 does not know the parameter, and this one does nothing until it is set
        router.wrap_postconf("grep -v bare_newline_reject")
    router.start(main() + at(provider))
    assert ("smtpd_forbid_bare_newline = normalize" in router.main_cf()) == (version == "installed")
    assert ("smtpd_data_restrictions = reject_unauth_pipelining" in router.main_cf()) == (version == "openwrt")
    with router.connect(25) as machine:
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
    assert router.waiting() == []


def test_a_config_that_uci_cannot_read_is_told_with_its_line(router: PostfixRouter) -> None:
    router.write("config mailrelay 'main'\n\tbogus\n")
    status, lines = router.check()
    assert status == 1
    assert re.match(r"/etc/config/mailrelay:2: cannot be parsed \(.+\); write config TYPE", lines[0])


def test_a_provider_at_an_address_of_the_router_is_the_relay_itself(router: PostfixRouter) -> None:
    router.write(main() + section("smarthost", "p", host="192.168.1.1", tls="none"))
    status, lines = router.check()
    assert status == 1
    assert "'192.168.1.1' with port 25 is this relay itself" in lines[0]


def test_limits_are_the_configs(router: PostfixRouter, provider: postfix.Provider) -> None:
    router.start(main(max_message_size="20K", max_recipients="2", max_useless_commands="5") + at(provider))
    with router.client() as session:
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
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.start(main(max_queue_size="1M") + at(provider))
    assert router.postconf("message_size_limit") == ["1048576"]
    assert int(router.postconf("queue_minfree")[0]) == 2147483647


def test_without_a_provider_mail_is_put_off(router: PostfixRouter) -> None:
    router.start(main())
    with router.client() as session:
        session.ehlo()
        assert session.mail("plc@cabinet")[0] == 451


def test_mail_is_put_off_while_the_spools_storage_is_away_and_nothing_is_written_under_it(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.put("/etc/config/fstab", "config mount\n\toption target '/etc/mailrelay'\n\toption enabled '1'\n")
    router.write(main() + at(provider))
    (router.root / "etc/mailrelay").mkdir()
    router.start()
    with router.client() as session:
        session.ehlo()
        assert session.mail("plc@cabinet")[0] == 452
    assert not (router.root / "etc/mailrelay/spool").exists()
    before = router.instance()["pid"]
    router.ok("mount -t tmpfs none /etc/mailrelay")
    try:
        router.wait(lambda: router.instance().get("pid", before) != before, "procd has started it anew")
        router.wait(lambda: router.listens("127.0.0.1"), "it listens")
        router.mail()
        provider.wait_for(1)
    finally:
        router.stop()
        router.wait(lambda: router.run("umount /etc/mailrelay").status == 0, "nobody is left who uses it")


def test_a_machine_that_must_log_in_is_refused_and_no_login_is_offered(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    router.start(
        main()
        + at(provider)
        + section("client", "camera", address="127.0.0.40", accept_any_login="1")
        + section("client", "printer", address="127.0.0.41", username="printer", password="w")
    )
    with router.client("127.0.0.40") as camera:
        camera.ehlo()
        assert "auth" not in camera.esmtp_features
    with pytest.raises(smtplib.SMTPConnectError):
        router.client("127.0.0.41")
    router.mail()
    provider.wait_for(1)
