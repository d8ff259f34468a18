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
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from forge import console, debs, hashes, host, overlay, paths
from forge import site as sites
from forge.errors import MissingError
from forge.lab import targets
from forge.lab.targets import SUITE, Target

MANIFEST = "manifest.json"
FILES = ("kernel", "initrd", "rootfs.squashfs")  # whose hashes it has
LAB = Path(__file__).parent
STANDIN = LAB / "standin"
# The stand-in reads UCI files by the relay's own parser.
SHARED = (("usr/lib/standin/uci.py", paths.RELAY / "uci.py"),)


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
        made = build(found, site=Path(site) if site else None, packages=parcels.named(found, packages))
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
    parent = paths.cache("lab", "firmware")
    with tempfile.TemporaryDirectory(prefix=".files-", dir=parent) as name:
        files = Path(name, "files")
        overlay.render(sites.load(site), files)
        layers = [*_tree(STANDIN), *SHARED, *_tree(files), *((one.name, one) for one in packages)]
        with FileLock(lock(found.name)):
            folder = parent / f"{found.name}-{_digest([_base_key(found, archives)], layers)}"
            faults = broken(folder) if folder.exists() else ["it is not there"]
            if faults:
                from forge.lab import assemble

                if folder.exists():
                    console.note(f"the firmware in the cache is damaged ({faults[0]}); building it again")
                if not assemble.has_base(found, _base_key(found, archives)):
                    archives = _archives(found, whole=True)  # those that are fetched again may be newer ones
                    folder = parent / f"{found.name}-{_digest([_base_key(found, archives)], layers)}"
                scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
                try:
                    tree = assemble.base(found, archives, _base_key(found, archives))
                    assemble.firmware(
                        found, tree, archives, scratch, layers=(STANDIN, files), shared=SHARED, packages=packages
                    )
                    shutil.rmtree(folder, ignore_errors=True)
                    scratch.rename(folder)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    os.utime(folder)  # the cache's oldest go first
    return Firmware(found, folder, json.loads((folder / MANIFEST).read_text()))


def lock(target: str) -> Path:
    """Of whoever builds this target's firmware, or removes some of it."""
    return paths.cache("lab") / f".{target}.lock"


def broken(folder: Path) -> list[str]:
    """What of a built firmware is not as its manifest says, in words."""
    try:
        recorded = json.loads((folder / MANIFEST).read_text())["files"]
        return [
            f"{folder / name}: {why}" for name in FILES if (why := hashes.difference(folder / name, recorded[name]))
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return [f"{folder / MANIFEST}: {error}"]


def _base_key(target: Target, archives: Sequence[Path]) -> str:
    return _digest([SUITE, target.name, *(f"{one.name} {one.stat().st_size}" for one in archives)], _sources())


def _archives(target: Target, *, whole: bool = False) -> list[Path]:
    from forge.lab import rootfs

    fetch = partial(debs.download, suite=SUITE, architecture=target.architecture, whole=whole)
    try:
        return fetch(rootfs.PACKAGES, kernel=target.kernel) + fetch([rootfs.STATIC], alone=True)
    except MissingError as error:
        raise MissingError(f"{target.name} cannot be built: {error.message}", hint=error.hint) from error


def _sources() -> list[tuple[str, Path]]:
    """The code that decides what a tree is like."""
    from forge.lab import python

    return [(path.name, path) for path in (*sorted(LAB.glob("*.py")), LAB / "init", python.TABLE)]


def _tree(folder: Path) -> list[tuple[str, Path]]:
    """The files and links below a folder, by their path from there."""
    found = []
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if Path(where, name).is_symlink()]
        found += [Path(where, name) for name in [*names, *links] if not name.endswith(".pyc")]
    return sorted((str(path.relative_to(folder)), path) for path in found)


def _digest(words: Sequence[str], files: Sequence[tuple[str, Path]]) -> str:
    digest = hashlib.sha256("\0".join(words).encode())
    for name, path in files:
        data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = 0 if path.is_symlink() else path.stat().st_mode & 0o777
        digest.update(f"\0{name}\0{mode:o}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]
