"""The time that every file of a package gets: when its directory was last committed.

As OpenWrt's build system does, so that one commit gives the same bytes everywhere. A shallow clone may not have that
commit, and an archive has no git: there the next best time is taken and told, unless the build is to be reproducible.

Git is asked about a folder only where the folder is its own: an archive may have been unpacked inside another
repository, whose commits and ignore rules are none of ours.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from forge.core import cli, console, paths, proc
from forge.core.errors import ForgeError

VARIABLE = "SOURCE_DATE_EPOCH"
ARCHIVED = "forge/commit-time"  # git archive writes the commit's time into it (.gitattributes)
RECORDED = 1_795_712_118  # 2026-11-26: where nothing tells a time, all builds take the same
TIMEOUT = 60.0  # seconds for one git command

_told: set[str] = set()


class EpochError(ForgeError):
    """What time the files of a package shall have is not known, or is no time."""


class UncommittedError(ForgeError):
    """A build that is to be reproducible has changes that are in no commit."""


def of(folder: Path, *, reproducible: bool = False) -> int:
    """Unix seconds: of the last commit that touched `folder`, else of SOURCE_DATE_EPOCH, else the next best.

    `reproducible` takes no next best (EpochError), and no change that is in no commit (UncommittedError).
    """
    if reproducible and (changed := uncommitted(folder)):
        raise UncommittedError(
            f"{paths.shown(folder)} has changes that are not committed: {', '.join(changed)}",
            hint="commit them, or build without --reproducible",
        )
    reason, hint = "", ""
    try:
        if _git(folder, "rev-parse", "--is-shallow-repository") == "true":
            reason, hint = "this is a shallow clone, which may not have its last commit", "git fetch --unshallow, or "
        elif when := _git(folder, "log", "-1", "--format=%ct", "--", "."):
            return int(when)
        else:
            reason, hint = "it is in no commit yet", "commit it, or "
    except _NoGit as error:
        reason = str(error)
    if text := os.environ.get(VARIABLE, ""):
        return _checked(text)
    if reproducible:
        raise EpochError(
            f"the time of {paths.shown(folder)} is not known: {reason}",
            hint=f"{hint}set {VARIABLE}, in seconds since 1970: {VARIABLE}=$(date +%s) {cli.again()}",
        )
    seconds, whose = _next_best(folder)
    if reason not in _told:  # several packages mostly share it
        _told.add(reason)
        console.note(f"files of {paths.shown(folder)} get the time {_utc(seconds)}, {whose} ({reason})")
    return seconds


def _checked(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise EpochError(f"{VARIABLE} is {text!r}", hint="it is a whole number of seconds since 1970")
    return int(text)


def _next_best(folder: Path) -> tuple[int, str]:
    """The time of the commit that is checked out or was archived, else the recorded one; and what it is."""
    try:
        return int(_git(folder, "log", "-1", "--format=%ct", "HEAD")), "that of the commit that is checked out"
    except _NoGit:
        pass
    try:
        return int((paths.ROOT / ARCHIVED).read_text(encoding="ascii")), "that of the commit that was archived"
    except (OSError, ValueError):  # a plain copy has git's $Format$ there still
        return RECORDED, "the one that is recorded for such builds"


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def uncommitted(folder: Path) -> list[str]:
    """What differs from the last commit below `folder`, as git names it; empty where git has nothing to say of it."""
    try:
        lines = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".").splitlines()
    except _NoGit:
        return []
    return [line.strip() for line in lines]


def ignored(folder: Path) -> set[str]:
    """What git is told to ignore below `folder`, as paths from there; empty where git has nothing to say of it."""
    words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", ".")
    try:
        return {name.rstrip("/") for name in _git(folder, *words).split("\0") if name}
    except _NoGit:
        return set()


# ---- git ------------------------------------------------------------------------------------------------------------


class _NoGit(Exception):
    """Git is not here, or has nothing to say of this folder."""


def _git(folder: Path, *words: str) -> str:
    """What git prints, run in `folder`, if the repository there is the checkout's own or has the folder committed."""
    top = Path(_run(folder, "rev-parse", "--show-toplevel"))
    if top != paths.ROOT.resolve() and not _run(folder, "ls-files", "--", "."):
        raise _NoGit(f"it is no part of the git repository around it, {top}")
    return _run(folder, *words)


def _run(folder: Path, *words: str) -> str:
    # Variables of git's own (a hook's, say) would have it speak of another repository.
    apart = [word for name in os.environ if name.startswith("GIT_") for word in ("-u", name)]
    # A checkout of another user's is safe to ask: its code runs already. Nothing is to be written into it.
    trust = ["-c", f"safe.directory={paths.ROOT.resolve()}", "--no-optional-locks"]
    argv = ["env", *apart, "LC_ALL=C", "git", *trust, "-C", os.fspath(folder), *words]
    result = proc.run(argv, check=False, errors=False, timeout=TIMEOUT)
    if result.status == 127:
        raise _NoGit("git is not on this machine")
    if result.status != 0:
        lines = proc.run(argv, check=False, timeout=TIMEOUT).output.strip().splitlines() or ["git fails"]
        raise _NoGit(lines[0].removeprefix("fatal: "))
    return result.output.strip("\n")
