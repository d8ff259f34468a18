"""The load that the bench puts on a mail server: many senders, one careful one, a thousand slow ones, one huge mail.

rounds.py and guest.py call this. Everything stays on loopback and ends by itself. Run as a program
(`-m forge.bench.load PORT COUNT ADDRESSES`) it holds slow connections until its input ends: in a process of its own, so
that it takes no time from the client that is timed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from forge.core import paths, timeouts
from forge.core.errors import ForgeError
from forge.servers.postfix import Instance

SENDER, RECIPIENT = "plc@plant.example", "owner@phone.example"
# A session until the mail's text may come: lines, and the codes of their replies.
UP_TO_DATA = (
    (b"", b"220"),
    (b"EHLO plc.example\r\n", b"250"),
    (f"MAIL FROM:<{SENDER}>\r\n".encode(), b"250"),
    (f"RCPT TO:<{RECIPIENT}>\r\n".encode(), b"250"),
    (b"DATA\r\n", b"354"),
)
MESSAGE_BYTES = 1024
STARVED_SECONDS = 5.0

# What the slow connections do: one byte of a command at a time, so slowly that a deadline for silence never ends them;
# whoever is thrown out comes back, in bounded numbers.
SLOW_INTERVAL = 5.0
SLOW_RECONNECTS = 100  # a second
SLOW_COMMAND = b"EHLO slow-machine-with-a-long-name.example\r\n"


class Sink:
    """Postfix's smtp-sink: takes every mail, throws it away and counts; can be away for a while."""

    def __init__(self, tools: Instance, port: int) -> None:
        self._tools = tools
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._changed = threading.Condition()
        self.count = 0

    def __enter__(self) -> Sink:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, wait: int = 0) -> None:
        """Count from 0 again. wait: seconds until it answers the end of a mail."""
        self.count = 0
        slow = ["-W", f".:{wait}"] if wait else []
        user = [] if os.getuid() else ["-u", "nobody"]  # it refuses to stay root
        self._process = subprocess.Popen(
            [*self._tools.tool("smtp-sink"), "-c", *user, *slow, f"127.0.0.1:{self.port}", "256"],
            stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

        def listens() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self.port)) == 0

        timeouts.wait(listens, time.monotonic() + 5, lambda: ForgeError("smtp-sink does not listen"), 0.005)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """smtp-sink rewrites one line: sess=1 quit=1 mesg=7, ended by a carriage return."""
        assert process.stdout
        rest = b""
        while data := os.read(process.stdout.fileno(), 65536):
            *lines, rest = (rest + data).replace(b"\n", b"\r").split(b"\r")
            for line in lines:
                _, found, number = line.rpartition(b"mesg=")
                if found and process is self._process:
                    with self._changed:
                        self.count = int(number.split()[0])
                        self._changed.notify_all()
        process.stdout.close()

    def wait_for(self, count: int, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self.count >= count, timeout):
                raise ForgeError(f"{self.count} of {count} mails came out of the relay within {timeout:g} s")


def send_many(tools: Instance, port: int, *, connections: int, count: int, each: bool, timeout: float = 120.0) -> float:
    """Accepted messages a second, by smtp-source; with `each`, every message has a connection of its own."""
    argv = [*tools.tool("smtp-source"), "-s", str(connections), "-m", str(count), "-l", str(MESSAGE_BYTES)]
    argv += ["-f", SENDER, "-t", RECIPIENT, "-M", "plc.example"]
    if not each:
        argv.append("-d")
    started = time.perf_counter()
    done = subprocess.run([*argv, f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=timeout)
    took = time.perf_counter() - started
    if done.returncode or done.stderr.strip():
        raise ForgeError(f"smtp-source failed: {done.stderr.strip()[-500:] or done.returncode}")
    return count / took


def speak(client: socket.socket, lines: Iterable[tuple[bytes, bytes]]) -> None:
    """Say each line, and wait for its reply, which has the code that stands with it."""
    with client.makefile("rb") as replies:
        for line, code in lines:
            client.sendall(line)
            reply = b"   -"
            while reply[3:4] == b"-":
                if not (reply := replies.readline()).startswith(code):
                    raise ForgeError(f"{line[:20]!r} was answered {reply!r}")


def session(port: int, *, body: bytes = b"Subject: alarm\r\n\r\npump 3\r\n", timeout: float = STARVED_SECONDS) -> float:
    """Seconds for a whole session with one mail, as a sensible client speaks it: each command waits for its reply."""
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        speak(client, [*UP_TO_DATA, (body + b".\r\n", b"250"), (b"QUIT\r\n", b"221")])
    return time.perf_counter() - started


def latencies(port: int, count: int) -> list[float]:
    """Seconds of `count` sessions, one after another, each at least 5 ms after the one before; sorted."""
    found = []
    for _ in range(count):
        found.append(session(port))
        time.sleep(0.005)
    return sorted(found)


def latency_or_starved(port: int, count: int) -> float:
    """The median of `count` sessions in seconds; infinite if the server left a client waiting for STARVED_SECONDS."""
    try:
        return statistics.median(latencies(port, count))
    except (OSError, ForgeError):
        return float("inf")


def big_body(size: int) -> bytes:
    line = b"0123456789abcdef" * 4 + b"\r\n"
    return b"Subject: big\r\n\r\n" + line * (size // len(line))


@contextlib.contextmanager
def slow_connections(port: int, count: int, addresses: int) -> Iterator[None]:
    """Hold `count` slow connections from as many loopback addresses; entered once all have been tried."""
    argv = [sys.executable, "-m", "forge.bench.load", str(port), str(count), str(addresses)]
    attacker = subprocess.Popen(argv, cwd=paths.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert attacker.stdin and attacker.stdout
    try:
        if not attacker.stdout.readline():
            raise ForgeError("the slow clients did not start")
        yield
    finally:
        attacker.stdin.close()
        attacker.wait()
        attacker.stdout.close()


@contextlib.contextmanager
def peak_memory(sample: Callable[[], dict[str, int]], interval: float = 0.05) -> Iterator[dict[str, int]]:
    """The highest of each figure while the block runs."""
    highest: dict[str, int] = {}
    over = threading.Event()

    def take() -> None:
        for name, value in sample().items():
            highest[name] = max(value, highest.get(name, 0))

    def watch() -> None:
        while not over.is_set():
            take()
            over.wait(interval)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()
        take()


def raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise ForgeError(f"{wanted} open files are needed and {hard} allowed", hint="raise it: ulimit -n 4096")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Slow:
    """One slow client: connected or waiting for its next try."""

    def __init__(self, port: int, address: str) -> None:
        self.port, self.address = port, address
        self.socket: socket.socket | None = None
        self.sent = 0

    def connect(self) -> socket.socket:
        client = socket.socket()
        client.setblocking(False)
        client.bind((self.address, 0))
        client.connect_ex(("127.0.0.1", self.port))
        self.socket, self.sent = client, 0
        return client

    def drip(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.send(SLOW_COMMAND[self.sent : self.sent + 1])
                self.sent = min(self.sent + 1, len(SLOW_COMMAND) - 2)


def _hold(port: int, count: int, addresses: int) -> None:
    raise_file_limit(count + 64)
    clients = [_Slow(port, f"127.0.{1 + n % addresses // 250}.{1 + n % addresses % 250}") for n in range(count)]
    waiting = list(clients)
    ready = False
    second, budget = time.monotonic(), 10 * SLOW_RECONNECTS  # at first, all of them quickly
    drip = second + 1.0
    settled = second + 2.0  # time for the server to see them all
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if now - second >= 1.0:
                second, budget = now, SLOW_RECONNECTS
            while waiting and budget:
                client = waiting.pop()
                selector.register(client.connect(), selectors.EVENT_READ, client)
                budget -= 1
            if not ready and now >= settled:
                ready = True
                print("ready", flush=True)
            if now >= drip:
                drip = now + SLOW_INTERVAL
                for client in clients:
                    client.drip()
            for key, _ in selector.select(0.05):
                if key.data is None:
                    return
                client = key.data
                try:
                    gone = not client.socket.recv(4096)
                except OSError:
                    gone = True
                if gone:
                    selector.unregister(client.socket)
                    client.socket.close()
                    client.socket = None
                    waiting.insert(0, client)


if __name__ == "__main__":
    _hold(*map(int, sys.argv[1:4]))
