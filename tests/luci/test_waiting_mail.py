"""The pages of the queue and of the log, with few mails and with thousands."""

from __future__ import annotations

import re
from email import message_from_bytes

import pytest

from forge.servers.postfix import Provider
from tests.luci.browser import Browser
from tests.luci.conftest import stop_provider
from tests.support.router import Router

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("quiet_console", "nothing_unsaved")]


def test_the_queue_is_looked_through_held_tried_and_emptied(
    browser: Browser, relay: Router, provider: Provider
) -> None:
    stop_provider(relay, provider, "broken")
    for _ in range(3):
        relay.send()
    relay.wait(lambda: relay.status().get("last_failure"), "it was tried")
    browser.open("queue")
    browser.wait(lambda: len(page_ids(browser)) == 3, "all three")
    ids = page_ids(browser)
    row = browser.text(f'tr[data-id="{ids[0]}"]')
    assert "plc@plant.example" in row and "owner@phone.example" in row

    browser.press(f'[data-show="{ids[0]}"]')
    headers = browser.text("#mailrelay-headers")
    assert "Subject: Pump 3 stopped" in headers and "plc@plant.example" in headers
    assert "Tank level" not in headers, "headers, and not what it says"
    browser.click(".modal .cbi-button")

    browser.click(f'input[data-id="{ids[0]}"]')
    browser.press('[data-action="hold"]')
    browser.wait(lambda: "held" in browser.text(f'tr[data-id="{ids[0]}"]'), "one is held")
    stop_provider(relay, provider, provider.password)
    browser.wait(lambda: page_ids(browser) == [ids[0]], "two have gone")
    subjects = [message_from_bytes(mail.raw)["Subject"] for mail in provider.wait_for(3)]
    assert subjects[2].startswith("Mended: "), "the owner hears of it, too"

    stop_provider(relay, provider, "broken")
    relay.send()
    browser.wait(lambda: browser.text("#mailrelay-queue").count("plc@") == 2, "a new one, without a reload of the page")
    browser.click("#mailrelay-all")
    browser.click('[data-action="remove"]')
    assert re.search(r"\b[23] mails", browser.text(".modal")), "a notice may wait beside them"
    browser.click(".modal .cbi-button")
    assert browser.text("#mailrelay-queue").count("plc@") == 2, "asked, and not done"
    browser.wait(lambda: browser.find('[data-action="remove"]').is_enabled(), "the button is back")
    browser.click('[data-action="remove"]')
    browser.click("#mailrelay-delete")
    browser.wait(lambda: "The queue is empty" in browser.text("#mailrelay-queue"), "both are gone")


def page_ids(browser: Browser) -> list[str]:
    script = "return Array.from(document.querySelectorAll('#mailrelay-queue tr[data-id]')).map(row => row.dataset.id)"
    found: list[str] = browser.driver.execute_script(script)
    return found


def test_the_log_is_that_of_one_mail(browser: Browser, relay: Router, provider: Provider) -> None:
    reply = relay.send()
    queue_id = re.findall(r"[0-9a-z]{16}", reply)[0]
    provider.wait_for(1)
    browser.open("log", id=queue_id)
    browser.wait(lambda: "delivered" in browser.text("#mailrelay-log"), "its delivery")
    lines = browser.text("#mailrelay-log").splitlines()
    assert len(lines) >= 2 and all(queue_id in line for line in lines)
    browser.open("log")
    browser.wait(lambda: "started" in browser.text("#mailrelay-log"), "the other lines, too")
