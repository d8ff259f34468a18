"""What OpenWrt publishes for one release and target: the signed list of its files, and the files by that list.

The order is fixed: the list's signature (usign, a key of feeds/keys), then a file's announced length (fetch.py), then
its hash, by the list and by feeds/lock.toml. sdk.py, imagebuilder.py and the tasks `targets` and `lock` ask here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge.core import console, paths
from forge.core.errors import ForgeError, MissingError
from forge.openwrt import catalog, lockfile
from forge.openwrt.catalog import Target, Version
from forge.openwrt.fetch import Fetcher
from forge.openwrt.partial import FetchError, NotThere, Unreachable, WrongFile
from forge.packages import keys

SUMS = "sha256sums"  # `<hash> *<name>` a line
ARCHIVES = {
    "sdk": re.compile(r"\S*-sdk-\S+\.Linux-x86_64\.tar\.(?:zst|xz)"),
    "imagebuilder": re.compile(r"\S*-imagebuilder-\S+\.Linux-x86_64\.tar\.(?:zst|xz)"),
}
WORDS = {"sdk": "SDK", "imagebuilder": "ImageBuilder"}


class SignatureError(ForgeError):
    """A list is not signed by the key that it has to be signed by."""


@dataclass(frozen=True)
class Published:
    """A verified list; or, where that can't be had for `fault`, the files that feeds/lock.toml vouches for."""

    fetcher: Fetcher
    version: Version
    target: Target
    sums: dict[str, str]  # name -> sha256
    fault: ForgeError | None = None

    @property
    def signed(self) -> bool:
        return self.fault is None

    @property
    def folder(self) -> str:
        return folder(self.version, self.target)

    def find(self, kind: str) -> tuple[str, str] | None:
        """Name and hash of the SDK or ImageBuilder; the SDK's name holds a compiler's version that nobody foresees."""
        return next(((name, sha) for name, sha in self.sums.items() if ARCHIVES[kind].fullmatch(name)), None)

    def archive(self, kind: str) -> Path:
        """The SDK or ImageBuilder ("sdk", "imagebuilder") in the cache, checked against list and lock."""
        pin, found = lockfile.pin(self.version.number, self.target.name, kind), self.find(kind)
        if pin and found and (pin.name, pin.sha256) != found:
            raise lockfile.LockError(
                f"{self.folder}/{found[0]} is not what {paths.shown(lockfile.file())} says: expected {pin.name}, "
                f"sha256 {pin.sha256}, found {found[1]} in the signed list",
                hint="nothing was used. If OpenWrt has built the release again, ./inv lock shows and takes the new one",
            )
        if pin:
            return self.fetcher.fetch(f"{self.folder}/{pin.name}", sha256=pin.sha256)
        if not found and self.fault:  # who knows what the server has
            raise self.fault
        if not found:
            near = ", ".join(sorted(self.sums)[:3])
            raise FetchError(
                f"OpenWrt {self.version.number} has no {WORDS[kind]} for {self.target.name}"
                + (f" (its list has {near}, …)" if near else ""),
                hint=f"./inv targets --release {self.version.number} lists what there is",
            )
        if self.version.number != catalog.SNAPSHOT:
            console.note(
                f"{found[0]} is not in {paths.shown(lockfile.file())}: its hash comes from OpenWrt's signed list "
                f"(pin it: ./inv lock --release {self.version.release.series} --target {self.target.name})"
            )
        return self.fetcher.fetch(f"{self.folder}/{found[0]}", sha256=found[1])

    def profiles(self) -> dict[str, Any] | None:
        """profiles.json, or None where there is none (malta in 24.10) or it can't be had now."""
        sha = self.sums.get("profiles.json", "")
        path = f"{self.folder}/profiles.json"
        try:
            if not sha and not self.fetcher.cached(path).exists():
                return None
            loaded = json.loads(self.fetcher.fetch(path, sha256=sha).read_text(encoding="utf-8"))
        except (NotThere, MissingError, Unreachable):
            return None
        except ValueError as error:
            raise WrongFile(f"{path} is no JSON: {error}", hint="./inv cache.prune, then try again") from None
        return loaded if isinstance(loaded, dict) else None


def folder(version: Version, target: Target) -> str:
    return f"{version.folder}/targets/{target.name}"


def load(fetcher: Fetcher, version: Version, target: Target, *, fresh: bool = False) -> Published:
    """The list of a release's files for a target, its signature verified. A snapshot's is asked for anew each time.

    Where it can't be had, but feeds/lock.toml has hashes for the files, those do: a list would add nothing to them.
    """
    base = folder(version, target)
    path = f"{base}/{SUMS}"
    fresh = fresh or version.number == catalog.SNAPSHOT
    try:
        files = [fetcher.fetch(path + end, fresh=fresh) for end in ("", ".sig")]
    except (FetchError, MissingError) as error:
        if isinstance(error, NotThere):
            raise NotThere(
                f"OpenWrt {version.number} has no target {target.name}: {error.message}",
                hint=f"./inv targets --release {version.number} lists what there is",
            ) from None
        pins = {kind: lockfile.pin(version.number, target.name, kind) for kind in lockfile.KINDS}
        if not any(pins.values()) or fresh:
            raise
        return Published(fetcher, version, target, {pin.name: pin.sha256 for pin in pins.values() if pin}, error)
    try:
        _verify(files[0], files[1], path, version)
    except ForgeError:
        for file in [] if fetcher.offline else files:  # the next run shall ask again, not find the same
            file.unlink(missing_ok=True)
        raise
    lines = files[0].read_text(encoding="utf-8", errors="replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64}) [ *](\S+)", line) for line in lines]
    return Published(fetcher, version, target, {line[2]: line[1] for line in found if line})


def _verify(sums: Path, signature: Path, path: str, version: Version) -> None:
    release = version.release
    if not release.key:
        raise SignatureError(
            f"{path}: OpenWrt {release.series}'s signing key is not in {paths.shown(paths.FEEDS / 'keys')}",
            hint=f"put it there and name it in feeds/releases.toml, or take --release {catalog.stable().series}",
        )
    public = keys.UsignPublic.parse((paths.FEEDS / "keys" / release.key).read_text(encoding="utf-8"))
    text = signature.read_text(encoding="utf-8", errors="replace")
    if public.verify(sums.read_bytes(), text):
        return
    signer = keys.signer(text)
    why = (
        f"expected a signature by {public.fingerprint}, found one by {signer}"
        if signer != public.fingerprint
        else f"expected what {signer} signed, found other contents"
    )
    raise SignatureError(
        f"{path}: the signature is wrong: {why}",
        hint="nothing of it was used. The mirror is not to be trusted, or was caught while it changed: try another one",
    )


def latest(fetcher: Fetcher) -> dict[str, str]:
    """Series -> its newest point release, as the server's .versions.json tells (of the series that we know)."""
    path = fetcher.fetch(".versions.json", fresh=True)
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))["versions_list"]
    except (ValueError, KeyError, TypeError):
        path.unlink()
        raise WrongFile(f"{fetcher.mirrors[0]}/.versions.json is not as it was: it has no versions_list") from None
    found = {}
    for release in catalog.releases():
        own = [number for number in map(str, numbers) if re.fullmatch(rf"{re.escape(release.series)}\.\d+", number)]
        if own:
            found[release.series] = max(own, key=lambda number: int(number.rsplit(".", 1)[1]))
    return found


def told_targets(fetcher: Fetcher, version: Version, *, ask: bool = False) -> dict[str, str]:
    """Target -> architecture by the server's .targets.json: of an earlier run, or asked for now. Unsigned, and so only
    ever a list of names; empty if it can't be had."""
    path = f"{version.folder}/.targets.json"
    if not ask and not fetcher.cached(path).exists():
        return {}
    try:
        told = json.loads(fetcher.fetch(path, fresh=ask).read_text(encoding="utf-8"))
    except (FetchError, MissingError, ValueError):
        return {}
    return {str(name): str(arch) for name, arch in told.items()} if isinstance(told, dict) else {}
