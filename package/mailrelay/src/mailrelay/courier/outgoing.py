"""A message from the spool as a transaction for a smarthost: its headers completed, its sender rewritten.

Asks nobody and sends nothing. Called by the courier; the `test` command composes its mail here.
"""

from __future__ import annotations

from mailrelay.mail import headers
from mailrelay.smtp.transaction import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    recipients = [message.envelope.recipients[i] for i in message.pending()]
    composed = compose(message.envelope, message.id, recipients, message.chunks, message.size, main)
    complete = composed.content

    def content() -> Iterator[bytes]:
        try:
            yield from complete()
        except Exception as error:
            raise Unreadable(message, error) from error

    composed.content, composed.tag = content, message
    return composed


def compose(
    envelope: spool.Envelope,
    queue_id: str,
    recipients: list[bytes],
    chunks: Callable[[], Iterable[bytes]],
    size: int,
    main: Main,
) -> Transaction:
    """Return the transaction of a message of `size` bytes as received, which chunks() yields dot-stuffed."""
    rewritten = main.sender.encode()
    info = headers.MessageInfo(
        queue_id=queue_id,
        hostname=main.hostname,
        sender=rewritten if rewritten and envelope.sender else envelope.sender,
        original_sender=envelope.sender,
        recipients=recipients,
        client=envelope.client,
        helo=envelope.helo,
        date=envelope.date(),
        smtputf8=envelope.smtputf8,
    )
    return Transaction(
        info.sender,
        recipients,
        lambda: headers.complete(info, chunks(), rewritten),
        size=size,
        smtputf8=envelope.smtputf8,
        eightbit=envelope.eightbit,
    )
