"""A message from the spool as a transaction for a smarthost: its headers completed, its sender rewritten.

Asks nobody and sends nothing. Called by the courier; the `test` command composes its mail here.
"""

from __future__ import annotations

from mailrelay.mail import headers
from mailrelay.mail.address_list import is_address
from mailrelay.smtp.transaction import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailrelay.config.settings import Main, Smarthost
    from mailrelay.spool import spool


class Unreadable(Exception):
    """A message cannot be put into words for the smarthost."""

    def __init__(self, message: spool.Message, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.message = message
        self.error = error


def sender(envelope: spool.Envelope, main: Main, smarthost: Smarthost) -> bytes:
    """Return whom mail through this smarthost is from, in MAIL and in From: the settings' word, else the envelope's.

    The relay's own notices come from the account itself; where that has no address, empty stands for the null sender.
    """
    configured = smarthost.from_ or main.sender
    if envelope.notice:
        return (smarthost.username if is_address(smarthost.username.encode()) else configured).encode()
    return configured.encode() or envelope.sender


def transaction(message: spool.Message, main: Main, smarthost: Smarthost) -> Transaction:
    """Return it for the recipients that are still pending; `tag` is the message, open until that is settled."""
    recipients = [message.envelope.recipients[i] for i in message.pending()]
    try:
        composed = compose(message.envelope, message.id, recipients, message.chunks, message.size, main, smarthost)
    except Exception as error:
        raise Unreadable(message, error) from error
    complete = composed.content

    def content() -> Iterator[bytes]:
        try:
            message.begin_sending()
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
    smarthost: Smarthost,
) -> Transaction:
    """Return the transaction of a message of `size` bytes as received, which chunks() yields dot-stuffed."""
    outgoing_sender = sender(envelope, main, smarthost)
    # A notice has no original to keep: its From is a name without an address.
    rewritten = b"" if envelope.notice or not (smarthost.from_ or main.sender) else outgoing_sender
    info = headers.MessageInfo(
        queue_id=queue_id,
        hostname=main.hostname,
        sender=outgoing_sender,
        original_sender=envelope.sender,
        recipients=recipients,
        client=envelope.client,
        helo=envelope.helo,
        date=envelope.date(),
        smtputf8=not (outgoing_sender + b"".join(recipients)).isascii(),
        protocol=envelope.protocol.replace("ESMTP", "UTF8SMTP") if envelope.smtputf8 else envelope.protocol,
        latest=envelope.latest_date(),
    )

    def content() -> Iterator[bytes]:
        sevenbit = composed.eightbit and "8BITMIME" not in composed.extensions
        return headers.complete(info, chunks(), rewritten, sevenbit=sevenbit)

    eightbit = not all(chunk.isascii() for chunk in chunks())
    composed = Transaction(info.sender, recipients, content, size=size, eightbit=eightbit)
    return composed
