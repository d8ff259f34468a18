"""Against OpenWrt's real server: ./inv test --online. What the fake upstream claims of it, it has to keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.core import paths
from forge.images import image
from forge.images.job import Options
from forge.openwrt import catalog, lockfile, release_index
from forge.openwrt.fetch import Fetcher

pytestmark = pytest.mark.online

PINNED = [
    (number, target)
    for number, entries in lockfile.read().items()
    if number != "newest"
    for target, kinds in entries.items()
    if "imagebuilder" in kinds
]


@pytest.fixture(scope="module")
def fetcher() -> Fetcher:
    return Fetcher()


@pytest.mark.parametrize(("number", "target"), PINNED)
def test_a_locked_imagebuilder_is_the_one_that_openwrt_signs(fetcher: Fetcher, number: str, target: str) -> None:
    version, one = catalog.version(number), catalog.targets()[target]
    lists = release_index.load(fetcher, version, one)
    pin = lockfile.pin(version.number, one.name, "imagebuilder")
    assert pin and lists.find("imagebuilder") == (pin.name, pin.sha256)
    assert lists.find("sdk")


def test_the_newest_releases_are_told(fetcher: Fetcher) -> None:
    assert {"24.10", "25.12"} <= release_index.latest(fetcher).keys()


def test_the_boards_that_we_know_without_a_download_are_there(fetcher: Fetcher) -> None:
    version, told = catalog.version("25.12"), {}
    for board in catalog.boards():
        lists = release_index.load(fetcher, version, catalog.targets()[board.target])
        profiles = lists.profiles()
        assert profiles is not None
        told[board.profile] = board.profile in profiles["profiles"]
    assert all(told.values()), told


def test_a_snapshot_is_signed_by_the_key_that_we_have(fetcher: Fetcher) -> None:
    assert release_index.load(fetcher, catalog.version("snapshot"), catalog.targets()["ramips/mt7621"]).signed


@pytest.mark.timeout(1800)
def test_firmware_for_a_gl_mt1300_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "DIST", tmp_path)
    (made,) = image.run(Options(target="ramips/mt7621", profile="glinet_gl-mt1300"))
    assert any("sysupgrade" in one.path.name for one in made.images)
