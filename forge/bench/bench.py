"""`./inv bench`: the relay and Postfix on this machine, figure by figure, against the goals we have set ourselves.

ROWS holds every figure with its goal; rounds.py measures them. The medians of all rounds become a table on the
terminal and, after a full run, docs/dev/BENCHMARKS.md, misses included. It is no test: it needs a quiet machine.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from forge.bench import rounds as bench_rounds
from forge.core import console, paths, proc
from forge.host import debian_packages
from forge.servers.postfix import BASELINE_CONFIG
from forge.servers.relay import PARENT, runner

OURS, THEIRS = "mailrelay", "Postfix"


@dataclass(frozen=True)
class Goal:
    """`limit` for ours divided by Postfix's (a ratio), or for ours alone. A rate has a floor below its goal."""

    limit: float
    ratio: bool = True
    at_least: bool = False
    floor: float = 0.0

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        text = f"{sign} {self.limit:g} ×" if self.ratio else f"{sign} {self.limit:g}"
        return f"{text} (floor {self.floor:g})" if self.floor else text


@dataclass(frozen=True)
class Row:
    """A figure: its key in bench_rounds, what it is, its unit, and what it must reach; `scale` leads to the unit."""

    key: str
    text: str
    unit: str
    goal: Goal | None = None
    scale: float = 1.0


def _rates(prefix: str, what: str) -> list[Row]:
    goals = {1: Goal(1.1, at_least=True, floor=0.9), 10: Goal(2, at_least=True, floor=1.5)}
    goals[50] = Goal(3, at_least=True, floor=2.0)
    return [
        Row(
            f"{prefix}_{connections}_{each}",
            f"{what}: {connections} connection{'s' * (connections > 1)}, {text}",
            "mails/s",
            goals[connections],
        )
        for connections in bench_rounds.CONNECTIONS
        for each, text in (("each", "one mail each"), ("many", "many mails each"))
    ]


MB = 1 / 1000
ROWS = (
    *_rates("accept", "accepting, provider away"),
    *_rates("both", "accepting and delivering"),
    Row("p50", "a whole session, median", "ms", Goal(0.7)),
    Row("p99", "a whole session, 99th percentile", "ms"),
    Row("drain", "draining the queue", "s", Goal(1.0), scale=1 / 1000),
    Row("start", "from start to greeting", "ms"),
    Row("slow_1", "a session beside 1,000 slow connections, 1 address", "ms", Goal(10, ratio=False)),
    Row("slow_100", "a session beside 1,000 slow connections, 100 addresses", "ms", Goal(10, ratio=False)),
    Row("listener_over_bare", "the listener's RSS over a bare python3 -I -S", "MB", Goal(3, ratio=False), MB),
    Row("idle_rss", "idle, all processes: RSS", "MB", None, MB),
    Row("idle_pss", "idle, all processes: PSS", "MB", None, MB),
    Row("idle_pss_anon", "idle, all processes: Pss_Anon", "MB", Goal(7, ratio=False), MB),
    Row("idle_processes", "idle: processes", ""),
    Row("loaded_rss", "at 50 connections, all processes: RSS", "MB", None, MB),
    Row("loaded_pss", "at 50 connections, all processes: PSS", "MB", None, MB),
    Row("loaded_pss_anon", "at 50 connections, all processes: Pss_Anon", "MB", None, MB),
    Row("loaded_more", "at 50 connections: Pss_Anon over idle", "MB", Goal(3, ratio=False), MB),
    Row("resident_more", "the same without the courier, which leaves when all is sent", "MB", None, MB),
    Row("queued_pss", "with a long queue: PSS", "MB", None, MB),
    Row("queued_more", "with a long queue: Pss_Anon over idle", "MB", Goal(3, ratio=False), MB),
    Row("second_more", "a second courier, while the first one's transfer lasts: Pss_Anon", "MB", None, MB),
    Row("big_more", "a 40 MB mail: Pss_Anon over a small mail", "MB", Goal(1, ratio=False), MB),
)

METHOD = """\
Both servers run side by side on one machine and one disk, and both answer `250` only once the mail is on it. Each
figure is the median of {rounds} rounds; in a round each figure is taken of the one and at once of the other, in swapped
order from round to round. The client is Postfix's own `smtp-source` (mails of 1 KB), the provider behind them its
`smtp-sink`, without TLS for both. "Provider away" is the bare rate at which mail is taken; "accepting and delivering"
shares the processors with the delivery. The queue that is drained has {queued:g} mails. A session is connect, EHLO,
MAIL, RCPT, DATA, a short mail, QUIT, each step waiting for its reply, by a client of our own on an otherwise idle
server. A slow connection sends one byte of a command every five seconds and comes back when it is thrown out. Memory is
that of all processes together; "over idle" and "over a small mail" are peaks, and include a courier that is delivering.

Postfix has its defaults (100 processes a service, a pause by `in_flow_delay` when mail comes in faster than it goes
out), its limit of connections from one address lifted, no chroot, TLS not offered, and else what Debian gives it:
"""


def run(rounds: int = 5, quick: bool = False) -> None:
    """Measure, print the table, and after a full run write it to docs/dev/BENCHMARKS.md."""
    started = time.monotonic()
    proc.end_in_order()
    rounds = 1 if quick else rounds
    sizes = bench_rounds.QUICK if quick else bench_rounds.FULL
    found: list[dict[str, bench_rounds.Figures]] = []
    with ExitStack() as stack:
        servers = bench_rounds.Rounds(sizes, stack)
        machine = _machine(servers.tools.version)
        console.title("The machine")
        for line in machine:
            console.say(f"  {line}")
        for number in range(1, rounds + 1):
            with console.step(f"round {number} of {rounds}"):
                found.append(servers.run(number, _progress))
    cells = [judge(row, found) for row in ROWS]
    console.say()
    heads = ("figure", OURS, THEIRS, "ratio", "goal", "verdict")
    console.table(heads, [(cell.text, cell.ours, cell.theirs, cell.ratio, cell.goal, cell.verdict) for cell in cells])
    console.say()
    misses = [cell for cell in cells if cell.missed]
    near = [cell for cell in cells if cell.verdict == "floor"]
    hits = [cell for cell in cells if cell.verdict == "hit"]
    console.say(f"{len(hits)} goals hit, {len(near)} between floor and goal, {len(misses)} missed.", "bold")
    for cell in misses:
        console.say(f"  missed: {cell.text}: {cell.ours}, {cell.ratio or 'alone'}, goal {cell.goal}", "red")
    took = console.seconds(time.monotonic() - started)
    if quick:
        console.good(f"measured in {took}; a quick run is no result: docs/dev/BENCHMARKS.md is left as it was")
    else:
        path = paths.DOCS / "dev/BENCHMARKS.md"
        path.write_text(document(cells, machine, rounds, sizes.queued))
        console.good(f"measured in {took}; written to {path.relative_to(paths.ROOT)}")


@dataclass(frozen=True)
class Cell:
    """A row as text."""

    text: str
    ours: str
    theirs: str
    ratio: str
    goal: str
    verdict: str
    spread: str

    @property
    def missed(self) -> bool:
        return self.verdict.startswith("MISS")


def judge(row: Row, rounds: Sequence[dict[str, bench_rounds.Figures]]) -> Cell:
    """The medians of all rounds, and whether they reach the goal."""
    ours, theirs = (_values(row, [result[name] for result in rounds]) for name in (OURS, THEIRS))
    median = statistics.median(ours)
    their_median = statistics.median(theirs) if theirs else None
    ratio = median / their_median if their_median and their_median != float("inf") else None
    return Cell(
        row.text,
        _number(median, row.unit),
        "" if their_median is None else _number(their_median, row.unit),
        "" if ratio is None else f"{ratio:.2f} ×",
        str(row.goal) if row.goal else "",
        _verdict(row.goal, ratio if row.goal.ratio else median) if row.goal else "",
        f"{_number(min(ours), '')}–{_number(max(ours), row.unit)}" if len(ours) > 1 else "",
    )


def _verdict(goal: Goal, value: float | None) -> str:
    if value is None:
        return "MISS (no figure)"
    if value >= goal.limit if goal.at_least else value <= goal.limit:
        return "hit"
    return "floor" if goal.floor and value >= goal.floor else "MISS"


def _values(row: Row, results: Sequence[bench_rounds.Figures]) -> list[float]:
    values = []
    for result in results:
        if row.key == "queued_more":
            if "queued_pss_anon" in result:
                values.append((result["queued_pss_anon"] - result["idle_pss_anon"]) * row.scale)
        elif row.key in result:
            values.append(result[row.key] * row.scale)
    return values


def _number(value: float, unit: str) -> str:
    if value == float("inf"):
        return "starved"
    text = f"{value:.0f}" if abs(value) >= 100 or not unit and value == int(value) else f"{value:.2f}"
    return f"{text} {unit}".rstrip()


def document(cells: Sequence[Cell], machine: Sequence[str], rounds: int, queued: int) -> str:
    """docs/dev/BENCHMARKS.md."""
    lines = ["# Benchmarks", "", f"Made by `./inv bench` on {datetime.date.today():%d %B %Y}. The machine:", ""]
    lines += [f"- {line}" for line in machine]
    lines += [
        "",
        "| figure | mailrelay | its range | Postfix | ratio | goal | verdict |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for cell in cells:
        verdict = f"**{cell.verdict}**" if cell.missed else cell.verdict
        row = (cell.text, cell.ours, cell.spread, cell.theirs, cell.ratio, cell.goal, verdict)
        lines.append(f"| {' | '.join(row)} |".replace("  ", " "))
    misses = [
        f"- {cell.text}: {cell.ours} ({cell.ratio or 'alone'}), goal {cell.goal}" for cell in cells if cell.missed
    ]
    below = [f"- {cell.text}: {cell.ratio}, goal {cell.goal}" for cell in cells if cell.verdict == "floor"]
    lines += ["", "## Missed", "", *(misses or ["Nothing."])]
    if below:
        lines += ["", "Above the floor, below the goal:", "", *below]
    lines += ["", "## How it is measured", "", METHOD.format(rounds=rounds, queued=queued), "```"]
    lines += [*BASELINE_CONFIG.format(sink="…").strip().splitlines(), "```"]
    return "\n".join(lines) + "\n"


def _progress(text: str) -> None:
    if console.is_terminal():
        print(f"\r     {text:<70}", end="\r", file=sys.stderr, flush=True)


def _machine(postfix_version: str) -> list[str]:
    python, _ = runner()
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    version = proc.run([python, "-V"]).output.split()[1]
    return [
        f"{os.cpu_count()} × {_processor()}, {kilobytes / 1e6:.0f} GB of memory",
        f"{debian_packages.release().get('PRETTY_NAME', platform.system())}, Linux {platform.release()}, "
        f"{platform.machine()}",
        f"{_file_system()} below {PARENT}, {_syncs():.0f} small files written and synced a second",
        f"Python {version} for the relay, Postfix {postfix_version}",
        f"load average at the start {os.getloadavg()[0]:.1f}",
    ]


def _processor() -> str:
    found = re.search(r"^model name\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _file_system() -> str:
    result = proc.run(["df", "--output=fstype", PARENT], check=False)
    return result.output.split()[-1] if result.status == 0 else "an unknown file system"


def _syncs() -> float:
    """What the disk allows a single writer: the frame for every rate at one connection."""
    with tempfile.TemporaryDirectory(prefix="mailrelay-sync-", dir=PARENT) as folder:
        started = time.perf_counter()
        count = 0
        while time.perf_counter() - started < 1.0:
            fd = os.open(Path(folder) / str(count), os.O_WRONLY | os.O_CREAT)
            os.write(fd, b"x" * 1024)
            os.fsync(fd)
            os.close(fd)
            count += 1
        return count / (time.perf_counter() - started)
