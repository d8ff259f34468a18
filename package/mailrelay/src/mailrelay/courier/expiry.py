"""Failed mail that has been kept long enough goes. Called by the courier when it looks through the whole spool."""

from __future__ import annotations

import os

from mailrelay.core import clock, log
from mailrelay.spool import spool


def expire_failed(where: spool.Spool, lifetime: int) -> float | None:
    """Delete failed mail that has been kept long enough. Return the seconds until the next look; None: none is left."""
    soonest: float | None = None
    for queue_id in where.ids(spool.FAIL):
        path = where.path(spool.FAIL, queue_id)
        try:
            changed = os.stat(path, follow_symlinks=False).st_mtime
            known = clock.trusted() and changed >= clock.EARLIEST
            left = lifetime - (clock.wall() - changed) if known else 86400.0
            if left <= 0:
                os.unlink(path)
                log.event("expired", id=queue_id, text="failed mail, kept long enough")
                continue
        except OSError:
            continue
        left = min(max(left, 60.0), 86400.0)
        soonest = left if soonest is None else min(soonest, left)
    return soonest
