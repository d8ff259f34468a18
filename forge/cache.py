"""The tasks `cache`, `cache.verify` and `cache.prune`: what the cache folder holds, whether it is sound, less of it.

Everything in it can be made or fetched again. Downloads of OpenWrt's lie by their path on the server; what else there
is belongs to other parts (Debian's packages, interpreters), and is only counted here and pruned as a whole.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forge import archive, catalog, console, fetch, lock, paths, progress, published
from forge.errors import ForgeError

WHAT = {
    "openwrt": "downloads from OpenWrt",
    "openwrt-packages": "packages that ImageBuilders fetched",
    "unpacked-openwrt": "SDKs and ImageBuilders, unpacked",
    "work": "builds under way, or left by a killed one",
}
OLD = 3600.0  # seconds after which a build's folder is nobody's any more: no step may take longer


class UnsoundCache(ForgeError):
    """Files of the cache are not what they should be; they were removed."""


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
    for path in sorted(_downloads()):
        console.say(f"  {path.relative_to(base / 'openwrt')}  {progress.size(path.stat().st_size)}")
    console.say()
    console.say("./inv cache.verify checks the downloads, ./inv cache.prune removes what is not needed now")


def verify() -> None:
    """Hashes every download against the signed lists and the lock; removes what is wrong. UnsoundCache if any was."""
    good, bad, unknown = 0, [], 0
    offline = fetch.Fetcher(offline=True)
    for path in sorted(_downloads()):
        if not path.exists():  # a list and its signature go together
            continue
        found = fetch.digest(path)
        expected = _expected(offline, path)
        if expected is None:
            unknown += 1
        elif found in expected:
            good += 1
        else:
            bad.append(f"{path}: expected {' or '.join(sorted(expected)) or 'a right signature'}, found sha256 {found}")
            path.unlink(missing_ok=True)
    if good:
        console.good(f"{good} downloads are what they should be")
    if unknown:
        console.note(f"{unknown} files have no list here that says what they should be; they are checked when used")
    if bad:
        raise UnsoundCache(
            "wrong files were removed:\n  " + "\n  ".join(bad), hint="they are fetched again when needed"
        )


def prune(*, everything: bool = False, dry_run: bool = False) -> None:
    """Removes what a later run does not need: half downloads, unpacked trees, builds' leftovers, releases that are no
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
    kept = {number for number in lock.read() if number != "newest"}
    kept |= {catalog.version(release.series).number for release in catalog.releases()}
    found += [path for path in (base / "openwrt" / "releases").glob("*") if path.name not in kept]
    found += [path for path in (base / "openwrt-packages").glob("*") if path.name not in kept]
    return found


def _expected(offline: fetch.Fetcher, path: Path) -> set[str] | None:
    """The hashes that a download may have; None where nobody here can say, empty where nothing can be right."""
    parts = path.relative_to(paths.cache("openwrt")).parts
    if "targets" not in parts or len(parts) < 5:
        return None
    at = parts.index("targets")
    signed = path.name in (published.SUMS, f"{published.SUMS}.sig")
    try:
        version = catalog.version(catalog.SNAPSHOT if parts[0] == "snapshots" else parts[1])
        target = catalog.Target("/".join(parts[at + 1 : at + 3]))
        own = fetch.digest(path)
        lists = published.load(offline, version, target)
    except published.SignatureError:
        return set() if signed else None
    except ForgeError:
        return None
    if signed:
        return {own} if lists.signed else None
    pins = [lock.pin(version, target, kind) for kind in lock.KINDS]
    found = {pin.sha256 for pin in pins if pin and pin.name == path.name} or {lists.sums.get(path.name, "")}
    return found - {""} or None


def _downloads() -> Iterator[Path]:
    folder = paths.cache("openwrt")
    return (
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") or path.name in (".versions.json", ".targets.json")
    )


def _use(folder: Path) -> Use:
    sizes = [path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    return Use(folder.name, sum(sizes), len(sizes))
