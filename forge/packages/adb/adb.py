"""ADB, the file format of apk-tools 3, in which packages and indexes are written: read and written here.

A file is a schema's name and blocks: one ADB block (a tree of values, described by a Kind), signatures over it, and
data blocks with the contents of files. What the trees of packages and indexes mean is schema.py's and apk.py's, who
made a signature is signatures.py's. The lab's stand-in for apk reads by this file, too: it needs no more than
python3-light.
The format is described in apk-tools' doc/apk-v3.5.scd; as there, equal values are stored once, so that the same calls
give the same bytes. Whatever is read may be hostile: the only error is AdbError, and sizes are bounded.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forge.core.errors import ForgeError

MAX_SIZE = 256 << 20  # bytes of a whole file, unpacked
MAX_TREE = 16 << 20  # bytes that the values of one tree may come to, shared ones counted each time

# A value is a word: four bits of type, 28 bits that are the value itself or say where it is.
_INT, _INT32, _INT64 = 0x1, 0x2, 0x3
_BLOB8, _BLOB16, _BLOB32 = 0x8, 0x9, 0xA
_ARRAY, _OBJECT = 0xD, 0xE
NULL = 0
_LENGTHS = {_BLOB8: struct.Struct("<B"), _BLOB16: struct.Struct("<H"), _BLOB32: struct.Struct("<I")}
_WORD = struct.Struct("<I")
_HEADER = 8  # two version bytes, two reserved ones, the root value

_ADB_BLOCK, _SIGNATURE_BLOCK, _DATA_BLOCK = 0, 1, 2
_MAX_BLOCK = 0x3FFFFFFF
SHA512 = 4  # as signatures name the hash
_SIGNATURE_HEAD = 18  # bytes: version, hash, the key's id


class AdbError(ForgeError):
    """What was read is no ADB file, or not one that can be relied on; or what is to be written does not fit in one."""


@dataclass(frozen=True)
class Scalar:
    """Text is str (bytes that are not UTF-8 as surrogates), hex is bytes, the others are int."""

    style: Literal["text", "lines", "hex", "number", "octal"]


@dataclass(frozen=True)
class Dependency:
    """A name with or without a version, as str: "libc", "ssl>=3.0", "!other". In the file it is an object of three."""


@dataclass(frozen=True)
class Array:
    """A list; apk keeps all of ours sorted (objects by their first field), and dependencies without doubles."""

    item: Kind
    ordered: bool = True


@dataclass(frozen=True)
class Object:
    """A dict from name to value, without those that are absent; in the file, numbered slots in this order."""

    fields: tuple[tuple[str, Kind], ...]

    def slot(self, name: str) -> int:
        return next(number for number, (field, _) in enumerate(self.fields, 1) if field == name)


Kind = Scalar | Dependency | Array | Object
Slots = dict[int, int]

# How a dependency's operator is written, by its bits: 1 equal, 2 less, 4 greater, 8 fuzzy; 16 is the "!" in front.
_OPERATORS = {1: "=", 2: "<", 3: "<=", 4: ">", 5: ">=", 6: "><", 8: "~", 9: "~", 11: "<~", 13: ">~"}
_BITS = {"=": 1, "<": 2, ">": 4, "~": 9}
_CONFLICT = 16
_DEPENDENCY = re.compile(r"(!?)([A-Za-z0-9+._,:/\[\]-]+)(?:([<>=~]+)(.+))?", re.ASCII)
_VERSION = re.compile(
    r"[0-9]+(\.[0-9]+)*[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(~[0-9a-f]+)?(-r[0-9]+)?", re.ASCII
)


def is_version(text: str) -> bool:
    """Whether apk takes it for a version: digit{.digit}...{letter}{_suffix{#}}...{~hash}{-r#}."""
    return _VERSION.fullmatch(text) is not None


# The file


@dataclass(frozen=True)
class File:
    """An ADB file taken apart. `body` is what the unique id, the index's hash and signatures are made of."""

    schema: int
    body: bytes
    signatures: tuple[bytes, ...] = ()
    data: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The file, as apk writes it: raw deflate behind its own mark."""
        blocks = [(_ADB_BLOCK, self.body), *((_SIGNATURE_BLOCK, one) for one in self.signatures)]
        blocks += [(_DATA_BLOCK, one) for one in self.data]
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        parts = [b"ADBd", packer.compress(b"ADB." + _WORD.pack(self.schema))]
        for number, payload in blocks:
            size = len(payload) + _WORD.size
            if size > _MAX_BLOCK:
                raise AdbError("a file in the package is over 1 GiB")
            parts.append(packer.compress(_WORD.pack(number << 30 | size) + payload + bytes(-size % 8)))
        return b"".join([*parts, packer.flush()])


def decode(content: bytes, *, limit: int = MAX_SIZE) -> File:
    """Take a file apart. Nothing is verified but its form; see verify()."""
    raw = _unpacked(content, limit)
    if len(raw) < 8:
        raise AdbError("the file ends within its header")
    body = b""
    signatures, data = [], []
    allowed = {_ADB_BLOCK}
    for number, payload in _blocks(raw):
        if number not in allowed:
            raise AdbError("its blocks are not in order")
        if number == _ADB_BLOCK:
            if len(payload) < _HEADER or payload[0] != 0:
                raise AdbError("it is of a later version of the format than this program knows")
            body, allowed = payload, {_SIGNATURE_BLOCK, _DATA_BLOCK}
        elif number == _SIGNATURE_BLOCK:
            signatures.append(payload)
        else:
            data.append(payload)
            allowed = {_DATA_BLOCK}
    if not body:
        raise AdbError("there is nothing in it")
    return File(_WORD.unpack_from(raw, 4)[0], body, tuple(signatures), tuple(data))


def _unpacked(content: bytes, limit: int) -> bytes:
    mark, rest = content[:4], content[4:]
    if mark == b"ADBc" and rest[:1] == b"\x01":
        mark, rest = b"ADBd", rest[2:]
    if mark == b"ADBc":
        raise AdbError("it is compressed in a way this program can't read (zstd?)")
    if mark == b"ADBd":
        unpacker = zlib.decompressobj(-15)
        try:
            content = unpacker.decompress(rest, limit + 1)
        except zlib.error as error:
            raise AdbError(f"its compressed part is damaged: {error}") from None
        if len(content) <= limit and not unpacker.eof:
            raise AdbError("it is cut off")
        if unpacker.unused_data:
            raise AdbError("something else follows its end")
        mark = content[:4]
    if mark != b"ADB.":
        raise AdbError("this is not a file of apk-tools 3 (apk v3, ADB)")
    if len(content) > limit:
        raise AdbError(f"it unpacks to more than {limit >> 20} MiB")
    return content


def _blocks(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 8
    while at < len(raw):
        if at + _WORD.size > len(raw):
            raise AdbError("it ends within a block")
        word = _WORD.unpack_from(raw, at)[0]
        number, size = word >> 30, word & _MAX_BLOCK
        if number > _DATA_BLOCK:
            raise AdbError("it has a block of a kind this program does not know")
        if size < _WORD.size or at + size + -size % 8 > len(raw):
            raise AdbError("a block's size is wrong, or the file is cut off")
        yield number, raw[at + _WORD.size : at + size]
        at += size + -size % 8


# Reading a tree


def read(body: bytes, kind: Object) -> dict[str, Any]:
    """The tree of values in a body, as Python's own; what apk would not show (slots it does not know) is left out."""
    return _Reader(body).object(_WORD.unpack_from(body, 4)[0], kind)


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._budget = MAX_TREE  # values may be shared, so a small file can describe an endless tree

    def value(self, word: int, kind: Kind) -> Any:
        match kind:
            case Object():
                return self.object(word, kind)
            case Array():
                return [self.value(item, kind.item) for item in self._slots(word) if item != NULL]
            case Dependency():
                return self._dependency(word)
            case Scalar(style="number" | "octal"):
                return self._number(word)
            case Scalar(style="hex"):
                return self._blob(word)
        return self._blob(word).decode(errors="surrogateescape")

    def object(self, word: int, kind: Object) -> dict[str, Any]:
        slots = zip(kind.fields, self._slots(word))
        return {name: self.value(slot, field) for (name, field), slot in slots if slot != NULL}

    def _slots(self, word: int) -> tuple[int, ...]:
        if word == NULL:
            return ()
        if word >> 28 not in (_ARRAY, _OBJECT):
            raise AdbError("a value is not of the type that belongs there")
        at = word & 0x0FFFFFFF
        count = _WORD.unpack(self._take(at, _WORD.size))[0]
        if not count:
            raise AdbError("an object has no size")
        return struct.unpack(f"<{count - 1}I", self._take(at + _WORD.size, _WORD.size * (count - 1)))

    def _number(self, word: int) -> int:
        match word >> 28:
            case 0x1:
                return word & 0x0FFFFFFF
            case 0x2:
                return int.from_bytes(self._take(word & 0x0FFFFFFF, 4), "little")
            case 0x3:
                return int.from_bytes(self._take(word & 0x0FFFFFFF, 8), "little")
        raise AdbError("a value is not of the type that belongs there")

    def _blob(self, word: int) -> bytes:
        length = _LENGTHS.get(word >> 28)
        if length is None:
            raise AdbError("a value is not of the type that belongs there")
        at = word & 0x0FFFFFFF
        return self._take(at + length.size, length.unpack(self._take(at, length.size))[0])

    def _dependency(self, word: int) -> str:
        slots = [*self._slots(word), NULL, NULL, NULL]
        name = self._blob(slots[0]).decode(errors="surrogateescape")
        bits = self._number(slots[2]) if slots[2] != NULL else 1
        negated = "!" if bits & _CONFLICT else ""
        if slots[1] == NULL:
            return negated + name
        version = self._blob(slots[1]).decode(errors="surrogateescape")
        return f"{negated}{name}{_OPERATORS.get(bits & ~_CONFLICT, '?')}{version}"

    def _take(self, at: int, size: int) -> bytes:
        self._budget -= size + 1
        if self._budget < 0:
            raise AdbError(f"its values come to more than {MAX_TREE >> 20} MiB")
        if at + size > len(self._body):
            raise AdbError("a value lies outside of the file")
        return self._body[at : at + size]


# Writing a tree


class Writer:
    """Appends values and returns the words for them. A value that is there already, suitably aligned, is used again.

    The order of the calls decides the bytes: to write what apk writes, add values in apk's order.
    """

    def __init__(self) -> None:
        self._body = bytearray(_HEADER)
        self._known: dict[bytes, int] = {}

    def value(self, kind: Kind, value: Any) -> int:
        """The word for a whole value, the parts before what holds them. None and what is empty have the null word."""
        match kind:
            case Object():
                return self.object(self.slots(kind, value))
            case Array():
                words = [(_order(kind.item, item), self.value(kind.item, item)) for item in value]
                if kind.ordered:
                    words.sort()
                if isinstance(kind.item, Dependency):
                    words = list(dict.fromkeys(words))
                return self.array([word for _, word in words if word != NULL])
            case Dependency():
                return self._dependency(value)
            case Scalar(style="number" | "octal"):
                return self.number(value)
            case Scalar(style="hex"):
                return self.blob(value)
        return self.blob(value.encode(errors="surrogateescape"))

    def slots(self, kind: Object, values: dict[str, Any]) -> Slots:
        """The words for the values that are there, by their slots."""
        fields = enumerate(kind.fields, 1)
        return {number: self.value(field, values[name]) for number, (name, field) in fields if name in values}

    def blob(self, content: bytes, *, shared: bool = True) -> int:
        if not content:
            return NULL
        kind = _BLOB8 if len(content) <= 0xFF else _BLOB16 if len(content) <= 0xFFFF else _BLOB32
        length = _LENGTHS[kind]
        return self._word(kind, self._add(length.pack(len(content)) + content, length.size, shared))

    def number(self, value: int) -> int:
        if not 0 <= value < 1 << 64:
            raise AdbError(f"the format can't hold the number {value}")
        if value < 1 << 28:
            return self._word(_INT, value)
        if value < 1 << 32:
            return self._word(_INT32, self._add(_WORD.pack(value), 4))
        return self._word(_INT64, self._add(value.to_bytes(8, "little"), 4))

    def object(self, slots: Slots) -> int:
        """An object with these slots (from 1); null ones count for nothing."""
        used = {number: word for number, word in slots.items() if word != NULL}
        return self.array([used.get(number, NULL) for number in range(1, max(used, default=0) + 1)])

    def array(self, words: Sequence[int]) -> int:
        """A list. apk's own packer marks it as an object, too, and reads both."""
        if not words:
            return NULL
        return self._word(_OBJECT, self._add(struct.pack(f"<{len(words) + 1}I", len(words) + 1, *words), 4))

    def finish(self, root: int) -> bytearray:
        """The body, complete."""
        self._body[4:8] = _WORD.pack(root)
        return self._body

    def _dependency(self, text: str) -> int:
        negated, name, operator, version = split_dependency(text)
        bits = 0
        for mark in operator:
            bits |= _BITS[mark]
        bits = (bits or 7) | (_CONFLICT if negated else 0)
        slots = {1: self.blob(name.encode())}
        if bits != 7:
            slots[2] = self.blob(version.encode())
            if bits != 1:
                slots[3] = self.number(bits)
        return self.object(slots)

    def _add(self, content: bytes, alignment: int, shared: bool = True) -> int:
        at = self._known.get(content)
        if shared and at is not None and at % alignment == 0:
            return at
        self._body += bytes(-len(self._body) % alignment)
        at = len(self._body)
        if shared:
            self._known[content] = at
        self._body += content
        return at

    @staticmethod
    def _word(kind: int, value: int) -> int:
        if value >= 1 << 28:
            raise AdbError("the package has more metadata than the format can hold (256 MiB)")
        return kind << 28 | value


def split_dependency(text: str) -> tuple[str, str, str, str]:
    """'!', name, operator, version: all but the name may be empty. AdbError if apk would refuse it."""
    found = _DEPENDENCY.fullmatch(text)
    if not found:
        raise AdbError(f"{text!r} is not a dependency that apk understands", hint='write it like "ssl" or "ssl>=3.0"')
    negated, name, operator, version = (part or "" for part in found.groups())
    if version and not is_version(version):
        raise AdbError(f"{text!r}: {version!r} is not a version that apk understands")
    return negated, name, operator, version


def _order(kind: Kind, value: Any) -> bytes:
    """What a list is sorted by."""
    if isinstance(kind, Object):
        value = value.get(kind.fields[0][0], "")
    if isinstance(kind, Dependency):
        _, name, operator, version = split_dependency(value)
        value = f"{name}\0{version}\0{operator}"
    return bytes(value.encode(errors="surrogateescape"))


# Signatures


def signer(signature: bytes) -> bytes:
    """The key_id() that a signature names."""
    return signature[2:_SIGNATURE_HEAD]


def key_id(point: bytes) -> bytes:
    """How a signature names its key, an uncompressed point of P-256 (SEC 1): 16 bytes."""
    return hashlib.sha512(point).digest()[:16]


def signed(file: File, signature: bytes) -> tuple[bytes, bytes]:
    """What a signature (or its head, that is about to be one) is made over, and the ECDSA signature itself (DER)."""
    head = signature[:_SIGNATURE_HEAD]
    return _WORD.pack(file.schema) + head + hashlib.sha512(file.body).digest(), signature[_SIGNATURE_HEAD:]
