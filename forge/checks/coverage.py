"""How many of the relay's lines its tests reach: coverage.py counts in the process that runs them, traced.py in those
that they start. checks.py measures the area relay so, on the Python that runs the tasks.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from forge.core import paths, proc

FLOOR = 90  # percent
FOLDER_VARIABLE = "MAILRELAY_REACHED"  # where traced.py writes; unset: nothing is measured
DATA = ".coverage"


def pytest() -> list[proc.Arg]:
    return [sys.executable, "-m", "coverage", "run", f"--source={paths.RELAY}", "-m", "pytest"]


def environment(folder: Path) -> dict[str, str]:
    """For pytest; whoever its tests start a relay as may write into `folder`."""
    folder.chmod(0o1777)
    return {"COVERAGE_FILE": str(folder / DATA), FOLDER_VARIABLE: str(folder)}


def relay(python: str, source: Path, *words: str) -> list[str]:
    """The command line of the relay in `source`, measured if the test is that starts it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    traced = [str(Path(__file__).with_name("traced.py")), folder] if folder else []
    return [python, "-I", "-S", *traced, str(source), *words]


def percent(folder: Path) -> float:
    """The share of lines that were reached; `coverage html --data-file` shows them from the cache's `coverage`."""
    from coverage import Coverage

    reached: dict[str, set[int]] = defaultdict(set)
    for notes in folder.glob("[0-9]*"):
        for line in notes.read_text().splitlines():
            number, _, file = line.partition(" ")
            reached[str(paths.RELAY / file)].add(int(number))
    shutil.copy(folder / DATA, paths.cache("coverage") / "relay")
    measured = Coverage(data_file=paths.cache("coverage") / "relay", source=[str(paths.RELAY)], config_file=False)
    measured.load()
    measured.get_data().add_lines(reached)  # and saves them
    return float(measured.report(file=io.StringIO()))
