"""The pages of the queue and of the log, with few mails and with thousands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes

import pytest

from forge.servers.postfix import Provider
from tests.luci.browser import Browser
from tests.luci.conftest import ENGINE, stop_provider
from tests.support.router import Router, Smtp

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("quiet_console", "nothing_unsaved")]
RECIPIENT = "night-shift-maintenance-team@facility-management.example.com"


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


@pytest.fixture
def many(relay: Router, provider: Provider) -> Iterator[Callable[[int], list[str]]]:
    """So many waiting mails; their subjects are numbered, their addresses long."""

    def send(count: int) -> list[str]:
        stop_provider(relay, provider, "broken")
        with Smtp(relay) as client:
            for number in range(count):
                sender = f"camera-gate-west-{number % 3}.building-7@a-very-long-subdomain.plant-hall.example"
                text = f"From: {sender}\r\nSubject: =?utf-8?q?St=C3=B6rung?= {number:04}\r\n\r\nTank\r\n"
                client.sendmail(sender, [RECIPIENT], text)
        relay.wait(lambda: relay.status().get("queue") == count, "all of them are counted")
        return relay.queue()

    yield send
    relay.empty_queue()


def page_ids(browser: Browser) -> list[str]:
    script = "return Array.from(document.querySelectorAll('#mailrelay-queue tr[data-id]')).map(row => row.dataset.id)"
    found: list[str] = browser.driver.execute_script(script)
    return found


def subjects(browser: Browser) -> list[str]:
    return browser.text("#mailrelay-queue .mailrelay-subject").split("\n")


def test_hundreds_of_mails_fit_every_screen(browser: Browser, many: Callable[[int], list[str]]) -> None:
    """No word is cut into letters, nothing is beside the screen, and the page is no roll of paper."""
    many(192)
    try:
        for width, longest in ((1280, 4000), (800, 8000), (390, 10000)):
            browser.screen(width)
            browser.open("queue")
            assert len(page_ids(browser)) == 50
            size = "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            wide, high = browser.driver.execute_script(size)
            assert wide <= width and high < longest, (width, wide, high)
            shown = "return Array.from(document.querySelectorAll('tr[data-id] td')).map(cell => cell.offsetHeight)"
            assert max(browser.driver.execute_script(shown)) < 110, width
            assert subjects(browser)[0] == "Störung 0000"
    finally:
        browser.screen()


def test_the_queue_is_leafed_through_sorted_and_searched(
    browser: Browser, relay: Router, many: Callable[[int], list[str]]
) -> None:
    ids = many(60)
    relay.ok("mailrelay", "hold", ids[7])
    browser.open("queue")
    assert len(page_ids(browser)) == 50 and "1 to 50 of 60" in browser.text(".mailrelay-pager")
    browser.click('[data-turn="1"]')
    assert len(page_ids(browser)) == 10 and page_ids(browser)[-1] == ids[7], "what is held stands behind"
    browser.click('th[data-column="subject"]')
    browser.click('th[data-column="subject"]')
    assert subjects(browser)[-1] == "Störung 0000"
    browser.find('th[data-column="subject"]').send_keys(" ")
    assert browser.find('th[data-column="subject"]').get_attribute("data-sort-direction") == "asc", "by a key, too"
    browser.find('th[data-column="subject"]').send_keys("\ue007")
    browser.click('[data-turn="-1"]')
    assert subjects(browser)[0] == "Störung 0059"

    browser.find("#mailrelay-search").send_keys("störung 001")
    assert subjects(browser) == [f"Störung 00{number}" for number in range(19, 9, -1)]
    assert "The search finds 10 mails." in browser.text("#mailrelay-said")
    browser.click("#mailrelay-all")
    assert "10 mails are chosen." in browser.text("#mailrelay-said")
    browser.find("#mailrelay-search").clear()
    browser.find("#mailrelay-search").send_keys("0012")
    browser.wait(lambda: subjects(browser) == ["Störung 0012"], "the one")
    assert "The search finds 1 mail." in browser.text("#mailrelay-said")
    browser.find("#mailrelay-search").send_keys("\b\b\b\b ")

    browser.click('[data-filter="hold"] a')
    browser.wait(lambda: page_ids(browser) == [ids[7]], "the one that is held")
    browser.click(f'input[data-id="{ids[7]}"]')
    assert "1 mail is chosen." in browser.text("#mailrelay-said")
    assert not browser.find('[data-action="flush"]').is_enabled(), "what is held is not tried"
    browser.press('[data-action="release"]')
    browser.wait(lambda: "There is none." in browser.text("#mailrelay-said"), "it waits again")
    browser.wait(lambda: "(60)" in browser.text('[data-filter="queue"]'), "it is counted where it is")
    assert "(0)" in browser.text('[data-filter="hold"]')


# An engine whose queue is a file of ids, so that thousands of mails are there at once.
THOUSANDS = r"""
engine_queue_json() {
	case "$2" in hold | failed) : >/tmp/listed ;; *) head -n "$1" /tmp/many >/tmp/listed ;; esac
	printf '{"total": %d, "messages": [' "$(wc -l </tmp/many)"
	sed -e 's/.*/{"id": "&", "state": "queue", "sending": false}/' -e '$!s/$/,/' /tmp/listed
	echo ']}'
}
engine_delete() {
	echo $# >>/tmp/calls
	printf '%s\n' "$@" >/tmp/gone
	grep -vxFf /tmp/gone /tmp/many >/tmp/left
	mv /tmp/left /tmp/many
}
"""


def test_thousands_are_deleted_at_once_and_not_only_those_that_are_listed(
    browser: Browser, relay: Router, told: Callable[..., None]
) -> None:
    text = relay.read(ENGINE)
    relay.put("/tmp/many", "".join(f"1m81x5813g42{number:04}\n" for number in range(1034)))
    relay.put(ENGINE, text + THOUSANDS)
    told(queue=1034)
    try:
        browser.open("queue")
        assert "The first 500 of 1,034 are listed." in browser.text("#mailrelay-said")
        browser.click("#mailrelay-all")
        assert "500 mails are chosen." in browser.text("#mailrelay-said")
        browser.click("#mailrelay-everything")
        assert "All 1,034 are chosen." in browser.text("#mailrelay-said")
        browser.click('[data-action="remove"]')
        assert "This deletes 1,034 mails for good." in browser.text(".modal")
        browser.click("#mailrelay-delete")
        browser.wait(lambda: re.search("[0-9,]+ of 1,034", browser.text("#mailrelay-progress")), "how far it is")
        browser.wait(lambda: "The queue is empty." in browser.text("#mailrelay-said"), "all are gone")
        calls = [int(count) for count in relay.read("/tmp/calls").split()]
        assert sum(calls) == 1034 and max(calls) == 100, "none takes longer than a call may"
    finally:
        relay.put(ENGINE, text)
        relay.ok("rm -f /tmp/many /tmp/listed /tmp/calls /tmp/gone")


def test_a_look_at_the_queue_disturbs_nobody(browser: Browser, relay: Router, many: Callable[[int], list[str]]) -> None:
    """What is chosen, searched and at work stays as it is while the table learns what is new."""
    ids = many(55)
    text = relay.read(ENGINE)
    slow = "engine_hold() { while [ ! -e /tmp/go ]; do sleep 0.1; done; }\n"
    relay.put(ENGINE, text + slow)
    try:
        browser.open("queue")
        browser.find("#mailrelay-search").send_keys("Störung")
        browser.click(f'input[data-id="{ids[3]}"]')
        browser.click('[data-turn="1"]')
        row = browser.find(f'tr[data-id="{ids[54]}"]')
        browser.click('[data-action="hold"]')
        relay.send()
        relay.ok("mailrelay", "delete", ids[50])
        browser.wait(lambda: ids[50] not in page_ids(browser), "the table has learnt of it")
        assert len(page_ids(browser)) == 4 and "51 to 54 of 54" in browser.text(".mailrelay-pager")
        assert row.is_displayed(), "the row is the same"
        assert "spinning" in (browser.find('[data-action="hold"]').get_attribute("class") or "")
        assert not browser.find('[data-action="remove"]').is_enabled(), "one thing at a time"
        assert browser.find("#mailrelay-search").get_attribute("value") == "Störung"
        assert "1 mail is chosen." in browser.text("#mailrelay-said")
        relay.put("/tmp/go", "")
        browser.wait(lambda: browser.text("#mailrelay-said").find("chosen") < 0, "it is done")
    finally:
        relay.put(ENGINE, text)
        relay.ok("rm", "-f", "/tmp/go")


def is_quiet(browser: Browser) -> bool:
    """Whether the page has looked at the status alone, three times."""
    browser.driver.execute_script("window.asked = []")
    browser.wait(lambda: browser.asked().count("file.read") >= 9, "three times it has asked")
    return set(browser.asked()) == {"file.read", "service.list"}


def test_the_queue_is_read_when_it_has_changed_and_else_the_status_alone(
    browser: Browser, relay: Router, many: Callable[[int], list[str]]
) -> None:
    ids = many(2)
    browser.open("queue")
    browser.wait(lambda: len(page_ids(browser)) == 2, "both")
    browser.listen()
    browser.wait(lambda: is_quiet(browser), "nothing happens")
    relay.ok("mailrelay", "delete", ids[0])
    browser.wait(lambda: page_ids(browser) == [ids[1]], "it is gone")
    assert {name for name in browser.asked() if name.startswith("mailrelay.")} == {"mailrelay.queue"}


def test_one_mail_is_not_one_mails_in_german_either(
    browser: Browser, many: Callable[[int], list[str]], lucis_own: bool
) -> None:
    if lucis_own:
        pytest.skip("LuCI's language is a setting of the router's")
    ids = many(2)
    browser.open("queue", language="de")
    browser.wait(lambda: len(page_ids(browser)) == 2, "both")
    browser.click(f'input[data-id="{ids[0]}"]')
    assert "1 Mail ist ausgewählt." in browser.text("#mailrelay-said")
    browser.click("#mailrelay-all")
    assert "2 Mails sind ausgewählt." in browser.text("#mailrelay-said")


def test_headers_of_postfix_are_those_of_the_mail(browser: Browser, relay: Router, told: Callable[..., None]) -> None:
    text = relay.read(ENGINE)
    shown = "*** ENVELOPE RECORDS deferred/A/A1B2C3 ***\nmessage_size: 5\n*** MESSAGE CONTENTS deferred/A/A1B2C3 ***\n"
    shown += "Received: from plc\nSubject: Pump 3\n\nTank level\n*** HEADER EXTRACTED deferred/A/A1B2C3 ***\n"
    message = {"id": "1m81x5813g42b6mg", "state": "queue", "sending": False, "age": 1, "size": 1, "sender": "a@b"}
    relay.put("/tmp/mails", json.dumps({"messages": [{**message, "recipients": []}], "total": 1}))
    relay.put("/tmp/mail", shown)
    relay.put(ENGINE, text + "engine_queue_json() { cat /tmp/mails; }\nengine_show() { cat /tmp/mail; }\n")
    told(queue=1)
    try:
        browser.open("queue")
        assert subjects(browser) == ["–"], "Postfix's queue has none"
        browser.press("[data-show]")
        assert browser.text("#mailrelay-headers").split("\n") == ["Received: from plc", "Subject: Pump 3"]
    finally:
        relay.put(ENGINE, text)
        relay.ok("rm", "-f", "/tmp/mails", "/tmp/mail")


# ---- the log --------------------------------------------------------------------------------------------------------


def test_the_log_is_that_of_one_mail(browser: Browser, relay: Router, provider: Provider) -> None:
    reply = relay.send()
    queue_id = re.findall(r"[0-9a-z]{16}", reply)[0]
    provider.wait_for(1)
    browser.open("log", id=queue_id)
    browser.wait(lambda: "delivered" in browser.text("#mailrelay-log"), "its delivery")
    lines = browser.text("#mailrelay-log").splitlines()
    assert len(lines) >= 2 and all(queue_id in line for line in lines)
    relay.ok("logger", "-t", "mailrelay", "a line of no mail")
    browser.open("log")
    browser.wait(lambda: "a line of no mail" in browser.text("#mailrelay-log"), "the other lines, too")


def test_the_log_has_the_relays_own_lines_the_newest_first(browser: Browser, relay: Router) -> None:
    relay.ok("logger", "-t", "uhttpd", "luci: accepted login on /admin/services/mailrelay/log for root")
    relay.ok("logger", "-t", "mailrelay-else", "not ours")
    relay.ok("logger", "-t", "mailrelay", "-p", "mail.err", "the older line")
    relay.ok("logger", "-t", "mailrelay/smtp", "-p", "mail.warning", "Postfix's line")
    browser.open("log")
    browser.wait(lambda: "Postfix's line" in browser.text("#mailrelay-log"), "the last line")
    text = browser.text("#mailrelay-log")
    assert text.index("Postfix's line") < text.index("the older line")
    assert "accepted login" not in text and "not ours" not in text
    assert "warn" in browser.text("#mailrelay-log .label.warning")
    assert "err" in browser.text("#mailrelay-log .label.danger")
    browser.find("#mailrelay-log-search").send_keys("OLDER")
    assert len(browser.text("#mailrelay-log").splitlines()) == 1

    browser.listen()
    browser.wait(lambda: is_quiet(browser), "nothing happens")
    browser.find("#mailrelay-log-search").clear()
    browser.find("#mailrelay-log-search").send_keys(" ")
    reply = relay.send()
    browser.wait(lambda: re.findall(r"[0-9a-z]{16}", reply)[0] in browser.text("#mailrelay-log"), "what is new")


def test_an_id_that_is_none_is_said_to_be_none(browser: Browser, relay: Router) -> None:
    browser.open("log", id="x;reboot")
    assert "that is not a queue id" in browser.text(".mailrelay-aside")
