"""The app's pages in a real browser, over the stand-in of LuCI's client, the real rpcd script and a running relay."""

from __future__ import annotations

import json
from collections.abc import Callable
from email import message_from_bytes

import pytest

from forge.servers import as_provider
from forge.servers.postfix import Provider
from tests.luci.browser import APPLY, SAVE, Browser
from tests.luci.conftest import ENGINE, settings, stop_provider
from tests.support.router import SETTINGS, Router

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("quiet_console", "nothing_unsaved")]
RUN = "/var/run/mailrelay"


# ---- from nothing to the first mail ---------------------------------------------------------------------------------


def test_a_provider_is_set_up_tried_saved_and_takes_mail(browser: Browser, router: Router, provider: Provider) -> None:
    port = str(router.reach(provider.starttls_port))
    router.configure(enabled="0", rest="")
    router.ok("/etc/init.d/mailrelay", "reload")
    browser.open("overview")
    assert "relay is switched off" in browser.text("#mailrelay-status")

    browser.open("settings")
    browser.click("#cbi-mailrelay-smarthost .cbi-button-add")
    section = browser.dialog_section()
    browser.choose(section, "_provider", "Gmail")
    assert browser.field(section, "host").get_attribute("value") == "smtp.gmail.com"
    assert browser.field(section, "port").get_attribute("value") == "587"
    assert "App Password" in browser.text(".modal")
    browser.fill(section, host=as_provider.NAME, port=port, username=provider.username, password="wrong")
    browser.tab("advanced", ".modal")
    browser.fill(section, ca_file=as_provider.CA_FILE)
    browser.press(".modal .cbi-button-positive")
    browser.tick("main", "enabled")

    browser.find("#mailrelay-test-address").send_keys("owner@example.org")
    browser.press("#mailrelay-test")
    assert "The mail was not sent" in browser.text("#mailrelay-test-result")
    assert "refuses login name and password" in browser.text("#mailrelay-test-result .mailrelay-advice")
    assert "password 'wrong'" not in router.read(SETTINGS), "nothing was saved for the test"
    assert router.status() == {}, "and nothing was started"

    browser.click(".cbi-button-edit")
    section = browser.dialog_section()
    browser.fill(section, password=provider.password)
    browser.press(".modal .cbi-button-positive")
    browser.press("#mailrelay-test")
    assert "The provider has accepted the mail" in browser.text("#mailrelay-test-result")
    steps = [row.get_attribute("data-step") for row in browser.driver.find_elements("css selector", "[data-step]")]
    assert [step for step in steps if step in ("name", "connect", "certificate", "login", "dot")] == [
        "name", "connect", "certificate", "login", "dot"
    ]  # fmt: skip
    assert "issued by" in browser.text('[data-step="certificate"]')
    (mail,) = provider.wait_for(1)
    assert mail.recipients == ("owner@example.org",)

    browser.press(APPLY)
    before = router.wait_relay()["today"]
    saved = router.read(SETTINGS)
    assert f"option password '{provider.password}'" in saved
    assert "newe" not in saved and "_provider" not in saved
    router.send()
    assert message_from_bytes(provider.wait_for(2)[1].raw)["Subject"] == "Pump 3 stopped"
    browser.open("overview")
    counted = f"{before['accepted'] + 1} taken, {before['delivered'] + 1} sent, {before['failed']} failed"
    browser.wait(lambda: counted in browser.text("#mailrelay-status"), "the mail is counted")
    overview = browser.text("#mailrelay-status")
    assert "running" in overview and "reachable" in overview and f"{as_provider.NAME}:{port}" in overview


def test_a_broken_password_is_explained_on_the_overview(browser: Browser, relay: Router, provider: Provider) -> None:
    stop_provider(relay, provider, "broken")
    browser.open("overview")
    relay.send()
    trouble = '[data-cause="login-refused"]'
    browser.wait(lambda: "waits for a setting to be mended (for" in browser.text(trouble), "without a reload")
    assert "refuses login name and password" in browser.text(f"{trouble} strong")
    assert not browser.driver.find_elements("css selector", "#mailrelay-failure"), "the last failure is the same"
    assert "1 waiting" in browser.text("#mailrelay-status")
    browser.open("status")
    assert "1 waiting" in browser.text() and "refuses login name and password" in browser.text()
    relay.empty_queue()


def test_what_the_overview_asks_again_and_again_starts_nothing_on_the_router(browser: Browser, relay: Router) -> None:
    """rpcd reads the files itself; its object of ours would start a shell."""
    version = relay.read("/usr/lib/mailrelay/version").strip()
    browser.open("overview")
    browser.listen()
    browser.wait(lambda: browser.asked().count("service.list") >= 2, "it has asked twice more")
    assert set(browser.asked()) == {"file.read", "service.list"}
    assert "running" in browser.text("#mailrelay-status") and version in browser.text("#mailrelay-status")


def test_a_relay_that_cannot_run_says_why(browser: Browser, relay: Router, provider: Provider) -> None:
    relay.configure("option port 'abc'", settings(provider))
    relay.ok("rm", "/var/run/mailrelay/config", "/etc/mailrelay/last-good")
    relay.ok("/etc/init.d/mailrelay", "restart")
    relay.wait(lambda: relay.status() == {}, "it has ended")
    browser.open("overview")
    browser.wait(lambda: "have faults" in browser.text("#mailrelay-status"), "the reason")
    assert '"abc" cannot be used. Expected: a port' in browser.text("#mailrelay-status")


# ---- settings -------------------------------------------------------------------------------------------------------


def test_a_network_that_faces_the_internet_is_refused_with_the_reason(browser: Browser, relay: Router) -> None:
    before = relay.read(SETTINGS).replace("list network 'lan'", "list network 'lan'\n\tlist network 'wan'")
    relay.put(SETTINGS, before, 0o600)
    browser.open("settings")
    browser.press(APPLY)
    said = browser.text(".modal .mailrelay-faults")
    assert "This is not saved" in said
    assert "Networks that may send" in said and "faces the internet: anyone there could send" in said
    assert relay.read(SETTINGS) == before


def test_what_is_cleared_in_the_form_is_gone_before_it_is_saved(
    browser: Browser, relay: Router, provider: Provider
) -> None:
    """For the check, which would call a network to be removed that is not there any more, and for the test mail."""
    text = relay.read(SETTINGS)
    relay.put(SETTINGS, text.replace("list network 'lan'", "list network 'wan'"), 0o600)
    browser.open("settings")
    browser.choose("main", "network")
    browser.press(SAVE)
    assert not browser.text(".modal .mailrelay-faults")
    assert ["remove", "main", "network"] in browser.unsaved()

    browser.open("settings")
    browser.click(".cbi-button-edit")
    section = browser.dialog_section()
    browser.field(section, "username").clear()
    browser.field(section, "password").clear()
    browser.listen()
    browser.press(".modal .cbi-button-positive")
    (checked,) = browser.said("mailrelay.check_draft")
    assert as_provider.NAME in checked["settings"] and provider.password not in checked["settings"]
    assert "username" not in checked["settings"]

    browser.open("settings")
    browser.fill("main", sender="plant@example.org")
    browser.press(SAVE)
    browser.field("main", "sender").clear()
    browser.find("#mailrelay-test-address").send_keys("owner@example.org")
    browser.listen()
    browser.press("#mailrelay-test")
    (tried,) = browser.said("mailrelay.test_draft")
    assert tried["address"] == "owner@example.org" and "plant@example.org" not in tried["settings"]


def test_a_dialog_refuses_what_the_check_refuses(browser: Browser, relay: Router) -> None:
    browser.open("settings")
    browser.click("#cbi-mailrelay-client .cbi-button-add")
    section = browser.dialog_section()
    browser.fill(section, address="192.168.1.0/24")
    browser.tick(section, "redirect")
    browser.press(".modal .cbi-button-positive")
    assert "Is for one machine" in browser.text(".modal .mailrelay-faults")
    assert browser.unsaved() == []
    browser.fill(section, address="192.168.1.40")
    browser.press(".modal .cbi-button-positive")
    browser.wait(lambda: "192.168.1.40" in browser.text("#cbi-mailrelay-client table"), "the machine is in the table")


def test_a_value_that_is_not_of_its_kind_is_told_at_once(browser: Browser, relay: Router) -> None:
    browser.open("settings")
    browser.fill("main", sender="nobody")
    browser.listen()
    browser.press(SAVE)
    assert "mail address" in browser.text(".modal")
    assert "mailrelay.check_draft" not in browser.asked()


def test_settings_written_by_hand_are_shown_and_kept(browser: Browser, relay: Router) -> None:
    text = (
        "config mailrelay main\n\toption enabled yes\n\tlist network lan\n\toption port '25 2525'\n"
        "\tlist alias 'root = owner@example.org, night@example.org'\n\toption notify_after 2h\n"
        "\nconfig smarthost 'main_one'\n\toption host mail.provider.example\n\toption verify off\n"
        "\toption password 'it'\\''s $HOME `id` \"x\"'\n\toption username 'a b'\n"
    )
    relay.put(SETTINGS, text, 0o600)
    browser.open("settings")
    assert browser.field("main", "enabled").is_selected()
    browser.press(SAVE)
    assert browser.unsaved()
    found = browser.call("uci", "get", config="mailrelay")[1]["values"]
    main, smarthost = found["main"], found["main_one"]
    assert main["enabled"] == "1" and main["notify_after"] == "2h" and main["port"] == ["25", "2525"]
    assert main["alias"] == ["root = owner@example.org, night@example.org"]
    assert smarthost["password"] == 'it\'s $HOME `id` "x"'
    assert "Worth knowing" in browser.text(".alert-message")
    assert "verify" in browser.text(".alert-message") or "Verify the server" in browser.text(".alert-message")


def test_passwords_are_hidden(browser: Browser, relay: Router, provider: Provider) -> None:
    browser.open("settings")
    browser.click(".cbi-button-edit")
    field = browser.field(browser.dialog_section(), "password")
    assert field.get_attribute("type") == "password"
    assert provider.password not in browser.text()


# ---- who may only look ----------------------------------------------------------------------------------------------


def test_who_may_only_look_sees_no_password_and_no_mail(browser: Browser, relay: Router, provider: Provider) -> None:
    stop_provider(relay, provider, "broken")
    relay.send()
    browser.open("queue", "viewer")
    browser.wait(lambda: "plc@plant.example" in browser.text("#mailrelay-queue"), "the queue")
    assert not browser.driver.find_elements("css selector", "[data-action], [data-show]")
    browser.open("settings", "viewer")
    assert "only a user who may change them may see them" in browser.text()
    browser.open("overview", "viewer")
    assert not browser.driver.find_elements("css selector", "#mailrelay-test")
    asked: list[tuple[str, str, dict[str, object]]] = [
        ("uci", "get", {"config": "mailrelay"}),
        ("mailrelay", "show", {"id": relay.queue()[0]}),
        ("mailrelay", "delete", {"ids": relay.queue()}),
        ("mailrelay", "test", {"address": "a@example.org"}),
        ("mailrelay", "check_draft", {"settings": "x"}),
    ]
    for name, method, message in asked:
        assert browser.call(name, method, **message) in ([-32002], [6]), (name, method)
    relay.empty_queue()


# ---- other engines, other languages ---------------------------------------------------------------------------------


def test_what_an_engine_cannot_do_is_not_offered(
    browser: Browser, relay: Router, provider: Provider, told: Callable[..., None]
) -> None:
    """As with Postfix, whose status says little, and which sends no test mail."""
    text = relay.read(ENGINE)
    stop_provider(relay, provider, "broken")
    relay.send()
    relay.put(ENGINE, f"{text}\nunset -f engine_test engine_hold engine_show\n")
    told({"cannot": ["show", "hold", "test"]}, queue=1)
    try:
        browser.open("overview")
        assert "cannot send a test mail" in browser.text()
        assert "1 waiting" in browser.text("#mailrelay-status") and "no provider" not in browser.text()
        assert not browser.driver.find_elements("css selector", "#mailrelay-test")
        browser.open("queue")
        buttons = browser.driver.find_elements("css selector", "[data-action]")
        assert [button.get_attribute("data-action") for button in buttons] == ["flush", "release", "remove"]
        assert not browser.driver.find_elements("css selector", "[data-show]")
    finally:
        relay.put(ENGINE, text)
        relay.empty_queue()


def test_what_strangers_say_is_shown_as_text(browser: Browser, relay: Router, told: Callable[..., None]) -> None:
    """A provider's answer, a machine's sender: neither becomes a part of the page."""
    text = relay.read(ENGINE)
    evil = "<b id=evil>x</b><img src=/evil onerror=document.body.id=1>"
    failure = {"time": 1, "id": "1m81x5813g42b6mg", "smarthost": evil, "stage": "dot", "answer": evil, "advice": ""}
    status = {"provider": True, "smarthosts": [evil], "listening": [evil], "allow": [evil]}
    status |= {"warnings": [{"text": evil}], "not_listening": {evil: evil}, "queue": 1, "hold": 0, "failed": 0}
    status |= {
        "troubles": [{"cause": evil, "smarthost": evil, "sender": evil, "since": 1, "answer": "x", "advice": evil}]
    }
    status |= {"refusals": [{"client": evil, "reply": evil, "advice": evil, "count": 1, "since": 1, "last": 1}]}
    message = {"id": "1m81x5813g42b6mg", "state": "queue", "sending": False, "damage": None, "age": 1, "size": 1}
    message |= {"sender": evil, "recipients": [{"address": evil, "state": evil}], "last_answer": evil, "attempts": 1}
    told(**status, last_failure=failure, last_success=None)
    relay.put("/tmp/evil-queue", json.dumps({"messages": [message], "total": 1}))
    relay.put("/tmp/evil-mail", f"id  1m81x5813g42b6mg\n\nSubject: {evil}\n\nbody\n")
    pages = "engine_queue_json() { cat /tmp/evil-queue; }\nengine_show() { cat /tmp/evil-mail; }\n"
    relay.put(ENGINE, f"{text}\n{pages}")
    try:
        for page in ("overview", "status", "queue"):
            browser.open(page)
            assert evil in browser.text(), page
            assert not browser.driver.find_elements("css selector", "#evil, img"), page
        browser.press("[data-show]")
        assert evil in browser.text("#mailrelay-headers")
        assert not browser.driver.find_elements("css selector", "#evil, img")
    finally:
        relay.put(ENGINE, text)


def test_the_pages_speak_german(browser: Browser, relay: Router, lucis_own: bool) -> None:
    if lucis_own:
        pytest.skip("LuCI's language is a setting of the router's")
    browser.open("overview", language="de")
    assert "läuft" in browser.text("#mailrelay-status") and "Testmail senden" in browser.text()
    browser.open("settings", language="de")
    assert "Netzwerke, die senden dürfen" in browser.text() and "unter OpenWrt etwa lan" in browser.text()
