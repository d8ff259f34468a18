"""What ./inv asks before it installs anything: answers help, lists and mistakes, or says what the tasks need.

    python3 -I -S forge/inv/front.py WORDS… 3>ANSWER 5>&2

The answer to ./inv is one line on file descriptor 3: `run GROUPS… / SETS…` (of forge/system-packages and of
requirements/), or nothing where all was said that there is to say. Exit status 2 for a mistyped command line. Only the
standard library: on a new machine there is nothing else.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # in the interpreter itself: signal takes long enough for a traceback

if __name__ == "__main__":
    import posix

    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    posix.dup2(5, 2)  # until here ./inv hides what an interrupted interpreter has to say

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forge.core.commandline import Line

ANSWER = 3  # the file descriptor
LAST_WORDS = ("--complete", "--")


def main(words: list[str]) -> int:
    from forge.core.errors import ForgeError
    from forge.core.needs import NOTHING

    try:
        line = answered(words)
        wanted = NOTHING
        for call in line.calls if line else []:
            wanted |= call.brings()
    except ForgeError as error:
        print(f"inv: {error}", file=sys.stderr)
        return error.exit_code
    if line:
        words = ["run", *sorted(wanted.system), "/", *sorted(wanted.python)]
        os.write(ANSWER, " ".join(words).encode() + b"\n")
    return 0


def answered(words: list[str]) -> Line | None:
    """The command line, if tasks are to be run; None where help or the like was asked for, and is printed now."""
    import tasks  # noqa: F401 - declares them
    from forge.core.cli import COMMANDS
    from forge.core.commandline import parse
    from forge.inv import completion, usage

    if tuple(words[:2]) == LAST_WORDS:
        print(*completion.candidates(words[2:], COMMANDS), sep="\n")
        return None
    line = parse(words, COMMANDS)
    if line.version:
        print(usage.version())
    elif line.completion:
        print(completion.SCRIPTS[line.completion], end="")
    elif line.about is not None:
        print(usage.page(COMMANDS[line.about]) if line.about else usage.overview(COMMANDS))
    else:
        return line
    return None


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # the checkout may belong to somebody else
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    try:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
