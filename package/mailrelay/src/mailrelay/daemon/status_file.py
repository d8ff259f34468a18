"""The status file that everyone may read.

The supervisor alone writes it; the commands and the web interface read it.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii

from mailrelay.core import log
from mailrelay.core.paths import CONTROL, FILE
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def dump(value: Any) -> str:
    """JSON of plain values. The json package would cost the supervisor half a megabyte."""
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


def write(run_dir: str, status: dict[str, Any]) -> None:
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
    """The relay ends: nobody is to think that it runs."""
    for name in (FILE, CONTROL):
        try:
            os.unlink(f"{run_dir}/{name}")
        except FileNotFoundError:
            pass


def open_control(run_dir: str) -> int:
    """Make the FIFO anew and open it: for the supervisor."""
    path = f"{run_dir}/{CONTROL}"
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def census(root: str) -> tuple[dict[str, int], str]:
    """How many messages are in each state, and the queue id of the oldest that waits ("" for none).

    Names only: the supervisor may be root, and the folders belong to somebody who is not.
    """
    counts = {}
    oldest = ""
    for state in spool.STATES:
        counts[state] = 0
        try:
            with os.scandir(f"{root}/{state}") as entries:
                for entry in entries:
                    counts[state] += 1
                    if state == spool.QUEUE and (not oldest or entry.name < oldest) and spool.is_id(entry.name):
                        oldest = entry.name
        except OSError:
            pass
    return counts, oldest


def stamp(root: str) -> list[int]:
    """When each state's directory was last changed: by whom ever, so that what the owner deletes is noticed too."""
    found = []
    for state in spool.STATES:
        try:
            found.append(os.stat(f"{root}/{state}").st_mtime_ns)
        except OSError:
            found.append(0)
    return found
