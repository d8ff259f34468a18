"""The task `release`: a new version's number, heading, commit and tag; then packages, feed and checksums in dist/.

Nothing is pushed. The workflow that publishes a tag builds the same once more from it (`--build`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

from forge.core import console, hashes, paths, proc
from forge.core.choices import STEPS
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.generate import versions
from forge.packages import feed, keys, minisdk

BRANCH = "main"
UNRELEASED = "## Unreleased\n"
# Before a version wherever it stands: in Makefiles, in code, in the Arduino library, in names of packages' files.
BEFORE = r"""(?m)(PKG_VERSION:=|\bVERSION = "|^version=|\b(?:[a-z\d]+-)*mailrelay(?:-[a-z]+)*[_-])"""
RECORDED = ("CHANGELOG.md", "tests/data/")


class ReleaseError(ForgeError):
    """The checkout is not as it has to be for a release; nothing was changed."""


def run(to: str = "", *, build: bool = False, dry_run: bool = False) -> None:
    """Release the version `to`: one of STEPS (minor), or X.Y.Z. With `build`, publish the tag that is checked out."""
    old = current()
    if build:
        _check_clean()
        if tag(old) not in _git("tag", "--points-at", "HEAD").split():
            raise ReleaseError(f"what is checked out is not {tag(old)}", hint=f"git checkout {tag(old)}")
        publish(old)
        return
    new = following(old, to or "minor")
    changes = _check(new)
    bumped = dict(_bumped(old, new))
    if dry_run:
        console.say(f"would release {new} after {old}, as {tag(new)}, with what CHANGELOG.md says:\n\n{changes}\n")
        console.table(("file", "versions in it"), [(path, str(count)) for path, (_, count) in bumped.items()])
        return
    before = _git("rev-parse", "HEAD")
    for path, (text, _) in bumped.items():
        (paths.ROOT / path).write_text(text, encoding="utf-8")
    try:
        _git("commit", "--quiet", "--all", f"--message=Release {new}")
        publish(new)
    except BaseException:
        _git("reset", "--quiet", "--hard", before)  # the tree was clean before
        raise
    _git("tag", "--annotate", f"--message=mailrelay {new}", tag(new))
    console.good(f"{new} is committed and tagged; to publish it: git push origin {BRANCH} {tag(new)}")


def current() -> str:
    """The version that the relay's Makefile tells."""
    return versions.product()[0]


def tag(version: str) -> str:
    return f"v{version}"


def following(old: str, wanted: str) -> str:
    """The version after `old`: by one of STEPS, or the one that is wanted. Raise UsageError if that comes not after."""
    numbers = [int(number) for number in old.split(".")]
    if wanted in STEPS:
        place = STEPS.index(wanted)
        return ".".join(map(str, [*numbers[:place], numbers[place] + 1, *[0] * (2 - place)]))
    if not re.fullmatch(r"\d+\.\d+\.\d+", wanted):
        raise UsageError(f"--to: {wanted!r} is no version", hint=f"write {', '.join(STEPS)}, or a number like 1.2.3")
    if [int(number) for number in wanted.split(".")] <= numbers:
        raise UsageError(f"--to: {wanted} does not come after {old}", hint=f"write {', '.join(STEPS)}")
    return wanted


def publish(version: str) -> None:
    """Make the packages of the commit that is checked out, the feed, and the hashes of all these, in dist/."""
    built = [one for format in ("all", "deb") for one in minisdk.make(format=format, reproducible=True)]
    files = [one.path for one in minisdk.signed(built)]
    files += sorted(path for path in feed.make(keys.load(), reproducible=True).rglob("*") if path.is_file())
    sums = "".join(f"{hashes.digest(path)} *{path.relative_to(paths.DIST)}\n" for path in files)
    (paths.DIST / "sha256sums").write_text(sums)
    heading = rf"## {re.escape(version)}\b.*\n"
    (paths.DIST / "changes.md").write_text(f"{_section(heading)}\n")
    console.note(f"{paths.shown(paths.DIST)}/sha256sums has the hashes of {len(files)} files, changes.md what is new")


def _check(new: str) -> str:
    """What is new by the changelog. Raise ReleaseError for a checkout that no release can be made of."""
    _check_clean()
    branch = _git("branch", "--show-current")
    if branch != BRANCH:
        raise ReleaseError(
            f"releases are made on {BRANCH}, and this is {branch or 'no branch'}", hint=f"git switch {BRANCH}"
        )
    behind = proc.run(_argv("rev-list", "--count", "HEAD..@{upstream}"), check=False, errors=False).output.strip()
    if behind not in ("", "0"):
        raise ReleaseError(f"{BRANCH} lacks {behind} commits that its upstream has", hint="git pull")
    if _git("tag", "--list", tag(new)):
        raise ReleaseError(f"there is a tag {tag(new)} already", hint="choose another version")
    changes = _section(UNRELEASED)
    if not changes:
        raise ReleaseError("CHANGELOG.md says nothing below Unreleased", hint="say there what an owner would notice")
    return changes


def _check_clean() -> None:
    if not (paths.ROOT / ".git").exists():
        raise MissingError("this is no git checkout", hint="a release is made in a clone of the project")
    changed = [line[3:] for line in _git("status", "--porcelain").splitlines()]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ReleaseError(
            f"not committed: {', '.join(changed[:3])}{more}", hint="commit it, or put it aside: git stash"
        )


def _section(heading: str) -> str:
    """What the changelog says below the first heading that matches."""
    parts = re.split(f"(?m)^{heading}", (paths.ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), maxsplit=1)
    return parts[1].partition("\n## ")[0].strip() if len(parts) > 1 else ""


def _bumped(old: str, new: str) -> Iterator[tuple[str, tuple[str, int]]]:
    """Each file that changes: its text for the new version, and in how many places it has one."""
    # Pages and tests also name the one that comes after it, to upgrade to.
    later = {old: new, following(old, "patch"): following(new, "patch")}
    pattern = re.compile(rf"{BEFORE}({'|'.join(map(re.escape, later))})(?![.\w]*\d)")
    for path in _git("ls-files").splitlines():
        file = paths.ROOT / path
        if path.startswith(RECORDED) or file.is_symlink():
            continue
        try:
            before = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        text, count = pattern.subn(lambda place: place[1] + later[place[2]], before)
        if count:
            reset = re.sub(r"(?m)^(PKG_RELEASE:=)\d+", r"\g<1>1", text) if file.name == "Makefile" else text
            yield path, (reset, count)
    changelog = (paths.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = f"{UNRELEASED}\n## {new} ({datetime.date.today().isoformat()})\n"
    yield "CHANGELOG.md", (changelog.replace(UNRELEASED, heading, 1), 1)


def _argv(*words: str) -> list[str | Path]:
    return ["git", "-C", paths.ROOT, *words]


def _git(*words: str) -> str:
    return proc.run(_argv(*words), timeout=60.0).output.rstrip("\n")
