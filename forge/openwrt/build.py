"""The task `build` when a target or release is named: decides who builds, OpenWrt's SDK or the mini-SDK, and says why.

Without --release there is an .ipk by the newest release that takes one, and an .apk by the current stable one. The
packages are the same for every CPU; a target only says whose SDK it is.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from forge.core import choices, cli, console, logs, paths
from forge.core.errors import MissingError, UsageError
from forge.openwrt import catalog, fetch, openwrt_host, release_index, sdk
from forge.openwrt.catalog import Target, Version
from forge.openwrt.fetch import Fetcher
from forge.openwrt.partial import Unreachable
from forge.packages import minisdk
from forge.packages.minisdk import Built


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    package: str = ""
    format: str = "all"
    target: str = ""
    release: str = ""
    builder: str = "auto"
    out: str = ""  # instead of dist/
    mirror: str = ""
    offline: bool = False
    reproducible: bool = False
    dry_run: bool = False


def run(options: Options) -> list[Built]:
    """The task. Raise UsageError for what makes no sense together."""
    cli.choice(options.builder, choices.BUILDERS, "--builder")
    cli.choice(options.format, choices.FORMATS, "--format")
    package, reproducible, folder = options.package, options.reproducible, minisdk.output(options.out)
    if options.builder == "sdk" and not options.target:
        raise UsageError("--builder sdk needs to know whose SDK", hint="add --target ramips, or --target x86/64")
    if not options.target and not options.release:
        if options.dry_run:
            return minisdk.preview(package, choices.formats(options.format), "the mini-SDK", folder)
        with logs.kept("build"):
            return minisdk.run(package=package, format=options.format, folder=folder, reproducible=reproducible)
    if options.format == "deb":
        raise UsageError(
            "--format deb is for Debian, and the same for all machines", hint="leave --target and --release out"
        )
    fetcher = fetch.fetcher(options.mirror, offline=options.offline)
    target = _target(fetcher, options.target) if options.target else None
    built: list[Built] = []
    for version in versions(options.format, options.release, target.name if target else ""):
        by_sdk, why = _choose(fetcher, version, target, options.builder)
        who = "the SDK" if by_sdk else "the mini-SDK"
        console.note(f"OpenWrt {version.number}: {who} builds ({why})")
        if options.dry_run:
            minisdk.preview(package, (version.release.format,), who, folder)
            continue
        made = _by_sdk(fetcher, version, target, options, folder) if by_sdk and target else None
        built += _by_mini(version, options, folder) if made is None else made
    if options.dry_run:
        return []
    built = minisdk.signed(built, reproducible)
    minisdk.report(built)
    if target:
        newest = options.release in ("", version.release.series)
        words = target.name if newest else f"{target.name} --release {version.number}"
        console.say("  Firmware with them in it:")
        console.say(f"    ./inv image --target {words} --profile NAME --site my-site.toml")
    return built


def versions(format: str, release: str, target: str = "") -> list[Version]:
    """The releases to build for: the one that was named, else the newest for each format that was."""
    if release:
        version = catalog.version(release, target=target)
        if format not in ("all", version.release.format):
            raise UsageError(
                f"--format {format}: OpenWrt {version.number} takes {version.release.format}",
                hint=f"leave --format out, or take --release {catalog.for_format(format).series}",
            )
        return [version]
    return [catalog.version(catalog.for_format(one).series, target=target) for one in choices.formats(format)]


def _target(fetcher: Fetcher, text: str) -> Target:
    told = release_index.told_targets(fetcher, catalog.version(catalog.stable().series))
    found, guess = catalog.target(text, told)
    if guess:
        console.note(guess)
    return found


def _choose(fetcher: Fetcher, version: Version, target: Target | None, builder: str) -> tuple[bool, str]:
    """Whether the SDK builds, and why it or the mini-SDK does."""
    if builder == "mini" or target is None:
        return False, ("as asked for" if builder == "mini" else "no --target names an SDK")
    if builder == "sdk":
        return True, "as asked for"
    there = cached(fetcher, version, target)
    reason = "" if there else fetcher.reachable()
    unfit = "" if reason else openwrt_host.unfit("sdk")
    if unfit:
        return False, unfit
    if there:
        return True, "it is in the cache"
    if reason:
        return False, f"OpenWrt's is not in the cache, and {fetch.hosts(fetcher.mirrors)} can't be reached: {reason}"
    return True, f"{fetch.hosts(fetcher.mirrors)} can be reached"


def cached(fetcher: Fetcher, version: Version, target: Target) -> bool:
    """Whether this SDK was fetched before. Whether it is sound, release_index.py finds out."""
    folder = fetcher.cached(f"{release_index.folder(version, target)}/{release_index.SUMS}").parent
    return folder.is_dir() and any(release_index.ARCHIVES["sdk"].fullmatch(path.name) for path in folder.iterdir())


def _by_sdk(fetcher: Fetcher, version: Version, target: Target, options: Options, folder: Path) -> list[Built] | None:
    """What the SDK made, or None where the mini-SDK has to: the server was there a moment ago, and is gone."""
    package = options.package
    try:
        lists = release_index.load(fetcher, version, target)
        directories = minisdk.directories(package)
        return sdk.run(lists, directories, package=package, folder=folder, reproducible=options.reproducible)
    except (Unreachable, MissingError) as error:
        if options.builder == "sdk":
            raise
        console.note(f"the SDK can't be had after all ({error.message.splitlines()[0]}): the mini-SDK builds")
        return None


def _by_mini(version: Version, options: Options, folder: Path) -> list[Built]:
    release = version.release
    with logs.kept(f"mini-{version.number}"):
        return minisdk.make(
            package=options.package,
            format=release.format,
            release=release.conventions,
            folder=folder,
            reproducible=options.reproducible,
        )


def scratch(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A folder for one build, in the cache (TMPDIR is often small), gone afterwards."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=paths.cache("work"))
