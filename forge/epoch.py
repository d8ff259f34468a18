"""The time that every file of a package gets: SOURCE_DATE_EPOCH, when its directory was last committed.

As OpenWrt's build system does, so that one commit gives the same bytes everywhere. A shallow clone may not have that
commit, and a plain folder has none: there the caller's environment has to say it.
"""

from __future__ import annotations

import os
from pathlib import Path

from forge import paths, proc
from forge.errors import ForgeError

VARIABLE = "SOURCE_DATE_EPOCH"
TIMEOUT = 60.0  # seconds for one git command


class EpochError(ForgeError):
    """Nothing says what time the files of a package shall have."""


def of(folder: Path) -> int:
    """Unix seconds: of the last commit that touched `folder`, else from the environment."""
    reason, mend = "", ""
    try:
        if _git(folder, "rev-parse", "--is-shallow-repository") == "true":
            reason, mend = "this is a shallow clone, which may not have its last commit", "git fetch --unshallow, or "
        else:
            when = _git(folder, "log", "-1", "--format=%ct", "--", ".")
            if when:
                return int(when)
            reason, mend = "it is in no commit yet", "commit it, or "
    except _NoGit as error:
        reason = str(error)
    text = os.environ.get(VARIABLE, "")
    if not text:
        raise EpochError(
            f"the time of {paths.shown(folder)} is not known: {reason}",
            hint=f"{mend}set {VARIABLE}, in seconds since 1970: {VARIABLE}=$(date +%s) ./inv build",
        )
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise EpochError(f"{VARIABLE} is {text!r}", hint="it is a whole number of seconds since 1970")
    return int(text)


def uncommitted(folder: Path) -> list[str]:
    """What differs from the last commit below `folder`, as git names it; empty where there is no git."""
    try:
        lines = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".").splitlines()
    except _NoGit:
        return []
    return [line.strip() for line in lines]


def ignored(folder: Path) -> set[str]:
    """What git is told to ignore below `folder`, as paths from there; empty where there is no git."""
    words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", ".")
    try:
        return {name.rstrip("/") for name in _git(folder, *words).split("\0") if name}
    except _NoGit:
        return set()


class _NoGit(Exception):
    """Git is not here, or has nothing to say of this folder."""


def _git(folder: Path, *words: str) -> str:
    # Variables of git's own (a hook's, say) would have it speak of another repository.
    apart = [word for name in os.environ if name.startswith("GIT_") for word in ("-u", name)]
    argv = ["env", *apart, "LC_ALL=C", "git", "-C", os.fspath(folder), *words]
    result = proc.run(argv, check=False, errors=False, timeout=TIMEOUT)
    if result.status == 127:
        raise _NoGit("git is not on this machine")
    if result.status != 0:
        lines = proc.run(argv, check=False, timeout=TIMEOUT).output.strip().splitlines() or ["git fails"]
        raise _NoGit(lines[0].removeprefix("fatal: "))
    return result.output.strip("\n")
