"""What became of mail and could not be written down: remembered while the supervisor lives, so that none is sent again.

Kept in the ledger, for this courier, one beside it, and those that come after them. Called by opener and recorder.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.core.ledger import Ledger
    from mailrelay.courier.notify import Notices
    from mailrelay.spool.message import Message

_REFUSALS = "refusals"  # the ledger's line: how many there were in a row
_TELL = 3  # refusals in a row after which the owner is told
_MOST = 1000  # messages that are remembered


class Disk:
    """The spool's disk, by what it refuses to record."""

    def __init__(self, ledger: Ledger, notices: Notices) -> None:
        self._ledger = ledger
        self._notices = notices

    def refused(self, message: Message, statuses: list[bytes], due: float, reason: str) -> None:
        """Remember what should have been recorded: the status of each recipient, and when to try again."""
        name = f"settled {message.id}"
        with self._ledger as lines:
            lines.pop(name, None)
            lines[name] = [b"".join(statuses).decode(), f"{due:.1f}"]
            settled = [line for line in lines if line.startswith("settled ")]
            for line in settled[:-_MOST]:
                del lines[line]
            refusals = int(lines.get(_REFUSALS, ["0"])[0]) + 1
            lines[_REFUSALS] = [str(refusals)]
        message.unrecorded = True
        if refusals >= _TELL:
            self._notices.disk(reason)

    def recall(self, message: Message) -> None:
        """Let a message that was just opened have what its file could not be told."""
        if self._ledger.empty():
            return
        with self._ledger as lines:
            words = lines.get(f"settled {message.id}")
        if words:
            statuses, due = words
            message.statuses = [status.encode() for status in statuses]
            message.due = float(due)
            message.unrecorded = True

    def recorded(self, message: Message) -> None:
        """Note that its file says what it should."""
        if self._ledger.empty():
            return
        with self._ledger as lines:
            lines.pop(f"settled {message.id}", None)
            lines.pop(_REFUSALS, None)
