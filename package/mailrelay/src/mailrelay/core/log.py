"""One line an event, key=value, to syslog (facility mail) or to stderr.

syslog(3) would block while logd restarts; a datagram that cannot be sent at once is dropped instead. For every role.
"""

from __future__ import annotations

import _socket
import os
import sys
import time

from mailrelay.core.text import escaped

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
_MAIL = 2 << 3
_SYSLOG = "/dev/log"

_sink: _socket.socket | None = None
_to_stderr = True


def setup(where: str = "auto") -> None:
    """Choose the sink: "stderr", "syslog", or "auto", which is stderr on a terminal or where no syslog listens."""
    global _to_stderr
    _to_stderr = where == "stderr" or (where == "auto" and (sys.stderr.isatty() or not os.path.exists(_SYSLOG)))


def event(name: str, level: int = INFO, **fields: object) -> None:
    """Write `name key=value …`; None values are left out. Bytes are shown as UTF-8, anything unprintable escaped."""
    words = [name]
    words += [f"{key.rstrip('_')}={_quote(value)}" for key, value in fields.items() if value is not None]
    _write(level, " ".join(words))


def _quote(value: object) -> str:
    text = escaped(value if isinstance(value, bytes) else str(value))
    if not text or " " in text or '"' in text:
        return '"' + text.replace('"', "'") + '"'
    return text


def _write(level: int, line: str) -> None:
    global _sink
    if _to_stderr:
        try:
            os.write(2, f"mailrelay[{os.getpid()}]: {line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass
        return
    # With the time of RFC 3164 4.1.2: OpenWrt's logd cuts off what stands in its place.
    now = time.strftime("%b %e %H:%M:%S")
    packet = f"<{_MAIL | level}>{now} mailrelay[{os.getpid()}]: {line}".encode("utf-8", "backslashreplace")[:2000]
    for _ in range(2):  # a second try finds a restarted syslog
        try:
            if _sink is None:
                _sink = _socket.socket(
                    _socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
                )
                _sink.connect(_SYSLOG)
            _sink.send(packet)
            return
        except BlockingIOError:
            return
        except OSError:
            if _sink is not None:
                _sink.close()
            _sink = None
