"""Hands a mail to the relay of this machine: over loopback SMTP, or into its spool where root may and no relay runs.

The dialogue is that of courier/smarthost.py, with the relay as the smarthost. Called by sendmail.
"""

from __future__ import annotations

import os

from mailrelay.config.settings import Smarthost
from mailrelay.core.paths import DEFAULT_RUN_DIR
from mailrelay.courier.failure import Failure, Step
from mailrelay.courier.smarthost import SmarthostConnection
from mailrelay.smtp.transaction import Transaction
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.cli.instance import Relay
    from mailrelay.cli.stdin_message import StdinMessage
    from mailrelay.config.settings import Main

_TIMEOUT = 60  # seconds; ten times that for the answer to the dot
_WHEN_UNKNOWN = [("127.0.0.1", 25), ("::1", 25)]


class Down(Exception):
    """No relay answers, or one that does cannot take mail now."""

    def __init__(self, reason: str, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.answered = answered


class Refused(Exception):
    """The mail, or some of its recipients, will not be taken: an exit code, and a line for each reason."""

    def __init__(self, code: int, reasons: list[str]) -> None:
        super().__init__(*reasons)
        self.code = code
        self.reasons = reasons


def endpoints(relay: Relay) -> list[tuple[str, int]]:
    """Where the relay listens, loopback first. Nowhere if it does not run; but the usual relay, whose run directory
    may be another one, is looked for at port 25 of this machine."""
    listening = []
    for text in relay.status.get("listening", []) if relay.running else []:
        host, _, port = str(text).rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
        if port.isdigit():
            listening.append((host, int(port)))
    listening.sort(key=lambda endpoint: not (endpoint[0].startswith("127.") or endpoint[0] == "::1"))
    return listening or ([] if relay.run_dir != DEFAULT_RUN_DIR else _WHEN_UNKNOWN)


def smarthost(host: str, port: int) -> Smarthost:
    """Describe the relay itself as a smarthost: no TLS, no login."""
    return Smarthost(
        name="relay", enabled=True, host=host, port=port, tls="none", allow_cleartext=True, verify=False, ca_file="",
        fingerprint="", auth="none", username="", password="", priority=0, sender=[], from_="",
        rate_minute=0, rate_day=0, overflow=False, connections=1, family="any", timeout=_TIMEOUT,
    )  # fmt: skip


def submit(
    relay: Relay,
    sender: Callable[[str], bytes],
    recipients: list[bytes],
    mail: StdinMessage,
    tell: Callable[[str], None],
) -> None:
    """Send it to the relay. `sender` makes the address from the relay's host name. Down or Refused.

    `recipients` is shortened to those that wait for an answer. A relay that takes only so many at a time gets the rest
    in another transaction.
    """
    last: Failure | None = None
    helo = os.uname().nodename.encode("ascii", "replace") or b"localhost"
    for host, port in endpoints(relay):
        name: list[str] = []

        def on_step(step: Step, name: list[str] = name) -> None:
            if step.stage == "banner" and step.ok:
                name.extend(step.text.split()[1:2])
            tell(f"{step.stage}: {step.text}")

        try:
            with SmarthostConnection(smarthost(host, port), helo, on_step=on_step) as connection:
                _deliver(connection, sender("".join(name)), recipients, mail)
            return
        except Failure as failure:
            if failure.code >= 500:
                raise Refused(os.EX_UNAVAILABLE, [f"the relay refuses: {failure}"]) from None
            if failure.code:
                raise Down(str(failure), answered=True) from None
            last = failure
            if failure.stage != "connect":
                break
    raise Down(str(last or "the relay is not running"))


def _deliver(connection: SmarthostConnection, sender: bytes, recipients: list[bytes], mail: StdinMessage) -> None:
    refused: list[str] = []
    code = 0
    while recipients:
        transaction = Transaction(sender, list(recipients), mail.wire, size=mail.wire_size(), eightbit=mail.eightbit)
        (_, outcome), *_ = list(connection.deliver([transaction]))
        for recipient, reply in zip(transaction.recipients, outcome.recipients):
            if reply.permanent:
                refused.append(f"{recipient.decode('utf-8', 'backslashreplace')}: {reply}")
                unknown = reply.enhanced.startswith("5.1.") and outcome.stage in ("rcpt", "dot")
                code = code or (os.EX_NOUSER if unknown else os.EX_UNAVAILABLE)
        settled = [reply.ok or reply.permanent for reply in outcome.recipients]
        recipients[:] = [recipient for recipient, is_settled in zip(transaction.recipients, settled) if not is_settled]
        if not any(settled):
            raise Down(str(outcome.recipients[0]), answered=True)
    if refused:
        raise Refused(code, refused)


def enqueue(relay: Relay, sender: Callable[[str], bytes], recipients: list[bytes], mail: StdinMessage) -> str:
    """Put it into the spool as the spool's owner; root alone, with no relay running. The queue id. Down or Refused.

    By the relay's own rules about addresses, recipients and size.
    """
    from mailrelay.cli.instance import Stop
    from mailrelay.listener.recipients import Recipients
    from mailrelay.smtp.addresses import fault

    try:
        settings = relay.settings()
        main = settings.main
        rules = Recipients(main)
        refused = []
        accepted = []
        for recipient in recipients:
            reason = fault(recipient) or rules.refusal(recipient)
            if reason:
                refused.append(f"{recipient.decode('utf-8', 'backslashreplace')}: {reason}")
            else:
                accepted.append(recipient)
        size = mail.wire_size()
        if size > main.max_message_size:
            raise Refused(os.EX_UNAVAILABLE, [f"the mail has {size} bytes, the relay takes {main.max_message_size}"])
        address = sender(main.hostname)  # while we know who called us
        if address and (reason := fault(address)):
            raise Refused(os.EX_DATAERR, [f"sender: {reason}"])
        if not settings.provider:
            raise Down("no provider is set, so that it could not be sent")
        queue_id = _keep(relay.enter(), main, address, rules.expand(accepted), mail) if accepted else ""
    except Stop as stop:
        raise Down(stop.text) from None
    except OSError as error:
        raise Down(str(error.strerror)) from None
    if refused:
        raise Refused(os.EX_NOUSER, refused)
    return queue_id


def _keep(where: spool.Spool, main: Main, sender: bytes, recipients: list[bytes], mail: StdinMessage) -> str:
    envelope = spool.Envelope(sender, recipients, "127.0.0.1", b"localhost", eightbit=mail.eightbit)
    envelope.smtputf8 = not (sender + b"".join(recipients)).isascii()
    if where.free() - mail.wire_size() < main.min_free_space:
        raise Down(f"{where.root}: too little space is left on the disk")
    if not where.lock():
        raise Down("another relay uses the spool")
    try:
        where.prepare()
        return where.submit(envelope, mail.wire())
    finally:
        where.unlock()
