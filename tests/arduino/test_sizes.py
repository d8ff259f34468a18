"""Library and sketches compile for boards without a warning and are as small as promised and documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forge.checks import arduino

DOC = arduino.DOC
NEAR = 0.05  # another version of the compiler makes other sizes; what is documented may be that far off


@pytest.fixture(scope="module")
def sizes(workshop: Path) -> dict[str, dict[str, arduino.Size]]:
    """Warnings are errors: what comes back has compiled without any."""
    return arduino.sizes(workshop)


@pytest.mark.parametrize("board", [board.name for board in arduino.BOARDS])
def test_the_library_takes_less_than_3_kb_of_flash_and_200_bytes_of_ram(
    sizes: dict[str, dict[str, arduino.Size]], board: str
) -> None:
    library = sizes[board]["library"]
    print(library)
    assert library.flash < 3000
    assert library.ram < 200


def test_the_sketches_leave_room_on_the_smallest_board(sizes: dict[str, dict[str, arduino.Size]]) -> None:
    for board in arduino.BOARDS:
        for name, size in sizes[board.name].items():
            assert size.flash < board.flash / 3, (name, size)
            assert size.ram < board.ram / 3, (name, size)


def test_the_documented_sizes_are_those_of_today(sizes: dict[str, dict[str, arduino.Size]]) -> None:
    def figures(text: str) -> list[int]:
        return [int(number) for number in re.findall(r"\| (\d+)(?= \|)", text)]

    before = DOC.read_text(encoding="utf-8")
    after = arduino.render(before, sizes)
    documented, measured = figures(before), figures(after)
    assert re.sub(r"\d+", "", before) == re.sub(r"\d+", "", after), "python3 -m forge.checks.arduino"
    assert len(measured) >= 12
    for one, other in zip(documented, measured):
        assert abs(one - other) <= NEAR * other, f"{one} is {other} by now: python3 -m forge.checks.arduino"
