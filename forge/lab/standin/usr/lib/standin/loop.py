"""The daemon's only loop: file descriptors that became ready, delays that are over, children that ended.

Everything else of the stand-in is called from here, so nothing else may wait. Without subprocess, selectors and signal,
whose import costs a small router more than they are worth to it.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from collections.abc import Callable, Sequence
else:
    import _signal as signals

HASTE = float(os.environ.get("STANDIN_HASTE", "1"))  # tests have delays divided by it
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_readers: dict[int, Callable[[], None]] = {}
_writers: dict[int, Callable[[], None]] = {}
_timers: dict[int, tuple[float, Callable[[], None]]] = {}
_children: dict[int, Callable[[int], None]] = {}
_serial = 0


def watch(descriptor: int, ready: Callable[[], None]) -> None:
    """Calls `ready` whenever there is something to read."""
    _readers[descriptor] = ready


def watch_writable(descriptor: int, ready: Callable[[], None]) -> None:
    _writers[descriptor] = ready


def forget(descriptor: int) -> None:
    _readers.pop(descriptor, None)
    _writers.pop(descriptor, None)


def forget_writable(descriptor: int) -> None:
    _writers.pop(descriptor, None)


def later(seconds: float, action: Callable[[], None]) -> int:
    """Calls `action` once, after so many seconds; the number is for `cancel`."""
    global _serial
    _serial += 1
    _timers[_serial] = (time.monotonic() + seconds, action)
    return _serial


def cancel(timer: int) -> None:
    _timers.pop(timer, None)


def spawn(
    argv: Sequence[str],
    ended: Callable[[int], None] | None = None,
    *,
    environment: dict[str, str] | None = None,
    files: tuple[int, int, int] | None = None,
    prepare: Callable[[], None] | None = None,
) -> int:
    """Starts a program in a session of its own and returns its pid; `ended` gets its exit status (128 + n after signal
    n). `files` are its first three descriptors, by default /dev/null; `prepare` runs in the child."""
    pid = os.fork()
    if pid:
        _children[pid] = ended or (lambda status: None)
        return pid
    try:
        os.setsid()
        signals.set_wakeup_fd(-1)
        for number in (signals.SIGCHLD, signals.SIGPIPE, signals.SIGTERM, signals.SIGHUP, signals.SIGINT):
            signals.signal(number, signals.SIG_DFL)
        null = os.open("/dev/null", os.O_RDWR)
        for target, source in enumerate(files or (null, null, null)):
            os.dup2(null if source < 0 else source, target)
        if prepare is not None:
            prepare()
        os.execvpe(argv[0], list(argv), {"PATH": PATH, **(environment or {})})
    except BaseException as error:
        os.write(2, f"{argv[0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def reap() -> None:
    """Notes which children have ended. As the first process of a namespace it gets orphans too."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended = _children.pop(pid, None)
        if ended is not None:
            code = os.waitstatus_to_exitcode(status)
            ended(code if code >= 0 else 128 - code)


def _guarded(action: Callable[[], None]) -> None:
    """A fault in one thing must not take the whole router down: it is shown on the console."""
    try:
        action()
    except Exception:
        import traceback

        traceback.print_exc()


def pipe() -> tuple[int, int]:
    """Both ends closed in children; reading from it never waits."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


def on_hangup(action: Callable[[], None]) -> None:
    """SIGHUP, with which ubusd is told to read its permissions again."""
    signals.signal(signals.SIGHUP, lambda number, frame: action())


def run() -> None:
    """For ever."""
    wake, waker = pipe()
    os.set_blocking(waker, False)
    signals.set_wakeup_fd(waker)
    signals.signal(signals.SIGCHLD, lambda number, frame: None)
    for number in (signals.SIGTERM, signals.SIGINT):
        signals.signal(number, signals.SIG_IGN)
    while True:
        wait = None
        if _timers:
            wait = max(0.0, min(when for when, _ in _timers.values()) - time.monotonic())
        readable, writable, _ = select.select([wake, *_readers], list(_writers), [], wait)
        if wake in readable:
            os.read(wake, 512)
            _guarded(reap)
        for descriptor in readable:
            if descriptor in _readers:
                _guarded(_readers[descriptor])
        for descriptor in writable:
            if descriptor in _writers:
                _guarded(_writers[descriptor])
        now = time.monotonic()
        for timer, (when, action) in sorted(_timers.items()):
            if when <= now and _timers.pop(timer, None) is not None:
                _guarded(action)
