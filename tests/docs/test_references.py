"""Nothing in the repository refers to a file that is not in it: links, paths, and modules that comments name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from forge.checks.checks import NOT_OURS
from forge.core import paths

HERE = Path(__file__).resolve()
TEXT = {"", ".awk", ".c", ".cpp", ".h", ".ino", ".in", ".j2", ".js", ".md", ".mk", ".py", ".sh", ".toml", ".txt"}
MADE = {*NOT_OURS, "dist"}
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"(?<![\w./$*{}<>-])(?:docs|forge|package|tests)/[\w./*-]*[\w*](?![\w./*-]*\{)")
PAGE = re.compile(r"(?<![\w./-])[A-Z][\w-]*\.md\b")
MODULE = re.compile(r"(?<![\w/.*\"'-])[a-z_]\w*\.py\b")
CITED = re.compile(r"\((?:see )?FACTS\b|\bFACTS (?:of|§)")  # a page is cited by its name
# What is somebody else's, or made by a test, by how it begins.
ELSEWHERE = {
    "build_request.py": "asu's",
    "package/Makefile": "OpenWrt's",
    "package/NAME": "any package",
    "package/base-files": "OpenWrt's",
    "package/feeds": "the SDK's, where feeds are linked",
    "package/luci-base": "LuCI's feed",
    "package/new": "made by a test",
    "package/sample": "made by a test",
    "package/system": "OpenWrt's",
    "tests/AREA": "any area",
}


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    """The text files of the repository; not what was built, downloaded or recorded."""
    found = [path for path in paths.ROOT.rglob("*") if not MADE & {*path.relative_to(paths.ROOT).parts}]
    return tuple(sorted(path for path in found if path.is_file() and path.suffix in TEXT and path != HERE))


def exists(reference: str) -> bool:
    return reference.startswith(tuple(ELSEWHERE)) or any(paths.ROOT.glob(reference.rstrip("/")))


def lost(page: Path, text: str, names: set[str]) -> Iterator[str]:
    """What a line of a page or a program refers to that is not there; `names` are those of all files."""
    yield from (path for path in PATH.findall(text) if not exists(path))
    yield from (name for name in PAGE.findall(text) if name not in names)
    yield from CITED.findall(text)
    if page.suffix in (".md", ".py"):
        yield from (name for name in MODULE.findall(text) if name not in names and name not in ELSEWHERE)
    if page.suffix == ".md":
        yield from (link for link in LINK.findall(text) if not (page.parent / link).exists())


def test_every_reference_leads_to_a_file() -> None:
    names = {path.name for path in files()} | {HERE.name}
    assert len(names) > 250
    found = [
        f"{paths.shown(path)}:{number}: {reference}"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for reference in lost(path, line, names)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "reference"),
    [
        ("as in docs/FACTS.md", "docs/FACTS.md"),
        ("see FACTS.md", "FACTS.md"),
        ("the rest (FACTS of the SDK)", "(FACTS"),
        ("forge/epoch.py writes it", "forge/epoch.py"),
        ("nobody.py calls it", "nobody.py"),
        ("[the words](words.md#room)", "words.md"),
    ],
)
def test_a_reference_that_leaves_the_repository_is_found(line: str, reference: str) -> None:
    assert reference in [*lost(paths.DOCS / "page.md", line, {"README.md"})]
    assert not [*lost(paths.DOCS / "page.md", "README.md, forge/*/__init__.py, package/mailrelay/", {"README.md"})]
