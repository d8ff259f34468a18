"""The border between the command line and forge: the task decorator, conversions of values, and the way out.

Here an error that a task raises becomes a line and an exit code: no task prints a traceback for a user's mistake.
tasks.py declares with this; forge/inv/main.py runs what was declared through Invoke, and so does `invoke` itself.
Invoke is imported when a task is to run, not before: help works without it.
"""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.core import console, paths
from forge.core import needs as needs_
from forge.core.commandline import SHORT, Command, Convert, Option, settings
from forge.core.errors import ForgeError, UsageError, refusal
from forge.core.needs import Needs
from forge.core.words import near as near

if TYPE_CHECKING:
    from invoke.collection import Collection

INTERRUPTED = 130

JSON = "json"
COMMANDS: dict[str, Command] = {}  # by name, in the order of tasks.py


def task(
    *,
    name: str = "",
    help: Mapping[str, str] | None = None,
    convert: Mapping[str, Convert] | None = None,
    needs: Needs | Callable[[Mapping[str, object]], Needs] = needs_.NOTHING,
    first: str = "",
    required: bool = False,
    rest: str = "",
    aliases: Sequence[str] = (),
    json: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a function as a task of ./inv and of Invoke: its parameters are the options, its docstring is the help.

    `convert` checks and converts values; `needs` says what the task needs of the machine; `json`: it has an option
    --json, for which the body knows nothing but console.result(). See Command for the rest.
    """

    def decorate(body: Callable[..., None]) -> Callable[..., None]:
        parameters = list(inspect.signature(body).parameters.values())[1:]  # the first is Invoke's context
        texts, converts = help or {}, convert or {}
        options = {
            one.name: Option(one.name, one.default, texts[one.name], converts.get(one.name)) for one in parameters
        }
        if json:
            options[JSON] = Option(JSON, False, "print the result as JSON on standard output, and nothing else there")
        assert {*texts, *converts} <= {*options}, f"{body.__name__}: a text for an option that is not there"
        command = Command(
            name=name or body.__name__,
            doc=inspect.getdoc(body) or "",
            options=options,
            body=body,
            needs=needs if callable(needs) else lambda _: needs,
            first=first,
            required=required,
            rest=rest,
            aliases=aliases,
        )
        COMMANDS[command.name] = command
        return body

    return decorate


def collection() -> Collection:
    """The declared tasks for Invoke: NAME.TASK in a collection of their own, with the task NAME as its default."""
    from invoke.collection import Collection
    from invoke.tasks import Task

    class Declared(Task):  # type: ignore[type-arg]
        """Takes every value as text, and the letters of SHORT for short options."""

        def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
            opts = super().arg_opts(name, default, taken_names)
            letter = SHORT.get(name, "")
            flag = name.replace("_", "-")
            opts["names"] = (flag, letter) if letter and letter not in taken_names else (flag,)
            opts["kind"] = bool if isinstance(default, bool) else str
            return opts

    top = Collection()
    groups = {name: Collection(name) for name in (one.partition(".")[0] for one in COMMANDS if "." in one)}
    for one in COMMANDS.values():
        group, _, name = one.name.partition(".")
        default = one.name in groups
        texts = {name: option.help for name, option in one.options.items()}
        declared = Declared(_guarded(one), name=name or ("show" if default else group), default=default, help=texts)
        groups.get(group, top).add_task(declared)
    for collection in groups.values():
        top.add_collection(collection)
    return top


def _guarded(command: Command) -> Callable[..., None]:
    """The body with its values converted, every ForgeError as message and exit code, and Ctrl-C as exit code 130."""
    from invoke.exceptions import Exit

    @functools.wraps(command.body)
    def wrapped(context: Any, **given: object) -> None:
        try:
            values = settings(command, given)
            if values.pop(JSON, False):
                console.json_only()
            command.body(context, **values)
        except ForgeError as error:
            raise Exit(f"{command.name}: {error}", code=error.exit_code) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError) or not (refused := refusal(error)):
                raise
            raise Exit(f"{command.name}: {refused}", code=refused.exit_code) from None
        except KeyboardInterrupt:
            raise Exit("interrupted", code=INTERRUPTED) from None

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(one.name, kind, default=one.default) for one in command.options.values()]
    context = inspect.Parameter("context", kind)
    wrapped.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
    return wrapped


# ---- values ---------------------------------------------------------------------------------------------------------


def choice(value: str, names: Iterable[str], flag: str) -> str:
    """`value` if it is one of `names`; else a UsageError that names near matches and all that would be right."""
    names = list(names)
    if value in names:
        return value
    raise UsageError(f"{flag}: there is no {value!r}.{near(value, names)}", hint=f"one of: {', '.join(names)}")


class OneOf:
    """Converts by choice(); `names` may be told only when they are asked for."""

    def __init__(self, names: Iterable[str] | Callable[[], Iterable[str]]) -> None:
        self._names = names

    def names(self) -> Iterable[str]:
        return self._names() if callable(self._names) else self._names

    def __call__(self, value: str, flag: str) -> str:
        return choice(value, self.names(), flag)


class Suggested(OneOf):
    """Any value: the names are offered by completion, and are not all that there are."""

    def __call__(self, value: str, flag: str) -> str:
        return value


class Number:
    """A whole number from text (Invoke hands options over as text, so that a bad one gets a good error)."""

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        self._least, self._most = least, most

    def __call__(self, value: str, flag: str) -> int:
        limits = f"a whole number from {self._least}" + (f" to {self._most}" if self._most is not None else " on")
        try:
            result = int(value)
        except ValueError:
            raise UsageError(f"{flag}: {value!r} is not a number", hint=f"write {limits}") from None
        if result < self._least or (self._most is not None and result > self._most):
            raise UsageError(f"{flag}: {result} is out of range", hint=f"write {limits}")
        return result


def existing_file(value: str, flag: str) -> str:
    """The path of a file that is there."""
    path = Path(value)
    if path.is_file():
        return value
    beside = [str(one) for one in path.parent.iterdir()] if path.parent.is_dir() else []
    what = "a folder, and a file is wanted" if path.is_dir() else f"not there.{near(value, beside)}"
    raise UsageError(f"{flag}: {value} is {what}")


def existing_package(value: str, flag: str) -> str:
    """The path of a package file that is there, with what dist/ has to offer where it is not."""
    if Path(value).exists():
        return existing_file(value, flag)
    folders = [folder for folder in (Path(value).parent, paths.DIST) if folder.is_dir()]
    there = {one.name for folder in folders for one in folder.glob("*.?[pe][kb]")}
    raise UsageError(
        f"{flag}: there is no file {value}.{near(Path(value).name, sorted(there))}",
        hint="./inv build makes packages in dist/",
    )


def existing_folder(value: str, flag: str) -> str:
    """The path of a folder that is there."""
    if not Path(value).is_dir():
        raise UsageError(f"{flag}: there is no folder {value}")
    return value


# ---- the running task -----------------------------------------------------------------------------------------------


def again() -> str:
    """How the running task was started, for hints: `./inv demo --local`."""
    return shlex.join(["./inv", *sys.argv[1:]])


def remainder() -> list[str]:
    """The words after a lone `--` (Invoke joins them with spaces, which loses the quoting)."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def leave(status: int) -> None:
    """End the task with the exit status of a program that it ran in its place."""
    if status:
        from invoke.exceptions import Exit

        raise Exit(code=status)
