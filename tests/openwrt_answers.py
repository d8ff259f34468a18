"""What a real OpenWrt answered, from tests/data/openwrt-answers.txt, for those who ask again: tests/package the
stand-in on this machine, tests/lab a booted router.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

RECORDS = Path(__file__).resolve().parent / "data" / "openwrt-answers.txt"
INIT_SCRIPT = "/etc/init.d/demo"
SETTINGS = "/etc/config/demo"
FIRST_SETTINGS = "config demo 'main'\n\toption enabled '1'\n"
# What the file held when the records begin to ask `uci`.
LATER_SETTINGS = "config demo 'main'\n\toption a '1'\n\tlist l 'x'\n\tlist l 'y'\n\nconfig host\n\toption n 'q'\n"
# What depends on that one machine: its users, further objects, and what netifd there knew.
_NOT_OURS = re.compile(r"^ubus list$|^id;|^ubus call network\.interface\.lan|^cat /etc/init\.d")


class Answer(NamedTuple):
    command: str
    output: str
    status: int


def records() -> list[Answer]:
    """All of them in their order, the init script under test (as `cat` showed it) first."""
    found = []
    for one in re.finditer(r"^\$ (.*?)\n(?=\[exit)?(.*?)\[exit (\d+)\]$", RECORDS.read_text(), re.M | re.S):
        command, output = one[1], one[2]
        if command.endswith("<<'B'"):  # the here-document was recorded as typed
            body, _, output = output.partition("B\n")
            command = f"{command}\n{body}B"
        found.append(Answer(command, output, int(one[3])))
    return found


def differences(
    ask: Callable[[str], tuple[str, int]],
    put: Callable[[str, str, int], None],
    *,
    leave_out: str = "",
    localise: Callable[[str], str] = str,
) -> tuple[int, list[str]]:
    """Asks everything again, in its order; how much was asked, and what was answered otherwise.

    `ask` runs a command as root and gives its output (both streams) and status; `put` writes a file: path, text, mode.
    Commands that match the regular expression `leave_out` are not asked. `localise` makes of this router's own
    addresses the recorded one's.
    """
    script, *rest = records()
    put(INIT_SCRIPT, script.output, 0o755)
    put(SETTINGS, FIRST_SETTINGS, 0o644)
    asked, found = 0, []
    for command, output, status in rest:
        if "uci get demo.main.a" in command:
            put(SETTINGS, LATER_SETTINGS, 0o644)
        if _NOT_OURS.search(command) or (leave_out and re.search(leave_out, command)):
            continue
        asked += 1
        said, code = ask(command.partition("   #")[0])
        if (_normal(localise(said)), code) != (_normal(output), status):
            found.append(f"$ {command}\n{said}[exit {code}]\nrecorded:\n{output}[exit {status}]")
    return asked, found


def _normal(text: str) -> str:
    """Without process numbers, dates, and blanks at the ends of lines."""
    text = re.sub(r'"pid": (PID|\d+)', '"pid": PID', text)
    text = re.sub(r"\b\w{3} +\d+ +\d\d:\d\d(:\d\d \d{4})?\b", "DATE", text)  # of ls -l, and of logread
    text = re.sub(r"^\w{3} DATE", "DATE", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
