"""`./inv bench --target lab-mipsel`: the relay on a router of the lab's in QEMU, with its bytecode and without.

The guest measures its own memory; times are taken here, as a machine on the LAN and the provider see them. All rounds'
medians become a table on the terminal and, after a full run, in docs/dev; a quick run writes nothing there. Emulated:
the rows compare with each other, not with hardware.
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forge.bench import load
from forge.core import console, paths, proc
from forge.core.errors import ForgeError, UsageError
from forge.core.ports import greeting
from forge.lab import firmware as firmwares
from forge.packages import minisdk
from forge.servers import as_provider
from forge.servers.postfix import Provider
from forge.vm import machines, registry, relay
from forge.vm.guest import Guest
from forge.vm.relay import SILENCE, until

SESSIONS = 15  # a round, for the median of one session
CONNECTIONS = 50  # held open in the middle of a mail, for the memory under load
BYTECODE = " ".join(f"/usr/lib/mailrelay/relay/{folder}__pycache__" for folder in ("", "mailrelay/", "mailrelay/*/"))
VARIANTS = ("with bytecode", "without")

Figures = dict[str, float]


@dataclass(frozen=True)
class Row:
    key: str
    text: str
    unit: str


def _memory_rows(when: str, text: str, roles: Sequence[str]) -> list[Row]:
    kinds = {"rss": "RSS", "pss": "PSS", "anon": "Pss_Anon"}
    return [
        Row(f"{when}_{role}_{kind}", f"{text}, {role}: {name}", "kB") for role in roles for kind, name in kinds.items()
    ]


ROWS = (
    *_memory_rows("idle", "idle", relay.ROLES[:2]),
    *_memory_rows("loaded", f"{CONNECTIONS} connections and a delivery", relay.ROLES),
    Row("service", "`service mailrelay start` until it greets: settings checked, firewall, relay", "s"),
    Row("start", "of that, the relay: from its start until it greets", "s"),
    Row("session", "a whole session with one mail, provider away: median", "ms"),
    Row("session_most", "the longest of them", "ms"),
    Row("cold", "from `250` until the provider has the mail: a courier is started, TLS, login", "s"),
    Row("warm", "the next mail, over the connection that is still open", "s"),
    Row("install", "`opkg install`", "s"),
)

METHOD = """\
The firmware is the lab's (docs/build/LAB.md): a stand-in plays OpenWrt's own parts, the kernel, busybox, CPython
{python} and OpenSSL are Debian's, {cpu} with {memory} MB emulated by QEMU ({machine}). An emulated processor has no
caches and no fixed speed: **the times compare with each other, not with a router's**; the memory is what the same
programs take on hardware, but for the C library (glibc here, musl there, which takes less).

Each round starts from the same moment of the same guest, {rounds} rounds a column, medians here. "Without" is the same
package with the folders `__pycache__` removed that its installation makes: OpenWrt's Python writes none by itself, so
every start of a role compiles what it imports. RSS counts what the roles share in each of them, PSS divides it,
Pss_Anon is what is nobody else's and no file's. Under load, {connections} connections stand in the middle of a mail,
while the courier delivers another by TLS; figures are peaks. A session is connect, EHLO, MAIL, RCPT, DATA, a short
mail, QUIT, each step waiting for its reply. The provider is Debian's Postfix with STARTTLS, a login and a certificate
of its own.
"""


def run(target: str, rounds: int = 5, quick: bool = False) -> None:
    """Measure, print the table, and after a full run write it to docs/."""
    machine = machines.find(target)
    if not machine.lab:
        raise UsageError(f"--target {target}: what is measured is the lab's firmware", hint="--target lab-mipsel")
    started = time.monotonic()
    proc.end_in_order()
    rounds = 1 if quick else rounds
    found: dict[str, list[Figures]] = {variant: [] for variant in VARIANTS}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailrelay-bench-", dir=registry.PARENT)))
        with console.step(f"the firmware {target} and the package"):
            firmware = firmwares.build(target, site=relay.site())
            package = minisdk.packed("mailrelay", folder)
        provider = stack.enter_context(Provider())
        with console.step(f"the router {target} boots in QEMU"):
            guest = stack.enter_context(Guest(target, firmware.folder, disk=True))
        router = _Router(guest, provider)
        with console.step("the package is installed and set up"):
            router.install(package)
        moment = guest.save("ready")
        for number in range(1, rounds + 1):
            for variant in VARIANTS:
                with console.step(f"round {number} of {rounds}, {variant}"):
                    guest.restore(moment)
                    found[variant].append(router.measure(bytecode=variant == VARIANTS[0]))
        found[VARIANTS[0]][0]["install"] = router.install_seconds
        system = guest.ssh.run("uname -srm; python3 -V").output.split("\n")
    console.say()
    table = [(row.text.replace("`", ""), *(_cell(row, found[variant]) for variant in VARIANTS)) for row in ROWS]
    console.table(("figure", *VARIANTS), table)
    took = console.seconds(time.monotonic() - started)
    if quick:
        console.good(f"measured in {took}; a quick run is no result: docs/ is left as it was")
        return
    path = paths.DOCS / "dev" / f"BENCHMARKS-{target}.md"
    path.write_text(_document(machine, found, rounds, system))
    console.good(f"measured in {took}; written to {path.relative_to(paths.ROOT)}")


class _Router:
    """The guest with the relay on it, and what is measured of the two."""

    def __init__(self, guest: Guest, provider: Provider) -> None:
        self.guest = guest
        self.provider = provider
        self.install_seconds = 0.0

    def install(self, package: Path) -> None:
        self.guest.ssh.put([package])
        install = relay.packages(self.guest).install(f"/tmp/{package.name}")
        started = time.monotonic()
        self._ask(install)
        self.install_seconds = time.monotonic() - started
        self._ask(f"rm /tmp/{package.name}; mkdir -p /etc/mailrelay; cat >{as_provider.CA_FILE}",
                  input=self.provider.certificates.authority.decode())  # fmt: skip
        self._ask(f"echo '{machines.HOST_FROM_WAN} {as_provider.NAME}' >>/etc/hosts")
        lines = as_provider.commands(as_provider.settings(self.provider))
        self._ask("uci batch", input="\n".join([*lines, "commit mailrelay", ""]))
        self._ask("service mailrelay reload")
        relay.until_it_has_a_provider(self.guest)

    def measure(self, *, bytecode: bool) -> Figures:
        """One round, on a guest that has just been restored."""
        if not bytecode:
            self._ask(f"rm -rf {BYTECODE}")
        figures = self._start()
        figures |= _by_role("idle", [relay.memory(self.guest)])
        self.provider.forget()
        figures |= {"cold": self._deliver(1), "warm": self._deliver(2)}
        figures |= self._loaded()
        figures |= self._sessions()
        if not bytecode and self.guest.ssh.run(f"ls -d {BYTECODE} 2>/dev/null", check=False).output:
            raise ForgeError("__pycache__ has come back: the figures without it would be wrong")
        return figures

    def _start(self) -> Figures:
        self._ask("service mailrelay stop")
        until("the relay has ended", lambda: not greeting(self.guest.lan(25), SILENCE))
        started = time.monotonic()
        self._ask("service mailrelay start >/dev/null 2>&1 </dev/null &")
        greeted = self._until_it_greets()
        # The guest's own clock as well: when the process began, and how long ago we were greeted.
        asked = time.monotonic()
        uptime, ticks = self._ask(
            "pid=$(jsonfilter -i /var/run/mailrelay/status.json -e @.pid); "
            "cut -d ' ' -f 1 /proc/uptime; cut -d ' ' -f 22 /proc/$pid/stat"
        ).split()
        return {"service": greeted - started, "start": float(uptime) - (asked - greeted) - int(ticks) / 100}

    def _deliver(self, number: int) -> float:
        """Seconds from the answer to a mail's last dot until the provider has the mail, its number `number` there."""
        load.session(self.guest.lan(25)[1], timeout=60.0)
        started = time.monotonic()
        self.provider.wait_for(number, 60)
        return time.monotonic() - started

    def _loaded(self) -> Figures:
        self.provider.forget()
        with _connections(self.guest.lan(25), CONNECTIONS):
            load.session(self.guest.lan(25)[1], timeout=60.0)
            samples: list[list[list[int]]] = []

            def courier_has_left() -> bool:
                samples.append(relay.memory(self.guest))
                came = any(len(sample) == len(relay.ROLES) for sample in samples)
                return came and len(samples[-1]) < len(relay.ROLES)

            until("a courier has come and gone", courier_has_left)
            self.provider.wait_for(1, 60)
        return _by_role("loaded", samples)

    def _sessions(self) -> Figures:
        """With the provider away, and one failure behind: no courier is at work beside."""
        self.provider.stop()
        try:
            port = self.guest.lan(25)[1]
            load.session(port, timeout=60.0)
            until(
                "the courier has given up for now",
                lambda: relay.status(self.guest).get("last_failure") and len(relay.memory(self.guest)) == 2,
            )
            times = sorted(load.session(port, timeout=60.0) for _ in range(SESSIONS))
        finally:
            self.provider.start()
        return {"session": statistics.median(times) * 1000, "session_most": times[-1] * 1000}

    def _until_it_greets(self) -> float:
        relay.until_it_greets(self.guest)
        return time.monotonic()

    def _ask(self, command: str, *, input: str | None = None) -> str:
        return self.guest.ssh.run(command, input=input).output


@contextlib.contextmanager
def _connections(address: tuple[str, int], count: int) -> Iterator[None]:
    """So many sessions in the middle of a mail's text."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(address, 60))
            load.speak(client, load.UP_TO_DATA)
            client.sendall(b"Subject: held\r\n\r\n" + b"0123456789abcdef" * 64 + b"\r\n")
        yield


def _by_role(when: str, samples: Sequence[Sequence[Sequence[int]]]) -> Figures:
    """The largest of each role, in kB."""
    figures: Figures = {}
    for sample in samples:
        for role, sizes in zip(relay.ROLES, sample):
            for kind, size in zip(("rss", "pss", "anon"), sizes):
                key = f"{when}_{role}_{kind}"
                figures[key] = max(size, figures.get(key, 0))
    return figures


def _cell(row: Row, rounds: Sequence[Figures]) -> str:
    values = [figures[row.key] for figures in rounds if row.key in figures]
    if not values:
        return ""
    value = statistics.median(values)
    return f"{value:,.0f} {row.unit}" if row.unit != "s" else f"{value:.2f} s"


def _document(machine: machines.Machine, found: dict[str, list[Figures]], rounds: int, system: Sequence[str]) -> str:
    lines = [f"# Benchmarks on {machine.target}", ""]
    made = f"`./inv bench --target {machine.target}` on {datetime.date.today():%d %B %Y}"
    lines += [f"Made by {made}. The guest: {system[0]}.", ""]
    lines += [f"| figure | {' | '.join(VARIANTS)} |", "|---|--:|--:|"]
    lines += [f"| {row.text} | {' | '.join(_cell(row, found[variant]) for variant in VARIANTS)} |" for row in ROWS]
    method = METHOD.format(
        python=system[1].split()[-1],
        cpu=machine.cpu,
        memory=machine.memory,
        machine=machine.machine,
        rounds=rounds,
        connections=CONNECTIONS,
    )
    return "\n".join([*lines, "", "## How it is measured", "", method])
