"""The lab's targets: which Debian packages a firmware is made of, and the QEMU machine that it boots on.

All that is known of a target stands here; the rest of lab, images and vm/machines.py read it. The suite is the one that
still has mipsel, and whose Python is that of OpenWrt 23.05 and 24.10: 3.11.
"""

from __future__ import annotations

from dataclasses import dataclass

from forge.core import cli

SUITE = "bookworm"
PYTHON = "3.11"
DEFAULT = "lab-mipsel"


@dataclass(frozen=True)
class Target:
    """A kind of firmware. `machine` to `append` are for QEMU, in its own words."""

    name: str
    architecture: str  # Debian's
    package_architecture: str  # OpenWrt's, for packages that are not for all
    kernel: str  # Debian's metapackage
    loader: str  # the C library's, where the programs expect it
    qemu: str  # the program, and the Debian package it is in
    qemu_package: str
    machine: str
    cpu: str
    memory: int  # MB
    console: str
    append: str = ""

    @property
    def command_line(self) -> str:
        """The kernel's. A panic ends the guest, it never hangs.

        With norandmaps programs lie at the same addresses each time: QEMU then translates them once, not anew for every
        process, and a process starts in a third of the time.
        """
        words = (f"console={self.console}", "panic=1", "quiet", "norandmaps", self.append)
        return " ".join(word for word in words if word)


TARGETS = {
    target.name: target
    for target in (
        Target(
            "lab-mipsel",
            architecture="mipsel",
            package_architecture="mipsel_24kc",
            kernel="linux-image-4kc-malta",
            loader="lib/ld.so.1",
            qemu="qemu-system-mipsel",
            qemu_package="qemu-system-mips",
            machine="malta",
            # A 24Kc's TLB of 16 entries makes CPython ten to two hundred times slower under emulation.
            cpu="P5600",
            memory=128,
            console="ttyS0",
            append="ieee754=relaxed",
        ),
        Target(
            "lab-x86-64",
            architecture="amd64",
            package_architecture="x86_64",
            kernel="linux-image-cloud-amd64",
            loader="lib64/ld-linux-x86-64.so.2",
            qemu="qemu-system-x86_64",
            qemu_package="qemu-system-x86",
            machine="q35",
            cpu="max",
            memory=256,
            console="ttyS0",
        ),
        Target(
            "lab-arm64",
            architecture="arm64",
            package_architecture="aarch64_generic",
            kernel="linux-image-arm64",
            loader="lib/ld-linux-aarch64.so.1",
            qemu="qemu-system-aarch64",
            qemu_package="qemu-system-arm",
            machine="virt",
            cpu="cortex-a53",
            memory=256,
            console="ttyAMA0",
        ),
        Target(
            "lab-armhf",
            architecture="armhf",
            package_architecture="arm_cortex-a15_neon-vfpv4",
            kernel="linux-image-armmp-lpae",
            loader="lib/ld-linux-armhf.so.3",
            qemu="qemu-system-arm",
            qemu_package="qemu-system-arm",
            machine="virt",
            cpu="cortex-a15",
            memory=256,
            console="ttyAMA0",
        ),
    )
}


def find(name: str) -> Target:
    """The target of that name; UsageError with near matches for any other."""
    return TARGETS[cli.choice(name or DEFAULT, TARGETS, "--target")]
