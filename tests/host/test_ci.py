"""What a forge's CI, pre-commit and .ci/run call is there: tasks that the grammar takes, with their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import tasks  # noqa: F401 - declares them
from forge.core import cli
from forge.core.commandline import parse
from forge.core.paths import ROOT

FILES = [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml", ROOT / ".ci" / "run"]
CALL = re.compile(r"^\s*(?:-?\s*(?:run|entry):\s*)?(\./inv .*)$", re.MULTILINE)


def test_something_is_called() -> None:
    called = {words.split()[-1] for path in FILES for words in CALL.findall(path.read_text())}
    assert {"lint", "test", "--build", "--check"} <= called


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_called_is_understood(path: Path) -> None:
    for line in CALL.findall(path.read_text()):
        for call in parse(shlex.split(line)[1:], cli.COMMANDS).calls:
            call.settings()
    for name in re.findall(r"run: (\.ci/\w+)", path.read_text()):
        assert (ROOT / name).exists()
