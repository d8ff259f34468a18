"""What became of a message goes into its file, the log, the counters and the postmaster's notice.

Asks no smarthost and chooses none, but tells `routing` what an answer says of the smarthost. Called by the courier with
outcomes, and with messages that cannot go.
"""

from __future__ import annotations

from mailrelay.core import clock, counters, log
from mailrelay.core.ipc import BAD, WAITING
from mailrelay.courier import explain, outgoing
from mailrelay.courier.explain import MESSAGE, RECIPIENT, SENDER, SETTING, Advice
from mailrelay.courier.routing import retry_wait
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.courier.disk import Disk
    from mailrelay.courier.failure import Failure
    from mailrelay.courier.fair_queue import FairQueue
    from mailrelay.courier.notify import Notices
    from mailrelay.courier.routing import Routes
    from mailrelay.smtp.transaction import Outcome

# Causes of the troubles that answers to messages tell of.
_SENDER_REFUSED, _MAIL_REFUSED = "sender-refused", "mail-refused"
_NONE = Advice()
_SYNC_EVERY = 32  # messages that may leave the queue before that is synced


class Answer:
    """What was answered at a stage, or our own words, and what `explain` says of it."""

    __slots__ = ("hint", "permanent", "stage", "text", "verdict")

    def __init__(self, text: str = "", stage: str = "", verdict: str = "", hint: Advice = _NONE) -> None:
        self.text = text
        self.stage = stage
        self.verdict = verdict
        self.hint = hint
        self.permanent = False


class Recorder:
    """Records for one courier. `queue` learns when what has to wait is due."""

    def __init__(
        self,
        settings: Settings,
        where: spool.Spool,
        counts: memoryview,
        queue: FairQueue,
        routes: Routes,
        report: Callable[..., None],
        notices: Notices,
        disk: Disk,
    ) -> None:
        self.notices = notices
        self._disk = disk
        self._main = settings.main
        self._spool = where
        self._counts = counts
        self._queue = queue
        self._routes = routes
        self._report = report
        self._unsynced = 0  # messages that have left the queue
        self._success: tuple[str, str, str] | None = None  # queue id, name and host of the last delivery

    def record_outcome(self, message: spool.Message, outcome: Outcome, smarthost: Smarthost) -> bool:
        """Record what the smarthost answered for each pending recipient. Return whether another may have it now.

        The owner is told afterwards: that takes time, and what is delivered must not go out again meanwhile.
        """
        envelope, now = message.envelope, clock.boottime()
        better_at = self._routes.better_available_at(smarthost, envelope)
        statuses = list(message.statuses)
        due = now + self._wait(message)
        waiting = refused = trouble = None
        failed: list[tuple[int, Answer]] = []
        for place, reply in zip(message.pending(), outcome.recipients):
            stage = outcome.stage_of(reply)
            verdict, hint = explain.explain_reply(reply, stage, smarthost) if not reply.ok else ("", _NONE)
            answer = Answer(str(reply), stage, verdict, hint)
            answer.permanent = reply.permanent
            fails = reply.permanent and better_at is None and verdict in (RECIPIENT, MESSAGE)
            statuses[place] = spool.DELIVERED if reply.ok else spool.FAILED if fails else spool.PENDING
            self._log(message, place, statuses[place], answer, smarthost)
            if statuses[place] == spool.FAILED:
                refused = answer
                failed.append((place, answer))
            elif statuses[place] == spool.PENDING:
                waiting = waiting or answer
                if verdict in (SENDER, SETTING):
                    trouble = trouble or answer
                elif reply.permanent and better_at is not None:
                    due = max(due, better_at)
        if trouble is not None and trouble.permanent:
            self._routes.refused(smarthost, trouble.verdict, message.id, envelope, now)
            due = self._due_again(message, now)
        due_now = self._record(message, statuses, trouble or waiting or refused, smarthost, due)
        for place, answer in failed:
            self.notices.failed(message, envelope.recipients[place], answer.text, answer.hint)
            self._report_failure(message.id, answer, smarthost, WAITING)
        taken = trouble is None and any(reply.ok for reply in outcome.recipients)
        self.works(smarthost, message if taken else None)
        if trouble is not None:
            self._tell_trouble(message, trouble, smarthost)
        return due_now

    def _log(self, message: spool.Message, place: int, status: bytes, answer: Answer, smarthost: Smarthost) -> None:
        """Log what became of one recipient."""
        recipient, hint = message.envelope.recipients[place], answer.hint
        fields: dict[str, object] = {
            "id": message.id, "to": recipient, "smarthost": smarthost.host, "answer": answer.text,
        }  # fmt: skip
        if status == spool.DELIVERED:
            log.event("delivered", log.INFO, delay=f"{message.envelope.age():.1f}", **fields)
        elif status == spool.FAILED:
            log.event("failed", log.ERROR, **fields, advice=hint)
        elif answer.permanent or answer.verdict in (SENDER, SETTING):
            log.event("deferred", log.WARNING, **fields, advice=hint)
        else:
            log.event("deferred", log.WARNING, **fields)

    def _tell_trouble(self, message: spool.Message, answer: Answer, smarthost: Smarthost) -> None:
        """Tell the owner of a setting to mend; that a notice's own sender is refused is no news of its own."""
        sender: bytes | None = None
        if answer.verdict == SENDER:
            if message.envelope.notice:
                return
            sender = outgoing.sender(message.envelope, self._main, smarthost)
        cause = _MAIL_REFUSED if sender is None else _SENDER_REFUSED
        self.notices.trouble(smarthost, answer.stage, cause, answer.text, answer.hint, sender, message.id)

    def works(self, smarthost: Smarthost, message: spool.Message | None = None) -> None:
        """Note that a smarthost is of use, or has taken this message: tell the owner of what that mends."""
        envelope = message.envelope if message else None
        if not self._routes.succeeded(smarthost, clock.boottime(), envelope):
            return
        if message is None or envelope is None:  # it may still refuse mail
            self.notices.mended(smarthost, unless=_MAIL_REFUSED)
        else:
            self.notices.mended(smarthost, taken=message.id)
            sender = outgoing.sender(envelope, self._main, smarthost)
            self.notices.mended(smarthost, sender=sender, taken=message.id)

    def put_off(self, message: spool.Message, smarthost: Smarthost, failure: Failure, hint: Advice) -> None:
        """Let a message wait whose connection failed over it."""
        failed = Answer(str(failure), failure.stage, hint=hint)
        self._record(message, message.statuses, failed, smarthost, clock.boottime() + self._wait(message))

    def fail(self, message: spool.Message, answer: str, hint: Advice = _NONE) -> None:
        """Let every pending recipient fail, without asking a smarthost."""
        for place in message.pending():
            recipient = message.envelope.recipients[place]
            log.event("failed", log.ERROR, id=message.id, to=recipient, answer=answer)
            self.notices.failed(message, recipient, answer, hint)
        failed = {spool.PENDING: spool.FAILED}
        why = Answer(answer, hint=hint)
        self._record(message, [failed.get(status, status) for status in message.statuses], why, None, 0.0)
        self._report_failure(message.id, why)

    def give_up(self, message: spool.Message, hint: Advice = _NONE) -> None:
        """Let a message fail that is_expired."""
        last = message.answer or "no smarthost could be reached in time"
        self.fail(message, f"4.4.7 Given up after {self._main.queue_lifetime} s: {last}", hint)

    def is_expired(self, message: spool.Message) -> bool:
        """Return whether the message has been tried for as long as the owner wants."""
        return message.envelope.age() > self._main.queue_lifetime

    def _due_again(self, message: spool.Message, now: float) -> float:
        """Return when to try a message again that was refused over a setting: after others, which may fare better."""
        available = self._routes.first_available_at(now, message.envelope)
        return available if available <= now else max(available, now + self._wait(message)) + self._main.retry_min

    def _wait(self, message: spool.Message) -> float:
        return retry_wait(message.attempts + 1, self._main.retry_min, self._main.retry_max)

    def _record(
        self, message: spool.Message, statuses: list[bytes], answer: Answer | None, host: Smarthost | None, due: float
    ) -> bool:
        """Write it down. Where a full or broken disk refuses, that is remembered, and tried again later.

        due: when what is pending then is tried again. Return whether that is now.
        """
        due_now = False
        try:
            if all(status == spool.DELIVERED for status in statuses):
                self._success = (message.id, host.name, host.host) if host else self._success
                message.delete()
                self._left_queue(counters.DELIVERED, message.attempts)
            else:
                if statuses != message.statuses or message.unrecorded:
                    message.set_statuses(statuses)
                due_now = self._record_attempt(message, answer or Answer(), host, due)
        except OSError as error:
            log.event("not-recorded", log.ERROR, id=message.id, reason=error.strerror, text="not to be sent again")
            again = clock.boottime() + self._main.retry_max
            self._disk.refused(message, statuses, again, error.strerror or "")
            self._queue.postpone(again)
            return False
        if not message.unrecorded:
            self._disk.recorded(message)
        return due_now

    def record_again(self, message: spool.Message) -> None:
        """Write down what became of a message that nothing is pending of, since that was not possible before."""
        self._record(message, message.statuses, None, None, 0.0)

    def _record_attempt(self, message: spool.Message, answer: Answer, host: Smarthost | None, due: float) -> bool:
        """Let a message wait whose recipients are pending, or give it up if it has waited too long."""
        before = message.attempts
        now = clock.boottime()
        if not message.pending():
            message.note_attempt(before + 1, 0.0, answer.text)
            message.finish()
            self._left_queue(counters.FAILED, before)
            return False
        due = round(due, 1) if due > now else 0.0  # as exact as it is recorded
        message.note_attempt(before + 1, due, answer.text)
        if not before:
            counters.begin_waiting(self._counts)
        if self.is_expired(message):
            self.give_up(message, answer.hint)
            return False
        self._counts[counters.DEFERRED] += 1
        state = "" if not answer.verdict else BAD if answer.permanent and answer.verdict == SETTING else WAITING
        self._report_failure(message.id, answer, host, state, deferred=True)
        if due:
            self._queue.postpone(due)
        return not due

    def _report_failure(
        self, queue_id: str, answer: Answer, host: Smarthost | None = None, state: str = "", *, deferred: bool = False
    ) -> None:
        """Tell the supervisor, after what went well before. state: what a smarthost's own answer says of it."""
        self._report_success()
        place = (host.name, host.host) if host else ("", "")
        waits = "1" if deferred else ""
        self._report("failure", queue_id, *place, answer.stage, state, waits, answer.text, *answer.hint.words())

    def _report_success(self) -> None:
        if self._success is not None:
            self._report("success", *self._success)
            self._success = None

    def _left_queue(self, counter: int, attempts: int) -> None:
        """Note that a message is delivered or has failed. attempts: how often it was put off before."""
        self._counts[counter] += 1
        if attempts:
            counters.end_waiting(self._counts)
        self._unsynced += 1
        if self._unsynced >= _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Sync that messages have left the queue; until then a power cut sends them again."""
        if self._unsynced:
            self._unsynced = 0
            try:
                self._spool.sync(spool.QUEUE)
            except OSError as error:
                log.event("not-synced", log.ERROR, reason=error.strerror)
        self._report_success()
