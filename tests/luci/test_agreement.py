"""The form says of every value what the relay's schema says, and shows every option that the schema has."""

from __future__ import annotations

import importlib
import json
import random
import re
from typing import Any

import pytest

from forge.generate import docs, luci_options
from tests.luci.browser import Browser
from tests.luci.standin.server import APP
from tests.package.test_postfix_check import BAD_VALUES

SETTINGS = APP / "htdocs/luci-static/resources/view/mailrelay/settings.js"
PROVIDERS = APP / "htdocs/luci-static/resources/mailrelay/providers.js"
# By kind: values that are of it, and values that nearly are.
SEEDS: dict[str, list[str]] = {
    "text": ["you@example.org", "it's", "a b", "zwölf", "a\tb", "zero\u200bwidth", "no\u00a0break", "line\nbreak"],
    "switch": ["1", "0", "yes", "No", "on", "disabled", "2"],
    "choice": ["starttls", "tls", "none", "auto", "cram-md5", "TLS", "ipv4", "any"],
    "integer": ["0", "1", "256", "10000", "10001", "007", "-1", "1.5", "٣"],
    "port": ["25", "0", "65535", "65536", "587x", "000025", "999999999999"],
    "size": ["25M", "512K", "1k", "0", "1024", "1G", "25 M", "25MB", "1.5M", "2T", "999999G"],
    "duration": ["30s", "5d", "1w", "90", "1h", "5D", "2 d", "1m30s", "0", "999w", "1.5h"],
    "hostname": [
        *("router.example.org", "a", "x-.org", "-x", "localhost", "a.localhost", "box.1", "x" * 64, "a_b", "[::1]"),
    ],
    "host": [
        *("smtp.example.org", "[2001:db8::1]", "192.0.2.1", "fe80::1%eth0", "smtp://x.org", "x.org:587", "a@b", "x."),
        "1.2.3.4.5",
    ],
    "address": [
        *("name@example.org", '"a b"@x.org', "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "ä@dömäne.de", "a@b", "a@b.c."),
        *("Me <a@b.org>", "mailto:a@b.org", "a@b@c.org", "a@b,c@d", "x" * 65 + "@y.org", "@x.org", "a@", " a@b.org"),
        *("a.@b.org", "a@1.2.3.4", "a@b.1"),
    ],
    "alias": [
        *("root=a@b.org", "root: a@b.org", "root=a@b.org, c@d.org", "a=b", "=x", "x=", "*=a@b.org", "a=b c"),
        *("a@b.org=c@d.org", "r;t=a@b"),
    ],
    "net": [
        *("192.168.1.0/24", "10.0.0.1", "::1", "fd00::/8", "::ffff:10.0.0.1/104", "::ffff:1.2.3.4/90", "1.2.3.4/33"),
        *("01.2.3.4", "1.2.3", "::1/129", "fe80::1%lan", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::", "::1::2", "12345::"),
        *("::1.2.3.4", "1.2.3.4/", "::/0", "0.0.0.0/0"),
    ],
    "network": ["lan", "br-lan.1", "wan6", "192.168.1.1", "a b", "x" * 65, "@wan"],
    "spool": [
        *("/mnt/usb/mail", "/etc/mailrelay/spool", "/tmp", "/tmp/", "//tmp", "/a/../tmp", "/etc/../..", "spool"),
        *("/proc/x", "/dev/shm/x"),
    ],
    "rate": [
        *("30/minute", "500/day", "30/minute 500/day", "500/day  30/minute", "30", "0/day", "1/hour", "1/day 2/day"),
    ],
    "fingerprint": [
        *("ab" * 32, ":".join(["AB"] * 32), "SHA256 Fingerprint=" + ":".join(["0f"] * 32), "sha-256: " + "1" * 64),
        *("ab" * 20, "g" * 64),
    ],
    "recipient": ["@example.org", "example.org", "a@example.org", "*.example.org", "@@x.org", "a@", "x y"],
    "sender": ["@example.org", "a@example.org", "example.org", "@", "@[192.0.2.1]", "@-x"],
}
SEEDS["secret"] = SEEDS["text"]
SEEDS["path"] = SEEDS["program"] = SEEDS["spool"]
LETTERS = "aZ09.-_:/@=,;'\"<>[]()%* \t\\|äß\u200b\u2028"


def schema() -> Any:
    return docs._schema()


def variants(seed: str, chance: random.Random) -> list[str]:
    """The text, and others near it."""
    made = [seed, f" {seed}", f"{seed} ", seed.upper(), seed * 2]
    for _ in range(14):
        at = chance.randrange(len(seed) + 1)
        kind = chance.randrange(3)
        made.append(
            seed[:at] + chance.choice(LETTERS) + seed[at + (kind == 1) :] if kind < 2 else seed[:at] + seed[at + 1 :]
        )
    return [text for text in made if text]


@pytest.mark.root
def test_the_form_and_the_relay_judge_every_value_alike(browser: Browser) -> None:
    chance = random.Random(1)
    kinds = importlib.import_module("mailrelay.config.option_types")
    asked = []
    for section, options in schema().OPTIONS.items():
        for option in options:
            seeds = [*SEEDS[option.kind], *BAD_VALUES.get(section, {}).get(option.name, [])]
            asked += [(section, option, text) for seed in seeds for text in variants(seed, chance)]
    browser.open("overview")
    script = """
        const asked = JSON.parse(arguments[0]), done = arguments[1];
        standin.require('mailrelay.kinds').then(kinds => standin.require('mailrelay.options').then(options =>
            done(asked.map(([section, name, text]) => kinds.check(options.sections[section][name], text) === true))))
    """
    words = json.dumps([(section, option.name, text) for section, option, text in asked])
    verdicts = browser.driver.execute_async_script(script, words)
    assert len(asked) > 5000
    differ = []
    for (section, option, text), verdict in zip(asked, verdicts, strict=True):
        try:
            option.read(text)
            expected = True
        except kinds.Bad as bad:
            expected = "has arguments" in str(bad)  # whether such a program exists only the router knows
        if expected != verdict:
            differ.append((section, option.name, text, expected))
    assert not differ, f"{len(differ)} of {len(asked)}: {differ[:20]}"


def test_the_options_of_the_form_are_those_of_the_schema() -> None:
    assert luci_options.FILE.read_text() == luci_options.render(), "run python3 -m forge.generate.luci_options"


def test_every_option_has_one_field() -> None:
    text = SETTINGS.read_text()
    layout = text[text.index("const LAYOUT") : text.index("const COLUMNS")]
    parts = re.split(r"^\t(mailrelay|smarthost|client): \[", layout, flags=re.MULTILINE)
    shown = {name: re.findall(r"\[ '(\w+)', _\('[^']*'\) \]", part) for name, part in zip(parts[1::2], parts[2::2])}
    for section, options in schema().OPTIONS.items():
        assert sorted(shown[section]) == sorted(option.name for option in options)


def presets() -> list[dict[str, str]]:
    entries = re.findall(r"\{\s*name: .*?\n\t\t\}", PROVIDERS.read_text(), re.DOTALL)
    return [
        dict(re.findall(r"\b(name|host|port|tls|rate|login): (?:_\()?'((?:[^'\\]|\\.)*)'", entry)) for entry in entries
    ]


def test_the_list_of_providers_is_complete() -> None:
    names = "Gmail, Microsoft 365, Outlook.com, Yahoo, iCloud, Fastmail, GMX, web.de, Zoho, Amazon SES"
    assert [preset["name"] for preset in presets()] == names.split(", ")


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset["name"])
def test_the_relay_finds_nothing_wrong_with_a_preset(preset: dict[str, str]) -> None:
    options = {name: preset[name] for name in ("host", "port", "tls", "rate") if name in preset}
    lines = "".join(f"\toption {name} '{value}'\n" for name, value in options.items())
    text = (
        f"config mailrelay main\n\tlist network lo\nconfig smarthost\n{lines}\toption username u\n\toption password p\n"
    )
    settings, faults, warnings = schema().check(text.encode(), "config")
    assert settings is not None and not faults and not warnings, [str(one) for one in [*faults, *warnings]]
    assert settings.smarthosts[0].host == preset["host"] and preset["login"]
