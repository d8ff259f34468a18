"""The task `targets`: releases, targets and boards as tables, as far as they are known here or the server tells."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from forge.core import cli, console
from forge.core.errors import UsageError
from forge.openwrt import catalog, fetch, lockfile, release_index
from forge.openwrt.catalog import Target, Version


def run(*, release: str = "", match: str = "", mirror: str = "", offline: bool = False) -> None:
    """Print what matches: a target's, board's or device's name, or any part of one. Fetches lists with --release."""
    fetcher = fetch.fetcher(mirror, offline=offline)
    version = catalog.version(release or catalog.stable().series)
    if not match:
        console.title("OpenWrt")
        rows = [tuple(_release(one).values()) for one in catalog.releases()]
        console.table(("release", "newest", "state", "package manager", "packages", "Python"), rows)
        console.say()
    ask = bool(release) and not offline and not fetcher.reachable()
    told = release_index.told_targets(fetcher, version, ask=ask)
    known = catalog.targets(told)
    if ask:
        for target in [target for target in known.values() if match and _matches(match, target.name)]:
            release_index.load(fetcher, version, target).profiles()
    elif release and not offline:
        console.note(f"{fetch.hosts(fetcher.mirrors)} can't be reached: this is what is known without it")
    devices = _devices(fetcher, version, known)
    found = [row for row in devices if _matches(match, *row)] if match else devices
    shown = {row[1] for row in found}
    targets = [target for target in known.values() if not match or _matches(match, target.name, target.arch)]
    targets += [target for target in known.values() if target not in targets and target.name in shown and match]
    if match and not targets and not found:
        names = [*known, *(part for row in devices for part in (row[0], *re.split("[_-]", row[0])))]
        raise UsageError(
            f"--match: nothing here is called {match!r}.{cli.near(match, names)}",
            hint=f"./inv targets --release {version.number} --match ramips asks the server for a target's devices",
        )
    console.result(
        {
            "releases": [_release(one) for one in catalog.releases()],
            "release": version.number,
            "targets": [_target(version, target) for target in targets],
            "devices": [dict(zip(("profile", "target", "title"), row, strict=True)) for row in found],
        }
    )
    _targets(version, targets)
    if found:
        console.say()
        console.title(f"Devices{'' if match else ' that are known here'}")
        console.table(("profile", "target", "device"), found)
    console.say()
    console.say(
        "Next: ./inv build --target TARGET, or ./inv image --target TARGET --profile PROFILE --site my-site.toml"
    )


def _release(release: catalog.Release) -> dict[str, str]:
    return {
        "series": release.series,
        "newest": catalog.version(release.series).number,
        "state": release.state,
        "manager": release.manager,
        "format": release.format,
        "python": release.python,
    }


def _target(version: Version, target: Target) -> dict[str, Any]:
    locked = [kind for kind in lockfile.KINDS if lockfile.pin(version.number, target.name, kind)]
    return {"name": target.name, "architecture": target.arch, "locked": locked, "machine": target.machine}


def _targets(version: Version, targets: list[Target]) -> None:
    if not targets:
        return
    console.title(f"Targets, {version.number}")
    facts = [_target(version, target) for target in targets]
    rows = [
        (one["name"], one["architecture"] or "?", ", ".join(one["locked"]) or "-", one["machine"] or "none")
        for one in facts
    ]
    console.table(("target", "packages are for", "locked", "QEMU machine"), rows)
    if not all(target.machine for target in targets):
        console.note("what has no machine is not booted before it meets the hardware")


def _devices(fetcher: fetch.Fetcher, version: Version, known: Mapping[str, Target]) -> list[tuple[str, str, str]]:
    """Profile, target, title: from every profiles.json that is in the cache, and the boards we know anyway."""
    rows = {(board.profile, board.target): board.title for board in catalog.boards()}
    for target in known.values():
        path = fetcher.cached(f"{release_index.folder(version, target)}/profiles.json")
        if path.exists():
            for name, entry in _profiles(path.read_text(encoding="utf-8")).items():
                rows[name, target.name] = catalog.titles(entry) or name
    return [(profile, target, title) for (profile, target), title in sorted(rows.items())]


def _profiles(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text)["profiles"])
    except (ValueError, KeyError, TypeError):
        return {}


def _matches(word: str, *texts: str) -> bool:
    return any(catalog.plain(word) in catalog.plain(text) for text in texts)
