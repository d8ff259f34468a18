"""./inv where something is wrong with the machine or with what was left behind: a line that helps, no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forge.core import paths
from forge.host.namespaces import apart
from tests.support.waiting import wait

from .conftest import Checkout, clean_environment
from .test_inv import fake, tool_folder


def site_packages(checkout: Checkout) -> Path:
    (folder,) = checkout.venv.glob("lib/python3*/site-packages")
    return folder


# ---- .venv ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["a module is gone", "a module is cut off", "the interpreter is gone"])
def test_a_damaged_venv_mends_itself(checkout: Checkout, damage: str) -> None:
    assert checkout.start("hello").returncode == 0
    if damage == "a module is gone":
        shutil.rmtree(site_packages(checkout) / "invoke")
    elif damage == "a module is cut off":
        (site_packages(checkout) / "invoke" / "executor.py").write_text("class Executor(\n")
        shutil.rmtree(site_packages(checkout) / "invoke" / "__pycache__", ignore_errors=True)
    else:
        for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
            (checkout.venv / "bin" / name).unlink(missing_ok=True)
    mended = checkout.start("hello")
    assert (mended.returncode, mended.stdout) == (0, "hello\n"), mended.stderr
    assert "Making .venv" in mended.stderr
    assert "Traceback" not in mended.stderr
    again = checkout.start("hello")
    assert (again.stdout, again.stderr) == ("hello\n", "")


def test_a_mistake_of_ours_is_not_taken_for_a_damaged_venv(started: Checkout) -> None:
    file = started.folder / "forge" / "core" / "words.py"
    before = file.read_text()
    try:
        file.write_text("import no_such_module\n")
        broken = started.start("hello")
    finally:
        file.write_text(before)
    assert broken.returncode == 1
    assert "Making .venv" not in broken.stderr
    assert "no_such_module" in broken.stderr


def test_a_set_of_python_packages_is_added_when_a_task_first_needs_it(checkout: Checkout) -> None:
    with (checkout.folder / "tasks.py").open("a") as file:
        file.write(
            "\n\n@cli.task(needs=needs.Needs(frozenset(), frozenset({'test'})))\n"
            "def tested(_: Context) -> None:\n    '''Say so.'''\n    print('tested')\n"
        )
    assert checkout.start("hello").returncode == 0
    assert not (checkout.venv / ".stamp.test").exists()
    first, second = checkout.start("tested"), checkout.start("tested")
    assert "Adding the Python packages for test" in first.stderr
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")


def test_settings_that_put_packages_elsewhere_do_not_count(checkout: Checkout, scratch: Path) -> None:
    """The machine's index, proxy and certificates do."""
    config = scratch / "pip.conf"
    config.write_text("[install]\nuser = true\nprefix = /nowhere\n")
    settings = clean_environment(PIP_CONFIG_FILE=str(config), PIP_TARGET=str(scratch / "elsewhere"))
    result = checkout.start("hello", env=settings)
    assert (result.returncode, result.stdout) == (0, "hello\n"), result.stderr
    assert not (scratch / "elsewhere").exists()


# ---- Python and sudo ------------------------------------------------------------------------------------------------


def test_a_python_that_is_too_old_is_named_and_nothing_is_fetched_in_vain(checkout: Checkout, scratch: Path) -> None:
    tools = tool_folder(scratch / "tools")
    script = 'case "$*" in *version_info*) exit 1 ;; *print*) echo 3.9.2 ;; esac'
    fake(tools, "python3", script)
    fake(tools, "apt-get", f"echo \"$@\" >>'{scratch}/asked'")
    (checkout.inv).write_text(checkout.inv.read_text().replace("python3 /usr/bin/python3 python3.14", "python3"))
    for words in (["demo"], ["--help"], []):
        result = checkout.start(*words, env=clean_environment(PATH=str(tools)))
        assert result.returncode == 3
        assert "Python 3.11 or later is needed, and python3 is 3.9.2 here" in result.stderr
    assert not (scratch / "asked").exists()


# ---- Ctrl-C ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.08, 0.12, 0.2, 0.35])
def test_an_interrupt_at_the_very_start_says_nothing_and_ends_it(started: Checkout, after: float) -> None:
    for step in range(4):
        process = started.begin()
        time.sleep(after + step * 0.01)  # the moment is what is tried, not waited for
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        assert errors == "" or errors == "interrupted\n"
        assert process.returncode in (0, 1, 130, -signal.SIGINT), (output, errors)


# ---- places that can't be written -----------------------------------------------------------------------------------


@pytest.mark.root
def test_a_read_only_checkout_says_so(checkout: Checkout) -> None:
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$1/inv" hello'
    unshare = ["unshare", "--mount", "sh", "-c", script, "sh", str(checkout.folder)]
    result = subprocess.run(unshare, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "cannot be written, and .venv is made in it" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.root
def test_a_venv_of_another_user_is_one_line(started: Checkout) -> None:
    argv = ["setpriv", "--reuid", "65534", "--clear-groups", "sh", str(started.inv), "hello"]
    (started.venv / "bin").chmod(0o700)
    (started.folder.parent).chmod(0o755)
    try:
        result = subprocess.run(argv, env=clean_environment(HOME="/x"), capture_output=True, text=True, timeout=60)
    finally:
        (started.venv / "bin").chmod(0o755)
    assert result.returncode == 1
    assert "belongs to another user (root)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_interrupt_while_the_venv_is_made_leaves_nothing_and_the_next_start_makes_it(
    checkout: Checkout, scratch: Path
) -> None:
    temporary = scratch / "tmp"
    temporary.mkdir()
    process = checkout.begin(TMPDIR=str(temporary))
    wait(lambda: [*checkout.venv.glob("tmp*"), *temporary.glob("tmp*")], "ensurepip unpacks pip")
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), (output, errors)
    assert "Traceback" not in errors and "Error" not in errors
    assert [*temporary.iterdir()] == []
    again = checkout.start("hello")
    assert (again.returncode, again.stdout) == (0, "hello\n"), again.stderr


@pytest.mark.root
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("--out", ["build", "--out", "@"]),
        (paths.CONFIG_VARIABLE, ["feed"]),
        (paths.CACHE_VARIABLE, ["image", "lab-mipsel", "--out", "@/../images"]),
    ],
)
def test_a_full_disk_is_told_by_its_name_and_leaves_no_half_file(scratch: Path, place: str, words: list[str]) -> None:
    """The real tasks, with one of the places that they write to on a disk of a few blocks."""
    full = scratch / "full"
    full.mkdir()
    script = (
        'mount -t tmpfs -o size=16k none "$1" && shift && dd if=/dev/zero of="$0/filler" bs=1k status=none 2>/dev/null'
    )
    script += '; "$@"; status=$?; ls -A "$0"; exit $status'
    argv = [*apart("sh", "-c", script, full, full), paths.INV, *(word.replace("@", str(full)) for word in words)]
    environment = clean_environment(SOURCE_DATE_EPOCH="1780000000")
    if not place.startswith("-"):
        environment[place] = str(full)
    result = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300)
    said = result.stdout + result.stderr
    assert result.returncode in (1, 3), said
    assert "No space left on device" in said or "enough free space" in said
    assert "Traceback" not in said
    assert not [name for name in result.stdout.splitlines() if name != "filler" and name.endswith(("pk", ".part"))]


def test_a_home_that_cannot_be_written_is_told_with_the_variable_that_helps(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    environment = clean_environment(HOME=str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", paths.CACHE_VARIABLE, paths.CONFIG_VARIABLE):
        environment.pop(name, None)
    result = subprocess.run([paths.INV, "cache"], env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "cannot be used" in result.stderr and f"set {paths.CACHE_VARIABLE}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["--list"], ["demo", "--dry-run"], ["targets"]])
def test_a_terminal_or_log_without_our_letters_gets_others(words: list[str]) -> None:
    environment = clean_environment(PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    result = subprocess.run([paths.INV, *words], env=environment, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()
