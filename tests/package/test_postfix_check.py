"""The Postfix engine's check refuses what would be unsafe or stop mail, and tells what Postfix does not carry out."""

from __future__ import annotations

import importlib
import json
import re
import sys
from typing import Any

import pytest

from forge.core import paths
from tests.package.postfix_sending import PACKAGE, quoted, scripts
from tests.support.option_values import VALUES

LIB = PACKAGE / "usr/lib/mailrelay"
GOOD = """\
config mailrelay 'main'
	list network 'lan'
	option hostname 'router.example.org'

config smarthost 'p'
	option host 'smtp.example.org'
	option username 'you@example.org'
	option password 'secret'
"""
NEW = {"PF_VERSION": "3.8.5", "PF_SMTPUTF8": "yes", "PF_NORMALIZES": "yes"}
OPENWRT = {"PF_VERSION": "3.8.2", "PF_SMTPUTF8": "no", "PF_NORMALIZES": "no", "PF_SASL_LOGIN": "no"}


@pytest.fixture(scope="module")
def options() -> Any:
    if str(paths.RELAY) not in sys.path:
        sys.path.insert(0, str(paths.RELAY))
    return importlib.import_module("mailrelay.config.options").OPTIONS


def check(text: str, facts: dict[str, str] = NEW) -> tuple[int, list[str]]:
    done = scripts(text, "postfix_awk option-types check", FILE="CONFIG", LIMITS=str(LIB / "postfix-limits"), **facts)
    assert not done.stderr
    lines = done.stdout.splitlines()
    if done.returncode == 0 and "JSON" not in facts:
        assert lines.pop().startswith("CONFIG: providers are greeted ")
    return done.returncode, lines


def faults(lines: list[str]) -> list[str]:
    return [line for line in lines if ": warning: " not in line]


def test_every_option_is_carried_out_or_told(options: Any) -> None:
    """Each option stands in the renderer, or in the list of what Postfix does not do, which the docs have too."""
    code = "".join(path.read_text() for path in LIB.glob("postfix*.awk"))
    init = (PACKAGE / "etc/init.d/mailrelay").read_text() + (LIB / "common.sh").read_text()
    limits = [line.split("\t")[:2] for line in (LIB / "postfix-limits").read_text().splitlines() if line[0] != "#"]
    for section in options:
        for option in options[section]:
            told = [section, option.name] in limits
            assert told or f'"{option.name}"' in code or re.search(rf"\b{option.name}\b", init), (section, option.name)
    table = (paths.ROOT / "docs/owner/POSTFIX.md").read_text()
    for _, name in limits:
        assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", table, re.M), f"{name} is not in the docs' table"


def test_a_good_config_is_good() -> None:
    assert check(GOOD) == (0, [])
    assert check((PACKAGE / "usr/share/mailrelay/config").read_text().replace("@HOSTNAME@", "box.lan"))[0] == 0


# Of the values that relay and LuCI are held to: what this check judges otherwise.
REFUSED_HERE = {'"a b"@x.org', "fe80::1%eth0", "::ffff:10.0.0.1/104", "::1.2.3.4"}
TAKEN_HERE = {"zero\u200bwidth", "no\u00a0break", "x" * 65 + "@y.org"}


@pytest.mark.parametrize("option_type", VALUES)
def test_values_are_judged_by_the_type_of_their_option(option_type: str, options: Any) -> None:
    section, option = next((section, one) for section in options for one in options[section] if one.type == option_type)
    for right, values in zip((True, False), VALUES[option_type], strict=True):
        for value in values:
            line = f"\t{'list' if option.many else 'option'} {option.name} {quoted(value)}\n"
            text = GOOD.replace("config smarthost", line + "\nconfig smarthost") if section == "mailrelay" else ""
            text = text or GOOD + f"\nconfig {section} 'other'\n" + line
            found = [
                line for line in check(text)[1] if f"option '{option.name}': " in line and "cannot be used" in line
            ]
            expected = right and value not in REFUSED_HERE or value in TAKEN_HERE
            assert (found == []) == expected, (value, found)


TOGETHER = {
    "unknown option": GOOD + "\toption bogus '1'\n",
    "option of another section": GOOD + "\toption alias 'x=y@z.org'\n",
    "unknown section": GOOD + "\nconfig klient 'x'\n\toption address '10.0.0.1'\n",
    "second main": GOOD + "\nconfig mailrelay 'other'\n",
    "no host": GOOD.replace("\toption host 'smtp.example.org'\n", ""),
    "no password": GOOD.replace("\toption password 'secret'\n", ""),
    "no username": GOOD.replace("\toption username 'you@example.org'\n", ""),
    "alias to nowhere": GOOD.replace("\tlist network", "\tlist alias 'root=bob'\n\tlist network"),
    "alias twice": GOOD.replace("\tlist network", "\tlist alias 'a=x@y.org'\n\tlist alias 'A=z@y.org'\n\tlist network"),
    "ourselves by name": GOOD.replace("smtp.example.org", "router.example.org"),
    "ourselves by port": GOOD.replace("smtp.example.org'", "127.0.0.1'\n\toption port '25'"),
    "cleartext to the internet": GOOD.replace("smtp.example.org'", "192.0.2.1'\n\toption tls 'none'"),
    "list where an option is": GOOD + "\tlist port '587'\n",
    "redirect of a network": GOOD + "\nconfig client 'c'\n\toption address '10.0.0.0/8'\n\toption redirect '1'\n",
    "client without address": GOOD + "\nconfig client 'c'\n\toption accept_any_login '1'\n",
}


def test_a_provider_at_an_address_of_this_machine_is_itself() -> None:
    text = GOOD.replace("smtp.example.org'", "192.168.1.1'\n\toption tls 'none'")
    assert check(text, {**NEW, "ADDRESSES": "127.0.0.1 192.168.1.1 "})[0] == 1
    assert check(text, {**NEW, "ADDRESSES": "127.0.0.1 192.168.1.11 "})[0] == 0


@pytest.mark.parametrize("what", TOGETHER)
def test_what_would_be_unsafe_or_lose_mail_is_refused(what: str) -> None:
    status, lines = check(TOGETHER[what])
    assert status == 1 and len(faults(lines)) == 1, lines


@pytest.mark.parametrize(
    ("option", "section"),
    [
        ("option login 'any'", "main"),
        ("option login 'listed'", "main"),
        ("option overflow '1'", "p"),
        ("option notify '/bin/true'", "main"),
        ("option notify_after '2h'", "main"),
        ("option failed_lifetime '1d'", "main"),
        ("option max_line_length '2K'", "main"),
        ("option max_header_length '2K'", "main"),
        ("option max_queue_size '1M'", "main"),
        ("option max_connections '10'", "main"),
        ("option sender 'me@example.org'", "main"),
        ("option queue_lifetime '200d'", "main"),
        ("option allowed_recipient 'example.org'", "main"),
        ("option rate '5/minute 100/day'", "p"),
        ("option rate '90/minute'", "p"),
        ("option rate_limit '5'", "c"),
        ("option accept_any_login '1'", "c"),
        ("option username 'n'\n\toption password 'w'", "c"),
    ],
)
def test_what_postfix_cannot_do_is_told(option: str, section: str) -> None:
    client = "\nconfig client 'c'\n\toption address '10.0.0.1'\n"
    text = GOOD.replace("\tlist network", f"\t{option}\n\tlist network") if section == "main" else GOOD
    text = text + f"\t{option}\n" if section == "p" else text
    text = text + client + f"\t{option}\n" if section == "c" else text
    status, lines = check(text)
    name = option.split()[1]
    assert status == 0
    assert [line for line in lines if line.startswith(f"CONFIG: warning: section '{section}', option '{name}'")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("router.example.org", "as 'router.example.org'"),
        ("pi", "by the first address that Postfix listens on, as 'pi' has no dot"),
    ],
)
def test_what_providers_are_greeted_with_is_told(name: str, said: str) -> None:
    text = GOOD.replace("router.example.org", name)
    done = scripts(text, "postfix_awk option-types check", FILE="CONFIG", LIMITS=str(LIB / "postfix-limits"), **NEW)
    assert done.stdout.endswith(f"CONFIG: providers are greeted {said}\n")


def test_a_name_without_a_dot_is_told() -> None:
    _, lines = check(GOOD.replace("router.example.org", "OpenWrt"))
    assert [line for line in lines if "option 'hostname' has no dot" in line]


def test_a_provider_whose_from_is_not_carried_out_is_told() -> None:
    assert check(GOOD + "\toption from 'you@example.org'\n") == (0, [])
    spare = "\nconfig smarthost 'q'\n\toption host 'b.example'\n\toption priority '20'\n\toption from 'me@b.example'\n"
    status, lines = check(GOOD + "\toption from 'you@example.org'\n" + spare)
    assert status == 0
    assert [line.split(": ")[2] for line in lines] == [
        "section 'q', option 'from' is not carried out by Postfix for this provider",
        "section 'q', option 'priority' is not carried out by Postfix here",
    ]


def test_it_is_told_if_nobody_would_be() -> None:
    text = GOOD.replace("you@example.org", "plant7")
    assert [line for line in check(text)[1] if "option 'postmaster' is not set" in line]
    assert check(text.replace("\tlist", "\toption postmaster 'me@example.org'\n\tlist")) == (0, [])


def test_openwrts_postfix_is_told_to_lack_smtputf8_and_the_end_of_data_check() -> None:
    status, lines = check(GOOD + "\toption auth 'login'\n", OPENWRT)
    assert status == 0
    assert any("without SMTPUTF8" in line for line in lines)
    assert any("CVE-2023-51764" in line and "3.8.2" in line for line in lines)
    assert any("option 'auth'" in line and "SASL library" in line for line in lines)


def test_a_provider_that_cannot_take_over_is_told() -> None:
    spare = "\nconfig smarthost 'spare'\n\toption host 'b.org'\n\toption priority '20'\n"
    assert check(GOOD + spare + "\toption port '465'\n\toption tls 'starttls'\n")[1] == []
    _, lines = check(GOOD + spare + "\toption tls 'tls'\n")
    assert len(lines) == 1 and "section 'spare', option 'priority' is not carried out by Postfix" in lines[0]


@pytest.mark.parametrize("word", ["username 'a:b'", "password 'secret '", "username ' a'"])
def test_logins_that_a_password_map_cannot_hold_are_refused(word: str) -> None:
    text = re.sub(rf"{word.split()[0]} '[^']*'", word, GOOD)
    assert check(text)[0] == 1


def test_cleartext_to_a_name_of_the_internet_is_refused_as_postfix_cannot_look_where_it_leads() -> None:
    assert check(GOOD + "\toption tls 'none'\n")[0] == 1
    assert check(GOOD + "\toption tls 'none'\n\toption allow_cleartext '1'\n")[0] == 0
    assert check(GOOD.replace("smtp.example.org", "mail.lan") + "\toption tls 'none'\n")[0] == 0


def test_findings_are_told_as_json_too() -> None:
    text = GOOD.replace("\tlist network", "\tlist port '\"\\'\n\tlist network")
    status, (line,) = check(text, {**NEW, "JSON": "--json", "EXPOSED": "lan=outside,"})
    wrong, exposed = json.loads(line)
    assert status == 1
    assert (wrong["section"], wrong["option"], wrong["warning"]) == ("main", "port", False)
    assert wrong["problem"].startswith("'\"\\' ") and wrong["hint"]
    assert (exposed["section"], exposed["option"]) == ("main", "network")
    assert exposed["problem"].startswith("'lan' is in the firewall zone 'outside', which faces the internet")


def test_a_password_is_never_shown() -> None:
    status, lines = check(GOOD.replace("'secret'", "'sec\aret'"))
    assert status == 1 and "ret" not in " ".join(lines).replace("secret", "")
    assert any("option 'password': its value" in line for line in lines)


def test_no_provider_is_told_and_no_fault() -> None:
    status, lines = check("config mailrelay 'main'\n\tlist network 'lan'\n")
    assert status == 0
    assert lines == [
        "CONFIG: warning: section 'main' has no provider set, so that all mail is refused for now; "
        "add a section config smarthost"
    ]


@pytest.mark.parametrize(
    ("text", "code", "option", "values"),
    [
        (TOGETHER["alias to nowhere"], "alias-nowhere", "alias", {"value": "bob"}),
        (TOGETHER["ourselves by name"], "itself", "host", {"value": "router.example.org"}),
        (TOGETHER["no password"], "missing", "password", {}),
        (TOGETHER["cleartext to the internet"], "cleartext-refused", "tls", {"host": "192.0.2.1"}),
        (TOGETHER["unknown option"], "unknown-option", "bogus", {}),
        (GOOD + "\toption port 'smtp'\n", "no-port", "port", {"value": "smtp"}),
        (GOOD.replace("list network 'lan'", "option sender 'me@example.org'"), "no-network", "network", {}),
    ],
)
def test_a_finding_has_the_code_and_facts_that_the_other_engine_gives_it(
    text: str, code: str, option: str, values: dict[str, str]
) -> None:
    (line,) = check(text, {**NEW, "JSON": "1"})[1]
    ours = {finding["code"]: finding for finding in json.loads(line)}[code]
    assert (ours["option"], ours["values"]) == (option, values)
    assert str(paths.RELAY) in sys.path or sys.path.insert(0, str(paths.RELAY)) is None
    schema = importlib.import_module("mailrelay.config.schema")
    machine = importlib.import_module("mailrelay.config.machine").Machine()
    _, faults, warnings = schema.check(text.encode(), "CONFIG", machine)
    theirs = {finding.code: finding.facts() for finding in [*faults, *warnings]}[code]
    assert theirs["option"] == option and values.items() <= theirs["values"].items()
