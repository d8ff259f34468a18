"""What the relay tells of itself: gathered when something has changed, written once a second at most.

For the supervisor's loop. Counts messages by their names only: the supervisor may be root, and the folders belong to
somebody who is not.
"""

from __future__ import annotations

import os

from mailrelay.core import clock, counters
from mailrelay.core.ipc import NEVER
from mailrelay.core.version import VERSION
from mailrelay.daemon import carried_state, days, status_file
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.daemon.status_file import StatusFacts

_HOUR = 3600.0
_PAUSE = 1.0  # seconds between two writes, at least
_JUMP = 2.0  # seconds by which the wall clock is set, not slewed


class Status:
    """`changed`: something is to be written that only the supervisor knows of."""

    def __init__(self, run_dir: str, spool_dir: str, counts: memoryview) -> None:
        self.changed = True
        self._run_dir = run_dir
        self._spool_dir = spool_dir
        self._counters = counts
        self._counted = counters.totals(counts)
        self._stamp: list[int] = []
        self._started = self._since = clock.wall()
        self._days = days.Days(self._counted, self._started)
        self._days_known = False  # what an earlier relay wrote down of these days
        self._kept = self._counted  # as the days' file has it
        self._keep_due = clock.boottime() + _HOUR
        self._write_due = 0.0
        self._offset = 0.0  # of the wall clock to the boot's
        self._empty = 0.0  # when the queue was last seen empty; 0: never

    def look(self) -> None:
        """Notice what changes without anybody's telling: the date, the clock, counters, the spool's folders."""
        another_day = self._days.turn(self._counted, clock.wall())
        if another_day:
            self._keep_due = 0.0
        if abs(clock.wall() - clock.boottime() - self._offset) > _JUMP or another_day:
            self.changed = True
        if counters.totals(self._counters) != self._counted or _stamp(self._spool_dir) != self._stamp:
            self.changed = True

    def next_due(self) -> float:
        return self._write_due if self.changed else NEVER

    def restore(self, state: dict[str, list[str]]) -> None:
        """Go on counting where an earlier relay stopped: of this boot by its `state`, of these days by their file.

        state: as save() left it; there may be more. Before anything is counted. ValueError if it is something else.
        """
        self._restore_days()
        since, *counts = carried_state.kept(state).get("counts", [str(self._since)])
        earlier = {name: int(count) for name, _, count in [word.partition("=") for word in counts]}
        for place, name in counters.NAMES.items():
            self._counters[place] = earlier.get(name, 0)
        self._since = float(since)
        self._counted = self._kept = counters.totals(self._counters)
        self._days.begin(self._counted)

    def move(self, spool_dir: str) -> None:
        """Look into another spool from now on, or into one whose storage has come."""
        self._spool_dir = spool_dir
        if not self._days_known:
            self._restore_days()

    def _restore_days(self) -> None:
        text = days.read(self._spool_dir)
        self._days.restore(text)
        self._days_known = bool(text)

    def save(self) -> dict[str, list[str]]:
        """Return what the next relay of this boot is to know, as carried state."""
        counts = counters.named(counters.totals(self._counters))
        words = [f"{self._since:.3f}", *[f"{name}={count}" for name, count in counts.items()]]
        return carried_state.keep({"counts": words})

    def days_to_keep(self, now: float, *, end: bool = False) -> bytes:
        """Return the days' file if it is to be written now, b"" if not.

        At the relay's end, at midnight, and once in an hour in which something was counted: flash wears out.
        """
        if now < self._keep_due and not end:
            return b""
        seen = counters.totals(self._counters)
        if seen == self._kept:
            return b""
        self._kept, self._keep_due, self._days_known = seen, now + _HOUR, True
        return self._days.encode(seen)

    def write(self, facts: StatusFacts, now: float, seen: tuple[str, float]) -> None:
        """Write the file: `facts`, and what this object knows. seen: a queue id and when that mail came in."""
        self.changed = False
        self._offset = clock.wall() - now
        self._write_due = now + _PAUSE
        self._counted = counters.totals(self._counters)
        self._stamp = _stamp(self._spool_dir)
        counts, oldest = _census(self._spool_dir)
        if not oldest:
            self._empty = now
        known: StatusFacts = {
            "version": VERSION,
            "pid": os.getpid(),
            "started": self._started,
            "updated": clock.wall(),
            "uptime": now,
            "clock_trusted": clock.trusted(),
            "spool": self._spool_dir,
            "counts": counters.named(self._counted),
            "counted_since": self._since,
            "today": self._days.today(self._counted),
            "days": self._days.facts(self._counted, clock.wall()),
            "queue": counts[spool.QUEUE],
            "deferred": min(counters.waiting(self._counted), counts[spool.QUEUE]),
            "hold": counts[spool.HOLD],
            "failed": counts[spool.FAIL],
            "oldest": clock.wall() - age(oldest, now, seen, self._empty) if oldest else None,
        }
        facts["warnings"] = [*_hindrances(self._spool_dir, facts), *facts["warnings"]]
        status_file.write(self._run_dir, {**known, **facts})


def _hindrances(spool_dir: str, facts: StatusFacts) -> list[dict[str, str | bool]]:
    """Return what keeps mail from coming in as warnings, for programs that look at nothing else."""
    texts = [
        (status_file.PORT_TAKEN, f"{one['endpoint']} is taken by {one['by'] or 'another program'}; {one['advice']}")
        for one in facts["port_taken"]
    ]
    if facts["spool_missing"]:
        text = f"{spool_dir}: its storage is not mounted, all mail is refused for now"
        texts.append((status_file.SPOOL_MISSING, text))
    return [{"code": code, "warning": False, "text": text} for code, text in texts]


def age(queue_id: str, now: float, seen: tuple[str, float], empty: float) -> float:
    """Return for how many seconds a mail has waited, by the clock that nobody sets.

    Exact where a courier has seen it, which opens messages; `seen` is what that says. Until then the id's wall time has
    to do, but it cannot have come in before the queue was last empty. Times are CLOCK_BOOTTIME seconds.
    """
    if queue_id == seen[0]:
        return now - seen[1]
    longest = now - empty if empty else now if not clock.trusted() else NEVER
    return min(max(clock.wall() - spool.arrival(queue_id), 0.0), longest)


def may_hold_mail(root: str) -> bool:
    """Return whether anything lies in the spool, or nobody may look."""
    return any(_census(root)[0].values()) or not os.access(f"{root}/{spool.QUEUE}", os.R_OK)


def _census(root: str) -> tuple[dict[str, int], str]:
    """Count the messages in each state, and find the queue id of the oldest that waits ("" for none)."""
    counts = {}
    oldest = ""
    for state in spool.STATES:
        counts[state] = 0
        try:
            with os.scandir(f"{root}/{state}") as entries:
                for entry in entries:
                    counts[state] += 1
                    if state == spool.QUEUE and (not oldest or entry.name < oldest) and spool.is_id(entry.name):
                        oldest = entry.name
        except OSError:
            pass
    return counts, oldest


def _stamp(root: str) -> list[int]:
    """Return when each state's directory was changed, by whomever: what the owner deletes is noticed too."""
    stamps = []
    for state in spool.STATES:
        try:
            stamps.append(os.stat(f"{root}/{state}").st_mtime_ns)
        except OSError:
            stamps.append(0)
    return stamps
