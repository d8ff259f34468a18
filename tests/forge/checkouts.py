"""Checkouts in git for the tests of what is built: made, committed at a known time, and put in the place of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from forge.core import paths

WHEN = 1_700_000_000


def git(folder: Path, *words: str, when: int = WHEN) -> str:
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": f"@{when - 1000} +0000", "GIT_COMMITTER_DATE": f"@{when} +0000"}
    environment = {**os.environ, **who, **dates, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    argv = ["git", "-C", folder, "-c", "init.defaultBranch=main", *words]
    return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, when: int = WHEN) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x", when=when)


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "ROOT", folder)
    monkeypatch.setattr(paths, "PACKAGES", folder / "package")
    monkeypatch.setattr(paths, "DIST", folder / "dist")
