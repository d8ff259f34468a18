"""What tasks print: steps, notes and tables. Colours on a terminal, plain lines in a log.

Everything here may be called from several threads; each call writes whole lines. Errors are not printed here but
raised (errors.py).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_lock = threading.RLock()


def is_terminal() -> bool:
    return sys.stdout.isatty()


@lru_cache(maxsize=1)
def _rich() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """One line or more, as it is; `style` (rich's: "bold", "red", "dim") counts on a terminal only."""
    with _lock:
        if style and is_terminal():
            _rich().print(text, style=style, markup=False)
        else:
            print(text, flush=True)


def title(text: str) -> None:
    """Opens a part of what a task does."""
    say(f"== {text}", "bold")


def good(text: str) -> None:
    say(f" ok  {text}", "green")


def bad(text: str) -> None:
    say(f"FAIL {text}", "bold red")


def note(text: str) -> None:
    say(f"     {text}", "dim")


@contextmanager
def step(text: str) -> Iterator[None]:
    """Something that takes a while: said when it starts, and again, with its duration, when it is done."""
    started = time.monotonic()
    say(f" ..  {text}…", "dim")
    try:
        yield
    except BaseException:
        bad(f"{text} ({seconds(time.monotonic() - started)})")
        raise
    good(f"{text} ({seconds(time.monotonic() - started)})")


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
