"""What the owner does to single messages: show, delete, hold, release, flush.

Each works on the files through Message, locked, and syncs the directories it changed, so that it lasts. Called by
`main` as the spool's owner; the running relay hears of it through its control FIFO.
"""

from __future__ import annotations

import os
import sys

from mailrelay.cli.display import address, complain, count, duration, for_terminal, in_bytes, moment
from mailrelay.cli.instance import Stop
from mailrelay.cli.queue_view import RECIPIENT_STATES
from mailrelay.core import ipc
from mailrelay.core.text import escaped
from mailrelay.mail.body import Body
from mailrelay.spool import spool
from mailrelay.spool.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailrelay.cli.instance import Control, Relay


def run(command: str, relay: Relay, ids: Sequence[str], all_of_them: bool) -> int:
    """Run one of the commands that these functions are named after. Return the exit code."""
    # The way in is opened while we may.
    control = relay.control() if command == "flush" or (command == "release" and relay.running) else None
    told = relay.control_if_any() if command in ("delete", "hold") else None
    where = relay.enter()
    if command == "show":
        return show(where, ids[0])
    if command in ("delete", "hold"):
        code = delete(where, ids, all_of_them) if command == "delete" else hold(where, ids)
        if told is not None:
            told.request([ipc.LOOK])
        return code
    if command == "flush" and control:
        return flush(where, ids, control)
    return release(where, ids, all_of_them, control)


def show(where: spool.Spool, queue_id: str) -> int:
    """Print the envelope's facts, an empty line, and the message as text: dots unstuffed, line ends the machine's."""
    for state in spool.STATES if spool.is_id(queue_id) else ():
        try:
            message = Message(where, state, queue_id, lock=False)
        except FileNotFoundError:
            continue
        except spool.Damaged as damaged:
            complain("mailrelay show", f"{queue_id}: damaged ({damaged}); what follows is the file as it is")
            _print(_raw(where.path(state, queue_id)))
            return os.EX_DATAERR
        with message:
            print("\n".join(_facts(message)), end="\n\n", flush=True)
            _print(_text(message))
        return 0
    raise Stop(os.EX_NOINPUT, f"{escaped(queue_id)}: no such message; 'mailrelay queue' lists them")


def _facts(message: Message) -> Iterator[str]:
    envelope = message.envelope
    yield f"id           {message.id}"
    yield f"state        {message.state}"
    helo = f" (it said {escaped(envelope.helo)})" if envelope.helo else ""
    yield f"received     {moment(envelope.date())}, {duration(envelope.age())} ago"
    yield f"client       {escaped(envelope.client)}{helo}"
    yield f"sender       {address(envelope.sender)}"
    for recipient, settled in zip(envelope.recipients, message.statuses):
        yield f"recipient    {address(recipient)}  {RECIPIENT_STATES.get(settled, 'unknown')}"
    yield f"size         {in_bytes(message.size)}"
    known = {"8BITMIME": envelope.eightbit, "SMTPUTF8": envelope.smtputf8, "a notice of this relay": envelope.notice}
    flags = [name for name, is_set in known.items() if is_set]
    if flags:
        yield f"flags        {', '.join(flags)}"
    yield f"attempts     {message.attempts}"
    if message.answer:
        yield f"last answer  {escaped(message.answer)}"


def _text(message: Message) -> Iterator[bytes]:
    body = Body()
    yield from map(body.plain, message.chunks())
    yield body.plain_end()


def _raw(path: str) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        while chunk := file.read(65536):
            yield chunk


def _print(chunks: Iterator[bytes]) -> None:
    """Write bytes as they are into a file or pipe, but nothing to a terminal that it would obey."""
    if sys.stdout.isatty():
        for text in for_terminal(chunks):
            sys.stdout.write(text)
    else:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
    sys.stdout.flush()


def delete(where: spool.Spool, ids: Sequence[str], all_of_them: bool) -> int:
    """Delete for good, damaged files too. With all_of_them: whatever is there when we look."""

    def act(queue_id: str) -> tuple[str, ...]:
        try:
            message = _open(where, queue_id)
        except spool.Damaged as damaged:
            os.unlink(where.path(damaged.state, queue_id))
            return (damaged.state,)
        with message:
            message.delete()
            return (message.state,)

    if all_of_them:
        ids = [queue_id for state in spool.STATES for queue_id in where.ids(state)]
    done, code = _each("delete", where, ids, act)
    if all_of_them:
        print(f"{count(len(done), 'message')} deleted")
    else:
        _say("deleted", done)
    return code


def hold(where: spool.Spool, ids: Sequence[str]) -> int:
    """Let nobody touch them until `release` or `delete`; failed ones may be held too, and are then kept."""

    def act(queue_id: str) -> tuple[str, ...]:
        with _open(where, queue_id) as message:
            before = message.state
            if before != spool.HOLD:
                message.move(spool.HOLD)
            return before, spool.HOLD

    done, code = _each("hold", where, ids, act)
    _say("held", done)
    return code


def release(where: spool.Spool, ids: Sequence[str], all_of_them: bool, control: Control | None) -> int:
    """Put held and failed ones back into the queue, failed recipients and all, and due. all_of_them: as for delete."""

    def act(queue_id: str) -> tuple[str, ...]:
        with _open(where, queue_id) as message:
            before = message.state
            if before == spool.QUEUE and spool.FAILED not in message.statuses:
                return ()
            message.release()
            return before, spool.QUEUE

    if all_of_them:
        ids = [queue_id for state in (spool.HOLD, spool.FAIL) for queue_id in where.ids(state)]
    done, code = _each("release", where, ids, act)
    if control is not None:
        control.request(done)
    if all_of_them:
        print(f"{count(len(done), 'message')} released")
    else:
        _say("released" if control else "released, to be sent when the relay runs:", done)
    return code


def flush(where: spool.Spool, ids: Sequence[str], control: Control) -> int:
    """Make these due now, and every smarthost too."""

    def act(queue_id: str) -> tuple[str, ...]:
        try:
            message = _open(where, queue_id)
        except _Sending:
            return ()
        with message:
            if message.state != spool.QUEUE:
                what = "is held" if message.state == spool.HOLD else "has failed"
                raise Stop(os.EX_DATAERR, f"{queue_id}: {what}; 'mailrelay release {queue_id}' puts it into the queue")
            message.note_attempt(message.attempts, 0.0, message.answer)
            return ()

    done, code = _each("flush", where, ids, act)
    control.request(done)
    _say("due now", done)
    return code


class _Sending(Stop):
    """It is being delivered at this moment."""


def _open(where: spool.Spool, queue_id: str) -> Message:
    """Open and lock the message in whichever state. Stop, or spool.Damaged, which delete mends."""
    for state in spool.STATES if spool.is_id(queue_id) else ():
        try:
            return where.open(queue_id, state)
        except FileNotFoundError:
            continue
        except spool.Busy:
            raise _Sending(os.EX_TEMPFAIL, f"{queue_id}: is being delivered right now; try again in a moment") from None
        except spool.Damaged as damaged:
            damaged.state = state
            raise
    raise Stop(os.EX_NOINPUT, f"{escaped(queue_id)}: no such message; 'mailrelay queue' lists them")


def _each(
    command: str, where: spool.Spool, ids: Sequence[str], act: Callable[[str], tuple[str, ...]]
) -> tuple[list[str], int]:
    """Do it to each, complain of those that fail, and sync the states that `act` returns.

    Return the ones done, and the exit code of the first that failed.
    """
    done: list[str] = []
    touched: set[str] = set()
    code = 0
    for queue_id in dict.fromkeys(ids):
        try:
            touched.update(act(queue_id))
        except Stop as stop:
            complain(f"mailrelay {command}", stop.text)
            code = code or stop.code
        except spool.Damaged as damaged:
            complain(f"mailrelay {command}", f"{queue_id}: damaged ({damaged}); only show and delete work on it")
            code = code or os.EX_DATAERR
        except OSError as error:
            complain(f"mailrelay {command}", f"{queue_id}: {error.strerror}")
            code = code or os.EX_IOERR
        else:
            done.append(queue_id)
    for state in touched:
        where.sync(state)
    return done, code


def _say(what: str, ids: Sequence[str]) -> None:
    if ids:
        print(what, *ids)
