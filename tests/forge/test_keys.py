"""usign's keys and signatures against recorded ones and against signify; keys are made once, and closed to others."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from forge.core import paths
from forge.core.errors import UsageError
from forge.packages import keys

from .samples import MADE

SIGNIFY = shutil.which("signify-openbsd")

# OpenWrt's own, as published: name of the key file in /etc/opkg/keys, and its second line.
PUBLISHED = {
    "d310c6f2833e97f7": "RWTTEMbygz6X95lKDAulctZy3aj15823THXfyrfXgwGbxZlXBd2brNcw",
    "b5043e70f9a75cde": "RWS1BD5w+adc3j2Hqg9+b66CvLR7NlHbsj7wjNVj0XGt/othDgIAOJS+",
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    monkeypatch.setenv(paths.CONFIG_VARIABLE, str(folder))
    return folder / "keys"


def signify(*words: object) -> subprocess.CompletedProcess[str]:
    if not SIGNIFY:
        pytest.skip("signify-openbsd is not on this machine")
    argv = [SIGNIFY, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


# usign


@pytest.mark.parametrize("fingerprint", PUBLISHED)
def test_the_fingerprint_is_the_name_that_openwrt_publishes(fingerprint: str) -> None:
    key = keys.UsignPublic.parse(f"untrusted comment: x\n{PUBLISHED[fingerprint]}\n")
    assert key.fingerprint == fingerprint
    assert PUBLISHED[fingerprint] in key.text()


def test_the_recorded_index_verifies_with_the_recorded_key() -> None:
    key = keys.UsignPublic.parse((MADE / "24.10" / "signing-key.pub").read_text())
    index, signature = (MADE / "24.10" / "Packages").read_bytes(), (MADE / "24.10" / "Packages.sig").read_text()
    assert key.verify(index, signature)
    assert not key.verify(index + b"\n", signature)
    assert not keys.UsignSecret.generate().public.verify(index, signature)
    assert key.fingerprint in signature.split("\n")[0]


@given(st.binary(max_size=300))
def test_what_we_sign_verifies_and_nothing_else_does(message: bytes) -> None:
    key = keys.UsignSecret.generate()
    signature = key.sign(message)
    assert signature == key.sign(message)
    assert key.public.verify(message, signature)
    assert not key.public.verify(message + b"x", signature)
    assert not keys.UsignPublic(key.number, keys.UsignSecret.generate().public.key).verify(message, signature)
    assert not keys.UsignPublic(b"another!", key.public.key).verify(message, signature)


def test_keys_survive_being_written_and_read() -> None:
    key = keys.UsignSecret.generate()
    assert keys.UsignSecret.parse(key.text()) == key
    assert keys.UsignPublic.parse(key.public.text()) == key.public


def test_signify_takes_our_keys_and_signatures(tmp_path: Path) -> None:
    key = keys.UsignSecret.generate()
    message, signature = tmp_path / "Packages", tmp_path / "Packages.sig"
    message.write_bytes(b"Package: x\n")
    signature.write_text(key.sign(message.read_bytes()))
    (tmp_path / "key.pub").write_text(key.public.text())
    (tmp_path / "key.sec").write_text(key.text())
    verify = ["-V", "-p", tmp_path / "key.pub", "-m", message, "-x", signature]
    assert signify(*verify).returncode == 0, signify(*verify).stderr
    signed = signify("-S", "-s", tmp_path / "key.sec", "-m", message, "-x", tmp_path / "theirs.sig")
    assert signed.returncode == 0, signed.stderr
    assert (tmp_path / "theirs.sig").read_text().split("\n")[1] == signature.read_text().split("\n")[1]
    message.write_bytes(b"Package: y\n")
    assert signify(*verify).returncode != 0


def test_we_take_signifys_keys_and_signatures(tmp_path: Path) -> None:
    message = tmp_path / "Packages"
    message.write_bytes(b"Package: x\n")
    made = signify("-G", "-n", "-p", tmp_path / "key.pub", "-s", tmp_path / "key.sec")
    assert made.returncode == 0, made.stderr
    secret = keys.UsignSecret.parse((tmp_path / "key.sec").read_text())
    assert secret.public == keys.UsignPublic.parse((tmp_path / "key.pub").read_text())
    signify("-S", "-s", tmp_path / "key.sec", "-m", message, "-x", tmp_path / "x.sig")
    assert secret.public.verify(message.read_bytes(), (tmp_path / "x.sig").read_text())


@given(st.one_of(st.text(max_size=200), st.builds("untrusted comment: x\n{}\n".format, st.text(max_size=150))))
def test_no_text_brings_a_reader_anything_but_its_own_error(text: str) -> None:
    key = keys.UsignSecret.generate().public
    for read in (keys.UsignPublic.parse, keys.UsignSecret.parse, lambda text: key.verify(b"", text)):
        with pytest.raises(keys.KeyFileError):
            read(text)


def changed(key: keys.UsignSecret, place: int, bits: int) -> str:
    """The text of that key with bits of one byte turned."""
    comment, packed = key.text().splitlines()
    raw = bytearray(base64.b64decode(packed))
    raw[place] ^= bits
    return f"{comment}\n{base64.b64encode(raw).decode()}\n"


@given(st.integers(0, 103), st.integers(0, 7))
def test_a_damaged_secret_key_is_noticed(place: int, bit: int) -> None:
    key = keys.UsignSecret.generate()
    try:
        parsed = keys.UsignSecret.parse(changed(key, place, 1 << bit))
    except keys.KeyFileError:
        return
    # Salt and KDF count for nothing without a passphrase; the number only names the key.
    assert parsed.seed == key.seed
    assert place in range(2, 4) or place in range(8, 24) or place in range(32, 40)


def test_a_secret_key_with_a_passphrase_is_refused() -> None:
    with pytest.raises(keys.KeyFileError, match="passphrase"):
        keys.UsignSecret.parse(changed(keys.UsignSecret.generate(), 7, 42))


# apk's


def test_apk_keys_of_another_kind_are_refused() -> None:
    for other in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(keys.KeyFileError, match="P-256"):
            keys.apk_secret(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@given(st.binary(max_size=200))
def test_no_bytes_bring_a_pem_reader_anything_but_its_own_error(content: bytes) -> None:
    for text in (content, b"-----BEGIN PRIVATE KEY-----\n" + content + b"\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(keys.KeyFileError):
            keys.apk_secret(text)


# Where they are kept


def test_keys_are_made_once(config: Path) -> None:
    first, second = keys.load(), keys.load()
    assert first.made and not second.made
    assert first.usign == second.usign
    assert first.apk.private_numbers() == second.apk.private_numbers()


def test_secret_keys_are_closed_to_others_whatever_the_umask(config: Path) -> None:
    before = os.umask(0)
    try:
        keys.load()
    finally:
        os.umask(before)
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in config.iterdir()} == {0o600}
    assert {path.name for path in config.iterdir()} == {keys.USIGN_FILE, keys.APK_FILE}


def test_several_that_make_keys_at_once_use_the_same(config: Path) -> None:
    start = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: start.wait() >= 0 and keys.load(), range(8)))
    assert len({one.usign.seed for one in found}) == 1
    assert len({one.apk.private_numbers().private_value for one in found}) == 1


def test_a_key_that_others_can_read_is_refused(config: Path) -> None:
    keys.load()
    (config / keys.USIGN_FILE).chmod(0o644)
    with pytest.raises(keys.KeyFileError, match="chmod 600"):
        keys.load()


@pytest.mark.parametrize("name", [keys.USIGN_FILE, keys.APK_FILE])
def test_a_damaged_key_is_never_replaced(config: Path, name: str) -> None:
    keys.load()
    (config / name).write_bytes(b"")
    with pytest.raises(keys.KeyFileError, match="backup"):
        keys.load()
    assert (config / name).read_bytes() == b""


def test_keys_are_not_kept_in_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv(paths.CONFIG_VARIABLE, str(tmp_path / "config"))
    with pytest.raises(UsageError, match="checkout"):
        keys.load()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# Given by the environment


@pytest.fixture
def given(config: Path, tmp_path: Path) -> keys.Keys:
    """Keys of another machine."""
    return keys.Keys(keys.UsignSecret.generate(), ec.generate_private_key(ec.SECP256R1()), tmp_path, False)


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_ci_gives_the_keys_as_text_or_as_files_and_nothing_is_written(
    config: Path, given: keys.Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usign").write_text(given.usign.text())
    monkeypatch.setenv(paths.FEED_KEY_VARIABLE, str(tmp_path / "usign"))
    monkeypatch.setenv(paths.APK_KEY_VARIABLE, pem(given.apk).rstrip())
    found = keys.load()
    assert (found.usign, found.folder, found.made) == (given.usign, None, False)
    for key in (found.apk, keys.load_apk()):
        assert key.private_numbers() == given.apk.private_numbers()
    assert keys.known_apk() == given.apk.public_key()
    assert not config.parent.exists()


@pytest.mark.parametrize(
    "value", ["/no/such/file", "RWRCSwAA==", "-----BEGIN PRIVATE KEY-----\nx", "a\0b", "~nobody7/x"]
)
@pytest.mark.parametrize("variable", [paths.FEED_KEY_VARIABLE, paths.APK_KEY_VARIABLE])
def test_a_key_that_is_none_is_told_by_its_variable_and_not_shown(
    config: Path, given: keys.Keys, monkeypatch: pytest.MonkeyPatch, value: str, variable: str
) -> None:
    monkeypatch.setenv(paths.FEED_KEY_VARIABLE, given.usign.text())
    monkeypatch.setenv(paths.APK_KEY_VARIABLE, pem(given.apk))
    if "\0" in value:
        monkeypatch.setattr(keys.os, "environ", {**keys.os.environ, variable: value})
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(keys.KeyFileError) as caught:
        keys.load()
    assert variable in caught.value.message and value not in str(caught.value)
    assert not config.parent.exists()


def test_one_key_without_the_other_makes_no_new_one(
    config: Path, given: keys.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(paths.APK_KEY_VARIABLE, pem(given.apk))
    assert keys.load_apk().private_numbers() == given.apk.private_numbers()
    with pytest.raises(keys.KeyFileError, match=f"{paths.FEED_KEY_VARIABLE} is not"):
        keys.load()
    assert not list(config.rglob("*key"))
    monkeypatch.delenv(paths.APK_KEY_VARIABLE)
    own = keys.load()
    monkeypatch.setenv(paths.APK_KEY_VARIABLE, pem(given.apk))
    assert keys.load().usign == own.usign, "the other one is the machine's own"
    assert keys.load().apk.private_numbers() == given.apk.private_numbers()
