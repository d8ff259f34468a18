"""Each line in a code block of the pages at the top and in docs/ is run by a test, or it is said why not."""

from __future__ import annotations

import re
from pathlib import Path

from forge.core import paths
from tests.docs import pages, places

HERE = Path(__file__).parent


def test_no_line_is_left_out() -> None:
    blocks = [block for block in pages.blocks() if block.kind != "shell" and not places.block_place(block)]
    assert [f"{block}: {block.first.text}" for block in blocks] == []
    assert [f"{line}: {line.text}" for line in places.lines() if not places.place(line)] == []


def test_the_pages_are_found() -> None:
    names = {page.name for page in pages.pages()}
    assert {"README.md", "BUILDING.md", "OPENWRT.md", "ROUTER.md", "CONFIG.md"} <= names
    assert len(pages.commands()) > 80 and len(pages.spans()) > 30


def test_the_table_has_nothing_that_is_not_in_the_pages() -> None:
    first = [block.first.text for block in pages.blocks()]
    texts = [line.text.strip() for line in places.lines()]
    for pattern in [*places.PLACES, *places.NOT_RUN]:
        assert any(re.match(pattern, text) for text in texts), pattern
    for pattern in places.BLOCKS_NOT_RUN:
        assert any(re.match(pattern, text) for text in first), pattern
    for module in {*places.PLACES.values(), *places.KINDS.values()}:
        assert (HERE / module).exists()
    for reason in [*places.NOT_RUN.values(), *places.BLOCKS_NOT_RUN.values()]:
        for path in re.findall(r"tests/[\w/.]+\w", reason):
            assert (paths.ROOT / path).exists(), path


def test_a_line_that_nobody_knows_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Say:\n\n    ./inv build\n    frobnicate --all\n\n```\nconfig x\n\nmore\n```\n")
    found = [line for block in pages._blocks(page) for line in block.lines]
    assert [(line.number, line.text) for line in found] == [
        (3, "./inv build"), (4, "frobnicate --all"), (7, "config x"), (9, "more"),
    ]  # fmt: skip
    assert [places.place(line) for line in found[:2]] == ["test_inv.py", ""]
