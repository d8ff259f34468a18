"""Debian's Postfix, unpacked into a folder of its own, as the relay's counterpart in the demo, the tests and the bench.

`Provider` is what a mail provider offers (STARTTLS and TLS ports, a login, nothing without it) with one maildir for all
that arrives; `Baseline` is a plain relay to compare ours with. Neither installs, stops or configures anything of the
machine's own: postfix_holder.py holds the instance, on loopback and unprivileged ports, and removes it afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import selectors
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.core import timeouts
from forge.core.errors import ForgeError, MissingError
from forge.core.ports import free_ports, greeting
from forge.host import host
from forge.servers.certificates import make_certificates

if TYPE_CHECKING:
    from typing import Self

HOLDER = Path(__file__).with_name("postfix_holder.py")

# On a disk even where /tmp is memory: the bench compares what survives a power cut.
PARENT = "/var/tmp"
ANSWER_SECONDS = 60.0

COMMON_CONFIG = """\
compatibility_level = 3.6
queue_directory = @DIR@/queue
data_directory = @DIR@/data
command_directory = @DIR@/tree/usr/sbin
daemon_directory = @DIR@/tree/usr/lib/postfix/sbin
shlib_directory = @DIR@/tree/usr/lib/postfix
meta_directory = @DIR@/etc
mail_owner = @MAIL_OWNER@
setgid_group = @SETGID_GROUP@
import_environment = MAIL_CONFIG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME
    LD_LIBRARY_PATH=@LD_LIBRARY_PATH@ SASL_PATH=@SASL_PATH@
maillog_file = @DIR@/log/mail.log
maillog_file_prefixes = @DIR@/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
alias_maps =
alias_database =
mydestination =
local_recipient_maps =
biff = no
append_dot_mydomain = no
message_size_limit = 104857600
mailbox_size_limit = 0
"""

COMMON_SERVICES = """\
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
tlsmgr    unix  -  -  n  1000? 1  tlsmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
verify    unix  -  -  n  -     1  verify
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
proxywrite unix -  -  n  -     1  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
showq     unix  n  -  n  -     -  showq
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
virtual   unix  -  n  n  -     -  virtual
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
postlog   unix-dgram n - n -   1  postlogd
"""

# As strict as the providers people use: no login before TLS, no mail without a login, no bare LF, no EHLO localhost or
# without a dot, nobody else's address; and it adds nothing to a message but its own Received, so that what arrives is
# what was sent.
PROVIDER_CONFIG = """\
myhostname = mail.provider.example
mynetworks =
smtpd_banner = $myhostname ESMTP provider
smtpd_tls_cert_file = @DIR@/etc/cert.pem
smtpd_tls_key_file = @DIR@/etc/key.pem
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_authenticated_header = yes
smtpd_sasl_security_options = noanonymous
cyrus_sasl_config_path = @DIR@/etc/sasl
smtpd_helo_required = yes
smtpd_helo_restrictions = check_helo_access inline:{ { localhost = REJECT 5.7.0 EHLO localhost is refused here } },
    reject_non_fqdn_helo_hostname
smtpd_sender_login_maps = inline:{ { boss@provider.example = boss@provider.example } }
smtpd_sender_restrictions = reject_known_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_forbid_bare_newline = reject
smtpd_forbid_unauth_pipelining = yes
strict_rfc821_envelopes = yes
smtpd_client_connection_count_limit = 0
local_header_rewrite_clients =
in_flow_delay = 0
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:box/
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_transport = virtual
transport_maps =
"""

SASL_CONFIG = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: @DIR@/sasl/sasldb2
mech_list: PLAIN LOGIN CRAM-MD5
log_level: 3
"""

# Debian's main.cf as installed for an internet site with a smarthost, less TLS towards the client, which ours does not
# speak either, and with the limit of 50 connections from one address lifted.
BASELINE_CONFIG = """\
myhostname = baseline.example
mynetworks = 127.0.0.0/8
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
relayhost = [127.0.0.1]:{sink}
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
smtpd_client_connection_count_limit = 0
smtp_tls_security_level = none
"""


def obstacle() -> str:
    """Why no instance can be started here without asking anybody, or nothing."""
    if not os.getuid():
        return ""
    with contextlib.suppress(FileNotFoundError):
        if not subprocess.run(["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode:
            return ""
    return "Postfix starts as root only, and there is no sudo without a password here"


class Instance:
    """A private Postfix, from `with` to the end of it; can be stopped and started again in between."""

    def __init__(self, files: dict[str, str], ports: list[int], logins: Sequence[tuple[str, str, str]] = ()) -> None:
        """`files` by their path below the instance's folder, the ports to wait for; a login's name, realm, password."""
        # Postfix delivers as nobody it trusts little: never as root.
        uid, gid = (os.getuid(), os.getgid()) if os.getuid() else (8, 8)
        owner = f"virtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:{gid}\n"
        self._spec = {
            "parent": PARENT,
            "files": {**files, "etc/main.cf": files["etc/main.cf"] + owner},
            "ports": ports,
            "logins": logins,
            "mail_uid": uid,
            "mail_gid": gid,
        }
        self._holder: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self.pid = 0

    def __enter__(self) -> Self:
        argv = [sys.executable, "-I", str(HOLDER)]
        if os.getuid():
            if not host.command("sudo"):
                raise MissingError("Postfix needs root, and there is no sudo", hint="run this as root, or install sudo")
            argv = ["sudo", *([] if sys.stdin.isatty() else ["-n"]), "--", *argv]
        spec = {**self._spec, "debs": list(map(str, host.postfix_debs())), "patience": timeouts.factor()}
        self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.folder = Path(self._ask(json.dumps(spec))["folder"])
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Postfix and remove its folder. The holder does both when its input ends."""
        if self._holder is None:
            return
        holder, self._holder = self._holder, None
        assert holder.stdin and holder.stdout
        with contextlib.suppress(OSError):
            holder.stdin.close()
        holder.wait()
        holder.stdout.close()

    def start(self) -> None:
        self.pid = int(self._ask("start")["pid"])

    def stop(self) -> None:
        """Connections to its ports are refused from here on; what it has accepted stays in its queue."""
        self._ask("stop")
        self.pid = 0

    def flush(self) -> None:
        """Try everything in the queue now, however often it has failed."""
        self._ask("flush")

    def memory(self) -> dict[str, int]:
        """See postfix_holder.memory: all processes of this instance."""
        return {name: int(value) for name, value in self._ask("memory").items()}

    def tool(self, name: str) -> list[str]:
        """The start of a command line for one of Postfix's own programs, such as smtp-source."""
        tree = self.folder / "tree"
        folders = [tree / "usr/lib/postfix", *tree.glob("usr/lib/*-linux-*"), *tree.glob("lib/*-linux-*")]
        path = ":".join(map(str, folders))
        return ["env", f"LD_LIBRARY_PATH={path}", f"MAIL_CONFIG={self.folder}/etc", str(tree / "usr/sbin" / name)]

    @property
    def version(self) -> str:
        argv = [*self.tool("postconf"), "-h", "mail_version"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def log(self) -> str:
        return (self.folder / "log/mail.log").read_text(errors="replace")

    def _ask(self, line: str) -> dict[str, Any]:
        holder = self._holder
        if holder is None:
            raise ForgeError("this Postfix instance is closed")
        assert holder.stdin and holder.stdout
        answer = b""
        with contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
            holder.stdin.write(line.encode() + b"\n")
            holder.stdin.flush()
            selector.register(holder.stdout, selectors.EVENT_READ)
            patience = ANSWER_SECONDS * timeouts.factor()
            if not selector.select(patience):
                raise ForgeError(f"Postfix did not answer within {patience:.0f} seconds")
            answer = holder.stdout.readline()
        if not answer:
            raise ForgeError(
                "the private Postfix could not be started as root", hint="run this as root, or as a user with sudo"
            )
        facts: dict[str, Any] = json.loads(answer)
        if "trouble" in facts:
            raise ForgeError(f"Postfix: {facts['trouble']}")
        return facts


@dataclass(frozen=True)
class Mail:
    """One transaction as the provider took it, with all the recipients it delivered to.

    `raw` is the content as the client sent it, in the maildir's LF line ends; `received` is the field that the provider
    put on top, which names the TLS version and the login.
    """

    queue_id: str
    envelope_from: str
    recipients: tuple[str, ...]
    received: str
    raw: bytes

    @property
    def header(self) -> bytes:
        return self.raw.partition(b"\n\n")[0] + b"\n"

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\n\n")[2]


_DELIVERED = re.compile(
    rb"Return-Path: <(?P<sender>.*)>\nX-Original-To: (?P<recipient>.*)\nDelivered-To: .*\n"
    rb"(?P<received>Received: (?:.*\n[ \t])*?.*\bid (?P<id>[0-9A-Za-z]+)\b.*\n(?:[ \t].*\n)*)"
)


class Provider(Instance):
    """A mail provider on loopback: the names and ports a client needs, and what it has received."""

    host = "127.0.0.1"  # a bare machine has no /etc/hosts

    def __init__(self, password: str = "", *, ports: tuple[int, int] | None = None) -> None:
        self.username = "controllino@provider.example"
        self.password = password or secrets.token_urlsafe(15)
        self.starttls_port, self.tls_port = ports or free_ports(2)
        self.certificates = make_certificates("localhost", "mail.provider.example", "127.0.0.1")
        services = COMMON_SERVICES + (
            f"127.0.0.1:{self.starttls_port} inet n - n - - smtpd -o syslog_name=provider/starttls\n"
            f"127.0.0.1:{self.tls_port} inet n - n - - smtpd -o syslog_name=provider/tls -o smtpd_tls_wrappermode=yes\n"
        )
        name, _, realm = self.username.partition("@")
        super().__init__(
            {
                "etc/main.cf": COMMON_CONFIG + PROVIDER_CONFIG,
                "etc/master.cf": services,
                "etc/cert.pem": self.certificates.certificate.decode(),
                "etc/key.pem": self.certificates.key.decode(),
                "etc/ca.pem": self.certificates.authority.decode(),
                "etc/sasl/smtpd.conf": SASL_CONFIG,
            },
            [self.starttls_port, self.tls_port],
            [(name, realm, self.password)],
        )
        self._files: dict[str, re.Match[bytes]] = {}

    @property
    def ca_file(self) -> Path:
        return self.folder / "etc/ca.pem"

    def forget(self) -> None:
        """Drop what has arrived so far."""
        for name in self._names():
            (self._box / name).unlink()
        self._files.clear()

    def messages(self) -> list[Mail]:
        """What has arrived, in that order. A mail to several people counts once all their copies are there."""
        for name in self._names():
            if name not in self._files:
                match = _DELIVERED.match((self._box / name).read_bytes())
                if match is None:
                    raise ForgeError(f"the provider stored a message without its own header: {self._box / name}")
                self._files[name] = match
        copies: dict[str, list[re.Match[bytes]]] = {}
        for match in self._files.values():
            copies.setdefault(match["id"].decode(), []).append(match)
        wanted = dict(re.findall(r" ([0-9A-Za-z]+): from=<.*>, size=\d+, nrcpt=(\d+) ", self.log))
        return [
            Mail(
                queue_id,
                group[0]["sender"].decode(errors="surrogateescape"),
                tuple(sorted(match["recipient"].decode(errors="surrogateescape") for match in group)),
                group[0]["received"].decode(errors="surrogateescape"),
                group[0].string[group[0].end() :],
            )
            for queue_id, group in copies.items()
            if len(group) >= int(wanted.get(queue_id, 1))
        ]

    def wait_for(self, count: int, timeout: float = 60.0) -> list[Mail]:
        """The messages, as soon as there are `count`; fails naming how many came and the last lines of the log.

        `timeout` is in seconds on a machine like ours (timeouts.py).
        """

        def arrived() -> list[Mail] | None:
            mails = self.messages() if len(self._names()) >= count else []
            return mails if len(mails) >= count else None

        def lacking() -> ForgeError:
            last = "\n  ".join(self.log.splitlines()[-8:])
            arrived = f"{len(self.messages())} of {count} mails arrived within {timeout:g} s"
            return ForgeError(f"{arrived}; the provider's log ends:\n  {last}")

        return timeouts.wait(arrived, timeouts.deadline(timeout), lacking)

    @property
    def _box(self) -> Path:
        return self.folder / "mail/box/new"

    def _names(self) -> list[str]:
        """In order of arrival: a maildir name starts with the second, then the microsecond."""
        try:
            names = [path.name for path in self._box.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(names, key=lambda name: [int(number) for number in re.findall(r"^\d+|(?<=M)\d+", name)][:2])


class Baseline(Instance):
    """Postfix as a plain relay from loopback to a sink, to measure ours against."""

    def __init__(self, sink_port: int) -> None:
        (self.port,) = free_ports(1)
        config = COMMON_CONFIG + BASELINE_CONFIG.format(sink=sink_port)
        services = COMMON_SERVICES + f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        super().__init__({"etc/main.cf": config, "etc/master.cf": services}, [self.port])

    def start(self) -> None:
        """Return once it greets."""
        super().start()
        if not greeting(("127.0.0.1", self.port)):
            raise ForgeError(f"the server on port {self.port} does not greet")
