"""A mail server for one test: takes mail without TLS and login, and refuses recipients for good if told to."""

from __future__ import annotations

import contextlib
import queue
import socketserver
import threading

Mail = tuple[bytes, list[bytes], bytes]


class Smarthost:
    def __init__(self, refuse: bytes = b"@nobody") -> None:
        self.mails: queue.Queue[Mail] = queue.Queue()
        mails = self.mails

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    self.talk()

            def talk(self) -> None:
                self.say(b"220 smarthost.example ESMTP")
                sender, recipients = b"", list[bytes]()
                while line := self.rfile.readline():
                    verb, _, argument = line.strip().partition(b" ")
                    address = argument.partition(b"<")[2].partition(b">")[0]
                    if verb == b"MAIL":
                        sender, recipients = address, []
                    if verb == b"RCPT" and refuse in address:
                        self.say(b"550 5.1.1 No such user")
                        continue
                    if verb == b"RCPT":
                        recipients.append(address)
                    if verb == b"DATA":
                        self.say(b"354 go on")
                        text = b""
                        while (part := self.rfile.readline()) not in (b".\r\n", b""):
                            text += part
                        mails.put((sender, recipients, text))
                    self.say(b"221 bye" if verb == b"QUIT" else b"250 ok")

            def say(self, line: bytes) -> None:
                self.wfile.write(line + b"\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Smarthost:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, timeout: float = 20) -> Mail:
        return self.mails.get(timeout=timeout)
