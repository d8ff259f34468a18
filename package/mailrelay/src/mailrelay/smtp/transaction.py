"""What is handed to a smarthost and what comes back: a Transaction and its Outcome, and an Attempt in between.

Values without a protocol. The courier makes the first and reads the second; client works with all of them.
"""

from __future__ import annotations

from mailrelay.smtp.addresses import is_unsafe
from mailrelay.smtp.reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any


class Transaction:
    """One message on its way: an envelope, and `content`, called when the server asks for it.

    content() yields what goes over the wire without the final dot: CRLF, dot-stuffed, ending in CRLF. Before it is
    called, `extensions` says what the server offers.
    size: bytes, as said in MAIL (RFC 1870); 0 where unknown. `tag` is the caller's own.
    """

    __slots__ = ("sender", "recipients", "content", "size", "eightbit", "extensions", "tag")

    def __init__(
        self,
        sender: bytes,
        recipients: Sequence[bytes],
        content: Callable[[], Iterable[bytes]],
        *,
        size: int = 0,
        eightbit: bool = False,
        tag: Any = None,
    ) -> None:
        self.sender = sender
        self.recipients = recipients
        self.content = content
        self.size = size
        self.eightbit = eightbit
        self.extensions: dict[str, str] = {}
        self.tag = tag

    @property
    def ascii(self) -> bool:
        """Return whether the envelope needs no SMTPUTF8."""
        return self.sender.isascii() and all(recipient.isascii() for recipient in self.recipients)

    def parameters(self, extensions: dict[str, str]) -> bytes:
        """Return what MAIL says after the sender, to a server with these extensions."""
        parameters = b""
        if self.size and "SIZE" in extensions:
            parameters += b" SIZE=%d" % self.size
        if self.eightbit and "8BITMIME" in extensions:
            parameters += b" BODY=8BITMIME"
        if "SMTPUTF8" in extensions and not self.ascii:
            parameters += b" SMTPUTF8"
        return parameters

    def refusal(self, extensions: dict[str, str]) -> Reply | None:
        """Return the refusal of what a server with these extensions could only refuse, or must not be told."""
        limit = extensions.get("SIZE", "")
        if is_unsafe(self.sender):
            return Reply(553, "5.1.7", "the sender is not an address")
        if "SMTPUTF8" not in extensions and not self.ascii:
            return Reply(553, "5.6.7", "the provider takes no addresses with non-ASCII characters")
        if limit.isdigit() and 0 < int(limit) < self.size:
            return Reply(552, "5.3.4", f"the message has {self.size} bytes, the provider takes {int(limit)}")
        return None


class Outcome:
    """What became of a transaction.

    recipients: the final Reply of each, parallel to transaction.recipients: .ok delivered, .permanent failed, else
        deferred.
    message: the Reply that decided for all that RCPT had not refused; None if it refused every one.
    stage: which command `message` answers: 'mail', 'data' or 'dot'; 'rcpt' if it is None, 'local' if nothing was sent.
    """

    __slots__ = ("recipients", "message", "stage")

    def __init__(self, recipients: list[Reply], message: Reply | None, stage: str) -> None:
        self.recipients = recipients
        self.message = message
        self.stage = stage

    @property
    def delivered(self) -> bool:
        """Return whether every recipient has it."""
        return all(reply.ok for reply in self.recipients)

    def stage_of(self, reply: Reply) -> str:
        """Return the stage that a recipient's reply was given at: what RCPT refused is not for `message` to say."""
        return self.stage if reply is self.message else "rcpt"

    def __repr__(self) -> str:
        return f"<Outcome {self.stage} {self.message or self.recipients}>"


class Attempt:
    """A transaction between its submission and its result."""

    __slots__ = ("transaction", "replies", "asked", "answered", "accepted", "mail", "outcome")

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.replies: list[Reply | None] = [None] * len(transaction.recipients)
        self.asked: list[int] = []  # recipients that RCPT was or will be sent for
        self.answered = 0  # of these
        self.accepted = 0
        self.mail: Reply | None = None
        self.outcome: Outcome | None = None

    def check(self, extensions: dict[str, str]) -> None:
        """Decide, in the place of a server with these extensions, what need not be sent; tell the transaction them."""
        self.transaction.extensions = extensions
        refusal = self.transaction.refusal(extensions)
        if refusal:
            self.finish("local", refusal)
            return
        for i, recipient in enumerate(self.transaction.recipients):
            if not recipient or is_unsafe(recipient):
                self.replies[i] = Reply(553, "5.1.3", "the recipient is not an address")
            else:
                self.asked.append(i)
        if not self.asked:
            self.finish("local", None)

    def finish(self, stage: str, message: Reply | None) -> None:
        """Give `message` to every recipient that has no reply of its own, or one that did not refuse."""
        if message is None:  # every one was refused
            self.outcome = Outcome([r for r in self.replies if r], None, stage)
        elif stage in ("mail", "local"):
            self.outcome = Outcome([message] * len(self.replies), message, stage)
        else:
            self.outcome = Outcome([r if r and not r.ok else message for r in self.replies], message, stage)
