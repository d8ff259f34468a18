"""Builds a lab target's firmware: kernel, initrd and a squashfs, in a folder of the cache named for what it is made of.

`run` is the task's way in, `build` that of the demo, the tests and the bench. What comes from Debian is kept as a tree
for each target; a change of the stand-in, of files/ or of a package only lays that tree out anew and packs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from forge import console, debs, host, paths
from forge.errors import MissingError
from forge.lab import targets
from forge.lab.targets import SUITE, Target

LAB = Path(__file__).parent
STANDIN = LAB / "standin"
TIMEOUT = 300.0  # seconds for mksquashfs


@dataclass(frozen=True)
class Firmware:
    """A built firmware: `folder` holds kernel, initrd, rootfs.squashfs and manifest.json, which `manifest` is."""

    target: Target
    folder: Path
    manifest: dict[str, Any]

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def rootfs(self) -> Path:
        return self.folder / "rootfs.squashfs"


def run(target: str, *, site: str = "", packages: Sequence[str] = ()) -> Firmware:
    """The task: builds the firmware and says where it is and what to do with it."""
    from forge.lab import parcels

    started = time.monotonic()
    found = targets.find(target)
    with console.step(f"building the firmware {found.name}"):
        made = build(found, site=Path(site) if site else None, packages=parcels.named(packages))
    sizes = ((path.name, str(path.stat().st_size), path) for path in (made.kernel, made.initrd, made.rootfs))
    console.say()
    console.table(("file", "size", "path"), [(name, size, str(path)) for name, size, path in sizes])
    console.say()
    console.say(
        f"{made.folder}/manifest.json lists what it was made of ({console.seconds(time.monotonic() - started)})."
    )
    console.say(f"Next: ./inv qemu --target {found.name}")
    return made


def build(target: Target | str, *, site: Path | None = None, packages: Sequence[Path] = ()) -> Firmware:
    """The firmware of a target, with files/ rendered for the site file and these .ipk files installed.

    From the cache, if it was built of the same before. Safe to call from several processes at once.
    """
    found = targets.find(target) if isinstance(target, str) else target
    host.require("lab")
    archives = _archives(found)
    base = _digest([SUITE, found.name, *(f"{one.name} {one.stat().st_size}" for one in archives)], _sources())
    key = _digest([base, *_site_words(site)], [*_tree(STANDIN), *_tree(paths.FILES), *packages])
    folder = paths.cache("lab", "firmware") / f"{found.name}-{key}"
    with FileLock(paths.cache("lab") / f".{found.name}.lock"):
        if not folder.exists():
            from forge.lab import assemble

            scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
            try:
                tree = assemble.base(found, archives, base)
                assemble.firmware(found, tree, archives, scratch, site=site, packages=packages)
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    os.utime(folder)  # the cache's oldest go first
    return Firmware(found, folder, json.loads((folder / "manifest.json").read_text()))


def _archives(target: Target) -> list[Path]:
    from forge.lab import rootfs

    try:
        return debs.download(rootfs.PACKAGES, suite=SUITE, architecture=target.architecture, kernel=target.kernel)
    except MissingError as error:
        raise MissingError(f"{target.name} cannot be built: {error.message}", hint=error.hint) from error


def _sources() -> list[Path]:
    """The code that decides what a tree is like."""
    from forge.lab import python

    return [*sorted(LAB.glob("*.py")), LAB / "init", python.TABLE]


def _tree(folder: Path) -> list[Path]:
    found = (Path(where, name) for where, _, names in os.walk(folder) for name in names if not name.endswith(".pyc"))
    return sorted(found)


def _site_words(site: Path | None) -> list[str]:
    return [site.read_text()] if site else []


def _digest(words: Sequence[str], files: Sequence[Path]) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for path in files:
        data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = path.lstat().st_mode & 0o111
        digest.update(f"\0{path}\0{mode}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]
