"""`compile` leaves bytecode that is used, that is never out of date, and that goes with its source."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.relay import SOURCE, relay_python


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "relay"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [relay_python(), "-B", "-I", "-S", str(copy), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_every_source_gets_bytecode_that_an_import_uses(copy: Path) -> None:
    assert run(copy, "compile").returncode == 0
    sources = {path.with_suffix("") for path in copy.rglob("*.py")}
    assert {path.parents[1] / path.name.split(".")[0] for path in copy.rglob("*.pyc")} == sources
    shown = subprocess.run(
        [relay_python(), "-B", "-v", "-I", "-S", str(copy), "--version"], capture_output=True, text=True, check=False
    )
    assert "matches" in shown.stderr and f"{copy}/mailrelay/cli/main.py" in shown.stderr


def test_bytecode_holds_no_docstrings_which_would_stay_in_memory(copy: Path) -> None:
    run(copy, "compile")
    [bytecode] = copy.rglob("mailrelay/core/__pycache__/ipc.*.pyc")
    assert b"encode_report" in bytecode.read_bytes()
    assert b"What the roles tell each other" not in bytecode.read_bytes()


def test_bytecode_of_an_older_source_is_never_run(copy: Path) -> None:
    run(copy, "compile")
    admin = copy / "mailrelay/cli/main.py"
    times = admin.stat()
    admin.write_text("def main(arguments):\n    print('the new code')\n    return 0\n")
    os.utime(admin, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(copy, "--version").stdout == "the new code\n"


def test_what_has_no_source_any_more_is_removed(copy: Path) -> None:
    (copy / "__pycache__").mkdir()
    stale = copy / "__pycache__" / "gone.cpython-39.pyc"
    stale.touch()
    assert run(copy, "compile").returncode == 0
    assert not stale.exists()


def test_a_folder_that_cannot_be_written_is_no_traceback(copy: Path) -> None:
    (copy / "__pycache__").touch()
    done = run(copy, "compile")
    assert done.returncode == 1
    assert "works without" in done.stderr and "Traceback" not in done.stderr
