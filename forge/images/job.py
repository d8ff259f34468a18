"""What an image is, before and after it is made: the Options of a run, a Job for each image, the Images of a job.

tasks.py makes the options, image.py reads them into jobs; imagebuilder.py, asu.py and lab.py carry out a job.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forge.core import choices, hashes, paths
from forge.lab.targets import Target
from forge.openwrt import catalog
from forge.openwrt.profile import Device
from forge.openwrt.release_index import Published
from forge.site.site import Site

LUCI_APP = "luci-app-mailrelay"
LAB = "lab-{}"  # where images of OpenWrt have their release
DEFAULT_NAME = "mailrelay"  # of an image without a site
NO_LIMIT = -1
# What QEMU boots of a build's files, the likeliest first (docs/build/QEMU.md).
BOOTED = (r"squashfs-combined\.img(\.gz)?$", r"-combined\.img(\.gz)?$", r"-kernel\.bin$", r"-vmlinux\.elf$")


@dataclass(frozen=True)
class Options:
    """What the command line asks for. `target` may be several, with commas, each TARGET or TARGET:PROFILE."""

    target: str = ""
    profile: str = ""
    release: str = ""
    site: str = ""
    sites: str = ""
    jobs: int = 1
    packages: tuple[str, ...] = ()  # beyond ours; "-NAME" leaves one out
    disabled: tuple[str, ...] = ()  # services
    rootfs_mb: int = 0  # partition size; 0: the device's own
    engine: str = choices.ENGINES[0]
    luci: bool = True
    feed: str = ""  # where routers find our feed
    via: str = ""
    bare: bool = False  # all that the relay needs, without the relay
    out: str = ""  # instead of dist/images
    mirror: str = ""
    offline: bool = False
    dry_run: bool = False

    @property
    def own_packages(self) -> list[str]:
        """Which of this checkout's packages go in."""
        if self.bare:
            return []
        app = (paths.PACKAGES / LUCI_APP / "Makefile").exists() and self.luci
        return [self.engine, *([LUCI_APP] if app else [])]


@dataclass(frozen=True)
class Job:
    """One image of OpenWrt's. `extra` is in its files' names (EXTRA_IMAGE_NAME)."""

    lists: Published
    device: Device
    site: Site
    options: Options
    folder: Path
    tree: Path | None = None  # the ImageBuilder, unpacked; None for a server's job

    @property
    def extra(self) -> str:
        return plain_name(self.site)

    @property
    def label(self) -> str:
        return f"{self.lists.version.number} {self.device.profile}" + (f" {self.site.name}" if self.site.name else "")

    @property
    def facts(self) -> dict[str, str]:
        """Which release, target and profile it is for."""
        lists = self.lists
        return {"release": lists.version.number, "target": lists.target.name, "profile": self.device.profile}

    def next(self, images: Sequence[Image]) -> list[str]:
        """What can be done with the images, a line each."""
        upgrade = next((image.path for image in images if "sysupgrade" in image.path.name), None)
        target = self.lists.target.name
        lines = []
        if upgrade:
            lines += [
                "on a router that runs OpenWrt already (its settings go with -n; the image has yours):",
                f"  scp -O {paths.shown(upgrade)} root@192.168.1.1:/tmp/firmware.bin",
                "  ssh root@192.168.1.1 sysupgrade -n /tmp/firmware.bin",
            ]
        if not catalog.targets().get(target, self.lists.target).machine:
            return [*lines, f"QEMU has no {target}: not booted before it meets the router (docs/owner/ROUTER.md)"]
        if images:
            likely = (image for pattern in BOOTED for image in images if re.search(pattern, image.path.name))
            lan = self.site.lan
            words = f" --lan {lan.address}/{lan.length}" if lan else ""
            firmware = paths.shown(next(likely, images[0]).path)
            lines.append(f"to boot it here: ./inv qemu --target {target} --firmware {firmware}{words}")
        return lines

    def images(self, files: Sequence[Path]) -> list[Image]:
        """Files as images, with hash and limit."""
        found = []
        for path in files:
            kind = "kernel" if re.search(r"-(?:kernel|initramfs)\b", path.name) else "image"
            limit = self.device.limits.get(kind, 0)
            found.append(Image(path, path.stat().st_size, limit, hashes.digest(path)))
        return found


@dataclass(frozen=True)
class LabJob:
    """One firmware of the lab's."""

    target: Target
    site: Site
    options: Options
    folder: Path

    @property
    def label(self) -> str:
        return self.target.label + (f" {self.site.name}" if self.site.name else "")

    @property
    def facts(self) -> dict[str, str]:
        return {"release": LAB.format(self.target.release), "target": self.target.name, "profile": self.target.name}

    def next(self, images: Sequence[Image]) -> list[str]:
        return [f"./inv qemu --target {self.target.name} --firmware {paths.shown(self.folder)}"]


Planned = Job | LabJob


@dataclass(frozen=True)
class Image:
    path: Path
    size: int
    limit: int  # what the device takes; 0: not published, NO_LIMIT
    sha256: str


@dataclass(frozen=True)
class Made:
    job: Planned
    images: list[Image]


def site_name(site: Site) -> str:
    """The folder of a site's images, in that of its profile."""
    return site.name or DEFAULT_NAME


def plain_name(site: Site) -> str:
    """What a site is called in the names of files."""
    return re.sub(r"[^a-z0-9-]+", "-", site_name(site).lower()).strip("-") or "site"
