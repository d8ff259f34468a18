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
    "smarthost": "host port tls ca_file fingerprint auth username password priority sender from rate connections"
    " family timeout verify",
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
    assert "proxy_interfaces = 127.0.0.1, [::1], 192.168.1.1, [fd00:1:2::1]" in files["main.cf"]
    listeners = [line.split()[0] for line in files["master.cf"] if line.endswith(" smtpd")]
    assert listeners == [
        f"{address}:{port}" for address in ("127.0.0.1", "[::1]", "192.168.1.1", "[fd00:1:2::1]") for port in (25, 587)
    ]


def test_room_for_the_queue_is_a_quarter_and_no_mail_is_larger(tmp_path: Path) -> None:
    lines = render(config(), tmp_path / "out", FREE=str(6 << 20), QUEUED=str(2 << 20))["main.cf"]
    assert "message_size_limit = 2097152" in lines
    assert f"queue_minfree = {6 << 20}" in lines


@pytest.mark.parametrize(
    ("name", "addresses", "said"),
    [
        ("router.example.org", "127.0.0.1 192.168.1.1", "router.example.org"),
        ("OpenWrt", "127.0.0.1 ::1 192.168.1.1 fd00::1", "[192.168.1.1]"),
        ("localhost", "::1 127.0.0.1 fd00:1:2::1", "[IPv6:fd00:1:2::1]"),
        ("OpenWrt", "127.0.0.1", "[127.0.0.1]"),
        ("OpenWrt", "", "[127.0.0.1]"),
    ],
)
def test_ehlo_says_a_full_name_or_an_address_of_ours(name: str, addresses: str, said: str, tmp_path: Path) -> None:
    lines = render(main(hostname=name), tmp_path / "out", ADDRESSES=addresses)["main.cf"]
    assert f"smtp_helo_name = {said}" in lines
    assert "smtp_helo_name" not in (PACKAGE / "usr/lib/mailrelay/postfix-main.cf").read_text()


@pytest.mark.parametrize(
    ("name", "domain", "full"),
    [
        ("OpenWrt", "lan", "OpenWrt.lan"),
        ("plc.plant.example", "lan", "plc.plant.example"),
        ("pi.localdomain", "plant.example.", "pi.plant.example"),
        ("pi", "localdomain", "pi"),
        ("localhost", "lan", "localhost"),
        ("localhost.localdomain", "lan", "localhost"),
    ],
)
def test_the_systems_name_comes_with_its_domain(name: str, domain: str, full: str) -> None:
    stubs = f"uci() {{ echo '{domain}'; }}; uname() {{ echo '{name}'; }}"
    assert scripts("", f"{{ {stubs}; system_name; }}").stdout == f"{full}\n"


def provider(name: str, **options: object) -> str:
    return section("smarthost", name, **{"host": f"{name}.example", "username": "u", "password": "p", **options})


def test_the_postmaster_is_the_first_providers_account_where_nobody_is_named(tmp_path: Path) -> None:
    second = provider("second", username="me@second.example", priority=20)
    for number, (text, owner) in enumerate(
        [
            (main() + second + provider("first", username="me@first.example"), "me@first.example"),
            (main() + second + provider("first", username="me@first.example", enabled=0), "me@second.example"),
            (main(postmaster="pm@example.net") + second, "pm@example.net"),
            (main(sender="plant@example.org") + provider("first"), "plant@example.org"),
            (main() + provider("first", **{"from": "alarm@example.org"}), "alarm@example.org"),
            (main() + provider("first", username="me@plant"), "nobody@discard.invalid"),
        ]
    ):
        files = render(text, tmp_path / str(number))
        assert f"/^/ {owner}" in files["notices"]
        assert any(line.endswith(f"/ {owner}") for line in files["aliases"]) == (owner != "nobody@discard.invalid")


def test_the_first_providers_from_is_whom_mail_comes_from(tmp_path: Path) -> None:
    first, second = provider("first", **{"from": "a@first.example"}), provider("second", priority=20)
    files = render(main(sender="plant@example.org") + first + second, tmp_path / "one")
    assert "/^[^@]+@/ a@first.example" in files["sender"]
    assert not any("smtp_fallback_relay = [" in line for line in files["main.cf"]), "it would refuse that sender"
    files = render(main(sender="a@first.example") + first + second, tmp_path / "two")
    assert "out1_smtp_fallback_relay = [second.example]:587" in files["main.cf"]
    by_sender = provider("third", sender=["@third.example"])
    files = render(main(sender="plant@example.org") + first + by_sender, tmp_path / "three")
    assert "/^[^@]+@/ plant@example.org" in files["sender"], "the provider hangs on the sender"


def test_local_names_go_by_aliases_then_to_the_postmaster(tmp_path: Path) -> None:
    aliases = ["root=r@example.org", "@plant.local=owner@example.org", "x@plant.local=x@example.org"]
    text = main(alias=aliases, postmaster="pm@example.net") + provider("first")
    files = render(text, tmp_path / "out")
    rows = [line[1:].split("/ ") for line in files["aliases"] if line.startswith("/")]

    def alias(address: str) -> str | None:
        return next((target for expression, target in rows if re.search(expression, address, re.IGNORECASE)), None)

    for address, target in {
        "x@plant.local": "x@example.org",
        "root@plant.local": "owner@example.org",
        "root@raspberrypi": "r@example.org",
        "root@nas.lan": "r@example.org",
        "root@localhost": "r@example.org",
        "root@localhost.localdomain": "r@example.org",
        "root@Router.example.org": "r@example.org",
        "backup@raspberrypi": "pm@example.net",
        "a@b.local": "pm@example.net",
        "root@example.org": None,
        "x@lan.example": None,
        "x@mylan": "pm@example.net",
        "x@[192.0.2.1]": None,
        "x@[IPv6:fd00::1]": None,
    }.items():
        assert alias(address) == target, address
    local = [line[1:].split("/ ")[0] for line in files["local"] if line.startswith("/")]
    for domain, ours in {"raspberrypi": True, "a.lan": True, "example.org": False, "[IPv6:fd00::1]": False}.items():
        assert any(re.search(expression, domain) for expression in local) == ours, domain


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
