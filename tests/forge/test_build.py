"""./inv build and ./inv inspect: what a person gets, and that one commit gives the same bytes wherever it is built."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core import paths
from forge.core.errors import ForgeError, UsageError
from forge.host import host
from forge.packages import apk, ipk, keys, makefile, minisdk
from forge.packages.adb import adb, signatures

from .checkouts import WHEN, git, use
from .samples import EPOCHS, GOLDEN, MADE, apk_public, copy_sample, edit

ROOT = GOLDEN.parents[2]
NAMES = [
    "sample-1.2.3-r4.apk",
    "sample-shell-1.2.3-r4.apk",
    "sample-shell_1.2.3-r4_all.ipk",
    "sample_1.2.3-r4_all.ipk",
]


def hashes(folder: Path) -> dict[str, str]:
    """Of the packages in dist/, without the signatures, which tell who has built."""
    content = {path.name: path.read_bytes() for path in sorted((folder / "dist").glob("*.?pk"))}
    bare = {name: apk.unsigned(data) if name.endswith(".apk") else data for name, data in content.items()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in bare.items()}


# ---- build ----------------------------------------------------------------------------------------------------------


def test_every_package_is_made_in_both_formats_and_shown(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = minisdk.run()
    assert sorted(one.path.name for one in built) == NAMES
    assert sorted(path.name for path in (checkout / "dist").iterdir()) == ["keys", *NAMES]
    output = capsys.readouterr().out
    for one in built:
        (line,) = [line for line in output.splitlines() if line.endswith(one.sha256)]
        assert line.split()[:3] == [f"dist/{one.path.name}", str(one.path.stat().st_size), str(one.installed)]
    assert "a router takes one of them" in output
    assert "opkg install /tmp/sample_1.2.3-r4_all.ipk" in output
    assert "scp -O dist/keys/mailrelay.pem root@192.168.1.1:/etc/apk/keys/" in output
    assert "apk update && apk add /tmp/sample-1.2.3-r4.apk" in output
    assert "./inv inspect dist/sample_1.2.3-r4_all.ipk" in output


def test_loose_apks_are_signed_with_the_feeds_key_whose_public_half_lies_beside_them(checkout: Path) -> None:
    minisdk.run(format="apk")
    key = apk_public((checkout / "dist" / "keys" / "mailrelay.pem").read_bytes())
    assert key == keys.load().apk.public_key()
    for path in (checkout / "dist").glob("*.apk"):
        assert signatures.verify(adb.decode(path.read_bytes()), key)


def test_where_no_key_can_be_kept_apks_are_unsigned_and_it_is_said(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv(paths.CONFIG_VARIABLE, str(tmp_path / "a file"))
    minisdk.run(format="apk")
    said = capsys.readouterr().out
    assert "the .apk files are not signed: the keys' folder can't be used" in said
    assert "apk add --allow-untrusted /tmp/sample-1.2.3-r4.apk" in said
    assert not (checkout / "dist" / "keys").exists()


def test_inspect_says_by_which_key_a_package_is_signed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minisdk.run(format="apk")
    file, name = checkout / "dist" / "sample-1.2.3-r4.apk", signatures.key_id(keys.load_apk().public_key()).hex()
    minisdk.inspect(str(file))
    assert f"by the key {name}, this machine's feed key" in capsys.readouterr().out
    minisdk.inspect(str(MADE / "25.12" / "sample-1.2.3-r4.apk"))
    assert "none: apk takes it with --allow-untrusted alone" in capsys.readouterr().out
    made = adb.decode(file.read_bytes())
    broken = made.signatures[0][:-1] + bytes([made.signatures[0][-1] ^ 1])
    (tmp_path / "broken.apk").write_bytes(dataclasses.replace(made, signatures=(broken,)).encode())
    with pytest.raises(minisdk.UnsoundError):
        minisdk.inspect(str(tmp_path / "broken.apk"))
    assert "this machine's feed key, is wrong" in capsys.readouterr().out
    monkeypatch.setenv(paths.CONFIG_VARIABLE, str(tmp_path / "elsewhere"))
    minisdk.inspect(str(file))
    assert f"by the key {name}, which is not this machine's" in capsys.readouterr().out
    assert not list((tmp_path / "elsewhere").rglob("*.pem")), "no key is made to look at a package"


def test_the_installed_size_is_that_of_the_files(checkout: Path) -> None:
    built = {one.path.name: one.installed for one in minisdk.run(format="ipk")}
    assert built == {
        "sample_1.2.3-r4_all.ipk": 41 + 69 + 7 + 13 + 15 + 17 + 5,
        "sample-shell_1.2.3-r4_all.ipk": 41 + 69,
    }


def test_one_package_and_one_format_can_be_asked_for(checkout: Path) -> None:
    minisdk.run(package="sample-shell", format="ipk")
    assert list(hashes(checkout)) == ["sample-shell_1.2.3-r4_all.ipk"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"package": "smaple"}, "--package: there is no 'smaple'. Did you mean sample"),
        ({"format": "rpm"}, "--format: there is no 'rpm'"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(checkout: Path, asked: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        minisdk.run(**asked)
    assert said in str(caught.value)
    assert not (checkout / "dist").exists()


def test_a_checkout_without_packages_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(tmp_path, monkeypatch)
    with pytest.raises(ForgeError, match=r"there is no Makefile in package/\*/"):
        minisdk.run()


@pytest.mark.parametrize("makefile", sorted((ROOT / "package").glob("*/Makefile")), ids=lambda path: path.parent.name)
def test_the_projects_own_packages_are_made_without_fault(makefile: Path, tmp_path: Path) -> None:
    with minisdk.stage.staged(makefile.parent, epoch=WHEN) as packages:
        made = [one for package in packages for one in minisdk.pack(package, tmp_path)]
    assert made
    for one in made:
        assert minisdk.read(one.path).faults == []


def test_a_faulty_package_leaves_the_files_of_before(checkout: Path) -> None:
    minisdk.run()
    before = hashes(checkout)
    edit(checkout / "package" / "sample", "  TITLE:=", "  TITEL:=")
    with pytest.raises(ForgeError, match=r"package/sample/Makefile:21: sample: there is no field TITEL"):
        minisdk.run()
    assert hashes(checkout) == before


def test_what_is_not_committed_is_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    minisdk.run()
    assert "not committed" not in capsys.readouterr().out
    (checkout / "package" / "sample" / "data.txt").write_text("other\n")
    minisdk.run()
    assert "not committed: M package/sample/data.txt" in capsys.readouterr().out


# ---- the same commit, the same bytes --------------------------------------------------------------------------------


def test_a_clone_elsewhere_under_another_umask_gives_the_same_bytes(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minisdk.run()
    before = os.umask(0o077)
    try:
        git(tmp_path, "clone", "-q", str(checkout), "elsewhere")
        use(tmp_path / "elsewhere", monkeypatch)
        minisdk.run()
    finally:
        os.umask(before)
    assert hashes(tmp_path / "elsewhere") == hashes(checkout)
    assert list(hashes(checkout)) == NAMES


def test_what_git_ignores_is_not_packed(checkout: Path) -> None:
    minisdk.run()
    before = hashes(checkout)
    (checkout / "package" / "sample" / "root" / "usr" / "debug.log").write_text("")
    minisdk.run()
    assert hashes(checkout) == before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.root
def test_another_user_gets_the_same_bytes(checkout: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minisdk.run()
    shutil.copytree(checkout, open_folder / "checkout", symlinks=True, ignore=shutil.ignore_patterns("dist"))
    for path in [open_folder / "checkout", *(open_folder / "checkout").rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    use(open_folder / "checkout", monkeypatch)
    shutil.copytree(makefile.MK, open_folder / "mk")  # our own checkout may lie where the other user cannot look
    monkeypatch.setattr(makefile, "MK", open_folder / "mk")
    monkeypatch.setattr(host, "require", lambda *_: None)
    child = os.fork()
    if child == 0:  # a new interpreter may lie where the other user cannot look
        status = 1
        try:
            os.setgroups([])
            os.setgid(12345)
            os.setuid(12345)
            minisdk.run()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert hashes(open_folder / "checkout") == hashes(checkout)


# ---- inspect --------------------------------------------------------------------------------------------------------


def test_an_ipk_is_shown_with_control_data_scripts_and_files(capsys: pytest.CaptureFixture[str]) -> None:
    minisdk.inspect(str(MADE / "24.10" / "sample_1.2.3-r4_all.ipk"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Depends", "libc,", "python3-light,", "python3-openssl"] in lines
    assert ["==", "postinst-pkg"] in lines
    assert ["default_prerm", "$0", "$@"] in lines
    assert ["-rwxr-xr-x", "0755", "0:0", "69", "/etc/init.d/sample"] in lines
    assert ["lrwxrwxrwx", "0777", "0:0", "0", "/usr/sbin/sample-sendmail", "->", "../lib/sample/sendmail"] in lines


def test_an_apk_is_shown_likewise(capsys: pytest.CaptureFixture[str]) -> None:
    minisdk.inspect(str(MADE / "25.12" / "sample-1.2.3-r4.apk"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["==", "post-install"] in lines
    assert ["-rwxr-xr-x", "0755", "root:root", "69", "/etc/init.d/sample"] in lines


def test_the_format_is_known_by_content_and_not_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(MADE / "24.10" / "sample_1.2.3-r4_all.ipk", tmp_path / "x.apk")
    minisdk.inspect(str(tmp_path / "x.apk"))
    assert "x.apk: ipk, 1623 bytes" in capsys.readouterr().out


def test_what_is_wrong_with_a_package_is_told_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ipk"
    path.write_bytes((MADE / "24.10" / "sample_1.2.3-r4_all.ipk").read_bytes()[:1000])
    with pytest.raises(minisdk.UnsoundError, match=r"x\.ipk is no sound package"):
        minisdk.inspect(str(path))
    assert "FAIL" in capsys.readouterr().out


def test_a_package_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = copy_sample(tmp_path)
    edit(directory, "#!/bin/sh\necho", "#!/bin/sh\nprintf '\x1b[2J'\necho")
    (directory / "root" / "a\x1b]0;b").write_text("")
    with minisdk.stage.staged(directory, ["sample"], epoch=EPOCHS["24.10"]) as (package,):
        [packed] = ipk.pack(package, tmp_path)
    minisdk.inspect(str(packed))
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "/a\\x1b]0;b" in output
    assert "printf '\\x1b[2J'" in output


def test_a_file_that_is_not_there_is_answered_with_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "sample_1.ipk").write_bytes(b"")
    with pytest.raises(UsageError, match=r"Did you mean sample_1\.ipk\?"):
        minisdk.inspect(str(tmp_path / "smple_1.ipk"))
    with pytest.raises(UsageError, match="there is no file"):
        minisdk.inspect(str(tmp_path))
