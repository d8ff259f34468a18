"""All that says whether the project is sound: the linters and the tests, as stages that run two at a time.

Every stage runs even if another one fails. At the end stand a table of what each took, what was skipped and why, and
pytest's own closing line. The tasks `test` and `lint` call this.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from forge import cli, console, host, interpreters, machines, paths, proc
from forge.errors import CommandError, ForgeError, UsageError
from forge.interpreters import Interpreter
from forge.lab import targets

LAB = paths.TESTS / "lab"
LANES = 3  # stages at a time; two cores, but tests mostly wait
LINT_TIMEOUT = 600.0
STANDIN = paths.ROOT / "forge/lab/standin/usr/lib/standin"  # not of the package forge: it runs in guests
PYTEST_TIMEOUT = 2400.0
FAILURE_LINES = 400  # of a failed stage's output
NOT_OURS = {
    ".git",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "package-golden",
}
SHELLS = re.compile(rb"#! ?/\S*?(?:/env +)?\b(?:sh|ash|dash|bash)\b")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Outcome:
    """What came of a stage: `detail` for the table, `output` to show if it failed, `closing` pytest's last line."""

    ok: bool
    detail: str = ""
    output: str = ""
    closing: str = ""
    skips: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Stage:
    name: str
    action: Callable[[], Outcome]


class ChecksFailed(ForgeError):
    """Stages failed; their output has been shown."""


def run_all(
    *,
    only: str = "",
    lint: bool = True,
    routers: Sequence[str],
    router: Sequence[str] = (),
    online: bool = False,
    pytest_args: Sequence[str] = (),
) -> None:
    """The stages of `./inv test`; `only` is an area (areas()) or "lint". Raises ChecksFailed.

    The area lab runs once for each of `routers`, the lab's targets, or on the one that pytest is told of by `router`.
    """
    if only:
        cli.choice(only, [*areas(), "lint"], "--only")
    stages = []
    if only != "lint":
        parts = [only] if only or pytest_args else areas()
        host.require("build", "test", "lab", *parts, *(["arm"] if any("arm" in name for name in routers) else []))
        options = ["--online"] if online else []
        if "lab" in parts:
            # First, as they take longest; of their firmware each builds its own.
            kinds = [(*router,)] if router else [(f"--target={name}",) for name in routers]
            stages += [main_tests(LAB, pytest_args, kind, kind[0].partition("=")[2], again=True) for kind in kinds]
        stages += [main_tests(paths.TESTS / part, pytest_args, options) for part in parts if part != LAB.name]
    if lint and only in ("", "lint"):
        stages += lint_stages()
    absent: dict[int, str] = {}
    if only in ("", "relay") and not pytest_args:
        console.note("looking for other Pythons to run the relay's tests on")
        others, absent = _other_interpreters()
        stages += [relay_tests(interpreter) for interpreter in others]
        stages.append(mips_tests())
    _run(stages, absent)


def routers(*, all_targets: bool = False) -> list[str]:
    """The lab's targets that every run boots, or all of them."""
    return [name for name in targets.TARGETS if all_targets or "arm" not in name]


def router(*, host: str = "", firmware: str = "", target: str = "") -> list[str]:
    """pytest's options for one router instead of the lab's, as tests/conftest.py has them; none where none is named."""
    if host and (firmware or target):
        raise UsageError("--host is a router that runs already", hint="leave out --firmware and --target")
    if firmware:
        machines.find(target)
    elif target:
        targets.find(target)
    named = {"--host": host, "--firmware": firmware, "--target": target}
    return [f"{option}={value}" for option, value in named.items() if value]


def run_lint() -> None:
    _run(lint_stages(), {})


def areas() -> list[str]:
    """The parts that can be tested by themselves: the folders of tests/ that hold tests."""
    return sorted(folder.name for folder in paths.TESTS.iterdir() if any(folder.glob("**/test_*.py")))


# ---- the stages -----------------------------------------------------------------------------------------------------


def lint_stages() -> list[Stage]:
    host.require("lint")
    mypy: list[proc.Arg] = [sys.executable, "-m", "mypy", "--strict"]
    host_mypy = [*mypy, "--python-version=3.11"]
    ruff: list[proc.Arg] = [sys.executable, "-m", "ruff"]
    return [
        _command("mypy, relay", [*mypy, "--python-version=3.10", paths.RELAY]),
        _command("mypy, host", [*host_mypy, "--exclude=/standin/", paths.ROOT / "forge", paths.ROOT / "tasks.py"]),
        _command("mypy, stand-in", [*host_mypy, "--explicit-package-bases", STANDIN]),
        _command("ruff check", [*ruff, "check", "--quiet", "--output-format=concise", "."]),
        _command("ruff format", [*ruff, "format", "--quiet", "--check", "--output-format=concise", "."]),
        _command("shellcheck", ["shellcheck", *map(str, shell_files())]),
    ]


def _command(name: str, argv: Sequence[proc.Arg]) -> Stage:
    def action() -> Outcome:
        result = proc.run(argv, cwd=paths.ROOT, check=False, timeout=LINT_TIMEOUT)
        lines = result.output.rstrip().splitlines()
        return Outcome(result.status == 0, lines[-1] if lines else "", result.output)

    return Stage(name, action)


def shell_files() -> list[Path]:
    """Every shell script of the project, known by its ending or its first line."""
    found = []
    for folder, folders, names in os.walk(paths.ROOT):
        folders[:] = sorted(set(folders) - NOT_OURS)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix == ".sh" or (not path.suffix and _is_shell(path)):
                found.append(path.relative_to(paths.ROOT))
    return found


def _is_shell(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(SHELLS.match(file.readline(200)))


def main_tests(
    folder: Path, arguments: Sequence[str], options: Sequence[str] = (), kind: str = "", *, again: bool = False
) -> Stage:
    """The tests of a folder on the Python that runs the tasks; their progress is shown while they run.

    `options` are pytest's as well, but name nothing to run; `kind` is the stage's name, where there are more. `again`:
    what failed is tried once more, on a guest of its own: an emulated router falls silent now and then.
    """
    argv: list[proc.Arg] = [sys.executable, "-m", "pytest", *(arguments or [str(folder)])]
    # With arguments of the caller's that name no path, pytest's own testpaths would widen `folder` to everything.
    if arguments and not any((paths.ROOT / word.partition("::")[0]).exists() for word in arguments):
        argv.append(str(folder))
    argv += options
    if again:
        argv.append(f"--override-ini=cache_dir={paths.cache('pytest', kind.replace('/', '-') or 'router')}")
    if console.is_terminal():
        argv.append("--color=yes")
    area = "" if folder == paths.TESTS else f" of {kind or folder.name}"

    def show(line: str) -> None:
        console.say(f"{area[4:]:>8}  {line}" if area else line)

    stage = _pytest(f"tests{area}", argv, {}, show)
    if not again:
        return stage
    repeated = _pytest(stage.name, [*argv, "--last-failed", "--last-failed-no-failures=none"], {}, show)
    return Stage(stage.name, lambda: _second_chance(stage, repeated))


def _second_chance(stage: Stage, repeated: Stage) -> Outcome:
    """What failed counts as passed if it passes when it is run again, and the table says so."""
    first = stage.action()
    if first.ok or not (failed := _counts(first)["failed"]):
        return first
    console.note(f"{stage.name}: {failed} failed, and are run once more")
    second = repeated.action()
    if not second.ok:
        return second
    passed = _counts(first)["passed"] + _counts(second)["passed"]
    closing = f"{passed} passed, {_counts(first)['skipped']} skipped"
    return Outcome(True, f"{closing}; {failed} of them at the second try", "", closing, first.skips)


def relay_tests(interpreter: Interpreter) -> Stage:
    """The relay's tests on another Python."""

    def action() -> Outcome:
        environment = {"PYTHONPATH": str(interpreters.test_packages(interpreter))}
        argv: list[proc.Arg] = [interpreter.path, "-m", "pytest", paths.TESTS / "relay"]
        argv += ["-p", "no:cacheprovider", "--hypothesis-profile=quick"]
        return _pytest("", argv, environment, None).action()

    return Stage(f"relay tests, Python {interpreter.version}", action)


def mips_tests() -> Stage:
    """Those of the relay's tests that only compute, on an emulated MIPS CPU."""
    from forge import emulated

    def action() -> Outcome:
        argv, environment = emulated.pytest()
        console.note(emulated.LEFT_OUT)
        return _pytest("", argv, environment, None).action()

    return Stage("relay tests, MIPS (qemu-user)", action)


def _pytest(
    name: str, argv: Sequence[proc.Arg], environment: dict[str, str], on_line: Callable[[str], None] | None
) -> Stage:
    def action() -> Outcome:
        with tempfile.TemporaryDirectory(prefix="mailrelay-test-") as scratch:
            report = Path(scratch, "report.xml")
            result = proc.run(
                [*argv, f"--junitxml={report}"],
                cwd=paths.ROOT,
                env={"PYTHONUNBUFFERED": "1", **environment},
                check=False,
                timeout=PYTEST_TIMEOUT,
                on_line=on_line,
            )
            skips = _skips(report)
        lines = result.output.rstrip().splitlines()
        closing = lines[-1] if lines else ""
        # What was shown while it ran is not shown again; of the rest, what failed and why.
        failures = next((at for at, line in enumerate(lines) if re.match("=+ (FAILURES|ERRORS) =", line)), 0)
        output = "" if on_line else "\n".join(lines[failures:][-FAILURE_LINES:])
        return Outcome(result.status == 0, COLOUR.sub("", closing).strip("= "), output, closing, skips)

    return Stage(name, action)


def _skips(report: Path) -> Counter[str]:
    """How many tests were skipped for which reason, from pytest's report."""
    if not report.exists():
        return Counter()
    return Counter(skipped.get("message", "") for skipped in ElementTree.parse(report).iter("skipped"))


def _other_interpreters() -> tuple[list[Interpreter], dict[int, str]]:
    """All but the one that runs this; and why the minor versions that are missing are missing."""
    found = interpreters.find()
    reasons = {}
    for minor in interpreters.absent(found):
        try:
            found.append(interpreters.from_debian(minor))
        except ForgeError as error:
            lines = error.output.strip().splitlines() if isinstance(error, CommandError) else []
            reasons[minor] = lines[-1] if lines else error.message
    others = sorted((one for one in found if not one.is_main), key=lambda one: one.minor)
    for one in others:
        console.note(f"Python {one.version}: {one.path} ({one.origin})")
    return others, reasons


# ---- running them ---------------------------------------------------------------------------------------------------


def _run(stages: Sequence[Stage], absent: dict[int, str]) -> None:
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
    _report(stages, outcomes, durations, absent)


def _timed(stage: Stage, durations: dict[str, float]) -> tuple[Stage, Outcome]:
    console.note(f"{stage.name}…")
    started = time.monotonic()
    try:
        outcome = stage.action()
    except ForgeError as error:
        outcome = Outcome(False, error.message.splitlines()[0], str(error))
    durations[stage.name] = time.monotonic() - started
    return stage, outcome


def _counts(outcome: Outcome) -> Counter[str]:
    """How many passed, failed (or could not begin) and were skipped, from pytest's closing line."""
    counts: Counter[str] = Counter()
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|error)", COLOUR.sub("", outcome.closing)):
        counts["failed" if what == "error" else what] += int(number)
    return counts


def _sum(outcomes: Iterable[Outcome]) -> str:
    """All the tests of all stages in one line, as test runners close."""
    counts = sum((_counts(outcome) for outcome in outcomes), Counter())
    return f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"


def _report(
    stages: Sequence[Stage], outcomes: dict[str, Outcome], durations: dict[str, float], absent: dict[int, str]
) -> None:
    failed = [stage.name for stage in stages if not outcomes[stage.name].ok]
    for name in failed:
        if outcomes[name].output:
            console.say()
            console.title(f"{name} failed")
            console.say(outcomes[name].output.rstrip())
    console.say()
    rows = []
    for stage in stages:
        outcome = outcomes[stage.name]
        rows.append(
            ("ok" if outcome.ok else "FAIL", console.seconds(durations[stage.name]), stage.name, outcome.detail)
        )
    console.table(("", "took", "stage", "result"), rows)
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
    for minor, reason in absent.items():
        console.say(f"Python 3.{minor} was not at hand: {reason}")
    console.say(_sum(outcomes.values()))
    if failed:
        raise ChecksFailed(f"failed: {', '.join(failed)}")
