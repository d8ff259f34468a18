"""Names: what a person types for a release, a target or a device is understood, or answered with what is near."""

from __future__ import annotations

import pytest

from forge.core.errors import UsageError
from forge.openwrt import catalog
from forge.openwrt import profile as device_profile
from tests.targets.conftest import MT7621, OLD, STABLE, Place
from tests.targets.upstream import profiles


@pytest.mark.parametrize(
    ("text", "number", "format"),
    [
        ("25.12", STABLE, "apk"),
        ("24.10", OLD, "ipk"),
        ("v25.12.5", STABLE, "apk"),
        ("openwrt-25.12", STABLE, "apk"),
        ("24.10.3", "24.10.3", "ipk"),
        ("25.12.0-rc2", "25.12.0-rc2", "apk"),
        ("snapshot", "snapshot", "apk"),
        ("main", "snapshot", "apk"),
        ("SNAPSHOT", "snapshot", "apk"),
    ],
)
def test_a_release_is_known_by_its_series_number_or_usual_name(
    place: Place, text: str, number: str, format: str
) -> None:
    version = catalog.version(text)
    assert (version.number, version.release.format) == (number, format)


def test_the_four_releases_are_there_and_one_is_the_stable(place: Place) -> None:
    assert [one.series for one in catalog.releases()] == ["25.12", "24.10", "23.05", "snapshot"]
    assert catalog.stable().series == "25.12"
    assert catalog.for_format("ipk").series == "24.10"
    assert catalog.for_format("apk").series == "25.12"


@pytest.mark.parametrize("text", ["25.21", "22.03", "latest", "25.12.x", ""])
def test_a_release_that_does_not_exist_is_answered_with_those_that_do(place: Place, text: str) -> None:
    with pytest.raises(UsageError, match="--release: there is no") as caught:
        catalog.version(text)
    assert "25.12.5" in caught.value.hint


def test_the_lock_says_which_release_of_a_series_a_target_has(place: Place) -> None:
    place.lock('["24.10.5"."malta/le".imagebuilder]\nname = "x"\nsha256 = "y"\n[newest]\n"24.10" = "24.10.9"\n')
    assert catalog.version("24.10", target="malta/le").number == "24.10.5"
    assert catalog.version("24.10", target=MT7621).number == "24.10.9"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ramips/mt7621", MT7621),
        ("ramips", MT7621),
        ("RAMIPS/", MT7621),
        ("ramips-mt7621", MT7621),
        ("x86", "x86/64"),
        ("malta", "malta/le"),
        ("glinet_gl-mt1300", MT7621),
        ("GL.iNet GL-MT300N-V2", "ramips/mt76x8"),
        ("gl-mt1300", MT7621),
        ("GL-B1300", "ipq40xx/generic"),
        ("zynq", "zynq/generic"),
    ],
)
def test_a_target_is_known_by_its_name_its_family_or_a_board(place: Place, text: str, name: str) -> None:
    found, guess = catalog.target(text, {"zynq/generic": "arm_cortex-a9_neon"})
    assert found.name == name
    assert bool(guess) == (text.lower() != name), "a guess is said aloud"


def test_the_end_of_a_boards_name_is_enough_where_no_other_has_it(place: Place) -> None:
    found = catalog.board("GL-MT1300")
    assert found and found.profile == "glinet_gl-mt1300"
    assert catalog.board("1300") is None, "GL-B1300 is another"
    assert catalog.board("00") is None and catalog.board("") is None


def test_a_family_says_what_it_was_taken_for_and_what_else_there_is(place: Place) -> None:
    _, guess = catalog.target("ramips")
    assert "ramips means ramips/mt7621" in guess and "ramips/mt76x8" in guess


@pytest.mark.parametrize(
    ("text", "near"), [("rampis", "ramips"), ("ramips/mt7261", "ramips/mt7621"), ("x86/46", "x86/64")]
)
def test_a_mistyped_target_gets_near_matches(place: Place, text: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.target(text)
    assert near in caught.value.message.partition("Did you mean")[2]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("glinet_gl-mt1300", "glinet_gl-mt1300"),
        ("glinet,gl-mt1300", "glinet_gl-mt1300"),  # what `ubus call system board` says on the router
        ("GL-MT1300", "glinet_gl-mt1300"),
        ("GL.iNet GL-MT1300", "glinet_gl-mt1300"),
        ("glinet gl mt1300", "glinet_gl-mt1300"),
        ("R3G", "xiaomi_mi-router-3g"),  # an old board name
    ],
)
def test_a_device_is_known_by_profile_board_name_or_title(place: Place, text: str, name: str) -> None:
    assert catalog.profile(text, profiles(STABLE, MT7621), MT7621)[0] == name


def test_a_mistyped_device_gets_near_matches(place: Place) -> None:
    with pytest.raises(UsageError, match=r"ramips/mt7621 has no 'glinet_gl-mt1200'\. Did you mean glinet_gl-mt1300"):
        catalog.profile("glinet_gl-mt1200", profiles(STABLE, MT7621), MT7621)


def test_only_a_target_with_one_profile_needs_none_named(place: Place) -> None:
    assert catalog.profile("", profiles(STABLE, "x86/64"), "x86/64")[0] == "generic"
    with pytest.raises(UsageError, match="2 profiles"):
        catalog.profile("", profiles(STABLE, MT7621), MT7621)


def test_the_images_of_a_device_are_named_as_the_imagebuilder_names_them(place: Place) -> None:
    found = device_profile.of("glinet_gl-mt1300", {"profiles": profiles(STABLE, MT7621)})
    target = catalog.Target(MT7621)
    assert device_profile.named(found, catalog.version(STABLE), target, "hall-3") == (
        "openwrt-25.12.5-hall-3-ramips-mt7621-glinet_gl-mt1300-squashfs-sysupgrade.bin",
    ), "without the initramfs, which only OpenWrt's own build makes"
    found = device_profile.of("glinet_gl-mt1300", {"profiles": profiles("snapshot", MT7621)})
    assert device_profile.named(found, catalog.version("snapshot"), target, "x") == (
        "openwrt-x-ramips-mt7621-glinet_gl-mt1300-squashfs-sysupgrade.bin",
    )
