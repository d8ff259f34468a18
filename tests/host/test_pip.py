"""pip finds the machine's index, and puts packages where the task wants them, whatever else the machine has set."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from forge.host import pip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip.conf of a machine that has an index of its own, and installs for the user."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://index.example/simple\nproxy = http://old.example\nquiet = 2\n"
        "[install]\nuser = true\nfind-links =\n    /srv/one\n    /srv/two\n"
        "[download]\nproxy = http://proxy.example:3128\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    return tmp_path


def test_what_reaches_the_index_is_kept_and_nothing_else(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PIP_CERT", "/etc/it's own.pem")
    done = subprocess.run([*pip.command(), "config", "list"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = {
        line for line in done.stdout.splitlines() if not line.startswith((":env:.config-file=", ":env:.no-input="))
    }
    assert lines == {
        ":env:.index-url='https://index.example/simple'",
        ":env:.proxy='http://proxy.example:3128'",
        ":env:.find-links='\\n/srv/one\\n/srv/two'",
        ':env:.cert="/etc/it\'s own.pem"',
    }


def test_a_package_lands_in_the_folder_that_was_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `user = true` pip would refuse --target."""
    argv = [*pip.command(), "install", "--dry-run", "--target", str(machine / "there"), "--no-index", "nothing"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "No matching distribution found for nothing" in done.stderr
    assert "--user" not in done.stderr
