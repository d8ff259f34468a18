"""The lines that `./inv feed` prints, pasted on a router: by its shell, against a server in its network."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from forge.lab import targets
from forge.packages import feed, keys, minisdk, router_lines, stage
from tests.forge.samples import PLAIN
from tests.support.router_container import Container

pytestmark = pytest.mark.root
URL = "http://[::1]:8000"
SERVE = ["python3", "-I", "-m", "http.server", "--bind", "::1", "--directory", "/mnt/feed", "8000"]
# What a router has before that: the owner's own feed, which is not there just now.
OWNERS = {
    "opkg": ("/etc/opkg/customfeeds.conf", "# add your custom package feeds here\nsrc/gz own http://[::1]:8000/x"),
    "apk": ("/etc/apk/repositories.d/customfeeds.list", "# add your custom package feeds here\nhttp://[::1]:8000/x"),
}


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


@pytest.fixture(params=targets.RELEASES)
def router(packed: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    with Container(request.param) as router:
        subprocess.run(["cp", "-r", packed, router.root / "mnt/feed"], check=True)
        (tmp_path / "nothing").mkdir()
        luci = dataclasses.replace(PLAIN, name="luci-base", sourcename="luci-base", root=tmp_path / "nothing")
        router.install(*minisdk.PACKERS[router.packages.ending].pack(luci, tmp_path))
        router.put(*OWNERS[router.packages.program])
        router.put("/etc/sysupgrade.conf", "/etc/own\n")
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
    manager = router.packages.program
    lines = router_lines.lines(URL, pair)[manager]
    assert len(lines) == 3
    for _ in range(2):
        for line in lines[:2]:
            router.ok("sh", "-c", line)
    path, owners = OWNERS[manager]
    own = f"src/gz mailrelay {URL}/opkg" if manager == "opkg" else f"{URL}/apk/packages.adb"
    assert router.read(path).splitlines() == [*owners.splitlines(), own]
    assert router.read(f"/etc/{manager}/keys/{key_file(manager, pair)}").encode() == key(manager, pair)
    router.ok("sh", "-c", lines[2])  # although the owner's own feed is not there
    assert {"mailrelay", "luci-app-mailrelay"} <= set(router.packages.installed())
    for line in lines:
        router.ok("sh", "-c", line)


def key_file(manager: str, pair: keys.Keys) -> str:
    return pair.usign.public.fingerprint if manager == "opkg" else keys.PUBLIC_APK_FILE


def key(manager: str, pair: keys.Keys) -> bytes:
    return pair.usign.public.text().encode() if manager == "opkg" else keys.apk_public_text(pair.apk.public_key())


@pytest.mark.parametrize("router", ["24.10"], indirect=True)
def test_a_feed_that_has_moved_has_one_line_all_the_same(router: Container, pair: keys.Keys) -> None:
    for url in ("http://192.168.1.2:8000", "file:///mnt/feed"):
        lines = router_lines.lines(url, pair)["opkg"]
        router.ok("sh", "-c", lines[1])
    text = (router.root / "etc/opkg/customfeeds.conf").read_text()
    assert text.count("src/gz mailrelay ") == 1 and "src/gz mailrelay file:///mnt/feed/opkg\n" in text
    router.ok("sh", "-c", lines[0])
    assert (router.root / f"etc/opkg/keys/{pair.usign.public.fingerprint}").exists()


def test_another_key_than_the_printed_one_does_not_get_in_nor_push_the_right_one_out(
    router: Container, pair: keys.Keys
) -> None:
    manager = router.packages.program
    line = router_lines.lines(URL, pair)[manager][0]
    name = key_file(manager, pair)
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


@pytest.mark.parametrize("router", ["25.12"], indirect=True)
def test_on_apk_the_key_is_kept_by_upgrades_of_the_firmware(router: Container, pair: keys.Keys) -> None:
    for _ in range(2):
        router.ok("sh", "-c", router_lines.lines(URL, pair)["apk"][0])
    assert router.read("/etc/sysupgrade.conf") == "/etc/own\n/etc/apk/keys/mailrelay.pem\n"
