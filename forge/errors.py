"""The errors a person can act on, one small tree.

Each says what failed, on which file or host, and (as its hint) the next thing to do. cli.py alone turns them into a
line and an exit code; nothing else catches them to print them. Any other exception is a mistake of ours.
"""

from __future__ import annotations


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


class CommandError(ForgeError):
    """A program ended with a status other than 0, was killed, or did not end in time."""

    def __init__(self, message: str, *, status: int | None, output: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.output = output
