"""The lines that `./inv feed` prints, pasted on a router: by its shell, against a server in its network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from forge.packages import feed, keys, minisdk, router_lines, stage
from tests.support.router_container import Container

pytestmark = pytest.mark.root
URL = "http://[::1]:8000"
SERVE = ["python3", "-I", "-m", "http.server", "--bind", "::1", "--directory", "/mnt/feed", "8000"]
LUCI_BASE = "\nPackage: luci-base\nVersion: 0\nStatus: install ok installed\nArchitecture: all\n"


@pytest.fixture(scope="module")
def pair() -> keys.Keys:
    return keys.Keys(keys.UsignSecret.generate(), ec.generate_private_key(ec.SECP256R1()), None, False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, pair: keys.Keys) -> Path:
    """A feed of our packages."""
    folder = tmp_path_factory.mktemp("feed")
    for makefile in sorted(minisdk.paths.PACKAGES.glob("*/Makefile")):
        with stage.staged(makefile.parent, epoch=1786491911) as packages:
            feed.pack([one for one in packages if one.name in router_lines.PACKAGES.split()], folder)
    feed.lay_out(folder, pair)
    return folder


@pytest.fixture
def router(packed: Path) -> Iterator[Container]:
    with Container() as router:
        subprocess.run(["cp", "-r", packed, router.root / "mnt/feed"], check=True)
        router.put("etc/opkg/customfeeds.conf", "# add your custom package feeds here\nsrc/gz own http://[::1]:8000/x")
        router.put("/etc/sysupgrade.conf", "/etc/own\n")
        status = router.root / "usr/lib/opkg/status"
        status.write_text(status.read_text().rstrip("\n") + "\n" + LUCI_BASE)
        serving = subprocess.Popen(
            ["nsenter", "--target", str(router.pid), "--net", "--mount", "--pid", "--root", "--wd",
             *SERVE],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            router.wait(lambda: router.run("wget -q -O /dev/null http://[::1]:8000/").status == 0, "it serves")
            yield router
        finally:
            serving.kill()
            serving.wait()


def test_three_lines_bring_relay_and_luci_app_and_do_so_twice_over(router: Container, pair: keys.Keys) -> None:
    lines = router_lines.lines(URL, pair)["opkg"]
    assert len(lines) == 3
    for _ in range(2):
        for line in lines[:2]:
            router.ok("sh", "-c", line)
    assert (router.root / "etc/opkg/customfeeds.conf").read_text().splitlines() == [
        "# add your custom package feeds here",
        "src/gz own http://[::1]:8000/x",
        f"src/gz mailrelay {URL}/opkg",
    ]
    public = pair.usign.public
    assert (router.root / f"etc/opkg/keys/{public.fingerprint}").read_text() == public.text()
    router.ok("sh", "-c", lines[2])  # although the owner's own feed is not there
    installed = router.ok("opkg", "list-installed")
    assert "mailrelay - " in installed and "luci-app-mailrelay - " in installed


def test_a_feed_that_has_moved_has_one_line_all_the_same(router: Container, pair: keys.Keys) -> None:
    for url in ("http://192.168.1.2:8000", "file:///mnt/feed"):
        lines = router_lines.lines(url, pair)["opkg"]
        router.ok("sh", "-c", lines[1])
    text = (router.root / "etc/opkg/customfeeds.conf").read_text()
    assert text.count("src/gz mailrelay ") == 1 and "src/gz mailrelay file:///mnt/feed/opkg\n" in text
    router.ok("sh", "-c", lines[0])
    assert (router.root / f"etc/opkg/keys/{pair.usign.public.fingerprint}").exists()


@pytest.mark.parametrize("manager", ["opkg", "apk"])
def test_another_key_than_the_printed_one_does_not_get_in_nor_push_the_right_one_out(
    router: Container, pair: keys.Keys, manager: str
) -> None:
    line = router_lines.lines(URL, pair)[manager][0]
    name = pair.usign.public.fingerprint if manager == "opkg" else "mailrelay.pem"
    there, served = router.root / f"etc/{manager}/keys/{name}", router.root / f"mnt/feed/keys/{name}"
    right = served.read_bytes()
    served.write_bytes(right + b"\n")
    assert router.run(line).status != 0
    assert not there.exists()
    served.write_bytes(right)
    router.ok("sh", "-c", line)
    served.unlink()
    assert router.run(line).status != 0
    assert there.read_bytes() == right


def test_on_apk_the_key_is_kept_by_upgrades_of_the_firmware(router: Container, pair: keys.Keys) -> None:
    """There is no apk here: what it is started with is looked at."""
    router.put("/usr/bin/apk", '#!/bin/sh\necho "$*" >>/tmp/apk\n', 0o755)
    lines = router_lines.lines(URL, pair)["apk"]
    assert len(lines) == 3
    for _ in range(2):
        for line in lines:
            router.ok("sh", "-c", line)
    assert (router.root / "etc/apk/keys/mailrelay.pem").read_bytes() == keys.apk_public_text(pair.apk.public_key())
    assert (router.root / "etc/apk/repositories.d/customfeeds.list").read_text() == f"{URL}/apk/packages.adb\n"
    assert (router.root / "etc/sysupgrade.conf").read_text() == "/etc/own\n/etc/apk/keys/mailrelay.pem\n"
    assert (router.root / "tmp/apk").read_text().splitlines() == ["update", "add -u mailrelay luci-app-mailrelay"] * 2
