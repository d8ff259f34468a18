"""The settings page: what it tells before it saves, the first provider, links to fields, export, import and restart."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from forge.servers import as_provider
from forge.servers.postfix import Provider
from tests.luci.browser import APPLY, SAVE, Browser
from tests.luci.conftest import settings
from tests.support.router import SETTINGS, Router

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("quiet_console", "nothing_unsaved")]
ADD = "#cbi-mailrelay-smarthost .cbi-button-add"
EXPORTED, IMPORTED = "#mailrelay-exported", "#mailrelay-imported"


@pytest.fixture
def bare(router: Router, provider: Provider) -> Iterator[Router]:
    """A router as after the installation: switched off, and without a provider."""
    router.reach(provider.starttls_port)
    router.configure(enabled="0", rest="")
    router.ok("/etc/init.d/mailrelay", "reload")
    yield router


def values(browser: Browser, section: str = "main") -> dict[str, object]:
    """A section as the session has it, saved or not."""
    found = browser.call("uci", "get", config="mailrelay", section=section)
    return dict(found[1]["values"])


def smarthosts(browser: Browser) -> list[dict[str, object]]:
    found = browser.call("uci", "get", config="mailrelay", type="smarthost")[1]["values"]
    return [one for one in found.values() if one[".type"] == "smarthost"]


def open_dialog(browser: Browser) -> str:
    browser.open("settings")
    browser.click(ADD)
    return browser.dialog_section()


# ---- the dialog -----------------------------------------------------------------------------------------------------


def test_a_dialog_tells_what_is_unwise_before_it_saves_and_then_saves_it(browser: Browser, relay: Router) -> None:
    section = open_dialog(browser)
    help = browser.text(".modal")
    assert "see Allow no encryption" in help and "allow_cleartext" not in help, "by its title"
    browser.fill(section, host="mail.example.org", port="465", username="me@example.org", password="x")
    browser.press(".modal .cbi-button-positive")
    said = browser.text(".modal .mailrelay-warnings")
    assert 'Port: 465 usually wants "Encryption" to be tls.' in said
    assert browser.unsaved() == [], "nothing is saved yet"
    browser.fill(section, port="587")
    browser.choose(section, "tls", "none")
    browser.press(".modal .cbi-button-positive")
    said = browser.text(".modal .mailrelay-warnings")
    assert "everyone on the way can read mail and password" in said and "465" not in said
    browser.click(".modal .mailrelay-anyhow")
    browser.wait(lambda: "mail.example.org" in browser.text("#cbi-mailrelay-smarthost table"), "it is saved")
    assert [one["tls"] for one in smarthosts(browser) if one["host"] == "mail.example.org"] == ["none"]


def test_a_network_that_would_be_refused_is_not_offered(browser: Browser, relay: Router) -> None:
    browser.open("settings")
    assert offered(browser) >= {"lan"} and "wan" not in offered(browser)
    relay.put(SETTINGS, relay.read(SETTINGS).replace("list network 'lan'", "list network 'wan'"), 0o600)
    browser.open("settings")
    assert "wan" in offered(browser), "one that is set by hand is shown, to be taken out"


def offered(browser: Browser) -> set[str]:
    field = '[id="widget.cbid.mailrelay.main.network"] option, .cbi-dropdown[id$=".main.network"] [data-value]'
    script = "return Array.from(document.querySelectorAll(arguments[0])).map(one => one.value || one.dataset.value)"
    return set(browser.driver.execute_script(script, field))


# ---- the first provider ---------------------------------------------------------------------------------------------


def test_the_first_mail_is_four_clicks_away(browser: Browser, bare: Router, provider: Provider) -> None:
    """Add, Save, Save & Apply, Send test mail."""
    section = open_dialog(browser)
    browser.fill(
        section, host=as_provider.NAME, port=str(provider.starttls_port), username=provider.username,
        password=provider.password,
    )  # fmt: skip
    browser.tab("advanced", ".modal")
    browser.fill(section, ca_file=as_provider.CA_FILE)
    browser.press(".modal .cbi-button-positive")
    browser.wait(lambda: browser.field("main", "enabled").is_selected(), "the relay is switched on")
    assert browser.field("main", "sender").get_attribute("value") == provider.username
    assert provider.username in browser.text(".alert-message"), "and that is told"
    browser.press(APPLY)
    bare.wait_relay()
    provider.forget()
    browser.open("overview")
    browser.find("#mailrelay-test-address").send_keys("owner@example.org")
    browser.press("#mailrelay-test")
    assert f"It was sent as {provider.username}" in browser.text("#mailrelay-test-result")
    bare.send()
    test, alarm = provider.wait_for(2)
    senders = [mail.envelope_from for mail in (test, alarm)]
    assert senders == [provider.username] * 2, "a machine's mail comes from the same"


def test_what_the_owner_has_set_stays_and_a_second_provider_changes_nothing(browser: Browser, bare: Router) -> None:
    bare.configure("option sender 'alarms@company.example'", enabled="0", rest="")
    section = open_dialog(browser)
    browser.fill(section, host="mail.example.org", username="me@example.org", password="x")
    browser.press(".modal .cbi-button-positive")
    browser.wait(lambda: browser.field("main", "enabled").is_selected(), "the relay is switched on")
    assert browser.field("main", "sender").get_attribute("value") == "alarms@company.example"
    browser.tick("main", "enabled", on=False)
    browser.press(SAVE)
    browser.click(ADD)
    section = browser.dialog_section()
    browser.fill(section, host="spare.example.org", username="me@example.org", password="x")
    browser.press(".modal .cbi-button-positive")
    browser.wait(lambda: len(smarthosts(browser)) == 2, "both are there")
    assert values(browser)["enabled"] == "0"


def test_notices_have_a_field_on_the_first_tab(browser: Browser, relay: Router) -> None:
    browser.open("settings")
    browser.fill("main", postmaster="me@example.org")
    browser.press(SAVE)
    assert values(browser)["postmaster"] == "me@example.org"
    assert "Notices to" in browser.text("#cbi-mailrelay")


# ---- links to fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "section", "option"),
    [("main/spool", "main", "spool"), ("smarthost[0]/timeout", "", "timeout"), ("client[0]/address", "", "address")],
)
def test_a_link_opens_the_field_that_it_names(
    browser: Browser, relay: Router, place: str, section: str, option: str
) -> None:
    browser.leave()
    browser.open("settings", place=f"mailrelay/{place}")
    where = section or browser.wait(browser.dialog_section, "a dialog")
    browser.wait(lambda: browser.field(where, option), "the field is in sight")
    focus = "return document.activeElement.closest('.cbi-value').id"
    browser.wait(lambda: str(browser.driver.execute_script(focus)).endswith(f"-{where}-{option}"), "and has the cursor")


# ---- the test mail --------------------------------------------------------------------------------------------------


def test_while_a_test_waits_the_page_tells_for_how_long_at_most(
    browser: Browser, relay: Router, provider: Provider
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as silent:
        port = relay.reach(silent.getsockname()[1])
        relay.configure(rest=settings(provider, port=str(port), timeout="7"))
        browser.open("settings")
        browser.find("#mailrelay-test-address").send_keys("owner@example.org")
        browser.click("#mailrelay-test")
        browser.wait(lambda: "7 s at most for each answer" in browser.text("#mailrelay-test-result"), "the limit")
        browser.wait(lambda: "The mail was not sent" in browser.text("#mailrelay-test-result"), "the end")


def test_a_certificate_is_trusted_after_a_second_look_only(browser: Browser, relay: Router, provider: Provider) -> None:
    rest = settings(provider).replace(f"\toption ca_file '{as_provider.CA_FILE}'\n", "")
    relay.configure(rest=rest)
    browser.open("settings")
    browser.find("#mailrelay-test-address").send_keys("owner@example.org")
    browser.press("#mailrelay-test")
    said = browser.text("#mailrelay-test-result")
    assert "don't send" in said
    assert not browser.driver.execute_script("return arguments[0].match(/[0-9a-f]{64}/)", said), (
        "no fingerprint beside it"
    )
    browser.click("#mailrelay-look")
    assert "something on the way answers in its place" in browser.text(".modal")
    assert not browser.find("#mailrelay-trust").is_enabled()
    browser.click("#mailrelay-compared")
    browser.press("#mailrelay-trust")
    browser.wait(lambda: smarthosts(browser)[0].get("fingerprint"), "it is trusted")
    browser.press("#mailrelay-test")
    assert "The provider has accepted the mail" in browser.text("#mailrelay-test-result")


# ---- the service and all settings -----------------------------------------------------------------------------------


def test_the_relay_is_restarted_after_a_word_of_warning(browser: Browser, relay: Router) -> None:
    before = relay.status()["pid"]
    browser.open("settings")
    browser.click("#mailrelay-restart")
    assert "its port is closed" in browser.text(".modal")
    assert relay.status()["pid"] == before
    browser.press("#mailrelay-restart-now")
    browser.wait(lambda: "started anew" in browser.text(".alert-message"), "the word that it was")
    relay.wait(lambda: relay.status().get("pid") not in (None, before), "another one runs")


def exported(browser: Browser, passwords: bool) -> str:
    browser.click("#mailrelay-export")
    if passwords:
        browser.click("#mailrelay-passwords")
    text = str(browser.find(EXPORTED).get_attribute("value"))
    browser.click(".modal .btn")
    return text


def give(browser: Browser, text: str) -> None:
    browser.click("#mailrelay-import")
    script = "arguments[0].value = arguments[1]"
    browser.driver.execute_script(script, browser.find(IMPORTED), text)
    browser.press("#mailrelay-check")


def test_settings_are_exported_without_or_with_passwords_and_taken_in_again(
    browser: Browser, relay: Router, provider: Provider
) -> None:
    odd = 'it\'s "a" $pass`word\\ #1; two  spaces'
    relay.configure(
        "list alias 'root=owner@example.org,night@example.org'", settings(provider, password=odd.replace("'", "'\\''"))
    )
    browser.open("settings")
    bare, whole = exported(browser, False), exported(browser, True)
    assert "without passwords" in bare and "password '" not in bare
    assert "with passwords" in whole and "it'\\''s" in whole
    relay.configure(enabled="0", rest="")
    browser.open("settings")
    give(browser, bare)
    assert "Enter them here" in browser.text("#mailrelay-import-result")
    browser.find("[data-password]").send_keys(odd)
    browser.press("#mailrelay-check")
    assert "The settings are good" in browser.text("#mailrelay-import-result")
    assert browser.unsaved() == [], "nothing has changed before it is taken"
    browser.press("#mailrelay-take")
    browser.wait(lambda: as_provider.NAME in browser.text("#cbi-mailrelay-smarthost table"), "it is in the form")
    assert smarthosts(browser)[0]["password"] == odd
    assert values(browser)["alias"] == ["root=owner@example.org,night@example.org"]
    assert "option enabled '0'" in relay.read(SETTINGS), "and waits to be applied"
    assert browser.call("uci", "revert", config="mailrelay")[0] == 0
    browser.open("settings")
    assert smarthosts(browser) == []
    give(browser, whole)
    browser.press("#mailrelay-take")
    browser.wait(lambda: smarthosts(browser), "it is there again")
    browser.press(APPLY)
    relay.wait(lambda: "it'\\''s" in relay.read(SETTINGS), "it is applied")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config mailrelay main\n\tlist network 'wan'\n", "faces the internet"),
        ("config mailrelay main\n\toption port 'x'\n", '"x" cannot be used'),
        ("config interface 'lan'\n\toption proto 'static'\n", "no line of settings"),
        ("config mailrelay 'main\n", "no settings of the mail relay"),
        ("<html>", "no line of settings"),
        ("", "no settings of the mail relay"),
        ("config mailrelay main\nconfig smarthost\n\toption host 'x.org'\n\toption username 'u'\n", "has no passwords"),
    ],
)
def test_an_import_that_is_refused_changes_nothing(browser: Browser, relay: Router, text: str, said: str) -> None:
    before = relay.read(SETTINGS)
    browser.open("settings")
    give(browser, text)
    assert said in browser.text("#mailrelay-import-result")
    assert not browser.driver.find_elements("css selector", "#mailrelay-take")
    assert browser.unsaved() == [] and relay.read(SETTINGS) == before
