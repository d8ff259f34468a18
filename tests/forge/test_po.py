"""Translations: found in the scripts, complete in German, and packed as LuCI's own po2lmo packs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forge.core import paths
from forge.core.errors import ForgeError
from forge.inv import release
from forge.packages import ipk, po, stage

SAMPLE = r"""msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=n != 1;\n"

#: a.js:1
msgid "Queue"
msgstr "Warteschlange"

msgid "the same"
msgstr "the same"

msgid "Größe \"in Bytes\""
msgstr ""
"Taille\n"
"in \\ bytes"

msgid "not translated"
msgstr ""

msgid "é"
msgstr "ü"
"""
# What LuCI's po2lmo made of the sample.
RECORDED = bytes.fromhex(
    "6e706c7572616c733d323b20706c7572616c3d6e20213d20313b000057617274657363686c616e67650000005461696c"
    "6c655c6e696e205c2062797465730000c3bc00000000000000000000000000000000001a0dd02cc9000000010000001c"
    "0000000d40a2b5ba000000010000002c00000012c4fba55400000001000000400000000200000044"
)


PLURALS = r"""msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=n != 1;\n"

msgid "Queue"
msgstr "Warteschlange"

msgid "%d mail"
msgid_plural "%d mails"
msgstr[0] "%d Nachricht"
msgstr[1] ""
"%d "
"Nachrichten"

msgid "%d machine"
msgid_plural "%d machines"
msgstr[0] ""
msgstr[1] ""

msgid "é"
msgstr "ü"
"""
RECORDED_PLURALS = bytes.fromhex(
    "6e706c7572616c733d323b20706c7572616c3d6e20213d20313b000057617274657363686c616e67650000002564204e"
    "61636872696368742564204e6163687269636874656e0000c3bc00000000000000000000000000000000001a0dd02cc9"
    "000000010000001c0000000d44240cd500000002000000380000000e5050c3e3000000020000002c0000000cc4fba554"
    "0000000100000048000000020000004c"
)


@pytest.mark.parametrize(("text", "packed"), [(SAMPLE, RECORDED), (PLURALS, RECORDED_PLURALS)])
def test_a_translation_is_packed_as_po2lmo_packs_it(text: str, packed: bytes, tmp_path: Path) -> None:
    file = tmp_path / "sample.po"
    file.write_text(text, encoding="utf-8")
    assert po.compile(file) == packed


def test_a_text_that_depends_on_a_number_has_its_forms_in_the_translation(tmp_path: Path) -> None:
    script = tmp_path / "htdocs/x.js"
    script.parent.mkdir()
    script.write_text("N_(ids.length, '%d mail', '%d mails').format(ids.length)\n_('Queue')\n")
    entries = po.scan(tmp_path)
    assert [(entry.id, entry.plural) for entry in entries] == [("%d mail", "%d mails"), ("Queue", "")]
    file = tmp_path / "sample.po"
    file.write_text(PLURALS, encoding="utf-8")
    merged = tmp_path / "merged.po"
    merged.write_text(po.merge(entries, po.read(file), PLURALS.partition("\n\n")[0] + "\n"), encoding="utf-8")
    assert [entry.keys for entry in po.read(merged)] == [
        {"%d mail\x020": "%d Nachricht", "%d mail\x021": "%d Nachrichten"},
        {"Queue": "Warteschlange"},
    ]


def test_german_is_complete_and_keeps_what_is_filled_in() -> None:
    entries = po.read(po.APP / "po/de/mailrelay.po")
    for entry in entries:
        assert len(entry.more) == bool(entry.plural), entry.id
        for text in entry.keys.values():
            assert text, entry.id
            for pattern in (r"%[sd]", r"`[^`]*`"):
                assert re.findall(pattern, entry.id) == re.findall(pattern, text), entry.id


def test_a_text_that_cannot_be_found_is_told(tmp_path: Path) -> None:
    script = tmp_path / "htdocs/x.js"
    script.parent.mkdir()
    for wrong in ("_(name)", "N_(count, name, '%d')", "N_('%d', '%d')"):
        script.write_text(f"\n_('fine'), N_(2, '%d', '%d');\nx = {wrong};\n")
        with pytest.raises(ForgeError, match=r"x\.js:3: _\( \) takes one text in single quotes"):
            po.scan(tmp_path)


@pytest.mark.parametrize("text", ["msgid unquoted\n", 'msgstr "first"\n', "msgid_plural\n", "nonsense\n"])
def test_a_file_that_is_no_translation_is_told_with_the_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.po"
    file.write_text(f"# a comment\n{text}")
    with pytest.raises(ForgeError, match=r"bad\.po:2: "):
        po.read(file)


def test_the_app_is_packed_with_its_translation_as_a_package_of_its_own(tmp_path: Path) -> None:
    with stage.staged(paths.PACKAGES / "luci-app-mailrelay", epoch=1_700_000_000) as packages:
        app, german = packages
        assert (app.name, app.full_version) == ("luci-app-mailrelay", f"{release.current()}-r1")
        assert app.depends == ["libc", "luci-base", "mailrelay-engine"], "either engine will do"
        assert (german.name, german.depends) == ("luci-i18n-mailrelay-de", ["libc", "luci-app-mailrelay"])
        lmo = german.root / "usr/lib/lua/luci/i18n/mailrelay.de.lmo"
        assert lmo.read_bytes() == po.compile(po.APP / "po/de/mailrelay.po")
        name = (german.root / "etc/uci-defaults/luci-i18n-mailrelay-de").read_text()
        assert name == "uci set luci.languages.de='Deutsch (German)'; uci commit luci\n"
        [packed] = ipk.pack(app, tmp_path)
        shipped = {entry.path for entry in ipk.inspect(packed).files if entry.kind == "file"}
    sources = {f"/www{file.as_posix().partition('/htdocs')[2]}" for file in po.APP.glob("htdocs/**/*.*")}
    assert shipped - sources == {
        "/usr/share/luci/menu.d/luci-app-mailrelay.json",
        "/usr/share/rpcd/acl.d/luci-app-mailrelay.json",
    }
    assert sources <= shipped
