"""The documentation's lines for a router, a page after the other: typed as they stand, on a router of tests/package's.

Each page starts on a router that has nothing of ours but a feed, and the packages in /tmp as the page before had them
copied there. There is no apk here: what takes its place looks whether the files it is given are there.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.inv import release
from tests.docs import pages, places
from tests.docs.conftest import Checkout
from tests.support.router_container import Container

pytestmark = pytest.mark.root

APK = """#!/bin/sh
case $1 in update | add | del) ;; *) echo "apk: $1?" >&2; exit 1 ;; esac
for word; do
    case $word in *.apk) [ -e "$word" ] || { echo "apk: $word is not there" >&2; exit 1; } ;; esac
done
"""
STANDIN = '#!/bin/sh\necho "${0##*/} $*" >>/tmp/called\n'
# Of OpenWrt's, installed as far as dependencies go.
OTHERS = ("luci-base", "postfix")
# The version that the pages upgrade to: here the same package under that name.
LATER = release.following(release.current(), "patch")


@pytest.fixture
def router(checkout: Checkout) -> Iterator[Container]:
    with Container() as router:
        status = router.root / "usr/lib/opkg/status"
        stanzas = [f"Package: {name}\nVersion: 0\nStatus: install ok installed\nArchitecture: all\n" for name in OTHERS]
        status.write_text("\n".join([status.read_text().rstrip("\n") + "\n", *stanzas]))
        router.put("/usr/bin/apk", APK, 0o755)
        for program in ("/sbin/sysupgrade", "/usr/bin/owut", "/etc/init.d/network"):
            router.put(program, STANDIN, 0o755)
        shutil.copytree(checkout.folder / "dist/feed", router.root / "mnt/feed")
        router.put("/etc/opkg/customfeeds.conf", "src/gz mailrelay file:///mnt/feed/opkg\n")
        for key in (checkout.folder / "dist/feed/keys").iterdir():
            router.put(f"/etc/opkg/keys/{key.name}", key.read_text())
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


@pytest.mark.parametrize("page", sorted({line.page for line in places.of("test_router.py")}), ids=lambda one: one.name)
def test_a_page_from_its_beginning_to_its_end(page: Path, checkout: Checkout, router: Container) -> None:
    if "opkg install /tmp/mailrelay_" not in page.read_text():
        router.ok("opkg", "install", "/tmp/mailrelay_1.0.0-r1_all.ipk")
    for line in places.of("test_router.py"):
        if line.page == page:
            text = on_router(line, checkout, router)
            done = router.run(text)
            assert done.status == 0, (str(line), text, done.output, done.errors)


SPANS = r"`((?:service mailrelay|logread) [^`]*[a-z])`"


def test_what_the_tables_name_works_as_well(checkout: Checkout, router: Container) -> None:
    router.ok("opkg", "install", "/tmp/mailrelay_1.0.0-r1_all.ipk")
    router.configure()
    router.ok("service", "mailrelay", "reload")
    router.wait_relay()
    found = {text for page in pages.pages() for text in re.findall(SPANS, page.read_text(encoding="utf-8"))}
    assert {"service mailrelay check", "service mailrelay flush", "logread -e mailrelay"} <= found
    for text in sorted(found):
        done = router.run(text)
        assert done.status == 0, (text, done.output, done.errors)
