"""The QEMU machines that firmware boots on: the lab's targets, and the targets of OpenWrt that QEMU can play.

Pure: what a target needs, and the argv it is started with. guest.py runs it; firmware.py says what is booted.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forge.core import cli
from forge.core.errors import UsageError
from forge.lab import targets

LAN_ADDRESS = "192.168.1.1/24"  # OpenWrt's own default
# Networks of QEMU's user-mode stack. The wan's is reserved for documentation (RFC 5737), so it is nobody's, and public:
# what the relay and the firewall think of a stranger's address holds for it.
WAN_NETWORK = "203.0.113.0/24"
WAN_ADDRESS = "203.0.113.15"  # what QEMU's DHCP server gives first
HOST_FROM_WAN = "203.0.113.2"  # reaches whatever listens on this machine's loopback


@dataclass(frozen=True)
class Machine:
    """How QEMU plays a target. `ports` are the network cards in the guest's order: eth0 first."""

    target: str
    qemu: str  # the program
    package: str  # the Debian package that it is in
    elf_machine: int  # the e_machine of its programs (ELF), or 0 where kernels are no ELF
    machine: str
    cpu: str
    memory: int  # MB
    console: str
    append: str = ""
    disk: str = "virtio-blk-pci"  # or ide-hd
    disk_name: str = "/dev/vda"
    card: str = "virtio-net-pci"
    ports: tuple[str, ...] = ("lan", "wan")
    # A file that starts a disk with a boot loader, from Debian's package; "" where the machine has one.
    firmware: str = ""
    firmware_package: str = ""

    @property
    def lab(self) -> bool:
        return self.target in targets.TARGETS


MIPS = 8
_OPENWRT = (
    Machine("x86/64", "qemu-system-x86_64", "qemu-system-x86", 0, "q35", "max", 256, "ttyS0"),
    Machine(
        *("armsr/armv8", "qemu-system-aarch64", "qemu-system-arm", 0, "virt", "cortex-a53", 256, "ttyAMA0"),
        firmware="/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
        firmware_package="qemu-efi-aarch64",
    ),
    Machine(
        *("armsr/armv7", "qemu-system-arm", "qemu-system-arm", 0, "virt", "cortex-a15", 256, "ttyAMA0"),
        firmware="/usr/share/AAVMF/AAVMF32_CODE.fd",
        firmware_package="qemu-efi-arm",
    ),
    # OpenWrt's kernel for it has no virtio; its network takes eth0 for the way out (target/linux/malta, 02_network).
    Machine(
        *("malta/le", "qemu-system-mipsel", "qemu-system-mips", MIPS, "malta", "P5600", 128, "ttyS0"),
        append="ieee754=relaxed",
        disk="ide-hd",
        disk_name="/dev/sda",
        card="pcnet",
        ports=("wan", "lan"),
    ),
)


def _of_lab(target: targets.Target) -> Machine:
    return Machine(
        target.name,
        target.qemu,
        target.qemu_package,
        MIPS if target.architecture == "mipsel" else 0,
        target.machine,
        target.cpu,
        target.memory,
        target.console,
        target.command_line,
    )


MACHINES = {machine.target: machine for machine in (*map(_of_lab, targets.TARGETS.values()), *_OPENWRT)}
_WITHOUT = {
    "ramips": "QEMU has no machine for ramips; malta/le runs the same programs (mipsel_24kc)",
    "ath79": "QEMU has no machine for ath79, and none of the lab's targets is big-endian MIPS",
}


def find(name: str) -> Machine:
    """The machine of a target; UsageError with near matches where there is none."""
    name = name or targets.DEFAULT
    family = name.partition("/")[0]
    if family in _WITHOUT:
        raise UsageError(f"--target {name}: {_WITHOUT[family]}", hint=f"one of: {', '.join(MACHINES)}")
    return MACHINES[cli.choice(name, MACHINES, "--target")]


@dataclass(frozen=True)
class Disk:
    """A disk of raw bytes. `serial` is what the guest knows it by; to a `fixed` one it cannot write."""

    file: Path
    serial: str
    fixed: bool = False


@dataclass(frozen=True)
class Load:
    """What a machine is booted with: a kernel with its initrd and command line, or a disk with a boot loader."""

    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    disks: tuple[Disk, ...] = ()


@dataclass(frozen=True)
class Forwards:
    """Ports of the guest that are reached through free ones of this machine's loopback: from its LAN, from its WAN."""

    lan: tuple[int, ...] = (22, 25, 80)
    wan: tuple[int, ...] = (22, 25)


FORWARDS = Forwards()
_CLOCKS = ("cmos_init", "pl031_driver_init")  # what the kernel calls its drivers for them


def argv(
    machine: Machine,
    load: Load,
    folder: Path,
    *,
    lan: str = LAN_ADDRESS,
    forwards: Forwards = FORWARDS,
    memory: int = 0,
    clock: str = "",
    incoming: bool = False,
) -> list[str]:
    """QEMU's command line. Its sockets and its serial log lie in `folder`; `lan` is the router's own address there.

    The ports on this machine are chosen by QEMU itself (0), so that two guests never want the same one. With `clock`
    (QEMU's -rtc base=) the lab's kernel starts at a wrong time, and without a clock of its own, as most routers.
    """
    words = [machine.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg"]
    words += ["-machine", machine.machine, "-cpu", machine.cpu, "-m", str(memory or machine.memory)]
    words += ["-chardev", f"socket,id=console,path={_escape(folder / 'console')},server=on,wait=off,"
              f"logfile={_escape(folder / 'serial.log')},logappend=on", "-serial", "chardev:console"]  # fmt: skip
    words += ["-chardev", f"socket,id=qmp,path={_escape(folder / 'qmp')},server=on,wait=off", "-mon",
              "chardev=qmp,mode=control"]  # fmt: skip
    if clock:
        words += ["-rtc", f"base={clock}"]
        load = dataclasses.replace(load, append=f"{load.append} initcall_blacklist={','.join(_CLOCKS)}".strip())
    words += _boot(machine, load)
    for number, disk in enumerate(load.disks):
        fixed = ",read-only=on" if disk.fixed else ""
        words += ["-drive", f"id=disk{number},if=none,format=raw,file={_escape(disk.file)}{fixed}"]
        words += ["-device", f"{machine.disk},drive=disk{number},serial={disk.serial}"]
    networks = {"lan": _lan(lan, forwards.lan), "wan": _wan(forwards.wan)}
    for number, name in enumerate(machine.ports):
        words += ["-netdev", networks[name]]
        # No boot ROM: it is in a package of its own, and nothing boots from the network.
        words += ["-device", f"{machine.card},netdev={name},mac=52:54:00:00:00:0{number + 1},romfile="]
    if machine.card.startswith("virtio"):
        words += ["-device", "virtio-rng-pci"]
    if incoming:
        words += ["-incoming", "defer"]
    return words


def _boot(machine: Machine, load: Load) -> list[str]:
    if load.kernel is None:
        return ["-bios", machine.firmware] if machine.firmware else []
    words = ["-kernel", str(load.kernel)]
    if load.initrd is not None:
        words += ["-initrd", str(load.initrd)]
    if load.append:
        words += ["-append", load.append]
    return words


def _lan(address: str, ports: Sequence[int]) -> str:
    """The machines' side. Closed: this machine comes in as the client QEMU makes of it, and the guest gets nowhere."""
    router = ipaddress.IPv4Interface(address)
    network = router.network
    if network.prefixlen > 29:
        raise UsageError(f"the guest's LAN {network} is too small for QEMU", hint="it takes a network of /29 or larger")
    first = (network.network_address + number for number in range(1, 5))
    client = next(host for host in first if host != router.ip)
    last = (network.broadcast_address - number for number in range(1, 5))
    dhcp, dns, *_ = (host for host in last if host not in (router.ip, client))
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:0-{router.ip}:{port}" for port in ports)
    return f"user,id=lan,net={network},host={client},dhcpstart={dhcp},dns={dns},restrict=on,ipv6=off{forwards}"


def _wan(ports: Sequence[int]) -> str:
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:0-{WAN_ADDRESS}:{port}" for port in ports)
    return f"user,id=wan,net={WAN_NETWORK},host={HOST_FROM_WAN},dhcpstart={WAN_ADDRESS},ipv6=off{forwards}"


def _escape(path: Path) -> str:
    """A file name within one of QEMU's options, where a comma is doubled."""
    return str(path).replace(",", ",,")
