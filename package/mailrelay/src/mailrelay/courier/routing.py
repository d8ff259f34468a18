"""Which smarthost a message goes to, and when: by sender, by priority, past those that are not to be tried now.

What is learnt here outlives the courier: every change is reported to the supervisor, which hands it to the next courier
as `carried_state`, in the words that core.ipc lists. No clock: times are CLOCK_BOOTTIME seconds and passed in.
"""

from __future__ import annotations

from mailrelay.core.ipc import NEVER
from mailrelay.courier import outgoing
from mailrelay.courier.explain import SENDER, SETTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailrelay.config.settings import Settings, Smarthost
    from mailrelay.courier.failure import Failure
    from mailrelay.spool.envelope import Envelope

_MINUTE, _DAY = 60.0, 86400.0
_MOST_SENDERS = 50  # that one smarthost is known to refuse


def retry_wait(failures: int, shortest: float, longest: float) -> float:
    """Return the seconds to wait after so many failures in a row, from 1 on: twice as long after each."""
    return min(shortest * 2.0 ** min(failures - 1, 30), longest)


class Backoff:
    """A smarthost that failed so many times in a row is left alone until then.

    refused: the queue id of the message that it refused last over a setting, "" for none.
    """

    __slots__ = ("failures", "refused", "until")

    def __init__(self, words: Sequence[str] = ("0", "0")) -> None:
        self.until, self.failures = float(words[0]), int(words[1])
        self.refused = words[2] if len(words) > 2 else ""

    def extend(self, wait: float, now: float, refused: str = "") -> None:
        """Note one more failure, and leave the smarthost alone for `wait` seconds."""
        self.until, self.failures, self.refused = now + wait, self.failures + 1, refused

    def words(self) -> list[str]:
        """Return what the constructor takes."""
        return [f"{self.until:.3f}", str(self.failures), self.refused]


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
    """What is known of one smarthost. senders: those that it refuses, by outgoing sender, the last refused one last.

    busy: until when another courier is taken to have its only connection.
    """

    __slots__ = ("backoff", "busy", "day", "minute", "senders")

    def __init__(self, name: str, carried_state: dict[str, list[str]]) -> None:
        self.backoff = Backoff(carried_state.get(f"host {name}", ("0", "0")))
        rates = carried_state.get(f"rate {name}", ("0", "0", "0", "0"))
        self.minute, self.day = RateWindow(_MINUTE, rates[:2]), RateWindow(_DAY, rates[2:])
        self.busy = 0.0
        own = f"host {name} "
        self.senders = {key[len(own) :]: Backoff(words) for key, words in carried_state.items() if key.startswith(own)}


class Routes:
    """The smarthosts, in the order in which they are preferred, and their state."""

    def __init__(self, settings: Settings, carried_state: dict[str, list[str]], report: Callable[..., None]) -> None:
        self._smarthosts = settings.smarthosts
        self._main = settings.main
        self._report = report
        self._states = {host.name: SmarthostState(host.name, carried_state) for host in settings.smarthosts}
        names = {name for host in settings.smarthosts for name in host.sender}
        self._choices = [candidates(settings.smarthosts, name.encode()) for name in ("", *names)]
        self._suspect = ""  # the smarthost whose last connection broke over its first message

    def candidates(self, sender: bytes) -> list[Smarthost]:
        return candidates(self._smarthosts, sender)

    def choose(self, envelope: Envelope, now: float, without: str = "") -> Smarthost | None:
        """Return the first candidate that may be tried now. Mail over a rate waits, unless option overflow is set.

        without: the name of a smarthost that is not to have it.
        """
        for smarthost in self.candidates(envelope.sender):
            if smarthost.name == without or self._rest_until(smarthost, envelope) > now:
                continue
            if self._rate_until(smarthost) <= now:
                return smarthost
            if not smarthost.overflow:
                return None
        return None

    def available_at(self, smarthost: Smarthost) -> float:
        """Return when it may have a message; what has passed means at once."""
        return max(self._states[smarthost.name].backoff.until, self._rate_until(smarthost))

    def first_available_at(self, now: float, envelope: Envelope | None = None) -> float:
        """Return when choose() finds a smarthost, for some sender or for this message."""
        if envelope is not None:
            return self._first_of(self.candidates(envelope.sender), now, envelope)
        return min((self._first_of(choice, now, None) for choice in self._choices if choice), default=0.0)

    def _first_of(self, choice: list[Smarthost], now: float, envelope: Envelope | None) -> float:
        first = passed_until = NEVER  # until when those before are passed over
        for smarthost in choice:
            rests = max(now, self._rest_until(smarthost, envelope))
            available = max(rests, self._rate_until(smarthost))
            if available < passed_until:
                first = min(first, available)
            if not smarthost.overflow:
                passed_until = min(passed_until, rests)
        return first

    def better_available_at(self, smarthost: Smarthost, envelope: Envelope) -> float | None:
        """Return when a candidate before this one may be tried; None if this is the first."""
        choice = self.candidates(envelope.sender)
        before = choice[: choice.index(smarthost)]
        return min(max(self._rest_until(host, envelope), self._rate_until(host)) for host in before) if before else None

    def _rest_until(self, smarthost: Smarthost, envelope: Envelope | None) -> float:
        state = self._states[smarthost.name]
        if not state.senders or envelope is None:
            return state.backoff.until
        refused = state.senders.get(self._outgoing_sender(smarthost, envelope))
        return max(state.backoff.until, refused.until if refused else 0.0)

    def _rate_until(self, smarthost: Smarthost) -> float:
        state = self._states[smarthost.name]
        rates = state.minute.available_at(smarthost.rate_minute), state.day.available_at(smarthost.rate_day)
        return max(*rates, state.busy)

    def _outgoing_sender(self, smarthost: Smarthost, envelope: Envelope) -> str:
        sender = outgoing.sender(envelope, self._main, smarthost)
        return "".join(sender.decode("utf-8", "replace").split()) or "<>"

    def leave_alone(self, smarthost: Smarthost, until: float) -> None:
        """Let it be until then, since its only connection is taken: its mail waits as for a rate."""
        self._states[smarthost.name].busy = until

    def rates(self, smarthost: Smarthost) -> list[str]:
        """Return what has gone to it in this minute and this day, in words."""
        state = self._states[smarthost.name]
        return [*state.minute.words(), *state.day.words()]

    def learn_rates(self, smarthost: Smarthost, words: Sequence[str]) -> None:
        """Take what rates() returned in another courier."""
        state = self._states[smarthost.name]
        state.minute, state.day = RateWindow(_MINUTE, words[:2]), RateWindow(_DAY, words[2:])

    def count_message(self, smarthost: Smarthost, now: float) -> None:
        """Count one more message that goes to it."""
        if smarthost.rate_minute or smarthost.rate_day:
            state = self._states[smarthost.name]
            state.minute.add(now)
            state.day.add(now)
            self._report("remember", f"rate {smarthost.name}", *state.minute.words(), *state.day.words())

    # What is learnt

    def connection_failed(self, smarthost: Smarthost, failure: Failure, verdict: str, settled: int, now: float) -> bool:
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
        backoff = self._states[smarthost.name].backoff
        wait = retry_wait(backoff.failures + 1, self._main.retry_min, self._main.retry_max)
        if failure.stage == "login" or (verdict == SETTING and failure.code >= 500):
            wait = self._main.retry_max  # to try these again soon only gets the account or the address blocked
        self._back_off(smarthost.name, backoff, wait, now)
        return True

    def refused(self, smarthost: Smarthost, verdict: str, queue_id: str, envelope: Envelope, now: float) -> None:
        """Let the smarthost rest, or there this message's sender, since it wants a setting changed.

        Not for long while it is one and the same message that it refuses: it may take the others.
        """
        state = self._states[smarthost.name]
        name, backoff = smarthost.name, state.backoff
        if verdict == SENDER:
            sender = self._outgoing_sender(smarthost, envelope)
            name, backoff = f"{name} {sender}", state.senders.pop(sender, Backoff())
            state.senders[sender] = backoff
            if len(state.senders) > _MOST_SENDERS:
                self._forget_sender(smarthost, next(iter(state.senders)))
        one = backoff.refused in ("", queue_id)
        self._back_off(name, backoff, self._main.retry_min if one else self._main.retry_max, now, queue_id)

    def _back_off(self, name: str, backoff: Backoff, wait: float, now: float, refused: str = "") -> None:
        backoff.extend(wait, now, refused)
        self._report("remember", f"host {name}", *backoff.words())

    def succeeded(self, smarthost: Smarthost, now: float, envelope: Envelope | None = None) -> bool:
        """Note that it was of use, or has taken a message: whatever was wrong with it is over.

        Return false if that says nothing: what goes right while it rests was on its way before.
        """
        self._suspect = ""
        state = self._states[smarthost.name]
        if state.backoff.until > now:
            return False
        if state.backoff.failures:
            state.backoff = Backoff()
            self._report("forget", f"host {smarthost.name}")
        if envelope is not None and state.senders:
            sender = self._outgoing_sender(smarthost, envelope)
            refused = state.senders.get(sender)
            if refused is not None:
                if refused.until > now:
                    return False
                self._forget_sender(smarthost, sender)
        return True

    def _forget_sender(self, smarthost: Smarthost, sender: str) -> None:
        del self._states[smarthost.name].senders[sender]
        self._report("forget", f"host {smarthost.name} {sender}")
