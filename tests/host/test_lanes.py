"""The stages of ./inv test: all of them run, what was skipped is counted, and what failed gets a second try, told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from forge.checks import checks, runner
from forge.checks.runner import ChecksFailed, Outcome, Stage
from forge.core import paths
from forge.core.errors import MissingError

# Fails the first time it is run; what it leaves behind tells it of the first time.
FLAKY = """
from pathlib import Path
def test_flaky():
    mark = Path(__file__).with_name("mark")
    was = mark.exists()
    mark.touch()
    assert was
def test_sound(): pass
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))


def pytest_stage(name: str, folder: Path) -> Stage:
    return checks._pytest(name, [sys.executable, "-m", "pytest", "-c", os.devnull, folder], {}, None)


def test_one_failed_stage_fails_the_run_and_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    ran = []

    def stage(name: str, ok: bool) -> Stage:
        return Stage(name, lambda: ran.append(name) or Outcome(ok, output=f"why {name}"))  # type: ignore[func-returns-value]

    def broken() -> Outcome:
        raise MissingError("a tool is missing")

    with pytest.raises(ChecksFailed, match="failed: bad, broken"):
        runner.run([stage("bad", False), Stage("broken", broken), stage("good", True)])
    assert sorted(ran) == ["bad", "good"]
    output = capsys.readouterr().out
    assert "why bad" in output
    assert "a tool is missing" in output
    assert "why good" not in output


def test_skipped_tests_are_counted_by_reason_and_the_sum_of_all_stages_closes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_skipped(n): pytest.skip('no such disk')\n"
        "def test_run(): pass\n"
    )
    stages = [pytest_stage(name, tmp_path) for name in ("tests", "more")]
    runner.run(stages, ["Python 3.10 was not at hand: nobody has it"])
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert any(line.split() == ["2", "tests", "no", "such", "disk"] for line in lines)
    assert "Python 3.10 was not at hand: nobody has it" in lines
    assert lines[-1] == "2 passed, 0 failed, 4 skipped"


def test_what_passes_the_second_time_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_it.py").write_text(FLAKY)
    runner.run([pytest_stage("tests", tmp_path)])
    output = capsys.readouterr().out
    assert "at the second try:" in output and "test_it.py::test_flaky" in output
    assert output.rstrip().endswith("2 passed, 0 failed, 0 skipped")


def test_what_fails_twice_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_it.py").write_text("def test_broken(): assert 1 == 2\ndef test_sound(): pass\n")
    with pytest.raises(ChecksFailed):
        runner.run([pytest_stage("tests", tmp_path)])
    output = capsys.readouterr().out
    assert "assert 1 == 2" in output
    assert "1 failed" in output.rstrip().splitlines()[-1]


def test_what_fails_often_is_no_accident(capsys: pytest.CaptureFixture[str]) -> None:
    def never() -> Outcome:
        raise AssertionError("it is run again")

    many = [f"test_it.py::test_{number}" for number in range(runner.A_FEW + 1)]
    with pytest.raises(ChecksFailed):
        runner.run([Stage("tests", lambda: Outcome(False, failed=many), never)])
