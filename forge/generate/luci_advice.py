"""Makes what LuCI says of failures, mailrelay/advice.js, of the relay's table: the same advice, with places for the
settings page's own names of the options, and without the answer, which stands beside it there.
"""

from __future__ import annotations

import re

from forge.core import paths
from forge.generate.luci_options import literal
from forge.generate.relay_schema import OPTIONS, advice_texts

FILE = paths.PACKAGES / "luci-app-mailrelay/htdocs/luci-static/resources/mailrelay/advice.js"
HEAD = """\
'use strict';
'require baseclass';

/*
 * Made from the relay's table of advice by `./inv generate`. words.js puts names of fields and facts into the braces.
 */
return baseclass.extend({
	texts: {
"""

_ANSWER = re.compile(r" It said: \{text\}$| \(\{text\}\)\.?$")
_NAMED = re.compile(r"\boptions? ([a-z_]+)(?: and ([a-z_]+))?( in section main| of this smarthost)?")
_BARE = re.compile(r"\b(tls) (?=')|\b(allow_cleartext) '1'")
_WORDS = (
    ("; username is", "; the login name is"), (": username is", ": the login name is"),
    ("Username is", "The login name is"),
    ("leave username", "leave the login name"), ("that username", "that the login name"), ("username", "login name"),
    (". mailrelay cannot", ". The relay cannot"), ("mailrelay cannot", "the relay cannot"),
)  # fmt: skip


def render(_: str) -> str:
    texts = [f"\t\t{literal(code)}: _({literal(page_text(text))})" for code, text in advice_texts().items()]
    return HEAD + ",\n".join(texts) + "\n\t}\n});\n"


def page_text(text: str) -> str:
    """Return an advice of the table as the page has it: {smarthost.tls} is the name of that field."""
    text = _ANSWER.sub("", text)
    text = _NAMED.sub(_fields, text)
    text = _BARE.sub(lambda bare: _field(bare[1] or bare[2]) + (" " if bare[1] else ""), text)
    for word, ours in _WORDS:
        text = re.sub(rf"{re.escape(word)}(?![.}}])", ours, text)
    return text


def _fields(match: re.Match[str]) -> str:
    section = "main" if "main" in (match[3] or "") else ""
    return " and ".join(_field(name, section) for name in (match[1], match[2]) if name)


def _field(name: str, section: str = "") -> str:
    """Return the place of a field's name; a smarthost's unless only the main section has the option."""
    is_smarthosts = any(option.name == name for option in OPTIONS["smarthost"])
    return f"{{{section or ('smarthost' if is_smarthosts else 'main')}.{name}}}"
