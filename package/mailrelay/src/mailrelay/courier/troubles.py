"""Which troubles there are that waiting does not end, since when, and when to tell the owner: once, then daily.

Carried from courier to courier in the words that core.ipc lists, so that the status shows what the owner is told of. No
clock: times are CLOCK_BOOTTIME seconds and passed in. Runs nothing and writes no mail: that is `notify`.
"""

from __future__ import annotations

from mailrelay.core import ipc
from mailrelay.courier.explain import Advice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DAY = 86400.0  # seconds until the owner hears again of a trouble that lasts
_CALM = 3600.0  # seconds: what comes back within them has to last as long before the owner hears of it again
_MOST = 32  # troubles of one kind at a time: senders may be anybody's invention
_TEXT = 500  # characters of an answer or an advice that are carried
_NONE = Advice()


class Trouble:
    """One trouble. since, told, last: when it began, when the owner was last told (0: never), when it was last met.

    notice, message: the queue ids of the mail that tells of it and of the last one that met it, "" for none.
    """

    __slots__ = (
        "advice",
        "answer",
        "cause",
        "last",
        "message",
        "notice",
        "sender",
        "since",
        "smarthost",
        "told",
        "_more",
    )

    def __init__(self, words: Sequence[str]) -> None:
        words = (*words, *[""] * (10 - len(words)))
        since, told, last, self.notice, self.message, self.cause, self.smarthost = words[:7]
        self.sender, self.answer, self.advice, *self._more = words[7:]
        self.since, self.told, self.last = float(since), float(told), float(last)

    def set_advice(self, advice: Advice) -> None:
        text, *self._more = advice.words()
        self.advice = text[:_TEXT]

    def words(self) -> list[str]:
        """Return what the constructor takes."""
        times = [f"{time:.3f}" for time in (self.since, self.told, self.last)]
        return [
            *times,
            self.notice,
            self.message,
            self.cause,
            self.smarthost,
            self.sender,
            self.answer,
            self.advice,
            *self._more,
        ]


class Troubles:
    """All that are known, by name: `NAME` of core.ipc's table."""

    def __init__(self, carried_state: dict[str, list[str]], report: Callable[..., None]) -> None:
        self._report = report
        kind = f"{ipc.TROUBLE} "
        self.known = {
            name[len(kind) :]: Trouble(words) for name, words in carried_state.items() if name.startswith(kind)
        }
        kind = f"{ipc.ENDED} "
        self._ended = {
            name[len(kind) :]: float(words[0]) for name, words in carried_state.items() if name.startswith(kind)
        }

    def note(
        self,
        name: str,
        now: float,
        cause: str,
        answer: str,
        *,
        smarthost: str = "",
        sender: str = "",
        message: str = "",
        advice: Advice = _NONE,
        patience: float = 0.0,
        since: float | None = None,
    ) -> Trouble | None:
        """Note that a trouble is there, since now or an earlier time.

        Return it if the owner is to be told now; not before it has lasted `patience` seconds, nor each time that it
        comes and goes.
        """
        trouble = self.known.get(name)
        if trouble is None and self._crowded(name, sender):
            return None
        if trouble is None or trouble.cause != cause:
            if trouble is not None:
                self._note_end(name, trouble)
            notice = trouble.notice if trouble else ""
            trouble = Trouble([str(now if since is None else since), "0", "0", notice, "", cause, smarthost, sender])
            self.known[name] = trouble
        ended = self._ended.get(f"{name} {cause}")
        if ended is not None and trouble.since < ended + _CALM:
            patience = max(patience, _CALM)
        trouble.message = message
        trouble.last, trouble.answer = now, answer[:_TEXT]
        trouble.set_advice(advice)
        news = now >= trouble.told + _DAY if trouble.told else now >= trouble.since + patience
        if news:
            trouble.told = now
        self._keep(name, trouble)
        return trouble if news else None

    def end(self, name: str, cause: str = "", unless: str = "") -> Trouble | None:
        """Note that a trouble is over, of that cause if one is named. Return it if the owner was told of it."""
        trouble = self.known.get(name)
        if trouble is None or cause not in ("", trouble.cause) or trouble.cause == unless:
            return None
        del self.known[name]
        self._note_end(name, trouble)
        self._report("forget", f"{ipc.TROUBLE} {name}")
        return trouble if trouble.told else None

    def noticed(self, troubles: list[Trouble], queue_id: str) -> None:
        """Note the mail that tells of these."""
        for name, trouble in self.known.items():
            if trouble in troubles:
                trouble.notice = queue_id
                self._keep(name, trouble)

    def _crowded(self, name: str, sender: str) -> bool:
        """Return whether there are as many of this kind as are kept: then one of another kind still has its place."""
        kind = name.partition(" ")[0]
        alike = [
            other for other, trouble in self.known.items()
            if other.partition(" ")[0] == kind and bool(trouble.sender) == bool(sender)
        ]  # fmt: skip
        return len(alike) >= _MOST

    def _note_end(self, name: str, trouble: Trouble) -> None:
        """Note when one was last met that the owner knows of."""
        key = f"{name} {trouble.cause}"
        if self._ended.pop(key, None) is None and not trouble.told:
            return
        self._ended[key] = trouble.last
        self._report("remember", f"{ipc.ENDED} {key}", f"{trouble.last:.3f}")
        if len(self._ended) > _MOST:
            oldest = min(self._ended, key=self._ended.__getitem__)
            del self._ended[oldest]
            self._report("forget", f"{ipc.ENDED} {oldest}")

    def _keep(self, name: str, trouble: Trouble) -> None:
        self._report("remember", f"{ipc.TROUBLE} {name}", *trouble.words())
