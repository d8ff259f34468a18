"""What both kinds of demo show: the dialogue of a machine with the relay, and what arrived at the provider.

lab.py plays it on a router in QEMU, local.py on this machine. Everything is real but the cabinet: Debian's Postfix
plays the provider (servers/postfix.py), and a plain socket says what a Controllino's sketch says. Nothing is started
here: relay and provider are the caller's.
"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from forge.core import console
from forge.core.errors import ForgeError
from forge.servers.postfix import Mail, Provider

RECIPIENT = "owner@phone.example"
WAIT = 15.0  # seconds for a mail to arrive

# As sketches write it: lower case, a space before the address, an address as the EHLO argument, no brackets around the
# recipient, a line of text right after the subject, no Date, From, To or Message-ID, and no QUIT.
GREETING = ("ehlo plc@plant.example", "mail from: <plc@plant.example>", f"rcpt to: {RECIPIENT}", "data")
ALARM = ("Subject: Pump 3 stopped", "Tank level is 87 % and rising.")
SECOND_ALARM = ("Subject: Tank is full", "Level 100 %, inlet valve closed.")

MASKED = "••••••••"


def play(port: int, text: tuple[str, ...], *, brief: bool = False, patience: float = 10.0) -> None:
    """The sketch: waits for each reply, takes whatever it says, and just closes after the final dot.

    `brief` leaves out of the account what the reader has seen before; `patience` is in seconds, for each reply.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as machine:
        machine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = machine.makefile("rb")
        answer(replies.readline, "220", show=not brief)
        for line in GREETING:
            say(machine, line, show=not brief)
            answer(replies.readline, "354" if line == "data" else "250", show=not brief)
        for line in text:
            say(machine, line)
        asked = time.monotonic()
        say(machine, ".")
        answer(replies.readline, "250")
        took = (time.monotonic() - asked) * 1000
        console.note(f"This 250 means: on disk. It took {took:.1f} ms; then the machine hung up, without a QUIT.")


def say(machine: socket.socket, line: str, *, show: bool = True) -> None:
    if show:
        spoken("C", line)
    machine.sendall(line.encode() + b"\r\n")


def answer(readline: Callable[[], bytes], code: str, *, show: bool = True) -> None:
    lines = reply(readline)
    for line in lines if show else []:
        spoken("S", line, "cyan")
    if not lines[-1].startswith(code):
        raise ForgeError(f"the relay answered {lines[-1]!r} instead of {code}")


def reply(readline: Callable[[], bytes]) -> list[str]:
    """All lines of one reply."""
    lines = []
    while True:
        line = readline().decode(errors="replace").rstrip()
        if not line:
            raise ForgeError("the connection was closed instead of a reply")
        lines.append(line)
        if line[3:4] != "-":
            return lines


def spoken(who: str, text: str, style: str = "") -> None:
    console.say(f"  {who}: {text}", style)


def show_handover(provider: Provider) -> None:
    title("What the provider saw (its log)")
    seen = 0
    for pattern, name in (
        (r"TLS connection established from [^:]+: (TLSv\S+ with cipher \S+)", "TLS"),
        (r"client=\S+, (sasl_method=\S+ sasl_username=\S+)", "login"),
        (r"(from=<[^>]*>, size=\d+, nrcpt=\d+)", "mail"),
    ):
        if found := re.findall(pattern, provider.log):
            console.say(f"  {name:<6} {found[-1]}", "green")
            seen += 1
    if seen != 3:
        raise ForgeError("the provider's log shows no TLS, login and mail", hint=f"its log:\n{provider.log}")


def show_mail(mail: Mail, sent: tuple[str, ...]) -> None:
    title("The mail as it arrived: + is what the relay completed")
    console.say(
        f"  envelope: from <{mail.envelope_from}> to {', '.join(f'<{name}>' for name in mail.recipients)}", "dim"
    )
    for line in mail.raw.decode(errors="replace").splitlines():
        own = line in sent
        console.say(f"  {' ' if own or not line else '+'} {line}", "" if own else "green")
    lacking = [
        name for name in ("From", "To", "Date", "Message-ID") if f"\n{name}:".encode() not in b"\n" + mail.header
    ]
    if lacking:
        raise ForgeError(f"the mail arrived without {', '.join(lacking)}")
    if mail.body.decode() != sent[1] + "\n":
        raise ForgeError(f"the text arrived changed: {mail.body!r}")


def show_failure(status: dict[str, Any]) -> None:
    console.say(f"  why: {status['last_failure']['answer']}", "yellow")
    console.say(f"       {status['last_failure']['advice']}", "yellow")


def show_second(mails: Sequence[Mail]) -> None:
    """That the mail of the outage has arrived, once."""
    if SECOND_ALARM[0].encode() not in mails[1].header or len(mails) != 2:
        raise ForgeError("what arrived is not the mail that was queued", hint=f"{mails[1:]}")
    console.say(f"  arrived: {SECOND_ALARM[0]} / {mails[1].body.decode().strip()}", "green")


def show_end(seconds: float, *, keep: bool) -> None:
    console.say()
    took = console.seconds(seconds)
    console.good(f"It works: 2 mails in by plain SMTP, 2 out by TLS with a login, none lost ({took}).")
    if not keep:
        console.note("Next: ./inv demo --keep to try it by hand, ./inv test to see it proved, README.md to set it up.")


@contextlib.contextmanager
def until_interrupted(text: str) -> Iterator[None]:
    """Stay after the block, which says what can be tried, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        title(text)
        yield
        signal.pause()
    console.say()
    console.good("ended; nothing is left")


def title(text: str) -> None:
    console.say()
    console.title(text)


def show(text: str) -> None:
    for line in text.rstrip().splitlines():
        console.say(f"  {line}")
