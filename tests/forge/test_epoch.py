"""The time of a package's files, in every kind of checkout that people have: told where it is a guess, never a failure
unless the build is to be reproducible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forge.core import paths
from forge.packages import epoch, feed, minisdk, stage
from forge.packages.epoch import EpochError, UncommittedError

from .checkouts import WHEN, commit, git, use
from .samples import copy_sample

HEAD = WHEN + 100  # of a commit that did not touch the package


@pytest.fixture
def directory(checkout: Path) -> Path:
    """The package of a full clone whose last commit touched something else."""
    (checkout / "other").write_text("")
    (checkout / "forge").mkdir()
    (checkout / epoch.ARCHIVED).write_text("$Format:%ct$\n")
    shutil.copy(Path(__file__).resolve().parents[2] / ".gitattributes", checkout)
    commit(checkout, HEAD)
    return checkout / "package" / "sample"


# ---- a full clone ---------------------------------------------------------------------------------------------------


def test_the_time_is_that_of_the_last_commit_of_the_directory(
    checkout: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert epoch.of(directory) == epoch.of(directory, reproducible=True) == WHEN
    (directory / "data.txt").write_text("other\n")
    commit(checkout, WHEN + 200)
    assert epoch.of(directory) == WHEN + 200
    assert capsys.readouterr().out == ""


def test_the_environment_does_not_overrule_git(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert epoch.of(directory) == WHEN


def test_a_hook_of_another_repository_does_not_mislead(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / "index"))
    assert epoch.of(directory) == WHEN


def test_a_checkout_committed_in_another_repository_is_that_ones(
    checkout: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(checkout / ".git")
    git(tmp_path, "init", "-q")
    commit(tmp_path, WHEN + 300)
    assert epoch.of(directory) == WHEN + 300
    assert epoch.uncommitted(directory) == []


@pytest.mark.root
def test_a_checkout_of_another_user_is_asked_and_left_as_it_is(checkout: Path, directory: Path) -> None:
    for path in [checkout, *checkout.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    refused = subprocess.run(["git", "-C", directory, "log", "-1"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    (directory / "data.txt").touch()  # git would note the new time in its index
    assert epoch.of(directory) == WHEN
    assert epoch.uncommitted(directory) == []
    assert {path.lstat().st_uid for path in [checkout, *checkout.rglob("*")]} == {12345}


# ---- everything else ------------------------------------------------------------------------------------------------


def shallow(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(checkout.parent, "clone", "-q", "--depth=1", f"file://{checkout}", "shallow")
    use(checkout.parent / "shallow", monkeypatch)
    return paths.PACKAGES / "sample"


def uncommitted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copy_sample(checkout / "package", "new")


def archive(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target = checkout.parent / "around" / "archive"
    target.mkdir(parents=True)
    tar = subprocess.run(["git", "-C", checkout, "archive", "HEAD"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "--extract", f"--directory={target}"], check=True, input=tar)
    use(target, monkeypatch)
    return target / "package" / "sample"


def empty(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which nothing is committed yet."""
    directory = archive(checkout, monkeypatch)
    git(paths.ROOT, "init", "-q")
    return directory


def around(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive in another repository."""
    directory = archive(checkout, monkeypatch)
    outside = paths.ROOT.parent
    git(outside, "init", "-q")
    (outside / "file").write_text("")
    git(outside, "add", "file")
    git(outside, "commit", "-q", "-m", "x", when=WHEN - 500)
    return directory


def copy(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.rmtree(checkout / ".git")
    return checkout / "package" / "sample"


Case = Callable[[Path, pytest.MonkeyPatch], Path]
CHECKED_OUT = "that of the commit that is checked out"
ARCHIVED = "that of the commit that was archived"
CASES: dict[str, tuple[Case, int, str, str, str]] = {
    "a shallow clone": (shallow, HEAD, CHECKED_OUT, "this is a shallow clone", "git fetch --unshallow, or "),
    "a new directory": (uncommitted, HEAD, CHECKED_OUT, "it is in no commit yet", "commit it, or "),
    "a repository without a commit": (empty, HEAD, ARCHIVED, "does not have any commits yet", ""),
    "an archive": (archive, HEAD, ARCHIVED, "not a git repository", ""),
    "an archive in another repository": (around, HEAD, ARCHIVED, "it is no part of the git repository around it", ""),
    "a copy": (copy, epoch.RECORDED, "the one that is recorded", "not a git repository", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_where_git_cannot_tell_the_time_the_next_best_is_taken_and_told_once_but_for_the_environments(
    checkout: Path, directory: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, seconds, whose, reason, _ = CASES[case]
    directory = make(checkout, monkeypatch)
    assert epoch.of(directory) == epoch.of(directory) == seconds
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{epoch._utc(seconds)}, {whose}" in line
    assert reason in line
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    assert epoch.of(directory) == 12345


@pytest.mark.parametrize(
    "case", [case for case in CASES if case not in ("a new directory", "a repository without a commit")]
)
def test_a_reproducible_build_takes_no_next_best(
    checkout: Path, directory: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, _, _, reason, hint = CASES[case]
    directory = make(checkout, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["forge", "feed", "--url", "https://example.org/a b"])
    with pytest.raises(EpochError) as caught:
        epoch.of(directory, reproducible=True)
    assert reason in caught.value.message
    command = "./inv feed --url 'https://example.org/a b'"
    assert caught.value.hint.endswith(
        f"{hint}set SOURCE_DATE_EPOCH, in seconds since 1970: SOURCE_DATE_EPOCH=$(date +%s) {command}"
    )
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    assert epoch.of(directory, reproducible=True) == 12345


@pytest.mark.parametrize("task", [minisdk.run, minisdk.make, feed.run])
def test_a_reproducible_build_takes_nothing_uncommitted(directory: Path, task: Callable[..., object]) -> None:
    task(reproducible=True)
    (directory / "data.txt").write_text("other\n")
    with pytest.raises(UncommittedError, match=r"not committed: M package/sample/data\.txt"):
        task(reproducible=True)
    task()


def test_a_new_directory_is_uncommitted_for_a_reproducible_build(checkout: Path) -> None:
    with pytest.raises(UncommittedError, match=r"not committed: \?\? package/new/"):
        epoch.of(copy_sample(checkout / "package", "new"), reproducible=True)


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "٣", "99999999999999"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(EpochError, match="SOURCE_DATE_EPOCH is"):
        epoch.of(tmp_path)


def test_without_git_on_the_machine_the_next_best_is_taken(
    checkout: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = archive(checkout, monkeypatch)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "env").symlink_to(shutil.which("env") or "")
    monkeypatch.setenv("PATH", str(tools))
    assert epoch.of(directory) == HEAD
    assert "git is not on this machine" in capsys.readouterr().out


# ---- a repository around an archive ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", ["*\n", "*\n!*/\n", ""])
def test_the_repository_around_an_archive_decides_nothing(
    checkout: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: str
) -> None:
    """A home folder in git that ignores all it has not been told of is common."""
    directory = around(checkout, monkeypatch)
    (paths.ROOT.parent / ".gitignore").write_text(rules)
    assert epoch.ignored(directory) == set()
    assert epoch.uncommitted(directory) == []
    stage.copy(directory, tmp_path / "copy")
    assert (tmp_path / "copy" / "Makefile").exists()


def test_what_was_archived_gives_the_bytes_of_its_commit(
    checkout: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "data.txt").write_text("other\n")
    commit(checkout, HEAD)  # HEAD is what touched the package last: both know the same time
    made = [one.sha256 for one in minisdk.make()]
    archive(checkout, monkeypatch)
    assert [one.sha256 for one in minisdk.make()] == made
