"""Which smarthost a message goes to, and when: by sender, by priority, past those that are not to be tried now.

What is learnt here outlives the courier: every change is reported to the supervisor, which hands it to the next courier
as `carried_state`, in the words that core.ipc lists. No clock: times are CLOCK_BOOTTIME seconds and passed in.
"""

from __future__ import annotations

from mailrelay.courier.failure import LOGIN_CAUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.courier.failure import Failure

_MINUTE, _DAY = 60.0, 86400.0


def retry_wait(failures: int, shortest: float, longest: float) -> float:
    """Return the seconds to wait after so many failures in a row, from 1 on: twice as long after each."""
    return min(shortest * 2.0 ** min(failures - 1, 30), longest)


class Backoff:
    """A smarthost that failed so many times in a row is left alone until then."""

    __slots__ = ("failures", "until")

    def __init__(self, words: Sequence[str] = ("0", "0")) -> None:
        self.until, self.failures = float(words[0]), int(words[1])

    def extend(self, wait: float, now: float) -> None:
        """Note one more failure, and leave the smarthost alone for `wait` seconds."""
        self.until, self.failures = now + wait, self.failures + 1

    def words(self) -> list[str]:
        """Return what the constructor takes."""
        return [f"{self.until:.3f}", str(self.failures)]


class RateWindow:
    """A minute or a day that begins with a message, and how many have gone to the smarthost in it."""

    __slots__ = ("count", "length", "start")

    def __init__(self, length: float, words: Sequence[str] = ("0", "0")) -> None:
        self.length = length  # seconds
        self.start, self.count = float(words[0]), int(words[1])

    def available_at(self, limit: int) -> float:
        """Return when one more message stays within `limit`, 0 for at any time; a limit of 0 is none."""
        return self.start + self.length if limit and self.count >= limit else 0.0

    def add(self, now: float) -> None:
        """Count a message."""
        if not self.count or now >= self.start + self.length:
            self.start, self.count = now, 0
        self.count += 1

    def words(self) -> list[str]:
        """Return what the constructor takes after the length."""
        return [str(self.start), str(self.count)]


def candidates(smarthosts: list[Smarthost], sender: bytes) -> list[Smarthost]:
    """Return those that may send for this envelope sender: the ones that name it, else the ones that name nobody.

    The null sender, which none can name, goes by any: a notice leaves from the account's own address.
    """
    address = sender.decode("utf-8", "replace").lower()
    domain = address[address.rfind("@") :] if "@" in address else "@"
    named = [host for host in smarthosts if {address, domain} & {name.lower() for name in host.sender}]
    return named or [host for host in smarthosts if not host.sender] or ([] if sender else smarthosts)


class SmarthostState:
    """What is known of one smarthost."""

    __slots__ = ("backoff", "day", "minute")

    def __init__(self, name: str, carried_state: dict[str, list[str]]) -> None:
        self.backoff = Backoff(carried_state.get(f"host {name}", ("0", "0")))
        rates = carried_state.get(f"rate {name}", ("0", "0", "0", "0"))
        self.minute, self.day = RateWindow(_MINUTE, rates[:2]), RateWindow(_DAY, rates[2:])


class Routes:
    """The smarthosts, in the order in which they are preferred, and their state."""

    def __init__(self, settings: Settings, carried_state: dict[str, list[str]], report: Callable[..., None]) -> None:
        self._smarthosts = settings.smarthosts
        self._main = settings.main
        self._report = report
        self._states = {host.name: SmarthostState(host.name, carried_state) for host in settings.smarthosts}
        self._suspect = ""  # the smarthost whose last connection broke over its first message

    def candidates(self, sender: bytes) -> list[Smarthost]:
        return candidates(self._smarthosts, sender)

    def choose(self, sender: bytes, now: float) -> Smarthost | None:
        """Return the first candidate that may be tried now."""
        return next((host for host in self.candidates(sender) if self.available_at(host) <= now), None)

    def available_at(self, smarthost: Smarthost) -> float:
        """Return when it may have a message; what has passed means at once."""
        state = self._states[smarthost.name]
        return max(
            state.backoff.until,
            state.minute.available_at(smarthost.rate_minute),
            state.day.available_at(smarthost.rate_day),
        )

    def first_available_at(self, sender: bytes | None = None) -> float:
        """Return when the first smarthost, or the first candidate of a sender, may be tried."""
        smarthosts = self._smarthosts if sender is None else self.candidates(sender)
        return min(map(self.available_at, smarthosts), default=0.0)

    def count_message(self, smarthost: Smarthost, now: float) -> None:
        """Count one more message that goes to it."""
        if smarthost.rate_minute or smarthost.rate_day:
            state = self._states[smarthost.name]
            state.minute.add(now)
            state.day.add(now)
            self._report("remember", f"rate {smarthost.name}", *state.minute.words(), *state.day.words())

    def connection_failed(self, smarthost: Smarthost, failure: Failure, settled: int, now: float) -> bool:
        """Back off if the smarthost is to blame, and return whether it is. settled: messages that had an outcome.

        A connection that breaks over its first message may break over that message alone: the next one fares better,
        once.
        """
        if failure.in_flight and failure.stage != "login" and failure.code != 421 and not settled:
            suspect, self._suspect = self._suspect, smarthost.name
            if suspect != smarthost.name:
                return False
        elif settled and failure.code != 421:
            return False
        self._back_off(smarthost, failure.cause, now)
        return True

    def _back_off(self, smarthost: Smarthost, cause: str, now: float) -> None:
        backoff = self._states[smarthost.name].backoff
        wait = retry_wait(backoff.failures + 1, self._main.retry_min, self._main.retry_max)
        backoff.extend(self._main.retry_max if cause in LOGIN_CAUSES else wait, now)
        self._report("remember", f"host {smarthost.name}", *backoff.words())

    def succeeded(self, smarthost: Smarthost) -> None:
        """Note that it was of use: whatever was wrong with it is over."""
        self._suspect = ""
        state = self._states[smarthost.name]
        if state.backoff.failures:
            state.backoff = Backoff()
            self._report("forget", f"host {smarthost.name}")
