"""The keys that a feed is signed with: usign's for opkg (Ed25519), an EC P-256 one for apk. Made once, kept out of git.

usign's files are those of OpenBSD's signify: a comment line, and a line of base64. Secret keys here have no passphrase,
which usign would not take. Only the secret halves are kept; the public ones are derived. feed.py signs with them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from forge.core import console, paths
from forge.core.errors import ForgeError, MachineError, UsageError

USIGN_FILE = "usign.key"
APK_FILE = "apk.pem"
PUBLIC_APK_FILE = "mailrelay.pem"  # in /etc/apk/keys
COMMENT = "untrusted comment: "
MAX_FILE = 4096  # bytes of a key or a signature; the largest has some 200

_ALGORITHM = b"Ed"
_PUBLIC = struct.Struct("2s8s32s")  # algorithm, key number, public key
_SIGNATURE = struct.Struct("2s8s64s")  # algorithm, key number, signature
_SECRET = struct.Struct(">2s2sI16s8s8s64s")  # algorithm, KDF, its rounds, salt, checksum, key number, seed + public key


class KeyFileError(ForgeError):
    """A file that should hold a key or a signature, and does not."""


@dataclass(frozen=True)
class UsignPublic:
    """The half that a router has in /etc/opkg/keys/FINGERPRINT."""

    number: bytes  # 8 random bytes that name the key
    key: bytes

    @property
    def fingerprint(self) -> str:
        """16 hex digits; opkg looks for the key of a signature in a file of this name."""
        return self.number.hex()

    def text(self) -> str:
        packed = _PUBLIC.pack(_ALGORITHM, self.number, self.key)
        return _lines(f"public key {self.fingerprint}", packed)

    @classmethod
    def parse(cls, text: str) -> UsignPublic:
        _, number, key = _unpack(text, _PUBLIC, "public key")
        return cls(number, key)

    def verify(self, message: bytes, signature: str) -> bool:
        """Whether `signature` (the text of a .sig file) is of this key, over `message`."""
        _, number, made = _unpack(signature, _SIGNATURE, "signature")
        if number != self.number:
            return False
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.key).verify(made, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class UsignSecret:
    """A whole pair. Signatures are deterministic: the same key and message give the same text."""

    number: bytes
    seed: bytes

    @classmethod
    def generate(cls) -> UsignSecret:
        return cls(secrets.token_bytes(8), secrets.token_bytes(32))

    @property
    def public(self) -> UsignPublic:
        return UsignPublic(self.number, self._key().public_key().public_bytes_raw())

    def sign(self, message: bytes) -> str:
        """The text of a .sig file."""
        packed = _SIGNATURE.pack(_ALGORITHM, self.number, self._key().sign(message))
        return _lines(f"signed by key {self.number.hex()}", packed)

    def text(self) -> str:
        pair = self.seed + self.public.key
        checksum = hashlib.sha512(pair).digest()[:8]
        packed = _SECRET.pack(_ALGORITHM, b"BK", 0, secrets.token_bytes(16), checksum, self.number, pair)
        return _lines(f"secret key {self.number.hex()}", packed)

    @classmethod
    def parse(cls, text: str) -> UsignSecret:
        _, _, rounds, _, checksum, number, pair = _unpack(text, _SECRET, "secret key")
        if rounds:
            raise KeyFileError("the secret key has a passphrase", hint="make one without: signify -G -n")
        secret = cls(number, pair[:32])
        if hashlib.sha512(pair).digest()[:8] != checksum or secret.public.key != pair[32:]:
            raise KeyFileError("the secret key is damaged")
        return secret

    def _key(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self.seed)


def signer(signature: str) -> str:
    """The fingerprint that a signature (the text of a .sig file) names."""
    return _unpack(signature, _SIGNATURE, "signature")[1].hex()


def _lines(comment: str, packed: bytes) -> str:
    return f"{COMMENT}{comment}\n{base64.b64encode(packed).decode()}\n"


def _unpack(text: str, form: struct.Struct, what: str) -> tuple[bytes, ...]:
    lines = text[:MAX_FILE].split("\n")
    try:
        if len(lines) < 2 or not lines[0].startswith(COMMENT):
            raise ValueError
        fields = form.unpack(base64.b64decode(lines[1].rstrip("\r"), validate=True))
    except (ValueError, binascii.Error, struct.error):
        raise KeyFileError(f"this is no {what} of usign or signify") from None
    if fields[0] != _ALGORITHM:
        raise KeyFileError(f"the {what} is not Ed25519")
    return fields


# apk's


def apk_secret(text: bytes) -> ec.EllipticCurvePrivateKey:
    """The secret key in a PEM file without a passphrase."""
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError("this is no secret key in a PEM file without passphrase") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError("the secret key is not EC P-256")
    return key


def apk_public_text(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def publish_apk(folder: Path, key: ec.EllipticCurvePublicKey) -> Path:
    """Write the public key under the name that it gets on a router; return the file."""
    folder.mkdir(exist_ok=True)
    file = folder / PUBLIC_APK_FILE
    file.write_bytes(apk_public_text(key))
    return file


# Where they are kept


VARIABLES = {USIGN_FILE: paths.FEED_KEY_VARIABLE, APK_FILE: paths.APK_KEY_VARIABLE}
_ELSEWHERE = f"set {paths.CONFIG_VARIABLE} to a folder of yours, or give the keys in {' and '.join(VARIABLES.values())}"


class NoFolderError(KeyFileError):
    """Keys can neither be read nor made: their folder can't be used."""


@dataclass(frozen=True)
class Keys:
    """Both keys of whoever runs this. `made`: they did not exist before. No folder: the environment gave both."""

    usign: UsignSecret
    apk: ec.EllipticCurvePrivateKey
    folder: Path | None
    made: bool


def load() -> Keys:
    """The keys that the environment gives (VARIABLES: a key's text, or the path of a file with it), else those in
    paths.config("keys"), made at the first call and closed to others."""
    given = {name: text for name, variable in VARIABLES.items() if (text := _given(variable))}
    texts, folder, made = dict(given), None, False
    if len(given) < len(VARIABLES):
        folder = _folder()
        for name in VARIABLES.keys() - given.keys():
            if given and not (folder / name).exists():
                (set_one,) = (VARIABLES[other] for other in given)
                raise KeyFileError(
                    f"{set_one} is set, and {VARIABLES[name]} is not: there is no {folder / name} to take for it",
                    hint=f"set {VARIABLES[name]} too: a new key would have to be given to every router",
                )
            made |= not given and _make(folder / name, _fresh(name))
            texts[name] = _read(folder / name)
    if made:
        console.note(f"made new keys in {folder}: keep a copy, routers will trust no others")
    usign = _parsed(USIGN_FILE, texts[USIGN_FILE], folder, given)
    apk = _parsed(APK_FILE, texts[APK_FILE], folder, given)
    assert isinstance(usign, UsignSecret) and isinstance(apk, ec.EllipticCurvePrivateKey)
    return Keys(usign, apk, folder, made)


def load_apk() -> ec.EllipticCurvePrivateKey:
    """apk's key alone, for packages: a CI that makes no feed has to give no other."""
    text = _given(paths.APK_KEY_VARIABLE)
    if not text:
        return load().apk
    key = _parsed(APK_FILE, text, None, {APK_FILE: text})
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def known_apk() -> ec.EllipticCurvePublicKey | None:
    """apk's key if there is one; none is made to look at a package."""
    try:
        if os.environ.get(paths.APK_KEY_VARIABLE) or (paths.config("keys") / APK_FILE).exists():
            return load_apk().public_key()
    except (ForgeError, OSError):
        pass
    return None


def _given(variable: str) -> bytes:
    """What the variable holds or names; empty if it is not set. Its value is shown nowhere: it may be a secret."""
    value = os.environ.get(variable, "").strip()
    if not value or value.startswith((COMMENT.strip(), "-----BEGIN")):
        return f"{value}\n".encode() if value else b""
    try:
        with Path(value).expanduser().open("rb") as file:
            return file.read(MAX_FILE)
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path"
        raise KeyFileError(
            f"{variable} holds neither a secret key nor the path of a file with one ({why})",
            hint=f"give it the text of {' or '.join(VARIABLES)}, or the path of that file",
        ) from None


def _folder() -> Path:
    try:
        folder = paths.config("keys")
    except MachineError as error:
        raise NoFolderError(f"the keys' folder can't be used: {error.message}", hint=error.hint) from None
    if folder.resolve().is_relative_to(paths.ROOT):
        raise UsageError(
            f"the keys' folder {folder} lies in the checkout", hint=f"set {paths.CONFIG_VARIABLE} to a folder elsewhere"
        )
    return folder


def _fresh(name: str) -> bytes:
    if name == USIGN_FILE:
        return UsignSecret.generate().text().encode()
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _parsed(
    name: str, text: bytes, folder: Path | None, given: Mapping[str, bytes]
) -> UsignSecret | ec.EllipticCurvePrivateKey:
    try:
        return UsignSecret.parse(text.decode(errors="replace")) if name == USIGN_FILE else apk_secret(text)
    except KeyFileError as error:
        hint = error.hint or "bring it back from a backup; a new key would have to be given to every router"
        where = VARIABLES[name] if name in given else f"{folder}/{name}"
        raise KeyFileError(f"{where}: {error.message}", hint=hint) from None


def _make(path: Path, content: bytes) -> bool:
    """Write a secret unless it is there, never half of it; of several that try at once, all use the first one's."""
    if path.exists():
        return False
    try:
        handle, scratch = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # 0600
    except OSError as error:
        raise NoFolderError(
            f"the keys' folder can't be written to: {path.parent}: {error.strerror}", hint=_ELSEWHERE
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)
    except FileExistsError:
        return False
    finally:
        Path(scratch).unlink()
    return True


def _read(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{path} can be read by others than you (mode {mode:04o})", hint=f"chmod 600 {path}")
    with path.open("rb") as file:
        return file.read(MAX_FILE)
