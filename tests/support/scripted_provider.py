"""A provider for tests that does what its script says: refuse, hang, drop, talk nonsense, at any step of the dialogue.

    with ScriptedProvider({"rcpt:2": "550 5.1.1 no such user", "dot": [DropAfter(), None]}) as provider:
        ...                                     # send to 127.0.0.1, provider.port
        provider.wait_for(1)                    # until that many messages have come
        provider.messages[0].recipients         # exactly what came
        assert provider.violations == []        # nothing the client did was against the rules

A script maps steps to actions, and may be changed while the provider runs. Steps: connect tls banner ehlo helo starttls
auth mail rcpt data content dot rset noop quit. "rcpt:2" is the second RCPT of a transaction, "mail#3" the third MAIL in
all; the most special entry counts. Or the script is a callable that gets a Step and returns an action.

An action is None (do as you always do), a reply as text ("550 no"; several lines are joined by a newline; 4xx and 5xx
stand in place of the command, 421 also closes), raw bytes to say instead, one of the classes below, or a list of all
these: one for each occurrence, then as always.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn

from forge.core import timeouts
from tests.support.certificates import Certificate
from tests.support.script import (
    Action,
    Delay,
    Drip,
    Drop,
    DropAfter,
    Hang,
    Inject,
    Received,
    Say,
    Script,
    Step,
    Throttle,
)

EXTENSIONS = ("PIPELINING", "SIZE 10485760", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8")


@dataclass
class _Envelope:
    sender: bytes
    parameters: list[bytes]
    recipients: list[bytes] = field(default_factory=list)
    asked: int = 0


class ScriptedProvider:
    """Listens on a free loopback port. tls: 'none', 'starttls' or 'tls', with `certificate`.

    users: names and passwords; if any, nobody sends without a login. `mechanisms` are those offered.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        tls: str = "none",
        certificate: Certificate | None = None,
        users: dict[str, str] | None = None,
        mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN", "CRAM-MD5"),
        extensions: tuple[str, ...] = EXTENSIONS,
        advertise_starttls: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.script: Script = {} if script is None else script
        self.tls = tls
        self.users = users or {}
        self.mechanisms = mechanisms
        self.extensions = extensions
        self.advertise_starttls = advertise_starttls
        self.messages: list[Received] = []
        self.dialogue: list[tuple[int, str, bytes]] = []  # connection, "C" or "S", bytes as they went (inside TLS)
        self.violations: list[str] = []
        self.connections = 0
        self.context = certificate.server_context() if certificate else None
        self.changed = threading.Condition()
        self._counts: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._open: set[_Connection] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self.host = host
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> ScriptedProvider:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close everything; what was received stays."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self.changed:
            for connection in self._open:
                connection.abort()
        for thread in self._threads:
            thread.join(10)

    def wait_for(self, count: int | Callable[[ScriptedProvider], bool], timeout: float = 10.0) -> None:
        """Return once `count` messages have come, or the callable is true; AssertionError after `timeout` seconds, or
        as much longer as this machine is slower than ours (timeouts.py)."""
        with self.changed:
            reached = self.changed.wait_for(
                lambda: len(self.messages) >= count if isinstance(count, int) else count(self),
                timeout * timeouts.factor(),
            )
        assert reached, f"{len(self.messages)} messages after {timeout} s; dialogue: {self.dialogue[-20:]}"

    def said(self, connection: int | None = None) -> bytes:
        """All that clients said, or that one connection (from 1) did."""
        return b"".join(data for n, who, data in self.dialogue if who == "C" and connection in (None, n))

    def commands(self, connection: int | None = None) -> list[bytes]:
        """The same as lines, content included."""
        return self.said(connection).splitlines()

    # What the connections use

    def action(self, name: str, nth: int, argument: bytes, connection: int) -> Action:
        with self.changed:
            count = self._counts[name] = self._counts.get(name, 0) + 1
            self.changed.notify_all()
            if callable(self.script):
                return self.script(Step(name, nth, count, argument, connection))
            for key in (f"{name}#{count}", f"{name}:{nth}", name):
                if key in self.script:
                    action = self.script[key]
                    if not isinstance(action, list):
                        return action
                    used = self._used[key] = self._used.get(key, 0) + 1
                    return action[used - 1] if used <= len(action) else None
            return None

    def count(self, name: str) -> int:
        """How often a step has been reached."""
        return self._counts.get(name, 0)

    def note(self, connection: int, who: str, data: bytes) -> None:
        with self.changed:
            self.dialogue.append((connection, who, data))

    def deliver(self, message: Received) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                connection = _Connection(self, sock, self.connections)
                self._open.add(connection)
                self.changed.notify_all()
            self._start(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.serve()
        except (_Over, OSError):
            pass
        finally:
            connection.close()
            with self.changed:
                self._open.discard(connection)
                self.changed.notify_all()


class _Over(Exception):
    """The connection is done with."""


class _Connection:
    def __init__(self, provider: ScriptedProvider, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.provider = provider
        self.sock = sock
        self.raw_sock = sock
        self.number = number
        self.buffer = b""
        self.helo = b""
        self.username: str | None = None
        self.tls: str | None = None
        self.envelope: _Envelope | None = None
        self.pause = 0.0  # between the bytes of the next reply
        self.rate = 0  # bytes read a second; 0: as they come

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self.raw_sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.sock.close()

    # Bytes

    def send(self, data: bytes) -> None:
        self.provider.note(self.number, "S", data)
        if self.pause:
            for i in range(len(data)):
                self.sock.sendall(data[i : i + 1])
                time.sleep(self.pause)
            self.pause = 0.0
        else:
            self.sock.sendall(data)

    def reply(self, text: str) -> None:
        self.send(text.replace("\n", "\r\n").encode() + b"\r\n")

    def fill(self) -> None:
        data = self.sock.recv(4096 if self.rate else 65536)
        if not data:
            raise _Over
        if self.rate:
            self.provider._stopped.wait(len(data) / self.rate)
        self.provider.note(self.number, "C", data)
        self.buffer += data

    def drain(self) -> NoReturn:
        """Listen to no purpose until the client goes."""
        while True:
            self.buffer = b""
            self.fill()

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            self.violation(f"a command with odd line ends: {line!r}")
        return line.rstrip(b"\r")

    def violation(self, text: str) -> None:
        self.provider.violations.append(f"connection {self.number}: {text}")

    # Script

    def step(self, name: str, nth: int = 1, argument: bytes = b"") -> tuple[str | None, bool]:
        """What the script wants: a reply to give instead, if any; whether to close instead of answering."""
        action = self.provider.action(name, nth, argument, self.number)
        if isinstance(action, Hang):
            self.drain()
        if isinstance(action, Drop):
            raise _Over
        if isinstance(action, Delay):
            self.provider._stopped.wait(action.seconds)
        if isinstance(action, Throttle):
            self.rate = action.rate
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        if isinstance(action, Drip):
            self.pause = action.seconds
        if isinstance(action, Say):
            self.reply(action.reply)
            self.sock.shutdown(socket.SHUT_WR)
            self.drain()  # a close with unread data would reset the connection and eat the reply
        if isinstance(action, bytes):
            self.send(action)
            return "", False
        if isinstance(action, Inject):
            return action.data.decode("latin-1"), False
        return action if isinstance(action, str) else None, isinstance(action, DropAfter)

    def act(self, name: str, normal: str, nth: int = 1, argument: bytes = b"") -> bool:
        """Answer as the script says or with `normal`; True if the command is to be done."""
        reply, drop = self.step(name, nth, argument)
        if drop:
            raise _Over
        if reply == "":
            return False
        text = normal if reply is None else reply
        self.reply(text)
        if text.startswith("421"):
            raise _Over
        return text[:1] in "23"

    # SMTP

    def serve(self) -> None:
        self.step("connect")
        if self.provider.tls == "tls":
            self.secure()
        if not self.act("banner", "220 provider.test ESMTP"):
            self.drain()
        while True:
            line = self.line()
            if self.buffer and "PIPELINING" not in self.provider.extensions:
                self.violation(f"pipelined although it was not offered: {line!r} {self.buffer[:80]!r}")
            verb, _, argument = line.partition(b" ")
            handler = getattr(self, "do_" + verb.decode("latin-1").lower(), None)
            if handler is None:
                self.violation(f"not a command: {line!r}")
                self.reply("500 5.5.2 unknown command")
            else:
                handler(argument)

    def secure(self) -> None:
        assert self.provider.context
        self.step("tls")
        self.sock = self.provider.context.wrap_socket(self.sock, server_side=True)
        self.tls = self.sock.version()

    def do_ehlo(self, argument: bytes) -> None:
        offers = ["provider.test greets you", *self.provider.extensions]
        if self.provider.tls == "starttls" and not self.tls and self.provider.advertise_starttls:
            offers.append("STARTTLS")
        if self.provider.users:
            offers.append("AUTH " + " ".join(self.provider.mechanisms))
        lines = [f"250{'-' if i < len(offers) - 1 else ' '}{offer}" for i, offer in enumerate(offers)]
        if self.act("ehlo", "\n".join(lines), argument=argument):
            self.helo, self.envelope = argument, None

    def do_helo(self, argument: bytes) -> None:
        if self.act("helo", "250 provider.test", argument=argument):
            self.helo, self.envelope = argument, None

    def do_starttls(self, _: bytes) -> None:
        reply, drop = self.step("starttls")
        if drop:
            raise _Over
        if reply is not None and reply[:3].isdigit() and reply[:1] in "45":
            self.reply(reply)
            return
        if self.buffer:
            self.violation("something was said behind STARTTLS")
        self.send(b"220 2.0.0 go ahead\r\n" + (reply or "").encode("latin-1"))
        self.secure()
        self.buffer, self.helo, self.envelope = b"", b"", None

    def do_auth(self, argument: bytes) -> None:
        mechanism, _, initial = argument.partition(b" ")
        reply, drop = self.step("auth", 1, argument)
        if drop:
            raise _Over
        if reply is not None:
            self.reply(reply)
            if reply.startswith("334"):
                self.line()
                self.reply("535 5.7.8 as announced")
            return
        try:
            name = self.authenticate(mechanism.decode().upper(), initial)
        except (binascii.Error, ValueError):
            self.reply("501 5.5.2 not base64")
            return
        if name is None:
            self.reply("535 5.7.8 wrong name or password")
        else:
            self.username = name
            self.reply("235 2.7.0 welcome")

    def authenticate(self, mechanism: str, initial: bytes) -> str | None:
        users = self.provider.users
        if mechanism not in self.provider.mechanisms:
            raise ValueError(mechanism)
        if mechanism == "PLAIN":
            _, name, password = base64.b64decode(initial or self.challenge(b"")).decode().split("\0")
            return name if users.get(name) == password else None
        if mechanism == "LOGIN":
            name = base64.b64decode(initial or self.challenge(b"Username:")).decode()
            password = base64.b64decode(self.challenge(b"Password:")).decode()
            return name if users.get(name) == password else None
        challenge = b"<%d.%d@provider.test>" % (id(self), time.monotonic_ns())
        name, _, digest = base64.b64decode(self.challenge(challenge)).decode().rpartition(" ")
        expected = hmac.new(users.get(name, "").encode(), challenge, "md5").hexdigest()
        return name if name in users and hmac.compare_digest(expected, digest) else None

    def challenge(self, text: bytes) -> bytes:
        self.reply("334 " + base64.b64encode(text).decode())
        return self.line()

    def do_mail(self, argument: bytes) -> None:
        if self.envelope:
            self.violation("MAIL inside a transaction")
            self.reply("503 5.5.1 nested MAIL")
            return
        if self.provider.users and self.username is None:
            self.act("mail", "530 5.7.0 Authentication required", argument=argument)
            return
        path, parameters = self.path(argument, b"FROM:")
        if not path.isascii() and b"SMTPUTF8" not in parameters:
            self.violation(f"non-ASCII without SMTPUTF8: {argument!r}")
        offered = {extension.split()[0].encode() for extension in self.provider.extensions}
        for parameter in parameters:
            keyword = {b"BODY": b"8BITMIME"}.get(parameter.partition(b"=")[0], parameter.partition(b"=")[0])
            if keyword not in offered:
                self.violation(f"a parameter of an extension that was not offered: {argument!r}")
        if self.act("mail", "250 2.1.0 ok", argument=argument):
            self.envelope = _Envelope(path, parameters)

    def do_rcpt(self, argument: bytes) -> None:
        if self.envelope is None:
            self.reply("503 5.5.1 MAIL first")
            return
        path, _ = self.path(argument, b"TO:")
        self.envelope.asked += 1
        if self.act("rcpt", "250 2.1.5 ok", self.envelope.asked, argument):
            self.envelope.recipients.append(path)

    def path(self, argument: bytes, keyword: bytes) -> tuple[bytes, list[bytes]]:
        path, _, parameters = argument.partition(b"> ")
        if not path.startswith(keyword + b"<"):
            self.violation(f"not a path: {argument!r}")
        return path[len(keyword) + 1 :].rstrip(b">"), parameters.split()

    def do_data(self, _: bytes) -> None:
        envelope = self.envelope
        normal = "354 go ahead"
        if envelope is None:
            normal = "503 5.5.1 MAIL first"
        elif not envelope.recipients:
            normal = "554 5.5.1 no valid recipients"
        if not self.act("data", normal):
            return
        raw = self.content()
        self.envelope = None
        if envelope is None or not envelope.recipients:
            if raw:
                self.violation("content for nobody")
            self.reply("554 5.5.1 no valid recipients")
            return
        reply, drop = self.step("dot")
        message = Received(
            self.number,
            self.helo,
            self.username,
            self.tls,
            envelope.sender,
            envelope.parameters,
            envelope.recipients,
            raw,
            answered=not drop,
        )
        if drop or reply is None or reply[:1] == "2":
            self.provider.deliver(message)
        if drop:
            raise _Over
        if reply != "":
            self.reply(reply if reply else "250 2.0.0 queued")
        if reply and reply.startswith("421"):
            raise _Over

    def content(self) -> bytes:
        if not self.buffer:
            self.fill()
        self.step("content")
        wire = bytearray(b"\r\n" + self.buffer)
        searched = 0
        while (end := wire.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(wire) - 4)
            self.buffer = b""
            self.fill()
            wire += self.buffer
        raw, self.buffer = bytes(wire[2 : end + 2]), bytes(wire[end + 5 :])
        bare = raw.replace(b"\r\n", b"")
        if b"\r" in bare or b"\n" in bare or b"\0" in bare:
            self.violation(f"a bare CR, bare LF or NUL in the content: {raw[:200]!r}")
        if self.buffer and "PIPELINING" not in self.provider.extensions:
            self.violation(f"pipelined although it was not offered: {self.buffer[:80]!r}")
        return raw

    def do_rset(self, _: bytes) -> None:
        if self.act("rset", "250 2.0.0 ok"):
            self.envelope = None

    def do_noop(self, _: bytes) -> None:
        self.act("noop", "250 2.0.0 ok")

    def do_quit(self, _: bytes) -> None:
        self.act("quit", "221 2.0.0 bye")
        raise _Over
