"""Which smarthost a message goes to: by sender, by priority, past the ones that rest or have had their share.

What is learnt here outlives the courier: every change is told to the supervisor, which hands it to the next courier as
`memory` ("host NAME": until, failures; "rate NAME": start and count of the minute, start and count of the day;
"told NAME": the trouble that the owner was told of, and when).
Times are CLOCK_BOOTTIME seconds.
"""

from __future__ import annotations

from mailrelay.core import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.courier.smarthost import Failure

_MINUTE, _DAY = 60.0, 86400.0
# Trying these again soon only gets the account or the address blocked.
_PATIENCE = ("login-refused", "login-required", "no-common-auth")


class Router:
    """The smarthosts and their state."""

    def __init__(self, settings: Settings, memory: dict[str, list[str]], tell: Callable[..., None]) -> None:
        self._smarthosts = settings.smarthosts
        self._main = settings.main
        self._tell = tell
        self.memory = memory

    def candidates(self, sender: bytes) -> list[Smarthost]:
        """Those that may send for this envelope sender: the ones that name it, else the ones that name nobody."""
        address = sender.decode("utf-8", "replace").lower()
        domain = address[address.rfind("@") :] if "@" in address else "@"
        named = [one for one in self._smarthosts if {address, domain} & {name.lower() for name in one.sender}]
        return named or [one for one in self._smarthosts if not one.sender]

    def choose(self, sender: bytes) -> Smarthost | None:
        """The first candidate that may be tried now."""
        now = clock.boottime()
        return next((one for one in self.candidates(sender) if self.free_at(one) <= now), None)

    def free_at(self, smarthost: Smarthost) -> float:
        """When it may have a message: 0 for at once."""
        until = 0.0
        state = self.memory.get(f"host {smarthost.name}")
        if state:
            until = float(state[0])
        if smarthost.rate_minute or smarthost.rate_day:
            minute, sent, day, sent_today = self._rate(smarthost)
            if smarthost.rate_minute and sent >= smarthost.rate_minute:
                until = max(until, minute + _MINUTE)
            if smarthost.rate_day and sent_today >= smarthost.rate_day:
                until = max(until, day + _DAY)
        return until

    def first_free(self, sender: bytes | None = None) -> float:
        """When the first smarthost, or the first candidate of a sender, may be tried."""
        smarthosts = self._smarthosts if sender is None else self.candidates(sender)
        return min((self.free_at(one) for one in smarthosts), default=0.0)

    def all_rest(self) -> bool:
        return self.first_free() > clock.boottime()

    def spend(self, smarthost: Smarthost) -> None:
        """One more message goes to it."""
        if smarthost.rate_minute or smarthost.rate_day:
            minute, sent, day, sent_today = self._rate(smarthost)
            self._remember(f"rate {smarthost.name}", minute, sent + 1, day, sent_today + 1)

    def rest(self, smarthost: Smarthost, failure: Failure) -> None:
        """It could not be used: leave it alone for a while, twice as long each time."""
        state = self.memory.get(f"host {smarthost.name}")
        failures = int(state[1]) + 1 if state else 1
        wait = min(self._main.retry_min * 2.0 ** min(failures - 1, 30), self._main.retry_max)
        if failure.cause in _PATIENCE:
            wait = self._main.retry_max
        self._remember(f"host {smarthost.name}", f"{clock.boottime() + wait:.3f}", failures)

    def works(self, smarthost: Smarthost) -> None:
        """It was of use: whatever was wrong with it is over."""
        for name in (f"host {smarthost.name}", f"told {smarthost.name}"):
            if self.memory.pop(name, None):
                self._tell("forget", name)

    def is_news(self, smarthost: Smarthost, cause: str) -> bool:
        """True if the owner is to be told of this trouble: once, and once more each day that it lasts."""
        told = self.memory.get(f"told {smarthost.name}")
        if told and told[0] == cause and clock.boottime() < float(told[1]) + _DAY:
            return False
        self._remember(f"told {smarthost.name}", cause, f"{clock.boottime():.3f}")
        return True

    def _rate(self, smarthost: Smarthost) -> tuple[float, int, float, int]:
        now = clock.boottime()
        words = self.memory.get(f"rate {smarthost.name}") or ["0", "0", "0", "0"]
        minute, sent, day, sent_today = float(words[0]), int(words[1]), float(words[2]), int(words[3])
        if now >= minute + _MINUTE or not sent:
            minute, sent = now, 0
        if now >= day + _DAY or not sent_today:
            day, sent_today = now, 0
        return minute, sent, day, sent_today

    def _remember(self, name: str, *values: object) -> None:
        words = [str(value) for value in values]
        self.memory[name] = words
        self._tell("remember", name, *words)
