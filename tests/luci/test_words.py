"""The pages have words of their own for everything that the relay finds and advises, in English and in German."""

from __future__ import annotations

import ast
import re

import pytest

from forge.core import paths
from forge.generate import luci_advice
from forge.generate.relay_schema import OPTIONS, advice_texts
from forge.packages import po
from tests.luci.browser import Browser
from tests.luci.conftest import APP

SOURCES = paths.RELAY / "mailrelay"
WORDS = APP / "htdocs/luci-static/resources/mailrelay/words.js"
AWK = paths.ROOT / "package/mailrelay/root/usr/lib/mailrelay/postfix-check.awk"
ENTRY = re.compile(r"^\t\t?'([a-z0-9-]+(?: [a-z_]+)?)': _\('((?:[^'\\]|\\.)*)'\)", re.MULTILINE)
SECTIONS = {"main": "mailrelay", "smarthost": "smarthost", "client": "client"}


def words(name: str) -> dict[str, str]:
    """One table of words.js: text by code."""
    text = WORDS.read_text()
    start = text.index(f"const {name} = {{")
    return {
        code: re.sub(r"\\(.)", r"\1", said) for code, said in ENTRY.findall(text[start : text.index("\n};", start)])
    }


def calls() -> list[tuple[str, ast.Call]]:
    """Of every finding that the relay can make: its code, "" for one made of an option's type, and the call."""
    found = []
    for path in sorted((SOURCES / "config").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = {"fault": 0, "warn": 0, "Finding": 3}.get(name)
            if place is not None and len(node.args) > place:
                code = node.args[place]
                if isinstance(code, ast.Constant):
                    found.append((str(code.value), node))
                elif isinstance(code, ast.JoinedStr):
                    found.append(("", node))
    return found


def machine_advice() -> dict[str, str]:
    from mailrelay.listener import hints

    return hints.TEXTS


def german() -> dict[str, str]:
    return {entry.id: entry.text for entry in po.read(APP / "po/de/mailrelay.po")}


def places(text: str) -> list[str]:
    return sorted(re.findall(r"\{[^}]*\}|%[sd]", text))


def test_the_pages_have_words_for_every_finding() -> None:
    codes = {code for code, _ in calls()} - {""}
    assert len(codes) > 40
    assert codes == {code.partition(" ")[0] for code in words("FINDINGS")}


def test_the_pages_have_words_for_every_finding_of_the_postfix_engine() -> None:
    said = set(re.findall(r'(?:fault|warn)\([^,]+(?:\[[^]]*\])?, "([a-z0-9-]+)"', AWK.read_text()))
    rows = [line.split("\t") for line in (AWK.parent / "postfix-limits").read_text().splitlines() if line[0] != "#"]
    limits = {f"postfix-{section} {option}" for section, option, *_ in rows}
    ours = {code for code in said if code.startswith("postfix-")} - {"postfix-"}
    assert said - ours - {"no-", "no-secret", "postfix-"} <= set(words("FINDINGS"))
    assert ours | limits == set(words("POSTFIX"))


def test_the_pages_have_words_for_every_advice() -> None:
    own = set(words("ADVICE"))
    assert machine_advice().keys() <= own
    elsewhere = {
        str(node.args[1].value)
        for path in SOURCES.glob("c*/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Advice" and len(node.args) > 1
        if isinstance(node.args[1], ast.Constant)
    }
    assert {"no-provider", "no-provider-for-sender"} <= elsewhere
    assert elsewhere | machine_advice().keys() | {"disk"} == own
    assert not own & advice_texts().keys(), "each id is that of one advice"
    assert dict(ENTRY.findall(luci_advice.FILE.read_text())).keys() == advice_texts().keys()


@pytest.mark.parametrize("name", ["FINDINGS", "ADVICE", "POSTFIX"])
def test_what_is_filled_in_is_a_field_or_a_fact_of_the_relay(name: str) -> None:
    given: dict[str, set[str]] = {}
    for code, call in calls():
        given.setdefault(code, set()).update(keyword.arg or "" for keyword in call.keywords)
        for part in [*call.args, *call.keywords]:
            given[code] |= {str(node.value) for node in ast.walk(part) if isinstance(node, ast.Constant)}
    for code, text in words(name).items():
        for place in re.findall(r"\{([^}]*)\}", text):
            section, _, option = place.partition(".")
            if option:
                assert option in [one.name for one in OPTIONS[SECTIONS[section]]], (code, place)
            elif name == "FINDINGS":
                assert place in given[code.partition(" ")[0]] | {"error", "reason", "line"}, (code, place)


def test_no_text_of_the_pages_speaks_of_options() -> None:
    texts = [
        *words("FINDINGS").values(),
        *words("ADVICE").values(),
        *map(luci_advice.page_text, advice_texts().values()),
    ]
    names = {option.name for section in OPTIONS.values() for option in section if "_" in option.name}
    for text in texts:
        bare = re.sub(r"\{[^}]*\}", "", text)
        assert not re.search(r"\boptions?\b(?! there)|\bsection (?:main|smarthost|client)\b", bare), text
        assert not names & set(re.findall(r"\w+", bare)), text


def test_german_has_every_text_with_what_is_filled_in() -> None:
    known = german()
    for entry in po.scan():
        assert known.get(entry.id), entry.id
        assert places(known[entry.id]) == places(entry.id), (entry.id, known[entry.id])


@pytest.mark.root
def test_a_page_names_fields_by_its_own_titles_in_its_language(browser: Browser) -> None:
    finding = {"code": "not-allowed", "section": "client[0]", "option": "address", "values": {"value": "10.0.0.9"}}
    typed = {"code": "no-port", "section": "main", "option": "port", "values": {"value": "smtp", "instead": "25"}}
    secret = {"code": "no-secret", "section": "p", "option": "password", "values": {}}
    unknown = {
        "code": "of-a-later-version",
        "section": "main",
        "option": "",
        "problem": "it is",
        "hint": "do",
        "values": {},
    }
    failure = {"answer": "535 no", "advice": "English", "advice_code": "gmail-app-password", "advice_values": {}}
    name = {"answer": "x", "advice": "E", "advice_code": "name-timeout", "advice_values": {"host": "a.example"}}
    cut = {"answer": "x", "advice": "English, whole", "advice_code": "name-timeout", "advice_values": {}}
    port = {"endpoint": "192.168.1.1:25", "by": "postfix (pid 7)", "advice": "x", "stop": "service postfix stop"}
    script = """
        const [ findings, failures, done ] = arguments;
        L.require('mailrelay.words').then(words => done(
            [ ...findings.map(one => words.findingText(one)), ...failures.map(one => words.adviceText(one)) ]))
    """
    told = {}
    for language in ("en", "de"):
        browser.open("overview", language=language if language == "de" else "")
        told[language] = browser.driver.execute_async_script(
            script, [finding, typed, secret, unknown], [failure, name, cut, port]
        )
    assert '"Networks that may send"' in told["en"][0] and told["en"][0].startswith("Address: ")
    assert told["en"][1] == 'Ports: "smtp" cannot be used. Expected: a port, 1 to 65535. It may be "25".'
    assert told["en"][2].startswith("Password: This cannot be used.")
    assert told["en"][3] == "it is; do"
    assert 'put its 16 letters into "Password"' in told["en"][4]
    assert "a.example" in told["en"][5] and "typing mistake" in told["en"][5]
    assert told["en"][6] == "English, whole", "a fact that got lost on its way leaves no gap"
    assert "„Netzwerke, die senden dürfen“" in told["de"][0] and told["de"][1].startswith("Ports: „smtp“ ist nicht")
    assert "bei „Passwort“ eintragen" in told["de"][4] and "Tippfehler" in told["de"][5]
    assert "Auf dem Router ausführen: service postfix stop" in told["de"][7]
    browser.leave()
