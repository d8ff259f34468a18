"""Every program that the host side starts and waits for is started by run(): an argv list, never a shell.

Most rooms and the tests call it. A failure names the command and shows the end of what it printed. Long-running servers
(the relay, a provider, QEMU) are not run from here: they belong to whoever watches over them.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forge.core import console
from forge.core.errors import CommandError, MissingError

TAIL = 30  # lines of output that an error shows
GRACE = 10.0  # seconds that a program has to end after SIGTERM

Arg = str | os.PathLike[str]

_running: set[subprocess.Popen[str]] = set()


@dataclass(frozen=True)
class Result:
    """What came of a program: its exit status (negative: the signal) and what it printed."""

    argv: tuple[str, ...]
    status: int
    output: str


def run(
    argv: Sequence[Arg],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float | None = None,
    check: bool = True,
    errors: bool = True,
    on_line: Callable[[str], None] | None = None,
    hint: str = "",
) -> Result:
    """Run a program to its end and return what it printed (text; standard error with it, unless `errors` is False).

    `env` is added to this process's own environment. `timeout` is in seconds. `on_line` gets each line (without its
    end) while the program runs. With `check`, a status other than 0 raises CommandError with `hint`; a program that
    is not there raises MissingError in any case. Whatever interrupts the wait ends the program and its children.
    """
    words = tuple(os.fspath(word) for word in argv)
    console.trace(f"$ {shlex.join(words)}")
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            text=True,
            errors="replace",
            # Ctrl-C reaches this process alone, which then ends the program and all that it started.
            process_group=0,
        )
    except (FileNotFoundError, PermissionError) as error:  # the latter also where a folder of PATH is closed to us
        raise MissingError(
            f"{words[0]} is not on this machine", hint=hint or "run ./inv doctor to see what is missing"
        ) from error
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end(process)

    timer = threading.Timer(timeout or 0, expire)
    try:
        _running.add(process)
        if timeout is not None:
            timer.start()
        output = _communicate(process, input, on_line)
    except BaseException:
        _end(process)
        raise
    finally:
        timer.cancel()
        _running.discard(process)
    result = Result(words, process.returncode, output)
    if on_line is None:
        for line in output.splitlines():
            console.trace(f"  {line}")
    if expired.is_set():
        raise CommandError(
            _describe(result, f"did not end within {timeout:g} s"), status=None, output=output, hint=hint
        )
    if check and result.status != 0:
        what = f"was ended by signal {-result.status}" if result.status < 0 else f"failed with status {result.status}"
        raise CommandError(_describe(result, what), status=result.status, output=output, hint=hint)
    return result


def end_all() -> None:
    """End every program that run() waits for, in whatever thread: what an interrupted task does."""
    for process in list(_running):
        _end(process)


def _communicate(process: subprocess.Popen[str], text: str | None, on_line: Callable[[str], None] | None) -> str:
    if on_line is None:
        return process.communicate(text)[0]
    assert text is None, "input and on_line together are not supported"
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        on_line(line.rstrip("\n"))
    process.wait()
    return "".join(lines)


def _end(process: subprocess.Popen[str]) -> None:
    """End a program and whatever it started (its process group): SIGTERM first, SIGKILL after GRACE seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE)
            break
        except subprocess.TimeoutExpired:
            continue


def _describe(result: Result, what: str) -> str:
    lines = result.output.rstrip().splitlines()
    if len(lines) > TAIL:
        lines = [f"… {len(lines) - TAIL} lines before", *lines[-TAIL:]]
    return "\n".join([f"{what}: {shlex.join(result.argv)}", *(f"  | {line}" for line in lines)])


def end_in_order() -> None:
    """From here on a closed terminal or a kill ends this program as Ctrl-C does: with everything it started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
