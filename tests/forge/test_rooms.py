"""Who may import whom in forge/: every arrow between rooms leads down, and none goes in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from forge.core.paths import ROOT

FORGE = ROOT / "forge"
BASE = {"core", "host"}
MAY_IMPORT = {
    "core": set(),
    "host": {"core"},
    "generate": {"core"},
    "packages": BASE,
    "openwrt": BASE | {"packages"},
    "site": {"core", "generate"},
    "lab": BASE | {"packages", "site"},
    "images": {"core", "site", "openwrt", "packages", "lab"},  # lab: `./inv image` makes its firmware as well
    "vm": BASE | {"lab", "site"},
    "servers": BASE,
    "demo": BASE | {"servers", "vm", "lab", "packages"},
    "bench": BASE | {"servers", "vm", "lab", "packages"},
    "checks": BASE | {"servers", "vm", "lab", "packages"},
    "inv": BASE | {"generate", "site", "openwrt", "packages", "lab", "images", "vm"},  # tasks that look into many rooms
}
# They answer before anything is installed, and import what a command line turns out to need.
IMPORT_LATE = {"__main__.py", "inv/front.py", "inv/main.py", "inv/names.py"}


def files() -> Iterator[Path]:
    yield from (file for file in FORGE.rglob("*.py") if "standin" not in file.parts)


def modules(node: ast.AST) -> Iterator[str]:
    """What an import statement may name of forge's: `from forge.a import b` is forge.a.b, or a name in forge.a."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forge"):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield str(node.module)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("forge."))


def imported(file: Path) -> set[str]:
    return {name for node in ast.walk(ast.parse(file.read_text())) for name in modules(node)}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_from_rooms_below(room: str) -> None:
    names = ((file.name, name.split(".")) for file in (FORGE / room).rglob("*.py") for name in imported(file))
    found = {(file, words[1]) for file, words in names if len(words) > 1}
    assert {arrow for arrow in found if arrow[1] not in MAY_IMPORT[room] | {room}} == set()


def test_every_file_is_in_a_room_and_no_circle_is_allowed() -> None:
    assert {path.name for path in FORGE.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.parent.name for path in FORGE.glob("*/__init__.py")} == set(MAY_IMPORT)
    TopologicalSorter(MAY_IMPORT).prepare()


def test_no_two_files_need_each_other() -> None:
    known = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files()}
    TopologicalSorter({name: imported(file) & known.keys() - {name} for name, file in known.items()}).prepare()


def test_a_function_imports_nothing_of_ours() -> None:
    def late(file: Path) -> bool:
        functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
        return any(list(modules(node)) for function in functions for node in ast.walk(function))

    assert {str(file.relative_to(FORGE)) for file in files() if late(file)} == IMPORT_LATE


def test_the_relay_is_imported_in_one_place() -> None:
    def imports_it(file: Path) -> bool:
        nodes = [
            node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        named = [name.name for node in nodes for name in node.names] + [getattr(node, "module", "") for node in nodes]
        return any((name or "").partition(".")[0] == "mailrelay" for name in named)

    assert [str(file.relative_to(FORGE)) for file in files() if imports_it(file)] == ["generate/relay_schema.py"]
