"""The guests that run on this machine, as each has written it down in its folder: for `./inv ssh`, and to tidy up.

A guest is known by its process's number and start, so that what a killed starter left behind counts as gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

PREFIX = "mailrelay-guest-"
PARENT = "/var/tmp"  # a disk even where /tmp is memory, and short enough for the paths of sockets
STALE = 3600.0  # seconds: a younger folder may belong to a guest that is just being started


def guests() -> list[tuple[Path, dict[str, Any]]]:
    """Folder and state of every guest of ours that is running, the newest first."""
    found = []
    for file in Path(PARENT).glob(f"{PREFIX}*/state.json"):
        try:
            if file.parent.stat().st_uid != os.geteuid():
                continue
            state = json.loads(file.read_text())
            if started(state["pid"]) == state["started"]:
                found.append((file.stat().st_mtime, file.parent, state))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [(folder, state) for _, folder, state in sorted(found, key=lambda one: one[0], reverse=True)]


def sweep() -> None:
    """Remove the folders of guests whose starter was killed before it could."""
    running = {folder for folder, _ in guests()}
    for folder in Path(PARENT).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            stale = time.time() - folder.stat().st_mtime > STALE
            if folder.stat().st_uid == os.geteuid() and folder not in running and stale:
                shutil.rmtree(folder, ignore_errors=True)


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks: with its number this names it for good. "" if it has ended."""
    try:
        fields = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
