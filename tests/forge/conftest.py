"""A checkout with the sample package, in git, for all that builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.packages import epoch

from .checkouts import commit, git, use
from .samples import copy_sample


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(epoch.VARIABLE, raising=False)
    monkeypatch.setattr(epoch, "_told", set())


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, in git, whose only package directory is the sample."""
    folder = tmp_path / "a check out"
    (folder / "package").mkdir(parents=True)
    copy_sample(folder / "package")
    (folder / ".gitignore").write_text("*.log\n/dist/\n")
    git(folder, "init", "-q")
    commit(folder)
    use(folder, monkeypatch)
    return folder
