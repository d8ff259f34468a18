"""The dispatcher: what couriers are told, what they report, what they leave for the next ones.

`schedule` decides when one starts, the supervisor forks it. What a courier says is taken as text from a stranger.
"""

from __future__ import annotations

import os

from mailrelay.core import clock, counters, ipc, log
from mailrelay.daemon import carried_state
from mailrelay.daemon.outcomes import Outcomes
from mailrelay.daemon.schedule import Schedule, Second
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.core.ledger import Ledger
    from mailrelay.daemon.status_file import StatusFacts

_LOOK = 5.0  # seconds until a look at what a second courier that still works has read the ids of and left


class Post:
    """Where one courier at a time works. `pid`: 0 while none does. The pipe takes its reports."""

    def __init__(self) -> None:
        self.pid = 0
        self.report_r, self.report_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""  # words of the courier that are not a line yet

    def clear(self) -> None:
        """Forget what an earlier courier did not say to its end."""
        self._rest = b""

    def reports(self) -> list[ipc.Report]:
        """Return what has come in by now."""
        reports = []
        lines, self._rest = ipc.read_reports(self.report_r, self._rest)
        for line in lines:
            try:
                reports.append(ipc.decode_report(line))
            except ValueError:
                log.event("bad-report", log.ERROR, line=line[:200])
        return reports


class Orders:
    """What a courier is told. scan: look through the whole queue; flush: everything is due.

    busy, state: for a second courier, the smarthost that the first one's transfer goes to, and how that does.
    """

    __slots__ = ("busy", "flush", "scan", "state")

    def __init__(self, scan: bool, flush: bool, busy: str = "", state: str = "") -> None:
        self.scan = scan
        self.flush = flush
        self.busy = busy
        self.state = state


class Dispatcher:
    """Of two couriers at most: `first` delivers what is due, `second` helps while a transfer of the first one lasts."""

    def __init__(self, delivers: bool, counts: memoryview, ledger: Ledger) -> None:
        self.schedule = Schedule(delivers)
        self.second_schedule = Second()
        self.first, self.second = Post(), Post()
        self.ledger = ledger
        self.carried_state: dict[str, list[str]] = {}
        self.outcomes = Outcomes()
        self.oldest = ("", 0.0)  # the oldest mail that waits, as the last courier saw it: queue id, when it came in
        self._counters = counts
        self._requested: list[str] = []  # queue ids that the owner wants to be tried now
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        return [post.pid for post in (self.first, self.second) if post.pid]

    # When?

    def due(self, now: float) -> list[Post]:
        """Return the posts that a courier is to be started for."""
        if self._counters[counters.OVERFLOW]:
            self.schedule.ids_lost()
            self.second_schedule.wake()
        due = [self.first] if self.schedule.due_now(now) else []
        return [*due, self.second] if now >= self.second_schedule.next_due() else due

    def next_due(self) -> float:
        """Return when the next courier is to be started if nothing else happens."""
        return min(self.schedule.next_due(), self.second_schedule.next_due())

    def ids_due(self) -> float:
        """Return from when on to listen to the pipe of ids; NEVER while the couriers do."""
        return min(self.schedule.ids_due(), self.second_schedule.ids_due())

    def ids_waiting(self) -> None:
        """Note that ids of new mail lie in the pipe."""
        if self.schedule.running:
            self.second_schedule.wake()
        else:
            self.schedule.ids_waiting()

    # What couriers do and say

    def start(self, post: Post, now: float) -> Orders:
        """Make ready for a courier that is forked next."""
        post.clear()
        busy = state = ""
        if post is self.second:
            scan, flush = True, self.second_schedule.start()
            busy, state = self.second_schedule.busy, self.second_schedule.state
        else:
            scan, flush = self.schedule.start(now)
        if scan:
            self._counters[counters.OVERFLOW] = 0
        if flush:
            self._forget_hosts()
        return Orders(scan, flush, busy, state)

    def not_started(self, post: Post, orders: Orders, again: float) -> None:
        """Note that there was no process for it, and when to try again."""
        if post is self.second:
            self.second_schedule.not_started(orders.flush, again)
        else:
            self.schedule.not_started(orders.scan, orders.flush, again)

    def end(self, pid: int, exit_code: int, now: float) -> bool:
        """Note that a courier has ended. Return false if it crashed."""
        self.read_reports()
        if pid == self.second.pid:
            self.second.pid = 0
            self.schedule.scan()  # it left mail, maybe, that it has read the ids of
            return self.second_schedule.end(exit_code, now)
        self.first.pid = 0
        self.second_schedule.over()
        if self.second.pid:
            self.schedule.scan(now + _LOOK)
        self._send_requested()
        return self.schedule.end(exit_code, now)

    def read_reports(self) -> None:
        for post in (self.first, self.second):
            for report in post.reports():
                self._take(report, post)

    def _take(self, report: ipc.Report, post: Post) -> None:
        if report[0] == "leaving":
            if post is self.first:
                self.schedule.report(report[1], report[2])
            else:
                self.second_schedule.report(report[1])
        elif report[0] == "slow":
            if post is self.first:
                self.second_schedule.slow(*report[1:])
        elif report[0] == "opened":
            self.outcomes.note_opened(report[1])
        elif report[0] == "success":
            self.outcomes.note_success(clock.boottime(), *report[1:])
        elif report[0] == "failure":
            self.outcomes.note_failure(clock.boottime(), report[1])
        elif report[0] == "oldest":
            self.oldest = report[1], clock.boottime() - report[2]
        elif report[0] == "remember":
            self.carried_state[report[1]] = report[2]
        else:
            self.carried_state.pop(report[1], None)

    def facts(self, smarthosts: dict[str, str], now: float) -> StatusFacts:
        """Return what the status file says of couriers and what they reported. smarthosts: "host:port" by name."""
        offset = clock.wall() - now
        self.outcomes.keep(smarthosts)
        blocked_until = self.schedule.blocked_until
        return {
            "provider": bool(smarthosts),
            "smarthosts": list(smarthosts.values()),
            "delivering": bool(self.pids()),
            "next_try": offset + blocked_until if blocked_until > now else None,
            "last_success": self.outcomes.last_success(offset),
            "last_failure": self.outcomes.last_failure(offset),
            "providers": self.outcomes.providers(smarthosts, self.carried_state, now, offset),
            "troubles": carried_state.troubles(self.carried_state),
        }

    def save(self) -> dict[str, list[str]]:
        """Return what the next relay of this boot is to know: OpenWrt starts one for each change of the settings."""
        return {**carried_state.lasting(self.carried_state), **carried_state.keep(self.outcomes.save())}

    def restore(self, state: dict[str, list[str]]) -> None:
        """Take what save() returned in an earlier relay; there may be more. ValueError if it is something else."""
        kept = carried_state.kept(state)
        self.carried_state = {name: words for name, words in state.items() if name not in carried_state.keep(kept)}
        self.outcomes.restore(kept)

    def tell_refused(self, news: list[tuple[str, str, int, str]]) -> None:
        """Have a courier tell the owner of machines on the LAN that were refused: client, reply, how often, advice."""
        for client, reply, count, advice in news:
            self.carried_state[f"refused {client}"] = [reply, str(count), advice]
            self.schedule.scan()

    # What the owner wants

    def request(self, lines: list[str]) -> None:
        """Take words of the commands that change the queue: queue ids go the way of new mail."""
        if ipc.FLUSH in lines:
            self.flush()
        if ipc.LOOK in lines:
            self.schedule.scan()
        self._requested += filter(spool.is_id, lines)
        self._send_requested()

    def _send_requested(self) -> None:
        """Send the requested ids; a courier at work may leave them, so that they are for the next one, too."""
        if self._requested:
            self.schedule.unblock()
            self._forget_hosts()
            if not ipc.write_ids(self.wake_w, self._requested):
                self.flush()
            if not self.first.pid:
                self._requested.clear()

    def flush(self) -> None:
        """Have every message and every smarthost tried now."""
        log.event("flush", log.NOTICE)
        self.schedule.flush()
        self.second_schedule.wake(flush=True)

    def new_settings(self, delivers: bool) -> None:
        """Keep of the carried state what outlives settings."""
        self.carried_state = carried_state.lasting(self.carried_state)
        self.schedule.new_settings(delivers)
        self.second_schedule.over()

    def stop(self) -> None:
        """Start no courier any more: the relay ends."""
        self.schedule.stop()
        self.second_schedule.over()

    def _forget_hosts(self) -> None:
        self.carried_state = carried_state.lasting(self.carried_state)
