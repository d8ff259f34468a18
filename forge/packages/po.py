"""Translations of LuCI's kind: finds the texts in scripts, reads .po files, and makes the .lmo files that LuCI loads.

`.po` is GNU gettext's format; `.lmo` is LuCI's (po2lmo.c and lib/lmo.c in
its modules/luci-base/src): the texts, an index of their keys' hashes, and the index's offset, all in network order. The
mini-SDK's recipes run `python3 -m forge.packages.po IN OUT`; `./inv generate` brings the app's template and
translations up to date.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forge.core import paths
from forge.core.errors import ForgeError

APP = paths.PACKAGES / "luci-app-mailrelay"
TEMPLATE = APP / "po/templates/mailrelay.pot"
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'

_TEXT = r"'((?:[^'\\]|\\.)*)'\s*"
_CALL = re.compile(rf"\b_\(\s*{_TEXT}\)|\bN_\([^,']+,\s*{_TEXT},\s*{_TEXT}\)")
_SUSPECT = re.compile(rf"\b_\(\s*(?!')|\bN_\((?![^,']+,\s*{_TEXT},\s*{_TEXT}\))")
_KEYWORD = re.compile(r"msgid|msgid_plural|msgstr(?:\[(\d)\])?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*$')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass
class Entry:
    """A text, its translation ("" for none yet), and where it stands, as paths from the app's folder with the line.

    A text that depends on a number has a plural too, and more forms than one of the translation.
    """

    id: str
    text: str = ""
    places: list[str] = field(default_factory=list)
    plural: str = ""
    more: list[str] = field(default_factory=list)

    @property
    def keys(self) -> dict[str, str]:
        """Each form's text by the name that LuCI looks it up by."""
        if not self.plural:
            return {self.id: self.text}
        return {f"{self.id}\x02{number}": text for number, text in enumerate([self.text, *self.more])}


# ---- the texts ------------------------------------------------------------------------------------------------------


def scan(app: Path = APP) -> list[Entry]:
    """Every text of the app that is to be translated, in the order of files and lines."""
    found: dict[str, Entry] = {}
    for place, text, plural in _texts(app):
        found.setdefault(text, Entry(text, plural=plural)).places.append(place)
    return list(found.values())


def _texts(app: Path) -> Iterator[tuple[str, str, str]]:
    for file in sorted(app.glob("htdocs/**/*.js")):
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
            place = f"{file.relative_to(app)}:{number}"
            for match in _CALL.finditer(line):
                yield place, _unescaped(match[1] or match[2]), _unescaped(match[3] or "")
            if _SUSPECT.search(line):
                raise ForgeError(f"{place}: _( ) takes one text in single quotes, N_( ) a number and two, on its line")
    for name, key in (("luci/menu.d", "title"), ("rpcd/acl.d", "description")):
        for file in sorted(app.glob(f"root/usr/share/{name}/*.json")):
            for entry in json.loads(file.read_text(encoding="utf-8")).values():
                if key in entry:
                    yield str(file.relative_to(app)), entry[key], ""


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), text)


def merge(entries: list[Entry], before: list[Entry], header: str) -> str:
    """The translation file for these texts, with what is translated already."""
    known = {entry.id: entry for entry in before}
    parts = [header]
    for entry in entries:
        told = known.get(entry.id, entry)
        lines = [*(f"#: {place}" for place in entry.places), f"msgid {_quote(entry.id)}"]
        if entry.plural:
            lines.append(f"msgid_plural {_quote(entry.plural)}")
            lines += [
                f"msgstr[{number}] {_quote(text)}" for number, text in enumerate([told.text, *(told.more or [""])])
            ]
        else:
            lines.append(f"msgstr {_quote(told.text)}")
        parts.append("\n".join([*lines, ""]))
    return "\n".join(parts)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def read(path: Path) -> list[Entry]:
    """The entries of a .po file, without its header. ForgeError names the line that cannot be read."""
    return [entry for entry in _read(path) if entry.id]


def _read(path: Path) -> list[Entry]:
    entries: list[Entry] = []
    part = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        keyword = line.split(" ", 1)[0]
        if not line.strip() or line.startswith("#"):
            continue
        if _KEYWORD.fullmatch(keyword):
            part = keyword
            if part == "msgid":
                entries.append(Entry(""))
        elif not line.startswith('"'):
            raise ForgeError(f"{paths.shown(path)}:{number}: {keyword} is not understood here")
        match = _QUOTED.search(line)
        if match is None or not entries:
            raise ForgeError(f"{paths.shown(path)}:{number}: a text in double quotes is missing")
        _add(entries[-1], part, _unescaped(match[1]), begins=not line.startswith('"'))
    return entries


def _add(entry: Entry, part: str, text: str, *, begins: bool) -> None:
    if part == "msgid":
        entry.id += text
    elif part == "msgid_plural":
        entry.plural += text
    elif part in ("msgstr", "msgstr[0]"):
        entry.text += text
    elif begins:
        entry.more.append(text)
    else:
        entry.more[-1] += text


# ---- .lmo -----------------------------------------------------------------------------------------------------------


def compile(path: Path) -> bytes:
    """The .lmo file of a .po file; empty if nothing is translated. What is the same in both languages is left out."""
    texts = bytearray()
    index = []
    for entry in _read(path):
        plural = re.search(r"^Plural-Forms: (.*)$", entry.text, re.MULTILINE) if not entry.id else None
        if plural:  # where LuCI looks for the formula
            index.append((0, 0, len(texts), len(plural[1])))
            texts += plural[1].encode() + bytes(-len(plural[1]) % 4)
        if not entry.id:
            continue
        for name, told in entry.keys.items():
            # Escapes other than \\" and \\\\ stay as they are written, in keys and texts.
            key, text = _raw(name), _raw(told)
            if not text or not entry.text or sfh(key) == sfh(text):
                continue
            index.append((sfh(key), 1 + len(entry.more), len(texts), len(text)))
            texts += text + bytes(-len(text) % 4)
    if not texts:
        return b""
    table = b"".join(struct.pack(">4I", *row) for row in sorted(index))
    return bytes(texts) + table + struct.pack(">I", len(texts))


def _raw(text: str) -> bytes:
    return text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").encode()


def sfh(data: bytes) -> int:
    """Paul Hsieh's SuperFastHash, seeded with the length, as LuCI's lib/lmo.c has it; its odd bytes are signed."""
    value = len(data)
    if not data:
        return 0
    whole = len(data) & ~3
    for first, second in struct.iter_unpack("<HH", data[:whole]):
        value = (value + first) & 0xFFFFFFFF
        value = (value << 16) ^ ((second << 11) ^ value)
        value &= 0xFFFFFFFF
        value = (value + (value >> 11)) & 0xFFFFFFFF
    rest = data[whole:]
    if len(rest) == 3:
        value = (value + int.from_bytes(rest[:2], "little")) & 0xFFFFFFFF
        value ^= (value << 16) & 0xFFFFFFFF
        value ^= (_signed(rest[2]) << 18) & 0xFFFFFFFF
        value = (value + (value >> 11)) & 0xFFFFFFFF
    elif len(rest) == 2:
        value = (value + int.from_bytes(rest, "little")) & 0xFFFFFFFF
        value ^= (value << 11) & 0xFFFFFFFF
        value = (value + (value >> 17)) & 0xFFFFFFFF
    elif len(rest) == 1:
        value = (value + _signed(rest[0])) & 0xFFFFFFFF
        value ^= (value << 10) & 0xFFFFFFFF
        value = (value + (value >> 1)) & 0xFFFFFFFF
    for shift, left in ((3, True), (5, False), (4, True), (17, False), (25, True), (6, False)):
        if left:
            value ^= (value << shift) & 0xFFFFFFFF
        else:
            value = (value + (value >> shift)) & 0xFFFFFFFF
    return value


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def stale() -> dict[Path, str]:
    """The template and the translations that lack a text of the app or name another place for it, as they should be."""
    entries = scan()
    wanted = {TEMPLATE: merge(entries, [], HEADER)}
    for path in APP.glob("po/*/mailrelay.po"):
        header = path.read_text(encoding="utf-8").partition("\n\n")[0].rstrip("\n") + "\n"
        wanted[path] = merge(entries, read(path), header)
    return {path: text for path, text in wanted.items() if path.read_text(encoding="utf-8") != text}


if __name__ == "__main__":  # as po2lmo
    Path(sys.argv[2]).write_bytes(compile(Path(sys.argv[1])))
