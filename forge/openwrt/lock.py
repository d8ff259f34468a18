"""feeds/lock.toml: which point release a series means, and the name and hash of each file we take from OpenWrt.

What is fetched has to be what stands here (release_index.py asks); update() is the task `lock`, which asks the server,
checks its signature, and shows what has changed. A snapshot is never locked: it is another one every day.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomllib

from forge.core import console, paths
from forge.core.errors import ForgeError
from forge.openwrt import catalog

if TYPE_CHECKING:
    from forge.openwrt.catalog import Release, Target, Version
    from forge.openwrt.fetch import Fetcher

KINDS = ("imagebuilder", "sdk")
HEADER = """\
# Which files of OpenWrt's are the right ones: written by ./inv lock, checked whenever one is fetched or used.

"""


class LockError(ForgeError):
    """What a server has is not what feeds/lock.toml says, or that file is damaged."""


@dataclass(frozen=True)
class Pin:
    name: str
    sha256: str


def file() -> Path:
    return paths.FEEDS / "lock.toml"


def read() -> dict[str, Any]:
    """The whole file: release -> target -> kind -> {name, sha256}, and "newest": series -> release."""
    try:
        return tomllib.loads(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LockError(f"{paths.shown(file())}: {error}", hint=f"git checkout {paths.shown(file())}") from None


def newest(release: Release, target: str = "") -> str:
    """The point release that a series means: the newest that is locked for the target, else for any."""
    data = read()
    pinned = [number for number in data if number.startswith(f"{release.series}.") and target in data[number]]
    if pinned:
        return max(pinned, key=_order)
    return str(data.get("newest", {}).get(release.series, release.newest))


def pin(version: Version, target: Target, kind: str) -> Pin | None:
    entry = read().get(version.number, {}).get(target.name, {}).get(kind)
    return Pin(entry["name"], entry["sha256"]) if entry else None


def _order(number: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in number.replace("-rc", ".-").split("."))


# ---- the task -------------------------------------------------------------------------------------------------------


def update(fetcher: Fetcher, *, release: str = "", target: str = "") -> None:
    """Brings the file up to date, for what it has already and for what is asked for; prints the difference."""
    from forge.openwrt import release_index

    before, data = read(), read()
    latest = release_index.latest(fetcher)
    wanted = _wanted(before, latest, release, target)
    for version, one in wanted:
        with console.step(f"asking for {version.number} {one.name}"):
            lists = release_index.load(fetcher, version, one, fresh=True)
        for kind in KINDS:
            found = lists.find(kind)
            if found:
                entry = {"name": found[0], "sha256": found[1]}
                data.setdefault(version.number, {}).setdefault(one.name, {})[kind] = entry
        for number in [n for n in data if n != version.number and n.startswith(f"{version.release.series}.")]:
            data[number].pop(one.name, None)  # an older point release of the same series
            if not data[number]:
                del data[number]
    for series, number in latest.items():
        data.setdefault("newest", {})[series] = number
    _report(before, data)
    if data != before:
        write(data)


def _wanted(before: dict[str, Any], latest: dict[str, str], release: str, target: str) -> list[tuple[Version, Target]]:
    pairs: set[tuple[str, str]] = set()
    for number, entries in before.items():
        if number != "newest":
            series = number.rsplit(".", 1)[0]
            pairs |= {(latest.get(series, number), name) for name in entries}
    chosen = catalog.target(target)[0].name if target else ""
    if release or target:
        series = release or catalog.stable().series
        number = latest.get(series) or catalog.version(series).number
        names = {chosen} if chosen else {name for _, name in pairs}
        pairs = {(number, name) for name in names}
    known = catalog.targets()
    return [
        (catalog.version(number), known.get(name) or catalog.Target(name))
        for number, name in sorted(pairs)
        if number != catalog.SNAPSHOT
    ]


def _flat(data: dict[str, Any]) -> dict[tuple[str, str], str]:
    """(target, series kind) -> release and hash, so that a new point release shows as a change."""
    return {
        (name, f"{number.rsplit('.', 1)[0]} {kind}"): f"{number} {entry['sha256'][:12]}…"
        for number, entries in data.items()
        if number != "newest"
        for name, kinds in entries.items()
        for kind, entry in kinds.items()
    }


def _report(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = _flat(before), _flat(after)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if not changed and before == after:
        console.good(f"{paths.shown(file())} is up to date")
        return
    rows = [(name, kind, old.get((name, kind), "-"), new.get((name, kind), "-")) for name, kind in changed]
    console.table(("target", "what", "before", "now"), rows)
    console.good(f"{paths.shown(file())} written; look at it (git diff {paths.shown(file())}) and commit it")


def write(data: dict[str, Any]) -> None:
    """Writes the file, whole or not at all, its tables in order."""
    import tomli_w

    ordered = {key: _sorted(data[key]) for key in sorted(data, key=lambda key: (key != "newest", key))}
    handle, scratch = tempfile.mkstemp(prefix=".lock-", dir=file().parent)
    with os.fdopen(handle, "w", encoding="utf-8") as output:
        output.write(HEADER + tomli_w.dumps(ordered))
    Path(scratch).chmod(0o644)
    Path(scratch).replace(file())


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        keys: Iterable[str] = sorted(value, key=lambda key: (key == "sha256", key))
        return {key: _sorted(value[key]) for key in keys}
    return value
