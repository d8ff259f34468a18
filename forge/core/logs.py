"""What tasks print and what their programs say, kept in files in dist/logs.

A Log is one file. kept() opens it for a task, and has console.py hand it every line that is printed meanwhile.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forge.core import console, paths, transcript
from forge.core.errors import ForgeError

KEPT = 8000  # lines that are searched for a cause


class Log:
    """A build's own words, in a file that stays. Called with each line while the build runs."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def __call__(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self._lines.append(line)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


@contextmanager
def kept(name: str) -> Iterator[Log]:
    """dist/logs/NAME.log with all that is printed meanwhile, and how it ended. Also a decorator of a task's run()."""
    path = paths.DIST / "logs" / f"{name}.log"
    try:
        log = Log(path)
    except OSError as error:  # a checkout that is not ours to write in: what does not need it goes on
        console.note(f"no log is kept: {paths.shown(path)}: {error.strerror}")
        log = Log(Path(os.devnull))
    with log, transcript.recorded(log):
        try:
            yield log
        except ForgeError as error:
            log(f"FAIL {error}")
            raise
        except KeyboardInterrupt:
            log("interrupted")
            raise
