"""Who may import whom in forge/: every arrow between rooms leads down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core.paths import ROOT

BASE = {"core", "host"}
MAY_IMPORT = {
    "core": set(),
    "host": {"core"},
    "generate": {"core"},
    "packages": BASE,
    "openwrt": BASE | {"packages"},
    "site": {"core", "generate"},
    "lab": BASE | {"packages", "site"},
    "images": {"core", "site", "openwrt", "packages", "lab"},
    "vm": BASE | {"lab", "site"},
    "servers": BASE,
    "demo": BASE | {"servers", "vm", "lab", "packages"},
    "bench": BASE | {"servers", "vm", "lab", "packages"},
    "checks": BASE | {"servers", "vm", "lab", "packages"},
    "inv": BASE | {"site", "openwrt", "packages", "lab", "images", "vm"},
}


def imported(file: Path) -> Iterator[str]:
    """The rooms that a file imports from, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name.startswith("forge."))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_from_rooms_below(room: str) -> None:
    found = {(file.name, other) for file in (ROOT / "forge" / room).rglob("*.py") for other in imported(file)}
    assert {arrow for arrow in found if arrow[1] not in MAY_IMPORT[room] | {room}} == set()


def test_every_file_is_in_a_room_and_no_circle_is_allowed() -> None:
    assert {path.name for path in (ROOT / "forge").glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.parent.name for path in (ROOT / "forge").glob("*/__init__.py")} == set(MAY_IMPORT)
    for room, below in MAY_IMPORT.items():
        assert all(room not in MAY_IMPORT[other] for other in below), room
