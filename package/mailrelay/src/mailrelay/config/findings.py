"""What a check of the config has to say, and the section of the file that it is said of.

Made by `schema` and `rules`, shown by whoever called `schema.check`: as a line, as JSON, in the words of a site file.
"""

from __future__ import annotations

from mailrelay.config import uci
from mailrelay.config.invalid import Hint, Setting
from mailrelay.core.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Fact: TypeAlias = str | int | bool | dict[str, str]


class Finding:
    """Something to tell the owner about one place of the file; a fault unless it is a `warning`. Line 0: the file.

    `code` and the names in `values` are for programs and translations, and never change. `hint` is what to do, in texts
    and Settings.
    """

    __slots__ = ("path", "line", "warning", "code", "section", "option", "problem", "hint", "values")

    def __init__(
        self,
        path: str,
        line: int,
        warning: bool,
        code: str,
        section: str,
        option: str,
        problem: str,
        hint: Hint,
        values: dict[str, str] | None = None,
    ) -> None:
        self.path = path
        self.line = line
        self.warning = warning
        self.code = code
        self.section = section
        self.option = option
        self.problem = problem
        self.hint = hint
        self.values = values or {}

    def advice(self, write: Callable[[Setting], str] = str) -> str:
        """Return the hint as text; `write` spells a setting, as the config does by default."""
        return "".join(part if isinstance(part, str) else write(part) for part in self.hint)

    def facts(self) -> dict[str, Fact]:
        """Return everything but the path as `mailrelay check --json` has it."""
        names = ("code", "warning", "section", "option", "line")
        texts = {"problem": printable(self.problem), "hint": printable(self.advice())}
        values = {name: printable(value) for name, value in self.values.items()}
        return {**{name: getattr(self, name) for name in names}, **texts, "values": values}

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}: " if self.line else f"{self.path}: "
        label = "warning: " if self.warning else ""
        places = [f"section '{self.section}'"] if self.section else []
        places += [f"option '{self.option}'"] if self.option else []
        # Where the problem speaks of the section or option itself it is one clause: "option 'port' is a list here".
        colon = ": " if places and self.problem.startswith(("'", "its value", "this URL", "the ")) else " "
        text = ", ".join(places) + (colon if places else "") + self.problem
        return printable(f"{where}{label}{text}; {self.advice()}")


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

    def line(self, option: str, index: int = 0) -> int:
        lines = self.section.option_lines.get(option, [])
        return lines[index] if index < len(lines) else self.section.line

    def fault(self, code: str, option: str, problem: str, *hint: str | Setting, index: int = 0, **values: str) -> None:
        self._add(False, code, option, problem, hint, self.line(option, index), values)

    def warn(
        self, code: str, option: str, problem: str, *hint: str | Setting, index: int = 0, line: int = 0, **values: str
    ) -> None:
        self._add(True, code, option, problem, hint, line or self.line(option, index), values)

    def _add(
        self, warning: bool, code: str, option: str, problem: str, hint: Hint, line: int, values: dict[str, str]
    ) -> None:
        self._findings.append(Finding(self.path, line, warning, code, self.title, option, problem, hint, values))
