"""The supervisor: binds the ports, starts and reaps listener and courier, writes the status file.

Single-threaded; root where it was started as root; reads nothing from the network and parses no secret. What children
say to it is taken as text from a stranger. Called by `serve`.
"""

from __future__ import annotations

import gc
import os
import select

from mailrelay.config import settings
from mailrelay.core import clock, counters, log, paths
from mailrelay.core.net import Net
from mailrelay.core.version import VERSION
from mailrelay.daemon import address_watch, processes, status_file
from mailrelay.listener.sockets import ListenSockets, show
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Any
else:
    import _signal as signal  # signal and socket would cost a megabyte for their enums

_STOP = 3.5  # seconds that children have to end
_TAKEOVER = 10.0  # seconds that an earlier instance's children have to let go of the spool
_STATUS = 1.0  # seconds between two writes of the status file, at least
_HEARTBEAT = 10.0  # seconds without any event after which counters are looked at
_UNAVAILABLE = 69  # sysexits.h


def main(arguments: list[str]) -> int:
    """`mailrelay serve`: returns the exit code."""
    plan = processes.load(arguments)
    if isinstance(plan, int):
        return plan
    log.setup(plan["log"])
    if not plan["public"]["main"]["enabled"]:
        log.event("switched-off", log.NOTICE, config=plan["config"], text="option enabled is '0' in section 'main'")
        return 0
    try:
        return Supervisor(arguments, plan).run()
    except OSError as error:
        log.event("failed", log.ERROR, reason=f"{error.filename or 'start'}: {error.strerror}")
        return _UNAVAILABLE


class Supervisor:
    """One running relay."""

    def __init__(self, arguments: list[str], plan: dict[str, Any]) -> None:
        self.arguments = arguments
        self.plan = plan
        self.spool = spool.Spool(plan["spool"], plan["mount"])
        self.at_hand = self.spool.at_hand()  # with the spool's storage missing, all it does is to answer 452
        self.counters = counters.counters()
        self.seen = self.counters.tolist()
        self.doors = ListenSockets()
        self.moves = address_watch.AddressWatcher(plan.get("follow"))
        self.listener = 0  # pids; 0: none
        self.courier = 0
        self.retired: set[int] = set()
        self.listener_due = 0.0  # when the next one may be started
        self.courier_due = 0.0
        self.crashes = 0  # of the courier, in a row
        self.scan_due: float | None = None  # when the queue wants a courier that looks through it; None: never
        self.blocked_until = 0.0  # before then no smarthost is to be tried
        self.flushing = False
        self.asked: list[str] = []  # queue ids that the owner wants to be tried now
        self.memory: dict[str, list[str]] = {}  # what couriers leave for their successors
        self.report = b""  # the running courier's words that are not a line yet
        self.told = False  # it has said when the queue is due again
        self.last: dict[str, Any] = {"success": None, "failure": None}
        self.stamp: list[int] = []
        self.refused = ""  # why newer settings are not in force
        self.started = clock.wall()
        self.day = counters.Day(self.seen, self.started)
        self.status_due = 0.0
        self.dirty = True
        self.stopping = 0.0

    # Start.

    def run(self) -> int:
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.lifeline_r, self.lifeline_w = os.pipe2(os.O_CLOEXEC)
        self.report_r, self.report_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.signal_r, self.signal_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.signal_w, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        if not self.at_hand:
            text = "nothing is mounted there; all mail is refused for now"
            log.event("no-spool", log.ERROR, mount=self.plan["mount"], text=text)
        elif not self.take_spool():
            return _UNAVAILABLE
        self.adopt()
        self.control = status_file.open_control(self.plan["run_dir"])
        self.doors.bind(self.plan["listen"])
        if not self.doors.open:
            log.event("failed", log.ERROR, reason="there is no address to listen on")
            return _UNAVAILABLE
        processes.raise_limits(self.plan["public"]["main"]["max_connections"])
        log.event(
            "started",
            log.NOTICE,
            version=VERSION,
            listen=",".join(self.doors.names()),
            allow=",".join(self.plan["allow"]) or "loopback only",
            spool=self.plan["spool"],
            smarthosts=",".join(self.plan["smarthosts"]) or "none",
        )
        self.warn()
        gc.collect()
        gc.freeze()
        return self.loop()

    def take_spool(self) -> bool:
        """Make, lock and recover the spool; only the last as its owner, because root trusts nothing in there."""
        path = self.plan["spool"]
        owner = self.plan["owner"]
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mkdir(path, 0o700)
            if owner:
                os.chown(path, *owner)
        except FileExistsError:
            uid = os.stat(path).st_uid
            if uid != (owner[0] if owner else os.geteuid()):
                log.event(
                    "failed", log.ERROR, reason=f"{path}: belongs to uid {uid}; give it to the relay or use --spool"
                )
                return False
        deadline = clock.boottime() + _TAKEOVER
        while not self.spool.lock():
            if clock.boottime() > deadline:
                log.event("failed", log.ERROR, reason=f"{path}: another relay uses this spool; stop it or use --spool")
                return False
            told = os.read(self.signal_r, 64) if select.select([self.signal_r], [], [], 0.1)[0] else b""
            if signal.SIGTERM in told or signal.SIGINT in told:
                return False

        def prepare() -> None:
            self.drop_rights()
            self.spool.prepare()

        pid = self.fork(prepare)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            return False
        if any(status_file.census(path)[0].values()) or not os.access(f"{path}/{spool.QUEUE}", os.R_OK):  # or who knows
            self.scan_due = 0.0
        return True

    def adopt(self) -> None:
        """The config that the plan was made from is the courier's from now on."""
        path = f"{self.plan['run_dir']}/{paths.ACCEPTED_CONFIG}"
        os.rename(f"{path}.new", path)

    def warn(self) -> None:
        for warning in self.plan["warnings"]:
            log.event("warning", log.WARNING, text=warning)

    # Children.

    def fork(self, run: Callable[[], None], *not_theirs: int) -> int:
        """Run a role in a child. It drops its rights and watches the lifeline."""
        return processes.fork(run, (self.lifeline_w, self.signal_r, self.signal_w, *not_theirs))

    def drop_rights(self) -> None:
        processes.drop_rights(self.plan["owner"])

    def start_listener(self) -> None:
        self.listener = self.fork(self.run_listener, self.control, self.wake_r, self.report_r, self.report_w)
        self.listener_due = clock.boottime() + 1.0
        self.dirty = True

    def run_listener(self) -> None:
        from mailrelay.listener import listener

        self.drop_rights()
        listener.Listener(
            settings.restore(self.plan["public"]),
            [Net.parse(net) for net in self.plan["allow"]],
            self.doors.sockets(),
            self.spool,
            self.counters,
            self.wake_w,
            self.lifeline_r,
        ).run()

    def delivers(self) -> bool:
        return self.at_hand and bool(self.plan["smarthosts"])

    def wants_courier(self, now: float) -> bool:
        """True when mail is due: told by a pipe, by the last courier, or by the owner."""
        if self.courier or self.stopping or not self.delivers() or now < self.courier_due:
            return False
        if self.flushing:
            return True
        if self.scan_due is not None and now >= self.scan_due:
            return True
        if now < self.blocked_until:
            return False
        if self.counters[counters.OVERFLOW]:
            self.scan_due = 0.0
            return True
        return bool(select.select([self.wake_r], [], [], 0)[0])

    def start_courier(self, now: float) -> None:
        scan = self.flushing or (self.scan_due is not None and now >= self.scan_due)
        flush, self.flushing = self.flushing, False
        if scan:
            self.scan_due = None
            self.counters[counters.OVERFLOW] = 0
        if flush:
            self.memory = processes.without_hosts(self.memory)
        self.report = b""
        self.told = False

        def run() -> None:
            from mailrelay.courier import courier

            for door in self.doors.sockets():
                door.close()
            courier.run(
                processes.accepted_settings(f"{self.plan['run_dir']}/{paths.ACCEPTED_CONFIG}"),
                self.spool,
                self.counters,
                wake=self.wake_r,
                report=self.report_w,
                lifeline=self.lifeline_r,
                carried_state=self.memory,
                drop_rights=self.drop_rights,
                scan=scan,
                flush=flush,
            )

        self.courier = self.fork(run, self.control, self.wake_w, self.report_r)

    def reap(self) -> None:
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            exit_code = os.waitstatus_to_exitcode(code)
            if pid in self.retired and exit_code:
                self.scan_due = 0.0  # it may have promised mail that it could not announce any more
            elif pid == self.listener:
                self.listener = 0
                self.scan_due = 0.0
                if not self.stopping:
                    log.event("listener-ended", log.ERROR, code=exit_code)
            elif pid == self.courier:
                self.read_reports()
                self.courier = 0
                self.send_asked()
                if exit_code or not self.told:
                    self.crashes += 1
                    pause = min(2.0 ** (self.crashes - 1), 60.0)
                    self.courier_due = clock.boottime() + (pause if self.crashes > 1 else 0.0)
                    self.scan_due = 0.0
                    if not self.stopping:
                        log.event("courier-ended", log.ERROR, code=exit_code)
                else:
                    self.crashes = 0
            self.retired.discard(pid)
            self.dirty = True

    def read_reports(self) -> None:
        """Take the courier's report: tab-separated words, a line each, from an unprivileged process."""
        try:
            self.report += os.read(self.report_r, 65536)
        except BlockingIOError:
            return
        *lines, self.report = self.report[-65536:].split(b"\n")
        for line in lines:
            words = line.decode("utf-8", "replace").split("\t")
            try:
                self.note(words[0], words[1:])
            except (ValueError, IndexError):
                log.event("bad-report", log.ERROR, line=line[:200])
        self.dirty = True

    def note(self, kind: str, words: list[str]) -> None:
        if kind == "leaving":  # when the queue is due again, and until when no smarthost is to be tried
            dues = [processes.seconds(word) for word in words[:1] if word]
            dues += [due for due in (self.scan_due,) if due is not None]
            self.scan_due, self.blocked_until = min(dues, default=None), processes.seconds(words[1])
            self.told = True
        elif kind == "success":
            self.last["success"] = {"time": clock.wall(), "id": words[0], "smarthost": words[1]}
        elif kind == "failure":
            names = ("id", "smarthost", "stage", "answer", "advice")
            self.last["failure"] = {"time": clock.wall(), **dict(zip(names, words))}
        elif kind == "remember":
            self.memory[words[0]] = words[1:]
        elif kind == "forget":
            self.memory.pop(words[0], None)

    # The loop.

    def loop(self) -> int:
        poll = select.poll()
        poll.register(self.signal_r, select.POLLIN)
        poll.register(self.control, select.POLLIN)
        poll.register(self.report_r, select.POLLIN)
        if self.moves.fd >= 0:
            poll.register(self.moves.fd, select.POLLIN)
        watching = False
        while True:
            now = clock.boottime()
            if self.stopping:
                if not (self.listener or self.courier or self.retired) or now >= self.stopping:
                    return self.leave()
            else:
                if self.spool.at_hand() != self.at_hand:  # whoever looks after us starts us anew
                    text = "came" if self.spool.at_hand() else "went away"
                    log.event("stopping", log.NOTICE, mount=self.plan["mount"], text=f"the spool's storage {text}")
                    self.stop()
                    continue
                if now >= self.moves.due:
                    self.moves.due = address_watch.NEVER
                    log.event("addresses-changed", log.NOTICE, interfaces=",".join(self.plan["follow"]))
                    self.reload()
                if self.doors.missing and now >= self.doors.retry_due and self.doors.bind(self.plan["listen"]):
                    self.replace_listener()
                if not self.listener and now >= self.listener_due:
                    self.start_listener()
                if self.wants_courier(now):
                    self.start_courier(now)
            if self.day.turn(self.seen, clock.wall()):
                self.dirty = True
            if self.counters.tolist() != self.seen or status_file.stamp(self.plan["spool"]) != self.stamp:
                self.dirty = True
            if self.dirty and now >= self.status_due:
                self.write_status()
            at_rest = self.courier or self.stopping or now < max(self.blocked_until, self.courier_due)
            listening_for_mail = self.delivers() and not at_rest
            if listening_for_mail != watching:
                watching = listening_for_mail
                (poll.register if watching else poll.unregister)(*((self.wake_r, select.POLLIN)[: 1 + watching]))
            for fd, _ in poll.poll(self.pause(now) * 1000):
                if fd == self.signal_r:
                    for number in dict.fromkeys(os.read(self.signal_r, 4096)):
                        self.on_signal(number)
                elif fd == self.control:
                    self.on_control()
                elif fd == self.report_r:
                    self.read_reports()
                elif fd == self.moves.fd:
                    self.moves.read_changes(self.plan["follow"], now)

    def pause(self, now: float) -> float:
        """Seconds until something is to be done without anybody's asking."""
        dues = [now + _HEARTBEAT]
        if self.stopping:
            dues.append(self.stopping)
        else:
            dues.append(self.moves.due)
            if self.dirty:
                dues.append(self.status_due)
            if self.doors.missing:
                dues.append(self.doors.retry_due)
            if not self.listener:
                dues.append(self.listener_due)
            if not self.courier and self.delivers():
                if self.scan_due is not None:
                    dues.append(max(self.scan_due, self.courier_due))
                if self.flushing or self.courier_due > now:
                    dues.append(self.courier_due)
                if self.blocked_until > now:
                    dues.append(self.blocked_until)
        return max(min(dues) - now, 0.0) + 0.001

    def on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self.reap()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self.stop()
        elif number == signal.SIGHUP:
            self.reload()
        elif number == signal.SIGUSR1:
            self.flush()

    def on_control(self) -> None:
        """Words of `flush` and `release`: queue ids go the way of new mail."""
        for line in os.read(self.control, 65536).decode("ascii", "replace").split():
            if line == "flush":
                self.flush()
            elif spool.is_id(line):
                self.asked.append(line)
        self.send_asked()
        self.dirty = True

    def send_asked(self) -> None:
        """A courier at work has its own view of who rests; when it leaves, these are for the next one, too."""
        if self.asked:
            self.blocked_until = 0.0
            self.memory = processes.without_hosts(self.memory)
            if not spool.announce(self.wake_w, self.asked):
                self.flush()
            if not self.courier:
                self.asked.clear()

    def flush(self) -> None:
        """Every message is due now, and so is every smarthost."""
        log.event("flush", log.NOTICE)
        self.flushing = True
        self.blocked_until = self.courier_due = 0.0

    def reload(self) -> None:
        """Take the config as it is now, or go on with the old one and say so."""
        plan = processes.load(self.arguments)
        if isinstance(plan, int):
            self.refused = "the settings now have faults (see the log, or mailrelay check); the old ones are in force"
            log.event("reload-refused", log.ERROR, text=self.refused)
            self.dirty = True
            return
        self.refused = ""
        if not plan["public"]["main"]["enabled"]:
            log.event("switched-off", log.NOTICE, config=plan["config"])
            self.stop()
            return
        for name in ("spool", "mount", "run_dir", "owner"):
            if plan[name] != self.plan[name]:
                log.event("restart-needed", log.WARNING, option=name, text="takes effect at the next start")
                plan[name] = self.plan[name]
        self.plan = plan
        self.adopt()
        processes.raise_limits(plan["public"]["main"]["max_connections"])
        self.doors.bind(self.plan["listen"])
        self.replace_listener()
        self.memory = {name: words for name, words in self.memory.items() if name.startswith("rate ")}
        self.blocked_until = self.courier_due = 0.0
        self.scan_due = 0.0
        if self.courier:
            os.kill(self.courier, signal.SIGTERM)
        log.event("reloaded", log.NOTICE, listen=",".join(self.doors.names()))
        self.warn()

    def replace_listener(self) -> None:
        """A new one takes over; the sessions of the old one may come to their end."""
        if self.listener:
            os.kill(self.listener, signal.SIGUSR2)
            self.retired.add(self.listener)
        self.start_listener()

    # The end.

    def stop(self) -> None:
        if self.stopping:
            return
        self.stopping = clock.boottime() + _STOP
        for pid in (self.listener, self.courier, *self.retired):
            if pid:
                os.kill(pid, signal.SIGTERM)

    def leave(self) -> int:
        for pid in (self.listener, self.courier, *self.retired):
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        status_file.remove(self.plan["run_dir"])
        log.event("stopped", log.NOTICE)
        return 0

    # The status file.

    def write_status(self) -> None:
        self.dirty = False
        self.status_due = clock.boottime() + _STATUS
        self.seen = self.counters.tolist()
        self.stamp = status_file.stamp(self.plan["spool"])
        counts, oldest = status_file.census(self.plan["spool"])
        now = clock.boottime()
        found = {
            "version": VERSION,
            "pid": os.getpid(),
            "started": self.started,
            "updated": clock.wall(),
            "clock_trusted": clock.trusted(),
            "listening": self.doors.names(),
            "not_listening": {show(endpoint): reason for endpoint, reason in self.doors.missing.items()},
            "allow": self.plan["allow"],
            "spool": self.plan["spool"],
            "spool_missing": not self.at_hand,
            "provider": bool(self.plan["smarthosts"]),
            "smarthosts": self.plan["smarthosts"],
            "counts": {name: self.seen[place] for place, name in counters.NAMES.items()},
            "today": self.day.counts(self.seen),
            "queue": counts[spool.QUEUE],
            "hold": counts[spool.HOLD],
            "failed": counts[spool.FAIL],
            "oldest": spool.arrival(oldest) if oldest else None,
            "delivering": bool(self.courier),
            "next_try": clock.wall() + self.blocked_until - now if self.blocked_until > now else None,
            "last_success": self.last["success"],
            "last_failure": self.last["failure"],
            "warnings": [*self.plan["warnings"], *([self.refused] if self.refused else [])],
        }
        status_file.write(self.plan["run_dir"], found)
