"""QEMU's debugger port (gdb's remote serial protocol), for the one thing that no other door of QEMU's reaches: a CPU's
registers. guest.py is the caller, on a guest that is stopped; this is no debugger.

A MIPS CPU's timer is not in QEMU's snapshots: the registers Count and Compare are, but the interrupt due at Compare is
not armed again (target/mips: vmstate_mips_cpu). The restored guest then misses a tick, and stands still until Count has
gone round once, ten seconds or more.
"""

from __future__ import annotations

import socket
from pathlib import Path

from forge.core.errors import ForgeError

CAUSE = 36  # a MIPS CPU's register of that name, as QEMU numbers it (target/mips/gdbstub.c)
COUNT_STOPPED = 1 << 27  # DC in it: Count stands still
TIMEOUT = 20.0


class GdbError(ForgeError):
    """QEMU's debugger port does not do what it is asked."""


def arm_mips_timer(path: Path) -> None:
    """Of the first CPU of a stopped guest: let its Count stop and go on; with that, QEMU arms the interrupt anew.

    A MIPS CPU's registers up to Cause are of 32 bits each. All are written at once, as QEMU takes none by its number
    from a debugger that does not ask for its XML. `path` is the port's socket.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(str(path))
        registers = bytes.fromhex(_ask(connection, "g"))[: 4 * CAUSE + 4]
        stopped = int.from_bytes(registers[4 * CAUSE :], "little") | COUNT_STOPPED
        for values in (registers[: 4 * CAUSE] + stopped.to_bytes(4, "little"), registers):
            if (answer := _ask(connection, f"G{values.hex()}")) != "OK":
                raise GdbError(f"QEMU does not write registers: {answer or 'it does not know how'}")


def _ask(connection: socket.socket, packet: str) -> str:
    """One packet and its answer: $TEXT#CHECKSUM each way, and a + for what has come well."""
    data = packet.encode()
    try:
        connection.sendall(b"$%s#%02x" % (data, sum(data) % 256))
        while (byte := connection.recv(1)) != b"$":
            if not byte or byte == b"-":
                raise GdbError(f"QEMU does not take {packet}")
        answer = b""
        while (byte := connection.recv(1)) not in (b"#", b""):
            answer += byte
        connection.recv(2, socket.MSG_WAITALL)
        connection.sendall(b"+")
    except OSError as error:
        raise GdbError(f"QEMU's debugger port does not answer: {error}") from None
    return answer.decode()
