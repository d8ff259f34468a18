"""What ./inv says of itself: the list of tasks, the page of one, the version. Standard library only."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

from forge.core.commandline import Command
from forge.generate import versions

INV = "./inv"
WIDEST = 100  # columns; longer lines are hard to read
GENERAL = (
    ("-v, --verbose", "say which programs are run, and what they print"),
    ("-q, --quiet", "say nothing but results and errors"),
    ("-h, --help", "this page, or the page of a task: ./inv TASK --help"),
    ("-l, --list", "the tasks"),
    ("-V, --version", "the version of mailrelay"),
    ("--completion SHELL", "a script for bash, zsh or fish that completes tasks and options"),
)
EXIT = "Exit status: 0 done, 1 failed, 2 a command line that makes no sense, 3 something is missing here, 130 Ctrl-C."


def version() -> str:
    """The product's."""
    return f"mailrelay {'-r'.join(versions.product())}"


def overview(commands: Mapping[str, Command]) -> str:
    """All tasks with their first sentence."""
    rows = [(one.name, one.summary) for one in commands.values()]
    parts = [
        f"usage: {INV} [-v | -q] TASK [OPTIONS] [TASK …]",
        "Nothing is installed for --help, --list and --version. What a task lacks it names before it installs it.",
        "Available tasks:\n" + _columns(rows),
        "Options:\n" + _columns(GENERAL),
        EXIT,
    ]
    return "\n\n".join(_wrapped(part) for part in parts)


def page(command: Command) -> str:
    """One task: its docstring, its options with their defaults."""
    words = [f"usage: {INV}", command.name]
    if command.first:
        word = command.options[command.first].metavar
        words.append(word if command.required else f"[{word}]")
    if command.options:
        words.append("[OPTIONS]")
    if command.rest:
        words.append("[-- …]")
    rows = []
    for option in command.options.values():
        flags = ", ".join(flag for flag in (option.short, option.flag) if flag)
        text = option.help
        names = option.names()
        if names and len(names) <= 12 and not any(name in text for name in names):
            text += f": {', '.join(names)}"
        if command.first == option.name and not command.required:
            text += f" (the same: {INV} {command.name} {option.metavar})"
        rows.append((f"{flags} {option.metavar}".rstrip(), text))
    if command.rest:
        rows.append(("-- …", command.rest))
    rows.append(("-v, -q, -h", f"as for all tasks: {INV} --help"))
    summary, _, more = command.doc.partition("\n\n")
    parts = [" ".join(words), summary.replace("\n", " "), *([more] if more else []), "Options:\n" + _columns(rows)]
    return "\n\n".join(_wrapped(part) for part in parts)


def _width() -> int:
    return min(shutil.get_terminal_size((WIDEST, 25)).columns, WIDEST)


def _wrapped(text: str) -> str:
    """Paragraphs to the terminal's width; lines that begin with a blank stay as they are."""
    return "\n".join(
        line if line.startswith(" ") else textwrap.fill(line, _width(), break_on_hyphens=False)
        for line in text.splitlines()
    )


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    wide = min(max(len(name) for name, _ in rows), 26)
    indent = " " * (wide + 4)
    lines = []
    for name, text in rows:
        filled = textwrap.wrap(text, max(_width() - len(indent), 30), break_on_hyphens=False) or [""]
        if len(name) > wide:
            lines += [f"  {name}", *(indent + line for line in filled)]
        else:
            lines += [f"  {name.ljust(wide)}  {filled[0]}".rstrip(), *(indent + line for line in filled[1:])]
    return "\n".join(lines)
