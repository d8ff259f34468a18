"""What stands in the code blocks of the pages at the top and in docs/: blocks of a kind, for a shell the lines.

A block is fenced or indented, as CommonMark has them; empty lines divide it where the kind changes. test_pages.py holds
every line to a place where it is run, or to a reason why it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt

from forge.core import paths

LOOP = re.compile(r"(for|while) .*; do$")
DRAWN = re.compile(r"[─│┌▶]")
SPAN = re.compile(r"(\./inv|mailrelay) [a-z-]")


@dataclass(frozen=True)
class Line:
    """A command line, or another line of a block. `number` counts from 1 in its page."""

    page: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(paths.ROOT)}:{self.number}"

    @property
    def command(self) -> str:
        """Without its comment and what pads it."""
        return re.sub(r"\s+# .*", "", self.text).strip()


@dataclass(frozen=True)
class Block:
    """Lines of one kind: shell, settings (of /etc/config), toml, unit, dialogue, script, drawing, or a fence's word."""

    kind: str
    lines: tuple[Line, ...]

    @property
    def first(self) -> Line:
        return self.lines[0]

    @property
    def text(self) -> str:
        return "".join(f"{line.text}\n" for line in self.lines)

    def __str__(self) -> str:
        return str(self.first)


def pages() -> list[Path]:
    """Those of the checkout itself, and of docs/."""
    return [*sorted(paths.ROOT.glob("*.md")), *sorted(paths.DOCS.rglob("*.md"))]


@lru_cache(maxsize=1)
def blocks() -> list[Block]:
    return [block for page in pages() for block in _blocks(page)]


def commands() -> list[Line]:
    """The lines that are typed into a shell, in the order of the pages; a loop is one."""
    return [line for block in blocks() if block.kind == "shell" for line in _joined(block.lines)]


def spans() -> list[Line]:
    """Commands of ours within the prose and the tables, in backquotes."""
    return [line for page in pages() for line in _spans(page)]


def _blocks(page: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type not in ("fence", "code_block") or token.map is None:
            continue
        start = token.map[0] + (2 if token.type == "fence" else 1)
        lines = [Line(page, start + at, text) for at, text in enumerate(token.content.splitlines())]
        if word := token.info.strip():
            yield Block(word, tuple(lines))
        else:
            yield from _divided(lines)


def _divided(lines: list[Line]) -> Iterator[Block]:
    whole = _kind(lines[0].text)
    if whole in ("dialogue", "drawing") or any(DRAWN.search(line.text) for line in lines):
        yield Block("dialogue" if whole == "dialogue" else "drawing", tuple(lines))
        return
    found: list[tuple[str, list[Line]]] = []
    for at, line in enumerate(lines):
        if not line.text.strip():
            continue
        begins = at == 0 or not lines[at - 1].text.strip()
        kind = _kind(line.text) if begins else found[-1][0]
        if found and found[-1][0] == kind:
            found[-1][1].append(line)
        else:
            found.append((kind, [line]))
    for kind, some in found:
        yield Block(kind, tuple(some))


def _kind(text: str) -> str:
    """Of a block, by its first line."""
    for pattern, kind in (
        (r"\$ telnet ", "dialogue"),
        (r"config \w+", "settings"),
        (r"\[[A-Z]\w+\]$", "unit"),
        (r"\[[a-z.]+\]$|\w+ = ", "toml"),
        (r"#!", "script"),
    ):
        if re.match(pattern, text):
            return kind
    return "shell"


def _joined(lines: tuple[Line, ...]) -> Iterator[Line]:
    waiting: list[Line] = []
    for line in lines:
        waiting.append(line)
        loop = LOOP.search(waiting[0].text)
        if line.text.endswith("\\") or (loop and line.text.strip() != "done"):
            continue
        text = "\n".join(one.text for one in waiting).replace("\\\n", "")
        yield Line(line.page, waiting[0].number, text)
        waiting = []
    yield from waiting


def _spans(page: Path) -> Iterator[Line]:
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline" and SPAN.match(child.content):
                yield Line(page, (token.map or [0])[0] + 1, child.content)
