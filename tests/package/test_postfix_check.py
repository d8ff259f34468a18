"""The Postfix engine's check finds what the Python engine's finds, and tells what Postfix cannot carry out."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forge.core import paths
from forge.generate import option_table

LIB = paths.ROOT / "package/mailrelay/root/usr/lib/mailrelay"
GOOD = """\
config mailrelay 'main'
	list network 'lan'
	option hostname 'router.example.org'

config smarthost 'p'
	option host 'smtp.example.org'
	option username 'you@example.org'
	option password 'secret'
"""
NEW = {"PF_VERSION": "3.8.5", "PF_SMTPUTF8": "yes", "PF_KNOWN": "smtpd_forbid_bare_newline smtpd_min_data_rate"}
OPENWRT = {"PF_VERSION": "3.8.2", "PF_SMTPUTF8": "no", "PF_KNOWN": "smtpd_min_data_rate", "PF_SASL_LOGIN": "no"}


@pytest.fixture(scope="module")
def relay() -> Any:
    if str(paths.RELAY) not in sys.path:
        sys.path.insert(0, str(paths.RELAY))
    names = ("mailrelay.config.schema", "mailrelay.config.uci")
    return tuple(importlib.import_module(name) for name in names)


def check(text: str, tmp_path: Path, relay: Any, facts: dict[str, str] = NEW) -> tuple[int, list[str]]:
    file = tmp_path / "mailrelay"
    file.write_text(text)
    argv = ["busybox", "awk"]
    for name in ("lib", "kinds", "routes", "check"):
        argv += ["-f", str(LIB / f"postfix-{name}.awk")]
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C",
        "RAW": str(file),
        "FILE": "CONFIG",
        "OPTIONS": str(option_table.TABLE),
        "HOSTNAME": "box",
        **facts,
    }
    exported = relay[1].export(relay[1].parse(text.encode()))
    done = subprocess.run(argv, input=exported, env=environment, capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def faults(lines: list[str]) -> list[str]:
    return [line for line in lines if ": warning: " not in line]


def places(lines: list[str]) -> list[str]:
    """Each fault's line, section and option, without the words."""
    return [re.match(r"CONFIG(:\d+)?: (section '[^']*')?(, option '[^']*')?", line)[0] for line in lines]  # type: ignore[index]


def test_every_option_is_carried_out_or_told(relay: Any) -> None:
    """Each option's name stands in the renderer, or in the check's list of what Postfix cannot do."""
    code = "".join(path.read_text() for path in LIB.glob("postfix*.awk") if path.name != "postfix-kinds.awk")
    init = (paths.ROOT / "package/mailrelay/root/etc/init.d/mailrelay").read_text()
    shell = init + (paths.ROOT / "package/mailrelay/root/usr/lib/mailrelay/common.sh").read_text()
    for section, options in relay[0].OPTIONS.items():
        for option in options:
            assert f'"{option.name}"' in code or re.search(rf"\b{option.name}\b", shell), (section, option.name)


def test_a_good_config_is_good(tmp_path: Path, relay: Any) -> None:
    assert check(GOOD, tmp_path, relay) == (0, [])


BAD_VALUES = {
    "mailrelay": {
        "enabled": ["maybe"],
        "allow": ["192.168.1.0/33", "lan", "fe80::1%br-lan", "1.2.3"],
        "port": ["0", "65536", "smtp", "-1"],
        "hostname": ["localhost", "a b", "192.168.1.1", "-x.org", "x..org", "x.1"],
        "spool": ["spool", "/tmp", "/etc/mailrelay"],
        "max_message_size": ["1", "25 M", "2G", "x", "25mb"],
        "max_recipients": ["0", "x", "10001", "1.5"],
        "queue_lifetime": ["5 days", "0", "400d", "5D"],
        "sender": ["me", "@x.org", "a@b@c", "a b@x.org", "me@-x", "Me <me@x.org>"],
        "recipient": ["x y@z.org", "x@"],
        "alias": ["root", "=x@y.org", "root=", "root=a b@x.org", "*=a@b.org", "r;t=a@b.org"],
        "allowed_recipient": ["*.x.org", "x y", "a@"],
        "notify": ["bin/x"],
    },
    "smarthost": {
        "host": ["smtp://x.org", "x.org:587", "you@x.org", "1.2.3.4.5", "ä.org"],
        "port": ["587x"],
        "tls": ["ssl"],
        "verify": ["perhaps"],
        "ca_file": ["ca.pem"],
        "fingerprint": ["00:11", "zz"],
        "auth": ["xoauth2"],
        "priority": ["-1", "70000"],
        "sender": ["x.org", "@", "a@b@c"],
        "rate": ["30", "30/hour", "30/minute 20/minute", "0/day"],
        "family": ["ip4"],
        "timeout": ["2h"],
    },
    "client": {"address": ["x", "10.0.0.0/40"], "accept_any_login": ["oui"], "rate_limit": ["many"]},
}


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [(section, option, value) for section in BAD_VALUES for option, vs in BAD_VALUES[section].items() for value in vs],
)
def test_both_engines_refuse_the_same_values(section: str, option: str, value: str, tmp_path: Path, relay: Any) -> None:
    many = {(kind, one.name): one.many for kind in relay[0].OPTIONS for one in relay[0].OPTIONS[kind]}
    line = f"\t{'list' if many[section, option] else 'option'} {option} '{value}'\n"
    if section == "mailrelay":
        text = GOOD.replace("\tlist network 'lan'\n", "\tlist network 'lan'\n" + line)
        text = text.replace("\toption hostname 'router.example.org'\n", "")
    elif section == "smarthost":
        text = GOOD.replace("\toption host 'smtp.example.org'\n", "") if option == "host" else GOOD
        text += line
    else:
        address = "" if option == "address" else "\toption address '10.0.0.1'\n"
        text = GOOD + f"\nconfig client\n{address}{line}"
    _, expected, _ = relay[0].check(text.encode(), "CONFIG")
    status, lines = check(text, tmp_path, relay)
    assert status == 1
    assert places(faults(lines)) == places([str(fault) for fault in expected])


TOGETHER = {
    "unknown option": GOOD + "\toption bogus '1'\n",
    "option of another section": GOOD + "\toption alias 'x=y@z.org'\n",
    "unknown section": GOOD + "\nconfig klient 'x'\n\toption address '10.0.0.1'\n",
    "second main": GOOD + "\nconfig mailrelay 'other'\n",
    "no host": GOOD.replace("\toption host 'smtp.example.org'\n", ""),
    "no password": GOOD.replace("\toption password 'secret'\n", ""),
    "no username": GOOD.replace("\toption username 'you@example.org'\n", ""),
    "auth without login": GOOD + "\nconfig smarthost 'q'\n\toption host 'q.org'\n\toption auth 'plain'\n",
    "retry": GOOD.replace("\tlist network", "\toption retry_min '2h'\n\tlist network"),
    "alias to nowhere": GOOD.replace("\tlist network", "\tlist alias 'root=bob'\n\tlist network"),
    "alias loop": GOOD.replace("\tlist network", "\tlist alias 'a=b'\n\tlist alias 'b=a'\n\tlist network"),
    "alias twice": GOOD.replace("\tlist network", "\tlist alias 'a=x@y.org'\n\tlist alias 'A=z@y.org'\n\tlist network"),
    "ourselves by name": GOOD.replace("smtp.example.org", "router.example.org"),
    "ourselves by port": GOOD.replace("smtp.example.org'", "127.0.0.1'\n\toption port '25'"),
    "cleartext to the internet": GOOD.replace("smtp.example.org'", "192.0.2.1'\n\toption tls 'none'"),
    "family": GOOD.replace("smtp.example.org'", "192.0.2.1'\n\toption family 'ipv6'"),
    "list where an option is": GOOD + "\tlist port '587'\n",
    "two clients at one address": GOOD
    + "\nconfig client\n\toption address '10.0.0.1'\n\nconfig client 'b'\n\toption address '10.0.0.1/32'\n",
    "redirect of a network": GOOD + "\nconfig client 'c'\n\toption address '10.0.0.0/8'\n\toption redirect '1'\n",
    "client without address": GOOD + "\nconfig client 'c'\n\toption accept_any_login '1'\n",
    "client with both logins": GOOD + "\nconfig client 'c'\n\toption address '10.0.0.1'\n"
    "\toption accept_any_login '1'\n\toption username 'a'\n\toption password 'b'\n",
}


@pytest.mark.parametrize("what", TOGETHER)
def test_both_engines_find_the_same_faults_between_options(what: str, tmp_path: Path, relay: Any) -> None:
    _, expected, _ = relay[0].check(TOGETHER[what].encode(), "CONFIG")
    status, lines = check(TOGETHER[what], tmp_path, relay)
    assert status == 1 and expected
    assert sorted(places(faults(lines))) == sorted(places([str(fault) for fault in expected]))


def test_common_faults_are_told_in_the_same_words(tmp_path: Path, relay: Any) -> None:
    text = GOOD.replace("\tlist network", "\tlist port 'abc'\n\toption max_recipients '0'\n\tlist network")
    _, expected, _ = relay[0].check(text.encode(), "CONFIG")
    assert faults(check(text, tmp_path, relay)[1]) == [str(fault) for fault in expected]


@pytest.mark.parametrize(
    ("option", "section"),
    [
        ("option notify '/bin/true'", "main"),
        ("option notify_after '2h'", "main"),
        ("option failed_lifetime '1d'", "main"),
        ("option max_line_length '2K'", "main"),
        ("option max_header_length '2K'", "main"),
        ("option max_queue_size '1M'", "main"),
        ("option max_connections '10'", "main"),
        ("option sender 'me@example.org'", "main"),
        ("option queue_lifetime '200d'", "main"),
        ("option rate '5/minute 100/day'", "p"),
        ("option rate '90/minute'", "p"),
        ("option rate_limit '5'", "c"),
        ("option accept_any_login '1'", "c"),
        ("option username 'n'\n\toption password 'w'", "c"),
    ],
)
def test_what_postfix_cannot_do_is_told_with_its_line(option: str, section: str, tmp_path: Path, relay: Any) -> None:
    client = "\nconfig client 'c'\n\toption address '10.0.0.1'\n"
    text = GOOD.replace("\tlist network", f"\t{option}\n\tlist network") if section == "main" else GOOD
    text = text + f"\t{option}\n" if section == "p" else text
    text = text + client + f"\t{option}\n" if section == "c" else text
    status, lines = check(text, tmp_path, relay)
    name = option.split()[1]
    number = text[: text.index(option)].count("\n") + 1
    assert status == 0
    assert [
        line for line in lines if line.startswith(f"CONFIG:{number}: warning: section '{section}', option '{name}'")
    ]


def test_openwrts_postfix_is_told_to_lack_smtputf8_and_the_end_of_data_check(tmp_path: Path, relay: Any) -> None:
    status, lines = check(GOOD + "\toption auth 'login'\n", tmp_path, relay, OPENWRT)
    assert status == 0
    assert any("without SMTPUTF8" in line for line in lines)
    assert any("CVE-2023-51764" in line and "3.8.2" in line for line in lines)
    assert any("option 'auth'" in line and "SASL library" in line for line in lines)


def test_a_provider_that_cannot_take_over_is_told(tmp_path: Path, relay: Any) -> None:
    spare = "\nconfig smarthost 'spare'\n\toption host 'b.org'\n\toption priority '20'\n"
    assert check(GOOD + spare + "\toption port '465'\n\toption tls 'starttls'\n", tmp_path, relay)[1] == []
    _, lines = check(GOOD + spare + "\toption tls 'tls'\n", tmp_path, relay)
    assert len(lines) == 1 and "section 'spare', option 'priority' is not carried out by Postfix" in lines[0]


@pytest.mark.parametrize("word", ["username 'a:b'", "password 'secret '", "username ' a'"])
def test_logins_that_a_password_map_cannot_hold_are_refused(word: str, tmp_path: Path, relay: Any) -> None:
    text = re.sub(rf"{word.split()[0]} '[^']*'", word, GOOD)
    assert check(text, tmp_path, relay)[0] == 1


def test_cleartext_to_a_name_of_the_internet_is_refused_as_postfix_cannot_look_where_it_leads(
    tmp_path: Path, relay: Any
) -> None:
    assert check(GOOD + "\toption tls 'none'\n", tmp_path, relay)[0] == 1
    assert check(GOOD + "\toption tls 'none'\n\toption allow_cleartext '1'\n", tmp_path, relay)[0] == 0
    assert check(GOOD.replace("smtp.example.org", "mail.lan") + "\toption tls 'none'\n", tmp_path, relay)[0] == 0


def test_a_password_is_never_shown(tmp_path: Path, relay: Any) -> None:
    status, lines = check(GOOD.replace("'secret'", "'sec\aret'"), tmp_path, relay)
    assert status == 1 and "ret" not in " ".join(lines).replace("secret", "")
    assert any("option 'password': its value" in line for line in lines)


def test_no_provider_is_told_and_no_fault(tmp_path: Path, relay: Any) -> None:
    status, lines = check("config mailrelay 'main'\n\tlist network 'lan'\n", tmp_path, relay)
    assert status == 0
    assert lines == [
        "CONFIG:1: warning: section 'main' has no provider set, so that all mail is refused for now; "
        "add a section config smarthost"
    ]
