"""A TOML document that is read table by table: every fault is kept with its line, and what nobody asked for is one too.

Knows TOML and lines, but no setting: those are site.py's, types.py's and relay.py's, its only callers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import tomllib

from forge.core.cli import near
from forge.core.errors import UsageError

T = TypeVar("T")
Place = tuple[str, ...]  # the names of the tables, then the key's

_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
LARGEST = 1 << 20  # bytes; a site file is a page
_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}


class InvalidValue(ValueError):
    """A value is not what it should be: what is wrong with it, and what would be right."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


@dataclass(frozen=True)
class Finding:
    """Something to tell the owner of one place in the file. Line 0: not known."""

    file: str
    line: int
    place: str
    problem: str
    hint: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        hint = f"; {self.hint}" if self.hint else ""
        return "".join(c if c.isprintable() else "?" for c in f"{where}: {self.place} {self.problem}{hint}")


@dataclass
class Document:
    """One file: its values, where each stands, and what was found wrong."""

    path: Path
    data: dict[str, Any]
    lines: dict[Place, int]
    faults: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Document:
        hint = "examples/site.toml is a site file to begin with"
        try:
            with path.open("rb") as file:
                raw = file.read(LARGEST + 1)
        except OSError as error:
            raise UsageError(f"the site file {path} cannot be read: {error.strerror}", hint=hint) from None
        if len(raw) > LARGEST:
            raise UsageError(f"{path} is no site file: it is larger than {LARGEST >> 20} MB", hint=hint)
        try:
            text = raw.decode("utf-8-sig")
            data = tomllib.loads(text)
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise UsageError(f"{path}:{line}: is not UTF-8 text", hint="save it as UTF-8") from None
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UsageError(*_no_toml(path, raw.decode("utf-8-sig"), str(error))) from None
        return cls(path, data, _locate(text))

    @property
    def top(self) -> Table:
        return Table(self, (), self.data)

    def find(self, place: Place) -> int:
        """Return the line of a key, or of the nearest thing around it; 0 if that is not known."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 0)

    def fault(self, place: Place, key: str, problem: str, hint: str = "") -> None:
        self.faults.append(self._finding(place, key, problem, hint))

    def warn(self, place: Place, key: str, problem: str, hint: str = "") -> None:
        self.warnings.append(self._finding(place, key, problem, hint))

    def _finding(self, place: Place, key: str, problem: str, hint: str) -> Finding:
        title = f"[{'.'.join(place)}]" if place else ""
        line = self.find((*place, key) if key else place)
        return Finding(str(self.path), line, " ".join(filter(None, (title, key))), problem, hint)

    def indirect(self, value: Any) -> Any:
        """Return the text that { file = "…" } or { environment = "…" } stands for, any other value as it is."""
        if not isinstance(value, dict):
            return value
        if len(value) != 1 or not all(isinstance(name, str) for name in value.values()):
            raise InvalidValue("is a table here", 'write text, { file = "NAME" } or { environment = "NAME" }')
        ((kind, name),) = value.items()
        if kind == "file":
            file = self.path.parent / Path(name).expanduser()
            try:
                with file.open(encoding="utf-8") as opened:
                    return opened.read(LARGEST).rstrip("\r\n")
            except (OSError, UnicodeError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise InvalidValue(
                    f"is to be read from {file}: {reason}", "the name counts from the site file's folder"
                ) from None
        if kind == "environment":
            if name not in os.environ:
                raise InvalidValue(
                    f"is to be taken from the environment, which has no {name}", f"set it: {name}=… ./inv …"
                )
            return os.environ[name]
        raise InvalidValue(f"is a table with '{kind}'", 'write text, { file = "NAME" } or { environment = "NAME" }')


class Table:
    """One table of the document while it is read: each key is asked for by name, and `end` faults what is left."""

    def __init__(self, document: Document, place: Place, data: Mapping[str, Any]) -> None:
        self.document = document
        self.place = place
        self.data = data
        self._known: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self.data)

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def raw(self, key: str, kind: type[T], what: str) -> T | None:
        """Return the value if it is of this type; None if it is absent or (then a fault) of another one."""
        self._known[key] = None
        value = self.data.get(key)
        if value is None or type(value) is kind:
            return value
        self.fault(key, f"is {_KINDS.get(type(value), 'a date')}", f"write {what}")
        return None

    def table(self, key: str) -> Table:
        return Table(self.document, (*self.place, key), self.raw(key, dict, f"a table, [{key}]") or {})

    def value(self, key: str, read: Callable[[str], T]) -> Any:
        """Return the text as `read` makes it; "" if it is absent or faulty."""
        self._known[key] = None
        return self._one(key, self.data[key], read) if key in self.data else ""

    def values(self, key: str, read: Callable[[str], T]) -> list[T]:
        """Return a list of texts; one text alone counts as a list of it."""
        self._known[key] = None
        value = self.data.get(key, [])
        entries = value if isinstance(value, list) else [value]
        found = [self._one(key, entry, read) for entry in entries]
        return [entry for entry in found if entry != ""]

    def choice(self, key: str, choices: Iterable[str], words: Mapping[str, str]) -> str:
        """Return one of `choices`; `words` are what else people write, and what they mean by it."""
        choices = list(choices)

        def read(text: str) -> str:
            if text in choices:
                return text
            meant = words.get(text.lower())
            guess = f" Did you mean {meant}?" if meant else near(text, choices)
            raise InvalidValue(f"'{text}' is not one of the choices.{guess}", f"they are {', '.join(choices)}")

        if key not in self.data:
            self.fault("", f"has no {key}", f"write {key} = one of {', '.join(choices)}")
            self._known[key] = None
            return ""
        return str(self.value(key, read))

    def _one(self, key: str, value: Any, read: Callable[[str], T]) -> Any:
        try:
            value = self.document.indirect(value)
            if not isinstance(value, str):
                raise InvalidValue(f"is {_KINDS.get(type(value), 'a date')}", f'write text in quotes: {key} = "…"')
            return read(value)
        except InvalidValue as error:
            self.fault(key, error.problem, error.hint)
            return ""

    def fault(self, key: str, problem: str, hint: str = "") -> None:
        self.document.fault(self.place, key, problem, hint)

    def end(self, circumstances: str = "") -> None:
        """Fault every key that nobody has asked for."""
        for key in self.data:
            if key not in self._known:
                guess = near(key, self._known).strip()
                all_known = f"it may hold {', '.join(self._known)}"
                here = f"[{'.'.join(self.place)}]" if self.place else "a site file"
                self.fault(key, f"is nothing that {here} has{circumstances}", guess or all_known)


def _no_toml(path: Path, text: str, reason: str) -> tuple[str]:
    """Return tomllib's complaint with file and line first."""
    found = re.search(r"\(at line (\d+), column (\d+)\)", reason)
    line = int(found[1]) if found else text.count("\n") + 1
    what = reason[: found.start()].strip() if found else reason.removesuffix("(at end of document)").strip()
    if "Invalid value" in what or "Expected newline" in what:
        what += ' (text stands in "quotes")'
    return (f"{path}:{line}: is not TOML: {what[0].lower() + what[1:]}\n  examples/site.toml shows how it is written",)


def _locate(text: str) -> dict[Place, int]:
    """Find where tables and keys stand. What looks like one within a longer text counts only if it comes first."""
    lines: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            for length in range(1, len(table) + 1):
                lines.setdefault(table[:length], number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_parts(key[1])), number)
    return lines


def _parts(dotted: str) -> Place:
    return tuple(part.strip("\"'") for part in re.findall(r""""[^"]*"|'[^']*'|[^.\s]+""", dotted))
