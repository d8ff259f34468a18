"""The grammar of ./inv: words become tasks with values, by what tasks.py declares (cli.task).

Standard library only: front.py reads the same words before anything is installed, main.py runs them. What is wrong with
a command line is one UsageError of one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from forge.core import needs
from forge.core.errors import UsageError
from forge.core.words import near

Value = str | bool
Convert = Callable[[str, str], object]  # value and flag -> what the task's body gets; raises UsageError

# Everywhere the same letter for the same option.
SHORT = {
    "dry_run": "n",
    "format": "f",
    "jobs": "j",
    "keep": "k",
    "local": "l",
    "match": "m",
    "out": "o",
    "profile": "p",
    "release": "r",
    "site": "s",
    "target": "t",
}
HELP = ("--help", "-h", "-?")
# What ./inv itself understands, before a task and behind it.
GLOBAL = {
    "--verbose": "-v",
    "--quiet": "-q",
    "--help": "-h",
}
SHELLS = ("bash", "zsh", "fish")  # that completion is for
FIRST_ONLY = {"--list": "-l", "--version": "-V", "--completion": ""}


@dataclass(frozen=True)
class Option:
    """One option of a task. `name` is the parameter of its body; a bool takes no value, --no-NAME where it is on."""

    name: str
    default: object
    help: str = ""
    convert: Convert | None = None

    @property
    def takes_value(self) -> bool:
        return not isinstance(self.default, bool)

    @property
    def flag(self) -> str:
        """As help shows it."""
        return f"--{'no-' if self.default is True else ''}{self.name.replace('_', '-')}"

    @property
    def short(self) -> str:
        return f"-{SHORT[self.name]}" if self.name in SHORT and self.default is not True else ""

    @property
    def metavar(self) -> str:
        return self.name.upper() if self.takes_value else ""

    @property
    def flags(self) -> list[str]:
        """All that is understood: --lint does no harm where it is on anyway."""
        plain = f"--{self.name.replace('_', '-')}"
        return [flag for flag in dict.fromkeys((self.flag, plain, self.short)) if flag]

    def names(self) -> list[str]:
        """What its value can be, as far as that is a list: for completion."""
        return list(getattr(self.convert, "names", lambda: ())())


@dataclass(frozen=True)
class Command:
    """A task as it is declared. `first` is the option that a word without one stands for; `rest` says what the words
    after -- are for, "" where there is no use for any."""

    name: str
    doc: str
    options: Mapping[str, Option]
    body: Callable[..., None]
    needs: Callable[[Mapping[str, object]], needs.Needs]
    first: str = ""
    required: bool = False  # whether there is nothing to do without `first`
    rest: str = ""
    aliases: Sequence[str] = ()

    @property
    def summary(self) -> str:
        return self.doc.partition("\n\n")[0].replace("\n", " ")

    def by_flag(self) -> dict[str, Option]:
        return {flag: option for option in self.options.values() for flag in option.flags}


@dataclass
class Call:
    """A task to be run, with the values that were given (as text) and the words after --."""

    command: Command
    values: dict[str, Value] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def settings(self) -> dict[str, object]:
        """Every option's value, converted; raises UsageError for one that cannot be, or is not there."""
        return settings(self.command, self.values)

    @property
    def is_preview(self) -> bool:
        return bool(self.values.get("dry_run"))

    def brings(self) -> needs.Needs:
        """What is brought for it beforehand: all that it needs, but nothing for a --dry-run. Raise as settings()."""
        wanted = self.needs()
        return needs.NOTHING if self.is_preview else wanted

    def needs(self) -> needs.Needs:
        """What the task needs of the machine; raises as settings() does."""
        return self.command.needs({**self.settings(), needs.REST: self.rest})


@dataclass
class Line:
    """A whole command line. `about`: what help is asked for ("" is the list); None where tasks are to be run."""

    calls: list[Call] = field(default_factory=list)
    about: str | None = None
    version: bool = False
    completion: str = ""
    verbosity: int = 0  # -1 with --quiet, 1 with --verbose


def settings(command: Command, given: Mapping[str, object]) -> dict[str, object]:
    """Every option's value as the body takes it: converted from text, or the default."""
    if command.required and given.get(command.first, "") == "":
        option = command.options[command.first]
        raise UsageError(f"{command.name} needs {option.flag}: ./inv {command.name} {option.flag} {option.metavar}")
    return {name: _converted(option, given.get(name)) for name, option in command.options.items()}


def _converted(option: Option, value: object) -> object:
    if value is None:
        return option.default
    if option.convert is None or not isinstance(value, str) or value == "":
        return value
    return option.convert(value, option.flag)


def parse(words: Sequence[str], commands: Mapping[str, Command]) -> Line:
    """The words after `./inv`, understood. Raise UsageError; converts nothing yet."""
    return _Parser(words, commands).line()


class _Parser:
    def __init__(self, words: Sequence[str], commands: Mapping[str, Command]) -> None:
        self._words = list(words)
        self._at = 0
        self._commands = commands
        self._names = {name: one for one in commands.values() for name in (one.name, *one.aliases)}
        self._line = Line()

    def line(self) -> Line:
        while self._at < len(self._words):
            word = self._words[self._at]
            self._at += 1
            if word == "--":
                self._rest()
            elif word in HELP or word == "help":
                self._help()
            elif word.startswith("-") and word != "-":
                self._flag(word)
            else:
                self._plain(word)
        if not self._line.calls and self._line.about is None and not (self._line.version or self._line.completion):
            if self._line.verbosity or self._words:
                raise UsageError("no task is named: ./inv --list shows all")
            self._line.about = ""
        return self._line

    @property
    def _call(self) -> Call | None:
        return self._line.calls[-1] if self._line.calls else None

    def _help(self) -> None:
        """Of the task before it, else of the one behind it, else of all: whatever else the line says."""
        following = next((word for word in self._words[self._at :] if not word.startswith("-")), "")
        if self._call:
            self._line.about = self._call.command.name
        elif following:
            self._line.about = self._find(following).name
        else:
            self._line.about = ""
        self._at = len(self._words)

    def _rest(self) -> None:
        if not self._call or not self._call.command.rest:
            who = f"the task {self._call.command.name}" if self._call else "./inv"
            raise UsageError(f"{who} takes no words after --")
        self._call.rest = self._words[self._at :]
        self._at = len(self._words)

    def _find(self, word: str) -> Command:
        if word not in self._names:
            raise UsageError(f"There is no task {word!r}.{near(word, self._names)} (./inv --list shows all)")
        return self._names[word]

    def _plain(self, word: str) -> None:
        call = self._call
        if call is None or (word in self._names and not self._wants(call)):
            self._line.calls.append(Call(self._find(word)))
            return
        first = call.command.first
        if not first:
            raise UsageError(f"the task {call.command.name} takes no word of its own, and this is one: {word!r}")
        if first in call.values:
            flags = ", ".join(one.flag for one in call.command.options.values() if one.takes_value)
            raise UsageError(f"{call.command.name}: which option is {word!r} for? Write it before it, one of: {flags}")
        if word == "":
            raise UsageError(f"{call.command.name}: an empty word stands there, for {call.command.options[first].flag}")
        call.values[first] = word

    def _wants(self, call: Call) -> bool:
        """Whether a word that is a task's name is a value: `./inv inspect build` looks at a file, `test lint` tests."""
        option = call.command.options.get(call.command.first)
        word = self._words[self._at - 1]
        return bool(option and option.name not in call.values and (call.command.required or word in option.names()))

    def _flag(self, word: str) -> None:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        options = self._call.command.by_flag() if self._call else {}
        if name in options:
            self._set(name, options[name], value if equals else None)
        elif not (self._global(name, bool(equals)) or self._joined(word, options)):
            self._unknown(name, options)

    def _set(self, flag: str, option: Option, value: str | None) -> None:
        assert self._call is not None
        if not option.takes_value:
            if value is not None:
                raise UsageError(f"{flag} takes no value, and {value!r} is one")
            self._call.values[option.name] = not flag.startswith("--no-")
            return
        if value is None:
            value = self._value(flag)
        if value == "":
            raise UsageError(f"{flag} has an empty value")
        self._call.values[option.name] = value

    def _value(self, flag: str) -> str:
        """The next word, unless it is an option itself (a single dash is none: `--packages -ppp`)."""
        assert self._call is not None
        word = self._words[self._at] if self._at < len(self._words) else "--"
        known = word in self._call.command.by_flag() or word in HELP
        if word.startswith("--") or known:
            raise UsageError(f"{flag} needs a value behind it" + (f", and {word} is an option" if word != "--" else ""))
        self._at += 1
        return word

    def _joined(self, word: str, options: Mapping[str, Option]) -> bool:
        """-tramips, -lk: a letter with its value, or letters that take none."""
        if not re.fullmatch(r"-[a-zA-Z].+", word):
            return False
        option = options.get(word[:2])
        if option is None and word[:2] not in GLOBAL.values():
            return False
        if option and option.takes_value:
            self._set(word[:2], option, word[2:])
            return True
        for letter in word[1:]:
            one = options.get(f"-{letter}")
            if one and not one.takes_value:
                self._set(f"-{letter}", one, None)
            elif not self._global(f"-{letter}", False):
                return False
        return True

    def _global(self, name: str, with_value: bool) -> bool:
        short = {letter: flag for flag, letter in (GLOBAL | FIRST_ONLY).items() if letter}
        flag = short.get(name, name)
        if with_value and flag != "--completion" and (flag in GLOBAL or flag in FIRST_ONLY):
            raise UsageError(f"{flag} takes no value")
        if flag == "--help":
            self._help()
        elif flag in ("--verbose", "--quiet"):
            wanted = 1 if flag == "--verbose" else -1
            if self._line.verbosity == -wanted:
                raise UsageError("--verbose and --quiet are opposites: leave one of them out")
            self._line.verbosity = wanted
        elif self._call is None and flag == "--list":
            self._line.about = ""
            self._at = len(self._words)
        elif self._call is None and flag == "--version":
            self._line.version = True
        elif self._call is None and flag == "--completion":
            self._completion()
        else:
            return False
        return True

    def _completion(self) -> None:
        word = self._words[self._at - 1].partition("=")[2] or next(iter(self._words[self._at :]), "")
        if word not in SHELLS:
            raise UsageError(f"--completion is for one of: {', '.join(SHELLS)}")
        self._line.completion = word
        self._at = len(self._words)

    def _unknown(self, name: str, options: Mapping[str, Option]) -> None:
        call = self._call
        who = f"the task {call.command.name}" if call else "./inv"
        later = [] if call else sorted({one.name for one in self._commands.values() if name in one.by_flag()})
        if later:
            tasks = ", ".join(later[:3])
            raise UsageError(f"{name} is an option of tasks ({tasks}): write it behind the task's name")
        known: Iterable[str] = [*options, *GLOBAL, *(FIRST_ONLY if call is None else ())]
        raise UsageError(f"{who} has no option {name}.{near(name, known)}")
