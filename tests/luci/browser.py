"""A headless Chromium, and the app's pages as a person uses them: by LuCI's own ids and classes, which the stand-in has
too. Where LuCI draws a list as a widget of its own, both are known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.utils import is_url_connectable
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from forge.core import timeouts
from forge.host import host

PATIENCE = 30.0  # seconds until what should come soon counts as not coming
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars
    --remote-debugging-pipe --ignore-certificate-errors""".split()
PAGES = "cgi-bin/luci/admin"
SAVE, APPLY = ".cbi-page-actions .cbi-button-save", ".cbi-page-actions .cbi-button-apply"
# Notes each call that the page makes, as OBJECT.METHOD, and its message.
LISTEN = """
    const note = (body) => [].concat(JSON.parse(body)).forEach((call) => {
        asked.push(call.params[1] + '.' + call.params[2]);
        said.push(call.params[3]);
    });
    const { send } = XMLHttpRequest.prototype, { fetch } = window;
    window.asked = [];
    window.said = [];
    XMLHttpRequest.prototype.send = function(body) { body && note(body); return send.call(this, body); };
    window.fetch = (url, options) => { options && options.body && note(options.body); return fetch(url, options); };
"""
CALL = """
    const [ object, method, message, done ] = arguments;
    const params = [ L.env.sessionid, object, method, message ];
    fetch(L.env.ubuspath || L.url('admin/ubus'), {
        method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'call', params })
    }).then((answer) => answer.json()).then((answer) => done(answer.error ? [ answer.error.code ] : answer.result));
"""

Found = TypeVar("Found")


class Service(ChromeService):
    """The driver by its address: a machine without /etc/hosts knows no localhost."""

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_connectable(self) -> bool:
        return is_url_connectable(self.port, "127.0.0.1")


class Browser:
    """`with Browser(address, profile, passwords)`; address is the site's, without a / at its end."""

    def __init__(self, address: str, profile: str, passwords: dict[str, str]) -> None:
        self.address, self.passwords, self.user = address, passwords, ""
        options = ChromeOptions()
        options.binary_location = str(host.command("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options, Service(str(host.command("chromedriver"))))
        self.driver.set_window_size(1200, 1000)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    # Pages.

    def open(self, page: str, user: str = "root", place: str = "", **more: str) -> None:
        """A page of the app by its name, or LuCI's status page with our part of it; place: what stands behind a #."""
        words = "&".join(f"{name}={value}" for name, value in more.items())
        path = "status/overview" if page == "status" else f"services/mailrelay/{page}"
        address = f"{self.address}/{PAGES}/{path}?{words}" + (f"#{place}" if place else "")
        if user != self.user:
            self._log_in(user, address)
        self.driver.get(address)
        self._drawn()
        assert not self.text("#view .failed"), self.text()

    def _log_in(self, user: str, address: str) -> None:
        self.driver.get(address)
        self.driver.delete_all_cookies()
        self.driver.execute_script("sessionStorage.clear()")
        self.driver.get(address)
        for name, text in (("luci_username", user), ("luci_password", self.passwords[user])):
            field = self.find(f"input[name={name}]")
            field.clear()
            field.send_keys(text)
        self.click(".cbi-button-positive")
        self.wait(lambda: not self.driver.find_elements(By.NAME, "luci_password"), f"{user} is let in")
        self._drawn()
        self.complaints()  # LuCI's form comes with the status 403
        self.user = user

    def _drawn(self) -> None:
        ready = "const view = document.getElementById('view'); return view && !view.querySelector(':scope > .spinning')"
        self.wait(lambda: self.driver.execute_script(ready), "the page is drawn")

    def screen(self, width: int = 0) -> None:
        """That of another device; without a width this one's again."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 0, "mobile": width < 600}
        if width:
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        else:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def call(self, object: str, method: str, **message: object) -> Any:
        """What the bus answers the page's session: the status and the reply, or the code of an error."""
        return self.driver.execute_async_script(CALL, object, method, message)

    def leave(self) -> None:
        """An empty page, which asks the router for nothing."""
        self.driver.get("about:blank")

    def listen(self) -> None:
        self.driver.execute_script(LISTEN)

    def asked(self) -> list[str]:
        """The page's calls since `listen`."""
        return list(self.driver.execute_script("return window.asked"))

    def said(self, call: str) -> list[dict[str, Any]]:
        """The messages of the page's calls of that name since `listen`."""
        messages = self.driver.execute_script("return window.said")
        return [message for name, message in zip(self.asked(), messages, strict=True) if name == call]

    def unsaved(self) -> list[Any]:
        """What the session has saved and not applied."""
        return list(self.call("uci", "changes", config="mailrelay")[1]["changes"])

    def text(self, selector: str = "body") -> str:
        """Of all that the selector finds, in one look."""
        script = "return Array.from(document.querySelectorAll(arguments[0])).map(node => node.innerText).join('\\n')"
        found: str = self.driver.execute_script(script, selector)
        return found

    def complaints(self) -> list[str]:
        """What the browser's console has said since it was last asked."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")  # type: ignore[no-untyped-call]
            if entry["level"] == "SEVERE"
        ]

    # What a person does.

    def find(self, selector: str) -> WebElement:
        def shown() -> WebElement | None:
            return next(
                (one for one in self.driver.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()), None
            )

        return self.wait(shown, selector)

    def click(self, selector: str) -> WebElement:
        """Also where the page is just being drawn anew; what was clicked."""

        def clicked() -> WebElement:
            found = self.find(selector)
            found.click()
            return found

        return self.wait(clicked, f"a click on {selector}")

    def press(self, selector: str) -> None:
        """A button, and everything that follows from it until it can be pressed again or is gone."""
        button = self.click(selector)

        def done() -> bool:
            try:
                return "spinning" not in (button.get_attribute("class") or "")
            except StaleElementReferenceException:
                return True

        self.wait(done, f"{selector} is done")

    def field(self, section: str, option: str) -> WebElement:
        name = f"widget.cbid.mailrelay.{section}.{option}"
        return self.find(f'[id="{name}"], [data-widget-id="{name}"]')

    def fill(self, section: str, **values: str) -> None:
        for option, value in values.items():
            field = self.field(section, option)
            field.clear()
            field.send_keys(value)

    def choose(self, section: str, option: str, *titles: str) -> None:
        """In a list, these and no others."""
        field = self.find(f'[id="widget.cbid.mailrelay.{section}.{option}"], .cbi-dropdown[id$=".{section}.{option}"]')
        if field.tag_name == "select":
            select = Select(field)
            if select.is_multiple:
                select.deselect_all()
            for title in titles:
                select.select_by_visible_text(title)
            return
        field.click()
        for entry in field.find_elements(By.CSS_SELECTOR, "ul.dropdown > li[data-value]"):
            if (entry.get_attribute("data-value") in titles) != (entry.get_attribute("selected") is not None):
                entry.click()
        field.find_element(By.CSS_SELECTOR, ".open").click()

    def tick(self, section: str, option: str, on: bool = True) -> None:
        box = self.field(section, option)
        if box.is_selected() != on:
            box.click()

    def tab(self, name: str, within: str = "") -> None:
        self.click(f'{within} .cbi-tabmenu li[data-tab="{name}"] a'.strip())

    def dialog_section(self) -> str:
        """The section that the open dialog is about."""
        place = self.find('.modal [id^="widget.cbid.mailrelay."]').get_attribute("id") or ""
        return place.split(".")[3]

    def wait(self, condition: Callable[[], Found | None], what: str) -> Found:
        def ask(_: object) -> Any:
            return condition()

        waiting = WebDriverWait(self.driver, PATIENCE * timeouts.factor(), 0.05, [StaleElementReferenceException])
        return waiting.until(ask, what)  # type: ignore[no-any-return]
