"""A headless Chromium, and the app's pages as a person uses them: by LuCI's own ids, which the stand-in has too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
    --remote-debugging-pipe""".split()

Found = TypeVar("Found")


class Service(ChromeService):
    """The driver by its address: a machine without /etc/hosts knows no localhost."""

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_connectable(self) -> bool:
        return is_url_connectable(self.port, "127.0.0.1")


class Browser:
    """`with Browser(address, profile)`; address is the site's, without a / at its end."""

    def __init__(self, address: str, profile: str) -> None:
        self.address = address
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

    def open(self, page: str, session: str = "root", **more: str) -> None:
        """A page of the app by its name, or LuCI's status page with our part of it."""
        words = "&".join(f"{name}={value}" for name, value in {"session": session, **more}.items())
        path = "status" if page == "status" else f"mailrelay/{page}"
        self.driver.get(f"{self.address}/page/admin/services/{path}?{words}")
        self.wait(lambda: self.driver.execute_script("return document.body.dataset.ready"), f"the page {page}")
        assert self.driver.execute_script("return document.body.dataset.ready") == "1", self.text()

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

    def shot(self, path: Path, width: int = 1200, height: int = 1000) -> None:
        self.driver.set_window_size(width, height)
        self.driver.save_screenshot(str(path))

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
        return self.find(f'[id="widget.cbid.mailrelay.{section}.{option}"]')

    def fill(self, section: str, **values: str) -> None:
        for option, value in values.items():
            field = self.field(section, option)
            field.clear()
            field.send_keys(value)

    def choose(self, section: str, option: str, *titles: str) -> None:
        """In a list, these and no others."""
        select = Select(self.field(section, option))
        if select.is_multiple:
            select.deselect_all()
        for title in titles:
            select.select_by_visible_text(title)

    def tick(self, section: str, option: str, on: bool = True) -> None:
        box = self.field(section, option)
        if box.is_selected() != on:
            box.click()

    def tab(self, name: str, within: str = "") -> None:
        self.click(f'{within} .cbi-tabmenu a[data-tab="{name}"]'.strip())

    def dialog_section(self) -> str:
        """The section that the open dialog is about."""
        place = self.find('.modal [id^="widget.cbid.mailrelay."]').get_attribute("id") or ""
        return place.split(".")[3]

    def wait(self, condition: Callable[[], Found | None], what: str) -> Found:
        def ask(_: object) -> Any:
            return condition()

        waiting = WebDriverWait(self.driver, PATIENCE * timeouts.factor(), 0.05, [StaleElementReferenceException])
        return waiting.until(ask, what)  # type: ignore[no-any-return]
