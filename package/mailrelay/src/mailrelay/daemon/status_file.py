"""The status file that everyone may read.

The supervisor alone writes it; the commands and the web interface read it.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii

from mailrelay.core import log
from mailrelay.core.paths import CONTROL, FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypedDict

    from mailrelay.config.findings import Fact

    class Success(TypedDict):
        """The last mail that went out."""

        time: float  # wall time, as all times in the file
        id: str
        smarthost: str

    class Advice(TypedDict):
        """What to change, "" where nobody knows, and for translations its id and what is filled in."""

        advice: str
        advice_code: str
        advice_values: dict[str, str]

    class Failure(Advice):
        """The last mail or smarthost that failed and whose cause is still there; "" for what does not apply."""

        time: float
        id: str
        name: str  # of the smarthost's section
        smarthost: str  # its host
        stage: str
        answer: str
        deferred: bool  # the mail waits and is tried again; false: it has failed, or it is the smarthost that did

    class Provider(Advice):
        """How one smarthost is: what the command, the bus and the page all say of it."""

        name: str  # of its section
        smarthost: str  # "host:port"
        state: str  # "good", "waiting" (mail waits there), "bad" (it cannot be used), "unknown" (not tried yet)
        since: float | None
        text: str  # the answer that says so, "" for none
        stage: str  # at which it was given
        next_try: float | None  # until when it is left alone

    class Refusal(Advice):
        """What one machine on the LAN was refused with one reply, since the relay's start."""

        client: str
        reply: str  # one line, with its code
        count: int
        since: float
        last: float

    class Trouble(Advice):
        """What there is now that waiting does not end; "" for what does not apply."""

        cause: str  # Failure's, or damaged, disk, stuck
        smarthost: str
        sender: str  # the outgoing sender that it concerns alone
        since: float
        answer: str

    class StatusFacts(TypedDict, total=False):
        """What the file holds; one of another version may hold less."""

        version: str
        pid: int
        started: float
        loaded: float  # since when the settings and addresses are in force
        updated: float
        uptime: float  # seconds since boot at that moment: who reads it later knows the time now by /proc/uptime
        clock_trusted: bool
        listening: list[str]
        not_listening: dict[str, str]  # why
        port_taken: Sequence[
            Mapping[str, str]
        ]  # endpoint, by (a program with its pid), advice, stop (a command); or ""
        allow: list[str]
        spool: str
        spool_missing: bool
        provider: bool
        smarthosts: list[str]
        providers: list[Provider]  # the same, in the same order
        counts: dict[str, int]
        counted_since: float  # by this relay and those before it in this boot
        today: dict[str, int]  # and "since"
        days: list[dict[str, int | str]]  # "day" (2026-11-30) and counts; seven at most, the oldest first, today last
        queue: int
        deferred: int  # of the queue: what was tried and is to be tried again
        hold: int
        failed: int
        oldest: float | None  # when the oldest that waits came in
        delivering: bool
        next_try: float | None  # until when no smarthost is tried
        last_success: Success | None
        last_failure: Failure | None
        refusals: list[Refusal]  # the latest first, a bounded number
        troubles: list[Trouble]  # the oldest first, a bounded number
        warnings: Sequence[Mapping[str, Fact]]  # Finding.facts or a code, and "text": the whole line


HINDRANCES = PORT_TAKEN, SPOOL_MISSING = "port-taken", "spool-missing"  # codes of warnings: no mail comes in


def advice_facts(words: Sequence[str]) -> Advice:
    """Return what is shown of an advice; `words` as core.ipc's table has them."""
    text, code, *values = (*words, *[""] * (2 - len(words)))
    pairs = (value.partition("=") for value in values)
    return {"advice": text, "advice_code": code, "advice_values": {name: value for name, _, value in pairs}}


def dump(value: object) -> str:
    """Make JSON of plain values. The json package would cost the supervisor half a megabyte."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dump(str(key))}: {dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(dump(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    return encode_basestring_ascii(str(value))


def write(run_dir: str, status: StatusFacts) -> None:
    """Replace the status file in one step. Lost on a power cut, like everything in run_dir."""
    path = f"{run_dir}/{FILE}"
    try:
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(dump(status) + "\n")
        os.chmod(f"{path}.new", 0o644)
        os.rename(f"{path}.new", path)
    except OSError as error:
        log.event("no-status", log.WARNING, reason=error.strerror)


def remove(run_dir: str) -> None:
    """Remove it, so that nobody thinks that the relay runs."""
    for name in (FILE, CONTROL):
        try:
            os.unlink(f"{run_dir}/{name}")
        except FileNotFoundError:
            pass
