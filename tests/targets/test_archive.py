"""Archives: what is in one stays in its folder, whoever made it."""

from __future__ import annotations

import lzma
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from backports import zstd  # type: ignore[import-not-found, unused-ignore]

from forge.core import paths
from forge.core.errors import ForgeError
from forge.openwrt import archive
from forge.openwrt.archive import ArchiveError
from tests.targets.conftest import Place
from tests.targets.upstream import Link, pack


def special(name: str, kind: bytes, target: str = "", mode: int = 0o644) -> dict[str, Any]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return {name: info}


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with a victim beside the one that is unpacked into."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("untouched")
    (tmp_path / "into").mkdir()
    return tmp_path


def everything_outside(box: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in (box / "victim").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "members",
    [
        {"../victim/file": "x"},
        {"a/../../victim/file": "x"},
        {"/tmp/absolute": "x"},
        {"out": Link("../victim"), "out/file": "x"},
        {"out": Link("VICTIM"), "out/new": "x"},
        {"a/": None, "a/out": Link("../../victim"), "a/out/deeper/file": "x"},
        special("hard", tarfile.LNKTYPE, "../victim/file"),
        special("hard", tarfile.LNKTYPE, "/etc/passwd"),
        {"out": Link("../victim"), **special("hard", tarfile.LNKTYPE, "out/file")},
        special("device", tarfile.CHRTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda members: " + ".join(members),
)
def test_an_archive_that_reaches_out_is_refused_and_reaches_nothing(box: Path, members: dict[str, Any]) -> None:
    members = {name: Link(str(box / "victim")) if value == Link("VICTIM") else value for name, value in members.items()}
    before = everything_outside(box)
    pack(box / "bad.tar.zst", members)
    with pytest.raises(ArchiveError):
        archive.unpack(box / "bad.tar.zst", box / "into")
    assert everything_outside(box) == before
    assert sorted(path.name for path in box.iterdir()) == ["bad.tar.zst", "into", "victim"]
    assert not Path("/tmp/absolute").exists()


def test_a_file_in_the_place_of_a_link_is_written_there_and_not_where_it_led(box: Path) -> None:
    pack(box / "odd.tar.zst", {"name": Link("../victim/file"), "name/": None} | {"x": Link("../victim/file")})
    before = everything_outside(box)
    archive.unpack(box / "odd.tar.zst", box / "into")
    info = tarfile.TarInfo("x")
    pack(box / "more.tar.zst", {"x": info})
    archive.unpack(box / "more.tar.zst", box / "into")
    assert everything_outside(box) == before
    assert (box / "into" / "x").is_file() and not (box / "into" / "x").is_symlink()


def test_links_that_lead_to_the_hosts_programs_are_kept_as_links(box: Path) -> None:
    pack(box / "good.tar.zst", {"bin/": None, "bin/perl": Link("/usr/bin/perl"), "bin/sh": ("#!/bin/sh\n", 0o755)})
    archive.unpack(box / "good.tar.zst", box / "into")
    assert (box / "into/bin/perl").readlink() == Path("/usr/bin/perl")
    assert os.access(box / "into/bin/sh", os.X_OK)


def test_nothing_is_setuid_or_writable_for_others(box: Path) -> None:
    pack(box / "good.tar.zst", {"a": ("x", 0o6777), "b": ("x", 0o666), **special("d", tarfile.DIRTYPE, mode=0o777)})
    archive.unpack(box / "good.tar.zst", box / "into")
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (box / "into").iterdir()}
    assert modes == {"a": 0o755, "b": 0o644, "d": 0o755}


@pytest.mark.parametrize("suffix", ["zst", "xz"])
def test_both_of_openwrts_formats_are_read(box: Path, suffix: str) -> None:
    pack(box / "good.tar.zst", {"top/": None, "top/file": "contents"})
    raw = zstd.decompress((box / "good.tar.zst").read_bytes())
    (box / "good.tar.xz").write_bytes(lzma.compress(raw))
    archive.unpack(box / f"good.tar.{suffix}", box / "into")
    assert (box / "into/top/file").read_text() == "contents"


@pytest.mark.parametrize("damage", ["cut", "flipped", "not an archive"])
def test_a_damaged_archive_leaves_no_half_folder(place: Place, box: Path, damage: str) -> None:
    pack(box / "bad.tar.zst", {"top/": None, "top/file": os.urandom(100_000)})
    data = bytearray((box / "bad.tar.zst").read_bytes())
    if damage == "cut":
        del data[-50_000:]
    elif damage == "flipped":
        data[10] ^= 0xFF
    else:
        data = bytearray(b"<html>captive portal</html>")
    (box / "bad.tar.zst").write_bytes(data)
    with pytest.raises(ForgeError, match=r"bad\.tar\.zst"):
        archive.unpacked(box / "bad.tar.zst", "0" * 64)
    assert [path.name for path in paths.cache("unpacked-openwrt").iterdir() if path.is_dir()] == []


def test_an_archive_is_unpacked_once(place: Place, box: Path) -> None:
    pack(box / "good.tar.zst", {"top/": None, "top/file": "x"})
    first = archive.unpacked(box / "good.tar.zst", "a" * 64)
    (first / "kept").touch()
    assert archive.unpacked(box / "good.tar.zst", "a" * 64) == first
    assert (first / "kept").exists()


def test_a_cache_with_a_space_in_its_path_is_told_before_openwrts_tools_trip_over_it(
    place: Place, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(box / "my cache"))
    pack(box / "good.tar.zst", {"top/": None})
    with pytest.raises(ForgeError, match="has a space") as caught:
        archive.unpacked(box / "good.tar.zst", "a" * 64)
    assert paths.CACHE_VARIABLE in caught.value.hint


@pytest.mark.root
def test_a_full_disk_is_told_and_nothing_half_is_left(box: Path, small_disk: Path) -> None:
    pack(box / "big.tar.zst", {"top/": None, "top/file": bytes(1_000_000)})
    with pytest.raises(ForgeError, match=r"the disk is full: big\.tar\.zst"):
        archive.unpacked(box / "big.tar.zst", "a" * 64)
    assert [path.name for path in (small_disk / "unpacked-openwrt").iterdir() if path.is_dir()] == []
