"""All that says whether the project is sound: the linters and the tests, as stages that runner.py runs.

The tasks `test` and `lint` call this.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from forge.checks import coverage, foreign_cpu, lacking, runner, scripts
from forge.checks.runner import COLOUR, Outcome, Stage
from forge.core import choices, cli, console, needs, paths, proc
from forge.core.errors import CommandError, ForgeError, UsageError
from forge.host import host, pythons
from forge.host.pythons import Interpreter
from forge.lab import targets
from forge.lab.targets import Target
from forge.vm import machines

LAB = paths.TESTS / "lab"
LONG = ("bare", "host")  # minutes, much of it waiting: begun first, so that nothing is waited for at the end
LINT_TIMEOUT = 600.0
STANDIN = paths.ROOT / "forge/lab/standin/usr/lib/standin"  # not of the package forge: it runs in guests
PYTEST_TIMEOUT = 2400.0
LEFT_SHOWN = 5
FAILURE_LINES = 400  # of a failed stage's output
FAILED = re.compile(r"(?:FAILED|ERROR) (?:tests/)?(\S+::\S+)")  # in pytest's summary
NOT_OURS = {
    *(".git", ".venv", ".venv2", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    "package-golden",
}
SHELLS = re.compile(rb"#! ?/\S*?(?:/env +)?\b(?:sh|ash|dash|bash)\b")


def run_all(
    *,
    only: str = "",
    lint: bool = True,
    routers: Sequence[Target],
    router: Sequence[str] = (),
    online: bool = False,
    pytest_args: Sequence[str] = (),
    dry_run: bool = False,
) -> None:
    """The stages of `./inv test`; `only` is an area (choices.areas) or "lint". Raise ChecksFailed.

    The area lab runs once for each of `routers`, the lab's targets. Where pytest is told of one router by `router`,
    `only` is an area that runs there.
    """
    if only:
        cli.choice(only, choices.checked(), "--only")
    guests: list[Stage] = []
    long: list[Stage] = []
    relay: list[Stage] = []
    rest: list[Stage] = []
    absent: dict[int, str] = {}
    if only != "lint":
        parts = [only] if only or pytest_args else choices.areas()
        wanted = [needs.AREAS[part] for part in parts if part]
        if "lab" in parts and not router:
            wanted += [needs.qemu(one.name) for one in routers]
        if not dry_run:
            host.require(*{group for one in wanted for group in one.system})
        if lacks := lacking.line():
            console.say(f"     {lacks}", "yellow")
        options = ["--online"] if online else []
        if router:
            guests = [main_tests(paths.TESTS / only, pytest_args, router, router[0].partition("=")[2])]
        elif "lab" in parts:
            guests = [on_guest(one, pytest_args) for one in routers]
        for part in parts:
            if part != LAB.name and not router:
                kind = main_tests if pytest_args or part != "relay" else measured_tests
                lane = relay if part == "relay" else long if part in LONG else rest
                lane.append(kind(paths.TESTS / part, pytest_args, options))
    if lint and only in ("", "lint"):
        if not dry_run:
            host.require("lint")
        rest += lint_stages()
    if only in ("", "relay") and not pytest_args:
        console.note("looking for other Pythons to run the relay's tests on")
        others, absent = ([], {}) if dry_run else _other_interpreters()
        relay += [relay_tests(interpreter) for interpreter in others]
        rest += [emulated_tests(cpu) for cpu in foreign_cpu.CPUS]
    # Guests want a processor each; the others mostly wait, and go well beside them.
    stages = [*guests, *long, *relay, *rest]
    if dry_run:
        console.result({"stages": [{"name": stage.name} for stage in stages]})
        console.table(("stage",), [(stage.name,) for stage in stages])
        if only in ("", "relay") and not pytest_args:
            console.note("and the relay's tests on the other Pythons that are at hand then")
        return
    runner.run(stages, (f"Python 3.{minor} was not at hand: {reason}" for minor, reason in absent.items()))


def routers(*, all_targets: bool = False, release: str = "") -> list[Target]:
    """The lab's guests that every run boots, which have each release between them, or one of every target.

    With a release, all of them as that.
    """
    chosen = targets.ALL_TESTED if all_targets else targets.TESTED
    return [targets.find(name, release or own) for name, own in chosen.items()]


def router(*, host: str = "", firmware: str = "", target: str = "", release: str = "") -> list[str]:
    """pytest's options for one router instead of the lab's, as tests/conftest.py has them; none where none is named."""
    if host and (firmware or target):
        raise UsageError("--host is a router that runs already", hint="leave out --firmware and --target")
    if release and (host or firmware):
        raise UsageError("--release is for firmware that is built here", hint="leave it out")
    if firmware:
        machines.find(target)
    elif target:
        targets.find(target, release)
    named = {"--host": host, "--firmware": firmware, "--target": target, "--release": release if target else ""}
    return [f"{option}={value}" for option, value in named.items() if value]


def run_lint() -> None:
    host.require("lint")
    runner.run(lint_stages())


# ---- the stages -----------------------------------------------------------------------------------------------------


def lint_stages() -> list[Stage]:
    mypy: list[proc.Arg] = [sys.executable, "-m", "mypy", "--strict"]
    host_mypy = [*mypy, "--python-version=3.11"]
    ruff: list[proc.Arg] = [sys.executable, "-m", "ruff"]
    stages = [
        _command("mypy, relay", [*mypy, "--python-version=3.10", paths.RELAY]),
        _command("mypy, host", [*host_mypy, "--exclude=/standin/", paths.ROOT / "forge", paths.ROOT / "tasks.py"]),
        _command("mypy, stand-in", [*host_mypy, "--explicit-package-bases", STANDIN]),
        _command("ruff check", [*ruff, "check", "--quiet", "--output-format=concise", "."]),
        _command("ruff format", [*ruff, "format", "--quiet", "--check", "--output-format=concise", "."]),
        _command("shellcheck", ["shellcheck", *map(str, shell_files())]),
    ]
    return [*stages, Stage("eslint", lambda: _outcome(scripts.check()))] if scripts.offered() else stages


def on_guest(target: Target, arguments: Sequence[str]) -> Stage:
    """The lab's tests on one of its guests."""
    return main_tests(LAB, arguments, [f"--target={target.name}", f"--release={target.release}"], target.label)


def _command(name: str, argv: Sequence[proc.Arg]) -> Stage:
    return Stage(name, lambda: _outcome(proc.run(argv, cwd=paths.ROOT, check=False, timeout=LINT_TIMEOUT)))


def _outcome(result: proc.Result) -> Outcome:
    lines = result.output.rstrip().splitlines()
    return Outcome(result.status == 0, lines[-1] if lines else "", result.output)


def shell_files() -> list[Path]:
    """Every shell script of the project, known by its ending or its first line."""
    found = []
    for folder, folders, files in os.walk(paths.ROOT):
        folders[:] = sorted(set(folders) - NOT_OURS)
        for name in sorted(files):
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
    folder: Path,
    arguments: Sequence[str],
    options: Sequence[str] = (),
    kind: str = "",
    *,
    reached: Path | None = None,
) -> Stage:
    """The tests of a folder on the Python that runs the tasks; their progress is shown while they run.

    `options` are pytest's as well, but name nothing to run; `kind` is the stage's name, where there are more. Which of
    the relay's lines they reach is written into the folder `reached`.
    """
    argv = [*(coverage.pytest() if reached else [sys.executable, "-m", "pytest"]), *(arguments or [str(folder)])]
    # With arguments of the caller's that name no path, pytest's own testpaths would widen `folder` to everything.
    if arguments and not any((paths.ROOT / word.partition("::")[0]).exists() for word in arguments):
        argv.append(str(folder))
    argv += options
    if console.is_terminal():
        argv.append("--color=yes")
    area = "" if folder == paths.TESTS else f" of {kind or folder.name}"

    def show(line: str) -> None:
        console.say(f"{area[4:]:>8}  {line}" if area else line)

    return _pytest(f"tests{area}", argv, coverage.environment(reached) if reached else {}, show)


def measured_tests(folder: Path, arguments: Sequence[str], options: Sequence[str] = ()) -> Stage:
    """The same, with the share of the relay's lines that they reach; too low a share fails the stage."""

    def action() -> Outcome:
        with tempfile.TemporaryDirectory(prefix="mailrelay-reached-") as scratch:
            outcome = main_tests(folder, arguments, options, reached=Path(scratch)).action()
            share = coverage.percent(Path(scratch))
        text = f"src {share:.1f} % of lines, floor {coverage.FLOOR} %"
        if share >= coverage.FLOOR:
            return dataclasses.replace(outcome, notes=[text])
        return Outcome(False, text, outcome.output, outcome.closing, skips=outcome.skips, notes=[text])

    plain = main_tests(folder, arguments, options)
    return dataclasses.replace(plain, action=action)


def relay_tests(interpreter: Interpreter) -> Stage:
    """The relay's tests on another Python."""
    argv: list[proc.Arg] = [interpreter.path, "-m", "pytest", paths.TESTS / "relay", "--hypothesis-profile=quick"]
    name = f"relay tests, Python {interpreter.version}"
    return _pytest(name, argv, lambda: {"PYTHONPATH": str(pythons.test_packages(interpreter))}, None)


def emulated_tests(cpu: foreign_cpu.Cpu) -> Stage:
    """Those of the relay's tests that only compute, on an emulated CPU of another kind."""

    def action() -> Outcome:
        argv, environment = foreign_cpu.pytest(cpu)
        console.note(foreign_cpu.LEFT_OUT)
        return _pytest("", argv, environment, None).action()

    return Stage(f"relay tests, {cpu.name}", action)


def _pytest(
    name: str,
    argv: Sequence[proc.Arg],
    environment: dict[str, str] | Callable[[], dict[str, str]],
    on_line: Callable[[str], None] | None,
) -> Stage:
    # A stage remembers by itself what failed in it: others run at the same time.
    cache = paths.cache("pytest", re.sub(r"\W+", "-", name) or "unnamed")
    argv = [*argv, f"--override-ini=cache_dir={cache}"]

    def run(*more: str) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="mailrelay-test-") as scratch:
            report, temporary = Path(scratch, "report.xml"), Path(scratch, "t")
            Path(scratch).chmod(0o755)  # some tests are other users
            temporary.mkdir()
            temporary.chmod(0o1777)
            result = proc.run(
                [*argv, *more, f"--junitxml={report}", f"--basetemp={scratch}/b"],
                cwd=paths.ROOT,
                env={
                    "PYTHONUNBUFFERED": "1",
                    "TMPDIR": str(temporary),
                    **(environment() if callable(environment) else environment),
                },
                check=False,
                timeout=PYTEST_TIMEOUT,
                on_line=on_line,
            )
            skips, slow = _read(report)
            left = sorted(path.name for path in temporary.iterdir())
        lines = result.output.rstrip().splitlines()
        closing = COLOUR.sub("", lines[-1]).strip("= ") if lines else ""
        # What was shown while it ran is not shown again; of the rest, what failed and why.
        failures = next((at for at, line in enumerate(lines) if re.match("=+ (FAILURES|ERRORS) =", line)), 0)
        output = "" if on_line else "\n".join(lines[failures:][-FAILURE_LINES:])
        failed = [found[1] for line in lines if (found := FAILED.match(COLOUR.sub("", line)))]
        if left and result.status == 0:
            what = f"the tests left in the temporary folder: {', '.join(left[:LEFT_SHOWN])}"
            return Outcome(False, what, what, closing, failed, skips, slow)
        return Outcome(result.status == 0, closing, output, closing, failed, skips, slow)

    return Stage(name, run, lambda: run("--last-failed", "--last-failed-no-failures=none"))


def _read(report: Path) -> tuple[Counter[str], list[tuple[float, str]]]:
    """From pytest's report: how many tests were skipped for which reason, and the seconds of the slowest."""
    if not report.exists():
        return Counter(), []
    tree = ElementTree.parse(report)
    tests = [(float(one.get("time", 0)), f"{one.get('classname')}.{one.get('name')}") for one in tree.iter("testcase")]
    return Counter(one.get("message", "") for one in tree.iter("skipped")), sorted(tests)[-runner.SLOWEST :]


def _other_interpreters() -> tuple[list[Interpreter], dict[int, str]]:
    """All but the one that runs this; and why the minor versions that are missing are missing."""
    found = pythons.find()
    reasons = {}
    for minor in pythons.absent(found):
        try:
            found.append(pythons.from_debian(minor))
        except ForgeError as error:
            lines = error.output.strip().splitlines() if isinstance(error, CommandError) else []
            reasons[minor] = lines[-1] if lines else error.message
    others = sorted((one for one in found if one.minor != sys.version_info.minor), key=lambda one: one.minor)
    for one in others:
        console.note(f"Python {one.version}: {one.path} ({one.origin})")
    return others, reasons
