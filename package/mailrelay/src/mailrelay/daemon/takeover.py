"""Takes the spool over at the supervisor's start: makes it, locks it against other relays, has it recovered."""

from __future__ import annotations

import os
import select

from mailrelay.core import clock, log
from mailrelay.daemon import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from mailrelay.spool.spool import Spool
else:
    import _signal as signal  # as in processes

_LET_GO = 10.0  # seconds that an earlier instance's children have to end


def take(
    where: Spool, owner: tuple[int, int] | None, signal_r: int, fork: Callable[[Callable[[], None]], int | None]
) -> bool:
    """Return whether the spool is ours now; why not is logged. TERM and INT end every wait.

    `fork` returns None where the machine has no process for us now.

    Recovered by its owner, in a child, because root trusts nothing in there.
    """
    try:
        os.makedirs(os.path.dirname(where.root), exist_ok=True)
        os.mkdir(where.root, 0o700)
        if owner:
            os.chown(where.root, *owner)
    except FileExistsError:
        uid = os.stat(where.root).st_uid
        if uid != (owner[0] if owner else os.geteuid()):
            return _failed(where, f"belongs to uid {uid}; give it to the relay or use --spool")
    deadline = clock.boottime() + _LET_GO
    while not where.lock():
        if clock.boottime() > deadline:
            return _failed(where, "another relay uses this spool; stop it or use --spool")
        if _told_to_end(signal_r, 0.1):
            return False

    def recover() -> None:
        processes.drop_rights(owner)
        where.prepare()

    while not (pid := fork(recover)):
        if _told_to_end(signal_r, processes.Scarcity.PAUSE):
            return False
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _told_to_end(signal_r: int, wait: float) -> bool:
    """Return whether TERM or INT comes within `wait` seconds."""
    signals = os.read(signal_r, 64) if select.select([signal_r], [], [], wait)[0] else b""
    return signal.SIGTERM in signals or signal.SIGINT in signals


def _failed(where: Spool, reason: str) -> bool:
    log.event("failed", log.ERROR, reason=f"{where.root}: {reason}")
    return False
