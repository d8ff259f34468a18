"""`build --target`: OpenWrt's SDK is used when it can be had, our feed alone is in it, and every package must be there.

The SDK is a fake (fake_sdk.py), which packs what it finds in the feed's clone with the time and path
that it finds there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forge.core import paths
from forge.core.errors import MissingError, UsageError
from forge.openwrt import build, openwrt_host, sdk
from forge.openwrt.build import Options
from forge.openwrt.partial import Unreachable
from forge.openwrt.sdk import SdkError
from forge.packages import minisdk
from forge.packages.adb import adb, signatures
from tests.forge.samples import apk_public, copy_sample
from tests.targets.conftest import MT7621, OLD, STABLE, Place
from tests.targets.upstream import Upstream

NOWHERE = "http://127.0.0.1:9"
IPK = {"mailrelay_1.0.0-r1_all.ipk", "mailrelay-postfix_1.0.0-r1_all.ipk"}
APK = {"mailrelay-1.0.0-r1.apk", "mailrelay-postfix-1.0.0-r1.apk"}


SAMPLE_IPK = {"sample_1.2.3-r4_all.ipk", "sample-shell_1.2.3-r4_all.ipk"}
SAMPLE_APK = {"sample-1.2.3-r4.apk", "sample-shell-1.2.3-r4.apk"}


@pytest.fixture
def relay_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """package/ with the relay's two packages and nothing else."""
    folder = tmp_path / "package"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(paths.ROOT / "package" / "mailrelay", folder / "mailrelay", symlinks=True, ignore=ignored)
    monkeypatch.setattr(paths, "PACKAGES", folder)
    return folder


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """package/ with a smaller directory of two packages, for what is not about the relay's own."""
    folder = tmp_path / "package"
    copy_sample(folder)
    monkeypatch.setattr(paths, "PACKAGES", folder)
    return folder


def made(place: Place) -> set[str]:
    return {path.name for path in place.dist.glob("*.?pk")}


def test_a_target_alone_gives_an_ipk_by_the_newest_opkg_release_and_an_apk_by_the_stable_one(
    upstream: Upstream, place: Place, relay_alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.run(Options(target="ramips", mirror=upstream.url))
    assert made(place) == IPK | APK
    said = capsys.readouterr().out
    assert "ramips means ramips/mt7621" in said
    assert f"OpenWrt {OLD}: the SDK builds (127.0.0.1" in said and f"OpenWrt {STABLE}: the SDK builds" in said
    # The feed that the SDK got is a clean copy, committed at the right time, at the path that OpenWrt would give it.
    for names in (IPK, APK):
        assert f"the mini-SDK makes the same bytes of {', '.join(sorted(names, key=len))}" in said
    assert "./inv image --target ramips/mt7621" in said
    # Compared without a signature, and signed for the router afterwards.
    key = apk_public((place.dist / "keys" / "mailrelay.pem").read_bytes())
    assert all(signatures.verify(adb.decode((place.dist / name).read_bytes()), key) for name in APK)


def test_a_second_build_needs_no_server(upstream: Upstream, place: Place, sample: Path) -> None:
    build.run(Options(target=MT7621, release="24.10", mirror=upstream.url))
    shutil.rmtree(place.dist)
    upstream.requests.clear()
    build.run(Options(target=MT7621, release="24.10", mirror=NOWHERE, offline=True, builder="sdk"))
    assert made(place) == SAMPLE_IPK
    assert not upstream.requests


def test_without_a_server_the_mini_sdk_builds_and_says_why(
    place: Place, sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.run(Options(target="ramips", mirror=NOWHERE))
    assert made(place) == SAMPLE_IPK | SAMPLE_APK
    assert (
        "the mini-SDK builds (OpenWrt's is not in the cache, and 127.0.0.1:9 can't be reached: Connection refused)"
        in (capsys.readouterr().out)
    )


@pytest.mark.parametrize("locked", [False, True])
def test_the_sdk_alone_is_taken_where_it_is_asked_for_alone(place: Place, sample: Path, locked: bool) -> None:
    """The lock of a checkout has ImageBuilders, and the SDK's name only the server knows."""
    if locked:
        place.lock(f'["{STABLE}"."{MT7621}".imagebuilder]\nname = "openwrt-imagebuilder"\nsha256 = "{"0" * 64}"\n')
    with pytest.raises(Unreachable, match="sha256sums can't be reached"):
        build.run(Options(target="ramips", release="25.12", builder="sdk", mirror=NOWHERE))
    with pytest.raises(MissingError, match=r"--offline: .*sha256sums was not fetched before"):
        build.run(Options(target="ramips", release="25.12", builder="sdk", offline=True))
    assert made(place) == set()


def test_the_mini_sdk_asks_nobody(upstream: Upstream, place: Place, sample: Path) -> None:
    build.run(Options(target="ramips", builder="mini", mirror=upstream.url))
    assert made(place) == SAMPLE_IPK | SAMPLE_APK
    assert not upstream.requests


def test_older_releases_get_packages_by_their_conventions(place: Place, relay_alone: Path) -> None:
    build.run(Options(release="23.05", package="mailrelay"))
    assert made(place) == {"mailrelay_1.0.0-1_all.ipk"}


def test_a_machine_that_the_sdk_does_not_run_on_gets_the_mini_sdk(
    upstream: Upstream,
    place: Place,
    sample: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(openwrt_host, "MACHINES", ("pdp11",))
    build.run(Options(target="ramips", release="25.12", mirror=upstream.url))
    assert "OpenWrt's tools are for Linux on x86-64" in capsys.readouterr().out
    with pytest.raises(MissingError, match="x86-64"):
        build.run(Options(target="ramips", release="25.12", mirror=upstream.url, builder="sdk"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no-package", r"made no sample-1\.2\.3-r4\.apk \(it made: nothing\)"),
        ("one-less", r"made no sample-shell-1\.2\.3-r4\.apk \(it made: sample-1\.2\.3-r4\.apk\)"),
        ("no-compile", "the SDK failed: feeds/mailrelay/sample does not compile"),
    ],
)
def test_a_build_that_did_not_make_a_package_fails_and_says_which(
    upstream: Upstream, place: Place, sample: Path, fault: str, said: str
) -> None:
    (upstream.breakage / fault).touch()
    with pytest.raises(SdkError, match=said) as caught:
        build.run(Options(target="ramips", release="25.12", mirror=upstream.url))
    log = place.dist / "logs" / f"sdk-{STABLE}-ramips-mt7621.log"
    assert str(log) in str(caught.value)
    assert "package/sample/compile" in log.read_text()


def test_only_our_feed_is_known_to_the_sdk(upstream: Upstream, place: Place, sample: Path) -> None:
    build.run(Options(target="ramips", release="25.12", mirror=upstream.url))
    (tree,) = (place.cache / "unpacked-openwrt").glob("*/openwrt-sdk-*")
    assert {path.name for path in (tree / "feeds").iterdir()} == {"mailrelay", "mailrelay.index"}
    assert {str(path.relative_to(tree)) for path in tree.glob("package/feeds/*/*")} == {
        "package/feeds/mailrelay/sample"
    }
    log = (place.dist / "logs" / f"sdk-{STABLE}-ramips-mt7621.log").read_text()
    assert "has a dependency on 'python3-light', which does not exist" in log


def test_python_is_never_compiled(
    upstream: Upstream, place: Place, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stable = Options(target="ramips", release="25.12", mirror=upstream.url)
    build.run(stable)
    (tree,) = (place.cache / "unpacked-openwrt").glob("*/openwrt-sdk-*")
    python = tree / "feeds" / "packages" / "python3"  # somebody has indexed the packages feed by hand
    python.mkdir(parents=True)
    (python / "Makefile").write_text("define Package/python3-light\nendef\n")
    (tree / "feeds" / "packages.index").write_text(str(python))
    build.run(stable)
    assert not list(tree.glob("package/feeds/packages/*"))
    monkeypatch.setattr(sdk, "_prune", lambda *_: None)
    with pytest.raises(SdkError, match="sets out to compile Python"):
        build.run(stable)


def test_a_luci_app_is_built_with_luci_base_alone_of_all_foreign_packages(
    upstream: Upstream, place: Place, sample: Path
) -> None:
    app = sample / "luci-app-mailrelay"
    (app / "htdocs" / "luci-static").mkdir(parents=True)
    (app / "htdocs" / "luci-static" / "mailrelay.js").write_text("'use strict';\n")
    (app / "Makefile").write_text(
        "include $(TOPDIR)/rules.mk\n\nPKG_VERSION:=1.0.0\nPKG_LICENSE:=Apache-2.0\nPKG_MAINTAINER:=x <x@localhost>\n"
        "LUCI_TITLE:=Mail\nLUCI_DEPENDS:=+luci-base +mailrelay-engine\n\ninclude $(TOPDIR)/feeds/luci/luci.mk\n"
    )
    for _ in range(2):  # the second time without fetching LuCI's feed again
        built = build.run(Options(target="ramips", release="25.12", mirror=upstream.url))
    assert {one.path.name for one in built} == {*SAMPLE_APK, "luci-app-mailrelay-1.0.0-r1.apk"}
    (tree,) = (place.cache / "unpacked-openwrt").glob("*/openwrt-sdk-*")
    assert {path.name for path in tree.glob("package/feeds/luci/*")} == {"luci-base"}
    log = (place.dist / "logs" / f"sdk-{STABLE}-ramips-mt7621.log").read_text()
    assert "Updating feed 'luci'" not in log


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"builder": "sdk"}, "--builder sdk needs to know whose SDK"),
        ({"target": "ramips", "format": "ipk", "release": "25.12"}, r"OpenWrt 25\.12\.5 takes apk"),
        ({"target": "rampis"}, "Did you mean ramips"),
        ({"target": "ramips", "builder": "maxi"}, "--builder: there is no 'maxi'.*Did you mean mini"),
        ({"target": "ramips", "package": "mailrely"}, "--package: there is no 'mailrely'"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_fetched(
    upstream: Upstream, place: Place, relay_alone: Path, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        build.run(Options(mirror=upstream.url, **options))
    assert not upstream.paths("openwrt-sdk")


def test_without_a_target_or_release_it_is_the_mini_sdk_as_ever(
    place: Place, relay_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(minisdk, "run", lambda **words: seen.append(words) or [])
    build.run(Options(package="mailrelay", format="ipk"))
    assert seen == [{"package": "mailrelay", "format": "ipk", "folder": place.dist, "reproducible": False}]
