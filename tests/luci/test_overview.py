"""The overview as a picture: what it is made of says what is so, each link leads to what mends it, and nothing is green
while nothing goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from forge.servers.postfix import Provider
from tests.luci.browser import Browser
from tests.luci.conftest import settings, stop_provider
from tests.support.router import SETTINGS, Router

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("quiet_console", "nothing_unsaved")]
PROVIDER = {
    "name": "smarthost[0]", "smarthost": "mail.provider.example:587", "state": "good", "since": 1.0, "text": "",
    "stage": "", "advice": "", "next_try": None,
}  # fmt: skip
REFUSED = "535 5.7.8 bad login"


def facts(**more: object) -> dict[str, Any]:
    """Of a relay by which all goes well, at a time of its own."""
    told = {"updated": 1e9, "uptime": 1e9, "started": 1.0, "provider": True, "providers": [PROVIDER], "deferred": 0}
    told |= {"smarthosts": ["mail.provider.example:587"], "listening": ["192.168.1.1:25"], "allow": ["192.168.1.0/24"]}
    told |= {"last_success": {"time": 1e9 - 60, "id": "1m81x5813g42b6mg", "smarthost": "mail.provider.example"}}
    return {**told, "last_failure": None, "troubles": [], "refusals": [], "warnings": [], **more}


def states(browser: Browser) -> dict[str, str]:
    """Of the picture's links: from the machines in, out to the provider, home to the owner."""
    script = """return Object.fromEntries(Array.from(document.querySelectorAll('#mailrelay-picture [data-link]'))
        .map(link => [link.dataset.link, link.dataset.state]))"""
    return dict(browser.driver.execute_script(script))


def test_all_is_green_while_mail_goes_and_links_have_words(browser: Browser, told: Callable[..., None]) -> None:
    told(**facts())
    browser.open("overview")
    assert states(browser) == {"in": "good", "out": "good", "home": "good"}
    picture = browser.text("#mailrelay-picture")
    assert "192.168.1.0/24" in picture and "mail.provider.example:587" in picture and "reachable" in picture
    for link in browser.driver.find_elements("css selector", "#mailrelay-picture a"):
        assert link.text.strip() and link.get_attribute("aria-label") and link.get_attribute("title"), (
            "not by colour alone"
        )


failure = {"time": 1e9 - 5, "id": "1m81x5813g42b6mg", "name": "smarthost[0]", "smarthost": "mail.provider.example"}
failure |= {"stage": "dot", "answer": "451 4.3.0 later", "advice": "The provider is busy.", "deferred": True}
failing = {**failure, "name": "", "stage": "login", "answer": REFUSED}
trouble = {
    "cause": "login-refused",
    "smarthost": "",
    "sender": "",
    "since": 1.0,
    "answer": REFUSED,
    "advice": "Check both.",
}
waiting = {**PROVIDER, "state": "waiting", "text": "451 4.3.0 later", "stage": "dot"}
bad = {**PROVIDER, "state": "bad", "text": REFUSED, "stage": "login", "next_try": 1e9 + 600}
unknown = {**PROVIDER, "state": "unknown", "name": "spare"}


@pytest.mark.parametrize(
    ("more", "expected", "words", "way"),
    [
        ({"queue": 144, "deferred": 144, "providers": [waiting], "last_failure": failure}, ("good", "warn", "warn"),
         "lets mail wait", "smarthost%5B0%5D/host"),
        ({"queue": 144, "deferred": 144, "last_failure": failure}, ("good", "warn", "warn"),
         "mail waits", "smarthost%5B0%5D/host"),
        ({"queue": 3, "deferred": 3, "providers": [bad, unknown]}, ("good", "bad", "warn"),
         "refuses the login", "smarthost%5B0%5D/password"),
        ({"queue": 1, "deferred": 1, "providers": [], "last_success": None, "last_failure": failing,
          "troubles": [trouble]}, ("good", "bad", "warn"), "refuses the login", "settings"),  # as Postfix tells it
        ({"providers": [bad, {**PROVIDER, "name": "spare"}]}, ("good", "warn", "good"), "by a spare", "password"),
        ({"providers": [unknown], "last_success": None}, ("good", "unknown", "unknown"), "not tried yet", "spare/host"),
        ({"provider": False, "providers": [], "last_success": None}, ("bad", "bad", "unknown"),
         "no provider", "smarthost/host"),
        ({"spool_missing": True, "spool": "/mnt/x"}, ("bad", "good", "good"), "all refused", "main/spool"),
        ({"failed": 2}, ("good", "good", "bad"), "2 failed", ""),
        ({"listening": ["127.0.0.1:25"], "not_listening": {"192.168.1.1:25": "Address in use"},
          "port_taken": [{"endpoint": "192.168.1.1:25", "by": "postfix (pid 123)", "advice": ""}]},
         ("bad", "good", "good"), "192.168.1.1:25 is taken by postfix (pid 123)", "main/port"),
    ],
)  # fmt: skip
def test_nothing_is_green_that_does_not_go(
    browser: Browser, told: Callable[..., None], more: dict[str, Any], expected: tuple[str, ...], words: str, way: str
) -> None:
    told(**facts(**more))
    browser.open("overview")
    seen = states(browser)
    assert (seen["in"], seen["out"], seen["home"]) == expected
    assert words in browser.text("#mailrelay-status")
    links = browser.driver.find_elements("css selector", "#mailrelay-status a")
    assert any(way in (link.get_attribute("href") or "") for link in links), way
    browser.open("status")
    shown = [part.get_attribute("data-state") for part in browser.driver.find_elements("css selector", "[data-state]")]
    assert (shown[0], *shown[2:]) == expected, "the status page says the same"


def test_deferred_mail_is_yellow_and_counted_while_it_waits(
    browser: Browser, relay: Router, provider: Provider
) -> None:
    """By a real relay; once the cause is mended nothing of it is left."""
    stop_provider(relay, provider, "broken")
    relay.send()
    relay.wait(lambda: relay.status().get("deferred") or relay.status().get("troubles"), "it was tried")
    browser.open("overview")
    browser.wait(lambda: states(browser)["out"] in ("warn", "bad"), "not green")
    assert states(browser)["home"] != "good"
    link = browser.find('[data-cause="login-refused"] a').get_attribute("href") or ""
    assert link.endswith("/settings#mailrelay/smarthost%5B0%5D/password")
    stop_provider(relay, provider, provider.password)
    provider.wait_for(1)
    browser.wait(lambda: states(browser) == {"in": "good", "out": "good", "home": "good"}, "mended")
    assert not browser.text("#mailrelay-failure")


def test_refused_settings_are_a_red_box_with_the_findings(browser: Browser, relay: Router, provider: Provider) -> None:
    relay.put(
        SETTINGS,
        relay.read(SETTINGS).replace("config mailrelay 'main'", "config mailrelay 'main'\n\toption port abc"),
        0o600,
    )
    relay.ok("service mailrelay reload")
    try:
        browser.open("overview")
        box = browser.text("#mailrelay-refused.error")
        assert "The settings have faults (for" in box and '"abc" cannot be used' in box
        assert "goes on with the ones before" in box and "running" in browser.text("#mailrelay-picture")
        browser.open("status")
        assert "The settings have faults; the relay goes on with the ones before." in browser.text()
        browser.open("overview")
        browser.click("#mailrelay-refused a")
        assert focused(browser) == "widget.cbid.mailrelay.main.port"
    finally:
        relay.configure(rest=settings(provider))
        relay.ok("service mailrelay reload")
    browser.open("overview")
    assert not browser.text("#mailrelay-refused")


def test_a_relay_that_is_switched_off_says_the_way(browser: Browser, relay: Router, provider: Provider) -> None:
    relay.configure(enabled="0", rest=settings(provider))
    relay.ok("service mailrelay reload")
    try:
        browser.open("overview")
        assert "The relay is switched off." in browser.text("#mailrelay-status") and states(browser)["in"] == "bad"
        browser.click(".alert-message a")
        assert focused(browser) == "widget.cbid.mailrelay.main.enabled"
    finally:
        relay.configure(rest=settings(provider))
        relay.reload()


def focused(browser: Browser) -> str:
    """The field under the cursor, once there is one."""
    script = "const at = document.activeElement; return at.id || at.dataset.widgetId || ''"
    found: str = browser.wait(lambda: browser.driver.execute_script(script), "a field is under the cursor")
    return found


@pytest.mark.parametrize(("option", "tab"), [("password", "general"), ("verify", "advanced")])
def test_a_link_opens_the_field_that_it_names(browser: Browser, relay: Router, option: str, tab: str) -> None:
    browser.open("settings", place=f"mailrelay/smarthost%5B0%5D/{option}")
    assert focused(browser).endswith(f".{option}")
    assert browser.find(f'.modal [data-tab="{tab}"]').is_displayed()
    browser.leave()
    browser.open("settings", place="mailrelay/main/notify_after")
    assert focused(browser).endswith(".main.notify_after") and browser.field("main", "notify_after").is_displayed()


def test_days_are_bars_with_their_numbers(browser: Browser, told: Callable[..., None]) -> None:
    days = [
        {"day": f"2026-11-2{day}", "accepted": day, "delivered": day, "failed": day % 2, "deferred": 0}
        for day in range(7)
    ]
    today = {"since": 2.0, "accepted": 6, "delivered": 6, "failed": 0}
    told(**facts(days=days, today=today))
    browser.open("overview")
    assert "6 taken, 6 sent, 0 failed" in browser.text("#mailrelay-today")
    script = """return Array.from(document.querySelectorAll('[data-day]')).map(day =>
        [day.dataset.day, day.title, day.querySelector('.mailrelay-bars .good').offsetHeight])"""
    bars = browser.driver.execute_script(script)
    assert [bar[0] for bar in bars] == [day["day"] for day in days]
    assert "5 taken, 5 sent, 1 failed" in bars[5][1]
    heights = [bar[2] for bar in bars]
    assert heights == sorted(heights) and heights[0] == 0 and heights[6] > 20


def test_a_machines_mail_is_played_and_followed_to_its_delivery(
    browser: Browser, relay: Router, provider: Provider
) -> None:
    browser.open("overview")
    browser.find("#mailrelay-test-address").send_keys("owner@example.org")
    browser.press("#mailrelay-play")
    assert "went all the way to the provider" in browser.text("#mailrelay-test-result .success")
    steps = [row.get_attribute("data-step") for row in browser.driver.find_elements("css selector", "[data-step]")]
    assert steps[:2] == ["connect", "banner"] and "queued" in steps and steps[-1] == "delivered"
    (mail,) = provider.wait_for(1)
    assert mail.recipients == ("owner@example.org",)


def test_one_test_at_a_time(browser: Browser, relay: Router, provider: Provider) -> None:
    """What another button would begin is refused by the router, and would stand beside the result of the first."""
    browser.open("overview")
    browser.find("#mailrelay-test-address").send_keys("owner@example.org")
    browser.driver.execute_script(
        "for (const id of ['play', 'test']) document.getElementById('mailrelay-' + id).click()"
    )
    browser.wait(lambda: browser.text("#mailrelay-test-result .alert-message"), "the result")
    assert "went all the way to the provider" in browser.text("#mailrelay-test-result .alert-message h4")
    assert len(browser.driver.find_elements("css selector", "#mailrelay-test-result .alert-message")) == 1
    browser.wait(lambda: browser.find("#mailrelay-test").is_enabled(), "the next one can begin")


def test_a_machine_that_was_refused_once_was_not_refused_times(browser: Browser, told: Callable[..., None]) -> None:
    refusal = {"client": "192.168.1.7", "count": 1, "last": 1e9 - 60, "reply": "550 no", "advice": ""}
    told(**facts(refusals=[refusal, {**refusal, "client": "192.168.1.8", "count": 2}]))
    browser.open("overview")
    said = browser.text("#mailrelay-status")
    assert "192.168.1.7, 1 time, 1 min ago: 550 no" in said
    assert "192.168.1.8, 2 times, last 1 min ago: 550 no" in said


@pytest.mark.parametrize(
    "place",
    ["%", "mailrelay/main/a%22b", "mailrelay/main/none", "mailrelay/none/host"],
)
def test_a_link_that_names_no_field_opens_the_page(browser: Browser, relay: Router, place: str) -> None:
    """And the console, which quiet_console reads, is told of no error."""
    browser.leave()
    browser.open("settings", place=place)
    assert browser.field("main", "enabled").is_displayed() and not browser.text(".modal")


@pytest.mark.parametrize("width", [390, 760, 1280])
def test_the_overview_fits_every_screen(browser: Browser, told: Callable[..., None], width: int) -> None:
    long = {**bad, "smarthost": "a-name-without-end-" * 5 + ".mail.protection.outlook.com:587"}
    told(**facts(providers=[long, unknown], smarthosts=[long["smarthost"]], queue=3, deferred=3, last_failure=failure))
    size = browser.driver.get_window_size()
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open("overview")
        script = "return [document.documentElement.scrollWidth, innerWidth]"
        whole, seen = browser.driver.execute_script(script)
        assert whole <= seen == width
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.driver.set_window_size(size["width"], size["height"])


def test_the_time_is_the_routers(browser: Browser, told: Callable[..., None]) -> None:
    """Whatever the browser's clock is: by when the status was written, and what has passed since."""
    began = time.clock_gettime(time.CLOCK_BOOTTIME) - 7200
    told(**facts(updated=1e9, uptime=began, last_success={"time": 1e9, "id": "x", "smarthost": "y"}))
    browser.open("overview")
    assert "last mail 2 h ago" in browser.text("#mailrelay-picture")
