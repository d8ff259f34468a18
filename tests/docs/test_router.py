"""The documentation's lines for a router, a page after the other: typed as they stand, on a router of tests/package's.

Each page starts on a router that has nothing of ours but a feed, and the packages in /tmp as the page before had them
copied there; once on a router with opkg and once on one with apk, each with the lines that are its own.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.inv import release
from forge.lab import targets
from forge.packages import minisdk
from tests.docs import pages, places
from tests.docs.conftest import Checkout
from tests.forge.samples import PLAIN
from tests.support.router_container import Container

pytestmark = pytest.mark.root

STANDIN = '#!/bin/sh\necho "${0##*/} $*" >>/tmp/called\n'
# Of OpenWrt's, installed as far as dependencies go.
OTHERS = ("luci-base", "postfix")
# The version that the pages upgrade to: here the same package under that name.
LATER = release.following(release.current(), "patch")


@pytest.fixture(params=targets.RELEASES)
def router(checkout: Checkout, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    with Container(request.param) as router:
        root = tmp_path / "nothing"
        root.mkdir()
        for name in OTHERS:
            package = dataclasses.replace(PLAIN, name=name, sourcename=name, root=root)
            router.install(*minisdk.PACKERS[router.packages.ending].pack(package, tmp_path))
        for program in ("/sbin/sysupgrade", "/usr/bin/owut", "/etc/init.d/network"):
            router.put(program, STANDIN, 0o755)
        shutil.copytree(checkout.folder / "dist/feed", router.root / "mnt/feed")
        router.put("/etc/opkg/customfeeds.conf", "src/gz mailrelay file:///mnt/feed/opkg\n")
        router.put("/etc/apk/repositories.d/customfeeds.list", "file:///mnt/feed/apk/packages.adb\n")
        for key in (checkout.folder / "dist/feed/keys").iterdir():
            router.put(f"/etc/{router.packages.program}/keys/{key.name}", key.read_text())
        for file in (checkout.folder / "dist").glob("*.?[pk]k"):
            shutil.copy(file, router.root / "tmp" / file.name)
            later = file.name.replace(release.current(), LATER)
            shutil.copy(file, router.root / "tmp" / later)
        yield router


def on_router(line: pages.Line, checkout: Checkout, router: Container) -> str:
    """The line as the router's shell gets it: what ssh carries there is taken out, scp's file is looked for."""
    text = re.sub(r"\s+# .*", "", line.text).strip()
    if text.startswith("ssh "):
        _, host, *words = shlex.split(text)
        assert host == "root@192.168.1.1"
        return " ".join(words)
    if text.startswith("scp "):
        *_, source, target = shlex.split(text)
        assert target.startswith("root@192.168.1.1:/tmp/")
        assert "…" in source or (checkout.folder / source).is_file()
        return ":"
    return text


def install(router: Container) -> None:
    """The relay, of the file in /tmp."""
    name = "mailrelay_{}-r1_all.ipk" if router.packages.program == "opkg" else "mailrelay-{}-r1.apk"
    router.ok(router.packages.install(f"/tmp/{name.format(release.current())}"))


@pytest.mark.parametrize("page", sorted({line.page for line in places.of("test_router.py")}), ids=lambda one: one.name)
def test_a_page_from_its_beginning_to_its_end(page: Path, checkout: Checkout, router: Container) -> None:
    [others] = {"opkg", "apk"} - {router.packages.program}
    if not re.search(r"\b(opkg install|apk add --allow-untrusted) /tmp/mailrelay[-_]\d", page.read_text()):
        install(router)
    for line in places.of("test_router.py"):
        text = on_router(line, checkout, router) if line.page == page else ""
        if not text or text.startswith(f"{others} "):
            continue
        if text == router.packages.remove("mailrelay") and not router.packages.installed("mailrelay"):
            router.remove("mailrelay-postfix")  # the page changes engines and says how to remove the usual one
            install(router)
        done = router.run(text)
        assert done.status == 0, (str(line), text, done.output, done.errors)


SPANS = r"`((?:service mailrelay|logread) [^`]*[a-z])`"


def test_what_the_tables_name_works_as_well(checkout: Checkout, router: Container) -> None:
    install(router)
    router.configure()
    router.ok("service", "mailrelay", "reload")
    router.wait_relay()
    found = {text for page in pages.pages() for text in re.findall(SPANS, page.read_text(encoding="utf-8"))}
    assert {"service mailrelay check", "service mailrelay flush", "logread -e mailrelay"} <= found
    for text in sorted(found):
        done = router.run(text)
        assert done.status == 0, (text, done.output, done.errors)
