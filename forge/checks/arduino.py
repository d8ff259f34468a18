"""Compiles the Arduino library and its sketches: with avr-gcc and Debian's Arduino core.

The flags are those of the core's platform.txt, so that sizes are what the Arduino IDE would say. The Ethernet library
is in no package registry: a stand-in of its interface takes its place (tests/arduino/standin). Called by the tests;
`python3 -m forge.checks.arduino` brings the table of sizes in docs/owner/send-from-arduino.md up to date.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from forge.core import paths, proc
from forge.host import host

LIBRARY = paths.ROOT / "examples" / "arduino" / "MailRelay"
STANDIN = paths.TESTS / "arduino" / "standin"
CORE = Path("/usr/share/arduino/hardware/arduino/avr")
DOC = paths.DOCS / "owner/send-from-arduino.md"

TIMEOUT = 120.0  # seconds for one compiler
WARNINGS = ("-Wall", "-Wextra")

_TABLE = re.compile(r"(<!-- sizes[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Board:
    """A chip, the core's folder for boards with it, and what it has for programs, in bytes."""

    name: str
    mcu: str
    variant: str
    flash: int
    ram: int


BOARDS = (
    Board("ATmega328P", "atmega328p", "standard", 32256, 2048),
    Board("ATmega2560", "atmega2560", "mega", 253952, 8192),
)


@dataclass(frozen=True)
class Size:
    """Bytes: of flash, and of RAM before anything is called."""

    flash: int
    ram: int

    def __sub__(self, other: Size) -> Size:
        return Size(self.flash - other.flash, self.ram - other.ram)


def sketches() -> list[Path]:
    return sorted((LIBRARY / "examples").glob("*/*.ino"))


# ---- for a board ----------------------------------------------------------------------------------------------------


class Avr:
    """The core for one board, compiled into `folder`, and programs linked with it."""

    def __init__(self, board: Board, folder: Path) -> None:
        host.require("arduino")
        self.board = board
        self.folder = folder
        common = ["-c", "-g", "-Os", "-ffunction-sections", "-fdata-sections", "-flto"]
        chip = [f"-mmcu={board.mcu}", "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_ARCH_AVR"]
        chip += ["-DDECIMAL_DIG=__DECIMAL_DIG__"]  # this compiler's float.h has it for C alone
        chip += [f"-I{CORE / 'cores/arduino'}", f"-I{CORE / 'variants' / board.variant}"]
        self._c = ["avr-gcc", *common, *chip, "-std=gnu11", "-fno-fat-lto-objects"]
        self._cpp = ["avr-g++", *common, *chip, "-std=gnu++11", "-fpermissive", "-fno-exceptions"]
        self._cpp += ["-fno-threadsafe-statics", "-Wno-error=narrowing", f"-I{LIBRARY / 'src'}", f"-I{STANDIN}"]
        sources = sorted(path for path in (CORE / "cores/arduino").iterdir() if path.suffix in (".c", ".cpp"))
        with ThreadPoolExecutor(2) as pool:
            self._core = list(pool.map(partial(self._compile, warnings=()), sources))

    def program(self, source: Path, *defines: str) -> Path:
        """The linked program of a sketch or a .cpp file with the library and the stand-in of Ethernet."""
        objects = [self._compile(source, *defines), self._compile(STANDIN / "avr.cpp")]
        objects += [self._compile(one) for one in sorted((LIBRARY / "src").glob("*.cpp"))]
        elf = self.folder / f"{source.stem}{''.join(defines)}.elf"
        link = ["avr-gcc", "-Os", "-g", "-flto", "-fuse-linker-plugin", "-Wl,--gc-sections", f"-mmcu={self.board.mcu}"]
        proc.run([*link, "-o", elf, *objects, *self._core, "-lm"], timeout=TIMEOUT)
        return elf

    def _compile(self, source: Path, *defines: str, warnings: Sequence[str] = (*WARNINGS, "-Werror")) -> Path:
        compiler = self._c if source.suffix == ".c" else self._cpp
        output = self.folder / f"{source.name}{''.join(defines)}.o"
        argv = [*compiler, *warnings, *(f"-D{one}" for one in defines)]
        if source.suffix == ".ino":
            argv += ["-x", "c++", "-include", "Arduino.h"]
        if not warnings:
            argv.append("-w")
        proc.run([*argv, source, "-o", output], timeout=TIMEOUT)
        return output


def size(elf: Path) -> Size:
    """As the Arduino IDE counts: initialised variables lie in both."""
    text, data, bss = map(int, proc.run(["avr-size", elf], timeout=TIMEOUT).output.splitlines()[1].split()[:3])
    return Size(text + data, data + bss)


def sizes(folder: Path) -> dict[str, dict[str, Size]]:
    """By board and by what it is of: "library" is what the library adds to a sketch with a client."""
    found = {}
    for board in BOARDS:
        own = folder / board.mcu
        own.mkdir()
        avr = Avr(board, own)
        measure = STANDIN / "measure.cpp"
        found[board.name] = {"library": size(avr.program(measure, "LIBRARY")) - size(avr.program(measure))}
        found[board.name] |= {sketch.stem: size(avr.program(sketch)) for sketch in sketches()}
    return found


# ---- the table ------------------------------------------------------------------------------------------------------


def render(text: str, found: dict[str, dict[str, Size]]) -> str:
    """The text with the table of sizes between its markers."""
    titles = {"library": "the library, in any sketch", **{one.stem: f"sketch `{one.stem}`" for one in sketches()}}
    lines = ["| | " + " | ".join(f"{name} flash | RAM" for name in found) + " |"]
    lines.append("|---|" + "--:|--:|" * len(found))
    for key, title in titles.items():
        lines.append(
            f"| {title} | " + " | ".join(f"{one[key].flash} | {one[key].ram}" for one in found.values()) + " |"
        )
    return _TABLE.sub(lambda mark: mark[1] + "\n" + "\n".join(lines) + "\n\n" + mark[2], text)


def main() -> None:
    before = DOC.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="mailrelay-arduino-") as folder:
        after = render(before, sizes(Path(folder)))
    DOC.write_text(after, encoding="utf-8")
    print(f"{DOC.name}: {'written' if after != before else 'is up to date'}")


if __name__ == "__main__":
    main()
