"""How far a download is: a bar on a terminal, a plain line now and then elsewhere; and sizes as people read them.

fetch.py and debian_packages.py show their downloads with it, the cache, partial.py and report.py take size(). It
downloads nothing itself, and of several downloads at a time only one has the bar.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forge.core import console

EVERY = 10.0  # seconds between two plain lines

_on_screen = threading.Lock()  # of several downloads at once, one has the bar


@contextmanager
def bytes_of(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Hand out what is to be called with the bytes that are there by now. `total` is None if nobody said."""
    if console.is_terminal() and _on_screen.acquire(blocking=False):
        try:
            with console.bar(), _bar(label, total) as show:
                yield show
        finally:
            _on_screen.release()
    else:
        yield _lines(label, total)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("     {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


def _lines(label: str, total: int | None) -> Callable[[int], None]:
    said = time.monotonic()

    def show(done: int) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            console.note(f"{label}: {size(done)}" + (f" of {size(total)} ({100 * done // total} %)" if total else ""))

    return show


@contextmanager
def watched(label: str, total: int, there: Callable[[], int]) -> Iterator[None]:
    """As bytes_of, where somebody else's program brings them: `there` says how many, from time to time."""
    ended = threading.Event()
    with bytes_of(label, total) as show:

        def watch() -> None:
            while not ended.wait(0.2):
                show(min(there(), total))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def size(count: int) -> str:
    """Bytes for people: 812 B, 3.4 kB, 47.0 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
