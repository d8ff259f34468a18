"""How a command is found, and `check`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.relay.calling import EXAMPLE, call

# Finding the command


def test_help_names_every_command() -> None:
    for argument in ("help", "--help"):
        shown = call(argument)
        assert shown.code == 0
        for command in (
            "serve check queue show delete flush hold release status test sendmail mailq newaliases"
        ).split():
            assert re.search(rf"^  {command} ", shown.text, re.MULTILINE)
            assert call("help", command).code == 0


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant() -> None:
    done = call("qeue")
    assert done.code == 64
    assert "did you mean 'queue'?" in done.errors
    assert done.errors.count("\n") == 1


def test_wrong_usage_is_one_line_and_64(tmp_path: Path) -> None:
    for arguments in (
        ["queue", "--jsno"],
        ["show"],
        ["delete"],
        ["delete", "--all", EXAMPLE],
        ["release"],
        ["release", "--all", EXAMPLE],
        ["hold"],
        ["test"],
        ["show", EXAMPLE, EXAMPLE],
        ["queue", "--json=1"],
        ["flush", "--spool"],
    ):
        done = call(*arguments)
        assert (done.code, done.errors.count("\n")) == (64, 1), arguments
    assert call().code == 64


def test_a_mistyped_option_is_answered_with_the_one_that_was_meant() -> None:
    assert "did you mean '--json'?" in call("queue", "--jsno").errors


def test_version() -> None:
    assert re.fullmatch(r"mailrelay \d+\.\d+\.\d+\n", call("--version").text)


# check


def test_check_prints_every_fault_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("config mailrelay 'main'\n\toption max_recipients 'many'\n\tlist port 'smtp'\n")
    done = call("check", "--config", str(config))
    assert done.code == 1
    assert f"{config}:2: " in done.text
    assert f"{config}:3: " in done.text
    assert "fine" not in done.text


def test_check_says_that_a_config_is_fine_and_what_to_think_of(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("config mailrelay 'main'\n\tlist allow '192.168.1.0/24'\n")
    done = call("check", "--config", str(config))
    assert done.code == 0
    assert "warning: section 'main' has no provider set" in done.text
    assert "config is fine" in done.text


@pytest.mark.parametrize(
    ("hostname", "says"),
    [
        ("relay.example.net", "providers are greeted as 'relay.example.net'\n"),
        ("OpenWrt", "providers are greeted by the connection's own address, as 'OpenWrt' has no dot\n"),
    ],
)
def test_check_says_what_providers_are_greeted_with(tmp_path: Path, hostname: str, says: str) -> None:
    config = tmp_path / "config"
    config.write_text(f"config mailrelay 'main'\n\toption hostname '{hostname}'\n")
    assert says in call("check", "--config", str(config)).text


def test_check_is_told_as_json_too(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("config mailrelay 'main'\n\tlist port 'smtp'\n\tlist network lo\n")
    done = call("check", "--json", "--exposed", "wan=wan,lo=outside,", "--config", str(config))
    assert done.code == 1
    port, network, *_ = json.loads(done.text)
    assert port == {
        "code": "no-port", "warning": False, "section": "main", "option": "port", "line": 2,
        "problem": "'smtp' is not a port", "hint": "write '25'", "values": {"value": "smtp", "instead": "25"},
    }  # fmt: skip
    assert network["code"] == "exposed-network" and "zone 'outside'" in network["problem"]


def test_check_of_a_missing_config_says_so(tmp_path: Path) -> None:
    done = call("check", "--config", str(tmp_path / "nothing"))
    assert done.code == 66
    assert "No such file" in done.text + done.errors
