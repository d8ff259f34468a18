"""sendmail -bs: SMTP on standard input and output, carried to and from the running relay. Called by sendmail."""

from __future__ import annotations

import os
import select
import socket

from mailrelay.cli.display import complain
from mailrelay.cli.submission import endpoints
from mailrelay.smtp.reply import Reply
from mailrelay.spool.spool import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.cli.instance import Relay

_CONNECT = 10.0  # seconds


def run(relay: Relay) -> int:
    """Carry the session until the relay ends it. Return 75, after a 421, where none answers."""
    door = _connect(relay)
    if door is None:
        name = os.uname().nodename.encode("ascii", "replace").decode()
        write_all(1, Reply(421, "4.3.2", f"{name} The mail relay is not running, try again later").wire())
        complain("sendmail", "the relay is not running; start it, or try again later")
        return os.EX_TEMPFAIL
    with door:
        _carry(door)
    return 0


def _connect(relay: Relay) -> socket.socket | None:
    for host, port in endpoints(relay):
        door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        door.settimeout(_CONNECT)
        try:
            door.connect((host.encode(), port))  # bytes: for str Python wants encodings.idna
            door.settimeout(None)
            return door
        except OSError:
            door.close()
    return None


def _carry(door: socket.socket) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(door, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == 0:
                data = os.read(0, 65536)
                try:
                    if data:
                        door.sendall(data)
                    else:
                        poll.unregister(0)
                        door.shutdown(socket.SHUT_WR)
                except OSError:  # it has closed; its last words are still to be read
                    pass
            else:
                try:
                    data = door.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    return
                write_all(1, data)
