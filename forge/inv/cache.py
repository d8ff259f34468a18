"""The tasks `cache`, `cache.verify` and `cache.prune`: what the cache folder holds, whether it is sound, less of it.

Everything in it can be made or fetched again. Downloads of OpenWrt's lie by their path on the server; what else there
is belongs to other parts (WHAT names them). What cache_verify.py finds wrong is removed, and made again when needed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forge.core import console, paths, progress
from forge.openwrt import archive, catalog, lockfile

WHAT = {
    "apt": "package lists of other Debian releases and architectures",
    "bare": "what bare Debian trees have downloaded",
    "coverage": "which lines of the relay the tests reached last",
    "debs": "Debian packages: the lab's firmware, interpreters, what tests need",
    "eslint": "what checks LuCI's scripts",
    "lab": "the lab's firmware, and what it is made of",
    "openwrt": "downloads from OpenWrt",
    "openwrt-packages": "packages that ImageBuilders fetched",
    "pytest": "which tests failed last, and hypothesis' examples",
    "serial": "what guests said on their consoles",
    "site": "pytest and the like for other Pythons",
    "ssh": "keys and open connections to guests",
    "trees": "bare Debian trees that tests start from",
    "unpacked": "Debian packages, unpacked",
    "unpacked-openwrt": "SDKs and ImageBuilders, unpacked",
    "work": "builds under way, or left by a killed one",
}
OLD = 3600.0  # seconds after which a build's folder is nobody's any more: no step may take longer


@dataclass(frozen=True)
class Use:
    name: str
    size: int
    files: int


def show() -> None:
    base = paths.cache()
    uses = [_use(path) for path in sorted(base.iterdir()) if path.is_dir()]
    rows = [(one.name, progress.size(one.size), str(one.files), WHAT.get(one.name, "")) for one in uses]
    console.result({"folder": str(base), "uses": [vars(one) for one in uses]})
    console.title(f"{base}: {progress.size(sum(one.size for one in uses))}")
    console.table(("folder", "size", "files", "what"), rows)
    for path in sorted(downloads()):
        console.say(f"  {path.relative_to(base / 'openwrt')}  {progress.size(path.stat().st_size)}")
    console.say()
    console.say("./inv cache.verify hashes what has a recorded hash, ./inv cache.prune removes what is not needed now")


def prune(*, everything: bool = False, dry_run: bool = False) -> None:
    """Remove what a later run does not need: half downloads, unpacked trees, builds' leftovers, releases that are no
    longer locked. `everything`: the whole cache; `dry_run`: only says what."""
    base = paths.cache()
    if dry_run:
        rows = [(progress.size(_use(path).size), str(path.relative_to(base))) for path in _doomed(base, everything)]
        console.table(("size", f"would be removed from {base}"), rows)
        return
    before = _use(base).size
    for path in _doomed(base, everything):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    console.good(f"{progress.size(before - _use(base).size)} freed, {progress.size(_use(base).size)} kept in {base}")


def _doomed(base: Path, everything: bool) -> list[Path]:
    if everything:
        return list(base.iterdir())
    found = [path for path in (base / "work").glob("*") if time.time() - path.stat().st_mtime > OLD]
    found += [*(base / "openwrt").rglob(".*.part"), *(base / "openwrt").rglob(".*.part.json")]
    trees = [path for path in (base / "unpacked-openwrt").glob("*") if not path.name.endswith(".lock")]
    found += [path for path in trees if not archive.in_use(path)]
    kept = {number for number in lockfile.read() if number != "newest"}
    kept |= {catalog.version(release.series).number for release in catalog.releases()}
    found += [path for path in (base / "openwrt" / "releases").glob("*") if path.name not in kept]
    found += [path for path in (base / "openwrt-packages").glob("*") if path.name not in kept]
    return found


def downloads() -> Iterator[Path]:
    folder = paths.cache("openwrt")
    return (
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") or path.name in (".versions.json", ".targets.json")
    )


def _use(folder: Path) -> Use:
    """Count what lies there, but for what another task removes meanwhile."""
    sizes = []
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                sizes.append(os.lstat(f"{where}/{name}").st_size)
    return Use(folder.name, sum(sizes), len(sizes))
