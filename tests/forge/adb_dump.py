"""An ADB file as text, line for line what `apk adbdump` printed of the recorded ones: for comparing with that.

Of what apk does with texts that the recorded files do not have (quotes, long lines) there is nothing here.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from forge.packages.adb import adb
from forge.packages.adb.schema import INDEX, INDEX_SCHEMA, PACKAGE, PACKAGE_SCHEMA

SCHEMAS = {PACKAGE_SCHEMA: PACKAGE, INDEX_SCHEMA: INDEX}
_SIGNATURE_SHOWN = 54  # bytes of a signature that are shown


def dump(content: bytes) -> str:
    """The text of a whole file, as apk prints it where it knows no key."""
    file = adb.decode(content)
    kind = SCHEMAS[file.schema]
    lines = [
        f"#%SCHEMA: {file.schema:08X}",
        f"# ADB block, size: {len(file.body)}, compat: {file.body[0]}, ver: {file.body[1]}",
        *_object(kind, adb.read(file.body, kind), 0),
        *(f"# {_signature(signature)}: UNTRUSTED signature" for signature in file.signatures),
        *(f"# data block, size: {len(data)}" for data in file.data),
    ]
    return "".join(f"{line}\n" for line in lines)


def _signature(signature: bytes) -> str:
    return f"sig v{signature[0]:02x} h{signature[1]:02x} {signature[2 : 2 + _SIGNATURE_SHOWN].hex()}.."


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
            return ["", *_object(kind, value, level + 1)]
        case adb.Array():
            items = (_item(kind.item, item, level + 2) for item in value)
            return [f" # {len(value)} items", *chain.from_iterable(items)]
        case adb.Scalar(style="octal"):
            return [f" 0{value:o}"]
        case adb.Scalar(style="hex"):
            return [f" {value.hex()}"]
        case adb.Scalar(style="lines"):  # indented below the name; apk leaves empty lines out
            return [" |", *("  " * (level + 1) + line for line in value.split("\n") if line)]
    return [f" {value}"]


def _item(kind: adb.Kind, value: Any, level: int) -> list[str]:
    """The lines of one item of a list, a dash before the first."""
    dash = "  " * (level - 1) + "- "
    first, *rest = _object(kind, value, level) if isinstance(kind, adb.Object) else [f"{dash}{value}"]
    return [dash + first[len(dash) :], *rest]
