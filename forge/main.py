"""The program ./inv: the words again, now with everything at hand, and the tasks that they name, run by Invoke."""

from __future__ import annotations

import os
import signal
import sys

from forge import cli, commandline, console
from forge.errors import ForgeError


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] # a terminal or a log that has not all letters
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
    _preview(line.calls)
    from invoke.exceptions import Exit
    from invoke.executor import Executor

    try:
        Executor(cli.collection()).execute(*calls)
    except Exit as end:
        if end.message:
            print(end.message, file=sys.stderr)
        return int(end.code)
    return 0


def _preview(calls: list[commandline.Call]) -> None:
    """Say of tasks with --dry-run what would be brought for them, which it was not."""
    for call in calls:
        if call.is_preview:
            from forge import host

            if brings := str(host.lacking(call.needs())):
                console.note(f"without --dry-run, ./inv {call.command.name} first brings {brings}")
