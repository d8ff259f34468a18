"""Where each command line of the documentation is run by a test here, or why none can."""

from __future__ import annotations

import re

from tests.docs import pages
from tests.docs.pages import Block, Line

# Of a shell's lines, by how they begin: the test module that runs or checks each.
PLACES = {
    r"(\w+=\S+ )*(\./inv|invoke)( |$)|source <\(\./inv |export |\./inv --completion ": "test_inv.py",
    r"cp examples/": "test_inv.py",
    r"python3 -m venv |\. \.venv2/|pip install ": "test_inv.py",
    r"useradd |install |for name in |python3 -I -S package/mailrelay/src |mailrelay |swaks ": "test_linux.py",
    r"uci |service |opkg |apk |ssh |scp |rm -rf /etc/|logread |ubus |owut ": "test_router.py",
    r"/etc/config/mailrelay:|plant7\.toml|dist/images/": "test_settings.py",
    r"250 ": "test_linux.py",
}

KINDS = {
    "settings": "test_settings.py",
    "toml": "test_settings.py",
    "dialogue": "test_linux.py",
    "script": "test_linux.py",
}

# What no test here runs. By how the line begins, or the first line of its block.
NOT_RUN = {
    r"apt (install|remove|purge) ": "tests/deb does, in Debian trees; test_inv.py has their names",
    r"systemctl ": "no systemd runs in a test; systemd's own word on the unit is in tests/deb/test_unit.py",
    r"git diff ": "changes nothing and is git's own",
    r"postconf ": "Postfix's own; its folder is what tests/package/test_postfix_people.py starts Postfix on",
}
BLOCKS_NOT_RUN = {
    r"\[Unit\]": "systemd's, for a disk that a test has not",
    r"config (mount|login)": "settings of OpenWrt's own programs, not of the relay",
    r"mailrelay 1  ": "a picture of a spool file, whose form tests/relay/test_spool.py holds",
    r"myhostname = ": "written by ./inv bench, from the settings that it starts Postfix with",
    r"#include": "compiled for boards by tests/arduino/test_docs.py",
}


def place(line: Line) -> str:
    """The test module of a shell's line, a reason, or nothing: then the documentation has a line that nobody runs."""
    return _first(PLACES, line.text.strip()) or _first(NOT_RUN, line.text.strip())


def block_place(block: Block) -> str:
    """The same for a whole block that is no shell's, or one of those that are left out; nothing: ask line by line."""
    if block.kind == "drawing":
        return "a drawing"
    return _first(BLOCKS_NOT_RUN, block.first.text) or KINDS.get(block.kind, "")


def lines() -> list[Line]:
    """The lines of shells that no rule for a whole block covers."""
    covered = {line for block in pages.blocks() if block_place(block) for line in block.lines}
    return [line for line in pages.commands() if line not in covered]


def of(module: str) -> list[Line]:
    """Those that this test module runs."""
    return [line for line in lines() if place(line) == module]


def _first(table: dict[str, str], text: str) -> str:
    return next((value for pattern, value in table.items() if re.match(pattern, text)), "")
