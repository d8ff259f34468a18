"""What the documentation for senders shows of code and of its words is so; tests/docs plays its dialogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forge.checks import arduino


@pytest.mark.parametrize("page", [arduino.DOC, arduino.LIBRARY / "README.md"], ids=lambda page: page.name)
def test_the_code_in_the_documentation_compiles_for_a_board(page: Path, mega: arduino.Avr, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```cpp\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for function in ("setup", "loop"):
        if f"void {function}()" not in code:
            code += f"void {function}() {{}}\n"
    sketch = tmp_path / f"{page.stem}.ino"
    sketch.write_text(code)
    assert mega.program(sketch).exists()


def test_every_line_that_serial_is_documented_to_say_is_one_that_the_library_says() -> None:
    source = (arduino.LIBRARY / "src/MailRelay.cpp").read_text()

    def words(name: str) -> str:
        found = re.search(rf"const char {name}\[\] PROGMEM =(.*?);", source, re.DOTALL)
        assert found
        return "|".join("".join(re.findall(r'"(.*?)"', found[1])).split("\\0"))

    pattern = rf"mail: ({words('RESULTS')})( at ({words('STEPS')})(: .*)?)?"
    shown = re.findall(r"`(mail: [^`]*)`", arduino.DOC.read_text())
    assert len(shown) >= 9
    shown += (header := re.findall(r'"(mail: [^"]*)"', (arduino.LIBRARY / "src/MailRelay.h").read_text()))
    assert header
    assert [line for line in shown if not re.fullmatch(pattern, line)] == []
