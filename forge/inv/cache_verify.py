"""Compares what lies in the cache with the hashes that were recorded for it, and removes what is wrong.

One function for each kind of thing that has recorded hashes: OpenWrt's signed lists and our lock, the plans of
Debian's packages (hashes from apt's signed lists), manifests of the lab's firmware, lists beside folders (hashes.py),
pip's RECORD files. Each takes the lock of whoever makes that thing, so that nothing is removed while it is made.
"""

from __future__ import annotations

import base64
import csv
import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from forge.core import console, hashes, paths
from forge.core.errors import ForgeError
from forge.host import debian_packages
from forge.inv import cache
from forge.lab import firmware
from forge.openwrt import catalog, fetch, lockfile, release_index

WAIT = "works with {}"  # as another run that holds a lock is told of
RECORDED = {"openwrt", "debs", "unpacked", "lab", "site"}  # folders that are looked into here


class UnsoundCache(ForgeError):
    """Files of the cache are not what they should be; they were removed."""


@dataclass
class Tally:
    """How many files of one kind are as recorded `by` whom; a line for each that was not, and was removed."""

    kind: str
    by: str
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    unknown: int = 0


def verify() -> None:
    """The task: say how much of what kind was right. Raise UnsoundCache if anything was wrong."""
    tallies = run()
    console.result([vars(one) for one in tallies])
    rows = [(one.kind, str(one.right), str(len(one.wrong)), str(one.unknown), one.by) for one in tallies]
    console.table(("what", "right", "wrong", "no hash", "by"), rows)
    if any(one.unknown for one in tallies):
        console.note("what has no recorded hash is checked when it is used, or nothing depends on it")
    wrong = [fault for one in tallies for fault in one.wrong]
    if wrong:
        raise UnsoundCache(
            "wrong files were removed:\n  " + "\n  ".join(wrong),
            hint="the next task that needs them fetches or makes them again",
        )
    console.good(f"{sum(one.right for one in tallies)} files are what they should be")


def run() -> list[Tally]:
    unpacked = _listed("Debian packages, unpacked", "unpacking", _folders("unpacked"), ".{}.lock")
    bases = _listed("the lab's root file systems", "unpacking", _folders("lab", "base"), "")
    bytecode = _listed("the lab's bytecode", "compiling", _folders("lab", "bytecode"), "{}.lock")
    found = [_downloads(), _debs(), unpacked, _firmware(), bases, bytecode, _parcels(), _sites()]
    base = paths.cache()
    for folder in sorted(path for path in base.iterdir() if path.is_dir() and path.name not in RECORDED):
        found.append(Tally(f"{folder.name}/", "-", unknown=sum(path.is_file() for path in folder.rglob("*"))))
    return [one for one in found if one.right or one.wrong or one.unknown]


# ---- OpenWrt --------------------------------------------------------------------------------------------------------


def _downloads() -> Tally:
    tally = Tally("downloads from OpenWrt", "signed lists, feeds/lock.toml")
    offline = fetch.Fetcher(offline=True)
    for path in sorted(cache.downloads()):
        if not path.exists():  # a list and its signature go together
            continue
        found = hashes.digest(path)
        expected = _expected(offline, path)
        if expected is None:
            tally.unknown += 1
        elif found in expected:
            tally.right += 1
        else:
            right = " or ".join(sorted(expected)) or "a right signature"
            tally.wrong.append(f"{path}: expected {right}, found sha256 {found}")
            _unlink(path, found)
    return tally


def _unlink(path: Path, found: str) -> None:
    """Remove a download, unless another run has just fetched it anew."""
    with fetch.lock(fetch.lock_file(path), f"is fetching {path.name}"):
        if path.exists() and hashes.digest(path) == found:
            path.unlink()


def _expected(offline: fetch.Fetcher, path: Path) -> set[str] | None:
    """The hashes that a download may have; None where nobody here can say, empty where nothing can be right."""
    parts = path.relative_to(paths.cache("openwrt")).parts
    if "targets" not in parts or len(parts) < 5:
        return None
    at = parts.index("targets")
    signed = path.name in (release_index.SUMS, f"{release_index.SUMS}.sig")
    try:
        version = catalog.version(catalog.SNAPSHOT if parts[0] == "snapshots" else parts[1])
        target = catalog.Target("/".join(parts[at + 1 : at + 3]))
        own = hashes.digest(path)
        lists = release_index.load(offline, version, target)
    except release_index.SignatureError:
        return set() if signed else None
    except ForgeError:
        return None
    if signed:
        return {own} if lists.signed else None
    pins = [lockfile.pin(version.number, target.name, kind) for kind in lockfile.KINDS]
    found = {pin.sha256 for pin in pins if pin and pin.name == path.name} or {lists.sums.get(path.name, "")}
    return found - {""} or None


# ---- Debian ---------------------------------------------------------------------------------------------------------


def _debs() -> Tally:
    tally = Tally("Debian packages", "apt's signed lists")
    for folder in _folders("debs"):
        with fetch.lock(folder / ".lock", WAIT.format(folder.name)):
            known = {one.file: one for plan in folder.glob("*.list") for one in debian_packages.planned(plan)}
            for path in sorted(folder.glob("*.deb")):
                _judge_file(tally, path, known[path.name].sha256 if path.name in known else "")
    return tally


# ---- the lab --------------------------------------------------------------------------------------------------------


def _firmware() -> Tally:
    tally = Tally("the lab's firmware", "manifest.json")
    for folder in _folders("lab", "firmware"):
        with fetch.lock(_lab_lock(folder), WAIT.format(folder.name)):
            _judge(tally, folder, firmware.broken(folder), len(firmware.FILES))
    return tally


def _parcels() -> Tally:
    """A package has its hash in the first line of the file that says what it was made from (lab/postfix.py)."""
    tally = Tally("the lab's Postfix", "notes made when packing")
    for folder in _folders("lab", "parcels"):
        with fetch.lock(folder / ".lock", WAIT.format(folder.name)):
            for path in sorted([*folder.glob("*.ipk"), *folder.glob("*.apk")]):
                note = path.with_suffix(".from")
                recorded = note.read_text().partition("\n")[0] if note.exists() else ""
                _judge_file(tally, path, recorded if re.fullmatch("[0-9a-f]{64}", recorded) else "")
    return tally


def _lab_lock(folder: Path) -> Path:
    return firmware.lock(folder.name.rpartition("-")[0])


# ---- Python ---------------------------------------------------------------------------------------------------------


def _sites() -> Tally:
    tally = Tally("Python packages", "pip's RECORD files")
    for folder in _folders("site"):
        with fetch.lock(folder.with_name(f"{folder.name}.lock"), WAIT.format(folder.name)):
            faults, right = [], 0
            for distribution in importlib.metadata.distributions(path=[str(folder)]):
                # Not Distribution.files, which since Python 3.12 leaves out what is not there.
                for name, recorded, size in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
                    kind, _, value = recorded.partition("=")
                    if kind != "sha256" or ".." in Path(name).parts:
                        continue  # pip puts programs elsewhere than it writes down with --target
                    sha256 = base64.urlsafe_b64decode(f"{value}=").hex()
                    fault = hashes.difference(folder / name, sha256, int(size))
                    faults += [f"{folder / name}: {fault}"] if fault else []
                    right += not fault
            _judge(tally, folder, faults, right)
    return tally


# ---- what they share ------------------------------------------------------------------------------------------------


def _listed(kind: str, when: str, folders: Iterable[Path], lock: str) -> Tally:
    """Of folders that hashes.making() made; `lock` is the file beside each that is locked then, "" the lab's own."""
    tally = Tally(kind, f"lists made when {when}")
    for folder in folders:
        locked = folder.with_name(lock.format(folder.name)) if lock else _lab_lock(folder)
        with fetch.lock(locked, WAIT.format(folder.name)):
            faults = hashes.broken(folder)
            if faults is None:
                tally.unknown += sum(path.is_file() for path in folder.rglob("*"))
            else:
                _judge(tally, folder, faults, hashes.count(folder))
    return tally


def _judge_file(tally: Tally, path: Path, sha256: str) -> None:
    if not sha256:
        tally.unknown += 1
    elif fault := hashes.difference(path, sha256):
        tally.wrong.append(f"{path}: {fault}")
        path.unlink(missing_ok=True)
    else:
        tally.right += 1


def _judge(tally: Tally, folder: Path, faults: list[str], files: int) -> None:
    """A folder is removed as a whole: whoever needs it asks only whether it is there."""
    if faults:
        tally.wrong += faults
        hashes.remove(folder)
    else:
        tally.right += files


def _folders(*names: str) -> list[Path]:
    """The finished folders of that part of the cache; what is being made begins with a dot."""
    parent = paths.cache().joinpath(*names)
    found = parent.iterdir() if parent.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))
