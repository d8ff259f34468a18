"""What the bench measures, one figure a function, on two servers side by side: the relay and Postfix.

bench.py runs rounds of this and judges the medians. Every figure is taken first of the one and then of the other, in
turns that swap from round to round, so that what else the machine does hits both alike. No figure is kept from a load
that did not come through whole: a sender that fails or a mail that does not arrive ends the bench.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from forge.bench import load
from forge.core.errors import ForgeError
from forge.core.ports import free_ports
from forge.core.uci_text import uci
from forge.servers import postfix_holder
from forge.servers.postfix import Baseline
from forge.servers.relay import Relay, runner

CONNECTIONS = (1, 10, 50)
SLOW_ADDRESSES = (1, 100)
BIG_MAIL = 40 * 1000 * 1000
SETTLE_SECONDS = 1.0
DRAIN_SECONDS = 180.0
SINK_WAITS = 10  # seconds at the end of a mail, for a second courier to help

Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How much is sent for one figure."""

    messages: dict[int, int]  # by number of connections
    sessions: int
    beside_slow: int
    slow: int
    queued: int


FULL = Sizes({1: 300, 10: 600, 50: 1000}, sessions=200, beside_slow=50, slow=1000, queued=5000)
QUICK = Sizes({1: 60, 10: 120, 50: 200}, sessions=40, beside_slow=10, slow=1000, queued=1000)


class Server:
    """Postfix, with a sink of its own behind it."""

    name = "Postfix"

    def __init__(self, process: Baseline | Relay, log: Path, sink: load.Sink) -> None:
        self.process = process
        self.port = process.port
        self.log = log
        self.sink = sink
        self.sent = 0  # that the sink must still get to see

    def restart(self) -> float:
        """Seconds from the start of the first process to a greeting on its port."""
        self.process.stop()
        started = time.perf_counter()
        self.process.start()
        return time.perf_counter() - started

    def memory(self) -> dict[str, int]:
        return self.process.memory()

    def flush(self) -> None:
        """Deliver what waits, now."""
        self.process.flush()

    def figures(self) -> Figures:
        """What can be measured of this one alone, when idle."""
        return {}

    def settle(self, timeout: float = 60.0) -> None:
        """Return once it has logged nothing for SETTLE_SECONDS: there is nothing left that it could do."""
        deadline = time.monotonic() + timeout
        size, since = self.log.stat().st_size, time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if (now := self.log.stat().st_size) != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since >= SETTLE_SECONDS:
                return
        raise ForgeError(f"{self.name} does not come to rest")

    def delivered(self, count: int) -> None:
        """Wait until the sink has got `count` more."""
        self.sent += count
        self.sink.wait_for(self.sent, DRAIN_SECONDS)


class Ours(Server):
    """The relay, likewise."""

    name = "mailrelay"
    listener = 0  # its pid, once the idle relay has been looked at

    def memory(self) -> dict[str, int]:
        """All processes; `resident` is the Pss_Anon of those that stay, which the courier does not."""
        staying = postfix_holder.memory([self.process.pid, self.listener])["pss_anon"] if self.listener else 0
        return self.process.memory() | {"resident": staying}

    def figures(self) -> Figures:
        others = [pid for pid in postfix_holder.processes(self.process.pid) if pid != self.process.pid]
        if len(others) != 1:
            raise ForgeError(f"the idle relay has {1 + len(others)} processes instead of 2")
        (self.listener,) = others
        listener = postfix_holder.memory(others)["rss"]
        return {"listener_over_bare": listener - _bare_interpreter()}


def _bare_interpreter() -> int:
    """Kilobytes of resident memory of a `python3 -I -S` that has imported nothing."""
    python, _ = runner()
    argv = [python, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        assert bare.stdin and bare.stdout
        bare.stdout.readline()
        size = postfix_holder.memory([bare.pid])["rss"]
        bare.stdin.close()
    return size


class Rounds:
    """Both servers, up until `stack` ends."""

    def __init__(self, sizes: Sizes, stack: ExitStack) -> None:
        self.sizes = sizes
        load.raise_file_limit(sizes.slow + 256)
        ports = free_ports(3)
        self.tools = stack.enter_context(Baseline(ports[0]))
        sinks = [stack.enter_context(load.Sink(self.tools, port)) for port in ports[:2]]
        relay = stack.enter_context(Relay(_config(ports[1]), port=ports[2], allow=["127.0.0.0/8"]))
        self.servers: list[Server] = [
            Ours(relay, relay.folder / "log", sinks[1]),
            Server(self.tools, self.tools.folder / "log/mail.log", sinks[0]),
        ]

    def run(self, number: int, on_step: Callable[[str], None]) -> dict[str, Figures]:
        """Round `number`: {server's name: {figure's key: value}}, times in ms, rates in 1/s, memory in kB."""
        servers = self.servers if number % 2 else self.servers[::-1]
        results: dict[str, Figures] = {server.name: {} for server in servers}
        for text, measure in self._steps():
            for server in servers:
                on_step(f"{text}: {server.name}")
                results[server.name].update(measure(server))
        return results

    def _steps(self) -> Iterable[tuple[str, Callable[[Server], Figures]]]:
        yield "start", self._start
        yield "latency", self._latency
        yield "memory with 50 connections", self._loaded
        yield "memory with a big mail", self._big_mail
        yield "memory with a second courier", self._second_courier
        for connections in CONNECTIONS:
            for each in (True, False):
                yield f"accepting and delivering, {connections}", self._rate(connections, each, delivering=True)
        for addresses in SLOW_ADDRESSES:
            yield f"beside slow connections from {addresses}", self._beside_slow(addresses)
        yield "provider away", self._away
        for connections in CONNECTIONS:
            for each in (True, False):
                yield f"accepting, {connections}", self._rate(connections, each, delivering=False)
        yield "queue", self._queue
        yield "drain", self._drain

    def _start(self, server: Server) -> Figures:
        figures: Figures = {"start": server.restart() * 1000}
        server.settle()
        memory = server.memory()
        figures.update({f"idle_{name}": value for name, value in memory.items()})
        return figures | server.figures()

    def _latency(self, server: Server) -> Figures:
        load.latencies(server.port, 10)
        found = load.latencies(server.port, self.sizes.sessions)
        server.delivered(10 + self.sizes.sessions)
        return {"p50": statistics.median(found) * 1000, "p99": found[int(len(found) * 0.99)] * 1000}

    def _loaded(self, server: Server) -> Figures:
        count = self.sizes.messages[50]
        server.settle()
        before = server.memory()
        with load.peak_memory(server.memory) as peak:
            load.send_many(self.tools, server.port, connections=50, count=count, each=False)
        server.delivered(count)
        figures: Figures = {f"loaded_{name}": value for name, value in peak.items()}
        if "resident" in before:
            figures["resident_more"] = peak["resident"] - before["resident"]
        return figures | {"loaded_more": peak["pss_anon"] - before["pss_anon"]}

    def _big_mail(self, server: Server) -> Figures:
        """What a huge mail takes more than a small one, from its first byte to its delivery."""
        peaks = []
        for body in (load.big_body(1000), load.big_body(BIG_MAIL)):
            server.settle()
            with load.peak_memory(server.memory, interval=0.02) as peak:
                load.session(server.port, body=body, timeout=60)
                server.delivered(1)
            peaks.append(peak["pss_anon"])
        return {"big_more": peaks[1] - peaks[0]}

    def _second_courier(self, server: Server) -> Figures:
        """What the relay takes more when a second courier helps, since the first one waits for its provider."""
        if not isinstance(server, Ours):
            return {}
        server.settle()
        server.sink.stop()
        server.sink.start(wait=SINK_WAITS)
        peaks = []
        for wait in (1.0, 4.0):  # seconds: the first courier is alone for two
            load.session(server.port)
            with load.peak_memory(server.memory) as peak:
                time.sleep(wait)
            peaks.append(peak["pss_anon"])
        server.sent = 0
        server.delivered(2)
        server.sink.stop()
        server.sink.start()
        server.sent = 0
        return {"second_more": peaks[1] - peaks[0]}

    def _rate(self, connections: int, each: bool, *, delivering: bool) -> Callable[[Server], Figures]:
        def measure(server: Server) -> Figures:
            count = self.sizes.messages[connections]
            # Neither is measured while it starts the processes that it then keeps.
            warm = 2 * connections
            load.send_many(self.tools, server.port, connections=connections, count=warm, each=True)
            if delivering:
                server.delivered(warm)
            rate = load.send_many(self.tools, server.port, connections=connections, count=count, each=each)
            if delivering:
                server.delivered(count)
            else:
                server.sent += warm + count
            return {f"{'both' if delivering else 'accept'}_{connections}_{'each' if each else 'many'}": rate}

        return measure

    def _beside_slow(self, addresses: int) -> Callable[[Server], Figures]:
        def measure(server: Server) -> Figures:
            with load.slow_connections(server.port, self.sizes.slow, addresses):
                found = load.latency_or_starved(server.port, self.sizes.beside_slow)
            server.settle()
            server.sent = server.sink.count
            return {f"slow_{addresses}": found * 1000}

        return measure

    def _away(self, server: Server) -> Figures:
        server.settle()
        server.sink.stop()
        server.sent = 0
        return {}

    def _queue(self, server: Server) -> Figures:
        missing = self.sizes.queued - server.sent
        if missing > 0:
            load.send_many(self.tools, server.port, connections=10, count=missing, each=False)
            server.sent += missing
        server.settle()
        return {f"queued_{name}": value for name, value in server.memory().items()}

    def _drain(self, server: Server) -> Figures:
        server.sink.start()
        started = time.perf_counter()
        server.flush()
        server.sink.wait_for(server.sent, DRAIN_SECONDS)
        return {"drain": (time.perf_counter() - started) * 1000, "drained": server.sent}


def _config(sink_port: int) -> str:
    return uci(
        [
            ("mailrelay main", {"hostname": "relay.example", "max_message_size": "100M"}),
            ("smarthost", {"host": "127.0.0.1", "port": sink_port, "tls": "none", "auth": "none"}),
        ]
    )
