"""Takes the spool over at the supervisor's start and when it is to be another one: makes it, locks it against other
relays, has it recovered."""

from __future__ import annotations

import errno
import os
import select

from mailrelay.core import clock, ipc, log
from mailrelay.daemon import processes
from mailrelay.spool.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from mailrelay.config.settings import Plan

    Fork = Callable[[Callable[[], None]], int | None]
else:
    import _signal as signal  # as in processes

_RETRY = 1.0  # seconds until a spool that cannot be had is tried again
_LET_GO = 10.0  # seconds that an earlier instance's children have to end


class Custody:
    """The spool that the relay has. With its storage missing (not `at_hand`) all it does is to answer 452."""

    def __init__(self, plan: Plan) -> None:
        self.spool = Spool(plan.spool, plan.mount)
        self.at_hand = self.spool.at_hand()
        self.fault = ""  # why the one that it is to have cannot be had
        self._retry_due = 0.0

    def start(self, plan: Plan, signal_r: int, fork: Fork) -> bool:
        """Return whether the spool is ours, or false once TERM or INT has come. OSError: it cannot be ours."""
        return not self.at_hand or _take(self.spool, plan.owner, fork, signal_r)

    def next_due(self, plan: Plan) -> float:
        """Return when to have another spool: as soon as it is to be one, but for what could not be had just now."""
        return self._retry_due if self.is_outdated(plan) else ipc.NEVER

    def is_outdated(self, plan: Plan) -> bool:
        """Return whether the plan names another spool, or the storage of this one has come or gone."""
        where = self.spool
        return (plan.spool, plan.mount) != (where.root, where.mount) or where.at_hand() != self.at_hand

    def change(self, plan: Plan, fork: Fork) -> bool:
        """Have the spool that the plan names, as its storage is now. False if it cannot be had: all stays as it is."""
        self._retry_due = clock.boottime() + _RETRY
        new = Spool(plan.spool, plan.mount)
        at_hand = new.at_hand()
        try:
            if at_hand and not new.inherit_lock(self.spool):
                _take(new, plan.owner, fork)
        except OSError as error:
            fault = f"{error.filename}: {error.strerror}; until then mail waits in {self.spool.root}"
            if fault != self.fault:
                log.event("no-spool", log.ERROR, text=fault)
            self.fault = fault
            return False
        self.spool.unlock()
        self.spool, self.at_hand, self.fault = new, at_hand, ""
        log.event("spool", log.NOTICE, spool=new.root, storage="there" if at_hand else "missing")
        return True


def _take(where: Spool, owner: tuple[int, int] | None, fork: Fork, signal_r: int = -1) -> bool:
    """Make the spool ours. OSError, with a hint in its text, if that cannot be.

    With signal_r, wait for who has it now and for a process if there is none; false if TERM or INT ends that.
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
            text = f"belongs to uid {uid}; give it to the relay or use --spool"
            raise OSError(errno.EPERM, text, where.root) from None
    deadline = clock.boottime() + _LET_GO
    while not where.lock():
        if signal_r < 0 or clock.boottime() > deadline:
            raise OSError(errno.EBUSY, "another relay uses this spool; stop it or use --spool", where.root)
        if _told_to_end(signal_r, 0.1):
            return False

    def recover() -> None:
        processes.drop_rights(owner)
        where.prepare()

    while not (pid := fork(recover)):
        if signal_r < 0:
            where.unlock()
            raise OSError(errno.EAGAIN, "there is no process to make it ready", where.root)
        if _told_to_end(signal_r, processes.Scarcity.PAUSE):
            return False
    if os.waitpid(pid, 0)[1]:
        where.unlock()
        raise OSError(errno.EIO, "cannot be made ready; the log says why", where.root)
    return True


def _told_to_end(signal_r: int, wait: float) -> bool:
    """Return whether TERM or INT comes within `wait` seconds."""
    signals = os.read(signal_r, 64) if select.select([signal_r], [], [], wait)[0] else b""
    return signal.SIGTERM in signals or signal.SIGINT in signals
