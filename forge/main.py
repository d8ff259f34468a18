"""The program ./inv: the words again, now with everything at hand, and the tasks that they name, run by Invoke."""

from __future__ import annotations

import os
import signal
import sys

from forge import cli, commandline, console, host
from forge.errors import ForgeError


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):  # a terminal or a log that has not all letters
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = cli.INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    sys.exit(status)


def run(words: list[str]) -> int:
    """Run the tasks that the words name; the exit status."""
    import tasks  # noqa: F401 - declares them

    try:
        line = commandline.parse(words, cli.COMMANDS)
        calls = [(call.command.name, call.settings()) for call in line.calls]
    except ForgeError as error:
        print(f"inv: {error}", file=sys.stderr)
        return error.exit_code
    console.set_up(verbosity=line.verbosity)
    for call in line.calls:
        brings = host.lacking(call.needs()) if call.is_preview else ""
        if str(brings):
            console.note(f"without --dry-run, ./inv {call.command.name} first brings {brings}")
    from invoke.exceptions import Exit
    from invoke.executor import Executor

    try:
        Executor(cli.collection()).execute(*calls)
    except Exit as end:
        if end.message:
            print(end.message, file=sys.stderr)
        return int(end.code)
    return 0
