"""Builds a lab target's firmware: kernel, initrd and a squashfs, in a folder of the cache named for what it is made of.

The relay is in it if its package is among those named: lab.py names it for the tasks `image` and `qemu`; the
demo, the tests and the bench install it later. What comes from Debian is kept as a tree for each target; a change of
the stand-in, of files/ or of a package only lays that tree out anew and packs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from forge.core import console, hashes, paths
from forge.core.errors import MissingError, UsageError
from forge.host import debian_packages, host
from forge.lab import assemble, python, rootfs, targets
from forge.lab.targets import Target
from forge.packages import feed as feeds
from forge.site import overlay
from forge.site.site import Site

MANIFEST = "manifest.json"
FILES = ("kernel", "initrd", "rootfs.squashfs")  # whose hashes it has
LAB = Path(__file__).parent
STANDIN = LAB / "standin"
# The stand-in reads UCI files by the relay's own parser, and that of apk packages by what writes them.
UCI = ("usr/lib/standin/uci.py", paths.RELAY / "mailrelay/config/uci.py")
READERS = ("core/errors.py", "packages/apk_archive.py", "packages/adb/adb.py", "packages/adb/schema.py")


@dataclass(frozen=True)
class Firmware:
    """A built firmware: `folder` holds kernel, initrd, rootfs.squashfs and manifest.json, which `manifest` is."""

    target: Target
    folder: Path
    manifest: dict[str, Any]


def build(
    target: Target | str,
    release: str = "",
    *,
    site: Site = Site(),  # noqa: B008 - frozen
    packages: Sequence[Path] = (),
    disabled: Sequence[str] = (),
    feed: str = "",
    offline: bool = False,
) -> Firmware:
    """The firmware of a target, with files/ rendered for the site and these .ipk or .apk files installed.

    The services `disabled` do not start, and `feed` is where the router finds our feed. From the cache, if it was built
    of the same before. Safe to call from several processes and threads at once.
    """
    found = targets.find(target, release) if isinstance(target, str) else target
    host.require("lab")
    check(found, site)
    if found.shortfall:
        console.note(f"{found.label}: {found.shortfall}")
    archives = _archives(found, offline=offline)
    parent = paths.cache("lab", "firmware")
    with tempfile.TemporaryDirectory(prefix=".files-", dir=parent) as name:
        files = Path(name, "files")
        overlay.render(site, files)
        if feed:
            feeds.trust(files, feed, found.manager)
        standin, single = layers(found.release), shared(found.release)
        below = [one for layer in standin for one in _tree(layer)]
        inputs = [*below, *single, *_tree(files), *((one.name, one) for one in packages)]

        def place() -> Path:
            return parent / f"{found.stem}-{_digest([_base_key(found, archives), *disabled], inputs)}"

        with FileLock(lock(found.stem)):
            folder = place()
            faults = broken(folder) if folder.exists() else ["it is not there"]
            if faults:
                if folder.exists():
                    console.note(f"the firmware in the cache is damaged ({faults[0]}); building it again")
                if not assemble.has_base(found, _base_key(found, archives)):
                    # Those that are fetched again may be newer ones.
                    archives = _archives(found, whole=True, offline=offline)
                    folder = place()
                with paths.making(folder) as scratch:
                    assemble.firmware(
                        *(found, assemble.base(found, archives, _base_key(found, archives)), archives, scratch),
                        standin=standin,
                        shared=single,
                        files=files,
                        packages=packages,
                        disabled=disabled,
                        facts={"lan": f"{site.lan.address}/{site.lan.length}" if site.lan else ""},
                    )
    os.utime(folder)  # the cache's oldest go first
    return Firmware(found, folder, json.loads((folder / MANIFEST).read_text()))


def layers(release: str) -> list[Path]:
    """The stand-in's folders, each laid over the one before: what all have, and what a release has."""
    return [STANDIN, LAB / "kinds" / release]


def shared(release: str) -> list[tuple[str, Path]]:
    """Single files of the checkout that the stand-in needs, with their places on the router."""
    readers = [(f"usr/lib/standin/forge/{name}", LAB.parent / name) for name in READERS]
    return [UCI, *(readers if release == "25.12" else [])]


def lock(stem: str) -> Path:
    """Of whoever builds a target's firmware of a release (Target.stem), or removes some of it."""
    return paths.cache("lab") / f".{stem}.lock"


def broken(folder: Path) -> list[str]:
    """What of a built firmware is not as its manifest says, in words."""
    try:
        recorded = json.loads((folder / MANIFEST).read_text())["files"]
        return [
            f"{folder / name}: {why}" for name in FILES if (why := hashes.difference(folder / name, recorded[name]))
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return [f"{folder / MANIFEST}: {error}"]


def check(target: Target, site: Site) -> None:
    """Raise UsageError for settings that no firmware of the lab can carry out."""
    if site.wan and site.packages:
        raise UsageError(
            f"{site.source}: [wan] protocol '{site.wan.protocol}' needs {', '.join(site.packages)}, and {target.name}"
            " has none of them",
            hint='protocol = "dhcp" is the way out of a guest; OpenWrt\'s own images get the packages by themselves',
        )


def _base_key(target: Target, archives: Sequence[Path]) -> str:
    # The code that decides what a tree is like.
    sources = (*sorted(LAB.glob("*.py")), LAB / "init", python.TABLE)
    words = [target.suite, target.label, *(f"{one.name} {one.stat().st_size}" for one in archives)]
    return _digest(words, [(path.name, path) for path in sources])


def _archives(target: Target, *, whole: bool = False, offline: bool) -> list[Path]:
    fetch = partial(
        debian_packages.download, suite=target.suite, architecture=target.architecture, whole=whole, offline=offline
    )
    try:
        return fetch(rootfs.packages(target), kernel=target.kernel) + fetch([*rootfs.ALONE, rootfs.STATIC], alone=True)
    except MissingError as error:
        raise MissingError(f"{target.name} cannot be built: {error.message}", hint=error.hint) from error


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
        mode = 0 if path.is_symlink() else path.stat().st_mode & 0o700  # the rest is the umask's
        digest.update(f"\0{name}\0{mode:o}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]
