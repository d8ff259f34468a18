"""One router, one provider, one browser for all tests of the LuCI app.

Without an option the router is a container; with --target it is a guest of the lab, with --host one on the network.
Where LuCI is on it, its own pages are driven; where it is not, tests/luci/standin takes its place in the browser, and
the stand-in for OpenWrt serves it. Tests that change the settings put them back with the fixture `relay`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forge.core import paths
from forge.host import host
from forge.packages import minisdk, po
from forge.servers import as_provider
from forge.servers.postfix import Provider
from tests.luci.browser import Browser
from tests.support.postfix_provider import provider as provider
from tests.support.postfix_provider import running_provider as running_provider
from tests.support.router import SETTINGS, Router
from tests.support.router_container import Container
from tests.support.router_ssh import asked_for

APP = paths.PACKAGES / "luci-app-mailrelay"
ACL = APP / "root/usr/share/rpcd/acl.d/luci-app-mailrelay.json"
RPCD = "/usr/libexec/rpcd/mailrelay"
STATUS, SERVICE = "/var/run/mailrelay/status.json", "/var/run/mailrelay/service.json"
ENGINE = "/usr/lib/mailrelay/python.sh"
VIEWERS = "luci-app-mailrelay", "luci-base"  # what somebody who may only look reads
ROOTS_PASSWORD = "MAILRELAY_LUCI_PASSWORD"  # of the router that --host names, if it has one


@contextlib.contextmanager
def started(config: pytest.Config, folder: Path) -> Iterator[Router]:
    """With both packages."""
    if any(config.getoption(option) for option in ("--host", "--target", "--firmware")):
        with asked_for(config, folder) as router:
            kind = router.packages.ending
            router.install(
                minisdk.packed("mailrelay", folder, kind), minisdk.packed("luci-app-mailrelay", folder, kind, APP)
            )
            yield router
        return
    with Container() as container:
        container.lay_out()
        for source, place in (("root", ""), ("htdocs", "www")):
            shutil.copytree(APP / source, container.root / place, dirs_exist_ok=True)
        container.configure(enabled="0", rest="")
        container.ok("/etc/init.d/rpcd", "reload")
        container.ok("/etc/init.d/mailrelay", "start")
        container.ok("ip", "addr", "add", "192.168.1.1/24", "dev", "lo")
        yield container


@pytest.fixture(scope="session")
def router(
    pytestconfig: pytest.Config, running_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    """With a way to the provider, and settings as they are after installation: switched off."""
    with started(pytestconfig, tmp_path_factory.mktemp("router")) as router:
        router.know_provider(running_provider)
        yield router


@pytest.fixture(scope="session")
def container(router: Router) -> Container:
    """For what is seen from this machine alone."""
    if not isinstance(router, Container):
        pytest.skip("only a container's processes and files lie open to this machine")
    return router


@pytest.fixture(scope="session")
def lucis_own(router: Router) -> bool:
    """Whether LuCI itself is there. Else what takes its place is put there."""
    if router.run("test -e /www/luci-static/resources/luci.js").status == 0:
        return True
    standin = Path(__file__).with_name("standin")
    for script in standin.glob("*.js"):
        router.put(f"/www/luci-static/standin/{script.name}", script.read_text())
    german: dict[str, str] = {}
    for entry in po.read(APP / "po/de/mailrelay.po"):
        german |= entry.keys
    router.put("/www/luci-static/standin/de.json", json.dumps(german))
    router.put("/usr/share/rpcd/acl.d/luci-base.json", (standin / "luci-base.json").read_text())
    router.put("/www/cgi-bin/luci", (standin / "index.html").read_text())
    router.ok("/etc/init.d/uhttpd", "start")
    return False


@pytest.fixture(scope="session")
def browser(router: Router, lucis_own: bool) -> Iterator[Browser]:
    host.require("luci")
    address, port = router.lan(80)
    password = os.urandom(8).hex()
    passwords = {"root": os.environ.get(ROOTS_PASSWORD, "") if lucis_own else "", "viewer": password}
    hashed = router.ok("uhttpd", "-m", password).strip() if lucis_own else "!"
    lines = ["set rpcd.viewer=login", "set rpcd.viewer.username=viewer", f"set rpcd.viewer.password='{hashed}'"]
    lines += [f"add_list rpcd.viewer.read={group}" for group in VIEWERS]
    router.ok("uci batch", input="\n".join([*lines, "commit rpcd", ""]))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mailrelay-browser-") as folder,
            Browser(f"http://{address}:{port}", folder, passwords) as browser,
        ):
            yield browser
    finally:
        router.ok("uci delete rpcd.viewer && uci commit rpcd")


@pytest.fixture
def call(router: Router) -> Callable[..., dict[str, Any]]:
    """rpcd's object, as rpcd calls it."""

    def call(method: str, **values: object) -> dict[str, Any]:
        return dict(json.loads(router.ok(RPCD, "call", method, input=json.dumps(values))))

    return call


@pytest.fixture
def told(relay: Router) -> Iterator[Callable[..., None]]:
    """Has the pages read these facts, and no others, in status.json, and these in service.json beside those it has."""
    files = {path: relay.run(f"cat {path}").output for path in (STATUS, SERVICE)}
    pid = relay.instance()["pid"]

    def tell(service: dict[str, Any] | None = None, **facts: object) -> None:
        relay.ok("kill", "-STOP", str(pid))  # who would write the file again
        relay.put(STATUS, json.dumps({"queue": 0, "hold": 0, "failed": 0, **facts}))
        relay.put(SERVICE, json.dumps({**json.loads(files[SERVICE]), **(service or {})}))

    yield tell
    for path, text in files.items():
        relay.put(path, text)
    relay.ok("kill", "-CONT", str(pid))


# ---- what the tests of pages begin with ------------------------------------------------------------------------------


@pytest.fixture
def quiet_console(browser: Browser) -> Iterator[None]:
    browser.complaints()
    yield
    assert browser.complaints() == []


def settings(provider: Provider, **smarthost: str) -> str:
    values = {
        "host": as_provider.NAME, "port": str(provider.starttls_port), "ca_file": as_provider.CA_FILE,
        "username": provider.username, "password": provider.password, **smarthost,
    }  # fmt: skip
    return "\nconfig smarthost\n" + "".join(f"\toption {name} '{value}'\n" for name, value in values.items())


@pytest.fixture
def relay(router: Router, provider: Provider) -> Router:
    """A relay that runs with a provider, and an empty queue."""
    router.reach(provider.starttls_port)
    before = router.read(SETTINGS)
    router.configure(rest=settings(provider))
    if router.read(SETTINGS) != before or not router.status():
        router.reload()
    router.empty_queue()
    provider.forget()
    return router


@pytest.fixture
def nothing_unsaved(browser: Browser) -> Iterator[None]:
    yield
    browser.call("uci", "revert", config="mailrelay")
    browser.leave()


def stop_provider(router: Router, provider: Provider, password: str) -> None:
    """From here on every login is refused."""
    router.configure("option retry_min '1s'", settings(provider, password=password))
    router.reload()
