"""What a role imports, it imports before it gives up its rights: Python's library may be readable to root only.

The roles run as usual, and every import after that moment is noted; what they are made to do takes each part of them.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.support.certificates import Certificates
from tests.support.relay import SOURCE, Relay, relay_python, smarthost
from tests.support.scripted_provider import Hang, ScriptedProvider
from tests.support.waiting import wait

# Runs the relay as `python3 -I -S` would, and writes down what is imported after rights are given up.
LAUNCHER = """
import os, runpy, sys

source = sys.argv.pop(1)
sys.argv[0] = source
sys.path.insert(0, source)
from mailrelay.daemon import processes

note = os.open({note!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
real = processes.drop_rights

def audit(event, arguments):
    if event == "import":
        os.write(note, f"{{arguments[0]}}\\n".encode())

def drop_rights(owner):
    real(owner)
    sys.addaudithook(audit)
    {late}

processes.drop_rights = drop_rights
del sys.path[0]
runpy.run_path(source, run_name="__main__")
"""


class Audited(Relay):
    """late: what each role does when it has given up its rights."""

    def __init__(self, *arguments: str, late: str = "", **more: Any) -> None:
        self.late = late
        super().__init__(*arguments, **more)

    def command(self, *arguments: str) -> list[str]:
        launcher = self.folder / "launcher.py"
        launcher.write_text(LAUNCHER.format(note=str(self.folder / "imported"), late=self.late))
        return [relay_python(), "-I", "-S", str(launcher), str(SOURCE), *arguments]

    def imported(self) -> list[str]:
        """Modules that a role has loaded too late."""
        return (self.folder / "imported").read_text().split()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    return Certificates(folder)


MAIN = "option notify '/bin/true'\noption postmaster 'boss@example.org'\noption retry_min '1'\noption retry_max '1'"
LETTER = (
    "Subject: Grüße\r\nFrom: Müller <plc@example.net>\r\nTo: root\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n"
    "Grüße \u20ac\r\n"
)


def section(port: int, *options: str) -> str:
    """A smarthost by its name, which has to be looked up."""
    head = f"config smarthost 'provider'\n\toption host 'localhost'\n\toption port '{port}'\n\toption family 'ipv4'\n"
    return head + "".join(f"\toption {option}\n" for option in options)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_a_courier_that_logs_in_and_tells_of_it(certificates: Certificates, mechanism: str, tls: str) -> None:
    certificate = None if tls == "none" else certificates.good
    users = {"shop": "right"}
    with ScriptedProvider(tls=tls, certificate=certificate, users=users, mechanisms=(mechanism,)) as provider:
        options = [f"tls '{tls}'", "username 'shop'"]
        options.append(f"ca_file '{certificates.ca_file}'" if certificate else "allow_cleartext '1'")
        with Audited(MAIN, section(provider.port, *options, "password 'wrong'")) as relay:
            relay.send(LETTER.encode())
            relay.wait_log("notified event=login-refused")
            relay.configure(MAIN, section(provider.port, *options, "password 'right'"))
            os.kill(relay.pid, signal.SIGHUP)
            provider.wait_for(1)
            provider.script = {"rcpt": ["550 5.1.1 no such user"]}
            relay.send(LETTER.encode())
            provider.wait_for(2)
            assert relay.imported() == []


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"tls": "tls"}, "cert-untrusted"),
        ({"tls": "starttls"}, "cert-untrusted"),
        ({"tls": "none"}, "no-common-auth"),
        ({"tls": "tls", "host": "no-such-name.invalid"}, "name"),
    ],
)
def test_a_courier_that_explains_what_fails(certificates: Certificates, options: dict[str, str], cause: str) -> None:
    tls = options["tls"]
    certificate = None if tls == "none" else certificates.good
    with ScriptedProvider(tls=tls, certificate=certificate) as provider:
        words = [f"{name} '{value}'" for name, value in options.items()]
        login = ["username 'shop'", "password 'secret'", "allow_cleartext '1'"]
        text = section(provider.port, *words, *login)
        if "host" in options:
            text = text.replace("\toption host 'localhost'\n", "", 1)
        with Audited(MAIN + "\noption notify_after '1s'", text) as relay:
            relay.send(LETTER.encode())
            assert cause in relay.wait_log("smarthost-failed")
            relay.wait_log("notified event=stuck")
            assert relay.imported() == []


@pytest.mark.parametrize("extensions", [(), ("8BITMIME",), ("8BITMIME", "SMTPUTF8", "PIPELINING", "SIZE 100000")])
def test_a_courier_that_mends_what_it_sends(extensions: tuple[str, ...]) -> None:
    with ScriptedProvider(extensions=extensions) as provider, Audited(MAIN, smarthost(provider)) as relay:
        for charset in ("utf-8", "cp1252"):
            relay.send(LETTER.encode(charset))
        with relay.connect() as client:
            client.mail(LETTER.encode().replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"))
        provider.wait_for(3)
        (relay.spool / "queue" / "0000000000000000").write_bytes(b"mailrelay 1\nrubbish")
        relay.flush()
        relay.wait_log("notified event=damaged")
        assert relay.imported() == []


def test_a_second_courier() -> None:
    with ScriptedProvider({"dot#1": Hang()}) as provider, Audited(MAIN, smarthost(provider)) as relay:
        relay.send()
        wait(lambda: provider.count("dot") == 1, "it hangs")
        relay.send()
        provider.wait_for(1)
        assert relay.imported() == []


def test_a_listener_whatever_it_is_asked(provider: ScriptedProvider) -> None:
    client = "config client\n\toption address '127.0.0.3'\n\toption username 'cam'\n\toption password 'secret'\n"
    with Audited(MAIN, smarthost(provider) + client, allow=("127.0.0.0/29",)) as relay:
        for source in ("127.0.0.1", "127.0.0.3"):
            for words in (["AUTH PLAIN AGNhbQBzZWNyZXQ="], ["AUTH LOGIN", "Y2Ft", "c2VjcmV0"], ["AUTH CRAM-MD5"]):
                with relay.connect(source) as one:
                    one.say("EHLO x")
                    for word in words:
                        one.say(word)
        with relay.connect() as one:
            for word in (
                "NONSENSE",
                "HELP",
                "VRFY x",
                "STARTTLS",
                "EHLO Grüße",
                "MAIL FROM:<ä@x.org> SMTPUTF8",
                "RSET",
            ):
                one.say(word)
            one.mail(LETTER.encode())
        with relay.connect("127.0.0.9") as stranger:
            assert stranger.banner.startswith("554")
        provider.wait_for(1)
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log("reloaded")
        relay.send()
        provider.wait_for(2)
        assert relay.imported() == []


def test_the_test_itself_notices_an_import(provider: ScriptedProvider) -> None:
    with Audited(MAIN, smarthost(provider), late="import colorsys") as relay:
        wait(lambda: "colorsys" in relay.imported(), "it is noticed")
