"""The library on the board's own processor, simulated: 16-bit integers, its texts in flash, its stack."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from forge.checks import arduino
from forge.core import paths, proc, timeouts
from forge.core.errors import ForgeError
from forge.host import debian_packages
from tests.arduino.conftest import PATIENCE, body, message
from tests.support.scripted_provider import ScriptedProvider

FOLDER = paths.TESTS / "arduino" / "simavr"


@pytest.fixture(scope="module")
def simulator(workshop: Path) -> list[str]:
    """The command line of run.c, linked with Debian's simavr: unpacked, not installed."""
    try:
        libraries = debian_packages.unpack(("libsimavr2",))
        headers = debian_packages.unpack(("libsimavr-dev",), alone=True)
    except ForgeError as error:
        pytest.skip(f"simavr can't be had: {error.message}")
    folders = sorted({str(path.parent) for path in libraries.rglob("*.so*")})
    (library,) = libraries.rglob("libsimavr.so.2")
    program = workshop / "run"
    include = [f"-isystem{headers}/usr/include", f"-isystem{headers}/usr/include/simavr"]
    link = [str(library), f"-Wl,-rpath-link,{':'.join(folders)}", "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    proc.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", *include, FOLDER / "run.c", "-o", program, *link], timeout=60
    )
    return ["env", f"LD_LIBRARY_PATH={os.pathsep.join(folders)}", str(program)]


@pytest.fixture(scope="module")
def board_program(mega: arduino.Avr) -> Path:
    return mega.program(FOLDER / "serial_mail.cpp")


def test_the_board_itself_sends_a_whole_mail(
    simulator: list[str], board_program: Path, server: ScriptedProvider
) -> None:
    done = subprocess.run(
        [*simulator, str(board_program), str(server.port)],
        capture_output=True,
        text=True,
        timeout=PATIENCE * timeouts.factor(),
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    said, stack = done.stdout.splitlines()[-2:]
    assert said == "mail: sent: 250 2.0.0 queued"
    (received,) = server.messages
    assert received.recipients == [b"you@example.org", b"night.shift@example.org"]
    assert message(received.data)["Subject"] == "Störung an Pumpe 3: zu heiß, seit mehr als einer Viertelstunde"
    numbers = "".join(f"{number}\r\n" for number in range(400))
    assert body(received.data).decode() == f"Temperatur: 85.50 °C\r\n{numbers}.\r\n"
    deepest = int(stack.removeprefix("stack="))
    assert 50 < deepest <= int(re.findall(r"some (\d+) bytes of stack", arduino.DOC.read_text())[0])
