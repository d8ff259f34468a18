"""Says whether a signature by a key of /etc/apk/keys is right: ECDSA over P-256 (FIPS 186-4), SHA-512 as apk has it.

OpenSSL's program is on no router, and Python's own modules have no signatures. Only public values come here, so it need
not take the same time for all of them. apk_data.py calls this.
"""

from __future__ import annotations

import binascii
import hashlib

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")  # of a SubjectPublicKeyInfo (RFC 5480)

Point = tuple[int, int, int]  # X, Y, Z: the point X/Z², Y/Z³; Z is 0 for the one at infinity


def point(pem: str) -> bytes:
    """The key of a PEM file as an uncompressed point; empty if it is another kind of key."""
    body = pem.partition("-----BEGIN PUBLIC KEY-----")[2].partition("-----END")[0]
    try:
        data = binascii.a2b_base64(body)
    except binascii.Error:
        return b""
    return data[len(_HEAD) :] if data.startswith(_HEAD) and len(data) == len(_HEAD) + 65 else b""


def verify(key: bytes, text: bytes, signature: bytes) -> bool:
    """`key` is an uncompressed point, `signature` has two numbers (DER)."""
    try:
        r, s = _numbers(signature)
    except (ValueError, IndexError):
        return False
    if not (0 < r < _N and 0 < s < _N):
        return False
    number = int.from_bytes(hashlib.sha512(text).digest()[:32], "big")
    inverse = pow(s, -1, _N)
    own = int.from_bytes(key[1:33], "big"), int.from_bytes(key[33:], "big"), 1
    x, _, z = _add(_times(number * inverse % _N, (*_G, 1)), _times(r * inverse % _N, own))
    return z != 0 and x * pow(z, -2, _P) % _P % _N == r


def _numbers(der: bytes) -> tuple[int, int]:
    if der[0] != 0x30 or der[1] != len(der) - 2 or der[2] != 2:
        raise ValueError("no sequence of numbers")
    end = 4 + der[3]
    if der[end] != 2 or end + 2 + der[end + 1] != len(der):
        raise ValueError("no two numbers")
    return int.from_bytes(der[4:end], "big"), int.from_bytes(der[end + 2 :], "big")


def _times(factor: int, what: Point) -> Point:
    total: Point = (1, 1, 0)
    for bit in bin(factor)[2:]:
        total = _double(total)
        if bit == "1":
            total = _add(total, what)
    return total


def _double(one: Point) -> Point:
    x, y, z = one
    if not z:
        return one
    square = y * y % _P
    s = 4 * x * square % _P
    m = 3 * (x - z * z) * (x + z * z) % _P
    new = (m * m - 2 * s) % _P
    return new, (m * (s - new) - 8 * square * square) % _P, 2 * y * z % _P


def _add(one: Point, other: Point) -> Point:
    if not one[2] or not other[2]:
        return other if not one[2] else one
    (x1, y1, z1), (x2, y2, z2) = one, other
    u1, u2 = x1 * z2 * z2 % _P, x2 * z1 * z1 % _P
    s1, s2 = y1 * z2**3 % _P, y2 * z1**3 % _P
    if u1 == u2:
        return _double(one) if s1 == s2 else (1, 1, 0)
    h, r = u2 - u1, s2 - s1
    square = h * h % _P
    new = (r * r - h * square - 2 * u1 * square) % _P
    return new, (r * (u1 * square - new) - s1 * h * square) % _P, h * z1 * z2 % _P
