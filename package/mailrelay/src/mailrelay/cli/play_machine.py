"""`test --machine`: what a machine on the LAN would say to the relay, and what then becomes of its mail, step by step.

It goes through the listener, its rules and the queue, as an alarm does, and is followed by its file and the status,
never by the log. Called by `main`; the `test` command proper is send_test.
"""

from __future__ import annotations

import os
import socket
import time
from time import monotonic

from mailrelay.cli import instance
from mailrelay.cli.display import duration
from mailrelay.cli.instance import Relay, Stop
from mailrelay.cli.send_test import JsonReport, Report
from mailrelay.core import clock, paths
from mailrelay.core.ipc import BAD
from mailrelay.core.net import Net
from mailrelay.courier.explain import Advice
from mailrelay.courier.failure import Step
from mailrelay.listener import hints
from mailrelay.spool import spool
from mailrelay.spool.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO, Literal

    from mailrelay.config.settings import Settings
    from mailrelay.daemon.status_file import StatusFacts

_NO_ADVICE = Advice()
_SENDER = "alarm@plc.lan"  # a name that nobody owns, as machines come with
_PATIENCE = 30.0  # seconds for each answer of the relay
_FOLLOWED = 600.0  # seconds that the mail is followed
_LOOK = 0.2  # seconds between two looks
_TOLD = 3.0  # seconds within which the status tells what became of a mail
_GONE = 10.0  # seconds after which a relay that restarts is back


def run(relay: Relay, recipient: str, sender: str, json_lines: bool) -> int:
    """Play it. Return 0 if the mail was delivered to everybody, else 1."""
    if not relay.running:
        raise Stop(os.EX_TEMPFAIL, "the relay is not running; a machine would be refused its connection")
    accepted = f"{relay.run_dir}/{paths.ACCEPTED_CONFIG}"
    settings = (Relay(accepted) if os.access(accepted, os.R_OK) else relay).settings()
    to = instance.single_line(recipient or settings.main.postmaster)
    if not to:
        raise Stop(os.EX_USAGE, "name whom the mail is for: mailrelay test --machine ADDRESS")
    from_ = instance.single_line(sender or _sender(settings))
    place = lan_address(relay.status)
    where = relay.enter()
    report = (JsonReport if json_lines else Report)()
    report.begin(from_, to, [to])
    queue_id = Machine(report, place).send(from_, to)
    return Follower(relay, where, report, queue_id).run() if queue_id else 1


def _sender(settings: Settings) -> str:
    """Return a sender that some smarthost takes."""
    if any(not smarthost.sender for smarthost in settings.smarthosts):
        return _SENDER
    first = next((name for smarthost in settings.smarthosts for name in smarthost.sender), _SENDER)
    return f"alarm{first}" if first.startswith("@") else first


def lan_address(status: StatusFacts) -> tuple[str, int]:
    """Return where a machine would connect: an address of the LAN where the relay listens on one, else loopback."""
    nets = [Net.parse(net) for net in status.get("allow", [])]
    places = []
    for name in status.get("listening", []):
        address, _, port = name.rpartition(":")
        address = address.strip("[]")
        ours = not address.startswith(("127.", "::1", "fe80:", "0.0.0.0")) and any(
            net.contains(address) for net in nets
        )
        places.append((not ours, ":" in address, address, int(port)))
    if not places:
        raise Stop(os.EX_TEMPFAIL, "the relay listens nowhere; 'mailrelay status' says why")
    return min(places)[2:]


class Machine:
    """The machine's side of one dialogue."""

    def __init__(self, report: Report, place: tuple[str, int]) -> None:
        self._report = report
        self._place = place
        report.place(*place)

    def send(self, sender: bytes, recipient: bytes) -> str:
        """Say everything. Return the queue id, "" if the relay does not take the mail, which is reported."""
        stage, began = "connect", monotonic()
        family = socket.AF_INET6 if ":" in self._place[0] else socket.AF_INET
        try:
            with socket.socket(family) as sock, sock.makefile("rb") as file:
                sock.settimeout(_PATIENCE)
                sock.connect(self._place)
                self._step(stage, True, f"{self._place[0]} port {self._place[1]}", began)
                text = ""
                for stage, said in _dialogue(sender, recipient):
                    began = monotonic()
                    sock.sendall(said)
                    reply = _reply(file)
                    good = reply[:1] in ("2", "3")
                    self._step(stage, good, reply, began)
                    if not good:
                        code, hint = hints.hint(reply, said.decode("utf-8", "replace"))
                        self._report.end(False, reply, Advice(hint, code))
                        return ""
                    text = reply if stage == "dot" else text
        except OSError as error:
            text = error.strerror or str(error) or type(error).__name__
            self._step(stage, False, text, began)
            self._report.end(False, f"{stage}: {text}", Advice("'mailrelay status' says where the relay listens."))
            return ""
        return text.split()[-1]

    def _step(self, stage: str, ok: bool, text: str, began: float) -> None:
        self._report.step(Step(stage, ok, text, monotonic() - began, {}))


def _dialogue(sender: bytes, recipient: bytes) -> list[tuple[str, bytes]]:
    """Return each stage and what is said at it."""
    text = b"Sent by hand, to see the way of an alarm: it is what a machine on the LAN would have sent."
    header = b"From: %s\r\nTo: %s\r\nSubject: Test alarm\r\n\r\n" % (sender, recipient)
    return [
        ("banner", b""),
        ("ehlo", b"EHLO plc\r\n"),
        ("mail", b"MAIL FROM:<%s>\r\n" % sender),
        ("rcpt", b"RCPT TO:<%s>\r\n" % recipient),
        ("data", b"DATA\r\n"),
        ("dot", header + text + b"\r\n.\r\n"),
        ("quit", b"QUIT\r\n"),
    ]


def _reply(file: BinaryIO) -> str:
    """Return the first line of a reply, read to its end (RFC 5321 4.2.1). ConnectionError if there is none."""
    lines = [file.readline()]
    while lines[-1][3:4] == b"-":
        lines.append(file.readline())
    if not lines[-1].endswith(b"\n"):
        raise ConnectionError("the relay closed the connection")
    first = lines[0].decode("utf-8", "replace").rstrip()
    return f"{first[:3]} {first[4:]}"


class Follower:
    """Follows one mail to its end."""

    def __init__(self, relay: Relay, where: spool.Spool, report: Report, queue_id: str) -> None:
        self._relay = relay
        self._spool = where
        self._report = report
        self._id = queue_id
        self._began = monotonic()
        report.queued(queue_id)

    def run(self) -> int:
        """Return 0 when it is delivered, 1 when it is known why it is not."""
        sending = False
        lived = self._began
        while True:
            relay = Relay(self._relay.config, self._relay.run_dir)
            now = monotonic()
            lived = now if relay.running else lived
            state, answer = self._state()
            if state == "":
                return self._end("delivered", True, self._carrier())
            if answer:
                return self._fail("failed" if state == spool.FAIL else "deferred", answer)
            if state == spool.HOLD:
                return self._end("deferred", False, "it is held; 'mailrelay release' lets it go")
            if now > lived + _GONE:
                return self._end("deferred", False, "the relay has ended; it sends what waits when it runs again")
            if now > self._began + _TOLD and (relay.status.get("next_try") or 0.0) > clock.wall():
                return self._blocked(relay.status)
            if now > self._began + _FOLLOWED:
                return self._end("deferred", False, "it still waits; 'mailrelay queue' shows what becomes of it")
            if relay.status.get("delivering") and not sending:
                sending = True
                self._step("sending", True, ", ".join(relay.status.get("smarthosts", [])))
            time.sleep(_LOOK)

    def _state(self) -> tuple[str, str]:
        """Return which of the spool's states the mail is in ("": it is gone), and the answer that it waits with."""
        for state in spool.STATES:
            try:
                with Message(self._spool, state, self._id, lock=False) as message:
                    tried = message.attempts or state == spool.FAIL
                    return state, (message.answer or "no answer") if tried else ""
            except FileNotFoundError:
                continue
            except spool.Damaged as damaged:
                return state, f"damaged: {damaged}"
        return "", ""

    def _carrier(self) -> str:
        success = self._told("last_success")
        return f"{success['smarthost']} has taken it" if success else "the provider has taken it"

    def _fail(self, result: str, answer: str) -> int:
        """Report that it waits or has failed, and what the status says to do."""
        return self._end(result, False, answer, _advice(self._told("last_failure", answer)))

    def _blocked(self, status: StatusFacts) -> int:
        """Report that no provider is tried now, and why."""
        wait = duration((status.get("next_try") or 0.0) - clock.wall())
        bad = next((provider for provider in status.get("providers", []) if provider["state"] == BAD), None)
        why = f": {bad['text']}" if bad else ""
        return self._end("deferred", False, f"no provider is tried for another {wait}{why}", _advice(bad))

    def _told(self, fact: Literal["last_success", "last_failure"], answer: str = "-") -> Mapping[str, Any] | None:
        """Return what the status says of this mail, or of another one with the same answer, a moment later."""
        until = monotonic() + _TOLD
        while monotonic() < until:
            found = Relay(self._relay.config, self._relay.run_dir).status.get(fact)
            if found and (found["id"] == self._id or found.get("answer") == answer):
                return found
            time.sleep(_LOOK)
        return None

    def _step(self, stage: str, ok: bool, text: str) -> None:
        self._report.step(Step(stage, ok, text, monotonic() - self._began, {}))

    def _end(self, result: str, ok: bool, text: str, hint: Advice = _NO_ADVICE) -> int:
        self._step(result, ok, text)
        return self._report.end(ok, text, hint, result)


def _advice(told: Mapping[str, Any] | None) -> Advice:
    return Advice(told["advice"], told["advice_code"], told["advice_values"]) if told else _NO_ADVICE
