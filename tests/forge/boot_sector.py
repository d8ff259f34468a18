"""A guest of 512 bytes for tests of QEMU: says a text on the serial port, then counts what it is sent.

A disk for x86/64 with one partition. Each byte that arrives comes back with the count so far (one digit) behind it; so
it shows whether it is alive, and whether its memory is the one it had.
"""

from __future__ import annotations

from pathlib import Path

COUNT = bytes.fromhex("bafd03 ec a801 74fb baf803 ec ee fec3 88d8 0430 ee ebe9")
POWER_OFF = bytes.fromhex("ba0406 b80020 ef f4 ebfd")  # q35's ACPI: writes S5 to PM1a_CNT, at 0x604
PRINT = "fc 31c0 8ed8 31db be{} baf803 ac 84c0 7403 ee ebf8"


def disk(file: Path, text: str, then: bytes = COUNT, *, size: int = 1 << 20) -> Path:
    """Writes the image: prints `text`, then runs `then`."""
    head = len(bytes.fromhex(PRINT.format("0000")))
    address = 0x7C00 + head + len(then)
    code = bytes.fromhex(PRINT.format(address.to_bytes(2, "little").hex())) + then + text.encode() + b"\0"
    assert len(code) <= 440
    partition = bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0]) + (1).to_bytes(4, "little") + (1000).to_bytes(4, "little")
    sector = code.ljust(446, b"\0") + partition.ljust(64, b"\0") + b"\x55\xaa"
    file.write_bytes(sector.ljust(size, b"\0"))
    return file
