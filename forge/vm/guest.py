"""A router in QEMU: booted, asked, stopped, restored and killed from outside. The task `qemu`, the demo, the bench and
tests/lab all run it through this.

A guest has a folder of its own for sockets, serial log and working copies, gone with its `with` block; the log stays.
QEMU dies with the thread that started it (PR_SET_PDEATHSIG), so nothing is left even after kill -9: start a guest from
a thread that lives as long as the guest shall.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from forge.core import console, paths, timeouts
from forge.core.errors import ForgeError, MissingError
from forge.core.ports import greeting
from forge.host import host
from forge.vm import firmware as firmwares
from forge.vm import gdb, machines, registry
from forge.vm.machines import Forwards, Load
from forge.vm.qmp import Monitor, QmpError
from forge.vm.serial_console import SerialConsole
from forge.vm.ssh import Ssh

BOOT_SECONDS = 90.0  # on a machine like ours; a boot takes 3 to 6
QEMU_SECONDS = 20.0
POWER_SECONDS = 40.0
SNAPSHOT_SECONDS = 60.0
TAIL = 15  # lines of the console that an error shows
READY = re.compile(rb"procd: - init complete -")
T = TypeVar("T")


class GuestError(ForgeError):
    """QEMU does not start, or the guest does not do what it should; with the last lines of its console."""


@dataclass(frozen=True)
class Snapshot:
    """A guest's memory at one moment, and its writable disks at the same: files in the guest's folder."""

    memory: Path
    disks: dict[Path, Path]  # the disk's file -> its copy


class Guest:
    """`with Guest("lab-mipsel", firmware) as guest:` boots it and returns as soon as SSH greets.

    `disk` is a file that keeps what the router writes (made if it is not there); True makes one that lasts as long as
    this guest, over reboots and power cuts; without it a lab guest forgets all at a reboot. `lan` is the router's own
    address with its network, as in the site file. `clock`: the wrong time it starts with, see machines.argv. A `listed`
    guest is one that `./inv ssh` of this checkout finds.
    """

    def __init__(
        self,
        target: str,
        firmware: Path,
        *,
        disk: Path | bool = False,
        lan: str = machines.LAN_ADDRESS,
        forwards: Forwards = machines.FORWARDS,
        memory: int = 0,
        clock: str = "",
        listed: bool = False,
    ) -> None:
        self.machine = machines.find(target)
        self.firmware = firmware
        self.lan_address = lan
        self.forwards = forwards
        self.memory = memory
        self.clock = clock
        self.listed = listed
        self.folder = Path()
        self._disk = disk
        self._load = Load()
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None
        self.ports: dict[tuple[str, int], int] = {}  # (lan or wan, the guest's port) -> that on this machine's loopback
        self.serial = SerialConsole(self.folder, self.machine.target)
        self._ssh: Ssh | None = None

    def __enter__(self) -> Guest:
        self.open()
        try:
            self.wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Make the folder and start QEMU; the guest has not booted yet."""
        if host.command(self.machine.qemu) is None:
            hint = f"start the task through ./inv, or: apt-get install --no-install-recommends {self.machine.package}"
            raise MissingError(f"{self.machine.qemu} is not on this machine", hint=hint)
        registry.sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=registry.PREFIX, dir=registry.PARENT))
        self.serial = SerialConsole(self.folder, self.machine.target)
        try:
            disk = self.folder / "data.img" if self._disk is True else self._disk or None
            self._load = firmwares.load(self.machine, self.firmware, self.folder, disk=disk)
            self.power_on()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything and remove the folder; the serial log goes to the cache."""
        self.cut_power()
        if self.folder != Path():
            self.serial.keep()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = Path()

    # ---- power -----------------------------------------------------------------------------------------------------

    def power_on(self, *, incoming: bool = False) -> None:
        """Start QEMU with the disks as they are. wait() then waits for the boot."""
        (self.folder / "qmp").unlink(missing_ok=True)
        self.serial.begin()
        argv = machines.argv(
            *(self.machine, self._load, self.folder),
            lan=self.lan_address,
            forwards=self.forwards,
            memory=self.memory,
            clock=self.clock,
            incoming=incoming,
        )
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                # The kernel ends QEMU with whoever started it. A session of its own: Ctrl-C is ours to handle.
                ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            timeout = QEMU_SECONDS * timeouts.factor()
            self._monitor = Monitor(self.folder / "qmp", timeout=timeout, alive=self.running)
            self.ports = _forwarded(self._monitor.ask("info usernet"))
            self._write_state()
        except QmpError:
            self.cut_power()
            raise GuestError(f"{self.machine.qemu} does not start{self._qemu_log()}") from None
        except BaseException:
            self.cut_power()
            raise

    def cut_power(self) -> None:
        """End the guest at once: what it has not synced is lost, as when the cable is pulled."""
        if self._ssh is not None:
            self._ssh.close()
            self._ssh = None
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self.folder != Path():
            (self.folder / "state.json").unlink(missing_ok=True)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise GuestError("the guest is not running")
        return self._process.pid

    @property
    def monitor(self) -> Monitor:
        if self._monitor is None:
            raise GuestError("the guest is not running")
        return self._monitor

    def wait(self, seconds: float = BOOT_SECONDS) -> None:
        """Until this boot is complete and SSH greets. GuestError when the guest dies or does not come that far."""
        end = timeouts.deadline(seconds)
        with console.detail(self.serial.last_line):
            self.wait_console(READY, end=end, what="has not finished booting")
        self._until_ssh(end, "has booted")

    def _until_ssh(self, end: float, what: str) -> None:
        self._until(lambda: greeting(self.lan(22), 2.0), end, f"{what}, but no SSH server greets on its LAN")

    def wait_console(self, pattern: re.Pattern[bytes], *, end: float, what: str = "") -> bytes:
        """Wait until this boot's part of the console matches; return the match. `end` is as in timeouts.wait."""
        what = what or f"does not print {pattern.pattern.decode(errors='replace')}"
        return self._until(lambda: pattern.search(self.serial.read()), end, what)[0]

    def reboot(self) -> None:
        """By its own `reboot`, as an owner would; returns when it is up again, on other ports.

        A new QEMU boots it: one that has run a system before takes three times as long to load the next.
        """
        self.monitor.run("set-action", {"reboot": "shutdown"})
        self.ssh.run("reboot >/dev/null 2>&1 </dev/null &")
        end = timeouts.deadline(POWER_SECONDS)
        timeouts.wait(lambda: not self.running(), end, lambda: self._error("does not reboot"))
        self.cut_power()
        self.power_on()
        self.wait()

    # ---- snapshots -------------------------------------------------------------------------------------------------

    def save(self, name: str = "snapshot") -> Snapshot:
        """Its memory and disks as they are now. The guest goes on afterwards; restore() brings this moment back."""
        if self._ssh is not None:
            self._ssh.close()  # a connection over the moment would be half open later
        self.monitor.run("stop")
        try:
            memory = self.folder / f"{name}.memory"
            with memory.open("wb") as file:
                self.monitor.run("getfd", {"fdname": "memory"}, fd=file.fileno())
                self.monitor.run("migrate", {"uri": "fd:memory"})
            self._migrated("does not save its memory")
            disks = {}
            for number, disk in enumerate(self._load.disks):
                if not disk.fixed:
                    disks[disk.file] = self.folder / f"{name}.disk{number}"
                    firmwares.copy_disk(disk.file, disks[disk.file])
        finally:
            if self.running():
                self.monitor.run("cont")
        return Snapshot(memory, disks)

    def restore(self, snapshot: Snapshot, *, ssh: bool = True) -> None:
        """The guest as it was when the snapshot was taken; with `ssh`, that answers when this returns. Ports change."""
        self.cut_power()
        for file, copy in snapshot.disks.items():
            firmwares.copy_disk(copy, file)
        self.power_on(incoming=True)
        with snapshot.memory.open("rb") as memory:
            self.monitor.run("getfd", {"fdname": "memory"}, fd=memory.fileno())
            self.monitor.run("migrate-incoming", {"uri": "fd:memory"})
        self._migrated("does not take its memory back")
        if self.machine.elf_machine == machines.MIPS:
            self._arm_timer()
        self.monitor.run("cont")
        if ssh:
            self._until_ssh(timeouts.deadline(BOOT_SECONDS), "is restored")

    def _arm_timer(self) -> None:
        """Of a restored MIPS guest, which without it stands still for ten seconds or more (gdb.py)."""
        self.monitor.run("stop")
        port = self.folder / "gdb"
        self.monitor.ask(f"gdbserver unix:{port},server=on,wait=off")
        gdb.arm_mips_timer(port)
        self.monitor.ask("gdbserver none")
        port.unlink(missing_ok=True)

    def _migrated(self, what: str) -> None:
        def completed() -> bool:
            status = self.monitor.run("query-migrate").get("status")
            if status in ("failed", "cancelled") or not self.running():
                raise self._error(f"{what} ({status})")
            return bool(status == "completed")

        timeouts.wait(completed, timeouts.deadline(SNAPSHOT_SECONDS), lambda: self._error(what), 0.01)

    # ---- ways in ---------------------------------------------------------------------------------------------------

    def lan(self, port: int) -> tuple[str, int]:
        """Where this machine reaches a port of the guest as a client on its LAN."""
        return self._forward("lan", port)

    def wan(self, port: int) -> tuple[str, int]:
        """Where this machine reaches a port of the guest as a stranger on its WAN."""
        return self._forward("wan", port)

    def _forward(self, side: str, port: int) -> tuple[str, int]:
        if (side, port) not in self.ports:
            known = sorted(number for name, number in self.ports if name == side)
            raise GuestError(f"port {port} of the guest's {side} is not forwarded; these are: {known}")
        return "127.0.0.1", self.ports[side, port]

    @property
    def ssh(self) -> Ssh:
        if self._ssh is None:
            self._ssh = Ssh("127.0.0.1", self.lan(22)[1], folder=self.folder)
        return self._ssh

    def _until(self, reached: Callable[[], T | None], end: float, what: str) -> T:
        def reached_alive() -> T | None:
            if found := reached():
                return found
            if not self.running():
                status = self._process.returncode if self._process else 0
                how = "powered itself off" if status == 0 else f"QEMU ended with status {status}"
                raise self._error(f"is gone: {how}")
            if death := self.serial.death():
                raise self._error(f"has died: {death}")
            return None

        return timeouts.wait(reached_alive, end, lambda: self._error(what))

    def _error(self, what: str) -> GuestError:
        lines = [line for line in self.serial.text.splitlines() if line.strip()][-TAIL:]
        shown = "".join(f"\n  | {line}" for line in lines) or "\n  (its console has printed nothing)"
        kept = self.serial.keep()
        return GuestError(
            f"the guest {self.machine.target} {what}; its console ends:{shown}{self._qemu_log()}",
            hint=f"the whole console: {kept}" if kept else "",
        )

    def _qemu_log(self) -> str:
        """What QEMU itself complains of, to be appended to a message."""
        file = self.folder / "qemu.log"
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        lines = [line for line in lines if line.strip() and "not found, do you want to install" not in line][-TAIL:]
        return "".join(f"\n  QEMU: {line}" for line in lines)

    def _write_state(self) -> None:
        state = {
            "pid": self.pid,
            "started": registry.started(self.pid),
            "target": self.machine.target,
            "checkout": str(paths.ROOT) if self.listed else "",
            "firmware": str(self.firmware),
            "lan": {port: there for (side, port), there in self.ports.items() if side == "lan"},
            "wan": {port: there for (side, port), there in self.ports.items() if side == "wan"},
        }
        with paths.replacing(self.folder / "state.json") as partial:
            partial.write_text(json.dumps(state))


def _forwarded(text: str) -> dict[tuple[str, int], int]:
    """The ports that QEMU chose, from its `info usernet`."""
    ports: dict[tuple[str, int], int] = {}
    side = ""
    for line in text.splitlines():
        if hub := re.match(r"Hub .*\((\w+)\)", line):
            side = hub[1]
        elif forward := re.match(r"\s*TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)\s", line):
            ports[side, int(forward[2])] = int(forward[1])
    return ports
