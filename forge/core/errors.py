"""The errors a person can act on, one small tree.

Each says what failed, on which file or host, and (as its hint) the next thing to do. Any room raises them. cli.py
turns a task's into a line and an exit code, main.py and front.py (forge/inv) those of a command line; nothing here
prints. Any other exception is a mistake of ours.
"""

from __future__ import annotations

import errno
import os


class ForgeError(Exception):
    """A task cannot go on. `hint` is the next thing to do, in the imperative."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(ForgeError):
    """The command line asks for something that does not exist or makes no sense: told in one line."""

    exit_code = 2

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class MissingError(ForgeError):
    """This machine lacks something that the task needs."""

    exit_code = 3


class MachineError(ForgeError):
    """The machine refuses a file: no room, no permission, a read-only file system."""


# What the machine is to blame for, and no mistake of ours.
_REFUSALS = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "it cannot be written: take a copy on another file system",
    errno.EACCES: "it belongs to another user: look at its owner and mode",
    errno.EPERM: "it belongs to another user: look at its owner and mode",
    errno.EMFILE: "ulimit -n tells how many files may be open",
    errno.EIO: "the disk has a fault: look at dmesg",
}


def refusal(error: OSError) -> MachineError | None:
    """The error as a person can act on it, where the machine is to blame; None where we are."""
    hint = _REFUSALS.get(error.errno or 0)
    if hint is None:
        return None
    where = error.filename2 or error.filename
    if where is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        import tempfile

        hint = f"{hint}: df -h, and think of {tempfile.gettempdir()} and of the cache (./inv cache)"
    return MachineError(f"{os.fspath(where)}: {error.strerror}" if where else str(error.strerror), hint=hint)


class CommandError(ForgeError):
    """A program ended with a status other than 0, was killed, or did not end in time."""

    def __init__(self, message: str, *, status: int | None, output: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.output = output
