"""The stand-in for OpenWrt answers what a real OpenWrt answered: tests/data/openwrt-answers.txt, command by command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package.router import LAN, WAN, Router

pytestmark = pytest.mark.root
ANSWERS = Path(__file__).resolve().parents[1] / "data" / "openwrt-answers.txt"
# What depends on that one machine: its users, further objects, and what netifd there knew.
NOT_OURS = re.compile(r"^ubus list$|^id;|^ubus call network\.interface\.lan")


def cases() -> Iterator[tuple[str, str, int]]:
    """Command, output and exit status of each record."""
    for found in re.finditer(r"^\$ (.*?)\n(?=\[exit)?(.*?)\[exit (\d+)\]$", ANSWERS.read_text(), re.M | re.S):
        command, output = found[1], found[2]
        if command.endswith("<<'B'"):  # the here-document was recorded as typed
            body, _, output = output.partition("B\n")
            command = f"{command}\n{body}B"
        yield command, output, int(found[3])


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router() as router:
        recorded = list(cases())
        script = next(output for command, output, _ in recorded if command == "cat /etc/init.d/demo")
        router.write("etc/init.d/demo", script, 0o755)
        router.write("etc/config/demo", "config demo 'main'\n\toption enabled '1'\n")
        router.network(LAN, WAN)
        yield router


def normal(text: str) -> str:
    text = re.sub(r'"pid": \d+', '"pid": PID', text.replace("PID", "0"))
    text = re.sub(r'"pid": 0', '"pid": PID', text)
    text = re.sub(r"\b\w{3} +\d+ +\d\d:\d\d(:\d\d \d{4})?\b", "DATE", text)  # of ls -l, and of logread
    text = re.sub(r"^\w{3} DATE", "DATE", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_every_recorded_answer_is_given_again(router: Router) -> None:
    differences = []
    asked = 0
    for command, output, status in cases():
        if "uci get demo.main.a" in command:  # from here on the records have another file
            text = "config demo 'main'\n\toption a '1'\n\tlist l 'x'\n\tlist l 'y'\n\nconfig host\n\toption n 'q'\n"
            router.write("etc/config/demo", text)
        if NOT_OURS.search(command):
            continue
        asked += 1
        # /sbin/procd's stand-in is faster than the recorded waits
        found = router.sh(re.sub(r"sleep \d+;", "sleep 1;", command.partition("   #")[0]))
        if (normal(found.stdout + found.stderr), found.returncode) != (normal(output), status):
            differences.append(
                f"$ {command}\n{found.stdout}{found.stderr}[exit {found.returncode}]\nrecorded:\n{output}"
            )
    assert not differences, "\n\n".join(differences)
    assert asked > 40
