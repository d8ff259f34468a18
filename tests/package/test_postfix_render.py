"""Whatever stands in the config, the Postfix engine's files keep their shape: no value becomes Postfix syntax.

The check refuses most of these values; the renderer must be safe without it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.package.postfix_sending import PACKAGE, main, scripts, section

HOSTILE = (
    "a\nsmtpd_client_restrictions = permit",
    "a\n\tpermit",
    "a\r\n# x",
    "$mynetworks",
    "${x?{permit}}",
    'it\'s "quoted" and \\ back\\\\slash\\',
    "x, permit",
    "/^/ permit",
    "{ a = b }",
    "# comment",
    "a\0b",
    " a b ",
    "]:25, [evil.example",
    "@",
    "|/bin/sh",
    "é€\udcff",
)
TEXTS = {
    "main": "hostname spool sender recipient alias allowed_recipient postmaster allow max_message_size retry_min",
    "smarthost": "host port tls ca_file fingerprint auth username password priority sender rate family timeout verify",
    "client": "address username",
}
LISTS = {"recipient", "alias", "allowed_recipient", "allow"}


def render(text: str, folder: Path, **facts: str) -> dict[str, list[str]]:
    folder.mkdir()
    environment = {
        "OUT": str(folder),
        "ADDRESSES": "127.0.0.1 ::1 192.168.1.1 fd00:1:2::1",
        "SUBNETS": "127.0.0.0/8 ::1/128 192.168.1.1/24 fd00:1:2::1/60",
        "PORTS": "25 587",
        "QUEUE": "/etc/mailrelay/spool/postfix",
        "PF_NORMALIZES": "yes",
        "FREE": str(100 << 20),
        **facts,
    }
    done = scripts(text, "postfix_awk mail render", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return {path.name: path.read_bytes().decode(errors="surrogateescape").split("\n") for path in folder.iterdir()}


def config(kind: str = "", option: str = "", value: str = "") -> str:
    values: dict[str, dict[str, object]] = {
        "main": {"alias": ["root=a@example.org"], "allowed_recipient": ["example.org"], "sender": "me@example.org"},
        "smarthost": {"host": "smtp.example.org", "username": "u", "password": "p", "sender": ["@example.org"]},
        "client": {"address": "10.0.0.1", "username": "n", "password": "w"},
    }
    if kind:
        values[kind][option] = [value] if option in LISTS or (kind, option) == ("smarthost", "sender") else value
    return (
        main(**values["main"])
        + section("smarthost", "general", host="b.example", priority=99)
        + section("smarthost", "p", **values["smarthost"])
        + section("client", "c", **values["client"])
    )


def shape(files: dict[str, list[str]]) -> dict[str, list[str]]:
    """The names of main.cf's parameters, the services of master.cf."""
    assert all(re.match(r"\w+ = |#|$", line) for line in files["main.cf"]), files["main.cf"]
    return {
        "main.cf": [line.partition(" = ")[0] for line in files["main.cf"]],
        "master.cf": files["master.cf"],
    }


def test_addresses_become_listeners_and_subnets_networks_without_host_bits(tmp_path: Path) -> None:
    files = render(config(), tmp_path / "out")
    assert (
        "mynetworks = !10.0.0.1/32, 127.0.0.0/8, [0000:0000:0000:0000:0000:0000:0000:0001]/128, 192.168.1.0/24, "
        "[fd00:0001:0002:0000:0000:0000:0000:0000]/60" in files["main.cf"]
    )
    assert "inet_interfaces = 127.0.0.1, [::1], 192.168.1.1, [fd00:1:2::1]" in files["main.cf"]
    listeners = [line.split()[0] for line in files["master.cf"] if line.endswith(" smtpd")]
    assert listeners == [
        f"{address}:{port}" for address in ("127.0.0.1", "[::1]", "192.168.1.1", "[fd00:1:2::1]") for port in (25, 587)
    ]


def test_room_for_the_queue_is_a_quarter_and_no_mail_is_larger(tmp_path: Path) -> None:
    lines = render(config(), tmp_path / "out", FREE=str(6 << 20), QUEUED=str(2 << 20))["main.cf"]
    assert "message_size_limit = 2097152" in lines
    assert f"queue_minfree = {6 << 20}" in lines


@pytest.mark.parametrize("kind", TEXTS)
def test_no_value_becomes_postfix_syntax(kind: str, tmp_path: Path) -> None:
    number = 0
    always = (PACKAGE / "usr/lib/mailrelay/postfix-main.cf").read_text()
    fixed = set(re.findall(r"^(\w+) =", always, re.M))
    assert "smtpd_client_restrictions = permit_mynetworks, reject\n" in always
    for option in TEXTS[kind].split():
        good = shape(render(config(), tmp_path / f"good-{option}"))
        for value in HOSTILE:
            if value == " a b " and option == "spool":
                continue
            number += 1
            files = render(config(kind, option, value.replace("\0", "")), tmp_path / str(number))
            found = shape(files)
            # A value that is none leaves out what depends on it, and adds nothing.
            added = set(found["main.cf"]) - set(good["main.cf"])
            assert all(re.fullmatch(r"out[123]_\w+", parameter) for parameter in added), (option, value, added)
            assert [line.split()[0] for line in found["master.cf"] if line and line[0] != "\t"] == [
                line.split()[0] for line in good["master.cf"] if line and line[0] != "\t"
            ] or option in ("host", "sender"), (option, value)
            assert not {line.partition(" = ")[0] for line in files["main.cf"]} & fixed, (option, value)
            for name in ("main.cf", "master.cf"):
                unescaped = [line for line in files[name] if re.search(r"(?<!\$)(\$\$)*\$(mynetworks|\{)", line)]
                assert unescaped == [], (option, value, unescaped)
            for name, lines in files.items():
                if name.startswith(("passwords", "policy")):
                    assert all(re.match(r"\[[^]]*\]:\d+ |#|$", line) for line in lines), (option, value, lines)
                elif name not in ("main.cf", "master.cf"):
                    assert all(re.match(r"/.*/ |if !/.*/$|endif$|#|$", line) for line in lines), (
                        name,
                        option,
                        value,
                        lines,
                    )
