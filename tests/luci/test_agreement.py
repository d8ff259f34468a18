"""The form says of every value what the relay's schema says, and shows every option that the schema has."""

from __future__ import annotations

import json
import random
import re

import pytest

from forge.generate.relay_schema import OPTIONS, Machine, check
from tests.luci.browser import Browser
from tests.luci.conftest import APP
from tests.support.option_values import VALUES

LAYOUT = APP / "htdocs/luci-static/resources/mailrelay/layout.js"
PROVIDERS = APP / "htdocs/luci-static/resources/mailrelay/providers.js"
LETTERS = "aZ09.-_:/@=,;'\"<>[]()%* \t\\|äß\u200b\u2028"


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
    asked = []
    for section, options in OPTIONS.items():
        for option in options:
            right, wrong = VALUES[option.type]
            seeds = [*right, *wrong, *option.limits.choices]
            asked += [(section, option, text) for seed in seeds for text in variants(seed, chance)]
    browser.open("overview")
    script = """
        const asked = JSON.parse(arguments[0]), done = arguments[1];
        L.require('mailrelay.kinds').then(kinds => L.require('mailrelay.options').then(options =>
            done(asked.map(([section, name, text]) => kinds.check(options.sections[section][name], text) === true))))
    """
    words = json.dumps([(section, option.name, text) for section, option, text in asked])
    verdicts = browser.driver.execute_async_script(script, words)
    browser.leave()
    assert len(asked) > 5000
    differ = []
    for (section, option, text), verdict in zip(asked, verdicts, strict=True):
        try:
            option.read(text)
            expected = True
        except ValueError as invalid:
            expected = "has arguments" in str(invalid)  # whether such a program exists only the router knows
        if expected != verdict:
            differ.append((section, option.name, text, expected))
    assert not differ, f"{len(differ)} of {len(asked)}: {differ[:20]}"


def test_every_option_has_one_field() -> None:
    parts = re.split(r"^\t(mailrelay|smarthost|client): \[", LAYOUT.read_text(), flags=re.MULTILINE)
    shown = {name: re.findall(r"\[ '(\w+)', _\('[^']*'\) \]", part) for name, part in zip(parts[1::2], parts[2::2])}
    for section, options in OPTIONS.items():
        assert sorted(shown[section]) == sorted(option.name for option in options)


def presets() -> list[dict[str, str]]:
    entries = re.findall(r"\{\s*name: .*?\n\t\t\}", PROVIDERS.read_text(), re.DOTALL)
    return [
        dict(re.findall(r"\b(name|host|port|tls|rate|login): (?:_\()?'((?:[^'\\]|\\.)*)'", entry)) for entry in entries
    ]


def test_the_list_of_providers_is_complete() -> None:
    names = "Gmail, Microsoft 365, Microsoft 365: Azure Communication Services, Microsoft 365: connector or Direct Send"
    names += ", Microsoft 365: High Volume Email, Outlook.com, Yahoo, iCloud, Fastmail, GMX, web.de, Zoho, Amazon SES"
    assert [preset["name"] for preset in presets()] == names.split(", ")


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset["name"])
def test_the_relay_finds_nothing_wrong_with_a_preset(preset: dict[str, str]) -> None:
    options = {name: preset[name] for name in ("host", "port", "tls", "rate") if name in preset}
    lines = "".join(f"\toption {name} '{value}'\n" for name, value in options.items())
    login = (
        "" if "leave login name and password empty" in preset["login"] else "\toption username u\n\toption password p\n"
    )
    text = f"config mailrelay main\n\tlist network lo\n\toption sender me@example.org\nconfig smarthost\n{lines}{login}"
    settings, faults, warnings = check(text.encode(), "config", Machine())
    assert settings is not None and not faults and not warnings, [str(one) for one in [*faults, *warnings]]
    assert settings.smarthosts[0].host == preset["host"] and preset["login"]
