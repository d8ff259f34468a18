"""The cache: each folder in it has a name for people, damage is found by recorded hashes, and mends itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from forge.core import console, hashes, paths
from forge.host import debian_packages, host
from forge.inv import cache, cache_verify
from forge.lab import assemble, targets
from forge.lab import firmware as firmwares

NAMES = re.compile(r"""paths\.cache\(\s*["']([^"']+)["']""")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def flip(path: Path) -> None:
    """One bit, the size as it was."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_each_folder_that_the_code_makes_in_the_cache_is_described() -> None:
    sources = [*(paths.ROOT / "forge").rglob("*.py"), *paths.TESTS.rglob("*.py")]
    used = {name for path in sources if path != Path(__file__) for name in NAMES.findall(path.read_text())}
    assert {"debs", "openwrt", "lab"} <= used
    assert used - set(cache.WHAT) == set()
    assert set(cache.WHAT) - used == set(), "and nothing that is no more"


# ---- verify ---------------------------------------------------------------------------------------------------------


def debian(folder: Path) -> Path:
    content = b"!<arch>\ncontent"
    (folder / "debs" / "own").mkdir(parents=True)
    path = folder / "debs" / "own" / "some_1_all.deb"
    path.write_bytes(content)
    plan = f"{path.name} {len(content)} {hashlib.sha256(content).hexdigest()}\n"
    path.with_name("plan.list").write_text(plan)
    path.with_name("of_an_older_time.deb").write_bytes(b"x")
    return path


def firmware(folder: Path) -> Path:
    place = folder / "lab" / "firmware" / "lab-mipsel-0123"
    place.mkdir(parents=True)
    write_firmware(place)
    return place / "kernel"


def write_firmware(place: Path) -> None:
    for name in firmwares.FILES:
        (place / name).write_bytes(f"the {name}".encode())
    files = {name: hashes.digest(place / name) for name in firmwares.FILES}
    (place / firmwares.MANIFEST).write_text(json.dumps({"files": files}))


def listed(folder: Path, *where: str) -> Path:
    place = folder.joinpath(*where)
    place.parent.mkdir(parents=True, exist_ok=True)
    with hashes.making(place) as scratch:
        (scratch / "usr").mkdir()
        (scratch / "usr" / "a file").write_bytes(b"content")
        (scratch / "link").symlink_to("nowhere")
    return place / "usr" / "a file"


def site(folder: Path) -> Path:
    place = folder / "site" / "3.11-0123"
    (place / "some").mkdir(parents=True)
    (place / "some" / "code.py").write_bytes(b"content")
    (place / "some-1.dist-info").mkdir()
    (place / "some-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: some\nVersion: 1\n")
    value = base64.urlsafe_b64encode(hashlib.sha256(b"content").digest()).rstrip(b"=").decode()
    record = f"some/code.py,sha256={value},7\n../../bin/some,sha256={value},7\nsome-1.dist-info/RECORD,,\n"
    (place / "some-1.dist-info" / "RECORD").write_text(record)
    return place / "some" / "code.py"


KINDS = {
    "debs": debian,
    "firmware": firmware,
    "base": lambda folder: listed(folder, "lab", "base", "lab-mipsel-0123"),
    "unpacked": lambda folder: listed(folder, "unpacked", "0123"),
    "site": site,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_a_recorded_hash_is_compared_and_removed_if_it_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = KINDS[kind](folder)
    cache_verify.verify()
    assert "what they should be" in capsys.readouterr().out
    flip(path)
    with pytest.raises(cache_verify.UnsoundCache, match=re.escape(str(path)) + ": expected sha256 .*, found"):
        cache_verify.verify()
    assert not path.exists()
    cache_verify.verify()
    for damage in (lambda path: path.write_bytes(b"cut"), Path.unlink):
        again = KINDS[kind](folder.with_name(f"{damage.__name__}"))
        damage(again)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(paths.CACHE_VARIABLE, str(folder.with_name(damage.__name__)))
            if kind == "debs" and damage is Path.unlink:
                cache_verify.verify()  # what is not there is fetched when it is asked for
                continue
            with pytest.raises(cache_verify.UnsoundCache):
                cache_verify.verify()


def test_it_is_said_how_much_of_what_was_right_wrong_or_has_no_hash(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for make in KINDS.values():
        make(folder)
    flip(folder / "site" / "3.11-0123" / "some" / "code.py")
    (folder / "serial").mkdir()
    (folder / "serial" / "log").touch()
    with pytest.raises(cache_verify.UnsoundCache):
        cache_verify.verify()
    rows = {line.split("  ")[0]: re.findall(r"\b\d+\b", line) for line in capsys.readouterr().out.splitlines()}
    assert rows["Debian packages"] == ["1", "0", "1"]
    assert rows["the lab's firmware"] == ["3", "0", "0"]
    assert rows["the lab's root file systems"] == ["1", "0", "0"]
    assert rows["Python packages"] == ["0", "1", "0"]
    assert rows["serial/"] == ["0", "0", "1"]


@pytest.mark.parametrize(
    ("kind", "locked"),
    [
        ("debs", "debs/own/.lock"),
        ("firmware", "lab/.lab-mipsel.lock"),
        ("base", "lab/.lab-mipsel.lock"),
        ("unpacked", "unpacked/.0123.lock"),
        ("site", "site/3.11-0123.lock"),
    ],
)
def test_what_another_run_is_making_is_not_looked_at_before_it_is_done(
    folder: Path, kind: str, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS[kind](folder)
    right = path.read_bytes()
    flip(path)
    waiting = threading.Event()
    monkeypatch.setattr(console, "note", lambda text: "another run" in text and waiting.set())
    thread = threading.Thread(target=cache_verify.verify)
    with FileLock(folder / locked):
        thread.start()
        assert waiting.wait(30)
        path.write_bytes(right)
    thread.join(30)
    assert path.read_bytes() == right


# ---- and is mended --------------------------------------------------------------------------------------------------


class Apt:
    """An archive that has one package, and counts how often it is fetched."""

    content = b"!<arch>\ncontent"
    fetched = 0

    def __init__(self, *_: str) -> None:
        pass

    def archives(self, packages: Sequence[str], *, alone: bool = False) -> list[debian_packages.Archive]:
        return [debian_packages.Archive("some_1_all.deb", len(self.content), hashlib.sha256(self.content).hexdigest())]

    def _apt(self, *_: str, cwd: Path, timeout: float) -> None:
        (cwd / "some_1_all.deb").write_bytes(self.content)
        Apt.fetched += 1

    download = debian_packages.Apt.download


def test_a_damaged_deb_is_fetched_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_packages, "Apt", Apt)
    monkeypatch.setattr(Apt, "fetched", 0)
    (path,) = debian_packages.download(["some"])
    assert debian_packages.download(["some"], whole=True) == [path] and Apt.fetched == 1
    path.write_bytes(b"cut")
    debian_packages.download(["some"])
    assert (path.read_bytes(), Apt.fetched) == (Apt.content, 2), "the size is looked at each time"
    flip(path)
    debian_packages.download(["some"], whole=True)
    assert (path.read_bytes(), Apt.fetched) == (Apt.content, 3), "the hash by whoever is about to unpack it"


def test_a_plan_without_sizes_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_packages, "Apt", Apt)
    (path,) = debian_packages.download(["some"])
    (plan,) = path.parent.glob("*.list")
    known = plan.read_text()
    plan.write_text("some_1_all.deb")
    debian_packages.download(["some"])
    assert plan.read_text() == known


@pytest.mark.parametrize("name", [*firmwares.FILES, firmwares.MANIFEST])
def test_damaged_firmware_is_built_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Without Debian: what puts it together is left out."""
    built: list[Path] = []

    def put_together(target: object, base: object, archives: object, scratch: Path, **_: object) -> None:
        write_firmware(scratch)
        built.append(scratch)

    monkeypatch.setattr(host, "require", lambda *_: None)
    monkeypatch.setattr(debian_packages, "download", lambda *_, **__: [])
    monkeypatch.setattr(assemble, "base", lambda *_: tmp_path)
    monkeypatch.setattr(assemble, "firmware", put_together)
    made = firmwares.build(targets.find("lab-mipsel"))
    assert firmwares.build(targets.find("lab-mipsel")).folder == made.folder
    assert len(built) == 1 and "damaged" not in capsys.readouterr().out
    for damage in (flip, lambda path: path.write_bytes(b""), Path.unlink):
        damage(made.folder / name)
        assert firmwares.build(targets.find("lab-mipsel")).folder == made.folder
        assert "the firmware in the cache is damaged" in capsys.readouterr().out
        assert firmwares.broken(made.folder) == []
    assert len(built) == 4
