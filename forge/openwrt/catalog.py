"""The OpenWrt releases, targets and boards we know, and what a person may have meant by a name.

Reads feeds/releases.toml, and what servers have told before (release_index.py keeps it in the cache). No network here;
the tasks `targets`, `build`, `image` and `lock` ask this first.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomllib

from forge.core import cli, paths
from forge.core.errors import UsageError
from forge.openwrt import lockfile

SNAPSHOT = "snapshot"
STABLE = "stable"


@dataclass(frozen=True)
class Release:
    """A series of OpenWrt releases. `key` is a file in feeds/keys; empty: we have none for it."""

    series: str
    newest: str
    state: str
    manager: str  # "opkg" or "apk"
    python: str
    key: str

    @property
    def conventions(self) -> str:
        """The release whose rules an .ipk of it follows (ipk.RELEASES)."""
        return "23.05" if self.series == "23.05" else "24.10"

    @property
    def format(self) -> str:
        return "ipk" if self.manager == "opkg" else "apk"


@dataclass(frozen=True)
class Version:
    """One release: a point release of a series, or the snapshot of today."""

    release: Release
    number: str  # "25.12.5" or "snapshot"

    @property
    def folder(self) -> str:
        """Where the download server has it (mirrors have the same tree: docs/dev/openwrt-facts.md)."""
        return "snapshots" if self.number == SNAPSHOT else f"releases/{self.number}"

    @property
    def in_names(self) -> str:
        """What stands in the names of its files before the target: "25.12.5-", nothing for a snapshot."""
        return "" if self.number == SNAPSHOT else f"{self.number}-"


@dataclass(frozen=True)
class Target:
    name: str  # "ramips/mt7621"
    arch: str = ""  # of its packages
    machine: str = ""  # how QEMU boots it; empty: there is no such machine

    @property
    def dashed(self) -> str:
        return self.name.replace("/", "-")


@dataclass(frozen=True)
class Board:
    """A device that feeds/releases.toml names, so that it is found without a download."""

    profile: str
    target: str
    title: str


@functools.lru_cache(maxsize=4)
def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def _data() -> dict[str, Any]:
    return _read(paths.FEEDS / "releases.toml")


def releases() -> list[Release]:
    return [Release(**entry) for entry in _data()["release"]]


def boards() -> list[Board]:
    return [Board(profile, entry["target"], entry["title"]) for profile, entry in _data()["board"].items()]


def targets(told: Mapping[str, str] | None = None) -> dict[str, Target]:
    """All targets by name: ours, and those that a server's .targets.json told of (name -> arch)."""
    found = {name: Target(name, arch) for name, arch in (told or {}).items()}
    for board, entries in _data()["target"].items():
        for subtarget, entry in entries.items():
            if subtarget != "usual":
                name = f"{board}/{subtarget}"
                found[name] = Target(name, entry["arch"], entry.get("machine", ""))
    return dict(sorted(found.items()))


def board(text: str) -> Board | None:
    """The board that was meant: by its profile or title, or by the end of these that no other has ("gl-mt1300")."""
    word = plain(text)
    named = {one: (plain(one.profile), plain(one.title)) for one in boards()}
    whole = [one for one, names in named.items() if word in names]
    ends = [one for one, names in named.items() if len(word) >= 4 and any(name.endswith(word) for name in names)]
    return whole[0] if whole else ends[0] if len(ends) == 1 else None


def stable() -> Release:
    return next(release for release in releases() if release.state == STABLE)


def for_format(format: str) -> Release:
    """The newest release whose package manager takes this format ("ipk" or "apk"), snapshots aside."""
    return next(release for release in releases() if release.format == format and release.series != SNAPSHOT)


def version(text: str, *, target: str = "") -> Version:
    """What --release says: a series (its newest; for `target`, the newest that the lock has for it) or one release."""
    word = text.strip().lower().removeprefix("openwrt-").removeprefix("v")
    if word in ("main", "master", "snapshots", SNAPSHOT):
        word = SNAPSHOT
    for release in releases():
        if word == SNAPSHOT == release.series:
            return Version(release, SNAPSHOT)
        if word == release.series:
            return Version(release, lockfile.newest(release.series, target) or release.newest)
        if re.fullmatch(rf"{re.escape(release.series)}\.\d+(-rc\d+)?", word):
            return Version(release, word)
    names = [name for release in releases() for name in dict.fromkeys((release.series, release.newest))]
    raise UsageError(f"--release: there is no {text!r}.{cli.near(word, names)}", hint=f"one of: {', '.join(names)}")


def target(text: str, told: Mapping[str, str] | None = None) -> tuple[Target, str]:
    """The target that was meant, and a sentence to say if that needed a guess. UsageError with near names."""
    known = targets(told)
    word = text.strip().lower().removesuffix("/")
    if word in known:
        return known[word], ""
    usual = {board: f"{board}/{entries['usual']}" for board, entries in _data()["target"].items()}
    if word in usual:
        others = [name for name in known if name.startswith(f"{word}/") and name != usual[word]]
        more = f" (there is also {', '.join(others)})" if others else ""
        return known[usual[word]], f"{text} means {usual[word]} here{more}"
    dashed = {one.dashed: one for one in known.values()}
    if word in dashed:
        return dashed[word], f"{text} is {dashed[word].name}"
    if found := board(text):
        return known[found.target], f"{text} is a board of {found.target}: --target {found.target}"
    alone = [name for name in known if name.startswith(f"{word}/")]
    if len(alone) == 1:
        return known[alone[0]], f"{text} means {alone[0]}"
    near = cli.near(word, [*known, *usual]) or (f" Did you mean {' or '.join(alone)}?" if alone else "")
    raise UsageError(f"--target: there is no {text!r}.{near}", hint="./inv targets lists them")


# ---- profiles -------------------------------------------------------------------------------------------------------


def titles(profile: Mapping[str, Any]) -> str:
    """A profile's names for people: "GL.iNet GL-MT1300, …"."""
    names = []
    for title in profile.get("titles", []):
        parts = [title.get(key, "") for key in ("vendor", "model", "variant")]
        names.append(title.get("title") or " ".join(part for part in parts if part))
    return ", ".join(names)


def profile(text: str, profiles: Mapping[str, Mapping[str, Any]], where: str) -> tuple[str, str]:
    """The profile that was meant (by name, board name or title), and a sentence if it is not what was typed."""
    if not text:
        if len(profiles) == 1:
            name = next(iter(profiles))
            return name, f"{name} is the only profile of {where}"
        raise UsageError(
            f"{where} has {len(profiles)} profiles, and --profile names none",
            hint=f"./inv targets --match WORD finds them; some: {', '.join(list(profiles)[:5])}",
        )
    if text in profiles:
        return text, ""
    word = plain(text)
    for name, entry in profiles.items():
        if word == plain(name) or word in map(plain, entry.get("supported_devices", [])):
            return name, f"{text} is the profile {name}"
    titled = [name for name, entry in profiles.items() if word and word in plain(titles(entry))]
    if len(titled) == 1:
        return titled[0], f"{text} is the profile {titled[0]}"
    candidates: Iterable[str] = titled or [
        *profiles,
        *(d for p in profiles.values() for d in p.get("supported_devices", [])),
    ]
    near = f" Did you mean {' or '.join(titled[:4])}?" if titled else cli.near(text, candidates)
    raise UsageError(
        f"--profile: {where} has no {text!r}.{near}", hint=f"./inv targets --match {text} looks in every known target"
    )


def plain(text: str) -> str:
    """Board names are written with commas, dashes, underscores or spaces, in any case; all mean the same."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())
