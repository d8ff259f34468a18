"""Commands in mount namespaces of their own, also where we run in a chroot ourselves: a bare Debian tree, say.

Whoever enters a mount namespace gets its root folder, which is the machine's and not the chroot's: so the root of the
process that is there is taken over (nsenter's --root). The tests and forge/checks/lacking.py call this. Nothing that is
mounted may show outside: where it would, MissingError is raised.
"""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

from forge.core import proc
from forge.core.errors import MissingError

MOUNTS = Path("/proc/self/mountinfo")
TIMEOUT = 60.0


def apart(*options: str) -> list[str]:
    """The start of a command that has a mount namespace of its own, and what else unshare's options say."""
    return ["unshare", "--mount", *_propagation(), *options]


def enter(pid: int | str, *options: str) -> list[str]:
    """The start of a command that runs in the mount namespace of process `pid`, with its root folder."""
    return ["nsenter", f"--target={pid}", "--mount", "--root", *options]


@lru_cache(maxsize=1)
def _propagation() -> tuple[str, ...]:
    """unshare's option for a chroot whose root is no mount point: there it can't make private what will be mounted.

    Raise MissingError where it is not private anyhow: what a test mounts would stay, and go with the test's folder.
    """
    if "/" in (line.split()[4] for line in MOUNTS.read_text().splitlines()):
        return ()
    unchanged = ("--propagation", "unchanged")
    with tempfile.TemporaryDirectory(prefix="mailrelay-mount-") as folder:
        proc.run(["unshare", "--mount", *unchanged, "mount", "-t", "tmpfs", "none", folder], timeout=TIMEOUT)
        if os.path.ismount(folder):
            proc.run(["umount", folder], timeout=TIMEOUT)
            raise MissingError(
                "what is mounted in this chroot shows outside of it as well",
                hint="make its folder a mount point before you enter it: mount --bind FOLDER FOLDER",
            )
    return unchanged
