"""uci: every text means what libuci says it means, and every error stands where libuci says it stands."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailrelay.config import uci

DATA = Path(__file__).resolve().parents[1] / "data"
CASES = [
    case
    for name in ("uci-cases.json", "uci-generated.json")
    for case in json.loads((DATA / name).read_text(encoding="utf-8"))["cases"]
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_agrees_with_libuci(case: dict[str, Any]) -> None:
    data = base64.b64decode(case["input_base64"]) if "input_base64" in case else case["input"].encode()
    if case["exit"]:
        with pytest.raises(uci.ParseError) as caught:
            uci.parse(data)
        assert f"uci: {caught.value}" == case["error"]
        return
    sections = uci.parse(data)
    assert uci.export(sections) == case["export"]
    assert uci.show(sections) == case["show"]
    assert uci.show(sections, extended=True) == case.get("show_extended", case["show"])


def test_all_recorded_cases_are_there() -> None:
    assert sum(not case["name"].startswith("generated") for case in CASES) == 47


NAMES = st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True)
TYPES = st.from_regex(r"[A-Za-z0-9_.:-]{1,12}", fullmatch=True)
VALUES = st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
OPTION = st.tuples(NAMES, VALUES.filter(bool) | st.lists(VALUES, min_size=1, max_size=3))
SECTIONS = st.lists(st.tuples(TYPES, st.none() | NAMES, st.lists(OPTION, max_size=4)), max_size=5)


@given(SECTIONS)
def test_what_export_writes_parse_reads(model: list[tuple[str, str | None, list[tuple[str, str | list[str]]]]]) -> None:
    sections = []
    for index, (kind, name, options) in enumerate(model):
        if name is not None:
            name = f"{name}_{index}"  # sections of one name would be merged
        section = uci.Section(kind, name, name or "", 1)
        section.options = dict(options)
        sections.append(section)
    read = uci.parse(uci.export(sections).encode("utf-8", "surrogateescape"))
    assert [(one.type, one.name, one.options) for one in read] == [
        (one.type, one.name, one.options) for one in sections
    ]
    assert uci.export(read) == uci.export(sections)


@given(st.binary(max_size=200))
@example(b"config a b\noption c 'd" + b"x" * 100)
@example(b"\0" * 70 + b"config a")
def test_any_bytes_give_sections_or_a_parse_error(data: bytes) -> None:
    try:
        uci.parse(data)
    except uci.ParseError as error:
        assert 1 <= error.began <= data.count(b"\n") + 1


TOKENS = st.sampled_from(
    [
        b"config t 'n'\n",
        b"option a ",
        b"list b ",
        b"'",
        b'"',
        b"\\",
        b"#",
        b";",
        b" ",
        b"\n",
        b"\r\n",
        b"x",
        b"\xff",
        b"\0",
    ]
)


@given(st.lists(TOKENS, max_size=25).map(b"".join))
def test_quotes_and_marks_in_any_order_crash_nothing(data: bytes) -> None:
    try:
        sections = uci.parse(b"config first\n" + data)
    except uci.ParseError:
        return
    for section in sections:
        for name, value in section.options.items():
            assert len(section.option_lines[name]) == (1 if isinstance(value, str) else len(value))


def test_every_value_knows_its_line() -> None:
    section = uci.parse(b"# head\nconfig a 'b'\n\toption x 'two\nlines'\n\tlist y '1'\n\n\tlist y '2'\n\toption z 1")[0]
    assert section.line == 2
    assert section.option_lines == {"x": [3], "y": [5, 7], "z": [8]}


def test_a_quoted_line_break_may_fall_on_the_end_of_the_read_buffer() -> None:
    for length in range(15, 60):
        text = "x" * length + "\ny"
        assert uci.parse(f"config a b\noption p '{text}'\n".encode())[0].options == {"p": text}


def test_an_option_that_stands_twice_is_noted() -> None:
    section = uci.parse(b"config a b\noption x 1\noption x 2\n")[0]
    assert section.options == {"x": "2"}
    assert section.overridden == [("x", 2)]


MISREAD = [
    # what stands there, what libuci reads, and why that is hardly meant
    ("ab#cd", "ab", "#"),
    ("#cd", None, "#"),
    ("'ab'#cd", "ab", "#"),
    ("ab; option q 1", "ab", ";"),
    ("'it's #secret'", "its", "'"),
    ("'it''s'", "its", "'"),
    ("'ab'cd", "abcd", "'"),
    ('ab"cd"', "abcd", '"'),
    ("\"ab\"'cd'", "abcd", '"'),
    ("'ab'\"cd\"", "abcd", "'"),
    (r'"C:\temp"', "C:temp", "\\"),
    (r"ab\cd", "abcd", "\\"),
    ("ab #cd", "ab", " #"),
    ("ab\t# why", "ab", " #"),
    ("'ab' #cd", "ab", "' #"),
    ("'ab#cd' # why", "ab#cd", "' #"),
]


@pytest.mark.parametrize(("written", "read", "mark"), MISREAD)
def test_a_value_that_is_hardly_read_as_it_was_meant_is_noted(written: str, read: str | None, mark: str) -> None:
    section = uci.parse(f"config a b\noption p {written}\n".encode())[0]
    assert section.options.get("p") == read
    assert section.misread == [("p", 2, mark)]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ab;", "ab"),
        ("'ab;c #d'", "ab;c #d"),
        (r"'it'\''s'", "it's"),
        (r"'it'\'s", "it's"),
        ("""'it'"'"'s'""", "it's"),
        (r'"say \"ab\""', 'say "ab"'),
        (r"ab\ cd", "ab cd"),
        ("'one'\\\n'two'", "onetwo"),
        ("'two\nlines'", "two\nlines"),
    ],
)
def test_a_value_that_is_read_as_it_was_meant_is_not(written: str, read: str) -> None:
    section = uci.parse(f"config a b\noption p {written}\n".encode())[0]
    assert (section.options, section.misread) == ({"p": read}, [])


def test_an_open_quote_is_placed_where_it_opens() -> None:
    with pytest.raises(uci.ParseError) as caught:
        uci.parse(b"config a b\noption p 'open\noption q '1'\noption r 1\n")
    assert (caught.value.line, caught.value.began) == (4, 2)
