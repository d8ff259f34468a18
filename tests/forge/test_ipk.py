"""Packages for opkg: the recorded bytes, any tree there and back, and listings of files that nobody vouches for."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.packages import ipk, ipk_read, stage, tar_reader
from forge.packages.ipk_read import IpkError
from forge.packages.package import Contents, Package

from .samples import EPOCHS, MADE, PLAIN, SOURCE, copy_sample, edit, gzipped_tar, ipk_of, tree_of
from .trees import TREES, Tree, plant

RECORDED = [path for release in ipk.RELEASES for path in sorted((MADE / release).glob("*.ipk"))]


@pytest.fixture
def plain(tmp_path: Path) -> Package:
    """A package with an empty tree, to change."""
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o755)
    return dataclasses.replace(PLAIN, root=root)


def packed(package: Package, release: str = "24.10") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        [output] = ipk.pack(package, Path(folder), release)
        assert list(Path(folder).iterdir()) == [output]
        return output.read_bytes()


def inspected(data: bytes) -> Contents:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.ipk")
        path.write_bytes(data)
        contents = ipk.inspect(path)
        assert [path.name for path in Path(folder).iterdir()] == ["x.ipk"]
        return contents


# ---- the recorded bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ipk.RELEASES)
def test_the_sample_packages_are_openwrts_byte_for_byte(tmp_path: Path, release: str) -> None:
    with stage.staged(copy_sample(tmp_path), epoch=EPOCHS[release], source=SOURCE) as packages:
        made = {ipk.file_name(package, release): packed(package, release) for package in packages}
    recorded = {path.name: path.read_bytes() for path in (MADE / release).glob("*.ipk")}
    assert len(recorded) == 2
    assert {name: hashlib.sha256(data).hexdigest() for name, data in made.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in recorded.items()
    }


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: f"{path.parent.name} {path.name}")
def test_openwrts_own_packages_are_listed_whole_and_without_fault(recorded: Path) -> None:
    contents = ipk.inspect(recorded)
    assert contents.faults == []
    with tarfile.open(recorded) as outer:
        inner = {name: outer.extractfile(f"./{name}.tar.gz") for name in ("data", "control")}
        data = tarfile.open(fileobj=io.BytesIO(inner["data"].read()))  # type: ignore[union-attr]  # noqa: SIM115
        control = tarfile.open(fileobj=io.BytesIO(inner["control"].read()))  # type: ignore[union-attr]  # noqa: SIM115
    assert [(f".{one.path}".rstrip("/"), one.mode, one.size, one.target) for one in contents.files] == [
        (one.name, one.mode, one.size, one.linkname) for one in data.getmembers()
    ]
    text = control.extractfile("./control").read().decode()  # type: ignore[union-attr]
    assert "".join(f"{name}: {value}\n" for name, value in contents.control) == text
    others = {".", "./control", "./conffiles"}
    assert {f"./{name}" for name in contents.scripts} == set(control.getnames()) - others
    assert contents.conffiles == ["/etc/config/sample"]


# ---- what goes into the control data --------------------------------------------------------------------------------


def test_conffiles_are_the_shipped_files_alone_those_in_directories_among_them(plain: Package) -> None:
    for name in ("etc/b/z", "etc/b/sub/a", "etc/config/x", "usr/other"):
        (plain.root / name).parent.mkdir(parents=True, exist_ok=True)
        (plain.root / name).write_text("")
    (plain.root / "etc" / "b" / "link").symlink_to("z")
    listed = ["/etc/config/x", "/etc/absent", "/etc/b/"]
    contents = inspected(packed(dataclasses.replace(plain, conffiles=listed)))
    assert contents.conffiles == ["/etc/b/sub/a", "/etc/b/z", "/etc/config/x"]
    assert inspected(packed(dataclasses.replace(plain, conffiles=["/etc/absent"]))).conffiles == []


def test_a_package_that_only_keeps_files_has_no_conffiles_member(plain: Package) -> None:
    files = ipk.control_files(dataclasses.replace(plain, conffiles=["/etc/absent"]), 1)
    assert list(files) == ["control", "postinst", "prerm"]


def test_the_packages_own_scripts_stand_beside_openwrts_wrappers(plain: Package) -> None:
    scripts = {name: f"#!/bin/sh\n# {name}\n" for name in ("preinst", "postinst", "prerm", "postrm")}
    contents = inspected(packed(dataclasses.replace(plain, scripts=scripts)))
    assert set(contents.scripts) == set(ipk_read.SCRIPTS)
    assert set(contents.scripts) == {*scripts, "postinst-pkg", "prerm-pkg"}
    assert contents.scripts["postinst-pkg"] == scripts["postinst"]
    assert contents.scripts["postrm"] == scripts["postrm"]
    assert contents.scripts["postinst"].endswith("default_postinst $0 $@\n")
    assert contents.scripts["prerm"].endswith("default_prerm $0 $@\n")


def test_a_package_does_not_provide_itself_and_opkg_sees_no_at_sign(plain: Package) -> None:
    control = dict(inspected(packed(dataclasses.replace(plain, provides=["plain", "@any", "engine"]))).control)
    assert control["Provides"] == "any, engine"


def test_the_installed_size_is_that_of_the_unpacked_tar_from_24_10_on(plain: Package) -> None:
    (plain.root / "big").write_bytes(bytes(1 << 20))
    assert int(dict(inspected(packed(plain)).control)["Installed-Size"]) > 1 << 20
    assert int(dict(inspected(packed(plain, "23.05")).control)["Installed-Size"]) < 1 << 13


# ---- any tree -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(tree=TREES)
def test_any_tree_of_files_packs_and_unpacks_to_itself(tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> None:
    folder = tmp_path_factory.mktemp("tree")
    root, unpacked = folder / "root", folder / "unpacked"
    for path in (root, unpacked):
        path.mkdir()
    root.chmod(0o755)
    plant(root, tree)
    package = dataclasses.replace(PLAIN, root=root)
    data = packed(package)
    (folder / "x.ipk").write_bytes(data)
    subprocess.run(["tar", "-xzf", "x.ipk"], cwd=folder, check=True)
    subprocess.run(["tar", "-xpzf", "data.tar.gz", "-C", "unpacked"], cwd=folder, check=True)
    assert tree_of(unpacked) == tree_of(root)
    assert {path.lstat().st_mtime for path in unpacked.rglob("*")} <= {package.epoch}
    contents = inspected(data)
    listed = {("." if one.path == "/" else one.path[1:]): (one.kind, one.mode) for one in contents.files}
    assert listed == {name: (kind, mode) for name, (kind, mode, _) in tree_of(root).items()}
    for one in contents.files:
        assert one.size == (len((root / one.path[1:]).read_bytes()) if one.kind == "file" else 0)
    assert packed(package) == data


def test_what_stands_in_the_environment_changes_no_byte(plain: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    (plain.root / "file").write_text("text\n" * 1000)
    (plain.root / "Z").write_text("")
    before = packed(plain)
    for name, value in {
        "GZIP": "-1",
        "TAR_OPTIONS": "--exclude=file",
        "LC_ALL": "de_DE.UTF-8",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    old = os.umask(0o077)
    try:
        assert packed(plain) == before
    finally:
        os.umask(old)


@pytest.mark.root
def test_the_owner_of_the_files_changes_no_byte(plain: Package) -> None:
    (plain.root / "file").write_text("text\n")
    before = packed(plain)
    for path in (plain.root, plain.root / "file"):
        os.chown(path, 12345, 54321)
    assert packed(plain) == before


# ---- files that nobody vouches for ----------------------------------------------------------------------------------


def info(name: str, **values: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for field, value in values.items():
        setattr(member, field, value)
    return member


CONTROL = gzipped_tar([(info("./control"), b"Package: x\nVersion: 1\n")])


def ipk_with(data: bytes, control: bytes = CONTROL) -> bytes:
    return ipk_of({"./debian-binary": b"2.0\n", "./data.tar.gz": data, "./control.tar.gz": control})


def hostile(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return ipk_with(gzipped_tar(list(entries)))


HOSTILE = {
    "a path out of the root": (info("../../etc/passwd"), "../../etc/passwd", "leads out of the root"),
    "a path through the root": (info("./a/../../b"), "./a/../../b", "leads out of the root"),
    "an absolute path": (info("/etc/passwd"), "/etc/passwd", "leads out of the root"),
    "a device": (info("./dev/sda", type=tarfile.BLKTYPE), "/dev/sda", "it is a block device"),
    "a hard link": (info("./a", type=tarfile.LNKTYPE, linkname="/etc/shadow"), "/a", "it is a hard link"),
    "a setuid file": (info("./su", mode=0o4755), "/su", "its mode is 4755"),
    "a file anyone writes": (info("./a", mode=0o666), "/a", "its mode is 0666"),
    "a file of someone's": (info("./a", uid=1000), "/a", "it belongs to 1000:0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_an_installer_could_be_tricked_with_is_listed_and_told(name: str) -> None:
    member, path, fault = HOSTILE[name]
    contents = inspected(hostile((member, b"")))
    assert [one.path for one in contents.files] == [path]
    (told,) = contents.faults
    assert fault in told


def test_a_file_below_a_link_and_a_path_that_is_there_twice_are_told() -> None:
    link = info("./etc", type=tarfile.SYMTYPE, linkname="/tmp")
    contents = inspected(hostile((link, b""), (info("./etc/x"), b"data")))
    assert contents.faults == ["./etc/x: it lies below /etc, which is a link"]
    assert inspected(hostile((info("./a"), b"1"), (info("a"), b"2"))).faults == ["a: it is there twice"]


def header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("size", [1000, 1 << 40, (1 << 70) - 1])
def test_a_size_beyond_the_file_neither_takes_long_nor_memory(size: int) -> None:
    contents = inspected(ipk_with(gzip.compress(header("./huge", size))))
    assert [(one.path, one.size) for one in contents.files] == [("/huge", size)]
    assert contents.faults == [f"data.tar.gz: ./huge: its {size} bytes are not there"]


def test_what_unpacks_to_more_than_any_router_holds_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_reader.Source.__init__, "__defaults__", (1 << 20,))
    contents = inspected(hostile((info("./bomb"), bytes(3 << 20))))
    assert contents.faults == ["data.tar.gz: it unpacks to more than any router can hold"]


def test_a_name_without_end_and_members_without_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name = tarfile.TarInfo("././@LongLink")
    name.type = tarfile.GNUTYPE_LONGNAME
    contents = inspected(hostile((name, b"x" * (1 << 17))))
    assert contents.faults == ["data.tar.gz: it has a name without end"]
    monkeypatch.setattr(tar_reader, "MEMBERS", 10)
    contents = inspected(hostile(*((info(f"./{number}"), b"") for number in range(20))))
    assert (len(contents.files), contents.faults) == (10, ["data.tar.gz: it has more than 10 members"])


def test_a_package_that_lacks_or_adds_parts_is_told() -> None:
    assert inspected(ipk_of({"./debian-binary": b"2.0\n"})).faults == [
        "./data.tar.gz is missing",
        "./control.tar.gz is missing",
    ]
    odd = {"./debian-binary": b"3.0\n", "./data.tar.gz": gzipped_tar([]), "./control.tar.gz": gzipped_tar([]), "x": b""}
    assert inspected(ipk_of(odd)).faults == [
        "debian-binary is not 2.0",
        "control.tar.gz has no control file",
        "x is no part of an ipk",
    ]


def test_a_line_of_the_control_file_that_is_no_field_is_told() -> None:
    control = gzipped_tar([(info("./control"), b"Package: x\nnonsense\nDescription:  a\n b\n")])
    contents = inspected(ipk_with(gzipped_tar([]), control))
    assert contents.control == [("Package", "x"), ("Description", " a\n b")]
    assert contents.faults == ["control:2: 'nonsense' is no field"]


NO_IPK = {
    "an empty file": (b"", "no gzip file"),
    "a text": (b"text", "no gzip file"),
    "a deb": (b"!<arch>\ndebian-binary", "an ar archive"),
    "a gzipped text": (gzip.compress(b"text"), "it ends in the middle"),
    "a long gzipped text": (gzip.compress(b"x" * 512), "it is no tar, or damaged"),
    "a checksum": (gzip.compress(header("./a", 0).replace(b"./a", b"./b", 1)), "bad checksum"),
    "half a gzip": (gzip.compress(b"x" * 5000)[:20], "no sound gzip"),
}


@pytest.mark.parametrize("name", NO_IPK)
def test_what_is_no_ipk_is_said_to_be_none(name: str) -> None:
    data, reason = NO_IPK[name]
    with pytest.raises(IpkError, match=reason):
        inspected(data)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1622), byte=st.integers(0, 255), cut=st.integers(0, 1623))
def test_damage_anywhere_is_told_or_changes_nothing_but_never_breaks(at: int, byte: int, cut: int) -> None:
    data = bytearray(RECORDED[-1].read_bytes())
    data[at % len(data)] = byte
    for one in (bytes(data), bytes(data[:cut])):
        try:
            inspected(one)
        except IpkError:
            pass


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 10239), byte=st.integers(0, 255))
def test_a_damaged_tar_inside_a_sound_gzip_never_breaks_the_listing(at: int, byte: int) -> None:
    tar = bytearray(gzip.decompress(hostile_sample()))
    tar[at % len(tar)] = byte
    inspected(ipk_with(gzip.compress(bytes(tar))))


def hostile_sample() -> bytes:
    long = "x" * 150
    return gzipped_tar([(info("./a"), b"1"), (info(f"./{long}"), b"2"), (info("./l", type=tarfile.SYMTYPE), b"")])


def test_the_listing_follows_pax_headers_too() -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info("./" + "ä" * 80, mode=0o644))
    contents = inspected(ipk_with(output.getvalue()))
    assert [one.path for one in contents.files] == ["/" + "ä" * 80]


def test_a_link_longer_than_a_header_keeps_its_target(plain: Package) -> None:
    (plain.root / "link").symlink_to("t" * 300)
    (entry,) = [one for one in inspected(packed(plain)).files if one.kind == "link"]
    assert entry.target == "t" * 300


def test_an_interrupted_pack_leaves_no_half_file(
    plain: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out" / ipk.file_name(plain)
    output.parent.mkdir()
    output.write_bytes(b"before")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ipk, "_gzip", stop)
    with pytest.raises(KeyboardInterrupt):
        ipk.pack(plain, output.parent)
    assert output.read_bytes() == b"before"
    assert list(output.parent.iterdir()) == [output]


def test_a_description_line_keeps_one_space(tmp_path: Path) -> None:
    directory = copy_sample(tmp_path)
    edit(directory, " One line only.", "   Many.\n\n\tLines.")
    with stage.staged(directory, ["sample-shell"], epoch=1) as (package,):
        assert ("Description", " Many.\n \n Lines.") in inspected(packed(package)).control
