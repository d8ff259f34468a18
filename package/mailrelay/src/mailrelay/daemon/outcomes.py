"""What went well and what did not: the last success, failures whose cause is still there, how each smarthost is.

For the supervisor's loop, which takes it from couriers' reports; the one place that decides what the status calls good,
waiting or bad. No clock: times are CLOCK_BOOTTIME seconds and passed in.
"""

from __future__ import annotations

from mailrelay.core.ipc import BAD, WAITING
from mailrelay.daemon import status_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailrelay.daemon.status_file import Advice, Failure, Provider, Success

    State = dict[str, list[str]]

_MAILS = 32  # failures of single mails that are kept, the latest
_LONGEST = 1e8  # seconds that a smarthost rests
_OPENING = ("name", "connect", "tls", "certificate", "banner", "ehlo", "starttls", "login")
_GOOD, _UNKNOWN = "good", "unknown"


class Event:
    """A failure as a courier reported it. state: WAITING or BAD, if that is said of the smarthost, else ""."""

    __slots__ = ("_advice", "answer", "deferred", "host", "id", "name", "stage", "state", "time")

    def __init__(self, time: float, words: Sequence[str]) -> None:
        self.time = time
        words = (*words, *[""] * (7 - len(words)))  # the end of a long report was cut
        self.id, self.name, self.host, self.stage, self.state, deferred, self.answer, *self._advice = words
        self.deferred = bool(deferred)

    def words(self) -> list[str]:
        """Return what the constructor takes."""
        deferred = "1" if self.deferred else ""
        return [self.id, self.name, self.host, self.stage, self.state, deferred, self.answer, *self._advice]

    def advice(self) -> Advice:
        return status_file.advice_facts(self._advice)


class Outcomes:
    """`success`: when the last mail went out, its queue id, and the name and host of the smarthost."""

    __slots__ = ("_hosts", "_last", "_mails", "_states", "success")

    def __init__(self) -> None:
        self.success: tuple[float, str, str, str] | None = None
        self._mails: dict[str, Event] = {}  # by queue id: their files are still there; the latest failure stands last
        self._hosts: dict[str, Event] = {}  # by smarthost: it has not been of use since
        self._last: dict[str, tuple[float, bool]] = {}  # by smarthost: when a mail last went well there, or did not
        self._states: dict[str, tuple[str, float]] = {}  # by smarthost: what was last said of it, and since when

    # Told.

    def note_success(self, now: float, queue_id: str, name: str, host: str) -> None:
        """Note that a message went out: what was wrong with that smarthost is mended."""
        self.success = now, queue_id, name, host
        self._hosts.pop(name, None)
        self._last[name] = now, True

    def note_opened(self, name: str) -> None:
        """Note that a smarthost could be reached and logged in to: what failed on the way there is mended."""
        failed = self._hosts.get(name)
        if failed is not None and failed.stage in _OPENING and not failed.id:
            del self._hosts[name]

    def note_failure(self, now: float, words: Sequence[str]) -> None:
        """Note that a message or a smarthost failed. words: as in a courier's report."""
        event = Event(now, words)
        if event.name:
            self._last[event.name] = now, False
        if event.id:
            self._mails.pop(event.id, None)
            self._mails[event.id] = event
            if len(self._mails) > _MAILS:
                del self._mails[next(iter(self._mails))]
        if event.state == BAD or not event.id:
            self._hosts[event.name] = event
        elif event.state and (failed := self._hosts.get(event.name)) and not failed.id:
            del self._hosts[event.name]  # it answers, whatever it was that had failed

    def keep(self, names: Mapping[str, str]) -> None:
        """Forget smarthosts that the settings have no more."""
        for name in [name for name in self._last if name not in names]:
            self._hosts.pop(name, None)
            self._states.pop(name, None)
            del self._last[name]

    def forget_mails(self, is_there: Callable[[str], bool]) -> None:
        """Forget what is no failure any more, since the mail was delivered, deleted, or failed long ago."""
        for queue_id in [queue_id for queue_id in self._mails if not is_there(queue_id)]:
            del self._mails[queue_id]

    # Asked. offset: of the wall clock to the boot's.

    def last_success(self, offset: float) -> Success | None:
        if self.success is None:
            return None
        time, queue_id, _, host = self.success
        return {"time": offset + time, "id": queue_id, "smarthost": host}

    def last_failure(self, offset: float) -> Failure | None:
        """Return the latest failure whose cause is still there."""
        events = [*self._mails.values(), *[event for event in self._hosts.values() if not event.id]]
        if not events:
            return None
        last = max(events, key=lambda event: event.time)
        return {
            "time": offset + last.time, "id": last.id, "name": last.name, "smarthost": last.host, "stage": last.stage,
            "answer": last.answer, "deferred": last.deferred, **last.advice(),
        }  # fmt: skip

    def providers(self, smarthosts: Mapping[str, str], carried: State, now: float, offset: float) -> list[Provider]:
        """Return how each smarthost is. smarthosts: "host:port" by name. carried: carried state, for its rests."""
        found: list[Provider] = []
        for name, place in smarthosts.items():
            state, event = self._judge(name)
            if self._states.get(name, ("", 0.0))[0] != state:
                self._states[name] = state, event.time if event else self._last.get(name, (now, True))[0]
            rest = _seconds(carried.get(f"host {name}", ()))
            found.append({
                "name": name, "smarthost": place, "state": state,
                "since": None if state == _UNKNOWN else offset + self._states[name][1],
                "text": event.answer if event else "", "stage": event.stage if event else "",
                "next_try": offset + rest if now < rest < now + _LONGEST else None,
                **(event.advice() if event else status_file.advice_facts(())),
            })  # fmt: skip
        return found

    def _judge(self, name: str) -> tuple[str, Event | None]:
        """Return how a smarthost is, and the failure that says so.

        It is bad while it cannot be used at all. It is not good while mail waits that it would not take, or where the
        last mail failed: others' going through does not help that one.
        """
        failed = self._hosts.get(name)
        if failed is not None:
            return failed.state, failed
        went_well = self._last.get(name, (0.0, False))[1]
        for event in reversed(self._mails.values()):
            if event.name == name and (event.deferred or not went_well):
                return WAITING, event
        return (_GOOD if went_well else _UNKNOWN), None

    # For the next relay of this boot, as carried state.

    def save(self) -> State:
        state = {f"mail {event.id}": [f"{event.time:.3f}", *event.words()] for event in self._mails.values()}
        for event in self._hosts.values():
            state[f"down {event.name}"] = [f"{event.time:.3f}", *event.words()]
        for name, (time, went_well) in self._last.items():
            state[f"last {name}"] = [f"{time:.3f}", "1" if went_well else ""]
        for name, (said, since) in self._states.items():
            state[f"said {name}"] = [said, f"{since:.3f}"]
        if self.success:
            state["success"] = [f"{self.success[0]:.3f}", *self.success[1:]]
        return state

    def restore(self, state: State) -> None:
        """Take what save() returned in another relay; there may be more. ValueError if it is something else."""
        for key, words in state.items():
            kind, _, name = key.partition(" ")
            if kind in ("mail", "down"):
                (self._mails if kind == "mail" else self._hosts)[name] = Event(float(words[0]), words[1:])
            elif kind == "last":
                self._last[name] = float(words[0]), bool(words[1])
            elif kind == "said":
                self._states[name] = words[0], float(words[1])
            elif kind == "success":
                time, queue_id, smarthost, host = words
                self.success = float(time), queue_id, smarthost, host


def _seconds(words: Sequence[str]) -> float:
    """Return the time that a courier's words begin with, 0 if they do not."""
    try:
        return float(words[0])
    except (ValueError, IndexError):
        return 0.0
