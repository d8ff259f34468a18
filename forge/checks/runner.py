"""Stages of checks, some at a time: every one runs even if another fails, what failed is tried once more when nothing
else runs, and a table closes it. checks.py says what the stages are.

A test that passes only the second time is counted and named: a busy machine made it fail, or it wants mending.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from forge.core import console, proc
from forge.core.errors import ForgeError

LANES = 5  # stages at a time; two cores, but tests mostly wait
SLOWEST = 10  # tests that are named at the end
A_FEW = 5  # failures of a stage that are worth a second try; more are no accident
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Outcome:
    """What came of a stage: `detail` for the table, `output` to show if it failed, `closing` pytest's last line,
    `failed` the tests that failed, `skips` how many were skipped for which reason, `slow` the seconds of the slowest,
    `notes` what else is to be said at the end."""

    ok: bool
    detail: str = ""
    output: str = ""
    closing: str = ""
    failed: Sequence[str] = ()
    skips: Counter[str] = field(default_factory=Counter)
    slow: Sequence[tuple[float, str]] = ()
    notes: Sequence[str] = ()

    def counts(self) -> Counter[str]:
        """How many passed, failed (or could not begin) and were skipped, from pytest's closing line."""
        counts: Counter[str] = Counter()
        for number, what in re.findall(r"(\d+) (passed|failed|skipped|error)", COLOUR.sub("", self.closing)):
            counts["failed" if what == "error" else what] += int(number)
        return counts


@dataclass(frozen=True)
class Stage:
    """`again` runs what failed the last time, and nothing else."""

    name: str
    action: Callable[[], Outcome]
    again: Callable[[], Outcome] | None = None


class ChecksFailed(ForgeError):
    """Stages failed; their output has been shown."""


def run(stages: Sequence[Stage], closing: Iterable[str] = ()) -> None:
    """All stages, then the table and the lines of `closing`. Raise ChecksFailed."""
    console.title(f"{len(stages)} stage{'s' * (len(stages) > 1)}, {LANES} at a time")
    durations: dict[str, float] = {}
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(LANES) as pool:
        futures = [pool.submit(_timed, stage, durations) for stage in stages]
        try:
            for future in as_completed(futures):
                stage, outcome = future.result()
                outcomes[stage.name] = outcome
                (console.good if outcome.ok else console.bad)(f"{stage.name} ({outcome.detail})")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            proc.end_all()
            raise
    for stage in stages:
        if not (first := outcomes[stage.name]).ok:
            outcomes[stage.name] = _second_try(stage, first)
    _report(stages, outcomes, durations, closing)


def _timed(stage: Stage, durations: dict[str, float]) -> tuple[Stage, Outcome]:
    console.note(f"{stage.name}…")
    started = time.monotonic()
    outcome = _outcome(stage.action)
    durations[stage.name] = time.monotonic() - started
    return stage, outcome


def _outcome(action: Callable[[], Outcome]) -> Outcome:
    try:
        return action()
    except ForgeError as error:
        return Outcome(False, error.message.splitlines()[0], str(error))


def _second_try(stage: Stage, first: Outcome) -> Outcome:
    """What failed counts as passed if it passes when it is run once more, alone."""
    if stage.again is None or not 0 < len(first.failed) <= A_FEW:
        return first
    console.title(f"{stage.name}: {len(first.failed)} failed, run once more with nothing beside")
    second = _outcome(stage.again)
    if not second.ok:
        return dataclasses.replace(first, output=second.output or first.output)
    passed = first.counts()["passed"] + len(first.failed)
    closing = f"{passed} passed, {first.counts()['skipped']} skipped"
    detail = f"{closing}; at the second try: {', '.join(first.failed)}"
    return dataclasses.replace(first, ok=True, detail=detail, output="", closing=closing, failed=())


def _sum(outcomes: Iterable[Outcome]) -> str:
    """All the tests of all stages in one line, as test runners close."""
    counts = sum((outcome.counts() for outcome in outcomes), Counter())
    return f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"


def _report(
    stages: Sequence[Stage], outcomes: Mapping[str, Outcome], durations: Mapping[str, float], closing: Iterable[str]
) -> None:
    failed = [stage.name for stage in stages if not outcomes[stage.name].ok]
    for name in failed:
        if outcomes[name].output:
            console.say()
            console.title(f"{name} failed")
            console.say(outcomes[name].output.rstrip())
    console.say()
    rows = [(stage.name, outcomes[stage.name], console.seconds(durations[stage.name])) for stage in stages]
    table = [("ok" if outcome.ok else "FAIL", took, name, outcome.detail) for name, outcome, took in rows]
    console.table(("", "took", "stage", "result"), table)
    console.say()
    skips = [
        (str(count), stage.name, reason)
        for stage in stages
        for reason, count in sorted(outcomes[stage.name].skips.items())
    ]
    if skips:
        console.table(("skipped", "in", "because"), skips)
    else:
        console.say("Nothing was skipped.")
    slow = [(took, test, stage.name) for stage in stages for took, test in outcomes[stage.name].slow if took > 1]
    if slow:
        slow = sorted(slow, reverse=True)[:SLOWEST]
        console.table(("took", "the slowest tests", "in"), [(console.seconds(took), *where) for took, *where in slow])
    for stage in stages:
        for note in outcomes[stage.name].notes:
            console.say(note)
    for line in closing:
        console.say(line)
    console.result(
        {
            "stages": [
                {
                    "name": stage.name,
                    "ok": outcomes[stage.name].ok,
                    "seconds": round(durations[stage.name], 2),
                    "detail": COLOUR.sub("", outcomes[stage.name].detail),
                    **{key: outcomes[stage.name].counts()[key] for key in ("passed", "failed", "skipped")},
                    "skips": dict(outcomes[stage.name].skips),
                }
                for stage in stages
            ]
        }
    )
    console.say(_sum(outcomes.values()))
    if failed:
        raise ChecksFailed(f"failed: {', '.join(failed)}")
