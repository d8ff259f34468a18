"""Packages and indexes for apk: the sample's are those recorded, byte for byte; trees come back; damage is noticed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.packages import apk, apk_archive, stage
from forge.packages.adb import adb, signatures
from forge.packages.adb.schema import INDEX_SCHEMA, PACKAGE, PACKAGE_SCHEMA
from forge.packages.apk_archive import ApkError, Member
from forge.packages.package import Package

from .samples import EPOCHS, GOLDEN, MADE, PLAIN, SOURCE
from .trees import TREES, Tree, plant

RECORDED = MADE / "25.12"
FILES = ["sample-1.2.3-r4.apk", "sample-shell-1.2.3-r4.apk"]


@pytest.fixture(scope="module")
def staged() -> Iterator[dict[str, Package]]:
    with stage.staged(GOLDEN / "sample", epoch=EPOCHS["25.12"], source=SOURCE) as packages:
        yield {apk.file_name(package): package for package in packages}


@pytest.fixture
def plain(tmp_path: Path) -> Package:
    """A package without anything but one file."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "file").write_bytes(b"content")
    return dataclasses.replace(PLAIN, root=root)


def packed(package: Package, folder: Path) -> apk_archive.Archive:
    [path] = apk.pack(package, folder)
    return apk_archive.read(path.read_bytes())


# What OpenWrt's build system made


@pytest.mark.parametrize("name", FILES)
def test_the_sample_package_has_the_recorded_bytes(staged: dict[str, Package], tmp_path: Path, name: str) -> None:
    assert apk.pack(staged[name], tmp_path) == [tmp_path / name]
    assert (tmp_path / name).read_bytes() == (RECORDED / name).read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_an_index_is_refused_with_another_key() -> None:
    index = apk.index([RECORDED / FILES[0]], ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(adb.AdbError, match="not signed with this key"):
        apk.read_index(index, ec.generate_private_key(ec.SECP256R1()).public_key())


def test_a_package_is_listed_with_its_fields_files_and_scripts() -> None:
    contents = apk.inspect(RECORDED / FILES[0])
    assert dict(contents.control)["depends"] == "libc python3-light python3-openssl"
    assert [name for name, _ in contents.control][:2] == ["name", "version"]
    assert contents.conffiles == ["/etc/config/sample", "/etc/sample/"]
    assert sorted(contents.scripts) == ["post-install", "post-upgrade", "pre-deinstall"]
    files = {entry.path: entry for entry in contents.files}
    assert (files["/etc/init.d/sample"].mode, files["/etc/init.d/sample"].size) == (0o755, 69)
    assert files["/usr/sbin/sample-sendmail"].target == "../lib/sample/sendmail"
    assert contents.faults == []


@pytest.mark.parametrize("name", FILES)
def test_a_signature_is_added_once_a_key_and_taken_off_again(name: str, tmp_path: Path) -> None:
    file, recorded = tmp_path / name, (RECORDED / name).read_bytes()
    assert apk.unsigned(recorded) == recorded
    file.write_bytes(recorded)
    ours, strangers = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    for key in (strangers, ours, ours):  # OpenWrt's main signs each package with a key of the build's own
        apk.sign(file, key)
    signed = adb.decode(file.read_bytes())
    assert len(signed.signatures) == 2
    assert signatures.verify(signed, ours.public_key()) and signatures.verify(signed, strangers.public_key())
    assert apk.inspect(file, ours.public_key()).faults == []
    assert apk.unsigned(file.read_bytes()) == recorded


# What a package says beyond the sample


def test_scripts_of_every_kind_are_wrapped_as_openwrt_does(plain: Package, tmp_path: Path) -> None:
    own = {name: f"#!/bin/sh\n{name} body\n" for name in ("preinst", "postinst", "prerm", "postrm")}
    scripts = packed(dataclasses.replace(plain, scripts=own), tmp_path).scripts
    assert scripts["pre-install"] == own["preinst"]
    assert scripts["pre-upgrade"] == "#!/bin/sh\nexport PKG_UPGRADE=1\npreinst body\n"
    assert scripts["post-deinstall"] == own["postrm"]
    assert scripts["post-upgrade"] == scripts["post-install"].replace("\n", "\nexport PKG_UPGRADE=1\n", 1)
    for name, text in scripts.items():
        assert text.count("#!") == 1, name


def test_provided_names_have_the_version_unless_an_at_sign_asks_for_none(plain: Package, tmp_path: Path) -> None:
    package = dataclasses.replace(plain, provides=["engine", "@shared", "plain"])
    assert packed(package, tmp_path).info["provides"] == ["engine=1.0-r1", "plain-any", "shared"]


def test_the_default_variant_goes_first(plain: Package, tmp_path: Path) -> None:
    assert "provider-priority" not in packed(plain, tmp_path).info
    assert packed(dataclasses.replace(plain, default_variant=True), tmp_path).info["provider-priority"] == 100


def test_versioned_dependencies_are_understood(plain: Package, tmp_path: Path) -> None:
    package = dataclasses.replace(plain, depends=["libc", "ssl (>= 3.0)"])
    assert packed(package, tmp_path).info["depends"] == ["libc", "ssl>=3.0"]


def test_checksums_are_kept_of_the_configuration_that_is_shipped(plain: Package, tmp_path: Path) -> None:
    package = dataclasses.replace(plain, conffiles=["/etc/file", "/etc/other", "/etc/"])
    files = {member.path: member.content.decode() for member in packed(package, tmp_path).members}
    assert files["lib/apk/packages/plain.conffiles"] == "/etc/file\n/etc/other\n/etc/\n"
    digest = hashlib.sha256(b"content").hexdigest()
    assert files["lib/apk/packages/plain.conffiles_static"] == f"/etc/file {digest}\n"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "1.0beta"}, "does not take '1.0beta-r1' for a version"),
        ({"release": "x"}, "for a version"),
        ({"name": "-x"}, "no package of the name"),
        ({"name": "a/b"}, "no package of the name"),
        ({"depends": ["a b=c"]}, "apk understands"),
    ],
)
def test_what_apk_would_refuse_is_refused(plain: Package, tmp_path: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(adb.AdbError, match=why):
        apk.pack(dataclasses.replace(plain, **change), tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*.apk"))


def test_what_is_no_file_is_refused(plain: Package, tmp_path: Path) -> None:
    os.mkfifo(plain.root / "etc" / "pipe")
    with pytest.raises(ApkError, match="/etc/pipe is a device, a pipe or a socket"):
        apk.pack(plain, tmp_path)


def test_a_package_that_ships_what_the_packer_writes_is_refused(plain: Package, tmp_path: Path) -> None:
    folder = plain.root / "lib/apk/packages"
    folder.mkdir(parents=True)
    (folder / "plain.list").touch()
    with pytest.raises(ApkError, match="twice"):
        apk.pack(plain, tmp_path)


def test_an_index_is_made_of_packages_under_their_own_names_only(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    shutil.copy(RECORDED / FILES[0], tmp_path / "other.apk")
    with pytest.raises(ApkError, match=r"under the name sample-1\.2\.3-r4\.apk"):
        apk.index([tmp_path / "other.apk"], key)


# Any tree


@settings(max_examples=60, deadline=None)
@given(TREES, st.integers(0, 2**40))
def test_any_tree_packs_and_reads_back_to_itself(tree: Tree, epoch: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plant(root, tree)
        before = apk.scan(root)
        info = {"name": "x", "version": "1"}
        content = apk_archive.encode(info, before, {}, epoch)
    assert content == apk_archive.encode(info, reversed(before), {}, epoch)
    after = apk_archive.read(content)
    assert sorted(after.members, key=lambda one: one.path) == sorted(before, key=lambda one: one.path)
    found = {one.path: (one.kind, one.mode, one.content) for one in after.members}
    assert {path: found.get(path) for path in tree} == tree


# Hostile packages


def archive(*members: Member) -> bytes:
    return apk_archive.encode({"name": "x", "version": "1"}, members, {}, 0)


def forged(tree: dict[str, object], data: tuple[bytes, ...] = ()) -> bytes:
    """A package with any tree of values, and a unique id that is right."""
    writer = adb.Writer()
    marker = bytes(range(20))
    info = {"name": "x", "version": "1", "hashes": marker}
    body = bytes(writer.finish(writer.value(PACKAGE, {"info": info, **tree})))
    unique_id = hashlib.sha256(body.replace(marker, bytes(20), 1)).digest()[:20]
    return adb.File(PACKAGE_SCHEMA, body.replace(marker, unique_id, 1), data=data).encode()


def one_file(path: str, name: str, **more: object) -> bytes:
    file = {"name": name, "hash": hashlib.sha256(b"").digest(), **more}
    return forged({"paths": [{"name": path, "files": [file]}]})


def test_a_forged_package_is_good_where_nothing_is_wrong_with_it() -> None:
    assert [member.path for member in apk_archive.read(one_file("etc", "x")).members] == ["etc", "etc/x"]


ELSEWHERE = [(path, "x") for path in ("/etc", "..", "etc/../..", "etc//x", "./etc", "etc/", "a\0b")]
ELSEWHERE += [("etc", name) for name in ("", "..", ".", "a/b", "/", "a\0")]


@pytest.mark.parametrize(("path", "name"), ELSEWHERE)
def test_directories_and_files_that_lead_elsewhere_are_refused(path: str, name: str) -> None:
    with pytest.raises(ApkError, match=r"with the (path|name)"):
        apk_archive.read(one_file(path, name))


def test_a_file_by_way_of_a_link_is_refused() -> None:
    link = {"name": "way", "target": struct.pack("<H", 0o120000) + b"/etc"}
    for path, why in (("way", "twice"), ("way/down", "no directory")):
        with pytest.raises(ApkError, match=why):
            apk_archive.read(forged({"paths": [{"name": "", "files": [link]}, {"name": path}]}))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"size": 3}, "missing"),
        ({"hash": bytes(32)}, "hash does not match"),
        ({"hash": b""}, "hash does not match"),
        ({"acl": {"mode": 0o100644}}, "mode"),
        ({"target": struct.pack("<H", 0o020000) + bytes(8)}, "device"),
        ({"target": struct.pack("<H", 0o100000) + b"etc/shadow"}, "hard link to nothing"),
        ({"target": b"x"}, "device"),
    ],
)
def test_files_that_are_not_what_they_say_are_refused(more: dict[str, object], why: str) -> None:
    with pytest.raises(ApkError, match=why):
        apk_archive.read(one_file("etc", "x", **more))


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"paths": [{"files": [{"name": "x", "size": 2, "hash": hashlib.sha256(b"1").digest()}]}]}, "another size"),
        ({}, "belongs to no file"),
    ],
)
def test_data_of_another_size_than_its_file_says_or_of_none_is_refused(tree: dict[str, object], why: str) -> None:
    with pytest.raises(ApkError, match=why):
        apk_archive.read(forged(tree, data=(struct.pack("<II", 1, 1) + b"1",)))


def test_the_unique_id_has_bytes_of_its_own() -> None:
    """It is filled in at the end: a text that looked like the empty place must not change with it."""
    info = {"name": "x", "version": "1", "description": "\0" * apk_archive.UNIQUE_ID}
    content = apk_archive.encode(info, [], {}, 0)
    assert adb.read(adb.decode(content).body, PACKAGE)["info"]["description"] == info["description"]


def test_a_file_there_twice_is_refused() -> None:
    with pytest.raises(ApkError, match="twice"):
        archive(Member("a", "file", 0o644, b"1"), Member("a", "file", 0o644, b"2"))
    with pytest.raises(ApkError, match="twice"):
        apk_archive.read(forged({"paths": [{"name": "a"}, {"name": "a"}]}))


def test_a_hard_link_of_apks_own_packer_reads_as_its_file() -> None:
    original = {"name": "a", "size": 1, "hash": hashlib.sha256(b"1").digest()}
    link = {"name": "b", "size": 1, "target": struct.pack("<H", 0o100000) + b"a"}
    content = forged({"paths": [{"files": [original, link]}]}, data=(struct.pack("<II", 1, 1) + b"1",))
    assert [member.content for member in apk_archive.read(content).members] == [b"", b"1", b"1"]


@pytest.mark.parametrize("name", FILES)
def test_every_changed_bit_of_a_package_is_noticed(name: str) -> None:
    """Raw deflate has no checksum: the unique id and the files' hashes are what notices."""
    file = adb.decode((RECORDED / name).read_bytes())
    for place in range(0, len(file.body), 7):
        body = bytearray(file.body)
        body[place] ^= 4
        with pytest.raises(adb.AdbError):
            apk_archive.read(adb.File(file.schema, bytes(body), data=file.data).encode())
    for number, data in enumerate(file.data):
        changed = data[:-1] + bytes([data[-1] ^ 4])
        blocks = (*file.data[:number], changed, *file.data[number + 1 :])
        with pytest.raises(ApkError, match="damaged"):
            apk_archive.read(adb.File(file.schema, file.body, data=blocks).encode())


def test_a_damaged_package_does_not_get_into_an_index(tmp_path: Path) -> None:
    """Its own form and metadata are good; one file's data is not what its hash says."""
    file = adb.decode((RECORDED / FILES[0]).read_bytes())
    path = tmp_path / FILES[0]
    path.write_bytes(adb.File(file.schema, file.body, data=(file.data[0][:-1] + b"?", *file.data[1:])).encode())
    with pytest.raises(ApkError, match="damaged"):
        apk.index([path], ec.generate_private_key(ec.SECP256R1()))


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.apk"
    path.write_bytes((RECORDED / FILES[0]).read_bytes()[:-9])
    with pytest.raises(ApkError, match=r"broken\.apk: it is cut off"):
        apk.inspect(path)
    path.write_bytes(adb.File(INDEX_SCHEMA, bytes(8)).encode())
    with pytest.raises(ApkError, match="no package, but an index"):
        apk.inspect(path)


def test_setuid_files_and_strangers_property_are_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "x.apk"
    path.write_bytes(archive(Member("a", "file", 0o4755), Member("b", "file", 0o644, owner="nobody:root")))
    assert apk.inspect(path).faults == ["/a: its mode is 4755", "/b: it belongs to nobody:root"]
