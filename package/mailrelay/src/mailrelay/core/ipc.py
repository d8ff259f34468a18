"""What the roles tell each other, as bytes: the one place that encodes and decodes it.

| message        | through        | from → to                      | bytes                                       |
|----------------|----------------|--------------------------------|---------------------------------------------|
| ids            | a pipe         | listener, supervisor → courier | queue ids, a line each; no write is torn    |
| requests       | FIFO `control` | commands → supervisor          | `flush`, `look`, `reload` or queue ids      |
| report         | a pipe         | courier → supervisor           | words between tabs, a line of 2,001 at most |
| refusals       | a pipe         | listener → supervisor          | likewise: CLIENT COUNT REPLY ADVICE ID      |
| counters       | shared memory  | listener, courier → supervisor | 64 bits each, see `counters`                |
| settings       | file `config`  | supervisor → courier           | the config that was found good              |
| plan, settings | a pipe         | parsing child → its parent     | one value of `marshal`                      |
| the end        | lifeline       | nobody → listener, courier     | it closes when the supervisor is gone       |

Reports, and what they say (times are CLOCK_BOOTTIME seconds, with three digits after the point):

    leaving   DUE BLOCKED_UNTIL     when the queue is due again, "" for never; when a smarthost may be tried again
    slow      SMARTHOST STATE DUE   a transfer lasts: `moving`, `hanging`, or "" when it is over; when the queue is due
    opened    NAME                  a smarthost has been connected and logged in to; NAME is its section's
    success   ID NAME SMARTHOST     a message went out; SMARTHOST is the host
    failure   ID NAME SMARTHOST STAGE STATE DEFERRED ANSWER ADVICE...
                                    a message or a smarthost failed; "" for what does not apply. STATE: what that says
                                    of the smarthost, `waiting` or `bad`; DEFERRED: 1 if the message waits
    oldest    ID AGE                the oldest mail that waits, for how many seconds
    remember  NAME VALUE...         carried state: what the next courier is to know
    forget    NAME                  carried state that holds no more

ADVICE... is the text, the advice's id, and a word NAME=VALUE for each fact that is filled in.

Carried state is text that couriers write for couriers. The supervisor keeps it and knows names only:

    host SMARTHOST [SENDER]         until when it rests, or mail from this sender there; failures in a row; the
                                    queue id of the mail that it refused last
    rate SMARTHOST                  start and count of the minute, start and count of the day
    failed                          queue id of the last notice of failed mail, how many it tells of, when the hour of
                                    such notices began, how many went in it, and failures that are to be told of yet
    trouble NAME                    what waiting does not end: since, when told, when last met, queue ids of the notice
                                    and of the mail that met it, cause, smarthost, sender, answer, ADVICE...
    ended NAME CAUSE                when a trouble that is over was last met

NAME is `smarthost` and its name, and a sender if it concerns that one alone; `damaged` and a queue id; `disk`; `stuck`.

But one kind the supervisor writes, and couriers forget it when they have told the owner:

    refused CLIENT                  the reply that a machine on the LAN got instead of its mail's 250, how often, advice

In the file `state` stands beside it what the supervisor itself goes on with in the next relay of this boot:

    kept NAME                       counts (`daemon.status`), or what went well and what did not (`daemon.outcomes`)
"""

from __future__ import annotations

import os

from mailrelay.core import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal, TypeAlias

    Report: TypeAlias = (
        tuple[Literal["leaving"], float, float]
        | tuple[Literal["slow"], str, str, float]
        | tuple[Literal["opened"], str]
        | tuple[Literal["success"], str, str, str]
        | tuple[Literal["failure"], list[str]]
        | tuple[Literal["oldest"], str, float]
        | tuple[Literal["remember"], str, list[str]]
        | tuple[Literal["forget"], str]
    )

NEVER = float("inf")  # the time of what is not due
FLUSH, LOOK, RELOAD = "flush", "look", "reload"  # requests; reload: of settings and addresses, if they are others now
WAITING, BAD = "waiting", "bad"  # what a failure says of a smarthost
FAILED, TROUBLE, ENDED = "failed", "trouble", "ended"  # carried state
_LINES_A_WRITE = 200  # queue ids that fit into PIPE_BUF: all of them go into a pipe or none
_READ = 65536
_REPORT_SIZE = 2000
_LATEST = 1e10  # seconds since boot that nobody will see
_MOST = 1_000_000_000  # refusals of one machine
_ADDRESS = frozenset("0123456789abcdefghijklmnopqrstuvwxyz:.%-_")  # with an interface's name


def make_control(run_dir: str) -> int:
    """Make the FIFO anew and open it to read requests."""
    path = f"{run_dir}/{paths.CONTROL}"
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def encode_lines(words: Sequence[str]) -> Iterator[bytes]:
    """Encode ids or requests, in pieces to be written whole."""
    for start in range(0, len(words), _LINES_A_WRITE):
        yield "".join([f"{word}\n" for word in words[start : start + _LINES_A_WRITE]]).encode()


def write_ids(pipe: int, ids: Sequence[str]) -> bool:
    """Tell the courier of mail in the queue. False if the pipe is too full for all of it."""
    try:
        for lines in encode_lines(ids):
            os.write(pipe, lines)
    except BlockingIOError:
        return False
    return True


def write_refusal(pipe: int, client: str, count: int, reply: str, advice: str, code: str) -> None:
    """Tell the supervisor that a client was refused so many times more; if the pipe is full, it is not told."""
    try:
        os.write(pipe, encode_report(client, str(count), reply, advice, code))
    except BlockingIOError:
        pass


def read_lines(pipe: int) -> list[str]:
    """Return the ids or requests that wait in a pipe; each is still to be judged."""
    try:
        return os.read(pipe, _READ).decode("ascii", "replace").split()
    except BlockingIOError:
        return []


def encode_report(*words: str) -> bytes:
    """Make one line of a report's kind and words; cut what is too long."""
    return "\t".join([" ".join(word.split()) for word in words]).encode("utf-8", "replace")[:_REPORT_SIZE] + b"\n"


def encode_time(seconds: float) -> str:
    return "" if seconds == NEVER else f"{seconds:.3f}"


def read_reports(pipe: int, rest: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole lines that wait in a pipe behind `rest`, and what is no line yet: the next call's `rest`."""
    try:
        rest += os.read(pipe, _READ)
    except BlockingIOError:
        pass
    *lines, rest = rest[-_READ:].split(b"\n")
    return lines, rest


def decode_report(line: bytes) -> Report:
    """Judge a line of an unprivileged process. ValueError if it is no report."""
    kind, *words = line.decode("utf-8", "replace").split("\t")
    if kind == "leaving":
        due, blocked_until = words
        return "leaving", _seconds(due) if due else NEVER, _seconds(blocked_until)
    if kind == "slow":
        smarthost, state, due = words
        return "slow", smarthost, state, _seconds(due) if due else NEVER
    if kind == "success":
        queue_id, name, smarthost = words
        return "success", queue_id, name, smarthost
    if kind == "failure" and words:
        return "failure", words
    if kind == "opened":
        (name,) = words
        return "opened", name
    if kind == "oldest":
        queue_id, age = words
        return "oldest", queue_id, _seconds(age)
    if kind == "remember" and words:
        return "remember", words[0], words[1:]
    if kind == "forget":
        (name,) = words
        return "forget", name
    raise ValueError(kind)


def decode_refusal(line: bytes) -> tuple[str, int, str, str, str]:
    """Judge a line of the listener: client, how many refusals more, reply, advice, its id. ValueError if it is none."""
    client, count, reply, advice, code = line.decode("utf-8", "replace").split("\t")
    if not 0 < len(client) <= 64 or not _ADDRESS.issuperset(client) or not 0 < int(count) <= _MOST:
        raise ValueError(client)
    if not reply[:3].isdigit() or not reply.isprintable() or not (advice + code).isprintable():
        raise ValueError(reply)
    return client, int(count), reply, advice, code


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0.0 <= seconds < _LATEST:
        raise ValueError(word)
    return seconds


def keep_state(state: dict[str, list[str]], *kinds: str) -> dict[str, list[str]]:
    """Return what is of these kinds."""
    return {name: values for name, values in state.items() if name.partition(" ")[0] in kinds}
