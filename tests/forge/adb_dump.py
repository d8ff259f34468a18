"""An ADB file as text, line for line what `apk adbdump` prints: for comparing one with a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from forge.packages.adb import adb
from forge.packages.adb.schema import SCHEMAS

_LONG = 80  # a text of this many bytes is set in lines of its own
_MOST_HEX = 128  # bytes that are shown as hex digits; of longer ones only the size
_SIGNATURE_SHOWN = 54  # bytes of a signature that are shown


def dump(content: bytes, keys: Sequence[ec.EllipticCurvePublicKey] = ()) -> str:
    """The text of a whole file; `keys` are those that a signature is trusted by. AdbError if it is not a good file."""
    file = adb.decode(content)
    kind = SCHEMAS.get(file.schema)
    if kind is None:
        raise adb.AdbError(f"it holds neither a package nor an index, but {file.schema:08X}")
    tree = adb.read(file.body, kind)
    lines = [
        f"#%SCHEMA: {file.schema:08X}",
        f"# ADB block, size: {len(file.body)}, compat: {file.body[0]}, ver: {file.body[1]}",
        *_object(kind, tree, 0),
        *(f"# {_signature(file, signature, keys)}" for signature in file.signatures),
        *(f"# data block, size: {len(data)}" for data in file.data),
    ]
    return "".join(f"{line}\n" for line in lines)


def plain(text: str) -> str:
    """Text that does a terminal no harm: what is not to be printed is written as \\x.. or so."""

    def shown(one: str) -> str:
        return one if one.isprintable() or one == "\t" else one.encode("unicode_escape").decode()

    return "".join(map(shown, text))


def _signature(file: adb.File, signature: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> str:
    if len(signature) < 2:
        return "sig: too short"
    good = any(adb.is_signature(file, signature, key) for key in keys)
    shown = signature[2 : 2 + _SIGNATURE_SHOWN]
    more = ".." if len(signature) >= 2 + _SIGNATURE_SHOWN else ""
    state = "OK" if good else "UNTRUSTED signature"
    return f"sig v{signature[0]:02x} h{signature[1]:02x} {shown.hex()}{more}: {state}"


def _object(kind: adb.Object, tree: dict[str, Any], level: int) -> list[str]:
    lines: list[str] = []
    for name, field in kind.fields:
        if name in tree:
            first, *rest = _value(field, tree[name], level)
            lines += ["  " * level + f"{name}:{first}", *rest]
    return lines


def _value(kind: adb.Kind, value: Any, level: int) -> list[str]:
    """What follows the name on its line, and the lines below."""
    match kind:
        case adb.Object():
            return ["", *_object(kind, value, level + 1)] if value else [" # empty object"]
        case adb.Array():
            lines = [f" # {len(value)} items"]
            for item in value:
                lines += _item(kind.item, item, level + 2)
            return lines
        case adb.Scalar(style="number"):
            return [f" {value}"]
        case adb.Scalar(style="octal"):
            return [f" 0{value:o}" if value else " 0"]
        case adb.Scalar(style="hex"):
            return _text(value.hex() if len(value) <= _MOST_HEX else f"({len(value)} bytes)", level)
        case adb.Scalar(style="lines"):
            return _block(value, level)
    return _text(value, level)


def _item(kind: adb.Kind, value: Any, level: int) -> list[str]:
    """The lines of one item of a list, a dash before the first."""
    dash = "  " * (level - 1) + "- "
    if isinstance(kind, adb.Object):
        first, *rest = _object(kind, value, level) or ["  " * level + "# empty object"]
        return [dash + first[len(dash) :], *rest]
    first, *rest = _value(kind, value, level - 1)
    return [dash + first[1:], *rest]


def _text(text: str, level: int) -> list[str]:
    """A text on the line, in quotes or in lines of its own: whichever apk takes."""
    if len(text.encode(errors="surrogateescape")) >= _LONG or any(mark in text for mark in ("\r", "\n", "'", " #")):
        return _block(text, level)
    if text[:1] in set("-?:,[]{}#&*!|>'\"%@`") or ": " in text or "#" in text:
        return [f" '{plain(text)}'"]
    return [f" {plain(text)}"]


def _block(text: str, level: int) -> list[str]:
    """Indented below the name; apk leaves empty lines out."""
    return [" |", *("  " * (level + 1) + plain(line) for line in text.split("\n") if line)]
