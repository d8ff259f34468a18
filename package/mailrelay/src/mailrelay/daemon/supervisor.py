"""The supervisor: binds the ports, starts and reaps listener and courier, takes signals and requests.

Single-threaded; root where it was started as root; reads nothing from the network and parses no secret. `dispatcher`
knows what couriers are to do, `schedule` when, `status` what is written of it all. Called by `serve`.
"""

from __future__ import annotations

import gc
import os
import select

from mailrelay.core import clock, counters, ipc, log, paths
from mailrelay.core.ledger import Ledger
from mailrelay.core.version import VERSION
from mailrelay.daemon import carried_state, processes, roles, status, status_file, takeover
from mailrelay.daemon.dispatcher import Dispatcher
from mailrelay.daemon.listeners import Listeners
from mailrelay.daemon.refusals import Refusals
from mailrelay.listener.sockets import ListenSockets, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from mailrelay.config.settings import Plan
    from mailrelay.daemon.address_watch import AddressWatcher
    from mailrelay.daemon.dispatcher import Post
    from mailrelay.daemon.status_file import StatusFacts
else:
    import _signal as signal  # signal and socket would cost a megabyte for their enums

_STOP = 3.5  # seconds that children have to end
_WRITE = 0.3  # seconds that the disk has at least to take the days' file at the end
_HEARTBEAT = 10.0  # seconds without any event after which counters are looked at


def main(arguments: list[str]) -> int:
    """Run `mailrelay serve`. Return the exit code."""
    plan = processes.Scarcity().persist(lambda: processes.load(arguments))
    if isinstance(plan, int):
        return plan
    log.setup(plan.log)
    if not plan.settings.main.enabled:
        log.event("switched-off", log.NOTICE, config=plan.config, text="option enabled is '0' in section 'main'")
        return 0
    try:
        return Supervisor(arguments, plan).run()
    except OSError as error:
        log.event("failed", log.ERROR, reason=f"{error.filename or 'start'}: {error.strerror}")
        return os.EX_UNAVAILABLE


class Supervisor:
    """One running relay."""

    def __init__(self, arguments: list[str], plan: Plan) -> None:
        self.arguments = arguments
        self.plan = plan
        self.custody = takeover.Custody(plan)
        self.sources, self.loaded = plan.sources, clock.wall()
        self.reloading = False  # a new plan waits for a listener that accepts by it
        self.counters = counters.counters()
        self.listen_sockets = ListenSockets()
        self.addresses: AddressWatcher | None = None
        if plan.follow is not None:  # on OpenWrt the init script follows them, and nothing is loaded for it
            from mailrelay.daemon.address_watch import AddressWatcher

            self.addresses = AddressWatcher()
        self.dispatcher = Dispatcher(self.delivers(), self.counters, Ledger(plan.run_dir))
        self.refusals = Refusals()
        self.status = status.Status(plan.run_dir, plan.spool, self.counters)
        self.scarcity = processes.Scarcity()
        self.reload_due = ipc.NEVER  # when to read the config again, because the last time there was no process for it
        self.listeners = Listeners()
        self.refused = ""  # why newer settings are not in force
        self.stopping = 0.0  # when the children are killed; 0: not stopping

    # Start.

    def run(self) -> int:
        """Serve until a signal ends it. Return the exit code."""
        self.lifeline_r, self.lifeline_w = os.pipe2(os.O_CLOEXEC)
        self.signal_r, self.signal_w = processes.catch_signals()
        if not self.custody.start(self.plan, self.signal_r, self.fork):
            return os.EX_UNAVAILABLE
        processes.accept_config(self.plan)
        carried_state.restore(f"{self.plan.run_dir}/{paths.STATE}", self.dispatcher.restore, self.status.restore)
        if not self.custody.at_hand:
            self.miss_spool()
        elif self.dispatcher.carried_state or status.may_hold_mail(self.plan.spool):
            self.dispatcher.schedule.scan()
        self.control = ipc.make_control(self.plan.run_dir)
        self.look_for_changes()  # until now nobody could tell us of one
        self.listen_sockets.bind(self.plan.listen)
        if not self.listen_sockets.open and not self.listen_sockets.taken:
            log.event("failed", log.ERROR, reason="there is no address to listen on")
            return os.EX_UNAVAILABLE
        processes.raise_limits(self.plan.settings.main.max_connections)
        _tell_start(self.plan, self.listen_sockets.names())
        _warn(self.plan)
        gc.collect()
        gc.freeze()
        return self.loop()

    def miss_spool(self) -> None:
        text = f"{self.plan.mount}: nothing is mounted there; all mail is refused for now"
        log.event("no-spool", log.ERROR, text=text)
        self.fork(lambda: roles.tell_missing(self.plan, self.custody.spool, self.dispatcher, text), self.lifeline_r)

    # Children.

    def fork(self, run: Callable[[], None], *not_theirs: int) -> int | None:
        """Run a role in a child, which drops its rights and watches the lifeline. Return its pid; None: not now."""
        closed = (self.lifeline_w, self.signal_r, self.signal_w, *not_theirs)
        return self.scarcity.attempt(lambda: processes.fork(run, closed))

    def start_listener(self, now: float) -> None:
        """Start one; the sessions of the one before it may come to their end."""
        dispatcher = self.dispatcher

        def run() -> None:
            pipes = (dispatcher.wake_w, self.refusals.pipe_w, self.lifeline_r)
            roles.listen(
                self.plan, self.listen_sockets, self.custody.spool, self.counters, pipes, self.listeners.ready_w
            )

        reports = (end for post in (dispatcher.first, dispatcher.second) for end in (post.report_r, post.report_w))
        pid = self.fork(run, self.control, dispatcher.wake_r, self.refusals.pipe_r, self.listeners.ready_r, *reports)
        self.listeners.started(pid, now)
        self.status.changed = True

    def replace_listener(self) -> None:
        """Have a new one take over, as soon as there is a process for it."""
        self.listeners.outdated = True
        self.start_listener(clock.boottime())

    def delivers(self) -> bool:
        return self.custody.at_hand and bool(self.plan.smarthosts)

    def start_courier(self, post: Post, now: float) -> None:
        dispatcher = self.dispatcher
        orders = dispatcher.start(post, now)

        def run() -> None:
            for sock in self.listen_sockets.open.values():
                sock.close()
            roles.deliver(self.plan, self.custody.spool, self.counters, dispatcher, post, orders, self.lifeline_r)

        not_theirs = (self.control, dispatcher.wake_w, self.refusals.pipe_r, self.refusals.pipe_w)
        pid = self.fork(run, *not_theirs, dispatcher.first.report_r, dispatcher.second.report_r)
        if pid is None:
            dispatcher.not_started(post, orders, now + self.scarcity.PAUSE)
            return
        post.pid = pid
        self.status.changed = True

    def children(self) -> list[int]:
        return [*self.listeners.pids(), *self.dispatcher.pids()]

    def reap(self) -> None:
        for pid, exit_code in processes.ended():
            if pid in self.listeners.pids():
                if self.listeners.ended(pid, exit_code, bool(self.stopping)):
                    self.dispatcher.schedule.scan()
            elif pid in self.dispatcher.pids():
                well = self.dispatcher.end(pid, exit_code, clock.boottime())
                if not well and not self.stopping:
                    log.event("courier-ended", log.ERROR, code=exit_code)

    # The loop.

    def loop(self) -> int:
        dispatcher = self.dispatcher
        handlers: dict[int, Callable[[], object]] = {
            self.signal_r: self.on_signals,
            self.control: self.on_requests,
            self.listeners.ready_r: self.on_listener_ready,
            dispatcher.first.report_r: dispatcher.read_reports,
            dispatcher.second.report_r: dispatcher.read_reports,
            self.refusals.pipe_r: lambda: dispatcher.tell_refused(self.refusals.read()),
        }
        addresses = self.addresses
        if addresses and addresses.fd >= 0:
            handlers[addresses.fd] = lambda: addresses.read_changes(self.plan.follow or [], clock.boottime())
        poll = select.poll()
        for fd in handlers:
            poll.register(fd, select.POLLIN)
        wake_r = dispatcher.wake_r
        handlers[wake_r] = dispatcher.ids_waiting
        listening = False
        while True:
            now = clock.boottime()
            if not self.stopping:
                self.do_what_is_due(now)
            if self.stopping and (not self.children() or now >= self.stopping):
                return self.leave()
            self.status.look()
            if now >= self.status.next_due():
                self.write_status(now)
            if (now >= dispatcher.ids_due()) != listening:
                listening = not listening
                poll.register(wake_r, select.POLLIN) if listening else poll.unregister(wake_r)
            for fd, _ in poll.poll(self.pause(now) * 1000):
                handlers[fd]()
                self.status.changed = True

    def do_what_is_due(self, now: float) -> None:
        """Start what is to be started; take up what has changed by itself."""
        if now >= self.custody.next_due(self.plan) and self.change_spool():
            self.take_up_plan()
        if self.addresses and now >= self.addresses.due:
            self.addresses.due = ipc.NEVER
            log.event("addresses-changed", log.NOTICE, interfaces=",".join(self.plan.follow or ()))
            self.reload_due = now
        if (
            self.listen_sockets.missing
            and now >= self.listen_sockets.retry_due
            and self.listen_sockets.bind(self.plan.listen)
        ):
            self.replace_listener()
        if now >= self.reload_due:
            self.reload()
            if self.stopping:
                return
        if now >= self.listeners.next_due():
            self.start_listener(now)
        for post in self.dispatcher.due(now):
            self.start_courier(post, now)
        self.keep_days(now)

    def pause(self, now: float) -> float:
        """Return seconds until something is to be done without anybody's asking."""
        dues = [now + _HEARTBEAT, self.status.next_due()]
        if self.stopping:
            dues.append(self.stopping)
        else:
            ids_due = self.dispatcher.ids_due()
            dues += [self.dispatcher.next_due(), ids_due if ids_due > now else ipc.NEVER]
            dues += [self.listeners.next_due(), self.reload_due, self.custody.next_due(self.plan)]
            if self.addresses:
                dues.append(self.addresses.due)
            if self.listen_sockets.missing:
                dues.append(self.listen_sockets.retry_due)
        return max(min(dues) - now, 0.0) + 0.001

    def on_signals(self) -> None:
        for number in dict.fromkeys(os.read(self.signal_r, 4096)):
            if number == signal.SIGCHLD:
                self.reap()
            elif number in (signal.SIGTERM, signal.SIGINT):
                self.stop()
            elif number == signal.SIGHUP:
                self.reload()
            elif number == signal.SIGUSR1:
                self.dispatcher.flush()

    def on_requests(self) -> None:
        lines = ipc.read_lines(self.control)
        if ipc.RELOAD in lines:
            self.look_for_changes()
        self.dispatcher.request(lines)

    def look_for_changes(self) -> None:
        """Have settings and addresses read again, if their files are others than those that were read last."""
        if any(paths.stamp(path) != known for path, known in self.sources.items()):
            self.reload_due = 0.0

    def reload(self) -> None:
        """Take the config as it is now, or go on with the old one and say so."""
        self.sources = {path: paths.stamp(path) for path in self.sources}
        plan = self.scarcity.attempt(lambda: processes.load(self.arguments))
        self.reload_due = clock.boottime() + self.scarcity.PAUSE if plan is None else ipc.NEVER
        if plan is None:
            return
        if isinstance(plan, int):
            self.refused = "the settings now have faults (see the log, or mailrelay check); the old ones are in force"
            log.event("reload-refused", log.ERROR, text=self.refused)
            return
        self.refused = ""
        if not plan.settings.main.enabled:
            log.event("switched-off", log.NOTICE, config=plan.config)
            self.stop()
            return
        for name in ("run_dir", "owner"):
            if getattr(plan, name) != getattr(self.plan, name):
                log.event("restart-needed", log.WARNING, option=name, text="takes effect at the next start")
                setattr(plan, name, getattr(self.plan, name))
        self.plan = plan
        processes.accept_config(self.plan)
        processes.raise_limits(plan.settings.main.max_connections)
        self.listen_sockets.bind(self.plan.listen)
        if self.custody.is_outdated(plan):
            self.change_spool()
        self.take_up_plan()
        self.reloading = True
        _warn(self.plan)

    def on_listener_ready(self) -> None:
        if self.listeners.took_over() and self.reloading:
            self.reloading, self.loaded = False, clock.wall()
            log.event("reloaded", log.NOTICE, listen=",".join(self.listen_sockets.names()))

    def take_up_plan(self) -> None:
        """Have listener and couriers that run by the plan as it is now."""
        self.replace_listener()
        self.dispatcher.new_settings(self.delivers())
        for pid in self.dispatcher.pids():
            os.kill(pid, signal.SIGTERM)

    def change_spool(self) -> bool:
        """Go over to the plan's spool, as its storage is now; the ports stay open. Return false if that has to wait."""
        if not self.custody.change(self.plan, self.fork):
            return False
        self.status.move(self.plan.spool)
        self.listeners.misplaced = True
        if not self.custody.at_hand:
            self.miss_spool()
        return True

    # The end.

    def stop(self) -> None:
        if self.stopping:
            return
        self.stopping = clock.boottime() + _STOP
        self.dispatcher.stop()
        for pid in self.children():
            os.kill(pid, signal.SIGTERM)

    def leave(self) -> int:
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        kept = self.keep_days(clock.boottime(), end=True)
        carried_state.save(f"{self.plan.run_dir}/{paths.STATE}", {**self.status.save(), **self.dispatcher.save()})
        if kept:
            processes.wait(kept, max(self.stopping - clock.boottime(), _WRITE))
        status_file.remove(self.plan.run_dir)
        log.event("stopped", log.NOTICE)
        return 0

    def keep_days(self, now: float, *, end: bool = False) -> int | None:
        """Have a child write the counts of these days, if that is due. Return its pid."""
        where = self.custody.spool
        text = self.status.days_to_keep(now, end=end) if self.custody.at_hand and where.at_hand() else b""
        return self.fork(lambda: roles.keep_days(self.plan, where, text)) if text else None

    def write_status(self, now: float) -> None:
        if self.custody.at_hand:
            self.dispatcher.outcomes.forget_mails(self.custody.spool.has)
        self.status.write(_facts(self, now), now, self.dispatcher.oldest)


def _tell_start(plan: Plan, names: list[str]) -> None:
    log.event(
        "started",
        log.NOTICE,
        version=VERSION,
        listen=",".join(names),
        allow=",".join(plan.allow) or "loopback only",
        spool=plan.spool,
        smarthosts=",".join(plan.smarthosts.values()) or "none",
    )


def _warn(plan: Plan) -> None:
    for warning in plan.warnings:
        log.event("warning", log.WARNING, text=warning["text"])


def _facts(of: Supervisor, now: float) -> StatusFacts:
    """Return what the status file says and the status itself does not know."""
    facts: StatusFacts = {
        "listening": of.listen_sockets.names(),
        "not_listening": {show(endpoint): reason for endpoint, reason in of.listen_sockets.missing.items()},
        "port_taken": list(of.listen_sockets.taken.values()),
        "allow": of.plan.allow,
        "loaded": of.loaded,
        "spool_missing": not of.custody.at_hand,
        "refusals": of.refusals.facts(),
        "warnings": [*of.plan.warnings, *({"text": text} for text in (of.refused, of.custody.fault) if text)],
    }
    return {**facts, **of.dispatcher.facts(of.plan.smarthosts, now)}
