"""What the owner reads of clients that are refused and mail that is broken off: in the log at once, then summed up once
a minute; and by the supervisor in the status file.

Called by the listener's loop; `limits.Repeats` bounds it.
"""

from __future__ import annotations

from mailrelay.core import counters, ipc, log
from mailrelay.core.text import escaped
from mailrelay.listener import hints, limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.smtp.reply import Reply

_TEXTS = {"aborted": "reason", "not-stored": "error"}  # what the text of an event is called, where it is no reply


class Journal:
    """Of one listener. `pipe` takes refusals to the supervisor."""

    __slots__ = ("_counters", "_pipe", "_repeats")

    def __init__(self, counts: memoryview, pipe: int, now: float) -> None:
        self._counters = counts
        self._pipe = pipe
        self._repeats = limits.Repeats(now)

    def refused(self, client: str, said: bytes, reply: Reply, event: str = "refused") -> None:
        """Note that a command, or a client that said none, got a reply that refuses it."""
        line = str(reply).partition("\n")[0]
        shown = escaped(said)
        keeps_out = limits.keeps_out(line)
        self._counters[counters.REFUSED] += keeps_out
        if self._repeats.note(event, client, line):
            code, advice = hints.hint(line, shown)
            log.event(event, log.NOTICE, client=client, reply=line, said=shown or None, advice=advice or None)
            if keeps_out:
                ipc.write_refusal(self._pipe, client, 1, line, advice, code)

    def aborted(self, client: str, queue_id: str, received: int, reason: str) -> None:
        """Note that a message was broken off. received: the bytes that came."""
        self._counters[counters.ABORTED] += 1
        if self._repeats.note("aborted", client, reason):
            log.event("aborted", log.NOTICE, id=queue_id, client=client, received=received, reason=reason)

    def not_stored(self, client: str, queue_id: str, error: str) -> None:
        """Note that the disk did not take a message."""
        if self._repeats.note("not-stored", client, error):
            log.event("not-stored", log.ERROR, id=queue_id, client=client, error=error)

    def sum_up(self, now: float) -> None:
        """Tell, once a minute, what has happened again."""
        for event, client, text, again in self._repeats.summary(now):
            told = {_TEXTS.get(event, "reply"): text}
            log.event(event, log.NOTICE, client=client, **told, again=again)
            if event == "refused" and limits.keeps_out(text):
                ipc.write_refusal(self._pipe, client, again, text, "", "")
