"""Who writes down what a task prints: logs.py's files, handed each line by console.py.

lab/assemble.py and lab/package_state.py add what the programs say that they run. Nothing here prints or opens a file. A
thread has a context of its own, so that the images of one run, made several at a time, have their own lines each.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_logs: ContextVar[tuple[Callable[[str], None], ...]] = ContextVar("logs", default=())


@contextmanager
def recorded(log: Callable[[str], None]) -> Iterator[None]:
    """Hand each line that is printed in this context also to `log`."""
    token = _logs.set((*_logs.get(), log))
    try:
        yield
    finally:
        _logs.reset(token)


def detail(text: str) -> None:
    """For the log alone, if one is kept."""
    for log in _logs.get():
        log(text)


def command(*argv: str) -> None:
    """For the log alone: a program that is started; its output follows."""
    detail(f"$ {shlex.join(argv)}")
