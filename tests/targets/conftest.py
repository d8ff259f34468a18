"""The fake upstream, once for all tests here, and a checkout's folders of a test's own: cache, dist, feeds, keys."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forge.core import paths
from forge.host import host
from forge.openwrt import catalog, openwrt_host
from tests.targets.upstream import KEY, Upstream, luci_feed

STABLE, OLD = "25.12.5", "24.10.8"
MT7621 = "ramips/mt7621"
EPOCH = "1780000000"  # for a checkout that is a shallow clone


@pytest.fixture(scope="session")
def _upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    top = tmp_path_factory.mktemp("upstream")
    luci = luci_feed(top / "luci")
    upstream = Upstream(top / "www")
    for number, manager in ((STABLE, "apk"), (OLD, "opkg"), ("snapshot", "apk")):
        upstream.publish(number, MT7621, manager, luci=luci)
    upstream.publish(STABLE, "x86/64", "apk", luci=luci)
    upstream.publish(OLD, "malta/le", "opkg", profiles_json=False)
    upstream.index(
        {"stable": STABLE, "old": OLD}, {STABLE: {MT7621: "mipsel_24kc", "zynq/generic": "arm_cortex-a9_neon"}}
    )
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(_upstream: Upstream) -> Iterator[Upstream]:
    _upstream.reset()
    yield _upstream
    _upstream.reset()


@dataclass(frozen=True)
class Place:
    """A test's own folders."""

    cache: Path
    dist: Path
    feeds: Path

    def lock(self, text: str) -> None:
        (self.feeds / "lock.toml").write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path / "cache", tmp_path / "dist", tmp_path / "feeds")
    make_feeds(place.feeds)
    monkeypatch.setattr(paths, "FEEDS", place.feeds)
    monkeypatch.setattr(paths, "DIST", place.dist)
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(place.cache))
    monkeypatch.setenv(paths.CONFIG_VARIABLE, str(tmp_path / "config"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "MAILRELAY_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    # The fake tools need none of what OpenWrt's need, and run on any machine.
    required = host.require
    monkeypatch.setattr(host, "require", lambda *groups: required(*(set(groups) - {"image", "sdk"})))
    monkeypatch.setattr(openwrt_host, "MACHINES", (platform.machine(),))
    catalog._read.cache_clear()
    return place


@pytest.fixture
def small_disk(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder on a disk of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(disk))
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def make_feeds(folder: Path) -> None:
    """feeds/ as the checkout has it, but trusting the test key, with nothing locked."""
    (folder / "keys").mkdir(parents=True)
    for name in ("releases.toml", "feeds.conf"):
        text = (paths.ROOT / "feeds" / name).read_text()
        for key in ("d310c6f2833e97f7", "b5043e70f9a75cde"):
            text = text.replace(key, KEY.public.fingerprint)
        (folder / name).write_text(text)
    (folder / "keys" / KEY.public.fingerprint).write_text(KEY.public.text())
