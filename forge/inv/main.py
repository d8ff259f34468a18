"""The program ./inv: the words again, now with everything at hand, and the tasks that they name, run by Invoke."""

from __future__ import annotations

import os
import signal
import sys

from forge.core import cli, commandline, console, paths
from forge.core.errors import ForgeError
from forge.core.needs import Needs, stamped, system_packages
from forge.inv import front

BROUGHT = "MAILRELAY_BROUGHT"  # set by ./inv once it has brought what it could


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
    """Answer, or run the tasks that the words name; the exit status."""
    try:
        line = front.answered(words)
        calls = [(call.command.name, call.settings()) for call in line.calls] if line else []
        wanted = [call.brings() for call in line.calls] if line else []
    except ForgeError as error:
        print(f"inv: {error}", file=sys.stderr)
        return error.exit_code
    if line is None:
        return 0
    if not os.environ.pop(BROUGHT, "") and _lacking(wanted):
        # ./inv brings it, and comes back here.
        os.execve("/bin/sh", ["sh", os.fspath(paths.INV), *words], {**os.environ, BROUGHT: "1"})
    console.set_up(verbosity=line.verbosity)
    _preview(line.calls)
    from invoke.config import Config
    from invoke.exceptions import Exit
    from invoke.executor import Executor

    try:
        # Lazy: Invoke's own settings in somebody's home have no say here.
        Executor(cli.collection(), Config(lazy=True)).execute(*calls)
    except Exit as end:
        if end.message:
            print(end.message, file=sys.stderr)
        return int(end.code)
    return 0


def _lacking(wanted: list[Needs]) -> bool:
    """Whether something is not here of what the tasks need."""
    groups = {"base", *(group for one in wanted for group in one.system)}
    missing = any(not one.present() for one in system_packages() if one.group in groups)
    return missing or not all(stamped(name) for one in wanted for name in one.python)


def _preview(calls: list[commandline.Call]) -> None:
    """Say of tasks with --dry-run what would be brought for them, which it was not."""
    for call in calls:
        if call.is_preview:
            from forge.host import host

            if call.values.get(cli.JSON):
                console.json_only()
            if brings := str(host.lacking(call.needs())):
                console.note(f"without --dry-run, ./inv {call.command.name} first brings {brings}")
