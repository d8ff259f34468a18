"""schema, for whatever stands in the file: no password is shown, and everything ends in settings or faults."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mailrelay.config import addresses, schema, settings
from mailrelay.config.machine import ThisMachine
from mailrelay.config.options import OPTIONS
from tests.relay.test_schema import CLIENT, HOST, MAIN, SMTP, check

WRECKS = st.sampled_from([
    SMTP + "option username 'u'\noption password '{}'\noption tls 'x'",
    SMTP + "option password '{}'",
    SMTP + "option pasword '{}'",
    SMTP + "list password '{}'\nlist password 'x'",
    SMTP + "option password '{}",
    SMTP + "option password '{}' x",
    SMTP + "password '{}'",
    SMTP + "option password '\x01{}'\noption username 'u'",
    CLIENT + "option address 10.0.0.1\noption password '{}'",
    HOST + "option host 'smtp://user:{}@smtp.example.org'",
])  # fmt: skip


@given(WRECKS, st.from_regex(r"[a-z]{3}[A-Z0-9#;]{5,20}", fullmatch=True))
def test_no_password_is_ever_printed(wreck: str, password: str) -> None:
    _, faults, warnings = check(wreck.replace("{}", password))
    assert password[:8] not in "\n".join(faults + warnings)


@given(st.binary(max_size=300))
def test_any_bytes_give_settings_or_faults(data: bytes) -> None:
    found, faults, _ = schema.check(data, "FILE", ThisMachine())
    assert (found is None) == bool(faults)


VALUE = st.text(max_size=30).map(lambda text: text.replace("'", "").replace("\0", "")) | st.sampled_from(
    ["1", "0", "a@b.example", "127.0.0.1", "::1", "10.0.0.0/8", "tls", "25", "1K", "5d", "/x", "none", "a=b", "3/day"]
)
LINE = st.builds(
    lambda word, name, value: f"{word} {name} '{value}'\n",
    st.sampled_from(["option", "list"]),
    st.sampled_from(sorted({option.name for options in OPTIONS.values() for option in options})),
    VALUE,
)
SECTION = st.builds(
    lambda head, lines: head + "".join(lines),
    st.sampled_from([MAIN, HOST, CLIENT, "config smarthost\n"]),
    st.lists(LINE),
)


@given(st.lists(SECTION, max_size=4).map("".join))
def test_any_values_give_settings_or_one_line_faults(text: str) -> None:
    found, faults, warnings = schema.check(text.encode("utf-8", "surrogatepass"), "FILE", ThisMachine())
    assert (found is None) == bool(faults)
    for finding in [*faults, *warnings]:
        assert str(finding).isprintable() and "; " in str(finding)
    if found is not None:
        assert settings.restore(settings.public(found)).main == found.main
        for text in [
            found.main.hostname,
            found.main.sender,
            *found.main.recipient,
            *(h.username for h in found.smarthosts),
        ]:
            assert not re.search(r"[\x00-\x1f\x7f]", text)
        assert not addresses.is_localhost(found.main.hostname)
