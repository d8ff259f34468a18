"""Signs ADB files and verifies their signatures, by EC P-256 keys as `apk adbsign` has them."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forge.packages.adb import adb
from forge.packages.adb.adb import File


def key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """How a signature names its key: 16 bytes."""
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return adb.key_id(point)


def sign(file: File, key: ec.EllipticCurvePrivateKey) -> File:
    """The same file with a signature more (always the same one, RFC 6979). The body has the hashes of data blocks."""
    head = bytes((0, adb.SHA512)) + key_id(key.public_key())
    made = key.sign(adb.signed(file, head)[0], ec.ECDSA(hashes.SHA512(), deterministic_signing=True))
    return File(file.schema, file.body, (*file.signatures, head + made), file.data)


def verify(file: File, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether one of the file's signatures is by this key, and right."""
    return any(is_signature(file, signature, key) for signature in file.signatures)


def is_signature(file: File, signature: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    if signature[:18] != bytes((0, adb.SHA512)) + key_id(key):
        return False
    text, made = adb.signed(file, signature)
    try:
        key.verify(made, text, ec.ECDSA(hashes.SHA512()))
    except InvalidSignature:
        return False
    return True
