"""Kernel, modules and initrd of a lab guest, from Debian's kernel package.

The package has no modules.dep, so what a module needs is read from itself. What the root file system takes is loaded
from the initrd; what a router takes (network ports, firewall) lies in the root file system, in loading order.
"""

from __future__ import annotations

import lzma
import re
import struct
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from forge.core import proc
from forge.core.errors import ForgeError
from forge.lab import elf, unpack
from forge.lab.cpio import Archive

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

XZ = b"\xfd7zXZ\x00"
LZ4 = b"\x02\x21\x4c\x18"
ZSTD = b"\x28\xb5\x2f\xfd"
INIT = Path(__file__).with_name("init")

# ext4 asks for crc32c by name of an algorithm, which no dependency shows.
BOOT = ("virtio_pci", "virtio_blk", "squashfs", "overlay", "crc32c_generic", "ext4")
ROUTER = (
    *("virtio_net", "virtio_rng", "bridge", "dummy", "veth", "af_packet", "nf_tables", "nft_ct", "nft_limit"),
    *("nft_log", "nft_reject_inet", "nft_chain_nat", "nft_nat", "nft_redir", "nft_masq", "nft_fib_inet"),
    "nf_log_syslog",
)
APPLETS = ("cat", "echo", "insmod", "mkdir", "mount", "poweroff", "sh", "sleep", "switch_root", "uname")

# Folders that hold the modules above and all that they depend on; of the rest nothing is unpacked.
FOLDERS = (
    *("drivers/block", "drivers/virtio", "drivers/char/hw_random", "drivers/net/[a-z_]*\\.ko", "net", "lib", "crypto"),
    *("fs/squashfs", "fs/overlayfs", "fs/ext4", "fs/jbd2", "fs/[a-z0-9]*\\.ko", "arch"),
)


@dataclass
class Kernel:
    """What is taken from a kernel package: the image, and its modules by name, compressed in trixie's."""

    version: str
    image: bytes
    modules: dict[str, bytes] = field(default_factory=dict)
    builtin: set[str] = field(default_factory=set)

    def module(self, name: str) -> bytes:
        """A module as a router's insmod takes it."""
        data = self.modules[name]
        if data.startswith(XZ):
            data = self.modules[name] = lzma.decompress(data)
        return data


def read(deb: Path) -> Kernel:
    """Image and modules; of these only the folders that can matter."""
    folders = "|".join(FOLDERS)
    pattern = re.compile(rf"boot/vmlinu|(?:usr/)?lib/modules/[^/]+/(?:modules\.builtin$|kernel/(?:{folders}))")
    kernel = Kernel("", b"")
    for member in unpack.read(deb, lambda path: bool(pattern.match(path))):
        name = member.path.rpartition("/")[2]
        if member.path.startswith("boot/"):
            kernel.version, kernel.image = name.partition("-")[2], unpacked(member.data)
        elif name == "modules.builtin":
            kernel.builtin = {_name(line) for line in member.data.decode().split()}
        elif name.endswith((".ko", ".ko.xz")):
            kernel.modules[_name(name)] = member.data
    if not kernel.image or not kernel.modules:
        raise ForgeError(f"{deb.name} holds no kernel with modules")
    return kernel


def unpacked(image: bytes) -> bytes:
    """The kernel proper of an x86 bzImage (its boot protocol, Documentation/x86/boot.rst), which QEMU boots as well.

    To unpack itself takes the guest seconds, and minutes after a reboot, when emulation has seen those pages before.
    Any other image as it is.
    """
    if image[0x202:0x206] != b"HdrS":
        return image
    start = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[start + offset : start + offset + length - 4]  # its last word is the unpacked size
    if payload[:4] == ZSTD:
        return zstd.decompress(payload)
    if payload[:4] != LZ4:
        return image
    with tempfile.TemporaryDirectory(prefix="mailrelay-kernel-") as folder:
        packed, plain = Path(folder, "kernel.lz4"), Path(folder, "kernel")
        packed.write_bytes(payload)
        proc.run(["lz4", "-q", "-d", packed, plain], timeout=60)
        return plain.read_bytes()


def order(kernel: Kernel, names: Iterable[str]) -> list[str]:
    """The modules of those names and all that they depend on, each after what it needs; without what is built in."""
    found: dict[str, None] = {}

    def add(name: str, asked_by: str) -> None:
        if name in found:
            return
        if name not in kernel.modules:
            if name in kernel.builtin:
                return
            raise ForgeError(f"the kernel {kernel.version} has no module {name}, which {asked_by} needs")
        for line in elf.modinfo(kernel.module(name)).get("depends", []):
            for needed in filter(None, line.split(",")):
                add(needed.replace("-", "_"), name)
        found[name] = None

    for name in names:
        add(name, "a router")
    return list(found)


def initrd(kernel: Kernel, busybox: bytes) -> bytes:
    """A compressed cpio archive: busybox, the modules for the root, init.

    By zstd, which all of Debian's kernels unpack, and much faster under emulation than anything smaller.
    """
    archive = Archive()
    for folder in ("dev", "proc", "sys", "rom", "overlay", "root"):
        archive.folder(folder)
    # Until devtmpfs is mounted, init has nowhere else to complain.
    archive.device("dev/console", 5, 1)
    archive.file("init", INIT.read_bytes(), 0o755)
    archive.file("bin/busybox", busybox, 0o755)
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    names = order(kernel, BOOT)
    for name in names:
        archive.file(f"modules/{name}.ko", kernel.module(name))
    archive.file("modules/order", "".join(f"{name}\n" for name in names).encode())
    return zstd.compress(archive.closed(), 10)


def _name(path: str) -> str:
    """A module's name as the kernel knows it: virtio-rng.ko is virtio_rng."""
    return path.rpartition("/")[2].removesuffix(".xz").removesuffix(".ko").replace("-", "_")
