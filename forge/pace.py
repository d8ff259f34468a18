"""How slow this machine is right now, so that deadlines hold on a busy or small one and still end what hangs.

Deadlines only: nothing waits because of it.
"""

from __future__ import annotations

import functools
import os
import time

from forge.errors import UsageError

VARIABLE = "MAILRELAY_PATIENCE"  # multiplies every deadline
REFERENCE = 0.025  # seconds that the work below takes on an idle core of 2024
ROUNDS = 300_000


@functools.lru_cache(maxsize=1)
def factor() -> float:
    """1 on a machine like ours, more on a slower or busier one; measured once, in a few hundredths of a second."""
    given = os.environ.get(VARIABLE, "1")
    try:
        patience = float(given)
    except ValueError:
        raise UsageError(
            f"{VARIABLE} is {given!r}", hint="it is a number: 3 makes every deadline three times as long"
        ) from None
    total = 0
    started = time.monotonic()
    for number in range(ROUNDS):
        total ^= number * number
    return max(1.0, min(20.0, (time.monotonic() - started) / REFERENCE)) * max(patience, 0.1)


def deadline(seconds: float) -> float:
    """The end on time.monotonic's clock of what takes a machine like ours at most `seconds`."""
    return time.monotonic() + seconds * factor()
