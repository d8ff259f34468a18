"""./inv release on a scratch clone: what it sets, commits, tags and builds, and what it refuses without a trace."""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from forge.core import paths
from forge.core.errors import ForgeError, UsageError
from forge.inv import release
from forge.packages import feed

from .checkouts import commit, git, use

COPIED = (".gitignore", "CHANGELOG.md", "README.md", "docs", "examples", "package")
OLD = release.current()
MADE = shutil.ignore_patterns("__pycache__")
NEW = release.following(OLD, "minor")
FILE = re.compile(rf"{re.escape(OLD)}-r?\d".encode())  # in the name of a package's file


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in COPIED:
        if (paths.ROOT / name).is_dir():
            shutil.copytree(paths.ROOT / name, folder / name, ignore=MADE, symlinks=True)
        else:
            shutil.copy(paths.ROOT / name, folder)
    changelog = folder / "CHANGELOG.md"
    changelog.write_text(f"# Changes\n\n## Unreleased\n\n- It is new.\n\n## {OLD}\n\n- It was new.\n")
    git(folder, "init", "--quiet")
    commit(folder)
    use(folder, monkeypatch)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "x")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "x@localhost")
    return folder


def state(folder: Path) -> tuple[str, str, str]:
    return git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain"), git(folder, "tag")


def verified(dist: Path) -> set[str]:
    """The names in dist/sha256sums, whose hashes are right."""
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "sha256sums"], cwd=dist, check=True)
    return {line.split(" *")[1] for line in (dist / "sha256sums").read_text().splitlines()}


def test_a_release_is_a_version_everywhere_a_dated_heading_a_commit_a_tag_and_what_is_published(clone: Path) -> None:
    release.run()
    assert git(clone, "log", "-1", "--format=%s") == f"Release {NEW}\n"
    assert git(clone, "describe", "--exact-match") == f"v{NEW}\n"
    assert git(clone, "status", "--porcelain") == ""
    for name in ("mailrelay", "luci-app-mailrelay"):
        assert f"\nPKG_VERSION:={NEW}\nPKG_RELEASE:=1\n" in (clone / "package" / name / "Makefile").read_text()
    files = [clone / path for path in git(clone, "ls-files").splitlines() if (clone / path).is_file()]
    assert [path for path in files if FILE.search(path.read_bytes())] == []
    next_one = release.following(NEW, "patch")
    assert f"/tmp/mailrelay_{next_one}-r1_all.ipk" in (clone / "docs/owner/OPENWRT.md").read_text(), "to upgrade to"
    heading = f"## Unreleased\n\n## {NEW} ({datetime.date.today()})\n\n- It is new.\n\n## {OLD}\n"
    assert heading in (clone / "CHANGELOG.md").read_text()
    names = verified(clone / "dist")
    assert {f"mailrelay_{NEW}-r1_all.ipk", f"mailrelay-{NEW}-r1.apk", f"mailrelay_{NEW}-1_all.deb"} <= names
    assert {"feed/opkg/Packages.sig", "feed/apk/packages.adb"} <= names
    assert (clone / "dist/changes.md").read_text() == "- It is new.\n"
    made = (clone / f"dist/mailrelay_{NEW}-r1_all.ipk").read_bytes()

    shutil.rmtree(clone / "dist")
    release.run(build=True)
    assert verified(clone / "dist") == names
    assert (clone / f"dist/mailrelay_{NEW}-r1_all.ipk").read_bytes() == made, "the tag gives the same bytes"
    (clone / "more").touch()
    commit(clone)
    with pytest.raises(release.ReleaseError, match=f"checked out is not v{NEW}"):
        release.run(build=True)


def test_a_dry_run_shows_the_places_and_the_changes_and_leaves_all_as_it_was(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(clone)
    release.run("major", dry_run=True)
    said = capsys.readouterr().out
    assert release.following(OLD, "major") in said and "- It is new." in said and "package/mailrelay/Makefile" in said
    assert state(clone) == before and not (clone / "dist").exists()


BEHIND = "git add -A; git commit -qm x; git branch upstream; git reset -q --hard HEAD~1; git branch -q -u upstream"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("touch more", "not committed: more"),
        ("git switch -q -c wip", "made on main, and this is wip"),
        (f"touch more; {BEHIND}", "lacks 1 commits"),
        (f"git tag v{NEW}", f"there is a tag v{NEW} already"),
        ("sed -i '/It is new/d' CHANGELOG.md; git commit -qam x", "says nothing below Unreleased"),
    ],
)
def test_a_checkout_in_another_state_is_refused_with_a_line(clone: Path, spoil: str, said: str) -> None:
    subprocess.run(["sh", "-ec", spoil], cwd=clone, check=True)
    before = state(clone)
    with pytest.raises(release.ReleaseError) as caught:
        release.run()
    assert said in caught.value.message and "\n" not in caught.value.message and caught.value.hint
    assert state(clone) == before


def test_a_release_that_cannot_be_built_leaves_no_commit(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ForgeError("no feed today")

    monkeypatch.setattr(feed, "make", fail)
    before = state(clone)
    with pytest.raises(ForgeError, match="no feed today"):
        release.run()
    assert state(clone) == before


@pytest.mark.parametrize(
    ("wanted", "new"), [("major", "2.0.0"), ("minor", "1.3.0"), ("patch", "1.2.4"), ("1.2.10", "1.2.10")]
)
def test_what_comes_after_a_version(wanted: str, new: str) -> None:
    assert release.following("1.2.3", wanted) == new


@pytest.mark.parametrize("wanted", ["1.2.3", "1.2.2", "1.2", "v2.0.0", "newest"])
def test_what_does_not_come_after_it(wanted: str) -> None:
    with pytest.raises(UsageError):
        release.following("1.2.3", wanted)
