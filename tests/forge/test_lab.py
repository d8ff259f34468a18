"""The lab's firmware, as far as it can be told without building one: archives, ELF files, modules, Python's subset."""

from __future__ import annotations

import base64
import lzma
import os
import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from forge.checks import checks
from forge.core import paths
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.host import debian_packages
from forge.lab import assemble, elf, kernel, package_state, postfix, python, targets, tree, unpack
from forge.lab import firmware as firmwares
from forge.lab.cpio import Archive
from forge.lab.unpack import Member
from forge.packages import feed, minisdk, stage
from forge.site import overlay
from forge.site import site as sites


def test_the_kernel_can_unpack_the_archive(tmp_path: Path) -> None:
    archive = Archive()
    archive.device("dev/console", 5, 1)
    archive.file("bin/busybox", b"\x7fELF", 0o755)
    archive.file("/init", b"#!/bin/sh\n", 0o755)
    archive.link("bin/sh", "busybox")
    archive.file("lib/modules/odd", b"x" * 1021)
    closed = archive.closed()
    assert len(closed) % 4 == 0
    listed = subprocess.run(["busybox", "cpio", "-tv"], input=closed, capture_output=True, check=True).stdout.decode()
    lines = {line.split()[-1] if "->" not in line else line.split()[-3]: line.split() for line in listed.splitlines()}
    assert list(lines) == "dev dev/console bin bin/busybox init bin/sh lib lib/modules lib/modules/odd".split()
    assert lines["dev/console"][0] == "crw-------" and lines["bin/busybox"][0] == "-rwxr-xr-x"
    assert all(line[1] == "0/0" for line in lines.values()), listed
    subprocess.run(
        ["busybox", "cpio", "-id", "bin/*", "lib/*"], input=closed, cwd=tmp_path, capture_output=True, check=True
    )
    assert (tmp_path / "lib/modules/odd").read_bytes() == b"x" * 1021
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")


# Of an ELF file of 32 and of 64 bits: its head, and a line of its table of sections.
HEAD = {32: "<4s4B8xHHIIIIIHHHHHH", 64: "<4s4B8xHHIQQQIHHHHHH"}
SECTION = {32: "<II8xII16x", 64: "<II16xQQ24x"}


def elf_file(sections: dict[str, bytes], *, bits: int = 32) -> bytes:
    """An ELF file with these sections and nothing else."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    size, line = struct.calcsize(HEAD[bits]), struct.calcsize(SECTION[bits])
    body, table = b"", bytes(line)
    for name, contents in {**sections, ".shstrtab": names}.items():
        at = names.index(name.encode() + b"\0")
        table += struct.pack(SECTION[bits], at, 1, size + len(body), len(contents))
        body += contents
    count = len(sections) + 2
    kind, machine = (1, 8) if bits == 32 else (2, 62)
    ident = (b"\x7fELF", kind, 1, 1, 0)
    head = struct.pack(HEAD[bits], *ident, 1, machine, 1, 0, 0, size + len(body), 0, size, 0, 0, line, count, count - 1)
    return head + body + table


@pytest.mark.parametrize("bits", [32, 64])
def test_libraries_and_module_information_are_read_from_elf_files(bits: int) -> None:
    strings = b"\0libc.so.6\0libz.so.1\0"
    shape = "<iI" if bits == 32 else "<qQ"
    dynamic = b"".join(struct.pack(shape, *entry) for entry in [(1, 11), (5, 0), (1, 1), (0, 0)])
    assert elf.needed(elf_file({".dynstr": strings, ".dynamic": dynamic}, bits=bits)) == ["libz.so.1", "libc.so.6"]
    module = elf_file({".modinfo": b"license=GPL\0depends=a,b\0alias=x\0alias=y\0"}, bits=bits)
    assert elf.modinfo(module) == {"license": ["GPL"], "depends": ["a,b"], "alias": ["x", "y"]}


def test_a_program_of_this_machine_names_its_libraries() -> None:
    assert any(name.startswith("libc.so") for name in elf.needed(Path("/bin/ls").resolve().read_bytes()))


def test_what_is_no_elf_file_is_refused() -> None:
    for data in (b"", b"#!/bin/sh\n", b"\x7fELF\x01\x02" + bytes(60)):
        with pytest.raises(ForgeError, match="no ELF file"):
            list(elf.sections(data))


def modules(**depends: str) -> dict[str, bytes]:
    return {name: elf_file({".modinfo": f"depends={needed}\0".encode()}) for name, needed in depends.items()}


def test_modules_are_loaded_after_what_they_need_and_once() -> None:
    found = kernel.Kernel(
        "6", b"", modules(ext4="jbd2,crc-16", jbd2="", crc_16="", squashfs="", overlay="jbd2"), {"mbcache"}
    )
    order = kernel.order(found, ["squashfs", "ext4", "overlay", "mbcache"])
    assert order == ["squashfs", "jbd2", "crc_16", "ext4", "overlay"]


def test_a_module_that_is_missing_is_named_with_what_needs_it() -> None:
    found = kernel.Kernel("6.1", b"", modules(ext4="jbd2"))
    with pytest.raises(ForgeError, match=r"6\.1 has no module jbd2, which ext4 needs"):
        kernel.order(found, ["ext4"])


def deb(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    """A Debian package with these files."""
    root = path.with_suffix("")
    for name, data in {
        **files,
        "DEBIAN/control": b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for name, target in (links or {}).items():
        (root / name).symlink_to(target)
    subprocess.run(["dpkg-deb", "--nocheck", "-Zxz", "--build", root, path], check=True, capture_output=True)
    return path


def test_packages_are_read_without_being_unpacked(tmp_path: Path) -> None:
    one = deb(tmp_path / "one.deb", {"lib/libz.so.1.2": b"z", "usr/share/doc/x": b""}, {"lib/libz.so.1": "libz.so.1.2"})
    two = deb(tmp_path / "two.deb", {"bin/true": b"t"}, {"bin/z": "/lib/libz.so.1", "bin/round": "round"})
    found = unpack.read_all([one, two], lambda path: not path.startswith("usr/share/doc/"))
    assert sorted(found) == ["bin/round", "bin/true", "bin/z", "lib/libz.so.1", "lib/libz.so.1.2"]
    resolved = unpack.resolve(found, "bin/z")
    assert resolved is not None and resolved.data == b"z"
    assert unpack.resolve(found, "bin/round") is None and unpack.resolve(found, "bin/none") is None
    (tmp_path / "cut.deb").write_bytes(b"<html>")
    with pytest.raises(ForgeError, match="no Debian package"):
        list(unpack.read(tmp_path / "cut.deb", lambda _: True))


def test_only_what_openwrts_python_packages_have_is_taken() -> None:
    library = "usr/lib/python3.11"
    wanted = ("os.py", "ssl.py", "json/decoder.py", "encodings/idna.py", "_sysconfigdata__mipsel-linux-gnu.py")
    unwanted = (
        "asyncio/events.py",
        "logging/__init__.py",
        "email/message.py",
        "urllib/request.py",
        "uuid.py",
        "tkinter/a.py",
    )
    extensions = ("_ssl.cpython-311-mipsel-linux-gnu.so", "_hashlib.cpython-311-mipsel-linux-gnu.so")
    others = ("_ctypes.cpython-311-mipsel-linux-gnu.so", "_sqlite3.cpython-311-mipsel-linux-gnu.so")
    paths = [f"{library}/{name}" for name in (*wanted, *unwanted, "json/tests/x.py", "LICENSE.txt", "pdb.doc")]
    paths += [f"{library}/lib-dynload/{name}" for name in (*extensions, *others)]
    paths += ["usr/bin/python3.11", "usr/lib/x.py"]
    taken = python.subset(targets.find(""), {path: Member(path, 0o644) for path in paths})
    assert {path.rpartition("python3.11/")[2].removeprefix("lib-dynload/") for path in taken} == {*wanted, *extensions}


def test_modules_built_into_debians_python_are_out_of_reach() -> None:
    words = b"\0".join([b"", *(name.encode() for name in python.BUILT_IN_ELSEWHERE), b"pyexpat.errors", b""])
    changed = python.interpreter(words)
    assert len(changed) == len(words) and b"pyexpat.errors" in changed
    assert all(b"\0" + name.encode() + b"\0" not in changed for name in python.BUILT_IN_ELSEWHERE)
    with pytest.raises(ForgeError, match="unicodedata 0 times"):
        python.interpreter(changed)


def test_a_layer_hides_what_lies_below_and_changes_no_file_that_others_share(tmp_path: Path) -> None:
    base, tree, layer = (tmp_path / name for name in ("base", "tree", "layer"))
    for folder in (base / "etc", tree / "etc", layer / "etc/secret", layer / "__pycache__"):
        folder.mkdir(parents=True)
    (base / "etc/banner").write_text("base")
    (tree / "etc/banner").hardlink_to(base / "etc/banner")
    (tree / "etc/link").symlink_to("nowhere")
    for name, text, mode in (("banner", "layer", 0o664), ("link", "file", 0o755), ("secret/key", "s", 0o600)):
        (layer / "etc" / name).write_text(text)
        (layer / "etc" / name).chmod(mode)
    (layer / "etc/secret").chmod(0o700)
    assemble.lay_over(layer, tree)
    assert (base / "etc/banner").read_text() == "base" and (tree / "etc/banner").read_text() == "layer"
    assert not (tree / "etc/link").is_symlink()
    modes = {
        name: stat.S_IMODE((tree / "etc" / name).stat().st_mode) for name in ("banner", "link", "secret", "secret/key")
    }
    assert modes == {"banner": 0o644, "link": 0o755, "secret": 0o700, "secret/key": 0o600}
    assert not (tree / "__pycache__").exists()


KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode() + " me"


def checkout_of(layer: Path, umask: int, folder: Path) -> Path:
    """One of the stand-in's folders as git lays it out under this umask."""
    copy = folder / layer.name
    shutil.copytree(layer, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            path.chmod((0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666) & ~umask)
    return copy


def assembled(
    target: targets.Target, umask: int, folder: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Modes and links of a root file system that is put together by somebody with this umask."""
    found: dict[str, str] = {}

    def look(tree: Path, output: Path, time: int) -> None:
        for path in [tree, *tree.rglob("*")]:
            found[str(path.relative_to(tree))] = str(path.readlink() if path.is_symlink() else oct(path.stat().st_mode))
        output.touch()

    monkeypatch.setattr(assemble, "_squash", look)
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(folder / "cache"))
    before = os.umask(umask)
    try:
        base, files, made = folder / "base", folder / "files", folder / "made"
        (base / "root/tmp").mkdir(parents=True)
        (base / "root").chmod(0o755)
        (base / "root/tmp").chmod(0o1777)
        tree.link(base / "root/var", "tmp")
        for name in assemble.BOOT_FILES:
            (base / name).touch()
        made.mkdir()
        debian = [name.format(target.python) for name in package_state.INSTALLED.values()]
        archives = [folder / f"{name}_1_all.deb" for name in [*debian, "linux-image-x"]]
        for archive in archives:
            archive.touch()
        site = folder / "site.toml"
        site.write_text(f'[root]\nssh_keys = ["{KEY}"]\n')
        overlay.render(sites.load(site), files)
        feed.trust(files, "https://example.org/feed", target.manager)
        assemble.firmware(
            *(target, base, archives, made),
            standin=[checkout_of(layer, umask, folder) for layer in firmwares.layers(target.release)],
            shared=firmwares.shared(target.release),
            files=files,
            packages=[package],
            disabled=["firewall"],
            facts={"lan": ""},
        )
    finally:
        os.umask(before)
    return found


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The relay for each package manager."""
    found, folder = {}, tmp_path_factory.mktemp("made")
    with stage.staged(paths.PACKAGES / "mailrelay", ["mailrelay"], epoch=1780000000) as staged:
        for manager, format in package_state.FORMATS.items():
            [found[manager]] = [one.path for package in staged for one in minisdk.pack(package, folder, format)]
    return found


@pytest.mark.parametrize(
    ("release", "files"),
    [
        ("24.10", "usr/lib/opkg/status etc/opkg/customfeeds.conf"),
        (
            "25.12",
            "lib/apk/db/installed etc/apk/world etc/apk/keys/mailrelay.pem etc/apk/repositories.d/customfeeds.list",
        ),
    ],
)
def test_the_umask_of_who_builds_is_nowhere_in_the_firmware(
    release: str, files: str, tmp_path: Path, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = targets.find("", release)
    modes = {}
    for umask in (0o022, 0o002, 0o077):
        folder = tmp_path / oct(umask)
        folder.mkdir()
        modes[umask] = assembled(target, umask, folder, packages[target.manager], monkeypatch)
    assert modes[0o002] == modes[0o022] == modes[0o077]
    found = modes[0o022]
    assert {found[name] for name in files.split()} == {oct(0o100644)}
    folders = ("etc/rc.d", f"etc/{target.manager}", "usr/lib/standin")
    assert {found[name] for name in folders} == {oct(0o40755)}
    assert found["etc/init.d/mailrelay"] == oct(0o100755)
    assert (found["etc/dropbear"], found["etc/dropbear/authorized_keys"]) == (oct(0o40700), oct(0o100600))
    assert found["tmp"] == oct(0o41777)
    assert found["etc/rc.d/S95mailrelay"] == "../init.d/mailrelay"
    assert not [name for name in found if name.startswith("etc/rc.d/") and name.endswith("firewall")], "it is disabled"


def test_every_run_boots_each_release_and_says_which() -> None:
    def names(**options: str) -> list[str]:
        return [checks.on_guest(one, ()).name for one in checks.routers(**options)]

    assert names() == ["tests of lab-mipsel 24.10", "tests of lab-x86-64 25.12"]
    assert names(release="25.12") == ["tests of lab-mipsel 25.12", "tests of lab-x86-64 25.12"]
    assert {one.name for one in checks.routers(all_targets=True)} == set(targets.TARGETS)
    assert checks.router(target="lab-arm64", release="25.12") == ["--target=lab-arm64", "--release=25.12"]
    with pytest.raises(UsageError, match="--release is for firmware that is built here"):
        checks.router(host="ssh://root@192.168.1.1", release="25.12")


def test_where_debian_lacks_a_release_s_python_it_is_said() -> None:
    pythons = {name: targets.find(name, "25.12").python for name in targets.TARGETS}
    assert pythons == {**dict.fromkeys(targets.TARGETS, "3.13"), "lab-mipsel": "3.11"}
    told = [name for name in targets.TARGETS if targets.find(name, "25.12").shortfall]
    assert told == ["lab-mipsel"]
    assert not any(targets.find(name, "24.10").shortfall for name in targets.TARGETS)


def test_modules_that_debian_has_compressed_are_unpacked() -> None:
    plain = modules(ext4="jbd2", jbd2="")
    found = kernel.Kernel("6.12", b"", {name: lzma.compress(data) for name, data in plain.items()})
    assert kernel.order(found, ["ext4"]) == ["jbd2", "ext4"]
    assert found.module("ext4") == plain["ext4"]


def test_a_way_out_that_the_lab_has_no_programs_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lte.toml"
    path.write_text('[wan]\nprotocol = "qmi"\napn = "internet"\n')
    with pytest.raises(UsageError, match=r"'qmi' needs uqmi, kmod-usb-net-qmi-wwan, and lab-mipsel has none"):
        firmwares.build("lab-mipsel", site=sites.load(path))


def test_offline_asks_no_mirror_and_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(debian_packages, "Apt", lambda *_: pytest.fail("a mirror is asked"))
    with pytest.raises(MissingError, match=r"--offline: busybox and what belongs to it \(bookworm, mipsel\)"):
        debian_packages.download(("busybox",), suite="bookworm", architecture="mipsel", offline=True)


def test_what_a_package_needs_is_installed_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    monkeypatch.setattr(postfix, "packed", lambda *_, **__: tmp_path / "postfix.ipk")
    found = package_state.named(targets.find(""), ["luci-i18n-mailrelay-de", "mailrelay-postfix"], tmp_path / "made")
    names = ["luci-app-mailrelay", "luci-i18n-mailrelay-de", "postfix.ipk", "mailrelay-postfix"]
    assert [path.name.partition("_")[0] for path in found] == names


def test_a_package_may_be_named_by_its_path(tmp_path: Path) -> None:
    own = tmp_path / "own_1_all.ipk"
    own.touch()
    assert package_state.named(targets.find(""), [str(own)], tmp_path) == [own]
    with pytest.raises(UsageError, match=r"there is no file none\.ipk"):
        package_state.named(targets.find(""), ["none.ipk"], tmp_path)


def test_opkgs_own_reason_is_told(tmp_path: Path, packages: dict[str, Path]) -> None:
    """A root without anything: what the relay depends on is not there."""
    shutil.copytree(firmwares.STANDIN / "usr", tmp_path / "usr")
    with pytest.raises(
        ForgeError, match=r"opkg can't install .*Cannot satisfy the following dependencies for mailrelay"
    ):
        package_state.install(targets.find(""), tmp_path, [packages["opkg"]])
