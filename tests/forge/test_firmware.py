"""What a guest is booted from: each kind of image is recognised, and a wrong, cut off or foreign one is named."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from forge.core.errors import ForgeError, MissingError, UsageError
from forge.vm import firmware, machines
from tests.forge import boot_sector

X86, ARM, MALTA, LAB = (machines.find(name) for name in ("x86/64", "armsr/armv8", "malta/le", "lab-mipsel"))
PREFIX = "openwrt-24.10.5-x86-64-generic"


def squashfs(file: Path, size: int = 8192, used: int = 8000) -> Path:
    head = bytearray(96)
    head[:4] = b"hsqs"
    head[40:48] = used.to_bytes(8, "little")
    file.write_bytes(bytes(head).ljust(size, b"\1"))
    return file


def ext4(file: Path, size: int = 64 << 10, blocks: int = 64) -> Path:
    data = bytearray(size)
    data[0x438:0x43A] = b"\x53\xef"
    data[1024 + 4 : 1024 + 8] = blocks.to_bytes(4, "little")
    file.write_bytes(data)
    return file


def kernel(file: Path, kind: str = "x86") -> Path:
    data = bytearray(8192)
    if kind == "x86":
        data[0x202:0x206] = b"HdrS"
        data[510:512] = b"\x55\xaa"  # as a kernel for x86 has it: it must not pass for a disk
    elif kind == "arm64":
        data[56:60] = b"ARM\x64"
    else:
        machine, order = {"mipsel": (8, 1), "mips": (8, 2), "x86-64": (62, 1)}[kind]
        data[:6] = b"\x7fELF\x01" + bytes([order])
        data[18:20] = machine.to_bytes(2, "little" if order == 1 else "big")
    file.write_bytes(data)
    return file


def error(machine: machines.Machine, file: Path, work: Path) -> str:
    with pytest.raises(ForgeError) as caught:
        firmware.load(machine, file, work)
    return str(caught.value)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


# ---- OpenWrt's images -----------------------------------------------------------------------------------------------


def test_a_compressed_disk_boots_from_a_copy_whatever_openwrt_appends_to_it(tmp_path: Path, work: Path) -> None:
    plain = boot_sector.disk(tmp_path / "disk.img", "hello")
    file = tmp_path / f"{PREFIX}-squashfs-combined.img.gz"
    file.write_bytes(gzip.compress(plain.read_bytes()) + b"\0metadata of sysupgrade")
    load = firmware.load(X86, file, work)
    (disk,) = load.disks
    assert load.kernel is None and not disk.fixed
    assert disk.file.parent == work and disk.file.read_bytes() == plain.read_bytes()
    assert disk.file.stat().st_blocks * 512 < 128 << 10, "holes stay holes"


def test_an_image_is_never_written_to_and_a_named_disk_keeps_what_the_guest_wrote(tmp_path: Path, work: Path) -> None:
    file = boot_sector.disk(tmp_path / "disk.img", "hello")
    (disk,) = firmware.load(X86, file, work).disks
    assert disk.file != file
    keep = tmp_path / "keep.img"
    (disk,) = firmware.load(X86, file, work, disk=keep).disks
    assert disk.file == keep
    keep.write_bytes(keep.read_bytes()[:-5] + b"owner")
    (disk,) = firmware.load(X86, file, work, disk=keep).disks
    assert disk.file.read_bytes().endswith(b"owner")


@pytest.mark.parametrize("which", ["kernel", "root"])
def test_kernel_and_root_find_each_other_by_their_names(tmp_path: Path, work: Path, which: str) -> None:
    files = {
        "kernel": kernel(tmp_path / f"{PREFIX}-kernel.bin"),
        "root": squashfs(tmp_path / f"{PREFIX}-squashfs-rootfs.img"),
    }
    ext4(tmp_path / f"{PREFIX}-ext4-rootfs.img")
    kernel(tmp_path / "openwrt-23.05.0-x86-64-generic-kernel.bin")  # another build's
    load = firmware.load(X86, files[which], work)
    (disk,) = load.disks
    assert load.kernel == files["kernel"]
    assert load.append == "console=ttyS0 root=/dev/vda rootwait"
    assert disk.file.stat().st_size == firmware.ROOM, "the overlay has room behind the squashfs"
    with disk.file.open("rb") as file:
        assert file.read(8192) == files["root"].read_bytes()


def test_malta_boots_an_elf_with_its_root_on_ide(tmp_path: Path, work: Path) -> None:
    kernel(tmp_path / "openwrt-24.10.5-malta-le-vmlinux.elf", "mipsel")
    file = tmp_path / "openwrt-24.10.5-malta-le-rootfs-squashfs.img.gz"
    file.write_bytes(gzip.compress(squashfs(tmp_path / "plain").read_bytes()))
    load = firmware.load(MALTA, file, work)
    assert load.append == "ieee754=relaxed console=ttyS0 root=/dev/sda rootwait"


def test_an_initramfs_needs_nothing_beside_it(tmp_path: Path, work: Path) -> None:
    file = kernel(tmp_path / "openwrt-24.10.5-malta-le-vmlinux-initramfs.elf", "mipsel")
    load = firmware.load(MALTA, file, work)
    assert load.kernel == file and load.disks == () and "root=" not in load.append


def test_a_disk_for_arm_wants_the_firmware_that_starts_it(tmp_path: Path, work: Path) -> None:
    file = boot_sector.disk(tmp_path / "openwrt-24.10.5-armsr-armv8-generic-squashfs-combined-efi.img", "x")
    with pytest.raises(MissingError, match=r"/nowhere/QEMU_EFI.fd(.|\n)*qemu-efi-aarch64"):
        firmware.load(replace(ARM, firmware="/nowhere/QEMU_EFI.fd"), file, work)


@pytest.mark.parametrize(
    "name, words",
    [
        ("openwrt-24.10.5-ramips-mt7621-glinet_gl-mt1300-squashfs-sysupgrade.bin",
         ["is for ramips/mt7621, not for x86/64", "QEMU has no machine for ramips/mt7621"]),
        ("openwrt-25.12.1-armsr-armv8-generic-squashfs-combined-efi.img.gz",
         ["is for armsr/armv8, not for x86/64", "--target armsr/armv8"]),
        ("openwrt-malta-le-vmlinux.elf", ["is for malta/le, not for x86/64"]),
    ],
)  # fmt: skip
def test_a_name_that_says_another_target_is_believed(tmp_path: Path, work: Path, name: str, words: list[str]) -> None:
    message = error(X86, boot_sector.disk(tmp_path / name, "x"), work)
    for word in words:
        assert word in message


def test_a_file_that_is_cut_off_is_told(tmp_path: Path, work: Path) -> None:
    whole = boot_sector.disk(tmp_path / "whole", "x", size=512 * 1001)
    assert firmware.load(X86, whole, work).disks
    cut = tmp_path / "cut.img"
    cut.write_bytes(whole.read_bytes()[:-1])
    assert "is cut off: its partitions end at 512512 bytes, the file has 512511" in error(X86, cut, work)
    packed = tmp_path / "cut.img.gz"
    packed.write_bytes(gzip.compress(whole.read_bytes(), 0)[:-9])
    assert "is cut off: its compressed data does not end" in error(X86, packed, work)
    packed.write_bytes(gzip.compress(whole.read_bytes())[:20] + bytes(5000))
    assert "is damaged" in error(X86, packed, work) or "is cut off" in error(X86, packed, work)
    (tmp_path / "short.img").write_bytes(b"x")
    assert "has 1 bytes: it is no firmware" in error(X86, tmp_path / "short.img", work)


def test_a_root_that_is_cut_off_is_told(tmp_path: Path, work: Path) -> None:
    kernel(tmp_path / f"{PREFIX}-kernel.bin")
    root = squashfs(tmp_path / f"{PREFIX}-squashfs-rootfs.img", used=9000)
    assert "its squashfs has 9000 bytes, the file has 8192" in error(X86, root, work)
    root.unlink()
    root = ext4(tmp_path / f"{PREFIX}-ext4-rootfs.img", blocks=65)
    assert "its ext4 has 66560 bytes, the file has 65536" in error(X86, root, work)


def test_a_kernel_for_another_cpu_is_told(tmp_path: Path, work: Path) -> None:
    assert "another CPU (MIPS, big-endian) than malta/le" in error(MALTA, kernel(tmp_path / "a.elf", "mips"), work)
    assert "another CPU (x86-64) than malta/le" in error(MALTA, kernel(tmp_path / "b.elf", "x86-64"), work)
    assert "a kernel for ARM64, not one for x86/64" in error(X86, kernel(tmp_path / "c.bin", "arm64"), work)


@pytest.mark.parametrize(
    "head, words",
    [
        (b"\x27\x05\x19\x56", "a U-Boot image"),
        (b"UBI#", "a flash image (UBI)"),
        (b"KDMV", "a VMware disk"),
        (b"<!DO", "none of the kinds that boot"),
    ],
)
def test_what_does_not_boot_is_told_by_its_kind(tmp_path: Path, work: Path, head: bytes, words: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(head.ljust(5000, b"x"))
    assert words in error(X86, file, work)


def test_half_of_what_boots_together_says_what_is_missing(tmp_path: Path, work: Path) -> None:
    file = kernel(tmp_path / f"{PREFIX}-kernel.bin")
    assert "no root file system lies beside it (put the -rootfs.img" in error(X86, file, work)
    file.unlink()
    assert "no kernel lies beside it" in error(X86, squashfs(tmp_path / f"{PREFIX}-squashfs-rootfs.img"), work)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, work: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*nowhere.img"):
        firmware.load(X86, tmp_path / "nowhere.img", work)


# ---- the lab's firmware ---------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"target": "lab-mipsel", "append": "console=ttyS0 quiet"}))
    for name in ("kernel", "initrd"):
        (folder / name).write_bytes(b"x")
    squashfs(folder / "rootfs.squashfs")
    return folder


def test_the_labs_root_is_fixed_and_its_data_disk_is_made_once(lab: Path, work: Path) -> None:
    load = firmware.load(LAB, lab, work)
    assert (load.kernel, load.initrd, load.append) == (lab / "kernel", lab / "initrd", "console=ttyS0 quiet")
    assert [(disk.serial, disk.fixed) for disk in load.disks] == [("rootfs", True)]
    load = firmware.load(LAB, lab, work, disk=work / "data.img")
    assert [(disk.serial, disk.fixed) for disk in load.disks] == [("rootfs", True), ("rootfs_data", False)]
    data = (work / "data.img").read_bytes()
    assert data[0x438:0x43A] == b"\x53\xef" and len(data) == firmware.DATA
    firmware.load(LAB, lab, work, disk=work / "data.img")
    assert (work / "data.img").read_bytes() == data


def test_a_folder_of_another_target_or_none_of_the_labs_is_told(lab: Path, work: Path) -> None:
    assert "is firmware for lab-mipsel, not for x86/64" in error(X86, lab, work)
    (lab / "initrd").unlink()
    assert "has no initrd" in error(LAB, lab, work)
    (lab / "manifest.json").write_text("{")
    assert "manifest.json cannot be read" in error(LAB, lab, work)
    shutil.rmtree(lab)
    lab.mkdir()
    assert "has no manifest.json: it is no firmware of the lab" in error(LAB, lab, work)


def test_an_image_of_openwrt_for_a_target_of_the_lab_is_told_how_to_name_it(tmp_path: Path, work: Path) -> None:
    message = error(LAB, boot_sector.disk(tmp_path / "disk.img", "x"), work)
    assert "--target x86/64" in message
