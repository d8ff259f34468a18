"""Stand-in for logd and the command `logread`: /dev/log, the output of services, and a ring of what was said last.

The option log_file of /etc/config/system names a file that gets every line too.
"""

from __future__ import annotations

import _socket
import os
import time

import loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from door import Call

RING = 65536  # bytes
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
)  # fmt: skip
log_file = ""
_lines: list[tuple[str, str]] = []  # what is said, and the line that shows it
_size = 0
_followers: list[tuple[Call, re.Pattern[str]]] = []
_syslog: _socket.socket


def add(facility: str, level: str, text: str) -> None:
    """`text` begins with who says it: "mailrelay[12]: hello"."""
    global _size
    line = f"{time.strftime('%a %b %e %H:%M:%S %Y')} {facility}.{level} {text}\n"
    _lines.append((text, line))
    _size += len(line)
    while _size > RING:
        _size -= len(_lines.pop(0)[1])
    if log_file:
        with open(log_file, "a", errors="surrogateescape") as file:
            file.write(line)
    for follower, pattern in list(_followers):
        if not follower.open:
            _followers.remove((follower, pattern))
        elif pattern.search(text):
            follower.say(line)


def listen() -> None:
    global _syslog
    if os.path.lexists("/dev/log"):
        os.unlink("/dev/log")
    _syslog = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
    _syslog.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    loop.watch(_syslog.fileno(), receive)


def receive() -> None:
    while True:
        try:
            packet = _syslog.recv(65536).decode("utf-8", "surrogateescape").rstrip("\n\0")
        except BlockingIOError:
            return
        priority, text = _split(packet)
        facility = FACILITIES[priority >> 3] if priority >> 3 < len(FACILITIES) else f"local{(priority >> 3) - 16}"
        for line in text.splitlines():
            add(facility, LEVELS[priority & 7], line)


def _split(packet: str) -> tuple[int, str]:
    """Priority and text of "<22>Nov 22 10:14:03 mailrelay[12]: hello"; the date may be missing."""
    number, closed, text = packet.removeprefix("<").partition(">")
    if not closed or not number.isdigit():
        return 13, packet
    if text[3:4] == text[6:7] == text[15:16] == " " and text[9:10] == text[12:13] == ":":
        text = text[16:]
    return int(number), text


def collect(descriptor: int, level: str, who: str) -> None:
    """Logs each line of a service's output that comes from there until its end."""
    rest = b""

    def ready() -> None:
        nonlocal rest
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        *lines, rest = (rest + data).split(b"\n")
        if not data and rest:
            lines, rest = [rest], b""
        for line in lines:
            add("daemon", level, f"{who}: {line.decode('utf-8', 'surrogateescape')}")
        if not data:
            loop.forget(descriptor)
            os.close(descriptor)

    loop.watch(descriptor, ready)


def command(asked: Call) -> None:
    """`logread [-e REGEX] [-l LINES] [-f]`; the expression is for what is said, not for when (ubox, log/logread.c)."""
    import re

    pattern, last, follow = re.compile(""), 0, False
    words = asked.words[1:]
    while words:
        flag = words.pop(0)
        if flag == "-f":
            follow = True
        elif flag == "-e" and words:
            pattern = re.compile(words.pop(0))
        elif flag == "-l" and words:
            last = int(words.pop(0))
        else:
            asked.done(1, f"logread: unrecognized option: {flag}\n", error=True)
            return
    receive()
    found = [line for text, line in _lines if pattern.search(text)]
    text = "".join(found[-last:] if last else () if follow else found)
    if not follow:
        asked.done(0, text)
        return
    asked.begin()
    asked.say(text)
    _followers.append((asked, pattern))
