"""The library and the sketches as programs for this machine, with sanitizers, and what a test asks of them."""

from __future__ import annotations

import email
import email.policy
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from forge.checks import arduino
from forge.core import paths, proc, timeouts
from forge.host import host
from tests.support.scripted_provider import ScriptedProvider

HOST = paths.TESTS / "arduino" / "host"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
# Parts of the core that know nothing of a chip: the host takes them as they are.
PORTABLE = ("Client.h", "IPAddress.cpp", "IPAddress.h", "Print.cpp", "Print.h", "Printable.h", "Stream.h", "WString.h")

PATIENCE = 30.0  # seconds: a program that has not ended by then hangs

SENT, SOME_REFUSED, REFUSED, NOT_CONNECTED, CONNECTION_LOST, TIMED_OUT, NOT_SMTP, BAD_ADDRESS, BUSY = range(9)


@dataclass(frozen=True)
class Outcome:
    """What the library said of one mail; `took` in milliseconds."""

    result: int
    code: int
    reply: str
    temporary: bool
    took: int
    idles: int
    error: str
    output: str


class Sender:
    """Sends mails with the library: keywords become words of host/send.cpp, those in capitals its environment."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def __call__(self, port: int, **words: str | bytes | int) -> Outcome:
        (outcome,) = self.several(port, **words)
        return outcome

    def several(self, port: int, **words: str | bytes | int) -> list[Outcome]:
        told = {"to": "you@example.org", "subject": "Pump 3", "text": "stands still\n", "port": port, **words}
        environment = {name: str(value) for name, value in told.items() if name.isupper()}
        argv = [b"%s=%s" % (name.encode(), _bytes(value)) for name, value in told.items() if not name.isupper()]
        output = run(self.program, argv, environment)
        outcomes = []
        for part in output.split("result=")[1:]:
            lines = dict(line.split("=", 1) for line in f"result={part}".splitlines() if "=" in line)
            numbers = {name: int(lines[name]) for name in ("result", "code", "took", "idles")}
            temporary = lines["temporary"] == "1"
            outcomes.append(
                Outcome(reply=lines["reply"], error=lines["error"], temporary=temporary, output=output, **numbers)
            )
        return outcomes


def _bytes(value: str | bytes | int) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def run(program: Path, argv: list[bytes], environment: dict[str, str]) -> str:
    """What it prints. It fails where a sanitizer has something to say, or where it does not end."""
    done = subprocess.run(
        [os.fsencode(program), *argv],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE * timeouts.factor(),
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace").replace("\r\n", "\n")


def host_program(source: Path, folder: Path, *defines: str) -> Path:
    """A program for this machine, with sanitizers, of `source`, the library and the board's stand-in."""
    host.require("arduino")
    core = folder / "core"
    if not core.exists():
        core.mkdir()
        for name in PORTABLE:  # side by side with no Arduino.h, so that they include the host's
            (core / name).symlink_to(arduino.CORE / "cores/arduino" / name)
    argv = ["g++", "-std=gnu++11", "-g", "-O1", *SANITIZERS, f"-I{HOST}", f"-isystem{core}", f"-I{arduino.STANDIN}"]
    argv += [f"-I{arduino.LIBRARY / 'src'}", *(f"-D{one}" for one in defines)]
    ours = [source, HOST / "board.cpp", *sorted((arduino.LIBRARY / "src").glob("*.cpp"))]
    theirs = [core / name for name in PORTABLE if name.endswith(".cpp")]
    name = source.stem + "-".join(re.sub(r"\W+", "-", one) for one in defines)

    def compile(path: Path) -> Path:
        output = folder / f"{name}-{path.name}.o"
        warnings = ["-w"] if path in theirs else [*arduino.WARNINGS, "-Werror"]
        proc.run([*argv, *warnings, "-c", path, "-o", output], timeout=arduino.TIMEOUT)
        return output

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile, [*ours, *theirs]))
    program = folder / name
    proc.run(["g++", *SANITIZERS, *objects, "-o", program], timeout=arduino.TIMEOUT)
    return program


def message(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def body(raw: bytes) -> bytes:
    found = message(raw).get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-arduino-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def mega(workshop: Path) -> arduino.Avr:
    """A compiler for the board that a Controllino is."""
    folder = workshop / "mega"
    folder.mkdir()
    return arduino.Avr(next(board for board in arduino.BOARDS if board.name == "ATmega2560"), folder)


@pytest.fixture(scope="session")
def send(workshop: Path) -> Sender:
    return Sender(host_program(HOST / "send.cpp", workshop))


@pytest.fixture
def server() -> Iterator[ScriptedProvider]:
    """A mail server that does what its script says, to which nothing was done against the rules."""
    with ScriptedProvider() as found:
        yield found
        assert found.violations == []
