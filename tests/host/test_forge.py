"""The host side's small parts: programs run, errors told, command lines read, packages and Pythons found."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from forge.checks import checks
from forge.core import cli, needs, paths, proc, timeouts
from forge.core.errors import CommandError, ForgeError, MissingError, UsageError
from forge.host import debian_packages, host, pythons
from tests.support.relay import alive
from tests.support.waiting import wait

# ---- proc -----------------------------------------------------------------------------------------------------------


def test_a_failed_program_is_named_with_the_end_of_what_it_printed() -> None:
    with pytest.raises(CommandError) as caught:
        proc.run(["sh", "-c", "seq 100; echo the reason >&2; exit 7"], hint="do that")
    assert caught.value.status == 7
    assert "sh -c" in str(caught.value)
    assert "| the reason" in str(caught.value)
    assert "| 60\n" not in str(caught.value)
    assert str(caught.value).endswith("do that")


def test_a_program_that_is_not_there_is_an_error_a_person_can_act_on() -> None:
    with pytest.raises(MissingError, match="no-such-program is not on this machine"):
        proc.run(["no-such-program"])


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 0\.5 s"):
        proc.run(["sh", "-c", f"sleep 60 & echo $! >{tmp_path}/pid; wait"], timeout=0.5)
    assert time.monotonic() - before < proc.GRACE
    child = int((tmp_path / "pid").read_text())
    wait(lambda: not alive(child), "what it started has ended")


def test_lines_are_handed_on_while_the_program_runs(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    lines = []

    def take(line: str) -> None:
        lines.append(line)
        if line == "first":
            fifo.write_text("second\n")  # blocks until the program, still running, reads it

    proc.run(["sh", "-c", f"echo first; cat {fifo}"], on_line=take, timeout=30)
    assert lines == ["first", "second"]


def test_an_interrupted_task_ends_the_programs_of_all_its_threads() -> None:
    ended = threading.Event()

    def wait() -> None:
        proc.run(["sleep", "60"], check=False)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    deadline = timeouts.deadline(30)
    while not ended.is_set() and time.monotonic() < deadline:
        proc.end_all()
    assert ended.is_set()


# ---- cli ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ForgeError("it fails", hint="do this"), 1, "example: it fails\n  do this"),
        (UsageError("no such thing", hint="try that"), 2, "example: no such thing (try that)"),
        (MissingError("not here", hint="bring it"), 3, "example: not here\n  bring it"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError(), 0, ""),
    ],
)
def test_an_error_becomes_a_line_and_an_exit_code_and_a_mistake_of_ours_stays_a_traceback(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "COMMANDS", {})

    @cli.task()
    def example(_: Context) -> None:
        raise raised

    with pytest.raises(Exit if code else ZeroDivisionError) as caught:
        cli.collection()["example"](Context())
    if code:
        assert (caught.value.code, caught.value.message) == (code, said)


# ---- checks ---------------------------------------------------------------------------------------------------------


def test_shell_scripts_are_known_by_ending_and_by_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"a.sh": "", "b": "#!/bin/sh\n", "c": "#!/usr/bin/env bash\n", "d": "#! /bin/ash -e\n"}
    others = {
        "e": "#!/usr/bin/env python3\n",
        "f.py": "#!/bin/sh\n",
        "g": "sh\n",
        ".venv/h.sh": "",
        "i": "#!/bin/fish\n",
    }
    (tmp_path / ".venv").mkdir()
    for name, text in {**scripts, **others}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert [str(path) for path in checks.shell_files()] == sorted(scripts)


def test_the_wrapper_and_the_ci_script_are_checked() -> None:
    assert {Path("inv"), Path(".ci/run")} <= set(checks.shell_files())


# ---- host, debs, interpreters ---------------------------------------------------------------------------------------


def test_what_is_missing_is_told_with_its_reason_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "command", lambda name: None)
    with pytest.raises(MissingError) as caught:
        host.require("lint")
    assert "shellcheck (checks the shell scripts)" in caught.value.message
    assert "apt-get install --no-install-recommends shellcheck" in caught.value.hint


def test_no_system_package_is_a_mail_server() -> None:
    names = {package.name for package in needs.system_packages()}
    assert names
    assert not names & {"postfix", "exim4", "sendmail", "opensmtpd", "nullmailer", "msmtp-mta"}


def test_interpreters_at_hand_start_and_have_their_own_minor_version() -> None:
    found = pythons.find()
    assert sys.version_info.minor in {one.minor for one in found}
    for one in found:
        assert pythons.probe(one.path, "again") is not None


def test_what_does_not_start_is_no_interpreter(tmp_path: Path) -> None:
    for name, text in {"fails": "#!/bin/sh\nexit 1\n", "babbles": "#!/bin/sh\necho hello\n"}.items():
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        assert pythons.probe(path, "") is None
    assert pythons.probe(tmp_path / "absent", "") is None


def test_the_tests_packages_are_the_locked_ones_without_linters() -> None:
    lock = pythons._lock_for_tests()
    assert "\npytest==" in lock
    assert "\nruff==" not in lock
    assert lock.count("--hash=sha256:") > 50


def test_a_debian_mirror_for_another_suite_is_the_machines_own() -> None:
    try:
        lines = debian_packages.sources("trixie")
    except ForgeError as error:
        pytest.skip(error.message)
    assert all(line.startswith("deb ") and line.endswith(" trixie main") for line in lines)
