"""`./inv test --host` on a router that is somebody's: it refuses, and what it takes away is what it has put there.

The router is a container; a shell in it stands for the way there by SSH.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from forge.core.errors import ForgeError
from forge.packages import minisdk
from forge.vm.ssh import Ssh
from tests.support.router import SETTINGS, Result
from tests.support.router_container import Container
from tests.support.router_ssh import NetworkRouter

pytestmark = pytest.mark.root

# As far as the tests ask apk on a router in use: what is in /var/world is installed, and what is added lays settings.
APK = """#!/bin/sh
case "$*" in
"list -I "*) grep "^$3-" /var/world ;;
"list -I") cat /var/world ;;
"add --allow-untrusted "*)
	grep -q '^python3' /var/world || echo 'python3-light-3.13.9-r1 noarch {x} (y) [installed]' >>/var/world
	[ ! -e /tmp/full ] || { echo 'ERROR: mailrelay-1.0.0-r1: No space left on device' >&2; exit 1; }
	echo 'mailrelay-1.0.0-r1 noarch {x} (y) [installed]' >>/var/world
	mkdir -p /usr/lib/mailrelay /etc/mailrelay/spool; [ -e /etc/config/mailrelay ] || : >/etc/config/mailrelay ;;
"del mailrelay") sed -i '/^mailrelay-/d; /^python3-light-/d' /var/world; rm -r /usr/lib/mailrelay ;;
"del "*) sed -i "/^$2-/d" /var/world ;;
*) exit 1 ;;
esac
"""
OWNERS = {
    "its settings": (SETTINGS, "config mailrelay 'main'\n\toption enabled '1'\n"),
    "a queue": ("/etc/mailrelay/spool/queue/1", "mail"),
    "certificates": ("/etc/mailrelay/ca.pem", "certificate"),
    "the code alone": ("/usr/lib/mailrelay/version", "1.0.0-r1\n"),
}


class Way:
    """In place of SSH."""

    host = "router.example"

    def __init__(self, router: Container) -> None:
        self.router = router

    def run(self, command: str, *, check: bool = True, input: str | None = None) -> Result:
        return self.router.run(command, input=input or "")

    def put(self, files: list[Path]) -> None:
        self.router.upload(files)


@pytest.fixture(params=["opkg", "apk", "neither"])
def manager(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def router(manager: str) -> Iterator[Container]:
    with Container() as router:
        if manager != "opkg":
            (router.root / "bin/opkg").unlink()
        if manager == "apk":
            router.put("/usr/bin/apk", APK, 0o755)
            router.put("/var/world", "busybox-1.37.0-r6 x86_64 {x} (y) [installed]\n")
        yield router


@pytest.fixture
def tests(router: Container) -> NetworkRouter:
    """What the tests do to it."""
    return NetworkRouter(cast(Ssh, Way(router)))


@pytest.fixture
def package(manager: str, tmp_path: Path) -> Path:
    return minisdk.packed("mailrelay", tmp_path, "apk" if manager == "apk" else "ipk")


@pytest.mark.parametrize("what", OWNERS)
def test_a_router_in_use_is_refused_and_left_as_it_is(router: Container, tests: NetworkRouter, what: str) -> None:
    path, text = OWNERS[what]
    router.put(path, text)
    with pytest.raises(pytest.exit.Exception) as refusal:
        tests.refuse_if_used()
    assert "is in use" in str(refusal.value) and "/".join(path.split("/")[:3]) in str(refusal.value)
    tests.clean_up()
    assert router.read(path) == text


def test_the_refusal_names_a_spool_elsewhere(router: Container, tests: NetworkRouter) -> None:
    router.put("/mnt/usb/mail/queue/1", "mail")
    router.put(SETTINGS, "config mailrelay 'main'\n\toption spool '/mnt/usb/mail'\n")
    with pytest.raises(pytest.exit.Exception, match="/mnt/usb/mail"):
        tests.refuse_if_used()


def test_a_package_that_only_the_manager_knows_is_refused(
    router: Container, tests: NetworkRouter, manager: str
) -> None:
    if manager == "apk":
        router.put("/var/world", "mailrelay-1.0.0-r1 noarch {x} (y) [installed]\n")
    elif manager == "opkg":
        status = router.read("/usr/lib/opkg/status")
        entry = "Package: mailrelay\nVersion: 1.0.0-r1\nStatus: install ok installed\nArchitecture: all\n\n"
        router.put("/usr/lib/opkg/status", status + entry)
    else:
        pytest.skip("it has none")
    with pytest.raises(pytest.exit.Exception, match=r"the package mailrelay 1\.0\.0-r1"):
        tests.refuse_if_used()


def test_what_was_installed_goes_and_what_is_the_owners_stays(
    router: Container, tests: NetworkRouter, manager: str, package: Path
) -> None:
    router.put("/etc/config/other", "the owner's")
    tests.refuse_if_used()
    if manager == "neither":
        with pytest.raises(ForgeError, match="neither apk nor opkg"):
            tests.install(package)
    else:
        before = tests.packages.installed()
        tests.install(package)
        assert tests.packages.installed("mailrelay")
        router.put("/etc/mailrelay/spool/queue/1", "a test's mail")
    tests.clean_up()
    assert router.read("/etc/config/other") == "the owner's"
    for path in (SETTINGS, "/etc/mailrelay", "/usr/lib/mailrelay"):
        assert not (router.root / path[1:]).exists(), f"{path} is left"
    if manager != "neither":
        assert tests.packages.installed() == before, "what it needed goes with it"


def test_where_nothing_was_installed_nothing_is_taken_away(router: Container, tests: NetworkRouter) -> None:
    """The owner has set it up since, by hand."""
    tests.refuse_if_used()
    router.put(SETTINGS, "the owner's")
    router.put("/etc/mailrelay/spool/queue/1", "mail")
    tests.clean_up()
    assert router.read(SETTINGS) == "the owner's"
    assert router.read("/etc/mailrelay/spool/queue/1") == "mail"


def test_a_failed_installation_takes_away_only_what_it_has_laid(
    router: Container, tests: NetworkRouter, manager: str, package: Path
) -> None:
    router.put(SETTINGS, "the owner's")
    router.put("/etc/mailrelay/spool/queue/1", "mail")
    if manager == "apk":
        router.put("/tmp/full", "")
    before = tests.packages.installed() if manager != "neither" else {}
    if manager == "opkg":
        package.write_bytes(b"no package")
    with pytest.raises((AssertionError, ForgeError)):
        tests.install(package)
    assert not (router.root / "tmp" / package.name).exists()
    tests.clean_up()
    assert router.read(SETTINGS) == "the owner's"
    assert router.read("/etc/mailrelay/spool/queue/1") == "mail"
    if manager != "neither":
        assert tests.packages.installed() == before
