"""A message from the spool as a transaction for a smarthost: its headers completed, its sender rewritten.

Asks nobody and sends nothing. Called by the courier.
"""

from __future__ import annotations

from mailrelay.mail import headers
from mailrelay.smtp.transaction import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailrelay.config.settings import Main
    from mailrelay.spool import spool


class Unreadable(Exception):
    """A message cannot be put into words for the smarthost."""

    def __init__(self, message: spool.Message, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.message = message
        self.error = error


def transaction(message: spool.Message, main: Main) -> Transaction:
    """Return it for the recipients that are still pending; `tag` is the message, open until that is settled."""
    envelope = message.envelope
    rewritten = main.sender.encode()
    sender = rewritten if rewritten and envelope.sender else envelope.sender
    recipients = [envelope.recipients[i] for i in message.pending()]
    info = headers.MessageInfo(
        queue_id=message.id,
        hostname=main.hostname,
        sender=sender,
        original_sender=envelope.sender,
        recipients=recipients,
        client=envelope.client,
        helo=envelope.helo,
        date=envelope.date(),
        smtputf8=envelope.smtputf8,
    )
    rules = headers.RewriteRules(rewritten or None)

    def content() -> Iterator[bytes]:
        try:
            yield from headers.complete(info, message.chunks(), rules)
        except Exception as error:
            raise Unreadable(message, error) from error

    return Transaction(
        sender,
        recipients,
        content,
        size=message.size,
        smtputf8=envelope.smtputf8,
        eightbit=envelope.eightbit,
        tag=message,
    )
