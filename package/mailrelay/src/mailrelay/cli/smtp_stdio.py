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
    connection = _connect(relay)
    if connection is None:
        name = os.uname().nodename.encode("ascii", "replace").decode()
        write_all(1, Reply(421, "4.3.2", f"{name} The mail relay is not running, try again later").wire())
        complain("sendmail", "the relay is not running; start it, or try again later")
        return os.EX_TEMPFAIL
    with connection:
        _carry(connection)
    return 0


def _connect(relay: Relay) -> socket.socket | None:
    for host, port in endpoints(relay):
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        connection.settimeout(_CONNECT)
        try:
            connection.connect((host.encode(), port))  # bytes: for str Python wants encodings.idna
            connection.settimeout(None)
            return connection
        except OSError:
            connection.close()
    return None


def _carry(connection: socket.socket) -> None:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(connection, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == 0:
                data = os.read(0, 65536)
                try:
                    if data:
                        connection.sendall(data)
                    else:
                        poll.unregister(0)
                        connection.shutdown(socket.SHUT_WR)
                except OSError:  # it has closed; its last words are still to be read
                    pass
            else:
                try:
                    data = connection.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    return
                write_all(1, data)
