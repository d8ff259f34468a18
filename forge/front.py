"""What ./inv asks before it installs anything: answers help, lists and mistakes, or says what the tasks need.

    python3 -I -S forge/front.py WORDS… 3>ANSWER 5>&2

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

ANSWER = 3  # the file descriptor
LAST_WORDS = ("--complete", "--")


def main(words: list[str]) -> int:
    import tasks  # noqa: F401 - declares them
    from forge import completion, usage
    from forge.cli import COMMANDS
    from forge.commandline import parse
    from forge.errors import ForgeError

    if tuple(words[:2]) == LAST_WORDS:
        print(*completion.candidates(words[2:], COMMANDS), sep="\n")
        return 0
    try:
        line = parse(words, COMMANDS)
        needed = [(call, call.needs()) for call in line.calls] if line.about is None else []
        wanted = [one for call, one in needed if not call.is_preview]
    except ForgeError as error:
        print(f"inv: {error}", file=sys.stderr)
        return error.exit_code
    if line.version:
        print(usage.version())
    elif line.completion:
        print(completion.SHELLS[line.completion], end="")
    elif line.about is not None:
        print(usage.page(COMMANDS[line.about]) if line.about else usage.overview(COMMANDS))
    else:
        system = sorted({group for one in wanted for group in one.system})
        python = sorted({name for one in wanted for name in one.python})
        os.write(ANSWER, " ".join(["run", *system, "/", *python]).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # the checkout may belong to somebody else
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    try:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
