"""What OpenWrt publishes is used when its list is signed by the right key and all else agrees with it; else never.

The lock: what stands in feeds/lock.toml is what is used, or nothing is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomllib

from forge.core import paths
from forge.core.errors import ForgeError, MissingError
from forge.core.hashes import digest
from forge.inv import cache, cache_verify
from forge.openwrt import archive, catalog, lock, release_index
from forge.openwrt.fetch import Fetcher
from forge.openwrt.lockfile import LockError
from forge.openwrt.partial import NotThere, Unreachable, WrongFile
from forge.openwrt.release_index import SignatureError
from forge.packages import keys
from tests.targets.conftest import MT7621, OLD, STABLE, Place
from tests.targets.upstream import KEY, Fault, Upstream

FOLDER = f"releases/{STABLE}/targets/{MT7621}"
SUMS = f"{FOLDER}/sha256sums"
TARGET = catalog.Target(MT7621)
IMAGEBUILDER = f"openwrt-imagebuilder-{STABLE}-ramips-mt7621.Linux-x86_64.tar.zst"


@pytest.fixture
def fetcher(upstream: Upstream, place: Place) -> Fetcher:
    return Fetcher((upstream.url,))


def load(fetcher: Fetcher, number: str = STABLE) -> release_index.Published:
    return release_index.load(fetcher, catalog.version(number), TARGET)


def pin(upstream: Upstream, place: Place, sha256: str = "") -> None:
    sha256 = sha256 or digest(upstream.root / FOLDER / IMAGEBUILDER)
    place.lock(f'["{STABLE}"."{MT7621}".imagebuilder]\nname = "{IMAGEBUILDER}"\nsha256 = "{sha256}"\n')


def test_the_sdk_is_found_whatever_compiler_its_name_holds(fetcher: Fetcher) -> None:
    found = load(fetcher).find("sdk")
    assert found and found[0] == f"openwrt-sdk-{STABLE}-ramips-mt7621_gcc-14.3.0_musl.Linux-x86_64.tar.zst"
    assert load(fetcher).archive("sdk").name == found[0]


def test_a_list_signed_by_another_key_is_refused_with_both_fingerprints(
    fetcher: Fetcher, upstream: Upstream, place: Place
) -> None:
    other = keys.UsignSecret.generate()
    text = (upstream.root / SUMS).read_bytes()
    upstream.faults[f"{SUMS}.sig"] = [Fault(body=other.sign(text).encode())]
    with pytest.raises(SignatureError) as caught:
        load(fetcher)
    said = f"expected a signature by {KEY.public.fingerprint}, found one by {other.public.fingerprint}"
    assert said in caught.value.message and SUMS in caught.value.message
    assert load(fetcher).signed, "and the next try asks the server again"


def test_a_list_that_was_changed_after_signing_is_refused(fetcher: Fetcher, upstream: Upstream) -> None:
    changed = (upstream.root / SUMS).read_bytes().replace(b"a", b"b", 1)
    upstream.faults[SUMS] = [Fault(body=changed)]
    with pytest.raises(SignatureError, match="found other contents"):
        load(fetcher)


@pytest.mark.parametrize("body", [b"", b"<html>log in to the hotel's network</html>", b"untrusted comment: x\n!!!\n"])
def test_what_is_no_signature_is_refused(fetcher: Fetcher, upstream: Upstream, body: bytes) -> None:
    upstream.faults[f"{SUMS}.sig"] = [Fault(body=body)]
    with pytest.raises(ForgeError, match="signature"):
        load(fetcher)


def test_a_release_whose_key_we_do_not_have_is_not_used(fetcher: Fetcher, upstream: Upstream, place: Place) -> None:
    shutil.copytree(upstream.root / FOLDER, upstream.root / f"releases/23.05.6/targets/{MT7621}")
    try:
        with pytest.raises(SignatureError, match=r"OpenWrt 23\.05's signing key is not in"):
            load(fetcher, "23.05")
    finally:
        shutil.rmtree(upstream.root / "releases/23.05.6")


def test_an_archive_that_is_not_the_listed_one_is_never_unpacked(
    fetcher: Fetcher, upstream: Upstream, place: Place
) -> None:
    upstream.faults[f"{FOLDER}/{IMAGEBUILDER}"] = [Fault(body=b"forged")]
    with pytest.raises(WrongFile, match=f"{IMAGEBUILDER} is not the file it should be: expected sha256"):
        load(fetcher).archive("imagebuilder")
    assert not (place.cache / "unpacked-openwrt").exists()


def test_a_file_that_turned_bad_in_the_cache_is_fetched_again(fetcher: Fetcher) -> None:
    path = load(fetcher).archive("imagebuilder")
    good = digest(path)
    path.write_bytes(b"bit rot")
    assert digest(load(fetcher).archive("imagebuilder")) == good


def test_what_differs_from_the_lock_is_refused(fetcher: Fetcher, upstream: Upstream, place: Place) -> None:
    pin(upstream, place, "0" * 64)
    with pytest.raises(LockError) as caught:
        load(fetcher).archive("imagebuilder")
    assert f"{'0' * 64}, found {digest(upstream.root / FOLDER / IMAGEBUILDER)}" in caught.value.message
    assert "./inv lock" in caught.value.hint
    assert not fetcher.cached(f"{FOLDER}/{IMAGEBUILDER}").exists()


def test_a_locked_file_needs_no_list_to_be_right(upstream: Upstream, place: Place) -> None:
    pin(upstream, place)
    cached = Fetcher().cached(f"{FOLDER}/{IMAGEBUILDER}")
    cached.parent.mkdir(parents=True)
    shutil.copy(upstream.root / FOLDER / IMAGEBUILDER, cached)
    lists = load(Fetcher((upstream.url,), offline=True))
    assert not lists.signed
    assert lists.archive("imagebuilder") == cached
    cached.write_bytes(b"forged")
    with pytest.raises(MissingError, match=IMAGEBUILDER):
        lists.archive("imagebuilder")


def test_a_target_that_a_release_does_not_have_is_told_apart_from_a_server_that_is_not_there(fetcher: Fetcher) -> None:
    with pytest.raises(NotThere, match=f"OpenWrt {STABLE} has no target ath79/nand"):
        release_index.load(fetcher, catalog.version(STABLE), catalog.Target("ath79/nand"))
    with pytest.raises(Unreachable):
        release_index.load(Fetcher(("http://127.0.0.1:9",)), catalog.version(STABLE), TARGET)


def test_a_list_is_asked_for_once_but_a_snapshots_each_time(fetcher: Fetcher, upstream: Upstream) -> None:
    for _ in range(2):
        load(fetcher)
        load(fetcher, "snapshot")
    assert len(upstream.paths(SUMS)) == 2, "the list and its signature"
    assert len(upstream.paths("snapshots/")) == 4


def test_a_target_without_profiles_has_none(upstream: Upstream, place: Place) -> None:
    lists = release_index.load(Fetcher((upstream.url,)), catalog.version(OLD), catalog.Target("malta/le"))
    assert lists.profiles() is None


# ---- the lock -------------------------------------------------------------------------------------------------------


def test_locking_writes_what_the_signed_list_says_and_shows_the_difference(
    fetcher: Fetcher, upstream: Upstream, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    pin(upstream, place, "0" * 64)
    lock.update(fetcher)
    said = capsys.readouterr().out
    assert "000000000000…" in said and digest(upstream.root / FOLDER / IMAGEBUILDER)[:12] in said
    data = tomllib.loads((place.feeds / "lock.toml").read_text())
    assert data[STABLE][MT7621]["imagebuilder"]["sha256"] == digest(upstream.root / FOLDER / IMAGEBUILDER)
    assert data[STABLE][MT7621]["sdk"]["name"].startswith(f"openwrt-sdk-{STABLE}")
    assert data["newest"] == {"25.12": STABLE, "24.10": OLD}
    lock.update(fetcher)
    assert "is up to date" in capsys.readouterr().out


def test_a_new_point_release_takes_the_place_of_the_old_one(fetcher: Fetcher, place: Place) -> None:
    place.lock(f'["25.12.2"."{MT7621}".imagebuilder]\nname = "x"\nsha256 = "y"\n')
    lock.update(fetcher)
    data = tomllib.loads((place.feeds / "lock.toml").read_text())
    assert set(data) == {"newest", STABLE}


def test_a_target_is_locked_by_naming_it(fetcher: Fetcher, place: Place) -> None:
    lock.update(fetcher, release="24.10", target="malta")
    data = tomllib.loads((place.feeds / "lock.toml").read_text())
    assert set(data[OLD]["malta/le"]) == {"imagebuilder", "sdk"}


def test_a_lock_that_fails_halfway_changes_nothing(fetcher: Fetcher, upstream: Upstream, place: Place) -> None:
    pin(upstream, place, "0" * 64)
    before = (place.feeds / "lock.toml").read_text()
    upstream.faults[f"{SUMS}.sig"] = [Fault(body=b"no signature")]
    with pytest.raises(ForgeError):
        lock.update(fetcher)
    assert (place.feeds / "lock.toml").read_text() == before


def test_a_damaged_lock_is_named(place: Place) -> None:
    place.lock("[broken")
    with pytest.raises(LockError, match=r"lock\.toml"):
        catalog.version("25.12")


def test_the_checkouts_own_lock_has_the_imagebuilders_of_both_releases() -> None:
    data = tomllib.loads((paths.ROOT / "feeds" / "lock.toml").read_text())
    pins = {(number, target) for number, entries in data.items() if number != "newest" for target in entries}
    wanted = {"25.12.5": "ramips/mt7621 ramips/mt76x8 x86/64 armsr/armv8 ath79/generic"}
    wanted |= {"24.10.8": "ramips/mt7621 ramips/mt76x8 x86/64", "24.10.5": "malta/le"}
    assert {(number, name) for number, names in wanted.items() for name in names.split()} <= pins
    assert all(
        len(entry["sha256"]) == 64 and entry["name"].startswith(f"openwrt-{kind}-{number}-{target.replace('/', '-')}")
        for number, entries in data.items()
        if number != "newest"
        for target, kinds in entries.items()
        for kind, entry in kinds.items()
    )


def test_the_checkouts_keys_are_named_by_their_fingerprints() -> None:
    for path in (paths.ROOT / "feeds" / "keys").iterdir():
        assert keys.UsignPublic.parse(path.read_text()).fingerprint == path.name


# ---- the cache ------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(fetcher: Fetcher) -> Iterator[Path]:
    lists = load(fetcher)
    lists.profiles()
    yield lists.archive("imagebuilder")


def test_the_cache_is_verified_and_what_is_wrong_is_removed(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache_verify.verify()
    assert "4 files are what they should be" in capsys.readouterr().out
    profiles = filled.with_name("profiles.json")
    profiles.write_text(json.dumps({}))
    with pytest.raises(cache_verify.UnsoundCache, match=r"profiles\.json: expected .*, found sha256"):
        cache_verify.verify()
    assert not profiles.exists() and filled.exists()


def test_a_forged_list_in_the_cache_is_found(filled: Path) -> None:
    sums = filled.with_name("sha256sums")
    sums.write_text(sums.read_text().replace("a", "b"))
    with pytest.raises(cache_verify.UnsoundCache, match="sha256sums: expected a right signature"):
        cache_verify.verify()


def test_pruning_keeps_what_is_needed_and_emptying_keeps_nothing(
    filled: Path, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    old = paths.cache("openwrt", "releases", "24.10.1", "targets") / "file"
    old.write_text("x")
    part = filled.with_name(".other.tar.zst.part")
    part.write_text("half")
    paths.cache("unpacked-openwrt", "abc")
    (paths.cache("unpacked-openwrt", "used") / f"{archive.USER}{os.getppid()}").touch()
    cache.show()
    assert "openwrt" in capsys.readouterr().out
    cache.prune()
    assert filled.exists()
    assert not old.exists() and not part.exists() and not (place.cache / "unpacked-openwrt" / "abc").exists()
    assert (place.cache / "unpacked-openwrt" / "used").exists(), "another run works with it"
    cache.prune(everything=True)
    assert list(place.cache.iterdir()) == []
