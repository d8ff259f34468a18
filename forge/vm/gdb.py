"""QEMU's debugger port (gdb's remote serial protocol), for the one thing that no other door of QEMU's reaches: a CPU's
registers. guest.py is the caller, on a guest that is stopped; this is no debugger.

A MIPS CPU's timer is not in QEMU's snapshots: the registers Count and Compare are, but the interrupt due at Compare is
not armed again (target/mips: vmstate_mips_cpu). The restored guest then misses a tick, and stands still until Count has
gone round once, ten seconds or more.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from forge.core.errors import ForgeError

CAUSE = 36  # a MIPS CPU's register of that name, as QEMU numbers it (target/mips/gdbstub.c)
COUNT_STOPPED = 1 << 27  # DC in it: Count stands still
TIMEOUT = 20.0


class GdbError(ForgeError):
    """QEMU's debugger port does not do what it is asked."""


class Registers:
    """`with Registers(socket_path) as registers:` the first CPU's, of 32 bits each. Connecting stops the guest."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Registers:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def read(self) -> list[int]:
        """All, by their numbers. A MIPS CPU's first 38 are of 32 bits each; what comes behind is not."""
        data = bytes.fromhex(self._ask("g"))
        return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) - 3, 4)]

    def write(self, values: Sequence[int]) -> None:
        """The first so many; QEMU takes none by its number from a debugger that does not ask for its XML."""
        data = b"".join(value.to_bytes(4, "little") for value in values)
        if (answer := self._ask(f"G{data.hex()}")) != "OK":
            raise GdbError(f"QEMU does not write registers: {answer or 'it does not know how'}")

    def _ask(self, packet: str) -> str:
        """One packet and its answer: $TEXT#CHECKSUM each way, and a + for what has come well."""
        data = packet.encode()
        try:
            self._socket.sendall(b"$%s#%02x" % (data, sum(data) % 256))
            while (byte := self._lines.read(1)) != b"$":
                if not byte or byte == b"-":
                    raise GdbError(f"QEMU does not take {packet}")
            answer = b""
            while (byte := self._lines.read(1)) not in (b"#", b""):
                answer += byte
            self._lines.read(2)
            self._socket.sendall(b"+")
        except OSError as error:
            raise GdbError(f"QEMU's debugger port does not answer: {error}") from None
        return answer.decode()


def arm_mips_timer(registers: Registers) -> None:
    """Counting stops and goes on at the same value; with that, QEMU arms the interrupt anew."""
    values = registers.read()[: CAUSE + 1]
    registers.write([*values[:CAUSE], values[CAUSE] | COUNT_STOPPED])
    registers.write(values)
