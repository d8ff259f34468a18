"""The feed: its indexes are those that OpenWrt's build made of the same packages; what routers check is right."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from forge.core.errors import ForgeError, UsageError
from forge.packages import apk, feed, keys, reach, stage
from forge.packages.adb import adb, signatures
from tests.forge import test_ipk
from tests.forge.samples import MADE, apk_public
from tests.forge.test_keys import signify

OPKG, APK = MADE / "24.10", MADE / "25.12"


@pytest.fixture
def pair(tmp_path: Path) -> keys.Keys:
    return keys.Keys(keys.UsignSecret.generate(), ec.generate_private_key(ec.SECP256R1()), tmp_path, False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The packages as they were recorded, without an index."""
    for name, source, suffix in (("opkg", OPKG, "ipk"), ("apk", APK, "apk")):
        (tmp_path / "feed" / name).mkdir(parents=True)
        for path in source.glob(f"*.{suffix}"):
            shutil.copy(path, tmp_path / "feed" / name)
    return tmp_path / "feed"


@pytest.mark.parametrize("name", ["Packages", "Packages.gz", "Packages.manifest", "index.json"])
def test_the_index_for_opkg_has_the_recorded_bytes(folder: Path, pair: keys.Keys, name: str) -> None:
    feed.index_opkg(folder / "opkg", pair.usign, architecture="x86_64")
    assert (folder / "opkg" / name).read_bytes() == (OPKG / name).read_bytes()


def test_the_index_for_apk_says_what_the_recorded_one_says(folder: Path, pair: keys.Keys) -> None:
    feed.index_apk(folder / "apk", pair, architecture="x86_64")
    assert (folder / "apk" / "index.json").read_bytes() == (APK / "index.json").read_bytes()
    made, recorded = (adb.decode((where / "packages.adb").read_bytes()) for where in (folder / "apk", APK))
    assert (made.schema, made.body, made.data) == (recorded.schema, recorded.body, recorded.data)
    assert len(made.signatures) == 1 and signatures.verify(made, pair.apk.public_key())


def test_the_signature_is_over_the_uncompressed_index_and_signify_takes_it(folder: Path, pair: keys.Keys) -> None:
    feed.lay_out(folder, pair)
    signature = (folder / "opkg" / "Packages.sig").read_text()
    index = gzip.decompress((folder / "opkg" / "Packages.gz").read_bytes())
    assert index == (folder / "opkg" / "Packages").read_bytes()
    fingerprint = pair.usign.public.fingerprint
    public = keys.UsignPublic.parse((folder / "keys" / fingerprint).read_text())
    assert public.verify(index, signature)
    assert signature.split("\n")[0].endswith(fingerprint), "opkg looks for a key file of this name"
    packages = folder / "opkg/Packages"
    done = signify("-V", "-p", folder / "keys" / fingerprint, "-m", packages, "-x", f"{packages}.sig")
    assert done.returncode == 0, done.stderr


def test_every_package_is_found_under_the_name_and_hash_that_the_indexes_give(folder: Path, pair: keys.Keys) -> None:
    feed.lay_out(folder, pair)
    stanzas = (folder / "opkg" / "Packages").read_text().strip().split("\n\n")
    assert len(stanzas) == 2
    for stanza in stanzas:
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if not line.startswith(" "))
        content = (folder / "opkg" / fields["Filename"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(fields["Size"]), fields["SHA256sum"])
    public = apk_public((folder / "keys" / "mailrelay.pem").read_bytes())
    packages = apk.read_index((folder / "apk" / "packages.adb").read_bytes(), public)
    assert len(packages) == 2
    for info in packages:
        content = (folder / "apk" / f"{info['name']}-{info['version']}.apk").read_bytes()
        assert len(content) == info["file-size"]
        assert hashlib.sha256(adb.decode(content).body).digest() == info["hashes"]


def test_an_index_has_no_length_that_usign_of_old_routers_miscounts(
    folder: Path, pair: keys.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    stanza = feed._stanza
    padded = 0
    for more in range(128):
        monkeypatch.setattr(feed, "_stanza", lambda path, more=more: {**stanza(path), "X": "x" * more})
        feed.index_opkg(folder / "opkg", pair.usign)
        index = (folder / "opkg" / "Packages").read_bytes()
        assert (64 + len(index)) % 128 not in (110, 111)
        padded += index.endswith(b"\n\n\n")
        if more > 2 and padded:
            break
    assert padded


def test_a_feed_is_readable_by_a_web_server(folder: Path, pair: keys.Keys) -> None:
    (folder / "opkg").chmod(0o700)
    feed.lay_out(folder, pair)
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()] if path.is_dir()} == {0o755}


def test_no_secret_key_gets_into_the_feed(folder: Path, pair: keys.Keys) -> None:
    feed.lay_out(folder, pair)
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"PRIVATE" not in path.read_bytes() and pair.usign.text().splitlines()[1][-60:].encode() not in (
                path.read_bytes()
            )


def test_two_versions_of_a_package_are_refused(folder: Path, pair: keys.Keys) -> None:
    shutil.copy(folder / "opkg" / "sample_1.2.3-r4_all.ipk", folder / "opkg" / "sample_1.2.3-r5_all.ipk")
    with pytest.raises(ForgeError, match="same name"):
        feed.index_opkg(folder / "opkg", pair.usign)


def test_a_damaged_package_does_not_get_into_an_index(folder: Path, pair: keys.Keys) -> None:
    for name in ("opkg/sample_1.2.3-r4_all.ipk", "apk/sample-1.2.3-r4.apk"):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ForgeError, match=r"sample_1\.2\.3"):
        feed.index_opkg(folder / "opkg", pair.usign)
    with pytest.raises(ForgeError, match=r"sample-1\.2\.3"):
        feed.index_apk(folder / "apk", pair)


def test_a_package_needs_a_name_and_a_version_but_no_description(tmp_path: Path, pair: keys.Keys) -> None:
    for name, control in (("plain", b"Package: plain\nVersion: 1\n"), ("odd", b"Package: odd\n")):
        packed = test_ipk.ipk_with(
            test_ipk.gzipped_tar([]), test_ipk.gzipped_tar([(test_ipk.info("./control"), control)])
        )
        (tmp_path / f"{name}.ipk").write_bytes(packed)
    with pytest.raises(ForgeError, match=r"odd\.ipk: its control data name no Version"):
        feed.index_opkg(tmp_path, pair.usign)
    (tmp_path / "odd.ipk").unlink()
    feed.index_opkg(tmp_path, pair.usign)
    assert json.loads((tmp_path / "index.json").read_text())["packages"] == {"plain": "1"}


def test_an_empty_feed_is_refused(tmp_path: Path, pair: keys.Keys) -> None:
    (tmp_path / "opkg").mkdir()
    with pytest.raises(ForgeError, match=r"holds no \.ipk"):
        feed.index_opkg(tmp_path / "opkg", pair.usign)


# The task


def test_the_task_lays_out_all_and_prints_what_a_router_needs(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed.run(url="https://example.org/feed/")
    made = {str(path.relative_to(checkout / "dist")) for path in checkout.glob("dist/*/*/*")}
    usign = keys.load().usign.public
    assert made == {
        "feed/opkg/Packages",
        "feed/opkg/Packages.gz",
        "feed/opkg/Packages.manifest",
        "feed/opkg/Packages.sig",
        "feed/opkg/index.json",
        "feed/opkg/sample-shell_1.2.3-r4_all.ipk",
        "feed/opkg/sample_1.2.3-r4_all.ipk",
        "feed/apk/index.json",
        "feed/apk/packages.adb",
        "feed/apk/sample-1.2.3-r4.apk",
        "feed/apk/sample-shell-1.2.3-r4.apk",
        f"feed/keys/{usign.fingerprint}",
        "feed/keys/mailrelay.pem",
    }
    assert list((checkout / "dist").iterdir()) == [checkout / "dist" / "feed"], "nothing is left behind"
    key = apk_public((checkout / "dist/feed/keys/mailrelay.pem").read_bytes())
    for path in (checkout / "dist/feed/apk").glob("*.apk"):
        assert signatures.verify(adb.decode(path.read_bytes()), key), "a router takes it as a loose file, too"
    said = capsys.readouterr().out
    for line in (
        "src/gz mailrelay https://example.org/feed/opkg",
        f"/etc/opkg/keys/{usign.fingerprint}",
        usign.text().splitlines()[1],
        "https://example.org/feed/apk/packages.adb",
        "/etc/apk/keys/mailrelay.pem",
        "opkg update; opkg install mailrelay luci-app-mailrelay",
        "apk update; apk add -u mailrelay luci-app-mailrelay",
        signatures.key_id(keys.load().apk.public_key()).hex(),
    ):
        assert line in said, line
    assert json.loads((checkout / "dist/feed/opkg/index.json").read_text())["packages"].keys() == {
        "sample",
        "sample-shell",
    }


def test_without_an_address_the_lines_have_the_one_that_serve_listens_at(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reach, "own_address", lambda: "[fd00:1:2::9]")
    feed.run()
    said = capsys.readouterr().out
    assert "src/gz mailrelay http://[fd00:1:2::9]:8000/opkg" in said and "Next: ./inv serve" in said
    monkeypatch.setattr(reach, "own_address", lambda: "")
    feed.run()
    said = capsys.readouterr().out
    assert "http://ADDRESS:8000/opkg" in said and "this machine has no address that a router could use" in said


def test_the_feed_made_again_is_the_same_and_takes_the_place_of_the_old(checkout: Path) -> None:
    feed.run()
    before = {path: path.read_bytes() for path in (checkout / "dist" / "feed").rglob("*") if path.is_file()}
    (checkout / "dist" / "feed" / "opkg" / "old_1.0_all.ipk").touch()
    feed.run()
    assert not (checkout / "dist" / "feed" / "opkg" / "old_1.0_all.ipk").exists()
    assert {path: path.read_bytes() for path in before} == before


def test_a_feed_that_fails_leaves_the_old_one_alone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.run()
    before = {path: path.stat().st_mtime_ns for path in (checkout / "dist").rglob("*")}

    def fail(*_: object, **__: object) -> None:
        raise ForgeError("no")

    monkeypatch.setattr(stage, "staged", fail)
    with pytest.raises(ForgeError):
        feed.run()
    assert {path: path.stat().st_mtime_ns for path in (checkout / "dist" / "feed").rglob("*")}.items() <= before.items()
    assert list((checkout / "dist").iterdir()) == [checkout / "dist" / "feed"]


@pytest.mark.parametrize("url", ["example.org", "https://", "https://a b", "gopher://x", "https://x\nsrc/gz y z"])
def test_an_address_that_no_router_could_use_is_refused(checkout: Path, url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        feed.run(url=url)
    assert not (checkout / "dist").exists()
