"""The courier: delivers what is due and leaves.

Forked by the supervisor when mail is due. Reads the smarthosts' secrets as whoever started the relay, then becomes the
spool's owner. Blocking sockets, one connection at a time; docs/dev/INTERNALS.md says what a message goes through here.
What the next courier must know goes to the supervisor as text: when mail is due, which smarthost rests until when.
"""

from __future__ import annotations

import _thread
import marshal
import os
import select
import signal
from collections import deque
from contextlib import contextmanager

from mailrelay.config import settings
from mailrelay.core import clock, counters, log, paths
from mailrelay.courier import explain, notify, outgoing
from mailrelay.courier.failure import Failure
from mailrelay.courier.fair_queue import FairQueue
from mailrelay.courier.routing import Router
from mailrelay.courier.smarthost import SmarthostConnection
from mailrelay.smtp.transaction import Outcome, Transaction
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.daemon.supervisor import Supervisor

_LINGER = 1.0  # seconds that an idle connection waits for more mail
_SYNC_EVERY = 32  # messages that may leave the queue before that is synced
_LOOK = 900.0  # seconds that the queue is left alone at most while no smarthost may be tried
_UNREACHABLE = "4.4.7 Given up: no smarthost could be reached in time"
_NICE = 10  # a machine on the LAN that waits for its 250 goes before mail that is on its way
_HURRY = 3.0  # seconds that the message under way has when we are told to end


def run(supervisor: Supervisor, scan: bool, flush: bool) -> None:
    """The life of one courier, in a child of the supervisor that still has the supervisor's rights."""
    found = _settings(f"{supervisor.plan['run_dir']}/{paths.ACCEPTED_CONFIG}")
    # Whatever is imported later is imported now, while we may read Python's library wherever it lies.
    from mailrelay.courier import advice  # noqa: F401

    if any(one.tls != "none" for one in found.smarthosts):
        from mailrelay.courier import certificate  # noqa: F401
    _thread.start_new_thread(_watch, (supervisor.lifeline_r,))
    os.nice(_NICE)
    supervisor.drop_rights()
    courier = Courier(
        found, supervisor.spool, supervisor.counters, supervisor.wake_r, supervisor.report_w, supervisor.memory
    )
    signal.signal(signal.SIGTERM, lambda *_: courier.stop())
    courier.run(scan, flush)


def _settings(path: str) -> Settings:
    """The settings as the supervisor has accepted them; parsed by a child, because the parsers are large."""
    answer_r, answer_w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            from mailrelay.config import schema

            with open(path, "rb") as file:
                found = schema.check(file.read(), path)[0]
            if found is not None:
                with os.fdopen(answer_w, "wb") as pipe:
                    marshal.dump(settings.whole(found), pipe)
        finally:
            os._exit(0)
    os.close(answer_w)
    with os.fdopen(answer_r, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    if not data:
        raise ValueError(path)
    return settings.restore(marshal.loads(data))


def _watch(lifeline: int) -> None:
    """End at once when the supervisor is gone, whatever the main thread waits for."""
    os.read(lifeline, 1)
    os._exit(1)


class Courier:
    """One courier and what it knows of the queue. memory: what earlier couriers left, see Router."""

    def __init__(
        self,
        found: Settings,
        where: spool.Spool,
        counters: memoryview,
        wake: int,
        report: int,
        memory: dict[str, list[str]],
    ) -> None:
        self.settings = found
        self.main = found.main
        self.spool = where
        self.counters = counters
        self.wake = wake
        self.report_fd = report
        self.router = Router(found, memory, self.tell)
        self.turns = FairQueue()
        self.aside: dict[str, deque[str]] = {one.name: deque() for one in found.smarthosts}
        self.due = float("inf")  # when the first of the messages that must wait is due
        self.flush = False
        self.suspect = ""  # the smarthost whose last connection broke over the first message
        self.unsynced = 0
        self.notices = notify.Notices(found, where)
        self.success: tuple[str, str] | None = None
        self.stopping = False
        self.bell, self.ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # a select goes on after a signal
        self.up: SmarthostConnection | None = None

    def run(self, scan: bool, flush: bool) -> None:
        self.flush = flush
        if scan:
            self.hear(forget=True)
            self.scan()
        self.hear()
        while not self.stopping:
            smarthost = self.next_smarthost()
            if smarthost is not None:
                self.visit(smarthost)
                self.hear()
            elif not self.turns:
                break
        self.leave(scan)

    def stop(self) -> None:
        """From a signal: finish the message under way, if it goes quickly."""
        self.stopping = True
        os.write(self.ring, b"\0")
        if self.up is not None:
            self.up.hurry(_HURRY)

    # What is there to do?

    def scan(self) -> None:
        """Look at everything: what is due, what is damaged, which failed mail has been kept long enough."""
        for queue_id in self.spool.ids(spool.QUEUE):
            self.enqueue(queue_id, fresh=False)
        expired = notify.expire_failed(self.spool, self.main.failed_lifetime)
        if expired is not None:
            self.due = min(self.due, clock.boottime() + expired)

    def enqueue(self, queue_id: str, *, fresh: bool) -> None:
        try:
            client, attempts, due = self.spool.peek(queue_id)
        except FileNotFoundError:
            return
        except (spool.Damaged, OSError) as error:
            self.unreadable(queue_id, error)
            return
        if due > clock.boottime() and not self.flush:
            self.due = min(self.due, due)
            return
        self.turns.add(client, queue_id, attempts, fresh=fresh)

    def unreadable(self, queue_id: str, error: Exception) -> None:
        """A file that is no whole message goes where the owner sees it; what the disk or the memory refuses waits."""
        if isinstance(error, (OSError, MemoryError)):
            log.event("not-read", log.ERROR, id=queue_id, reason=getattr(error, "strerror", "out of memory"))
            self.due = min(self.due, clock.boottime() + self.main.retry_max)
        else:
            self.set_aside(queue_id, error)

    def set_aside(self, queue_id: str, error: Exception) -> None:
        log.event("damaged", log.ERROR, id=queue_id, reason=error)
        try:
            os.rename(self.spool.path(spool.QUEUE, queue_id), self.spool.path(spool.FAIL, queue_id))
        except OSError:
            pass

    def hear(self, wait: float = 0.0, *, forget: bool = False) -> bool:
        """Take the ids of new mail from the pipe, within `wait` seconds. True if there were any."""
        if self.wake not in select.select([self.wake, self.bell], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.wake, 65536)
        except BlockingIOError:
            return False
        for word in data.decode("ascii", "replace").split():
            if spool.is_id(word) and not forget:
                self.enqueue(word, fresh=True)
        return True

    def next_smarthost(self) -> Smarthost | None:
        """One that something waits for and that may be tried; looks into the next messages to find out."""
        while True:
            waiting = [one for one in self.settings.smarthosts if self.aside[one.name]]
            for one in waiting:
                if self.router.free_at(one) <= clock.boottime():
                    return one
            if waiting:
                for one in waiting:
                    self.park(self.aside[one.name])
                continue
            queue_id = self.turns.next()
            if queue_id is None:
                return None
            if self.router.all_rest():
                self.due = min(self.due, self.router.first_free())
                self.turns.clear()
                return None
            message = self.take(queue_id)
            if message is not None:
                self.assign(message)

    def take(self, queue_id: str) -> spool.Message | None:
        """Open a message that may still be there and is nobody else's."""
        try:
            message = self.spool.open(queue_id)
        except FileNotFoundError:
            return None
        except spool.Busy:
            self.due = min(self.due, clock.boottime() + 5.0)
            return None
        except (spool.Damaged, OSError) as error:
            self.unreadable(queue_id, error)
            return None
        if message.due > clock.boottime() and not self.flush:
            self.due = min(self.due, message.due)
            message.close()
            return None
        return message

    def assign(self, message: spool.Message) -> None:
        """Put a message aside for the smarthost that is to have it, or let it wait until there is one. Closes it."""
        sender = message.envelope.sender
        with message:
            smarthost = self.router.choose(sender)
            if smarthost is not None:
                self.aside[smarthost.name].append(message.id)
            elif not self.router.candidates(sender):
                self.settle_all(message, "5.7.1 No smarthost is set up for this sender")
            elif message.envelope.age() > self.main.queue_lifetime:
                self.settle_all(message, _UNREACHABLE)
            else:
                self.due = min(self.due, self.router.first_free(sender))

    def park(self, ids: deque[str]) -> None:
        """These waited for a smarthost that rests now; another one may take them."""
        waiting = list(ids)
        ids.clear()
        for queue_id in waiting:
            message = self.take(queue_id)
            if message is not None:
                self.assign(message)

    # Deliver.

    def visit(self, smarthost: Smarthost) -> None:
        """One connection: everything that is due for this smarthost, and what comes in while it is open."""
        up = self.up = SmarthostConnection(smarthost, self.main.hostname.encode())
        settled = 0
        try:
            up.open()
            while True:
                for transaction, outcome in up.deliver(self.transactions(smarthost)):
                    settled += 1
                    self.works(smarthost)
                    self.settle(smarthost, transaction, outcome)
                self.works(smarthost)
                self.sync()
                if self.stopping or any(self.aside.values()):
                    break  # another smarthost has its turn
                if not self.hear(0.0 if self.due <= clock.boottime() else _LINGER):
                    break
        except Failure as failure:
            self.connection_failed(smarthost, failure, settled)
        except outgoing.Unreadable as unreadable:
            with unreadable.message as message:
                self.unreadable(message.id, unreadable.error)
        finally:
            self.up = None
            up.close()
            self.sync()

    def works(self, smarthost: Smarthost) -> None:
        self.router.works(smarthost)
        self.suspect = ""

    def transactions(self, smarthost: Smarthost) -> Iterator[Transaction]:
        """The messages for this smarthost, opened one by one as they are asked for."""
        mine = self.aside[smarthost.name]
        while not self.stopping:
            self.hear()
            queue_id = mine.popleft() if mine else self.turns.next()
            if queue_id is None:
                return
            message = self.take(queue_id)
            if message is None:
                continue
            if self.router.free_at(smarthost) > clock.boottime() or (
                self.router.choose(message.envelope.sender) is not smarthost
            ):
                self.assign(message)
                if self.router.free_at(smarthost) > clock.boottime():
                    return
                continue
            self.router.spend(smarthost)
            yield outgoing.transaction(message, self.main)

    def settle(self, smarthost: Smarthost, transaction: Transaction, outcome: Outcome) -> None:
        """Record what became of each recipient of one message."""
        message: spool.Message = transaction.tag
        with message:
            statuses = list(message.statuses)
            deferral = refusal = ""
            for place, reply in zip(message.pending(), outcome.recipients):
                recipient = message.envelope.recipients[place]
                facts: dict[str, Any] = {
                    "id": message.id,
                    "to": recipient,
                    "smarthost": smarthost.host,
                    "answer": reply,
                }
                if reply.ok:
                    statuses[place] = spool.DELIVERED
                    log.event("delivered", delay=f"{message.envelope.age():.1f}", **facts)
                elif reply.permanent:
                    statuses[place] = spool.FAILED
                    refusal = str(reply)
                    advice = explain.explain_reply(reply, outcome.stage, smarthost)
                    log.event("failed", log.ERROR, **facts, advice=advice)
                    self.notices.failed(message, recipient, str(reply), advice)
                    self.tell("failure", message.id, smarthost.host, outcome.stage, str(reply), advice)
                else:
                    deferral = str(reply)
                    log.event("deferred", log.WARNING, **facts)
            with self.recording(message):
                if all(status == spool.DELIVERED for status in statuses):
                    message.delete()
                    self.counters[counters.DELIVERED] += 1
                    self.success = (message.id, smarthost.host)
                    self.left_queue()
                    return
                if statuses != message.statuses:
                    message.set_statuses(statuses)
                self.unsettled(message, deferral or refusal)

    @contextmanager
    def recording(self, message: spool.Message) -> Iterator[None]:
        """On a full or broken disk the message is tried again, though not at once, and the others go on."""
        try:
            yield
        except OSError as error:
            log.event("not-recorded", log.ERROR, id=message.id, reason=error.strerror)
            self.due = min(self.due, clock.boottime() + self.main.retry_max)

    def unsettled(self, message: spool.Message, answer: str) -> None:
        """Some recipients are pending or have failed: wait, or give up what has waited too long."""
        attempts = message.attempts + 1
        if message.pending():
            if message.envelope.age() > self.main.queue_lifetime:
                self.settle_all(message, f"4.4.7 Given up after {self.main.queue_lifetime} s: {answer}")
                return
            wait = min(self.main.retry_min * 2.0 ** min(attempts - 1, 30), self.main.retry_max)
            due = round(clock.boottime() + wait, 1)  # as exact as it is recorded
            self.due = min(self.due, due)
            self.counters[counters.DEFERRED] += 1
            if attempts == 1:
                self.tell("failure", message.id, "", "deferred", answer, "")
            message.note_attempt(attempts, due, answer)
        else:
            message.note_attempt(attempts, 0.0, answer)
            message.finish()
            self.counters[counters.FAILED] += 1
            self.left_queue()

    def settle_all(self, message: spool.Message, answer: str) -> None:
        """The same fate for every pending recipient, without asking a smarthost."""
        for place in message.pending():
            recipient = message.envelope.recipients[place]
            log.event("failed", log.ERROR, id=message.id, to=recipient, answer=answer)
            self.notices.failed(message, recipient, answer, "")
        with self.recording(message):
            message.set_statuses([spool.FAILED if one == spool.PENDING else one for one in message.statuses])
            self.unsettled(message, answer)

    def connection_failed(self, smarthost: Smarthost, failure: Failure, settled: int) -> None:
        """The smarthost rests for what fails before MAIL, the messages under way for what fails after it."""
        if self.stopping:  # it was us who would not wait
            for transaction in failure.in_flight:
                log.event("interrupted", log.NOTICE, id=transaction.tag.id, stage=failure.stage)
                transaction.tag.close()
            return
        advice = explain.explain(failure, smarthost)
        log.event(
            "smarthost-failed",
            log.ERROR,
            smarthost=smarthost.host,
            stage=failure.stage,
            cause=failure.cause,
            answer=failure.text,
            advice=advice,
        )
        idle = settled and failure.stage == "mail" and failure.code != 421  # it hung up while nothing was on its way
        for transaction in failure.in_flight:
            message: spool.Message = transaction.tag
            with message:
                if idle:
                    self.aside[smarthost.name].append(message.id)
                    continue
                if transaction is failure.unsure:
                    log.event(
                        "answer-lost", log.WARNING, id=message.id, text="sent but not confirmed, will be sent again"
                    )
                with self.recording(message):
                    self.unsettled(message, f"{failure.stage}: {failure.text}")
        self.tell("failure", "", smarthost.host, failure.stage, failure.text, advice)
        if failure.in_flight and failure.stage != "login" and failure.code != 421 and not settled:
            # Maybe it is that message that it breaks over: the next one may fare better, once.
            rests = self.suspect == smarthost.name
            self.suspect = smarthost.name
        else:
            rests = not settled or failure.code == 421
        if rests:
            self.router.rest(smarthost, failure)
            if failure.cause in notify.OWNERS_BUSINESS and self.router.is_news(smarthost, failure.cause):
                self.notices.trouble(smarthost, failure, advice)

    def left_queue(self) -> None:
        self.unsynced += 1
        if self.unsynced >= _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Make it last that messages have left the queue; until then a power cut sends them again."""
        if self.unsynced:
            self.unsynced = 0
            self.spool.sync(spool.QUEUE)
        if self.success is not None:
            self.tell("success", *self.success)
            self.success = None

    # Leave.

    def leave(self, scanned: bool) -> None:
        """Write the notices, look for mail that is stuck, and tell the supervisor when to start the next courier."""
        self.sync()
        if self.router.all_rest() and not self.stopping:
            self.give_up_expired()
        for queue_id in self.notices.send():
            if not self.router.all_rest():
                self.due = min(self.due, 0.0)
            log.event("notice", id=queue_id, to=self.main.postmaster)
        if not self.stopping:
            told = self.router.memory.get("stuck")
            stuck = self.notices.stuck(float(told[0]) if told else None)
            if stuck is not None:
                self.tell("remember", "stuck", str(stuck)) if stuck else self.tell("forget", "stuck")
        blocked = 0.0
        if self.router.all_rest():
            blocked = self.router.first_free()
            # However long they rest, somebody has to see what is stuck or too old.
            look = min(blocked, clock.boottime() + _LOOK)
            self.due = look if self.spool.ids(spool.QUEUE) else max(look, self.due)
        due = "" if self.due == float("inf") else f"{self.due:.3f}"
        self.tell("leaving", "0" if self.stopping else due, "0" if self.stopping else f"{blocked:.3f}")

    def give_up_expired(self) -> None:
        """While no smarthost can be reached, mail still gets too old; oldest first, as far as needed."""
        for queue_id in self.spool.ids(spool.QUEUE):
            message = self.take(queue_id)
            if message is None:
                continue
            with message:
                if message.envelope.age() > self.main.queue_lifetime:
                    self.settle_all(message, _UNREACHABLE)
                elif message.envelope.clock_trusted:
                    return  # those after it are younger

    def tell(self, *words: str) -> None:
        """A line for the supervisor."""
        line = "\t".join(" ".join(word.split()) for word in words).encode("utf-8", "replace")
        select.select([], [self.report_fd], [], 5.0)
        try:
            os.write(self.report_fd, line[:2000] + b"\n")
        except BlockingIOError:
            pass
