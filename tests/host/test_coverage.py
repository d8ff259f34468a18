"""What ./inv test says of the relay's lines: those of forked, killed and other processes count, and too few are red."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from coverage import CoverageData

from forge.checks import checks, coverage, runner
from forge.core import paths

# 15 lines, of which two are not reached.
MAIN = """import _thread, os, sys, time
import part
assert sys.argv[1:] == ["word"]
os.fork() or part.end()
os.wait()
_thread.start_new_thread(part.go, ())
time.sleep(60)
"""
PART = """import os
def end():
    if os.getpid() == 1:
        print("not reached")
    os.kill(os.getpid(), 9)
    print("not reached")
def go():
    end()
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "__main__.py").write_text(MAIN)
    (folder / "part.py").write_text(PART)
    monkeypatch.setattr(paths, "RELAY", folder)
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "cache"))
    return folder


def test_lines_of_forked_and_killed_processes_and_of_threads_count(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = tmp_path / "reached"
    reached.mkdir()
    environment = coverage.environment(reached)
    CoverageData(environment["COVERAGE_FILE"]).add_lines({})
    monkeypatch.setenv(coverage.FOLDER_VARIABLE, environment[coverage.FOLDER_VARIABLE])
    (tmp_path / "link").symlink_to(source)
    done = subprocess.run(coverage.relay(sys.executable, tmp_path / "link", "word"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-9, "")
    assert coverage.percent(reached) == pytest.approx(100 * 13 / 15)
    monkeypatch.delenv(coverage.FOLDER_VARIABLE)
    assert coverage.relay("python3", source, "word") == ["python3", "-I", "-S", str(source), "word"]


@pytest.mark.parametrize("floor", [0, 1])
def test_too_few_lines_fail_the_stage_and_the_share_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], floor: int
) -> None:
    monkeypatch.setattr(coverage, "FLOOR", floor)
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text("def test_it(): pass\n")
    stage = checks.measured_tests(tests, ())
    if floor:
        with pytest.raises(runner.ChecksFailed):
            runner.run([stage])
    else:
        runner.run([stage])
    assert f"src 0.0 % of lines, floor {floor} %" in capsys.readouterr().out.splitlines()
