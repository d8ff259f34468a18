"""What a guest is booted from: the lab's firmware folders, and OpenWrt's images as they are downloaded or built.

`load` looks into the file itself, so that a wrong, cut off or foreign one is named before QEMU hangs on it. Images are
never booted in place: a working copy takes what the guest writes. guest.py is the caller.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import IO, Any

from forge.core import paths, proc
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.host import host
from forge.vm.machines import MACHINES, Disk, Load, Machine

ROOM = 256 << 20  # a root file system alone is given a disk of this size, so that its overlay has room
DATA = 64 << 20  # the lab's disk for what is to outlive a reboot
MKFS_TIMEOUT = 120.0
SHORT = 1 << 12

# How OpenWrt's builds name the halves of what boots together; the first is preferred.
ROOTS = ("squashfs-rootfs.img", "rootfs-squashfs.img", "ext4-rootfs.img", "rootfs-ext4.img")
KERNELS = ("kernel.bin", "vmlinux.elf")
_CPUS = {8: "MIPS", 3: "x86", 62: "x86-64", 40: "ARM", 183: "ARM64", 20: "PowerPC", 243: "RISC-V", 258: "LoongArch"}
_NAMED = re.compile(r"^(?:open|immortal)wrt-(?:[\w.]+-)??(?P<target>[a-z0-9]{3,})-(?P<subtarget>[a-z0-9_]+)-")
_HINT = "docs/build/QEMU.md says which files boot"


class FirmwareError(ForgeError):
    """The file is no firmware for this machine."""


def load(machine: Machine, firmware: Path, work: Path, *, disk: Path | None = None) -> Load:
    """What QEMU is given. `work` takes the working copies; `disk` is a file that keeps what the guest writes beyond it,
    made if it is not there yet."""
    if not firmware.exists():
        raise UsageError(f"there is no {firmware}", hint="./inv image makes firmware; --firmware takes its path")
    if firmware.is_dir() or firmware.name == "manifest.json":
        folder = firmware if firmware.is_dir() else firmware.parent
        return _lab(machine, folder, disk)
    if machine.lab:
        openwrt = ", ".join(name for name in MACHINES if not name.startswith("lab-"))
        raise UsageError(
            f"{firmware} is a file, and {machine.target} boots the lab's firmware, which is a folder",
            hint=f"for an image of OpenWrt say its target: --target {openwrt}",
        )
    _check_name(machine, firmware)
    return _openwrt(machine, firmware, work, disk)


# ---- the lab --------------------------------------------------------------------------------------------------------


def _lab(machine: Machine, folder: Path, disk: Path | None) -> Load:
    manifest = _manifest(folder)
    if manifest.get("target") != machine.target:
        raise UsageError(
            f"{folder} is firmware for {manifest.get('target')}, not for {machine.target}",
            hint=f"--target {manifest.get('target')}",
        )
    files = {name: folder / name for name in ("kernel", "initrd", "rootfs.squashfs")}
    for file in files.values():
        if not file.is_file():
            raise FirmwareError(f"{folder} has no {file.name}", hint="./inv image makes it anew once it is removed")
    _check_squashfs(files["rootfs.squashfs"])
    disks = [Disk(files["rootfs.squashfs"], "rootfs", fixed=True)]
    if disk is not None:
        if not disk.exists():
            _make_ext4(disk)
        disks.append(Disk(disk, "rootfs_data"))
    return Load(files["kernel"], files["initrd"], str(manifest.get("append", machine.append)), tuple(disks))


def lan(firmware: Path) -> str:
    """The router's own address in the lab's firmware, where its site has set one; else ""."""
    folder = firmware.parent if firmware.name == "manifest.json" else firmware
    return str(_manifest(folder).get("lan", "")) if folder.is_dir() else ""


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it is no manifest")
    except FileNotFoundError:
        raise UsageError(f"{folder} has no manifest.json: it is no firmware of the lab", hint=_HINT) from None
    except (OSError, ValueError) as error:
        raise FirmwareError(
            f"{folder}/manifest.json cannot be read: {error}", hint="remove the folder, then ./inv image"
        ) from None
    return manifest


def _make_ext4(disk: Path) -> None:
    program = host.command("mkfs.ext4")
    if program is None:
        raise MissingError("mkfs.ext4 is not on this machine", hint="apt-get install --no-install-recommends e2fsprogs")
    with paths.replacing(disk) as partial:
        with partial.open("wb") as file:
            file.truncate(DATA)
        proc.run([program, "-q", "-F", "-L", "rootfs_data", "-E", "lazy_itable_init=1", partial], timeout=MKFS_TIMEOUT)


# ---- OpenWrt --------------------------------------------------------------------------------------------------------


def _check_name(machine: Machine, file: Path) -> None:
    found = _NAMED.match(file.name)
    if not found:
        return
    named = f"{found['target']}/{found['subtarget']}"
    if named != machine.target:
        known = named in MACHINES
        hint = f"--target {named}" if known else f"QEMU has no machine for {named}; it can play {', '.join(MACHINES)}"
        raise UsageError(f"{file.name} is for {named}, not for {machine.target}", hint=hint)


def _openwrt(machine: Machine, file: Path, work: Path, disk: Path | None) -> Load:
    image = _unpacked(file, work)
    kind = _kind(image)
    if kind == "disk":
        _check_disk(image, file)
        if machine.firmware and not Path(machine.firmware).exists():
            hint = f"apt-get install --no-install-recommends {machine.firmware_package}; or boot the -kernel.bin"
            raise MissingError(f"{machine.firmware}, which starts such a disk, is not on this machine", hint=hint)
        return Load(disks=(Disk(_copy(image, disk or work / "disk.img"), "disk"),))
    if kind.startswith("kernel-"):
        _check_kernel(machine, image, kind, file)
        if "initramfs" in file.name:
            return _with_kernel(machine, image, None, work, disk)
        root = _sibling(file, ROOTS)
        if root is None:
            hint = "put the -rootfs.img(.gz) of the same build there, or boot an -initramfs- kernel"
            raise UsageError(f"{file.name} is a kernel, and no root file system lies beside it", hint=hint)
        return _with_kernel(machine, image, root, work, disk)
    kernel = _sibling(file, KERNELS)
    if kernel is None:
        hint = "put the -kernel.bin or -vmlinux.elf of the same build there"
        raise UsageError(f"{file.name} is a root file system, and no kernel lies beside it", hint=hint)
    _check_kernel(machine, kernel, _kind(kernel), kernel)
    return _with_kernel(machine, kernel, file, work, disk)


def _with_kernel(machine: Machine, kernel: Path, root: Path | None, work: Path, disk: Path | None) -> Load:
    append = f"{machine.append} console={machine.console}".strip()
    if root is None:
        return Load(kernel, None, append)
    image = _unpacked(root, work)
    kind = _kind(image)
    if kind == "squashfs":
        _check_squashfs(image)
    elif kind == "ext4":
        _check_ext4(image)
    else:
        raise FirmwareError(f"{root.name} is no root file system: it begins like {_ARTICLES[kind]}", hint=_HINT)
    copy = _copy(image, disk or work / "root.img", room=ROOM)
    return Load(kernel, None, f"{append} root={machine.disk_name} rootwait", (Disk(copy, "root"),))


def _sibling(file: Path, endings: tuple[str, ...]) -> Path | None:
    """The other half of the same build: what shares the longest beginning of its name and has one of the endings."""
    found = []
    for other in file.parent.iterdir():
        name = other.name.removesuffix(".gz")
        if name.endswith(endings) and "initramfs" not in name and other != file:
            rank = next(at for at, ending in enumerate(endings) if name.endswith(ending))
            common = next((at for at, (a, b) in enumerate(zip(name, file.name)) if a != b), 0)
            found.append((-common, rank, other))
    return min(found)[2] if found else None


def _unpacked(file: Path, work: Path) -> Path:
    """The file itself, or what is in a .gz. OpenWrt appends its own data to a .gz, which does not count."""
    with file.open("rb") as source:
        packed = source.read(2) == b"\x1f\x8b"
        image = work / file.name.removesuffix(".gz") if packed else file
        if packed:
            source.seek(0)
            with image.open("wb") as output:
                _gunzip(source, output, file)
    if image.stat().st_size < SHORT:
        raise FirmwareError(
            f"{file} has {image.stat().st_size} bytes: it is no firmware", hint="fetch or build it anew"
        )
    return image


def _gunzip(source: IO[bytes], output: IO[bytes], file: Path) -> None:
    inflate = zlib.decompressobj(31)
    try:
        while not inflate.eof and (data := source.read(1 << 20)):
            chunk = inflate.decompress(data)
            # Holes stay holes: most of an image is empty.
            if chunk.strip(b"\0"):
                output.write(chunk)
            else:
                output.seek(len(chunk), 1)
    except zlib.error as error:
        raise FirmwareError(f"{file} is damaged: {error}", hint="fetch or build it anew") from None
    if not inflate.eof:
        raise FirmwareError(f"{file} is cut off: its compressed data does not end", hint="fetch or build it anew")
    output.truncate()


# By what a file is known: at which byte there is what; its kind, and what an error calls it.
_KINDS = (
    (0, b"\x7fELF", "kernel-elf", "a program (ELF)"),
    (0, b"hsqs", "squashfs", "a squashfs"),
    (0x202, b"HdrS", "kernel-x86", "a kernel for x86"),
    (0x38, b"ARM\x64", "kernel-arm64", "a kernel for ARM64"),
    (0x24, b"\x18\x28\x6f\x01", "kernel-arm", "a kernel for ARM"),
    (0x438, b"\x53\xef", "ext4", "an ext4"),
    (510, b"\x55\xaa", "disk", "a disk with partitions"),
)
_ARTICLES = {kind: article for *_, kind, article in _KINDS}
_OTHERS = {
    b"\x27\x05\x19\x56": "a U-Boot image",
    b"\xd0\x0d\xfe\xed": "a FIT image",
    b"UBI#": "a flash image (UBI)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xfd7zX": "compressed by xz",
    b"KDMV": "a VMware disk",
}


def _kind(file: Path) -> str:
    with file.open("rb") as opened:
        head = opened.read(SHORT)
    for at, magic, kind, _ in _KINDS:
        if head.startswith(magic, at):
            return kind
    known = _OTHERS.get(head[:4], "none of the kinds that boot")
    raise FirmwareError(f"{file} is {known}", hint=f"take a combined image, or kernel and root file system; {_HINT}")


def _check_kernel(machine: Machine, image: Path, kind: str, file: Path) -> None:
    wanted = {
        "qemu-system-x86_64": "kernel-x86",
        "qemu-system-aarch64": "kernel-arm64",
        "qemu-system-arm": "kernel-arm",
    }
    if kind == "kernel-elf":
        head = image.read_bytes()[:20]
        little = head[5] == 1
        cpu = int.from_bytes(head[18:20], "little" if little else "big")
        if cpu != machine.elf_machine or not little:
            name = _CPUS.get(cpu, f"CPU number {cpu}") + ("" if little else ", big-endian")
            raise FirmwareError(f"{file.name} is for another CPU ({name}) than {machine.target}", hint=_other(machine))
    elif wanted.get(machine.qemu) != kind:
        raise FirmwareError(f"{file.name} is {_ARTICLES[kind]}, not one for {machine.target}", hint=_other(machine))


def _other(machine: Machine) -> str:
    return f"name the target it was built for with --target: {', '.join(name for name in MACHINES if '/' in name)}"


def _check_disk(image: Path, file: Path) -> None:
    with image.open("rb") as opened:
        table = opened.read(512)[446:510]
    entries = [table[at : at + 16] for at in range(0, 64, 16)]
    ends = [
        int.from_bytes(entry[8:12], "little") + int.from_bytes(entry[12:16], "little")
        for entry in entries
        if entry[4] not in (0, 0xEE)
    ]
    if not any(entry[4] for entry in entries):
        raise FirmwareError(f"{file} has no partitions: it is no disk that boots", hint=_HINT)
    _check_end(image, "its partitions end at", max(ends, default=0) * 512, file)


def _check_squashfs(image: Path) -> None:
    with image.open("rb") as opened:
        head = opened.read(96)
    if head[:4] != b"hsqs":
        raise FirmwareError(f"{image} is no squashfs", hint="fetch or build it anew")
    _check_end(image, "its squashfs has", int.from_bytes(head[40:48], "little"), image)


def _check_ext4(image: Path) -> None:
    with image.open("rb") as opened:
        opened.seek(1024)
        head = opened.read(64)
    size = int.from_bytes(head[4:8], "little") << (10 + int.from_bytes(head[24:28], "little"))
    _check_end(image, "its ext4 has", size, image)


def _check_end(image: Path, what: str, end: int, file: Path) -> None:
    """An image must not promise more than it holds; `file` is what it was unpacked from."""
    size = image.stat().st_size
    if end > size:
        raise FirmwareError(
            f"{file} is cut off: {what} {end} bytes, the file has {size}", hint="fetch or build it anew"
        )


def _copy(image: Path, to: Path, *, room: int = 0) -> Path:
    """A working copy of at least `room` bytes, the empty parts as holes; one that is there already is kept."""
    if to.exists():
        return to
    try:
        with paths.replacing(to) as partial:
            copy_disk(image, partial)
            if partial.stat().st_size < room:
                with partial.open("ab") as file:
                    file.truncate(room)
    except OSError as error:
        raise FirmwareError(f"{to} cannot be written: {error.strerror}", hint="make room there") from None
    return to


def copy_disk(source: Path, to: Path) -> None:
    """Copy a disk that nobody writes to, in place of what was there."""
    proc.run(["cp", "--sparse=always", "--reflink=auto", source, to], timeout=MKFS_TIMEOUT)
