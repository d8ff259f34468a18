"""The mail to the postmaster, in plain words: what happened, since when, how much mail waits, what to do.

Makes text only; `notify` knows when there is something to tell, and queues it.
"""

from __future__ import annotations

import time

from mailrelay.core import clock
from mailrelay.mail.body import Body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.courier.troubles import Trouble

    Section = tuple[str, list[str]]  # title, lines

_LISTED = 100  # failures spelt out in one notice


class Failures:
    """Recipients that will never be served. The first of them are spelt out."""

    __slots__ = ("count", "earlier", "head", "listed")

    def __init__(self) -> None:
        self.count = 0
        self.earlier = 0  # those of an earlier notice that this one replaces, and those that were only counted
        self.head = b""  # what the first of the messages began with
        self.listed: list[tuple[str, str, str, str]] = []  # queue id, sender, recipient, answer and advice

    def add(self, queue_id: str, sender: str, recipient: str, answer: str) -> None:
        """Add one."""
        self.count += 1
        if len(self.listed) < _LISTED:
            self.listed.append((queue_id, sender, recipient, answer))

    def section(self) -> Section:
        """Tell of all of them."""
        lines = [
            "This mail could not be delivered and will not be tried again. It is kept for a while:",
            "'mailrelay queue' lists it, 'mailrelay release ID' tries it again.",
            "",
        ]
        for queue_id, sender, recipient, answer in self.listed:
            lines += [f"{queue_id}  from {sender} to {recipient}", *_quoted(answer), ""]
        total = self.count + self.earlier
        if total > len(self.listed) > 0:
            lines += [f"... and {total - len(self.listed)} more.", ""]
        if self.head:
            lines += ["The first of them began like this:", "", *_quoted(self.head.decode("utf-8", "replace"))]
        return f"{_mails(total)} could not be delivered", lines


def setting(trouble: Trouble, waiting: int) -> Section:
    """Tell of a setting to be mended."""
    whose = f"from {trouble.sender} " if trouble.sender else ""
    lines = [
        f"Since {_moment(trouble.since)} mail {whose}waits: {trouble.smarthost} cannot be used ({trouble.cause}). The",
        "answer was:",
        "",
        *_quoted(trouble.answer),
        "",
        *([f"What to do: {trouble.advice}", ""] if trouble.advice else []),
        f"In the queue: {_mails(waiting)}. All of it goes out once this is mended; 'mailrelay flush' tries it at once.",
    ]
    return f"Mail {whose}waits: {trouble.smarthost} cannot be used", lines


def mended(trouble: Trouble, waiting: int) -> Section:
    """Tell that a trouble is over."""
    what = f"{trouble.smarthost} can be used again" if trouble.smarthost else f"{trouble.cause} is over"
    whose = f" for mail from {trouble.sender}" if trouble.sender else ""
    lines = [
        f"From {_moment(trouble.since)} to {_moment(clock.boottime())} there was a trouble ({trouble.cause}{whose}):",
        "",
        *_quoted(trouble.answer),
        "",
        f"It is over. In the queue: {_mails(waiting)}.",
    ]
    return f"Mended: {what}", lines


def damaged(queue_id: str, reason: str) -> Section:
    """Tell of a file in the spool that is no whole message."""
    lines = [
        f"The mail {queue_id} is damaged: {reason}. It was put aside and will not be delivered.",
        f"'mailrelay show {queue_id}' shows what is left of it, 'mailrelay delete {queue_id}' removes it. Damage comes",
        "from storage that wears out, or that was not written to its end before the power went.",
    ]
    return "A mail is damaged", lines


def disk(reason: str, advice: str) -> Section:
    """Tell of a disk that refuses."""
    return "The storage for waiting mail refuses", [f"It answered: {reason}", "", f"What to do: {advice}"]


def refused(client: str, reply: str, count: int, advice: str) -> Section:
    """Tell of a machine whose mail is not taken."""
    lines = [
        f"The machine {client} was refused {_times(count)}; its mail may be lost. It was told:",
        "",
        *_quoted(reply),
        *(["", f"What to do: {advice}"] if advice else []),
    ]
    return f"Mail from {client} was not taken", lines


def compose(host: str, postmaster: str, sections: list[Section]) -> bytes:
    """Return the mail as it goes over the wire."""
    more = f" (and {len(sections) - 1} more)" if len(sections) > 1 else ""
    lines = [
        "From: Mail relay",  # whose address is the smarthost's to say
        f"To: {postmaster}",
        f"Subject: {sections[0][0]}{more}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"This is the mail relay {host}.",
    ]
    for title, text in sections:
        lines += ["", *([title, "-" * len(title), ""] if more else []), *text]
    return Body().wire("\n".join([*lines, ""]).replace("\0", "").encode())


def _quoted(text: str) -> list[str]:
    return [f"    {line}" for line in text.replace("\r", "\n").splitlines() if line]


def _moment(boottime: float) -> str:
    """Show when that was: by the wall clock, if it is to be trusted."""
    ago = clock.boottime() - boottime
    if clock.trusted():
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(clock.wall() - ago))
    return f"{ago / 60:.0f} minutes ago" if ago >= 60 else "now"


def _mails(number: int) -> str:
    return f"{number} mail{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
