"""ipc: what one role encodes another one decodes, however it is cut; and what is odd is refused, not believed."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.core import ipc

ID = "0123456789abcdef"


def leaving(due: float, blocked_until: float) -> bytes:
    return ipc.encode_report("leaving", ipc.encode_time(due), ipc.encode_time(blocked_until))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_ids_come_out_as_they_went_in(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert ipc.read_lines(reader) == []
    assert ipc.write_ids(writer, [ID, ID[::-1]])
    assert ipc.write_ids(writer, [])
    assert ipc.read_lines(reader) == [ID, ID[::-1]]


def test_ids_go_into_the_pipe_whole_or_not_at_all(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    written = 0
    while ipc.write_ids(writer, [ID] * 1000):
        written += 1000
    read: list[str] = []
    while lines := ipc.read_lines(reader):
        read += lines
    assert set(read) == {ID} and len(read) >= written
    assert all(len(piece) <= select.PIPE_BUF for piece in ipc.encode_lines([ID] * 1000))


def test_bytes_that_are_no_text_make_words_that_are_no_ids(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"\xff\x00flush\n\n" + ID.encode()[:5])
    assert ipc.read_lines(reader) == ["\ufffd\x00flush", ID[:5]]


REPORTS: list[tuple[bytes, ipc.Report]] = [
    (leaving(12.3456, 7.0), ("leaving", 12.346, 7.0)),
    (leaving(ipc.NEVER, 0.0), ("leaving", ipc.NEVER, 0.0)),
    (ipc.encode_report("opened", "a"), ("opened", "a")),
    (ipc.encode_report("success", ID, "a", "mail.example.org"), ("success", ID, "a", "mail.example.org")),
    (ipc.encode_report("failure", "", "a", "535\tno\nä", ""), ("failure", ["", "a", "535 no ä", ""])),
    (ipc.encode_report("remember", "host a", "1.5", "2"), ("remember", "host a", ["1.5", "2"])),
    (ipc.encode_report("remember", "stuck"), ("remember", "stuck", [])),
    (ipc.encode_report("forget", "host a"), ("forget", "host a")),
]


@pytest.mark.parametrize(("line", "report"), REPORTS)
def test_a_report_is_decoded_as_it_was_meant(line: bytes, report: ipc.Report) -> None:
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert ipc.decode_report(line[:-1]) == report


@pytest.mark.parametrize("size", [1, 7, 64, 65536])
def test_reports_are_read_however_they_are_cut(pipe: tuple[int, int], size: int) -> None:
    reader, writer = pipe
    data = b"".join(line for line, _ in REPORTS)
    read: list[bytes] = []
    rest = b""
    for start in range(0, len(data), size):
        os.write(writer, data[start : start + size])
        lines, rest = ipc.read_reports(reader, rest)
        read += lines
    assert ([ipc.decode_report(line) for line in read], rest) == ([report for _, report in REPORTS], b"")


def test_a_line_without_end_costs_no_memory(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    rest = b""
    for _ in range(5):
        os.write(writer, b"x" * 60000)
        lines, rest = ipc.read_reports(reader, rest)
        assert lines == []
    assert len(rest) <= 65536


def test_a_long_answer_is_cut_and_still_a_report() -> None:
    line = ipc.encode_report("failure", ID, "h", "dot", "ä" * 5000, "advice")
    assert len(line) <= select.PIPE_BUF
    report = ipc.decode_report(line[:-1])
    assert report[0] == "failure" and report[1][:3] == [ID, "h", "dot"]


@pytest.mark.parametrize(
    "line",
    ["", "\t", "leaving", "leaving\t1", "leaving\tnan\t0", "leaving\t1\tinf", "leaving\t-1\t0", "leaving\t1\t2\t3"]
    + ["leaving\t1\t", "success", f"success\t{ID}", "failure", "remember", "forget", "forget\ta\tb", "retired\tx"],
)
def test_what_is_no_report_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        ipc.decode_report(line.encode())


@given(st.binary())
def test_any_line_is_a_report_or_refused(line: bytes) -> None:
    try:
        report = ipc.decode_report(line)
    except ValueError:
        return
    assert report[0] in ("leaving", "opened", "success", "failure", "remember", "forget")


def test_carried_state_is_kept_by_its_kind() -> None:
    state = {"host a": ["1"], "host b c": ["2"], "rate a": ["3"], "trouble a": ["4"], "stuck": ["5"], "hosts": ["6"]}
    assert ipc.keep_state(state, "rate") == {"rate a": ["3"]}
    assert set(ipc.keep_state(state, "rate", "trouble", "stuck")) == {"rate a", "trouble a", "stuck"}
