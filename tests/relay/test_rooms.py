"""Who may import whom in the relay, and what costs memory or touches the world where it must not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.relay import SOURCE

ROOMS = SOURCE / "mailrelay"
MAY_IMPORT = {
    "core": set(),
    "smtp": {"core"},
    "mail": {"core"},
    "spool": {"core"},
    "config": {"core"},
    "listener": {"core", "smtp", "spool", "config.settings"},
    "courier": {"core", "smtp", "mail", "spool", "config.settings"},
    "daemon": {"core", "smtp", "mail", "spool", "config", "listener", "courier"},
    "cli": {"core", "smtp", "mail", "spool", "config", "listener", "courier", "daemon"},
}
PURE = {"os", "socket", "_socket", "select", "_thread", "threading", "mailrelay.core.clock"}


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if (SOURCE / f"{whole.replace('.', '/')}.py").exists() else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imports(*rooms: str) -> set[tuple[str, str]]:
    files = [file for room in rooms for file in (ROOMS / room).glob("*.py")]
    return {(str(file.relative_to(ROOMS)), name) for file in files for name in imported(file)}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    ours = {(file, name.partition(".")[2]) for file, name in imports(room) if name.startswith("mailrelay.")}
    allowed = MAY_IMPORT[room] | {room}
    assert {(file, name) for file, name in ours if not {name, name.partition(".")[0]} & allowed} == set()


def test_protocols_and_mail_touch_nothing_outside_them() -> None:
    assert {arrow for arrow in imports("smtp", "mail") if arrow[1] in PURE} == set()


def test_tls_is_loaded_by_the_courier_and_commands_alone() -> None:
    loaders = {file.partition("/")[0] for file, name in imports(*MAY_IMPORT) if name == "ssl"}
    assert loaders <= {"courier", "cli"}


def test_every_file_is_in_a_room() -> None:
    assert {path.name for path in SOURCE.glob("*.py")} == {"__main__.py"}
    assert {path.name for path in ROOMS.glob("*.py")} == {"__init__.py"}
    assert {path.parent.name for path in ROOMS.glob("*/__init__.py")} == set(MAY_IMPORT)


def test_no_class_is_longer_than_three_hundred_lines() -> None:
    for file in ROOMS.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.end_lineno:
                assert node.end_lineno - node.lineno < 300, f"{file.relative_to(ROOMS)}: {node.name}"
