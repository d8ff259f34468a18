"""What became of a message goes into its file, the log, the counters and the postmaster's notice.

Asks no smarthost and chooses none. Called by the courier with outcomes, and with messages that cannot go.
"""

from __future__ import annotations

from mailrelay.core import clock, counters, log
from mailrelay.courier import explain
from mailrelay.courier.routing import retry_wait
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.courier.fair_queue import FairQueue
    from mailrelay.courier.notify import Notices
    from mailrelay.smtp.reply import Reply
    from mailrelay.smtp.transaction import Outcome

_SYNC_EVERY = 32  # messages that may leave the queue before that is synced


class Recorder:
    """Records for one courier. `queue` learns when what has to wait is due."""

    def __init__(
        self,
        settings: Settings,
        where: spool.Spool,
        counts: memoryview,
        queue: FairQueue,
        report: Callable[..., None],
        notices: Notices,
    ) -> None:
        self.notices = notices
        self._main = settings.main
        self._spool = where
        self._counts = counts
        self._queue = queue
        self._report = report
        self._unsynced = 0  # messages that have left the queue
        self._success: tuple[str, str] | None = None  # queue id and host of the last delivery

    def record_outcome(self, message: spool.Message, outcome: Outcome, smarthost: Smarthost) -> None:
        """Record what the smarthost answered for each pending recipient."""
        statuses = list(message.statuses)
        deferral = refusal = ""
        for place, reply in zip(message.pending(), outcome.recipients):
            statuses[place] = self._record_reply(message, place, reply, outcome.stage, smarthost)
            if statuses[place] == spool.FAILED:
                refusal = str(reply)
            elif statuses[place] == spool.PENDING:
                deferral = str(reply)
        self._record(message, statuses, deferral or refusal, smarthost.host)

    def _record_reply(
        self, message: spool.Message, place: int, reply: Reply, stage: str, smarthost: Smarthost
    ) -> bytes:
        """Log the answer for one recipient, and return the status that it gives."""
        recipient = message.envelope.recipients[place]
        fields: dict[str, object] = {"id": message.id, "to": recipient, "smarthost": smarthost.host, "answer": reply}
        if reply.ok:
            log.event("delivered", log.INFO, delay=f"{message.envelope.age():.1f}", **fields)
            return spool.DELIVERED
        if not reply.permanent:
            log.event("deferred", log.WARNING, **fields)
            return spool.PENDING
        hint = explain.explain_reply(reply, stage, smarthost)
        log.event("failed", log.ERROR, **fields, advice=hint)
        self.notices.failed(message, recipient, str(reply), hint)
        self._report("failure", message.id, smarthost.host, stage, str(reply), hint)
        return spool.FAILED

    def put_off(self, message: spool.Message, answer: str) -> None:
        """Let a message wait whose connection failed over it."""
        self._record(message, message.statuses, answer)

    def fail(self, message: spool.Message, answer: str) -> None:
        """Let every pending recipient fail, without asking a smarthost."""
        for place in message.pending():
            recipient = message.envelope.recipients[place]
            log.event("failed", log.ERROR, id=message.id, to=recipient, answer=answer)
            self.notices.failed(message, recipient, answer, "")
        failed = {spool.PENDING: spool.FAILED}
        self._record(message, [failed.get(status, status) for status in message.statuses], answer)

    def is_expired(self, message: spool.Message) -> bool:
        """Return whether the message has been tried for as long as the owner wants."""
        return message.envelope.age() > self._main.queue_lifetime

    def _record(self, message: spool.Message, statuses: list[bytes], answer: str, host: str = "") -> None:
        """Write it down. On a full or broken disk the message is tried again, though not at once."""
        try:
            if all(status == spool.DELIVERED for status in statuses):
                message.delete()
                self._success = (message.id, host)
                self._left_queue(counters.DELIVERED)
                return
            if statuses != message.statuses:
                message.set_statuses(statuses)
            self._record_attempt(message, answer)
        except OSError as error:
            log.event("not-recorded", log.ERROR, id=message.id, reason=error.strerror)
            self._queue.postpone(clock.boottime() + self._main.retry_max)

    def _record_attempt(self, message: spool.Message, answer: str) -> None:
        """Let a message wait whose recipients are pending, or give it up if it has waited too long."""
        attempts = message.attempts + 1
        if not message.pending():
            message.note_attempt(attempts, 0.0, answer)
            message.finish()
            self._left_queue(counters.FAILED)
        elif self.is_expired(message):
            self.fail(message, f"4.4.7 Given up after {self._main.queue_lifetime} s: {answer}")
        else:
            wait = retry_wait(attempts, self._main.retry_min, self._main.retry_max)
            due = round(clock.boottime() + wait, 1)  # as exact as it is recorded
            self._queue.postpone(due)
            self._counts[counters.DEFERRED] += 1
            if attempts == 1:
                self._report("failure", message.id, "", "deferred", answer, "")
            message.note_attempt(attempts, due, answer)

    def _left_queue(self, counter: int) -> None:
        self._counts[counter] += 1
        self._unsynced += 1
        if self._unsynced >= _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Sync that messages have left the queue; until then a power cut sends them again."""
        if self._unsynced:
            self._unsynced = 0
            self._spool.sync(spool.QUEUE)
        if self._success is not None:
            self._report("success", *self._success)
            self._success = None
