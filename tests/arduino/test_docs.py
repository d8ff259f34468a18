"""What the documentation for senders shows works as shown: the dialogue by hand, and the code."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from forge.checks import arduino
from forge.core import paths
from tests.support.relay import SMARTHOST, Relay
from tests.support.scripted_provider import ScriptedProvider


def test_the_dialogue_by_hand_goes_as_documented(server: ScriptedProvider) -> None:
    text = arduino.DOC.read_text().partition("<!-- dialogue")[2].partition("With the last")[0]
    shown = [line.removeprefix("    ") for line in text.partition("$ telnet")[2].rstrip().splitlines()[1:]]

    def same(line: str) -> str:
        return re.sub(r"(?<=Queued as )\S+", "ID", line).replace("router.example.net", "relay.example.net")

    with Relay("", SMARTHOST.format(port=server.port)) as relay:
        with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as client:
            stream = client.makefile("rwb")
            for line in shown:
                if re.match(r"\d{3} ", line):
                    assert same(stream.readline().decode().rstrip()) == same(line)
                else:
                    stream.write(line.encode() + b"\r\n")
                    stream.flush()
        server.wait_for(1)
    assert server.messages[0].data.endswith(b"\r\n\r\nstands still\r\n")


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
    assert [line for line in shown if not re.fullmatch(pattern, line)] == []


def test_links_in_the_pages_lead_somewhere() -> None:
    for page in (arduino.DOC, paths.DOCS / "owner/raspberry-pi.md", arduino.LIBRARY / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)
