"""When a smarthost may be tried: after its back-off, and within the message rates that the owner allows.

Values and arithmetic: no clock, every time is passed in, as CLOCK_BOOTTIME seconds. Called by routing; recorder asks
retry_wait() for messages, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def retry_wait(failures: int, shortest: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row, from 1 on: twice as long after each."""
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
