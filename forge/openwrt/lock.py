"""The task `lock`: asks OpenWrt's server, checks its signature, updates feeds/lock.toml, and shows what changed.

A snapshot is never locked: it is another one every day.
"""

from __future__ import annotations

from typing import Any

from forge.core import console, paths
from forge.openwrt import catalog, lockfile, release_index
from forge.openwrt.catalog import Target, Version
from forge.openwrt.fetch import Fetcher


def update(fetcher: Fetcher, *, release: str = "", target: str = "") -> None:
    """Bring the file up to date, for what it has already and for what is asked for; print the difference."""
    before, data = lockfile.read(), lockfile.read()
    latest = release_index.latest(fetcher)
    wanted = _wanted(before, latest, release, target)
    for version, one in wanted:
        with console.step(f"asking for {version.number} {one.name}"):
            lists = release_index.load(fetcher, version, one, fresh=True)
        for kind in lockfile.KINDS:
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
        lockfile.write(data)


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
        (catalog.version(number), known.get(name) or Target(name))
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
    file = paths.shown(lockfile.file())
    old, new = _flat(before), _flat(after)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if not changed and before == after:
        console.good(f"{file} is up to date")
        return
    rows = [(name, kind, old.get((name, kind), "-"), new.get((name, kind), "-")) for name, kind in changed]
    console.table(("target", "what", "before", "now"), rows)
    console.good(f"{file} written; look at it (git diff {file}) and commit it")
