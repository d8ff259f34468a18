"""What a check of the config has to say, and the section of the file that it is said of.

Made by `schema` and `rules`, printed by whoever called `schema.check`.
"""

from __future__ import annotations

from typing import Any

from mailrelay.config import uci
from mailrelay.core.text import printable


class Finding:
    """Something to tell the owner about one place of the file. Line 0: the file as a whole."""

    __slots__ = ("path", "line", "section", "option", "problem", "mend")

    def __init__(self, path: str, line: int, section: str, option: str, problem: str, mend: str) -> None:
        self.path = path
        self.line = line
        self.section = section
        self.option = option
        self.problem = problem
        self.mend = mend

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}: " if self.line else f"{self.path}: "
        places = [f"section '{self.section}'"] if self.section else []
        places += [f"option '{self.option}'"] if self.option else []
        # Where the problem speaks of the section or option itself it is one clause: "option 'port' is a list here".
        colon = ": " if places and self.problem.startswith(("'", "its value", "this URL", "the ")) else " "
        text = ", ".join(places) + (colon if places else "") + self.problem
        return printable(f"{where}{self.label}{text}; {self.mend}")

    label = ""


class Fault(Finding):
    """The config cannot be used like this."""

    __slots__ = ()


class Warn(Finding):
    """The config can be used, but the owner should know this."""

    __slots__ = ()
    label = "warning: "


class Part:
    """One section of the file while it is checked: its values by option name (None where faulty) and their places."""

    def __init__(self, path: str, section: uci.Section, title: str, findings: list[Finding]) -> None:
        self.path = path
        self.section = section
        self.type = section.type
        self.title = title
        self.values: dict[str, Any] = {}
        self._findings = findings

    def __getitem__(self, option: str) -> Any:
        return self.values[option]

    def has(self, option: str) -> bool:
        """True if the file sets the option."""
        return option in self.section.options

    def line(self, option: str, index: int = 0) -> int:
        lines = self.section.option_lines.get(option, [])
        return lines[index] if index < len(lines) else self.section.line

    def fault(self, option: str, problem: str, mend: str, index: int = 0) -> None:
        self._findings.append(Fault(self.path, self.line(option, index), self.title, option, problem, mend))

    def warn(self, option: str, problem: str, mend: str, index: int = 0, line: int = 0) -> None:
        self._findings.append(Warn(self.path, line or self.line(option, index), self.title, option, problem, mend))
