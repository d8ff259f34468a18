"""`image`: from an empty cache to firmware with our packages and a site's settings in it; every way it fails is told.

The ImageBuilder is a fake (fake_imagebuilder.py), whose images are tars of what would be in them.
"""

from __future__ import annotations

import json
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forge.core import paths
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.images import image
from forge.images.imagebuilder import ImageError
from forge.images.job import LUCI_APP, Made, Options
from forge.openwrt import openwrt_host
from forge.packages import feed, keys, minisdk
from tests.targets.conftest import EPOCH, MT7621, STABLE, Place
from tests.targets.upstream import Upstream

GL = "glinet_gl-mt1300"
SITE = """\
hostname = "{name}"
[smarthost.provider]
host = "smtp.example.org"
username = "plant7@example.org"
password = "a secret of {name}"
"""


@pytest.fixture(autouse=True)
def _packages_once(monkeypatch: pytest.MonkeyPatch, packages: dict[str, list[Path]]) -> None:
    """The relay's packages are made once for all tests here: what is in them is not asked for here."""

    @contextmanager
    def local(planned: Any, options: Options) -> Any:
        wanted = options.own_packages
        yield {
            series: [path for path in files if any(path.name.startswith((f"{n}_", f"{n}-1")) for n in wanted)]
            for series, files in packages.items()
        }

    monkeypatch.setattr(image, "_local_packages", local)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        ipk, apk = ([one.path for one in minisdk.make(format=kind, folder=folder / kind)] for kind in ("ipk", "apk"))
    return {"24.10": ipk, "25.12": apk, "snapshot": apk}


def site(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(SITE.format(name=name))
    return path


def make(upstream: Upstream, target: str = "ramips", profile: str = GL, **options: Any) -> Made:
    (made,) = image.run(Options(target=target, profile=profile, mirror=upstream.url, **options))
    return made


def inside(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the fake ImageBuilder says that it was given, and the overlay."""
    with tarfile.open(path) as tar:
        files = {
            member.name.removeprefix("files/"): tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isfile()
        }
    return json.loads(files.pop("facts.json")), files


def test_from_an_empty_cache_to_firmware_with_the_relay_and_the_sites_settings(
    upstream: Upstream, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(upstream, site=str(site(tmp_path / "sites", "hall-3")))
    (found,) = made.images
    assert found.path == place.dist / "images" / STABLE / GL / "hall-3" / (
        f"openwrt-{STABLE}-hall-3-ramips-mt7621-{GL}-squashfs-sysupgrade.bin"
    )
    assert found.path.parent.stat().st_mode & 0o777 == 0o700, "the image has a password in it"
    facts, files = inside(found.path)
    assert {"mailrelay", "python3-light", "python3-openssl", "ca-bundle", "rpcd"} <= facts["packages"].keys()
    assert facts["files"] == ["luci-app-mailrelay-1.0.0-r1.apk", "mailrelay-1.0.0-r1.apk"]
    assert b"smtp.example.org" in files["etc/config/mailrelay"]
    assert b"a secret of hall-3" in files["etc/config/mailrelay"]
    assert any(b"hall-3" in text for name, text in files.items() if name.startswith("etc/uci-defaults/"))
    said = capsys.readouterr().out
    assert "ramips means ramips/mt7621" in said
    assert f"{found.path}" in said and "16.1 MB" in said and found.sha256 in said, "the size beside the device's limit"
    assert "sysupgrade -n" in said
    assert "QEMU has no ramips/mt7621" in said
    log = place.dist / "logs" / f"image-{STABLE}-{GL}-hall-3.log"
    assert "a secret" not in said and "a secret" not in log.read_text()


def test_an_opkg_release_gets_an_ipk_and_a_package_manager_of_its_own(upstream: Upstream, place: Place) -> None:
    made = make(upstream, release="24.10")
    facts, _ = inside(made.images[0].path)
    assert facts["files"] == ["luci-app-mailrelay_1.0.0-r1_all.ipk", "mailrelay_1.0.0-r1_all.ipk"]
    assert made.images[0].limit == 0, "24.10 does not publish limits"


def test_options_reach_the_imagebuilder(upstream: Upstream, place: Place) -> None:
    made = make(
        upstream, packages=("htop", "-busybox"), disabled=("odhcpd", "log"), rootfs_mb=256, engine="mailrelay-postfix"
    )
    facts, _ = inside(made.images[0].path)
    assert "htop" in facts["packages"] and "busybox" not in facts["packages"]
    assert "postfix" in facts["packages"] and "mailrelay" not in facts["packages"]
    assert (facts["disabled"], facts["partsize"]) == (["odhcpd", "log"], "256")
    assert facts["files"] == ["luci-app-mailrelay-1.0.0-r1.apk", "mailrelay-postfix-1.0.0-r1.apk"]


def test_a_site_brings_the_packages_that_its_line_needs(upstream: Upstream, place: Place, tmp_path: Path) -> None:
    path = site(tmp_path, "lte")
    path.write_text(path.read_text() + '[wan]\nprotocol = "qmi"\napn = "internet"\n')
    facts, _ = inside(make(upstream, site=str(path)).images[0].path)
    assert {"uqmi", "kmod-usb-net-qmi-wwan"} <= facts["packages"].keys()


@pytest.mark.parametrize(("release", "key", "line"), [("25.12", "pem", "packages.adb"), ("24.10", "usign", "src/gz")])
def test_a_router_can_upgrade_from_our_feed_when_the_image_knows_it(
    upstream: Upstream, place: Place, release: str, key: str, line: str
) -> None:
    made = make(upstream, release=release, feed="https://example.org/feed/")
    _, files = inside(made.images[0].path)
    pair = keys.load()
    if key == "pem":
        assert files["etc/apk/keys/mailrelay.pem"] == keys.apk_public_text(pair.apk.public_key())
        assert files["etc/apk/repositories.d/customfeeds.list"] == b"https://example.org/feed/apk/packages.adb\n"
        assert files["lib/upgrade/keep.d/mailrelay-feed"] == b"/etc/apk/keys/mailrelay.pem\n"
    else:
        assert files[f"etc/opkg/keys/{pair.usign.public.fingerprint}"].decode() == pair.usign.public.text()
        assert files["etc/opkg/customfeeds.conf"] == f"src/gz {feed.NAME} https://example.org/feed/opkg\n".encode()


def test_a_second_image_needs_no_server(upstream: Upstream, place: Place) -> None:
    make(upstream)
    upstream.requests.clear()
    assert len(make(upstream, offline=True).images) == 1
    assert not upstream.requests
    assert list((place.cache / "work").iterdir()) == [], "no build leaves anything behind"


def test_without_a_server_or_a_cache_it_says_at_once_what_is_missing(upstream: Upstream, place: Place) -> None:
    place.lock("")
    with pytest.raises(ForgeError, match=r"sha256sums can't be reached: Connection refused"):
        image.run(Options(target="ramips", profile=GL, mirror="http://127.0.0.1:9"))
    with pytest.raises(MissingError, match=r"--offline: releases/25\.12\.5/targets/ramips/mt7621/sha256sums"):
        image.run(Options(target="ramips", profile=GL, offline=True))


def test_every_site_of_a_folder_gets_an_image_of_its_own_several_at_a_time(
    upstream: Upstream, place: Place, tmp_path: Path
) -> None:
    names = ("hall-1", "hall-2", "hall-3")
    for name in names:
        site(tmp_path / "sites", name)
    sites = str(tmp_path / "sites")
    made = image.run(Options(target="ramips", profile=GL, sites=sites, jobs=3, mirror=upstream.url))
    for name, one in zip(names, made, strict=True):
        _, files = inside(one.images[0].path)
        assert one.images[0].path.parent.name == name
        assert f"a secret of {name}".encode() in files["etc/config/mailrelay"]
        assert sum(b"a secret of" in text for text in files.values()) == 1


def test_several_targets_are_built_in_one_go(upstream: Upstream, place: Place) -> None:
    made = image.run(Options(target=f"ramips:{GL},x86", jobs=2, mirror=upstream.url))
    assert [one.job.facts["target"] for one in made] == [MT7621, "x86/64"]
    assert len(made[1].images) == 2


def test_a_target_without_profiles_json_is_built_by_what_make_info_tells(upstream: Upstream, place: Place) -> None:
    made = make(upstream, target="malta", profile="generic", release="24.10")
    assert len(made.images) == 2
    with pytest.raises(UsageError, match=r"malta/le has no 'genric'\. Did you mean generic"):
        make(upstream, target="malta", profile="genric", release="24.10")


def test_a_build_replaces_the_one_before_it_as_a_whole(upstream: Upstream, place: Place) -> None:
    folder = make(upstream).images[0].path.parent
    (folder / "old").touch()
    make(upstream)
    assert not (folder / "old").exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


# ---- what can go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said", "hint"),
    [
        (
            "too-big",
            r"too big for the device: 17825792 > 16121856 bytes; the ImageBuilder deleted it",
            "--packages=-NAME",
        ),
        ("prerequisite", "lacks something that the ImageBuilder needs", "./inv doctor"),
        ("clash", "mailrelay and msmtp-mta both have /usr/sbin/sendmail", "--packages=-msmtp-mta"),
        ("damaged", "is damaged: expected sha256 0000", "is the disk sound"),
    ],
)
def test_a_failure_is_told_in_a_line_with_its_mend_and_the_log(
    upstream: Upstream, place: Place, capsys: pytest.CaptureFixture[str], fault: str, said: str, hint: str
) -> None:
    (upstream.breakage / fault).touch()
    with pytest.raises(ImageError, match=said) as caught:
        make(upstream)
    assert hint in caught.value.hint
    log = place.dist / "logs" / f"image-{STABLE}-{GL}-mailrelay.log"
    assert str(log) in caught.value.message and "$ make manifest" in log.read_text()
    assert not (place.dist / "images").exists(), "no image is better than a wrong one"
    shown = "17825792  16121856          FAIL 1703936 too many"
    assert (shown in capsys.readouterr().out) == (fault == "too-big"), "beside the limit"
    aloud = "Checking rsync... failed."
    assert (aloud in log.read_text()) == (fault == "prerequisite"), "the ImageBuilder's own check is run again"


@pytest.mark.parametrize(
    ("release", "said"),
    [("25.12", r"there is no package no-such, required by world\[no-such\]"), ("24.10", "there is no package no-such")],
)
def test_a_package_that_does_not_exist_is_named_before_anything_is_built(
    upstream: Upstream, place: Place, release: str, said: str
) -> None:
    with pytest.raises(ImageError, match=said):
        make(upstream, release=release, packages=("no-such",))
    (log,) = (place.dist / "logs").iterdir()
    assert "$ make image" not in log.read_text()


def test_every_image_of_a_device_is_required_by_name(upstream: Upstream, place: Place) -> None:
    (upstream.breakage / "one-less").touch()
    with pytest.raises(ImageError, match=r"ended well, but made no .*xiaomi_mi-router-3g-squashfs-factory\.bin"):
        make(upstream, profile="xiaomi_mi-router-3g")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"target": "rampis"}, "Did you mean ramips"),
        ({"target": "ramips", "profile": "glinet_gl-mt1200"}, "Did you mean glinet_gl-mt1300"),
        ({"target": "ramips", "profile": ""}, "2 profiles"),
        ({"target": "ramips", "profile": GL, "release": "25.21"}, "--release: there is no '25.21'"),
        ({"target": "ramips", "profile": GL, "sites": "/nowhere"}, "no .toml file in /nowhere"),
        ({"target": "ramips", "profile": GL, "site": "a", "sites": "b"}, "leave one of the two out"),
        ({"target": ",", "profile": GL}, "--target names none"),
        ({"target": f"ramips:{GL},{MT7621}:{GL}"}, "two of the images would go to"),
        ({"target": "ramips", "profile": GL, "packages": ("$(reboot)",)}, "is no name of a package"),
        ({"target": "ramips", "profile": GL, "engine": "exim"}, "--engine: there is no 'exim'"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_built(
    upstream: Upstream, place: Place, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        image.run(Options(mirror=upstream.url, **words))
    assert said in str(caught.value)
    assert not (place.dist / "logs").exists()


def test_a_faulty_site_is_told_before_anything_is_fetched(upstream: Upstream, place: Place, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("hostnam = 'x'\n")
    with pytest.raises(ForgeError, match="hostnam"):
        make(upstream, site=str(bad))
    assert not upstream.requests


def test_a_machine_that_openwrts_tools_do_not_run_on_is_told_what_does(
    upstream: Upstream, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openwrt_host, "MACHINES", ("pdp11",))
    with pytest.raises(MissingError, match="Linux on x86-64") as caught:
        make(upstream)
    assert "--via" in caught.value.hint
    assert not upstream.paths("imagebuilder")


def test_the_packages_that_go_in_are_those_of_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "PACKAGES", tmp_path)
    assert Options().own_packages == ["mailrelay"]
    (tmp_path / LUCI_APP).mkdir()
    (tmp_path / LUCI_APP / "Makefile").touch()
    assert Options().own_packages == ["mailrelay", "luci-app-mailrelay"]
    assert Options(luci=False).own_packages == ["mailrelay"]
    assert Options(bare=True).own_packages == []
