"""The `test` command: one mail straight to the provider, past the queue, each step shown as it happens.

Same rules as the courier: aliases, routing, sender rewriting, completed headers, the rights of the spool's owner. What
it cannot tell is whether the mail reaches the mailbox; the provider's answer is the last thing we see.
"""

from __future__ import annotations

import os
import sys

from mailrelay.cli import instance
from mailrelay.cli.display import address, moment
from mailrelay.cli.instance import Stop
from mailrelay.core import clock
from mailrelay.core.text import escaped
from mailrelay.core.version import VERSION
from mailrelay.courier import explain, outgoing
from mailrelay.courier.explain import Advice
from mailrelay.courier.failure import Failure, Step
from mailrelay.courier.routing import candidates
from mailrelay.courier.smarthost import SmarthostConnection, preload
from mailrelay.daemon import status_file
from mailrelay.listener.recipients import Recipients
from mailrelay.listener.sockets import show
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.cli.instance import Relay
    from mailrelay.config.settings import Settings, Smarthost

_NAMES = {
    "name": "name lookup", "connect": "connection", "tls": "TLS", "certificate": "certificate", "banner": "greeting",
    "ehlo": "EHLO", "starttls": "STARTTLS", "login": "login", "mail": "sender", "rcpt": "recipient", "data": "DATA",
    "dot": "message", "quit": "goodbye", "lost": "connection",
}  # fmt: skip
_RESULTS = {
    "accepted": "Accepted by the provider", "delivered": "Delivered", "deferred": "Waits, and is tried again",
    "failed": "Failed",
}  # fmt: skip
_NO_PROVIDER = Advice("Add a section config smarthost with its host.", "no-provider")
_NO_PROVIDER_FOR_SENDER = Advice(
    "Every smarthost has option sender; leave it out in one of them.", "no-provider-for-sender"
)


def run(relay: Relay, recipient: str, sender: str, json_lines: bool) -> int:
    """Send it. Return 0 if the provider accepted it for everybody it goes to, else 1."""
    to, from_ = instance.single_line(recipient), instance.single_line(sender)
    settings = relay.settings()
    preload(settings.smarthosts)
    drop_rights(relay, settings)
    return TestDelivery(settings, (JsonReport if json_lines else Report)()).run(to, from_)


def drop_rights(relay: Relay, settings: Settings) -> None:
    """Become who the courier is, so that what it cannot read cannot be read here either."""
    if os.geteuid() != 0:
        return
    try:
        instance.become_owner(relay.spool_dir() if relay.running else settings.main.spool)
    except Stop:
        pass  # it has not run yet


class TestDelivery:
    """One test mail."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.main = settings.main
        self.report = report
        self.asked = self.original = b""  # the sender that was asked for, and that before an option changes it

    def run(self, recipient: bytes, sender: bytes) -> int:
        self.asked = sender
        sender = sender or f"mailrelay@{self.main.hostname}".encode()  # as a machine's own would be
        rules = Recipients(self.main)
        refusal = rules.refusal(recipient)
        recipients = [] if refusal else rules.expand([recipient])
        smarthosts = candidates(self.settings.smarthosts, sender)
        self.original = sender
        self.report.begin(sender, recipient, recipients)
        if refusal:
            return self.report.end(False, str(refusal), Advice())
        if not self.settings.smarthosts:
            return self.report.end(False, "no provider is set", _NO_PROVIDER)
        if not smarthosts:
            text = f"no smarthost is set up for mail from {address(self.original)}"
            return self.report.end(False, text, _NO_PROVIDER_FOR_SENDER)
        envelope = spool.Envelope(self.original, recipients, "")
        envelope.smtputf8 = not (sender + b"".join(recipients)).isascii()
        for smarthost in smarthosts:
            code = self.send(smarthost, envelope, last=smarthost is smarthosts[-1])
            if code is not None:
                return code
        return 1

    def send(self, smarthost: Smarthost, envelope: spool.Envelope, *, last: bool) -> int | None:
        """Send it by this smarthost. Return the exit code; None if another one is to be tried."""
        self.report.smarthost(smarthost, self.asked, outgoing.sender(envelope, self.main, smarthost))
        mail, queue_id = self.mail(), spool.Spool("").new_id()
        test = outgoing.compose(
            envelope, queue_id, envelope.recipients, lambda: [mail], len(mail), self.main, smarthost
        )
        hostname = self.main.hostname.encode()
        try:
            with SmarthostConnection(smarthost, hostname, on_step=self.report.step) as connection:
                for _, outcome in connection.deliver([test]):
                    bad = next((reply for reply in outcome.recipients if not reply.ok), None)
                    if bad is None:
                        return self.report.end(True, str(outcome.recipients[0]), Advice())
                    if outcome.stage == "local":
                        self.report.step(Step("mail", False, str(bad), 0.0, {}))
                    verdict, hint = explain.explain_reply(bad, outcome.stage_of(bad), smarthost)
                    if last or verdict not in (explain.SENDER, explain.SETTING):
                        return self.report.end(False, str(bad), hint)
                    self.report.next(str(bad), hint)
        except Failure as failure:
            _, hint = explain.explain(failure, smarthost)
            if last:
                return self.report.end(False, str(failure), hint)
            self.report.next(str(failure), hint)
        return None

    def mail(self) -> bytes:
        host = self.main.hostname
        lines = [
            f"Subject: Test mail from {host}",
            "Auto-Submitted: auto-generated",
            "",
            f"The mail relay on {host} can send mail: this one was sent by hand to try it.",
            "",
            f"Sent:      {moment(clock.wall())} by the clock of {host}",
            f"Software:  mailrelay {VERSION}",
            "",
        ]
        return "\r\n".join(lines).encode()


class Report:
    """The steps for people, each on its line as soon as it is over."""

    def begin(self, original: bytes, asked: bytes, recipients: list[bytes]) -> None:
        names = ", ".join(address(recipient) for recipient in recipients) or address(asked)
        print(f"to    {names}" + (f" (that is where {address(asked)} goes)" if recipients not in ([], [asked]) else ""))

    def smarthost(self, smarthost: Smarthost, asked: bytes, sender: bytes) -> None:
        tls = {"starttls": "STARTTLS", "tls": "TLS", "none": "no encryption"}[smarthost.tls]
        unverified = "" if smarthost.verify or smarthost.tls == "none" else ", certificate not verified"
        print(f"\n{smarthost.host} port {smarthost.port}, {tls}{unverified}")
        option = f"option from of provider {smarthost.name}" if smarthost.from_ else "option sender"
        rewritten = f" ({option}; asked for was {address(asked)})" if sender != asked != b"" else ""
        print(f"from  {address(sender)}{rewritten}", flush=True)

    def step(self, step: Step) -> None:
        name = _NAMES.get(step.stage, step.stage)
        result = "ok" if step.ok else "FAILED"
        print(f"  {name:<12} {result:<6} {step.seconds * 1000:>6.0f} ms  {escaped(step.text)}", flush=True)
        for label, text in step_facts(step):
            print(f"  {'':<12} {'':<6} {'':>9}  {label} {escaped(text)}", flush=True)

    def next(self, text: str, hint: Advice) -> None:
        """Report that this smarthost could not be used and the next one is tried."""
        self.end(False, text, hint)
        print("The next provider is tried.")

    def place(self, address: str, port: int) -> None:
        """Report where a machine's part is played."""
        print(f"\nthe relay at {address} port {port}, as a machine on the LAN", flush=True)

    def queued(self, queue_id: str) -> None:
        """Report that the relay has taken the mail."""
        print(f"\n{queue_id} in the queue", flush=True)

    def end(self, ok: bool, text: str, hint: Advice, result: str = "") -> int:
        print(f"\n{_RESULTS[result or ('accepted' if ok else 'failed')]}: {escaped(text)}")
        if hint:
            print(escaped(hint, "\n"))
        sys.stdout.flush()
        return 0 if ok else 1


def step_facts(step: Step) -> list[tuple[str, str]]:
    """Return what is worth showing of a step's details."""
    if step.stage == "certificate":
        labels = {"issuer": "issued by", "names": "for", "not_after": "valid until", "sha256": "SHA-256"}
        facts = [(label, step.detail[name]) for name, label in labels.items() if step.detail.get(name)]
        subject = step.detail.get("subject")
        return [("subject", subject), *facts] if subject and subject != step.text else facts
    if step.stage == "login" and step.detail.get("mechanism"):
        return [("by", step.detail["mechanism"])]
    if step.stage == "ehlo":
        labels = {"name": "we said", "extensions": "offers"}
        return [(label, step.detail[name]) for name, label in labels.items() if step.detail.get(name)]
    return []


def _advice_facts(hint: Advice) -> status_file.Advice:
    return status_file.advice_facts(hint.words())


class JsonReport(Report):
    """The same for programs: a JSON object a line."""

    def __init__(self) -> None:
        self._host = ""
        self._facts: dict[str, object] = {}

    def begin(self, original: bytes, asked: bytes, recipients: list[bytes]) -> None:
        self._facts = {"sender": address(original), "recipients": [address(recipient) for recipient in recipients]}

    def smarthost(self, smarthost: Smarthost, asked: bytes, sender: bytes) -> None:
        self._facts["sender"] = address(sender)
        self._host = f"{smarthost.host}:{smarthost.port}"
        text = f"from {address(sender)}"
        self._print(step="begin", ok=True, text=text, smarthost=self._host, limit=smarthost.timeout)

    def step(self, step: Step) -> None:
        facts = {"step": step.stage, "ok": step.ok, "text": step.text, "seconds": step.seconds}
        self._print(**facts, smarthost=self._host, detail=step.detail)

    def next(self, text: str, hint: Advice) -> None:
        self._print(step="next", ok=False, text=text, **_advice_facts(hint), smarthost=self._host)

    def place(self, address: str, port: int) -> None:
        self._host = show((address, port))

    def queued(self, queue_id: str) -> None:
        self._host, self._facts["id"] = "", queue_id
        self._print(step="queued", ok=True, text=queue_id, seconds=0.0, smarthost="", detail={})

    def end(self, ok: bool, text: str, hint: Advice, result: str = "") -> int:
        result = result or ("accepted" if ok else "failed")
        self._print(result=result, ok=ok, text=text, **_advice_facts(hint), smarthost=self._host, **self._facts)
        return 0 if ok else 1

    def _print(self, **values: object) -> None:
        print(status_file.dump(values), flush=True)
