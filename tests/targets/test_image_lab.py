"""`image` for the lab's targets: each option is carried out as for OpenWrt's images, or refused at once.

What forge/lab makes of it is not asked for here (tests/forge/test_lab.py, tests/lab): the firmware is a fake.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from forge.core import choices
from forge.core.errors import ForgeError, UsageError
from forge.images import image, imagebuilder
from forge.images.job import Made, Options
from forge.inv import qemu
from forge.lab import firmware as firmwares
from forge.lab import package_state, targets
from forge.vm import machines
from tests.targets.conftest import EPOCH, STABLE, Place
from tests.targets.test_image import GL, site
from tests.targets.test_image import packages as packages
from tests.targets.upstream import Upstream

LAB = "lab-mipsel"
built: list[dict[str, Any]] = []


@pytest.fixture(scope="module")
def known() -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What the lab offers, and what each engine needs: from the Makefiles, read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        return package_state.offered(), {engine: imagebuilder.relay_needs(engine) for engine in choices.ENGINES}


@pytest.fixture(autouse=True)
def _lab(
    known: tuple[dict[str, Any], dict[str, list[str]]], place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.clear()
    numbers = itertools.count()

    def build(target: targets.Target, *, packages: Any = (), **words: Any) -> firmwares.Firmware:
        names = [path.name.partition("_")[0] for path in packages]
        built.append({"target": target.name, "release": target.release, "packages": names, **words})
        folder = tmp_path / f"firmware-{next(numbers)}"
        folder.mkdir()
        for name in firmwares.FILES:
            (folder / name).write_text(f"{name} of {words['site'].name}")
        hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in firmwares.FILES}
        manifest = {"target": target.name, "kernel": "6.1", "files": hashes, "lan": "10.7.0.1/24"}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return firmwares.Firmware(target, folder, manifest)

    monkeypatch.setattr(firmwares, "build", build)
    monkeypatch.setattr(package_state, "offered", lambda: known[0])
    monkeypatch.setattr(
        package_state, "named", lambda target, names, folder, **_: [Path(f"{name}_1.ipk") for name in names]
    )
    monkeypatch.setattr(imagebuilder, "relay_needs", known[1].__getitem__)


def make(target: str = LAB, **options: Any) -> list[Made]:
    return image.run(Options(target=target, **options))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["mailrelay", "luci-app-mailrelay"]),
        ({"luci": False}, ["mailrelay"]),
        ({"bare": True}, []),
        ({"engine": "mailrelay-postfix"}, ["mailrelay-postfix", "luci-app-mailrelay"]),
        ({"engine": "mailrelay-postfix", "bare": True}, ["postfix"]),
        ({"packages": ("-luci-app-mailrelay", "postfix")}, ["mailrelay", "postfix"]),
        ({"packages": ("mailrelay",)}, ["mailrelay", "luci-app-mailrelay"]),
    ],
)
def test_the_relay_and_its_pages_are_in_unless_they_are_left_out(options: dict[str, Any], names: list[str]) -> None:
    make(**options)
    assert [one["packages"] for one in built] == [names]


def test_a_lab_target_is_made_as_of_either_release(place: Place) -> None:
    for release in ("24.10", "25.12"):
        [made] = make(release=release)
        assert built[-1]["release"] == release
        assert made.job.folder == place.dist / f"images/lab-{release}/lab-mipsel/mailrelay"


def test_options_reach_the_lab() -> None:
    make(disabled=("firewall",), feed="https://example.org/feed", offline=True)
    wanted = {"disabled": ("firewall",), "feed": "https://example.org/feed", "offline": True}
    assert built[0].items() >= wanted.items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"profile": "generic"}, "--profile means nothing for lab-mipsel"),
        ({"target": "lab-mipsel:generic"}, "--profile means nothing for lab-mipsel"),
        ({"release": "23.05"}, "--release: there is no '23.05'"),
        ({"release": "25.12", "packages": ("own_2_all.ipk",)}, "own_2_all.ipk is none of lab-mipsel 25.12's packages"),
        ({"mirror": "/media/usb"}, "--mirror means nothing for lab-mipsel"),
        ({"via": "https://sysupgrade.example.org"}, "--via means nothing for lab-mipsel"),
        ({"rootfs_mb": 64}, "--rootfs-mb means nothing for lab-mipsel"),
        ({"target": "lab-mipsl"}, "Did you mean lab-mipsel"),
        ({"target": "lab-mipsel,lab-mipsel"}, "two of the images would go to"),
        ({"packages": ("htop",)}, "--packages: there is no 'htop'"),
        ({"packages": ("-busybox",)}, "busybox is not what can be left out"),
        ({"packages": ("mailrelay-postfix",)}, "--engine mailrelay-postfix instead"),
        ({"packages": ("$(reboot)",)}, "is no name of a package"),
        ({"disabled": ("firewal",)}, "Did you mean firewall"),
        ({"disabled": ("mailrelay",), "bare": True}, "--disable: there is no 'mailrelay'"),
        ({"feed": "example"}, "--feed: 'example' is no address"),
    ],
)
def test_what_the_lab_cannot_do_is_refused_before_anything_is_built(
    place: Place, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make(**words)
    assert said in str(caught.value)
    assert not built and not place.dist.exists()


def test_every_site_gets_an_image_and_a_place_in_the_list(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [site(tmp_path / "sites", name) for name in ("hall-1", "hall-2")]
    make(target="lab-mipsel,lab-x86-64", sites=str(tmp_path / "sites"), jobs=4)
    assert sorted((one["target"], one["site"].name) for one in built) == [
        (target, name) for target in ("lab-mipsel", "lab-x86-64") for name in ("hall-1", "hall-2")
    ]
    top = place.dist / "images/lab-24.10/lab-mipsel"
    listed = json.loads((top / "sites.json").read_text())
    assert [(one["site"], one["target"], one["profile"]) for one in listed] == [
        ("hall-1", LAB, LAB),
        ("hall-2", LAB, LAB),
    ]
    assert listed[0]["settings"] == hashlib.sha256(files[0].read_bytes()).hexdigest()
    for one in listed:
        for file in one["files"]:
            data = (top / one["site"] / file["name"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
    told = capsys.readouterr().out + "".join(path.read_text() for path in (place.dist / "logs").iterdir())
    assert "a secret" not in told and "a secret" not in (top / "sites.json").read_text()
    assert sorted(path.name for path in (place.dist / "logs").glob("image-*")) == [
        f"image-{target}-24.10-{name}.log" for target in ("lab-mipsel", "lab-x86-64") for name in ("hall-1", "hall-2")
    ]


def test_beside_the_image_lie_its_hashes_and_its_profile(place: Place) -> None:
    make()
    folder = place.dist / "images/lab-24.10/lab-mipsel/mailrelay"
    subprocess.run(["sha256sum", "--check", "--strict", "sha256sums"], cwd=folder, check=True, capture_output=True)
    names = {line.split(" *")[1] for line in (folder / "sha256sums").read_text().splitlines()}
    assert names == {*firmwares.FILES, "manifest.json", "profiles.json"}
    profile = json.loads((folder / "profiles.json").read_text())["profiles"][LAB]
    assert [one["name"] for one in profile["images"]] == list(firmwares.FILES)


def test_images_of_openwrt_have_the_same_beside_them(
    upstream: Upstream, place: Place, tmp_path: Path, packages: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And both kinds are made in one go, wherever --out says."""
    for name in ("hall-1", "hall-2"):
        site(tmp_path / "sites", name)
    monkeypatch.setenv("MAILRELAY_MIRROR", upstream.url)
    out = tmp_path / "out"
    made = make(target=f"ramips:{GL},lab-mipsel", sites=str(tmp_path / "sites"), out=str(out))
    assert [one.job.facts["release"] for one in made] == [STABLE, STABLE, "lab-24.10", "lab-24.10"]
    for top in (out / STABLE / GL, out / "lab-24.10/lab-mipsel"):
        assert [one["site"] for one in json.loads((top / "sites.json").read_text())] == ["hall-1", "hall-2"]
        for name in ("hall-1", "hall-2"):
            subprocess.run(["sha256sum", "--check", "--strict", "sha256sums"], cwd=top / name, check=True)
            assert (top / name / "profiles.json").exists()
    assert not (place.dist / "images").exists()


def test_a_site_that_fails_is_named_and_stops_no_other(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bad", "good"):
        site(tmp_path / "sites", name)
    whole = firmwares.build

    def build(target: targets.Target, **words: Any) -> firmwares.Firmware:
        if words["site"].name == "bad":
            raise ForgeError("this site cannot be rendered")
        return whole(target, **words)

    monkeypatch.setattr(firmwares, "build", build)
    with pytest.raises(ForgeError, match=r"1 of 2 images failed:\n  lab-mipsel 24.10 bad: this site"):
        make(sites=str(tmp_path / "sites"))
    top = place.dist / "images/lab-24.10/lab-mipsel"
    assert [one["site"] for one in json.loads((top / "sites.json").read_text())] == ["good"]
    assert "FAIL this site cannot be rendered" in (place.dist / "logs/image-lab-mipsel-24.10-bad.log").read_text()


def test_next_names_what_was_made_and_qemu_knows_its_address(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(site=str(site(tmp_path, "hall-3")))
    folder = place.dist / "images/lab-24.10/lab-mipsel/hall-3"
    assert f"./inv qemu --target lab-mipsel --firmware {folder}\n" in capsys.readouterr().out

    class Booted(Exception):
        """What QEMU would be given."""

    def guest(*words: Any, **options: Any) -> None:
        raise Booted(words[1], options["lan"])

    monkeypatch.setattr(qemu, "Guest", guest)

    def boot(**words: str) -> tuple[Path, str]:
        with pytest.raises(Booted) as caught:
            qemu.run(**dict.fromkeys(("target", "firmware", "release", "disk", "site", "lan"), "") | words, memory=0)
        return caught.value.args  # type: ignore[return-value]

    assert boot(firmware=str(folder)) == (folder, "10.7.0.1/24")
    assert boot(firmware=str(folder), lan="10.8.0.1/24") == (folder, "10.8.0.1/24")
    built.clear()
    assert boot()[1] == machines.LAN_ADDRESS
    assert built[0]["packages"] == ["mailrelay", "luci-app-mailrelay"], "what qemu builds has the relay in it"


def test_a_package_of_the_owners_own_goes_in_by_its_path() -> None:
    make(packages=("own_2_all.ipk",))
    assert built[0]["packages"] == ["mailrelay", "luci-app-mailrelay", "own"]


def test_a_dry_run_names_the_images_and_makes_none(
    upstream: Upstream, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILRELAY_MIRROR", upstream.url)
    assert make(target=f"ramips:{GL},lab-mipsel", dry_run=True) == []
    shown = capsys.readouterr().out
    for folder in (f"images/{STABLE}/{GL}/mailrelay", "images/lab-24.10/lab-mipsel/mailrelay"):
        assert f"in {place.dist}/{folder}\n" in shown
    assert not built and not place.dist.exists() and not upstream.paths("imagebuilder")
