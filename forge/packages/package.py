"""A package as the mini-SDK staged it: what its Makefile says, and the tree of files that goes onto the router.

stage.py makes it; a `Packer` packs it: ipk.py, apk.py, deb.py. It says nothing of a format: what only one of them knows
(the control file's wrappers, apk's /lib/apk/packages, names of files) is derived there. `Contents` is the way back:
what a packer reads from a finished file, for `./inv inspect` to print.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

# The package's own scripts that a Makefile may define, by OpenWrt's names.
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


@dataclass(frozen=True)
class Package:
    """One package of a Makefile, staged. Lists keep the Makefile's order.

    `depends` is complete, libc first, without `+` and conditions. `conffiles` are all that the Makefile lists, files
    and directories (these end in "/"), shipped or not; /lib/upgrade/keep.d/NAME is in the tree already. `scripts` are
    the package's own, by names of SCRIPTS, each with its #! line and a newline at the end.
    """

    name: str
    version: str  # PKG_VERSION: "1.0.0"
    release: str  # PKG_RELEASE: "1", without "r"
    depends: list[str]
    section: str
    source: str  # where OpenWrt's build system has the package directory: "feeds/base/sample"
    sourcename: str  # PKG_NAME
    architecture: str  # "all", or a CPU's
    title: str
    description: str  # as in the Makefile: each line with its leading space, without a newline at the end
    root: Path  # the staged tree: the router's file system, modes as they will be there
    epoch: int  # SOURCE_DATE_EPOCH: the time of every file, in Unix seconds
    provides: list[str] = field(default_factory=list)  # a leading "@" (a name without a version, for apk) is kept
    conflicts: list[str] = field(default_factory=list)
    alternatives: list[str] = field(default_factory=list)  # "150:/usr/sbin/sendmail:/usr/lib/mailrelay/sendmail"
    license: str = ""
    license_files: list[str] = field(default_factory=list)
    url: str = ""
    maintainer: str = ""
    userid: str = ""  # "sample=473:sample=473", or several of them with spaces between
    conffiles: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    default_variant: bool = False  # DEFAULT_VARIANT: the first choice among those that provide the same

    @property
    def full_version(self) -> str:
        """Version and release as OpenWrt writes them from 24.10 on: "1.0.0-r1"."""
        return f"{self.version}-r{self.release}" if self.release else self.version


@dataclass(frozen=True)
class Entry:
    """A member of a package's file tree, as it is listed: never unpacked."""

    path: str  # absolute on the router: "/etc/init.d/mailrelay"; a directory's without a "/" at its end
    kind: str  # "file", "directory", "link", or the name of a stranger kind
    mode: int
    owner: str  # "root:root" or "0:0"
    size: int
    target: str = ""  # of a link


@dataclass(frozen=True)
class Contents:
    """What a package file says and holds. `faults` are oddities that an installer would trip over or abuse."""

    format: str  # "ipk", "apk" or "deb"
    control: list[tuple[str, str]]  # the fields in the file's own order; a value may have several lines
    scripts: dict[str, str]  # by the format's own names ("postinst-pkg", "post-install")
    conffiles: list[str]
    files: list[Entry]
    faults: list[str] = field(default_factory=list)
    signatures: list[str] | None = None  # by which keys, in words; None for a format that knows no signature


class Packer(Protocol):
    """A package format. `release` is the OpenWrt release whose conventions the file follows, where they differ."""

    def file_name(self, package: Package, release: str = ...) -> str: ...

    def pack(self, package: Package, folder: Path, release: str = ...) -> list[Path]:
        """Write what is made of the package into `folder`, each file at once or not at all; the main one first."""

    def inspect(self, path: Path) -> Contents:
        """Read what a file says and holds, without unpacking it. Raise ForgeError if it is not of this format."""
