"""What the owner is told: mail to the postmaster about failed mail, and the notify program for what mail cannot say.

Collected during one courier's life and sent once at its end. Never a bounce to the sender, never a notice about a
notice.
"""

from __future__ import annotations

import os

from mailrelay.core import clock, log
from mailrelay.courier.troubles import Troubles
from mailrelay.mail.body import Body
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.config.settings import Settings, Smarthost

_TIMEOUT = 30  # seconds that the notify program may take
# Beside the relay's folder, where a package has put one: it tells the system's own bus (ubus on OpenWrt).
_EVENT = os.path.abspath(f"{__file__}/../../../../event")
_REMIND = 86400.0  # seconds until the owner hears again of mail that is still stuck
_LISTED = 100  # failures spelt out in one notice
_HEAD = 4096  # bytes of the original shown in a notice


class Notices:
    """Collects during one courier's life; send() and stuck() at its end. carried_state, report: as a Courier's."""

    def __init__(
        self,
        settings: Settings,
        where: spool.Spool,
        carried_state: dict[str, list[str]],
        report: Callable[..., None],
    ) -> None:
        self._main = settings.main
        self._replaces_sender = bool(settings.main.sender or any(host.from_ for host in settings.smarthosts))
        self._spool = where
        self._troubles = Troubles(carried_state, report)
        self._failures: list[tuple[str, str, str, str]] = []
        self._head = b""
        self._count = 0

    def failed(self, message: spool.Message, recipient: bytes, answer: str, hint: str) -> None:
        """Note that a recipient will never be served. Say nothing of notices, nor of what leaves with no sender."""
        if message.envelope.notice or not (message.envelope.sender or self._replaces_sender):
            return
        self._count += 1
        if self._count > _LISTED:
            return
        if not self._failures:
            self._head = next(message.chunks(_HEAD), b"")
        self._failures.append(
            (message.id, _text(message.envelope.sender), _text(recipient), f"{answer}\n{hint}".strip())
        )

    def trouble(
        self, smarthost: Smarthost, stage: str, cause: str, answer: str, hint: str, sender: bytes = b""
    ) -> None:
        """Tell of a setting to mend, since mail waits for it. To be called whenever it is met.

        sender: the outgoing sender that it concerns alone.
        """
        told = self._troubles.note(
            _name(smarthost, sender),
            clock.boottime(),
            cause,
            answer,
            smarthost=smarthost.host,
            sender=_text(sender) if sender else "",
            advice=hint,
        )
        if told:
            self._notify(cause, SMARTHOST=smarthost.host, STAGE=stage, ANSWER=answer, ADVICE=hint)

    def mended(self, smarthost: Smarthost, cause: str = "", sender: bytes = b"", unless: str = "") -> None:
        """Tell that the setting is mended, of that cause if one is named. May be called whenever it works."""
        ended = self._troubles.end(_name(smarthost, sender), cause, unless)
        if ended:
            age = f"{clock.boottime() - ended.since:.0f}"
            self._notify("mended", SMARTHOST=ended.smarthost, CAUSE=ended.cause, ANSWER=ended.answer, AGE=age)

    def damaged(self, queue_id: str, reason: str) -> None:
        """Tell of a file in the spool that is no whole message."""
        if self._troubles.note(f"damaged {queue_id}", clock.boottime(), "damaged", f"{queue_id}: {reason}"):
            self._notify("damaged", ID=queue_id, ANSWER=reason)

    def disk(self, reason: str) -> None:
        """Tell of a disk that refuses to be read or written. To be called whenever it does."""
        if self._troubles.note("disk", clock.boottime(), "disk", reason):
            self._notify("disk", ANSWER=reason)

    def refused(self, client: str, reply: str, count: int) -> None:
        """Tell of a machine whose mail was not taken, so many times: by the next mail to the postmaster, too."""
        self._notify("refused", CLIENT=client, ANSWER=reply, COUNT=str(count))

    def send(self) -> list[str]:
        """Queue one mail to the postmaster about everything that failed. Return its id, if there was need for one."""
        if not self._failures:
            return []
        queue_id, _, recipient, answer = self._failures[0]
        queued = self._submit() if self._main.postmaster else []
        self._failures.clear()
        self._notify("failed", ID=queue_id, COUNT=str(self._count), RECIPIENT=recipient, ANSWER=answer)
        return queued

    def _submit(self) -> list[str]:
        postmaster = self._main.postmaster.encode()
        envelope = spool.Envelope(b"", [postmaster], "127.0.0.1", b"localhost", notice=True)
        try:
            return [self._spool.submit(envelope, [self._mail()])]
        except OSError as error:
            log.event("no-notice", log.ERROR, reason=error.strerror)
            return []

    def _mail(self) -> bytes:
        host = self._main.hostname
        lines = [
            "From: Mail relay",  # whose address is the smarthost's to say
            f"To: {self._main.postmaster}",
            f"Subject: {self._count} mail{'s' if self._count > 1 else ''} could not be delivered",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            "",
            f"The mail relay {host} could not deliver this mail and will not try again.",
            "It is kept for a while: 'mailrelay queue' lists it, 'mailrelay release ID' tries it again.",
            "",
        ]
        for queue_id, sender, recipient, answer in self._failures:
            lines += [f"{queue_id}  from {sender} to {recipient}", *(f"    {line}" for line in answer.splitlines()), ""]
        if self._count > len(self._failures):
            lines += [f"... and {self._count - len(self._failures)} more.", ""]
        lines += ["The first of them began like this:", ""]
        lines += [
            f"    {line}" for line in self._head.decode("utf-8", "replace").replace("\r", "\n").splitlines() if line
        ]
        return Body().wire("\n".join([*lines, ""]).replace("\0", "").encode())

    def stuck(self, told_at: float | None) -> float | None:
        """Tell of mail that waits longer than notify_after. Return when that was; 0 to forget it; None: no change."""
        if not self._main.notify and not os.path.exists(_EVENT):
            return None
        ids = self._spool.ids(spool.QUEUE)
        forget = None if told_at is None else 0.0
        for queue_id in ids:
            try:
                with self._spool.open(queue_id) as message:
                    age, answer = message.envelope.age(), message.answer
                    break
            except (OSError, spool.Busy, spool.Damaged):
                continue
        else:
            return forget
        if age < self._main.notify_after:
            return forget
        if told_at is not None and clock.boottime() < told_at + _REMIND:
            return None
        self._notify("stuck", ID=queue_id, COUNT=str(len(ids)), AGE=f"{age:.0f}", ANSWER=answer)
        return clock.boottime()

    def _notify(self, event: str, **facts: str) -> None:
        """Tell the system's bus and the owner's program."""
        _run(_EVENT, event, **facts)
        _run(self._main.notify, event, **facts)


def _run(program: str, event: str, **facts: str) -> None:
    """Run the program, if there is one, with the facts in its environment, as who we are, and not for long."""
    if not program or (program == _EVENT and not os.path.exists(program)):
        return
    import subprocess

    environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "MAILRELAY_EVENT": event}
    environment.update({f"MAILRELAY_{name}": value.replace("\0", "") for name, value in facts.items()})
    try:
        null = subprocess.DEVNULL
        done = subprocess.run([program], env=environment, stdin=null, stdout=null, stderr=null, timeout=_TIMEOUT)
        log.event("notified", event=event, program=program, code=done.returncode)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.event("not-notified", log.ERROR, event=event, program=program, error=type(error).__name__)


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


def _name(smarthost: Smarthost, sender: bytes) -> str:
    return f"smarthost {smarthost.name}" + (f" {_text(sender)}" if sender else "")


def _text(address: bytes) -> str:
    return address.decode("utf-8", "replace") or "<>"
