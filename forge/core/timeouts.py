"""How slow this machine is right now, so that deadlines hold on a busy or small one and still end what hangs.

The rooms servers, vm, demo and bench and the tests wait by it. It changes deadlines alone and delays nothing: wait()
returns as soon as what it waits for is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from forge.core.errors import UsageError

VARIABLE = "MAILRELAY_PATIENCE"  # multiplies every deadline
REFERENCE = 0.025  # seconds that the work below takes on an idle core of 2024
ROUNDS = 300_000
FRESH = 20.0  # seconds that a measurement counts: load comes and goes
MOST = 20.0

T = TypeVar("T")
_measured = (0.0, -FRESH)  # the factor, and when it was taken


def factor() -> float:
    """1 on a machine like ours, more on a slower or busier one: by a few hundredths of a second of work, and by how
    many programs want each of its processors."""
    global _measured
    if time.monotonic() - _measured[1] >= FRESH:
        total = 0
        started = time.monotonic()
        for number in range(ROUNDS):
            total ^= number * number
        speed = (time.monotonic() - started) / REFERENCE
        wanted = os.getloadavg()[0] / (os.cpu_count() or 1)
        _measured = (max(1.0, min(MOST, max(speed, wanted))), time.monotonic())
    return _measured[0] * _patience()


def deadline(seconds: float) -> float:
    """The end on time.monotonic's clock of what takes a machine like ours at most `seconds`."""
    return time.monotonic() + seconds * factor()


def wait(reached: Callable[[], T | None], end: float, failure: Callable[[], Exception], pause: float = 0.02) -> T:
    """Ask `reached` every `pause` seconds until it returns something true, and return that; raise what `failure` makes
    once time.monotonic's clock is past `end`."""
    while not (found := reached()):
        if time.monotonic() > end:
            raise failure()
        time.sleep(pause)
    return found


def _patience() -> float:
    given = os.environ.get(VARIABLE, "1")
    try:
        return max(float(given), 0.1)
    except ValueError:
        hint = "it is a number: 3 makes every deadline three times as long"
        raise UsageError(f"{VARIABLE} is {given!r}", hint=hint) from None
