"""Values as people read them on a terminal: ages, sizes, moments, addresses. What came from a mail never goes out raw.

Knows nothing of where the values come from. Used by the commands, never by the relay itself.
"""

from __future__ import annotations

import codecs
import os
import sys
import time

from mailrelay.core.text import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def address(value: bytes) -> str:
    """Show an envelope address; the null sender is <>."""
    return escaped(value) or "<>"


def duration(seconds: float) -> str:
    """Show a duration: "45s", "3m 10s", "2h 5m", "4d 3h"."""
    left = max(int(seconds), 0)
    for place, (size, unit) in enumerate(_UNITS):
        if left >= size:
            smaller, name = _UNITS[place + 1] if place + 1 < len(_UNITS) else (1, "s")
            rest = left % size // smaller
            return f"{left // size}{unit}" + (f" {rest}{name}" if rest else "")
    return f"{left}s"


def size(count: int) -> str:
    """Show bytes: "912", "1.4K", "25.0M"."""
    if count < 1024:
        return str(count)
    value = count / 1024
    for unit in "KM":
        if value < 1000:
            return f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}G"


def in_bytes(number: int) -> str:
    """Show bytes in a sentence, where no column head says what they are: "912 bytes", "1.4K"."""
    return count(number, "byte") if number < 1024 else size(number)


def moment(seconds: float) -> str:
    """Show wall time in the machine's own time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def count(number: int, noun: str) -> str:
    """Show a number of things: "1 message", "2 messages"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def for_terminal(chunks: Iterable[bytes]) -> Iterator[str]:
    """Decode a mail with LF line ends for a terminal; escape whatever is not a character or a line end."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for chunk in chunks:
        yield escaped(decoder.decode(chunk), "\n\t")
    yield escaped(decoder.decode(b"", True), "\n\t")


def prepare_streams() -> None:
    """Let nothing be printed where a mail or a socket would be: the standard descriptors are open, text never fails."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # becomes the lowest free one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def complain(program: str, text: str) -> None:
    """Print one line on stderr."""
    sys.stdout.flush()
    print(f"{program}: {escaped(text)}", file=sys.stderr, flush=True)
