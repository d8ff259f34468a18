"""What lies in the spool, for people and programs: the table and the JSON of `queue`, the list of `mailq`.

Only reads, and takes no lock, so that looking never stands in a courier's way. Needs the rights of the spool's owner.
"""

from __future__ import annotations

import sys
import time
from itertools import islice

from mailrelay.cli.display import address, count, duration, in_bytes, size
from mailrelay.core import clock
from mailrelay.core.text import escaped
from mailrelay.daemon import status_file
from mailrelay.mail.body import Body
from mailrelay.mail.subject import subject
from mailrelay.spool import spool
from mailrelay.spool.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailrelay.daemon.status_file import StatusFacts

RECIPIENT_STATES = {spool.PENDING: "pending", spool.DELIVERED: "delivered", spool.FAILED: "failed"}
_WORDS = {spool.QUEUE: "queued", spool.HOLD: "held", spool.FAIL: "failed"}
_HEAD = 8192  # octets of a message in which its subject is looked for
_SUBJECT = 80  # characters of it that are shown


class Entry:
    """One line of the queue. message: None if the file is damaged; then `damage` says how. Closed when listed."""

    __slots__ = ("damage", "id", "message", "sending", "state")

    def __init__(self, state: str, queue_id: str, message: Message | None, damage: str, sending: bool) -> None:
        self.state = state
        self.id = queue_id
        self.message = message
        self.damage = damage
        self.sending = sending

    @property
    def word(self) -> str:
        """Return its state in a word: queued, sending, held, failed or damaged."""
        return "damaged" if self.damage else "sending" if self.sending else _WORDS[self.state]

    def bytes(self) -> int:
        return self.message.size if self.message else 0

    def next_try(self, rest: float) -> float | None:
        """Return wall time of the next attempt, 0 for at once, None for never. rest: when a smarthost may be tried."""
        if self.message is None or self.state != spool.QUEUE or self.sending:
            return None
        wait = self.message.due - clock.boottime()
        due = clock.wall() + wait if wait > 0 else 0.0
        return max(due, rest if rest > clock.wall() else 0.0)


def entries(where: spool.Spool, states: Sequence[str] = spool.STATES) -> Iterator[Entry]:
    """Yield everything in the spool: the queue, then what is held, then what failed; each oldest first. OSError."""
    locked = _locked_inodes()
    for state in states:
        for queue_id in where.ids(state):
            try:
                with Message(where, state, queue_id, lock=False) as message:
                    yield Entry(state, queue_id, message, "", state == spool.QUEUE and message.inode in locked)
            except FileNotFoundError:  # delivered or moved in the meantime
                pass
            except (spool.Damaged, OSError) as error:
                yield Entry(state, queue_id, None, getattr(error, "strerror", None) or str(error), False)


def _locked_inodes() -> set[int]:
    """Return the inode of every file with a flock(2) lock: a message that has one is being delivered."""
    inodes = set()
    try:
        with open("/proc/locks", "rb") as locks:
            for line in locks:
                words = line.split()
                if words[1:2] == [b"FLOCK"]:
                    inodes.add(int(words[5].rpartition(b":")[2]))
    except (OSError, ValueError, IndexError):
        pass
    return inodes


def table(
    where: spool.Spool,
    status: StatusFacts,
    running: bool,
    limit: int | None = None,
    states: Sequence[str] = spool.STATES,
) -> None:
    """Print the queue for people, and a line that sums it up."""
    rest = _rest(status, running)
    row = "{:<16}  {:<7}  {:>7}  {:>6}  {:>5}  {:<8}  {}"
    numbers: dict[str, int] = {}
    total = 0
    for entry in islice(entries(where, states), limit):
        if not numbers:
            print(row.format("ID", "STATE", "AGE", "SIZE", "TRIES", "NEXT TRY", "SENDER > RECIPIENTS"))
        numbers[entry.word] = numbers.get(entry.word, 0) + 1
        total += entry.bytes()
        if entry.message is None:
            print(row.format(entry.id, entry.word, "-", "-", "-", "-", escaped(entry.damage)))
            continue
        message = entry.message
        when = entry.next_try(rest)
        wait = "-" if when is None else "now" if not when else duration(when - clock.wall())
        age = duration(message.envelope.age())
        line = row.format(
            entry.id, entry.word, age, size(message.size), message.attempts, wait, address(message.envelope.sender)
        )
        indent = " " * len(row.format("", "", "", "", "", "", ""))
        for place, (recipient, settled) in enumerate(zip(message.envelope.recipients, message.statuses)):
            note = "" if settled == spool.PENDING else f" ({RECIPIENT_STATES.get(settled, 'unknown')})"
            print(f"{line if not place else indent} > {address(recipient)}{note}")
        if message.answer:
            print(f"{'':<16}  {escaped(message.answer)}")
    shown = sum(numbers.values())
    left = 0 if limit is None else max(sum(len(where.ids(state)) for state in states) - shown, 0)
    if numbers:
        parts = ", ".join(f"{number} {word}" for word, number in numbers.items())
        print(f"\n{count(shown, 'message')}, {in_bytes(total)}: {parts}.")
    elif not left:
        print("The queue is empty." if len(states) == len(spool.STATES) else "There is none.")
    if left:
        print(f"{count(left, 'message')} more, not listed here because of --limit.")
    if not running:
        print("The relay is not running: nothing is sent until it is.")
    elif rest:
        wait = duration(rest - clock.wall())
        print(f"The provider could not be used; it is tried again in {wait}. 'mailrelay status' says why.")


def _rest(status: StatusFacts, running: bool) -> float:
    """Return the wall time until which no smarthost is tried; 0 if one may be."""
    until = status.get("next_try") if running else None
    return until if until is not None and until > clock.wall() else 0.0


def as_json(
    where: spool.Spool,
    status: StatusFacts,
    running: bool,
    limit: int | None = None,
    states: Sequence[str] = spool.STATES,
) -> None:
    """Print the queue for programs: the object that `mailrelay queue --help` describes."""
    rest = _rest(status, running)
    now = clock.wall()
    total = sum(len(where.ids(state)) for state in states)
    head = {"spool": where.root, "running": running, "total": total, "messages": 0}
    print(status_file.dump(head).rpartition("0}")[0] + "[", end="")
    separator = "\n"
    for entry in islice(entries(where, states), limit):
        print(separator + status_file.dump(_plain(entry, now, rest)), end="")
        separator = ",\n"
    print("]}")


def _plain(entry: Entry, now: float, rest: float) -> dict[str, object]:
    facts: dict[str, object] = {
        "id": entry.id,
        "state": entry.state,
        "sending": entry.sending,
        "damage": entry.damage or None,
    }
    if entry.message is None:
        return facts
    message, envelope = entry.message, entry.message.envelope
    when = entry.next_try(rest)
    recipients = [
        {"address": _text(recipient), "state": RECIPIENT_STATES.get(settled, "unknown")}
        for recipient, settled in zip(envelope.recipients, message.statuses)
    ]
    facts.update(
        received=envelope.date(),
        age=envelope.age(),
        size=message.size,
        sender=_text(envelope.sender),
        recipients=recipients,
        subject=_subject(message),
        client=envelope.client,
        notice=envelope.notice,
        attempts=message.attempts,
        next_try=None if when is None else when or now,
        last_answer=message.answer,
    )
    return facts


def _subject(message: Message) -> str:
    try:
        return subject(Body().plain(next(message.chunks(_HEAD), b"")), _SUBJECT)
    except (spool.Damaged, OSError):
        return ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def mailq(where: spool.Spool) -> None:
    """Print the list as sendmail always has: * is being sent, ! is held, # has failed."""
    total = number = 0
    for entry in entries(where):
        if not number:
            print("-Queue ID-------  --Size-- ----Arrival Time---- -Sender/Recipient-------")
        number += 1
        total += entry.bytes()
        mark = {"sending": "*", "held": "!", "failed": "#", "damaged": "#"}.get(entry.word, " ")
        if entry.message is None:
            print(f"{entry.id}{mark} {0:>8} {'':<19}  (damaged: {escaped(entry.damage)})\n")
            continue
        envelope = entry.message.envelope
        arrival = time.strftime("%a %b %d %H:%M:%S", time.localtime(envelope.date()))
        sender = address(envelope.sender) if envelope.sender else "MAILER-DAEMON"
        print(f"{entry.id}{mark} {entry.message.size:>8} {arrival}  {sender}")
        if entry.message.answer:
            print(f"({escaped(entry.message.answer)})".rjust(80))
        for recipient, settled in zip(envelope.recipients, entry.message.statuses):
            if settled != spool.DELIVERED:
                print(f"{'':<47}{address(recipient)}")
        print()
    if number:
        print(f"-- {(total + 1023) // 1024} Kbytes in {number} Request{'' if number == 1 else 's'}.")
    else:
        print("Mail queue is empty")
    sys.stdout.flush()
