"""What tasks print: steps, notes and tables. Colours on a terminal, plain lines in a log.

All tasks print by this. Everything here may be called from several threads; each call writes whole lines. Errors are
not printed here but raised (errors.py). With --quiet only results are printed (say, table, good, bad), with --verbose
the programs that are run as well (trace). A task that was asked for JSON prints that alone on standard output, all else
goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

from forge.core import transcript
from forge.core.ticker import Ticker

if TYPE_CHECKING:
    from rich.console import Console

_lock = threading.RLock()
_verbosity = 0
_json = False
_tickers: list[Ticker] = []  # of the steps under way; the last one has the line


def set_up(*, verbosity: int = 0) -> None:
    """How much is printed: -1 results alone, 0, 1 what is run as well."""
    global _verbosity
    _verbosity = verbosity


def json_only() -> None:
    """From here on standard output is for result() alone: the task was asked for JSON."""
    global _json
    _json = True


def result(value: Any) -> None:
    """Print a task's result as JSON, if it was asked for."""
    if _json:
        print(json.dumps(value, indent=2, default=str), flush=True)


def _stream() -> TextIO:
    return sys.stderr if _json else sys.stdout


def is_terminal() -> bool:
    """Whether a person watches, on something that can move its cursor and show colours."""
    return _stream().isatty() and os.environ.get("TERM", "dumb") != "dumb"


@lru_cache(maxsize=2)
def _rich(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """One line or more, as it is; `style` (rich's: "bold", "red", "dim") counts on a terminal only."""
    transcript.detail(text)
    _print(text, style)


def _print(text: str, style: str) -> None:
    with _lock:
        if _tickers:
            _tickers[-1].clear()
        if style and is_terminal():
            _rich(_stream()).print(text, style=style, markup=False)
        else:
            print(text, file=_stream(), flush=True)


def _unless_quiet(text: str, style: str) -> None:
    transcript.detail(text)
    if _verbosity >= 0:
        _print(text, style)


def title(text: str) -> None:
    """Open a part of what a task does."""
    _unless_quiet(f"== {text}", "bold")


def trace(text: str) -> None:
    """What is of interest when something goes wrong: with --verbose only, and in no log."""
    if _verbosity > 0:
        _print(f"   | {text}", "dim")


def good(text: str) -> None:
    say(f" ok  {text}", "green")


def bad(text: str) -> None:
    say(f"FAIL {text}", "bold red")


def note(text: str) -> None:
    _unless_quiet(f"     {text}", "dim")


@contextmanager
def _ticking(text: str) -> Iterator[None]:
    if not is_terminal() or _verbosity != 0:
        yield
        return
    ticker = Ticker(text, _stream(), _lock)
    _tickers.append(ticker)
    try:
        yield
    finally:
        ticker.stop()
        _tickers.remove(ticker)


@contextmanager
def detail(now: Callable[[], str]) -> Iterator[None]:
    """Within it the line of the step that is under way ends with what `now` says; called from another thread."""
    if not _tickers:
        yield
        return
    ticker = _tickers[-1]
    before, ticker.detail = ticker.detail, now
    try:
        yield
    finally:
        ticker.detail = before


@contextmanager
def bar() -> Iterator[None]:
    """Within it the last line is a progress bar's."""
    tickers = list(_tickers)
    for ticker in tickers:
        ticker.give_way(1)
    try:
        yield
    finally:
        for ticker in tickers:
            ticker.give_way(-1)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Something that takes a while: said when it starts, and again, with its duration, when it is done."""
    started = time.monotonic()
    _unless_quiet(f" ..  {text}…", "dim")
    try:
        with _ticking(text):
            yield
    except KeyboardInterrupt:
        note(f"{text}: interrupted")
        raise
    except BaseException:
        bad(f"{text} ({seconds(time.monotonic() - started)})")
        raise
    _unless_quiet(f" ok  {text} ({seconds(time.monotonic() - started)})", "green")


def seconds(value: float) -> str:
    """A duration for people: 0.08 s, 4.2 s, 2 min 5 s."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns set wide enough for their longest cell; a cell that starts with FAIL is red on a terminal."""
    widths = [max(len(str(row[column])) for row in [heads, *rows]) for column in range(len(heads))]
    say("  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip(), "bold")
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        say(line, "red" if any(cell.startswith("FAIL") for cell in row) else "")
