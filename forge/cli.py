"""The border between the command line and forge: the task decorator, argument conversions, and the `./inv` program.

Here alone an error of ours becomes a line and an exit code: no task prints a traceback for a user's mistake.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

from invoke import tasks
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from forge import paths
from forge.errors import ForgeError, UsageError

INTERRUPTED = 130


def task(*args: Any, **kwargs: Any) -> Callable[[Callable[..., None]], Any]:
    """invoke.task, with every ForgeError as `message`, hint and exit code, and Ctrl-C as exit code 130."""

    def decorate(body: Callable[..., None]) -> Any:
        @functools.wraps(body)
        def wrapped(*a: Any, **k: Any) -> None:
            try:
                body(*a, **k)
            except ForgeError as error:
                raise Exit(f"{body.__name__.replace('_', '-')}: {error}", code=error.exit_code) from None
            except KeyboardInterrupt:
                raise Exit("interrupted", code=INTERRUPTED) from None

        return tasks.task(*args, **kwargs)(wrapped)

    return decorate


def near(word: str, names: Iterable[str]) -> str:
    """' Did you mean x or y?', or nothing where no name comes near."""
    matches = difflib.get_close_matches(word, list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def choice(value: str, names: Iterable[str], flag: str) -> str:
    """`value` if it is one of `names`; else a UsageError that names near matches and all that would be right."""
    names = list(names)
    if value in names:
        return value
    raise UsageError(f"{flag}: there is no {value!r}.{near(value, names)}", hint=f"one of: {', '.join(names)}")


def number(value: str, flag: str, *, least: int = 0, most: int | None = None) -> int:
    """A whole number from text (Invoke hands options over as text, so that a bad one gets a good error)."""
    limits = f"a whole number from {least}" + (f" to {most}" if most is not None else " on")
    try:
        result = int(value)
    except ValueError:
        raise UsageError(f"{flag}: {value!r} is not a number", hint=f"write {limits}") from None
    if result < least or (most is not None and result > most):
        raise UsageError(f"{flag}: {result} is out of range", hint=f"write {limits}")
    return result


def words(text: str) -> tuple[str, ...]:
    """A list from one option: its words, with spaces or commas between."""
    return tuple(text.replace(",", " ").split())


def collection(module: dict[str, Any], **groups: Iterable[Any]) -> Collection:
    """The tasks of a module, with those of a group as NAME.TASK, and its default one as NAME."""
    grouped = {id(task) for members in groups.values() for task in members}
    top = Collection()
    for value in module.values():
        if isinstance(value, tasks.Task) and id(value) not in grouped:
            top.add_task(value)
    for name, members in groups.items():
        top.add_collection(Collection(name, *members))
    return top


def remainder() -> list[str]:
    """The words after a lone `--` (Invoke joins them with spaces, which loses the quoting)."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def leave(status: int) -> None:
    """Ends the task with the exit status of a program that it ran in its place."""
    if status:
        raise Exit(code=status)


class Inv(Program):
    """Invoke as `./inv` runs it: lists the tasks when none is named, and answers a mistyped name with near ones."""

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            raise Exit(self._explain(error), code=UsageError.exit_code) from None

    def parse_cleanup(self) -> None:
        try:
            super().parse_cleanup()
        except ParseError as error:
            raise Exit(self._explain(error), code=UsageError.exit_code) from None

    def no_tasks_given(self) -> None:
        self.list_tasks()
        raise Exit

    def _explain(self, error: ParseError) -> str:
        found = re.fullmatch(r"No idea what '(.*)' is!", str(error), re.DOTALL)
        if not found:
            return str(error)
        word = found[1]
        if word.startswith("-"):
            flags = [*error.context.flags, *self.core_args_flags()] if error.context else self.core_args_flags()
            where = f"the task {error.context.name}" if error.context and error.context.name else self.binary
            return f"{where} has no option {word}.{near(word, flags)}"
        return f"There is no task {word!r}.{near(word, self.collection.task_names)}\n  {self.binary} --list shows all"

    def core_args_flags(self) -> list[str]:
        return list(self.initial_context.flags)


def main() -> None:
    program = Inv(name="mailrelay", binary="./inv", binary_names=["inv"])
    try:
        program.run(["./inv", "--write-pyc", "--search-root", str(paths.ROOT), *sys.argv[1:]])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
