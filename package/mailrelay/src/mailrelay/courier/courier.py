"""The courier: delivers what is due and leaves.

Forked by the supervisor when mail is due, with the settings and their secrets; becomes the spool's owner. Blocking
sockets, one connection at a time; docs/dev/INTERNALS.md says what a message goes through here. What the next courier
must know goes to the supervisor as text: when mail is due, until when which smarthost is left alone. While a transfer
lasts, a second courier helps: `second` says what that takes.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import time

from mailrelay.core import clock, counters, ipc, log
from mailrelay.courier import expiry, explain, notify, outgoing, second
from mailrelay.courier.assignment import Assignment
from mailrelay.courier.disk import Disk
from mailrelay.courier.explain import SENDER, SETTING
from mailrelay.courier.failure import Failure
from mailrelay.courier.fair_queue import FairQueue
from mailrelay.courier.opener import Opener
from mailrelay.courier.rates import SharedRates
from mailrelay.courier.recorder import Recorder
from mailrelay.courier.routing import Routes
from mailrelay.courier.smarthost import SmarthostConnection
from mailrelay.courier.transfer import Transfer
from mailrelay.spool import spool
from mailrelay.spool.message import Message  # while Python's library can still be read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.core.ledger import Ledger
    from mailrelay.smtp.transaction import Transaction

_LINGER = 1.0  # seconds that an idle connection waits for more mail
_BUSY = 5.0  # seconds until a look at what another courier has: a message, or a smarthost's only connection
_LOOK = 900.0  # seconds that the queue is left alone at most while no smarthost may be tried
_NICE = 10  # a machine on the LAN that waits for its 250 goes before mail that is on its way
_HURRY = 3.0  # seconds that the message under way has when we are told to end


def run(courier: Courier, lifeline: int, *, scan: bool) -> None:
    """Let a courier deliver in a process of its own, for as long as the lifeline is held."""
    _thread.start_new_thread(_watch, (lifeline,))
    time.tzset()  # the time zone may have been changed since the supervisor began
    os.nice(_NICE)
    signal.signal(signal.SIGTERM, lambda *_: courier.stop())
    courier.run(scan=scan)


def _watch(lifeline: int) -> None:
    """End at once when the supervisor is gone, whatever the main thread waits for."""
    os.read(lifeline, 1)
    os._exit(1)


class Courier:
    """One courier and what it knows of the queue.

    wake, report: pipes that bring the ids of new mail and take reports. carried_state: what earlier couriers left, see
    routing. flush: everything is due. busy, state: of a second courier, the smarthost that the first one's transfer
    goes to, and how it does; see second.
    """

    def __init__(
        self,
        settings: Settings,
        where: spool.Spool,
        counts: memoryview,
        wake: int,
        report: int,
        carried_state: dict[str, list[str]],
        ledger: Ledger,
        *,
        flush: bool = False,
        busy: str = "",
        state: str = "",
    ) -> None:
        self.smarthosts = {smarthost.name: smarthost for smarthost in settings.smarthosts}
        self.main = settings.main
        self.counters = counts
        self.spool = where
        self.wake_fd = wake
        self.report_fd = report
        self.ledger = ledger
        self.busy = busy
        self.routes = Routes(settings, carried_state, self.report)
        self.rates = SharedRates(ledger, self.routes, settings.smarthosts)
        self.rates.learn()
        self.queue = FairQueue(self.smarthosts, everything_due=flush)
        self.notices = notify.Notices(settings, where, carried_state, self.report)
        self.notices.unheard = busy
        self.refused = {name: values for name, values in carried_state.items() if name.startswith("refused ")}
        disk = Disk(ledger, self.notices)
        self.opener = Opener(settings.main, where, self.queue, self.notices, disk, ipc.NEVER if busy else _BUSY)
        self.recorder = Recorder(settings, where, counts, self.queue, self.routes, self.report, self.notices, disk)
        parts = (self.smarthosts, self.queue, self.routes, self.opener, self.recorder)
        self.assignment = Assignment(*parts, busy, state)
        self.stopping = False
        self.bell_r, self.bell_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # a select goes on after a signal
        self.connection: SmarthostConnection | None = None

    def run(self, *, scan: bool) -> None:
        """Go on until nothing is due that may be sent. scan: look through the whole queue first."""
        if scan:
            self.read_wakeups(forget=True)
            self.scan()
        self.read_wakeups()
        while not self.stopping:
            smarthost = self.assignment.next_smarthost()
            if smarthost is None:
                break
            self.run_connection(smarthost)
            self.read_wakeups()
        self.leave()

    def stop(self) -> None:
        """Finish the message under way if it goes quickly, and end. Called by a signal handler."""
        self.stopping = True
        os.write(self.bell_w, b"\0")
        if self.connection is not None:
            self.connection.hurry(_HURRY)

    # What is there to do?

    def scan(self) -> None:
        """Look at everything: what is due, what is damaged, which failed mail has been kept long enough."""
        tried = 0
        for queue_id in self.spool.ids(spool.QUEUE):
            tried += self.opener.enqueue(queue_id, fresh=False)
        if self.busy:
            return
        counters.correct_waiting(self.counters, tried)
        self.report_oldest()
        expired = expiry.expire_failed(self.spool, self.main.failed_lifetime)
        if expired is not None:
            self.queue.postpone(clock.boottime() + expired)

    def read_wakeups(self, wait: float = 0.0, *, forget: bool = False) -> bool:
        """Take the ids of new mail from the pipe, within `wait` seconds. Return whether there were any."""
        if self.wake_fd not in select.select([self.wake_fd, self.bell_r], [], [], wait)[0]:
            return False
        words = ipc.read_lines(self.wake_fd)
        for queue_id in filter(spool.is_id, () if forget else words):
            self.opener.enqueue(queue_id, fresh=True)
        return bool(words)

    # Deliver.

    def run_connection(self, smarthost: Smarthost) -> None:
        """Send everything that is due for this smarthost, and what comes in while the connection is open."""
        place = list(self.smarthosts).index(smarthost.name)
        if smarthost.connections == 1 and not self.ledger.reserve(place):
            self.routes.leave_alone(smarthost, clock.boottime() + _BUSY)
            return
        transfer = Transfer(lambda state: self.transfer_lasts(smarthost, state))
        hostname = self.main.hostname.encode()
        connection = self.connection = SmarthostConnection(smarthost, hostname, transfer=transfer)
        settled = 0
        try:
            with connection:
                self.report("opened", smarthost.name)
                while True:
                    for transaction, outcome in connection.deliver(self.transactions(smarthost)):
                        settled += 1
                        message: Message = transaction.tag
                        with message:
                            ours = message.take_back()
                            due_now = ours and self.recorder.record_outcome(message, outcome, smarthost)
                        if due_now:  # for another smarthost
                            self.assignment.reassign([message.id])
                    self.recorder.works(smarthost)
                    self.recorder.sync()
                    if self.stopping or self.queue.with_ready():
                        break  # another smarthost has its turn
                    in_a_hurry = self.busy or self.queue.next_due <= clock.boottime()
                    if not self.read_wakeups(0.0 if in_a_hurry else _LINGER):
                        break
        except Failure as failure:
            self.connection_failed(smarthost, failure, settled)
        except outgoing.Unreadable as unreadable:
            with unreadable.message as message:
                self.opener.unreadable(message.id, unreadable.error)
        finally:
            self.connection = None
            if smarthost.connections == 1:
                self.ledger.release(place)
            self.recorder.sync()

    def transfer_lasts(self, smarthost: Smarthost, state: str) -> None:
        """Tell the supervisor, so that a second courier can help. It may have what has not begun to go, too."""
        if self.busy:
            return
        due = self.queue.due()
        if state and self.connection is not None:
            lent = [transaction.tag.lend() for transaction in self.connection.in_flight]
            due = 0.0 if any(lent) else due
        self.report("slow", smarthost.name, state, ipc.encode_time(due))

    def transactions(self, smarthost: Smarthost) -> Iterator[Transaction]:
        """Yield the messages for this smarthost, opened one by one as they are asked for."""
        while not self.stopping:
            self.read_wakeups()
            queue_id = self.queue.next_for(smarthost.name)
            if queue_id is None:
                return
            message = self.opener.open(queue_id)
            if message is None:
                continue
            now = clock.boottime()
            if self.routes.available_at(smarthost) > now:
                self.assignment.assign(message)
                return
            if not message.pending() or self.assignment.choose(message, now) is not smarthost:
                self.assignment.assign(message)
                continue
            if not self.rates.take(smarthost, now):
                self.assignment.assign(message)
                return
            yield outgoing.transaction(message, self.main, smarthost)

    def connection_failed(self, smarthost: Smarthost, failure: Failure, settled: int) -> None:
        """Back off from the smarthost for what fails before MAIL, put off the messages for what fails after it."""
        if self.stopping:  # it was us who would not wait
            for transaction in failure.in_flight:
                log.event("interrupted", log.NOTICE, id=transaction.tag.id, stage=failure.stage)
                transaction.tag.close()
            return
        verdict, hint = explain.explain(failure, smarthost)
        host, stage, cause, answer = smarthost.host, failure.stage, failure.cause, failure.answer
        log.event("smarthost-failed", log.ERROR, smarthost=host, stage=stage, cause=cause, answer=answer, advice=hint)
        idle = settled and stage == "mail" and failure.code != 421  # it hung up while nothing was on its way
        for place, transaction in enumerate(failure.in_flight):
            message: Message = transaction.tag
            with message:
                if not message.take_back():
                    continue
                if idle or place > 0:  # only its envelope went, behind the message that the connection broke over
                    self.queue.make_ready(smarthost.name, message.id)
                    continue
                if transaction is failure.unsure:
                    fate = "sent but not confirmed, will be sent again"
                    log.event("answer-lost", log.WARNING, id=message.id, text=fate)
                self.recorder.put_off(message, smarthost, failure, hint)
        to_blame = self.routes.connection_failed(smarthost, failure, verdict, settled, clock.boottime())
        if smarthost.name == self.busy:
            return  # the first connection tells how it is
        self.recorder.sync()
        if to_blame or (failure.in_flight and not idle):
            state = ipc.BAD if to_blame and not 400 <= failure.code < 500 else ipc.WAITING
            self.report("failure", "", smarthost.name, host, stage, state, "", answer, *hint.words())
        if to_blame and verdict in (SENDER, SETTING):
            self.notices.trouble(smarthost, stage, cause, answer, hint)

    # Leave.

    def leave(self) -> None:
        """Write the notices, look for mail that is stuck, and tell the supervisor when to start the next courier."""
        self.recorder.sync()
        if self.all_unavailable() and not self.stopping and not self.busy:
            self.give_up_expired()
        if not self.stopping and not self.busy:
            self.queue.postpone(self.notices.settle())
            self.notices.stuck()
            self.report_oldest()
        for name, (reply, count, advice) in () if self.busy else self.refused.items():  # machines on the LAN
            self.notices.refused(name.partition(" ")[2], reply, int(count), advice)
            self.report("forget", name)
        now = clock.boottime()
        way_open = self.routes.first_available_at(now, notify.notice_envelope(self.main)) <= now
        for queue_id in self.notices.send(way_open=way_open):
            if way_open:
                self.queue.postpone(0.0)
            log.event("notice", id=queue_id, to=self.main.postmaster)
        self.queue.postpone(self.notices.held_until())
        if self.stopping:
            self.report("leaving", "0", "0")
            return
        if self.busy:
            self.report("leaving", ipc.encode_time(self.queue.next_due), "0")
            return
        due, blocked = self.queue.next_due, 0.0
        if self.all_unavailable():
            now = clock.boottime()
            blocked = self.routes.first_available_at(now)
            # However long that is, somebody has to see what is stuck or too old.
            look = min(blocked, now + _LOOK)
            due = look if self.spool.ids(spool.QUEUE) else max(look, due)
        self.report("leaving", ipc.encode_time(due), ipc.encode_time(blocked))

    def all_unavailable(self) -> bool:
        now = clock.boottime()
        return self.routes.first_available_at(now) > now

    def give_up_expired(self) -> None:
        """Let fail what got too old while no smarthost could be reached: oldest first, as far as needed."""
        for queue_id in self.spool.ids(spool.QUEUE):
            message = self.opener.open(queue_id)
            if message is None:
                continue
            with message:
                if self.recorder.is_expired(message):
                    self.recorder.give_up(message)
                elif message.envelope.clock_trusted:
                    return  # those after it are younger

    def report_oldest(self) -> None:
        """Tell the supervisor, which opens no message, for how long the oldest has waited."""
        oldest = self.notices.oldest()
        if oldest:
            self.report("oldest", oldest[0], f"{oldest[1]:.3f}")

    def report(self, *words: str) -> None:
        """Write a line for the supervisor."""
        if self.busy and words[0] in ("remember", "forget") and second.concerns(words[1], self.busy):
            return
        select.select([], [self.report_fd], [], 5.0)
        try:
            os.write(self.report_fd, ipc.encode_report(*words))
        except BlockingIOError:
            pass
