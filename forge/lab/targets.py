"""The lab's targets: which Debian packages a firmware is made of, and the QEMU machine that it boots on.

All that is known of a target stands here; the rest of lab, images and vm/machines.py read it. Each can be made as of
two releases of OpenWrt, from the suite of Debian with that release's Python: bookworm has 3.11, as 24.10, trixie has
3.13, as 25.12. mipsel is in bookworm alone: there 25.12 is its package manager and its settings, with Python 3.11,
which 24.10 divides into packages as 25.12 divides its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from forge.core import cli

RELEASES = ("24.10", "25.12")
RELEASE = RELEASES[0]  # where none is named
CURRENT = RELEASES[-1]  # what the demo shows
DEFAULT = "lab-mipsel"
_PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
_MANAGERS = {"24.10": "opkg", "25.12": "apk"}


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
    release: str = RELEASE

    @property
    def suite(self) -> str:
        """Debian's, of which everything in it is."""
        return "trixie" if self.release == "25.12" and self.architecture != "mipsel" else "bookworm"

    @property
    def python(self) -> str:
        return _PYTHONS[self.suite]

    @property
    def python_release(self) -> str:
        """The release whose Python it has, and is divided into packages as there."""
        return self.release if self.suite == "trixie" else RELEASE

    @property
    def manager(self) -> str:
        """The package manager."""
        return _MANAGERS[self.release]

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.name} {self.release}"

    @property
    def stem(self) -> str:
        """How names of files begin that are of this target and release alone."""
        return f"{self.name}-{self.release}"

    @property
    def shortfall(self) -> str:
        """What it is not of its release, in words; "" for most."""
        lacks = self.release == "25.12" and self.suite == "bookworm"
        return f"Debian has no Python 3.13 for {self.architecture}, 25.12's: it is 3.11 here" if lacks else ""

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


# What every run of the tests boots: each release on one target; and the others, each with a Python of its release.
TESTED = {"lab-mipsel": "24.10", "lab-x86-64": "25.12"}
ALL_TESTED = {**dict.fromkeys(TARGETS, "25.12"), **TESTED}


def find(name: str, release: str = "") -> Target:
    """The target of that name, as of that release; UsageError with near matches for any other."""
    target = TARGETS[cli.choice(name or DEFAULT, TARGETS, "--target")]
    return dataclasses.replace(target, release=cli.choice(release or RELEASE, RELEASES, "--release"))
