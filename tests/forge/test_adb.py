"""The ADB format: recorded files are read, shown and written again as apk does it; bad ones bring AdbError alone."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.packages import apk, apk_archive
from forge.packages.adb import adb, signatures
from forge.packages.adb.schema import INDEX, INDEX_SCHEMA, INFO, PACKAGE, PACKAGE_SCHEMA
from tests.forge import adb_dump
from tests.forge.samples import MADE, apk_public

RECORDED = MADE / "25.12"
FILES = ["packages.adb", "sample-1.2.3-r4.apk", "sample-shell-1.2.3-r4.apk"]


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def packed(raw: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"ADBd" + packer.compress(raw) + packer.flush()


def with_body(body: bytes, schema: int = INDEX_SCHEMA) -> bytes:
    return adb.File(schema, body).encode()


# Recorded files


@pytest.mark.parametrize("name", FILES)
def test_a_recorded_file_reads_like_its_recorded_dump_and_is_written_again_byte_for_byte(name: str) -> None:
    assert adb_dump.dump(recorded(name)) == (RECORDED / f"{name}.dump.txt").read_text()
    assert adb.decode(recorded(name)).encode() == recorded(name)


def test_the_recorded_index_is_signed_by_the_recorded_key_and_no_other() -> None:
    key = apk_public(recorded("public-key.pem"))
    file = adb.decode(recorded("packages.adb"))
    assert signatures.verify(file, key)
    assert not signatures.verify(file, ec.generate_private_key(ec.SECP256R1()).public_key())


@pytest.mark.parametrize("place", range(0, 696, 29))
def test_a_changed_byte_breaks_the_signature(place: int) -> None:
    key = apk_public(recorded("public-key.pem"))
    file = adb.decode(recorded("packages.adb"))
    body = bytearray(file.body)
    body[place] ^= 1
    assert not signatures.verify(adb.File(file.schema, bytes(body), file.signatures), key)
    assert not signatures.verify(adb.File(PACKAGE_SCHEMA, file.body, file.signatures), key)


# Values

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
names = st.from_regex(r"[a-z0-9][a-z0-9+._-]{0,20}", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-r[0-9])?", fullmatch=True)
dependencies = st.one_of(
    names,
    st.builds("!{}".format, names),
    st.builds("{}{}{}".format, names, st.sampled_from(["=", "<", ">", "<=", ">=", "~", ">~", "<~"]), versions),
    st.builds("!{}>={}".format, names, versions),
)
infos = st.fixed_dictionaries(
    {"name": names, "version": versions},
    optional={
        "description": texts,
        "hashes": st.binary(min_size=1, max_size=400),
        "url": st.text("x", min_size=1, max_size=70000),
        "build-time": st.integers(0, 2**64 - 1),
        "installed-size": st.integers(0, 2**40),
        "depends": st.lists(dependencies, min_size=1, unique=True),
        "tags": st.lists(texts, min_size=1),
    },
)


@given(st.lists(infos, min_size=1, max_size=4, unique_by=lambda info: info["name"]))
def test_a_tree_of_values_is_written_and_read_back(packages: list[dict[str, object]]) -> None:
    writer = adb.Writer()
    body = bytes(writer.finish(writer.value(INDEX, {"packages": packages})))
    file = adb.decode(with_body(body))
    found = adb.read(file.body, INDEX)["packages"]
    assert sorted(found, key=lambda one: one["name"]) == found, "apk looks packages up by bisection"
    for one in [*found, *packages]:
        if "depends" in one:
            one["depends"] = sorted(one["depends"])
    assert found == sorted(packages, key=lambda one: str(one["name"]))


def test_dependencies_are_sorted_and_written_once() -> None:
    writer = adb.Writer()
    slots = writer.slots(INFO, {"depends": ["b", "a>=1", "b", "a"]})
    body = bytes(writer.finish(writer.object(slots)))
    assert adb.read(body, INFO) == {"depends": ["a", "a>=1", "b"]}


def test_equal_values_are_stored_once() -> None:
    writer = adb.Writer()
    assert writer.blob(b"root") == writer.blob(b"root")
    assert writer.object({1: writer.number(7)}) == writer.object({1: writer.number(7)})
    assert writer.blob(b"root", shared=False) != writer.blob(b"root")


def test_a_value_is_not_shared_where_its_place_does_not_suit() -> None:
    """Numbers and objects lie at multiples of four; the same bytes as a text may lie anywhere."""
    writer = adb.Writer()
    writer.blob(b"x")
    writer.blob(b"\x01\x02\x30")  # behind its length, these are the bytes of the number
    word = writer.number(0x30020103)
    assert (word & 0x0FFFFFFF) % 4 == 0
    body = bytes(writer.finish(writer.object({INFO.slot("build-time"): word})))
    assert adb.read(body, INFO) == {"build-time": 0x30020103}


@pytest.mark.parametrize("text", ["", "a b", "a>=", "a>=x", "a=1_x", "=1", "a\n", "a=1.0-2", "é"])
def test_a_dependency_that_apk_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(adb.AdbError, match="apk understands"):
        adb.split_dependency(text)


GOOD_VERSIONS = ("1.2.3-r4", "1", "1.0a_rc2-r1", "1.0_p1~0badcafe-r1", "20240101~abc")


@pytest.mark.parametrize("version", [*GOOD_VERSIONS, "v1.0", "1.0-1", "1.0_x", "1.0-r", "1..0", "1.0-r1\n", ""])
def test_versions_are_those_of_apk(version: str) -> None:
    assert adb.is_version(version) is (version in GOOD_VERSIONS)


# Hostile input


def read(content: bytes) -> None:
    file = adb.decode(content)
    adb.read(file.body, adb_dump.SCHEMAS.get(file.schema, PACKAGE))


def survives(content: bytes) -> None:
    for look in (read, apk_archive.read, apk.read_index):
        try:
            look(content)
        except adb.AdbError as error:
            assert str(error)


@given(st.binary(max_size=400), st.sampled_from([b"", b"ADB.", b"ADBd", b"ADBc\x01\x09", b"ADB.pckg", b"ADB.indx"]))
def test_no_bytes_bring_anything_but_an_adb_error(content: bytes, head: bytes) -> None:
    survives(head + content)
    survives(packed(head + content))


@given(st.binary(max_size=200), st.sampled_from(sorted(adb_dump.SCHEMAS)))
def test_no_body_brings_anything_but_an_adb_error(tail: bytes, schema: int) -> None:
    survives(with_body(bytes(4) + tail, schema))
    # a root that points to the first value after the header
    survives(with_body(bytes(4) + struct.pack("<I", 0xE0000008) + tail, schema))


@settings(max_examples=300)
@given(st.sampled_from(FILES), st.data())
def test_no_change_to_a_recorded_file_brings_anything_but_an_adb_error(name: str, data: st.DataObject) -> None:
    raw = bytearray(b"ADB." + zlib.decompress(recorded(name)[4:], -15)[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    survives(bytes(raw))
    survives(bytes(raw[:cut]))


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_and_something_behind_its_end_are_refused(name: str) -> None:
    content = recorded(name)
    for end in range(len(content)):
        with pytest.raises(adb.AdbError):
            adb.decode(content[:end])
    with pytest.raises(adb.AdbError, match="follows"):
        adb.decode(content + b"x")


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused_before_it_does() -> None:
    bomb = packed(b"ADB." + bytes(50 << 20))
    tracemalloc.start()
    with pytest.raises(adb.AdbError, match="more than 1 MiB"):
        adb.decode(bomb, limit=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_tree_that_shares_its_way_to_endlessness_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """4,000 directories that all have the same 4,000 files: 16 million of them in 40 kB."""
    monkeypatch.setattr(adb, "MAX_TREE", 1 << 20)
    writer = adb.Writer()
    file = writer.object({1: writer.blob(b"name")})
    files = writer.array([file] * 4000)
    folder = writer.object({1: writer.blob(b"folder"), 3: files})
    body = bytes(writer.finish(writer.object({PACKAGE.slot("paths"): writer.array([folder] * 4000)})))
    with pytest.raises(adb.AdbError, match="more than"):
        adb.read(body, PACKAGE)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a file of apk-tools 3"),
        (b"\x1f\x8b\x08\x00 an apk of version 2", "not a file of apk-tools 3"),
        (b"ADBc\x02\x03(\xb5/\xfd", "zstd"),
        (packed(b"ADB.pckg"), "nothing in it"),
        (packed(b"ADB.pckg" + struct.pack("<I", 2 << 30 | 4) + bytes(4)), "not in order"),
        (packed(b"ADB.pckg" + struct.pack("<I", 12) + b"\x01" + bytes(11)), "later version"),
        (packed(b"ADB.pckg" + struct.pack("<I", 3 << 30 | 4) + bytes(4)), "kind this program does not know"),
        (packed(b"ADB.pckg" + struct.pack("<I", 1000) + bytes(4)), "size is wrong"),
        (with_body(bytes(4) + struct.pack("<I", 0x1FFFFFFF)), "not of the type"),
        (with_body(bytes(4) + struct.pack("<I", 0xE0000FFF)), "outside of the file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content: bytes, why: str) -> None:
    with pytest.raises(adb.AdbError, match=why):
        read(content)


def test_numbers_that_the_format_cannot_hold_are_refused() -> None:
    for number in (-1, 1 << 64):
        with pytest.raises(adb.AdbError):
            adb.Writer().number(number)
