"""What the listener decides of clients over time: who has sent enough, gets on too slowly, or makes room for others.

Pure: the clock is passed in, as monotonic seconds. The listener carries out what is decided here.
"""

from __future__ import annotations

from mailrelay.smtp import replies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailrelay.config.settings import Main
    from mailrelay.listener.connection import Connection
    from mailrelay.smtp.reply import Reply

_MINUTE = 60.0
_MANY_CLIENTS = 1024  # whose minutes are kept before the old ones are cleared away
_MANY_REPEATS = 64  # of different clients or texts that are kept for one minute
_LEFT_OUT = "so much was refused or broken off within a minute that not all of it is told"
# Seconds, if command_timeout is not shorter, for a command and for measuring the data rate while connections run short.
_SHORT_TIMEOUT, _SHORT_WINDOW = 60.0, 30.0
_YOUNG = 2.0  # seconds in which a connection may say its first words

# Codes of replies that keep a mail out; what is wrong with another command is between the client and us. A machine that
# insists on a login, or speaks TLS from the first byte, goes without.
_KEEPS_OUT = frozenset(["450", "451", "452", "501", "504", "530", "535", "550", "552", "553", "554", "555"])


def keeps_out(reply: str) -> bool:
    """Return whether a mail stays out that got this reply."""
    return reply[:3] in _KEEPS_OUT or reply in (str(replies.NO_LOGIN), str(replies.TLS_FIRST))


class Rates:
    """How many messages each client with a limit sends in its current minute. A limit of 0 is none."""

    __slots__ = ("_minutes",)

    def __init__(self) -> None:
        self._minutes: dict[str, tuple[float, int]] = {}  # client → start of its minute, messages in it

    def count(self, client: str, limit: int, now: float) -> None:
        """Count a message whose content begins."""
        if limit:
            if len(self._minutes) >= _MANY_CLIENTS:  # a rule for a network may meet any number of addresses
                self._minutes = {known: seen for known, seen in self._minutes.items() if now - seen[0] < _MINUTE}
            start, messages = self._minutes.get(client, (now, 0))
            self._minutes[client] = (start, messages + 1)

    def give_back(self, client: str, counted_at: float) -> None:
        """Take a message out of its minute again, since it was not stored."""
        start, messages = self._minutes.get(client, (counted_at, 0))
        if messages and start <= counted_at:
            self._minutes[client] = (start, messages - 1)

    def refusal(self, client: str, limit: int, now: float) -> Reply | None:
        """Return the reply for a client that has had its share, None for everybody else."""
        start, messages = self._minutes.get(client, (now, 0))
        if now - start >= _MINUTE:
            del self._minutes[client]
            return None
        return replies.TOO_MANY_MESSAGES.fill(limit) if limit and messages >= limit else None


class Repeats:
    """What happens to a client is told at once, then counted and summed up once a minute, for a bounded number.

    Half of that is for what happens to a client first: one that is told of many things leaves room for others.
    """

    __slots__ = ("_again", "_left_out", "_since")

    def __init__(self, now: float) -> None:
        self._again: dict[tuple[str, str, str], int] = {}
        self._left_out = 0
        self._since = now

    def note(self, event: str, client: str, text: str) -> bool:
        """Count that this happened; return whether it is to be told now."""
        key = event, client, text
        if key in self._again:
            self._again[key] += 1
        elif len(self._again) < (_MANY_REPEATS if self._is_first(client) else _MANY_REPEATS // 2):
            self._again[key] = 0
            return True
        else:
            self._left_out += 1
        return False

    def _is_first(self, client: str) -> bool:
        return all(known != client for _, known, _ in self._again)

    def summary(self, now: float) -> list[tuple[str, str, str, int]]:
        """Return, once a minute, what happened again: event, client, text, and how often."""
        if now - self._since < _MINUTE:
            return []
        self._since = now
        noted, self._again = self._again, {}
        left_out, self._left_out = self._left_out, 0
        told = [(*key, again) for key, again in noted.items() if again]
        return [*told, ("refused", "others", _LEFT_OUT, left_out)] if left_out else told


class Pace:
    """Whether one connection gets on fast enough."""

    __slots__ = ("_progress", "_since")

    def __init__(self, now: float) -> None:
        self._since = now
        self._progress = 0

    def restart(self, progress: int, now: float) -> None:
        """Count from here, since what it waited for was ours to do."""
        self._progress = progress
        self._since = now

    def fault(self, progress: int, now: float, in_data: bool, main: Main, *, short: bool) -> Reply | None:
        """Return the reply that ends a connection without progress, None for any other.

        progress: commands that got on with a message, and bytes of content. command_timeout is what a command or a
        silence may take (RFC 5321 4.5.3.2.7: five minutes), and the time over which min_data_rate is measured. short:
        others may need the connection.
        """
        elapsed = now - self._since
        made = progress - self._progress
        timeout: float = main.command_timeout
        if short:
            timeout = min(timeout, _SHORT_WINDOW if in_data else _SHORT_TIMEOUT)
        if in_data:
            if elapsed < timeout:
                return None
            if not made or made < main.min_data_rate * elapsed:
                return replies.TOO_SLOW
        elif not made:
            return replies.TIMED_OUT if elapsed >= timeout else None
        self.restart(progress, now)
        return None


def run_short(used: int, most: int) -> bool:
    """Return whether so many connections are in use that the next client may find none."""
    return used * 4 > most * 3


def least_useful(connections: Iterable[Connection], now: float) -> Connection | None:
    """Return the connection that makes room: the slowest one; None if each awaits the result of its commit.

    Clients that send no mail anyway go first, those that have only just come last.
    """
    candidates = [c for c in connections if not c.session.waiting]
    useless = [c for c in candidates if c.session.commands.closing]
    settled = [c for c in candidates if now - c.connected_at > _YOUNG]

    def rank(connection: Connection) -> tuple[float, float]:
        return connection.session.commands.progress / max(now - connection.connected_at, 1.0), connection.connected_at

    return min(useless or settled or candidates, key=rank, default=None)
