"""What couriers leave for couriers, as far as the supervisor knows it: what of it outlives settings and the supervisor,
and what the status shows of it.

`core.ipc` lists the words.
"""

from __future__ import annotations

import os

from mailrelay.core import clock, ipc, log
from mailrelay.daemon import status_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.daemon.status_file import Trouble

    State = dict[str, list[str]]

_KEPT = "kept"


def lasting(state: State) -> State:
    """Return the limits that the provider sets, the troubles, whose end is to be told, and what is to be told yet."""
    return ipc.keep_state(state, "rate", "refused", ipc.FAILED, ipc.TROUBLE)


def save(path: str, state: State) -> None:
    """Leave it for the next relay."""
    lines = [ipc.encode_report("remember", name, *words) for name, words in state.items()]
    try:
        with open(path, "wb", opener=_private) as file:
            file.write(b"".join([clock.boot_id().encode() + b"\n", *lines]))
    except OSError as error:
        log.event("no-state", log.WARNING, reason=error.strerror)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def load(path: str) -> State:
    """Return what an earlier relay of this boot has left, once."""
    state: State = {}
    try:
        with open(path, "rb") as file:
            boot_id, *lines = file.read().splitlines()
        os.unlink(path)
        for line in lines if boot_id == clock.boot_id().encode() else ():
            report = ipc.decode_report(line)
            if report[0] == "remember":
                state[report[1]] = report[2]
    except (OSError, ValueError):
        pass
    return state


def keep(facts: State) -> State:
    """Name facts of the supervisor's own, so that they are told from what couriers leave."""
    return {f"{_KEPT} {name}": words for name, words in facts.items()}


def kept(state: State) -> State:
    """Return the facts that keep() named."""
    return {name[len(_KEPT) + 1 :]: words for name, words in ipc.keep_state(state, _KEPT).items()}


def restore(path: str, *takers: Callable[[State], None]) -> None:
    """Hand on what an earlier relay of this boot has left. What one cannot read it goes without."""
    state = load(path)
    for take in takers:
        try:
            take(state)
        except (ValueError, IndexError) as error:
            log.event("bad-state", log.ERROR, reason=error)


def troubles(state: State) -> list[Trouble]:
    """Return what there is now that the owner is to mend, the oldest first."""
    found: list[Trouble] = []
    offset = clock.wall() - clock.boottime()
    for words in ipc.keep_state(state, ipc.TROUBLE).values():
        since, _, _, _, _, cause, smarthost, sender, answer, *advice = (*words, *[""] * (10 - len(words)))
        try:
            if not abs(float(since)) < ipc.NEVER:  # no number in JSON
                continue
            found.append({
                "cause": cause, "smarthost": smarthost, "sender": sender, "since": offset + float(since),
                "answer": answer, **status_file.advice_facts(advice),
            })  # fmt: skip
        except ValueError:
            pass
    return sorted(found, key=lambda trouble: trouble["since"])
