"""What the owner is told, by mail to the postmaster, by the system's bus and by the program `notify`.

Mail is collected during one courier's life and sent once at its end. Never a bounce to the sender, never a notice about
a notice. `troubles` decides when, `notice_mail` has the words.
"""

from __future__ import annotations

import os
import signal
import time

from mailrelay.core import clock, ipc, log
from mailrelay.courier import notice_mail
from mailrelay.courier.explain import Advice
from mailrelay.courier.troubles import Troubles
from mailrelay.spool import spool
from mailrelay.spool.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mailrelay.config.settings import Main, Settings, Smarthost
    from mailrelay.courier.notice_mail import Section
    from mailrelay.courier.troubles import Trouble

_TIMEOUT = 30  # seconds that the notify program may take
# Beside the relay's folder, where a package has put one: it tells the system's own bus (ubus on OpenWrt).
_EVENT = os.path.abspath(f"{__file__}/../../../../event")
_HOUR = 3600.0
_NOTICES = 5  # of failed mail in an hour; what fails after these is told of in one more, at its end
_HEAD = 4096  # bytes of the original shown in a notice
_CLOCK_CAUSES = ("cert-expired", "cert-not-yet-valid")  # a clock that is not set yet has them, too
_FORGOTTEN = 86400.0  # seconds after which a sender that sends no more is no trouble any more
_OURS = ("451", "452")  # of the replies to a machine: what may be the disk's fault
_DAMAGED, _DISK, _STUCK, _REFUSED = "damaged", "disk", "stuck", "refused"
_DISK_ADVICE = Advice(
    "Look at the storage that the spool lies on (dmesg, mount, df): make room, mount it to be written again, or replace"
    " it. Until then mail may be refused, wait, or go out twice.",
    _DISK,
)


class Notices:
    """Collects during one courier's life; settle(), stuck() and send() at its end. report: Courier.report."""

    def __init__(
        self,
        settings: Settings,
        where: spool.Spool,
        carried_state: dict[str, list[str]],
        report: Callable[..., None],
    ) -> None:
        self._main = settings.main
        self._replaces_sender = bool(settings.main.sender or any(host.from_ for host in settings.smarthosts))
        self._names = {host.name for host in settings.smarthosts}
        self._spool = where
        self._report = report
        words = (
            *carried_state.get(ipc.FAILED, ()),
            *("", "0", "0", "0", "0")[len(carried_state.get(ipc.FAILED, ())) :],
        )
        self._earlier, self._earlier_count = words[0], int(words[1])
        self._hour, self._told, self._held = float(words[2]), int(words[3]), int(words[4])
        self.unheard = (
            ""  # the name of a smarthost that is not told of: a second courier meets it as the first one does
        )
        self._troubles = Troubles(carried_state, report)
        self._failures = notice_mail.Failures()
        self._settings: list[Trouble] = []  # told of in this life, and still there
        self._sections: list[Section] = []

    # To be called at any time.

    def failed(self, message: spool.Message, recipient: bytes, answer: str, hint: str) -> None:
        """Note that a recipient will never be served. Say nothing of notices, nor of what leaves with no sender."""
        envelope = message.envelope
        if envelope.notice or not (envelope.sender or self._replaces_sender):
            return
        if not self._failures.count:
            self._failures.head = next(message.chunks(_HEAD), b"")
        self._failures.add(message.id, _text(envelope.sender), _text(recipient), f"{answer}\n{hint}".strip())

    def trouble(
        self,
        smarthost: Smarthost,
        stage: str,
        cause: str,
        answer: str,
        hint: Advice,
        sender: bytes | None = None,
        queue_id: str = "",
    ) -> None:
        """Tell of a setting to mend, since mail waits for it. To be called whenever it is met.

        sender: the outgoing sender that it concerns alone. queue_id: of the message that was refused.
        """
        if smarthost.name == self.unheard:
            return
        waits = cause in _CLOCK_CAUSES and not clock.trusted()
        alone = "" if sender is None else _text(sender)
        told = self._troubles.note(
            _name(smarthost, sender),
            clock.boottime(),
            cause,
            answer,
            smarthost=smarthost.host,
            sender=alone,
            message=queue_id,
            advice=hint,
            patience=self._main.notify_after if waits else 0.0,
        )
        if told:
            self._settings.append(told)
            self._notify(cause, SMARTHOST=smarthost.host, STAGE=stage, ANSWER=answer, ADVICE=hint, SENDER=alone)

    def mended(
        self, smarthost: Smarthost, cause: str = "", sender: bytes | None = None, unless: str = "", taken: str = ""
    ) -> None:
        """Tell that the setting is mended, of that cause if one is named. May be called whenever it works.

        taken: the queue id of the message that shows it. While another one waits that was refused, it shows nothing;
        what it was refused for itself is mended, whoever it is from by now.
        """
        if smarthost.name == self.unheard:
            return
        own = _name(smarthost, sender)
        for name, trouble in list(self._troubles.known.items()):
            met_by = trouble.message
            if name == own and (met_by in ("", taken) or not self._is_queued(met_by)):
                self._over(self._troubles.end(name, cause, unless))
            elif taken and met_by == taken and name.startswith(f"{_name(smarthost, None)} "):
                self._over(self._troubles.end(name))

    def damaged(self, queue_id: str, reason: str) -> None:
        """Tell of a file in the spool that is no whole message."""
        if self._troubles.note(f"{_DAMAGED} {queue_id}", clock.boottime(), _DAMAGED, f"{queue_id}: {reason}"):
            self._sections.append(notice_mail.damaged(queue_id, reason))
            self._notify(_DAMAGED, ID=queue_id, ANSWER=reason)

    def disk(self, reason: str) -> None:
        """Tell of a disk that refuses to be read or written. To be called whenever it does."""
        if self._troubles.note(_DISK, clock.boottime(), _DISK, reason, advice=_DISK_ADVICE):
            self._sections.append(notice_mail.disk(reason, _DISK_ADVICE))
            self._notify(_DISK, ANSWER=reason, ADVICE=_DISK_ADVICE)

    def refused(self, client: str, reply: str, count: int, advice: str = "") -> None:
        """Tell of a machine whose mail was not taken, so many times; or of the disk, if that is why."""
        broken = self._write_error() if reply.startswith(_OURS) else ""
        if broken:
            self.disk(broken)
            return
        self._sections.append(notice_mail.refused(client, reply, count, advice))
        self._notify(_REFUSED, CLIENT=client, ANSWER=reply, COUNT=str(count), ADVICE=advice)

    # At the end.

    def settle(self) -> float:
        """End the troubles that are over without anybody's telling. Return when to look again."""
        now, due = clock.boottime(), ipc.NEVER
        for name, trouble in list(self._troubles.known.items()):
            kind, _, rest = name.partition(" ")
            if kind == _DISK:
                again = trouble.last + 2 * self._main.retry_max  # what it refused has been tried again by then
                if now < again:
                    due = again
                elif error := self._write_error():
                    self.disk(error)
                    due = now + 2 * self._main.retry_max
                else:
                    self._over(self._troubles.end(name))
            elif kind == _DAMAGED:
                if not any(os.path.lexists(self._spool.path(state, rest)) for state in spool.STATES):
                    self._troubles.end(name)
            elif kind == "smarthost":
                section = rest.partition(" ")[0]
                if section not in self._names or (trouble.sender and now >= trouble.last + _FORGOTTEN):
                    self._troubles.end(name)
        return due

    def send(self, *, way_open: bool) -> list[str]:
        """Queue one mail to the postmaster about everything. Return its id, if there was need for one.

        way_open: a smarthost may be tried that a notice can go through. Else the settings to be mended are told of once
        they are.
        """
        sections = list(self._sections)
        waiting = len(self._spool.ids(spool.QUEUE))
        settings = [trouble for trouble in self._settings if way_open and not self._is_queued(trouble.notice)]
        sections[:0] = [notice_mail.setting(trouble, waiting) for trouble in settings]
        replaced = self._earlier if not way_open and self._is_queued(self._earlier) else ""
        failures = self._failures.count + self._held
        if failures and not self._hold(bool(replaced)):
            self._failures.earlier = self._held + (self._earlier_count if replaced else 0)
            sections.insert(0, self._failures.section())
        else:
            failures = 0
        queued = self._submit(sections) if sections and self._main.postmaster else []
        if queued:
            self._troubles.noticed(settings, queued[0])
            if failures:
                self._replace(replaced, queued[0] if len(sections) == 1 else "")
        self._tell_failed()
        self._settings, self._sections, self._failures = [], [], notice_mail.Failures()
        return queued

    def stuck(self) -> None:
        """Tell of mail that waits longer than notify_after."""
        oldest = self.oldest()
        if oldest is None or oldest[1] < self._main.notify_after:
            ended = self._troubles.end(_STUCK)
            if not self._failures.count:  # given up is not mended
                self._over(ended)
            return
        queue_id, age, answer = oldest
        now, count = clock.boottime(), len(self._spool.ids(spool.QUEUE))
        if self._troubles.note(_STUCK, now, _STUCK, answer, since=now - age):
            self._notify(_STUCK, ID=queue_id, COUNT=str(count), AGE=f"{age:.0f}", ANSWER=answer)

    def oldest(self) -> tuple[str, float, str] | None:
        """Return id, age and last answer of the oldest mail that can be read. Takes no lock and writes nothing."""
        for queue_id in self._spool.ids(spool.QUEUE):
            try:
                with Message(self._spool, spool.QUEUE, queue_id, lock=False) as message:
                    return queue_id, message.envelope.age(), message.answer
            except (OSError, spool.Damaged):
                continue
        return None

    def _over(self, trouble: Trouble | None) -> None:
        """Tell that a trouble is over that the owner was told of."""
        if trouble is None:
            return
        if trouble in self._settings:
            self._settings.remove(trouble)
        if trouble.cause != _STUCK:
            self._sections.append(notice_mail.mended(trouble, len(self._spool.ids(spool.QUEUE))))
        cause, host, sender, answer = trouble.cause, trouble.smarthost, trouble.sender, trouble.answer
        age = f"{clock.boottime() - trouble.since:.0f}"
        self._notify("mended", CAUSE=cause, SMARTHOST=host, SENDER=sender, ANSWER=answer, AGE=age)

    def _is_queued(self, queue_id: str) -> bool:
        return bool(queue_id) and os.path.lexists(self._spool.path(spool.QUEUE, queue_id))

    def _write_error(self) -> str:
        """Write to the spool's disk. Return what that says, "" if it takes it."""
        draft = spool.Draft(self._spool, notice_envelope(self._main))
        try:
            draft.write([])
            return ""
        except OSError as error:
            return error.strerror or type(error).__name__
        finally:
            draft.discard()

    def _submit(self, sections: list[Section]) -> list[str]:
        mail = notice_mail.compose(self._main.hostname, self._main.postmaster, sections)
        try:
            return [self._spool.submit(notice_envelope(self._main), [mail])]
        except OSError as error:
            log.event("no-notice", log.ERROR, reason=error.strerror)
            return []

    def _replace(self, earlier: str, queue_id: str) -> None:
        """Withdraw an earlier notice of failures, if there is one, and let the next one replace this one, if it has an
        id: while none can go out, one is enough.
        """
        self._earlier, self._earlier_count = queue_id, self._failures.count + self._failures.earlier
        self._told, self._held = self._told + (not earlier), 0
        self._keep_failed()
        if earlier:
            try:
                with self._spool.open(earlier) as message:
                    message.delete()
            except (OSError, spool.Busy, spool.Damaged):
                pass

    def _hold(self, replaces: bool) -> bool:
        """Return whether failures are counted only: what tells of each would use up what the account may send."""
        now = clock.boottime()
        if not self._hour <= now < self._hour + _HOUR:
            self._hour, self._told = now, 0
        if replaces or self._told < _NOTICES:
            return False
        self._held += self._failures.count
        self._keep_failed()
        return True

    def held_until(self) -> float:
        """Return when failures are to be told of that were counted only."""
        return self._hour + _HOUR if self._held else ipc.NEVER

    def _keep_failed(self) -> None:
        numbers = (self._earlier_count, f"{self._hour:.3f}", self._told, self._held)
        self._report("remember", ipc.FAILED, self._earlier, *map(str, numbers))

    def _tell_failed(self) -> None:
        if self._failures.count:
            queue_id, _, recipient, answer = self._failures.listed[0]
            count = str(self._failures.count)
            self._notify("failed", ID=queue_id, COUNT=count, RECIPIENT=recipient, ANSWER=answer)

    def _notify(self, event: str, **facts: str) -> None:
        """Tell the system's bus and the owner's program."""
        _run(_EVENT, event, **facts)
        _run(self._main.notify, event, **facts)


def _run(program: str, event: str, **facts: str) -> None:
    """Run the program, if there is one, with the facts in its environment, as who we are, and not for long.

    Without the package subprocess: it costs a courier a megabyte, and was not loaded while we still had the right to.
    """
    if not program or (program == _EVENT and not os.path.exists(program)):
        return
    environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "MAILRELAY_EVENT": event}
    environment.update({f"MAILRELAY_{name}": value.replace("\0", "") for name, value in facts.items()})
    nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    try:
        pid = os.posix_spawn(program, [program], environment, file_actions=nothing, setsigdef=[signal.SIGPIPE])
        log.event("notified", event=event, program=program, code=_wait(pid))
    except OSError as error:
        log.event("not-notified", log.ERROR, event=event, program=program, error=type(error).__name__)


def _wait(pid: int) -> int:
    """Return the exit code of a child. TimeoutError if it takes too long and was killed."""
    until = time.monotonic() + _TIMEOUT
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(ended[1])


def notice_envelope(main: Main) -> spool.Envelope:
    """Return that of a mail to the postmaster. Each smarthost puts a sender of its own in the null sender's place."""
    return spool.Envelope(b"", [main.postmaster.encode()], "127.0.0.1", b"localhost", notice=True)


def _name(smarthost: Smarthost, sender: bytes | None) -> str:
    return f"smarthost {smarthost.name}" + ("" if sender is None else f" {_text(sender)}")


def _text(address: bytes) -> str:
    return address.decode("utf-8", "replace") or "<>"
