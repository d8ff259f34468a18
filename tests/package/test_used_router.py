"""`./inv test --host` on a router that is somebody's: it refuses, and what it takes away is what it has put there.

The router is a container; a shell in it stands for the way there by SSH.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from forge.core.errors import ForgeError
from forge.packages import minisdk
from forge.vm.ssh import Ssh
from tests.forge.samples import PLAIN
from tests.support.router import SETTINGS, Result
from tests.support.router_container import Container
from tests.support.router_ssh import NetworkRouter

pytestmark = pytest.mark.root

NEEDED = {"a-library": ["libc"], "its-user": ["a-library"]}
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
    with Container("25.12" if manager == "apk" else "24.10") as router:
        if manager == "neither":
            (router.root / "bin/opkg").unlink()
        yield router


@pytest.fixture
def tests(router: Container) -> NetworkRouter:
    """What the tests do to it."""
    return NetworkRouter(cast(Ssh, Way(router)))


@pytest.fixture
def package(manager: str, tmp_path: Path) -> Path:
    return minisdk.packed("mailrelay", tmp_path, "apk" if manager == "apk" else "ipk")


def needed(folder: Path, format: str) -> list[Path]:
    """Packages that came along, the second in need of the first."""
    (folder / "root").mkdir()
    return [
        path
        for name, depends in NEEDED.items()
        for path in minisdk.PACKERS[format].pack(
            dataclasses.replace(PLAIN, name=name, sourcename=name, depends=depends, root=folder / "root"), folder
        )
    ]


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
    entries = {
        "opkg": "Package: mailrelay\nVersion: 1.0.0-r1\nStatus: install ok installed\nArchitecture: all\n\n",
        "apk": '{"name": "mailrelay", "version": "1.0.0-r1"}\n',
    }
    if manager not in entries:
        pytest.skip("it has none")
    database = "/usr/lib/opkg/status" if manager == "opkg" else "/lib/apk/db/installed"
    router.put(database, router.read(database) + entries[manager])
    with pytest.raises(pytest.exit.Exception, match=r"the package mailrelay 1\.0\.0-r1"):
        tests.refuse_if_used()


def test_what_was_installed_goes_and_what_is_the_owners_stays(
    router: Container, tests: NetworkRouter, manager: str, package: Path, tmp_path: Path
) -> None:
    router.put("/etc/config/other", "the owner's")
    tests.refuse_if_used()
    if manager == "neither":
        with pytest.raises(ForgeError, match="neither apk nor opkg"):
            tests.install(package)
    else:
        before = tests.packages.installed()
        tests.install(*needed(tmp_path, tests.packages.ending), package)
        assert set(tests.packages.installed()) == {*before, "mailrelay", *NEEDED}
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


def test_a_manager_that_does_not_answer_makes_nothing_new(
    router: Container, tests: NetworkRouter, manager: str, package: Path
) -> None:
    """Else all that is there would be the tests' own, and go with them."""
    if manager == "neither":
        pytest.skip("it has none")
    before = tests.packages.installed()
    program = router.ok(f"command -v {manager}").strip()
    lines = router.read(program)
    for answer in ("echo 'Could not lock the database'; exit 255", "exit 0"):
        router.put(program, f"#!/bin/sh\n{answer}\n", 0o755)
        with pytest.raises(ForgeError):
            tests.install(package)
    router.put(program, lines, 0o755)
    tests.clean_up()
    assert tests.packages.installed() == before


def test_files_of_the_tests_go_and_others_stay(router: Container, tests: NetworkRouter) -> None:
    router.put("/www/own", "the owner's")
    tests.put("/www/own", "a test's")
    tests.put("/www/new", "a test's")
    tests.clean_up()
    assert (router.root / "www/own").exists() and not (router.root / "www/new").exists()


def test_a_failed_installation_takes_away_only_what_it_has_laid(
    router: Container, tests: NetworkRouter, manager: str, package: Path, tmp_path: Path
) -> None:
    """opkg has installed those before it by then, apk nothing."""
    router.put(SETTINGS, "the owner's")
    router.put("/etc/mailrelay/spool/queue/1", "mail")
    before = tests.packages.installed() if manager != "neither" else {}
    package.write_bytes(b"no package")
    with pytest.raises((AssertionError, ForgeError)):
        tests.install(*needed(tmp_path, package.suffix[1:]), package)
    assert not (router.root / "tmp" / package.name).exists()
    tests.clean_up()
    assert router.read(SETTINGS) == "the owner's"
    assert router.read("/etc/mailrelay/spool/queue/1") == "mail"
    if manager != "neither":
        assert tests.packages.installed() == before
