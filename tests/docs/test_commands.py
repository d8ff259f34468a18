"""docs/build/COMMANDS.md and the code say the same: which tasks have which option, and which variables are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tasks  # noqa: F401 - declares them
from forge.core import cli, paths
from forge.core.errors import ForgeError, MissingError, UsageError

PAGE = paths.DOCS / "build/COMMANDS.md"
VARIABLE = re.compile(r"\bMAILRELAY_[A-Z_]+\b")
INTERNAL = {"MAILRELAY_VENV_MENDED", "MAILRELAY_BROUGHT", "MAILRELAY_REACHED"}  # for what the program itself starts


def table(head: str) -> list[list[str]]:
    """The cells of each row of the table whose head begins with that."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n| {head} |")[2]
    rows = text.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def sources() -> list[Path]:
    """What runs on the machine of whoever starts ./inv, and the tests."""
    folders = [*(paths.ROOT / "forge").rglob("*"), *paths.TESTS.rglob("*.py"), paths.INV, paths.ROOT / "tasks.py"]
    return [path for path in folders if path.is_file() and "__pycache__" not in path.parts and path != Path(__file__)]


def facts() -> set[str]:
    """The variables that the relay gives to the program `notify`."""
    text = (paths.PACKAGES / "mailrelay/src/mailrelay/courier/notify.py").read_text()
    calls = re.findall(r"self\._notify\((.*)\)$", text, re.MULTILINE)
    return {f"MAILRELAY_{name}" for call in calls for name in re.findall(r"\b([A-Z]+)=", call)} | {"MAILRELAY_EVENT"}


def on_routers() -> set[str]:
    """And those that scripts of the packages hand to each other."""
    scripts = [path for path in paths.PACKAGES.glob("*/root/**/*") if path.is_file()]
    return facts() | {name for path in scripts for name in VARIABLE.findall(path.read_text(errors="replace"))}


def test_every_variable_that_is_read_is_in_the_table_and_no_other() -> None:
    read = {name for path in sources() for name in VARIABLE.findall(path.read_text(errors="replace"))}
    shown = {name for row in table("variable") for name in VARIABLE.findall(row[0])}
    assert shown == read - INTERNAL - on_routers()


def test_every_fact_for_the_notify_program_is_in_the_settings_page() -> None:
    shown = set(VARIABLE.findall((paths.DOCS / "owner/CONFIG.md").read_text(encoding="utf-8")))
    assert shown == facts()
    assert {"MAILRELAY_ADVICE", "MAILRELAY_COUNT"} <= shown


def test_every_fact_for_the_notify_program_is_told_on_routers_buses_too() -> None:
    script = (paths.PACKAGES / "mailrelay/root/usr/lib/mailrelay/event").read_text(encoding="utf-8")
    told = re.findall(r'^add (\w+) "\$(\w+)"$', script, re.MULTILINE)
    assert {name for _, name in told} == facts()
    assert all(name == f"MAILRELAY_{key.upper()}" for key, name in told)


@pytest.mark.parametrize("option", ["dry_run", "json", "out", "mirror"])
def test_the_tasks_with_that_option_are_those_that_are_named(option: str) -> None:
    flag = f"--{option.replace('_', '-')}"
    (row,) = [row for row in table("option | tasks") if flag in row[0]]
    named = set(re.findall(r"`([^`]+)`", row[1]))
    has = {name for name, command in cli.COMMANDS.items() if option in command.options}
    assert named == (has - {"lock"} if option == "mirror" else has)  # lock has no --offline


def test_the_exit_statuses_are_those_of_the_code() -> None:
    codes = {0, cli.INTERRUPTED, *(error.exit_code for error in (ForgeError, UsageError, MissingError))}
    assert {int(row[0]) for row in table("status")} == codes
