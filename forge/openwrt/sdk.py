"""Builds our packages with OpenWrt's own SDK: the feed is ours alone, and Python is never compiled for it.

build.py decides whether the SDK or the mini-SDK builds. The Makefiles are the same; what the SDK has made is required
by the names that they give it. How it is driven is OpenWrt's scripts/feeds' and gh-action-sdk's way:
docs/dev/openwrt-facts.md, "The SDK".
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from forge.core import console, hashes, logs, paths, proc
from forge.core.errors import CommandError, ForgeError
from forge.core.logs import Log
from forge.openwrt import archive, fetch, openwrt_host
from forge.openwrt.buildlog import explain
from forge.openwrt.catalog import Version
from forge.openwrt.release_index import Published
from forge.packages import apk, minisdk, stage
from forge.packages.minisdk import Built
from forge.packages.package import Package

FEED = "mailrelay"
TIMEOUT = 3600.0  # seconds for one step; compiling LuCI's host tools takes minutes
PYTHON = re.compile(r"package/feeds/packages/|\bpackage/(?:feeds/\w+/)?python3?/(?:host/)?compile|\bpython3?-host\b")
LUCI_FEED = re.compile(r"^src-git(?:-full)?\s+luci\s+\S+$", re.MULTILINE)
IDENTITY = {"NAME": "mailrelay", "EMAIL": "mailrelay@localhost"}


class SdkError(ForgeError):
    """The SDK did not make what it should have made."""


def run(
    lists: Published,
    directories: Sequence[Path],
    *,
    package: str = "",
    folder: Path | None = None,
    reproducible: bool = False,
) -> list[Built]:
    """Build the packages of these directories (or the one named `package`) into `folder` (dist/)."""
    openwrt_host.require("sdk")
    version = lists.version
    file = lists.archive("sdk")
    tree = archive.unpacked(file, hashes.digest(file))
    name = f"sdk-{version.number}-{lists.target.dashed}"
    with ExitStack() as stack:
        stack.enter_context(fetch.lock(tree.parent / ".build.lock", "is building in this SDK"))
        names = [package] if package else []
        staged = {one: stack.enter_context(stage.staged(one, names, reproducible=reproducible)) for one in directories}
        log = stack.enter_context(logs.kept(name))
        stack.enter_context(console.step(f"building with OpenWrt's SDK {version.number} for {lists.target.name}"))
        console.note(f"log: {paths.shown(log.path)}")
        tool = Tool(tree, log, lists.fetcher.offline)
        try:
            _prepare(tool, staged)
            for directory in directories:
                _compile(tool, directory)
        except CommandError as error:
            cause = explain(log.text)
            raise SdkError(
                f"the SDK failed: {cause.what}\n  all that it said: {paths.shown(log.path)}", hint=cause.hint
            ) from error
        built = _collect(tree, version, staged, log, folder or paths.DIST)
        _compare(built, version)
        return built


def _prepare(tool: Tool, staged: Mapping[Path, Sequence[Package]]) -> None:
    """Make our packages, and those alone, known to the SDK."""
    tree, directories = tool.tree, list(staged)
    names = [one.name for packages in staged.values() for one in packages]
    for stale in (tree / "package" / "feeds", *tree.glob("bin/packages/*/mailrelay"), *tree.glob(f"feeds/{FEED}*")):
        if stale.is_symlink() or stale.is_file():
            stale.unlink()
        elif stale.is_dir():
            shutil.rmtree(stale)
    luci = _luci_line(tree) if any(map(_is_luci, directories)) else ""
    (tree / "feeds.conf").write_text(_feeds_conf(_repository(tree.parent / ".feed", staged), luci))
    if luci:  # before ours: a LuCI app's Makefile includes its luci.mk, without which it has no index
        kept = (tree / "feeds" / "luci" / ".git").exists()
        tool("./scripts/feeds", "update", *(["-i"] if kept else []), "luci")
        if not (tree / "feeds" / "luci" / "modules" / "luci-base" / "Makefile").exists():
            raise SdkError(
                f"LuCI's feed could not be fetched: {luci}",
                hint="without it: --builder mini, or --package mailrelay for the relay alone",
            )
        tool("./scripts/feeds", "install", "-p", "luci", "luci-base")
    tool("./scripts/feeds", "update", FEED)
    tool("./scripts/feeds", "install", "-p", FEED, *names)
    _prune(tree, directories)
    tool("make", "defconfig")
    if luci:
        tool("make", "package/luci-base/host/compile", "NO_DEPS=1", "V=s")


def _repository(folder: Path, staged: Mapping[Path, Sequence[Package]]) -> str:
    """A git repository with a clean copy of each directory, committed at its own time: that is the packages' time."""
    shutil.rmtree(folder, ignore_errors=True)
    times = {directory: package.epoch for directory, packages in staged.items() for package in packages}
    for directory in times:
        stage.copy(directory, folder / "package" / directory.name)
    _git(folder, 0, "init", "--quiet", "--initial-branch=main")
    for directory, seconds in sorted(times.items(), key=lambda item: item[1]):
        _git(folder, seconds, "add", "--force", f"package/{directory.name}")
        _git(folder, seconds, "commit", "--quiet", "--no-gpg-sign", f"--message={directory.name}")
    return f"file://{folder}"


def _git(folder: Path, seconds: int, *words: str) -> None:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in IDENTITY.items()}
    when = {f"GIT_{role}_DATE": f"{seconds} +0000" for role in ("AUTHOR", "COMMITTER")}
    proc.run([*openwrt_host.started(folder, more={**who, **when}), "git", "-C", folder, *words], timeout=60.0)


def _feeds_conf(feed: str, luci: str) -> str:
    from jinja2 import Environment, StrictUndefined

    text = (paths.FEEDS / "feeds.conf").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(text).render(feed=feed, luci=luci)


def _luci_line(tree: Path) -> str:
    found = LUCI_FEED.search((tree / "feeds.conf.default").read_text(encoding="utf-8"))
    if not found:
        raise SdkError("this SDK's feeds.conf.default names no LuCI feed", hint="--builder mini needs none")
    return found[0]


def _is_luci(directory: Path) -> bool:
    return "luci.mk" in (directory / "Makefile").read_text(encoding="utf-8")


def _prune(tree: Path, directories: Sequence[Path]) -> None:
    """`feeds install` links whatever ours depend on, too, if an indexed feed has it: all but luci-base is not built."""
    ours = {directory.name for directory in directories}
    for link in (tree / "package" / "feeds").glob("*/*"):
        if not (link.parent.name == FEED and link.name in ours) and link.name != "luci-base":
            link.unlink()


def _compile(tool: Tool, directory: Path) -> None:
    # LuCI apps depend on luci-base, which is there for its host tools and is not to be built for the router.
    alone = ["NO_DEPS=1"] if _is_luci(directory) else []
    goal = f"package/{directory.name}"
    tool("make", f"{goal}/clean", *alone, "V=s")
    tool("make", f"{goal}/compile", *alone, "V=s", f"-j{os.cpu_count() or 1}")


@dataclass(frozen=True)
class Tool:
    """Starts what is in the SDK, and sees to it that Python is not built."""

    tree: Path
    log: Log
    offline: bool

    def __call__(self, *words: str) -> None:
        self.log(f"$ {' '.join(words)}")
        start = openwrt_host.started(self.tree.parent, offline=self.offline)
        proc.run([*start, *words], cwd=self.tree, timeout=TIMEOUT, on_line=self._take)

    def _take(self, line: str) -> None:
        self.log(line)
        if PYTHON.search(line) and "WARNING" not in line:
            raise SdkError(
                f"the SDK sets out to compile Python, which our packages never need: {line.strip()}",
                hint="this is a fault of ours: report it with the log. --builder mini builds without the SDK",
            )


def _collect(tree: Path, version: Version, staged: dict[Path, list[Package]], log: Log, folder: Path) -> list[Built]:
    """The files by the names that they must have, copied to `folder`. Raise SdkError for one that is not there."""
    found: list[tuple[Package, Path]] = []
    for directory, packages in staged.items():
        for package in packages:
            found.append((package, _made(tree, file_name(package, version), log)))
        if _is_luci(directory) and packages:
            known = {path for _, path in found}
            translations = tree.glob(f"bin/packages/*/{FEED}/luci-i18n-*.{version.release.format}")
            found += [(packages[0], path) for path in sorted(translations) if path not in known]
    folder.mkdir(parents=True, exist_ok=True)
    built = []
    for package, path in found:
        target = folder / path.name
        with paths.replacing(target) as partial:
            shutil.copyfile(path, partial)
        built.append(minisdk.measured(package, target))
    return built


def _compare(built: Sequence[Built], version: Version) -> None:
    """Say whether the mini-SDK makes the same bytes; where it does not, the packages still are what the SDK made."""
    names: dict[bool, list[str]] = {True: [], False: []}
    with stage.workspace() as folder:
        for one in built:
            if one.path.name == file_name(one.package, version):
                release = version.release
                (made,) = minisdk.pack(one.package, folder, release.format, release.conventions)
                names[_bare(made.path) == _bare(one.path)].append(one.path.name)
    for same, which in names.items():
        if which:
            console.note(f"the mini-SDK makes {'the same' if same else 'other'} bytes of {', '.join(which)}")


def _bare(path: Path) -> bytes:
    """A package's bytes without signatures: OpenWrt's main signs with a key of the build's own."""
    if path.suffix != ".apk":
        return path.read_bytes()
    return apk.unsigned(path.read_bytes())


def file_name(package: Package, version: Version) -> str:
    """How OpenWrt's build system of this release names a package."""
    return minisdk.PACKERS[version.release.format].file_name(package, version.release.conventions)


def _made(tree: Path, name: str, log: Log) -> Path:
    candidates = sorted(tree.glob(f"bin/**/{name}"))
    if candidates:
        return candidates[0]
    others = ", ".join(sorted(path.name for path in tree.glob(f"bin/packages/*/{FEED}/*.?pk"))) or "nothing"
    raise SdkError(
        f"the SDK ended well, but made no {name} (it made: {others})\n  all that it said: {paths.shown(log.path)}",
        hint=explain(log.text).hint,
    )
