"""The SMTP server session by property: no bytes crash it, no chunking changes it, no content becomes a second mail."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailrelay.mail.body import Body
from mailrelay.smtp import auth
from mailrelay.smtp import data as smtp_data
from mailrelay.smtp.reply import Reply
from tests.relay.server_loop import VERDICT, Loop, connect

GO = b"MAIL FROM:<x@y>\r\nRCPT TO:<x@y>\r\nDATA\r\n"

ENDS = st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"x", b"\r\n.\r\n", b"\n.\n", b".\r\n", b"\r.\r", b"..", b"\0"])
WORDS = st.sampled_from(
    [
        b"MAIL FROM:<x@y>",
        b"RCPT TO:<x@y>",
        b"RCPT TO:<z>",
        b"DATA",
        b"RSET",
        b"QUIT",
        b"EHLO x",
        b"AUTH LOGIN",
        b"AUTH PLAIN AHUAcA==",
        b"*",
        b"dQ==",
        b"NOOP",
        b"Received: x",
        b"Subject: y",
        b"STARTTLS",
        b"y" * 30,
        b"data\r\n",
        GO,
        GO.replace(b"\r\n", b"\n"),
    ]
)
QUITS = st.sampled_from([b"QUIT\r\n", b"quit\n", b"QU", b"IT", b"QUIT", b"\r\r\n"])
NOISE = st.binary(max_size=6)
CONTENT = st.lists(ENDS | WORDS, max_size=30).map(b"".join)
INPUT = st.lists(ENDS | WORDS | st.just(b"\r\n") | st.just(GO) | NOISE, max_size=40).map(b"".join)
CUTS = st.lists(st.integers(1, 12), max_size=40)
LOGINS: st.SearchStrategy[Any] = st.sampled_from([None, auth.ANY_LOGIN, (b"u", b"p")])
SETTINGS = st.sampled_from(
    [
        {},
        {"max_message_size": 40, "max_line_length": 25, "max_header_length": 30, "max_command_length": 20},
        {"max_message_size": 15, "max_line_length": 8, "max_header_length": 12, "max_useless_commands": 2},
        {"max_message_size": 25, "max_line_length": 25, "max_header_length": 25, "max_recipients": 1},
    ]
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in chunks of the given lengths, the rest as one."""
    found = []
    for cut in cuts:
        found.append(data[:cut])
        data = data[cut:]
    return [piece for piece in [*found, data] if piece]


def stuffed(content: bytes) -> bytes:
    """As a client that speaks CRLF sends it, RFC 5321 4.5.2: it knows no other line end, and passes the rest on."""
    lines = content.split(b"\r\n")
    if lines[-1]:
        lines.append(b"")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


def played(loop: Loop, chunks: list[bytes]) -> tuple[Any, ...]:
    for chunk in chunks:
        loop.send(chunk)
    return loop.outcome()


@settings(max_examples=600, deadline=None)
@given(INPUT, CUTS, LOGINS, SETTINGS, st.booleans())
@example(GO + b"\r\n.\n.\r\n", [39, 1, 1, 1], None, {}, True)
def test_no_chunking_changes_anything(
    data: bytes, cuts: list[int], login: Any, limits: dict[str, Any], allowed: bool
) -> None:
    allowed = allowed or len(data) % 7 > 0
    whole = played(connect(allowed=allowed, login=login, **limits), [data] if data else [])
    assert played(connect(allowed=allowed, login=login, **limits), pieces(data, cuts)) == whole
    assert played(connect(allowed=allowed, login=login, **limits), [bytes([one]) for one in data]) == whole


@settings(max_examples=300, deadline=None)
@given(INPUT, CUTS, st.lists(st.booleans(), max_size=40))
def test_late_verdicts_change_nothing(data: bytes, cuts: list[int], answered: list[bool]) -> None:
    expected = played(connect(), [data])
    loop = connect()
    for index, chunk in enumerate(pieces(data, cuts)):
        for event in loop.session.receive(chunk):
            loop.take(event)
        if loop.session.waiting and (answered[index : index + 1] or [False])[0]:
            for event in loop.session.commit_result(loop.verdict):
                loop.take(event)
    while loop.session.waiting:
        for event in loop.session.commit_result(loop.verdict):
            loop.take(event)
    assert loop.outcome() == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), LOGINS, st.booleans())
def test_no_bytes_crash_it(data: bytes, login: Any, allowed: bool) -> None:
    loop = connect(allowed=allowed, login=login, max_command_length=60)
    played(loop, [data, b"\r\n" + GO, data])
    loop.quiet()
    loop.disconnect()
    assert loop.closed and loop.draft is None
    assert all(line[:3].isdigit() for line in loop.replies.splitlines())


@settings(max_examples=600, deadline=None)
@given(CONTENT, CUTS, st.lists(st.booleans(), max_size=40), st.booleans())
@example(b"x\n.\nMAIL FROM:<x@y>\nRCPT TO:<x@y>\nDATA\nsmuggled\n.\n", [], [], False)
@example(b"x\n.\r\n" + GO + b"smuggled\r\n", [4], [True], False)
@example(b".\n" + GO + b"smuggled\r\n", [3], [True], False)
def test_one_message_of_a_crlf_client_stays_one(
    content: bytes, cuts: list[int], silences: list[bool], pipelined: bool
) -> None:
    wire = stuffed(content)
    loop = connect()
    if pipelined:
        wire = GO + wire
    else:
        loop.send(GO)
    for index, chunk in enumerate(pieces(wire + b"QUIT\r\n", cuts)):
        loop.send(chunk)
        if (silences[index : index + 1] or [False])[0]:
            loop.quiet()
    assert loop.begun == 1
    assert len(loop.messages) == 1
    assert loop.closed
    (message,) = loop.messages
    assert stuffed(content).startswith(message.content)


@settings(max_examples=400, deadline=None)
@given(CONTENT, CUTS)
def test_content_of_a_crlf_client_arrives_unchanged(content: bytes, cuts: list[int]) -> None:
    """Wherever it holds a CRLF line before anything odd, and whenever nothing is silent."""
    wire = b"Subject: x\r\n" + stuffed(content)
    loop = connect()
    played(loop, [GO, *pieces(wire, cuts)])
    assert [message.content for message in loop.messages] == [wire[:-3]]
    assert loop.send(GO + b".\r\n").endswith(VERDICT)


@settings(max_examples=600, deadline=None)
@given(INPUT, CUTS, st.lists(st.booleans(), max_size=40))
def test_each_data_that_was_accepted_ends_at_most_once(data: bytes, cuts: list[int], silences: list[bool]) -> None:
    """However it is timed: the loop asserts that no END comes without a BEGIN, and nothing after CLOSE."""
    loop = connect()
    unclear = False
    for index, chunk in enumerate(pieces(data, cuts)):
        begun = loop.begun
        loop.send(chunk)
        assert not unclear or loop.begun == begun, "no mail after a doubtful end"
        if (silences[index : index + 1] or [False])[0]:
            unclear = bool(loop.quiet()) or unclear
    assert loop.begun == len(loop.messages) + loop.aborted + (loop.draft is not None)
    assert loop.replies.count(b"\r\n354 ") + loop.replies.startswith(b"354 ") == loop.begun


# Against a slow and simple reading of the same rules


MAYBE = re.compile(rb"(?<=[\r\n])\.(?:[\r\n]+(QUIT[\r\n]*\n[\r\n]*)?)\Z", re.IGNORECASE)
LONGEST_TAIL = 32


def end_of_data(content: bytes, crlf: bool) -> tuple[bytes, bytes | None, bool, bool]:
    """Content, what follows its end or None, whether the end is a bare one, whether it is ambiguous. Byte by byte."""
    opening = b"\r\n" if crlf else b"\n"
    for length in range(1, len(content) + 1):
        line = opening + content[:length]
        if line.endswith(b"\r\n.\r\n"):
            return content[: length - 3], content[length:], False, False
        if line.endswith(b"\n.\n") and not line.endswith(b"\r\n.\n") and b"\r\n" not in content[:length]:
            return content[: length - 2], content[length:], True, False
    found = MAYBE.search(opening + content)
    if found and len(found[0]) <= LONGEST_TAIL:
        return content[: len(content) - len(found[0])], None, False, True
    return content, None, False, False


@settings(max_examples=800, deadline=None)
@given(st.lists(ENDS | QUITS, max_size=14).map(b"".join), CUTS, st.booleans())
def test_end_of_data_is_what_the_table_says(content: bytes, cuts: list[int], crlf: bool) -> None:
    scanner = smtp_data.EndOfData(crlf)
    found = b""
    rest: bytes | None = None
    todo = pieces(content, cuts)
    while todo and rest is None:
        part, rest = scanner.feed(todo.pop(0))
        found += part
    if rest is not None:
        rest += b"".join(todo)
    expected, expected_rest, bare, ambiguous = end_of_data(content, crlf)
    assert (rest, scanner.bare, scanner.ambiguous) == (expected_rest, bare, ambiguous)
    if rest is None and not ambiguous:  # a dot may be held, and what follows it, while it is not clear what it is
        held = expected[len(found) :].upper()
        assert expected.startswith(found) and (not held or held[:1] == b".")
        assert b"QUIT".startswith(held[1:].strip(b"\r\n"))
    else:
        assert found == expected


# One DATA, one message

ALPHABET = st.sampled_from(
    [b"\r", b"\n", b".", b"a", b"Q", b"\r\n", b"\n.\r\n", b"\r\n.\r\n", b"\r\r\n", b"\n.\n", b".."]
)
COMMANDS = st.sampled_from(
    [b"MAIL FROM:<x@y>", b"RCPT TO:<x@y>", b"DATA", b"QUIT", b"quit\n", b"RSET\r\n", GO, b"\n" + GO]
)
CONTENTS = st.lists(ALPHABET | COMMANDS, max_size=24).map(b"".join)


def lines(content: bytes) -> list[bytes]:
    """The lines of content as received, unstuffed: who ends lines with a bare CR stuffs nothing."""
    found = re.findall(rb"([^\r\n]*)(\r\r\n|\r\n|\n|\r|\Z)", content)
    read = []
    stuffed = True
    for line, end in found:
        read.append(line[1:] if stuffed and line.startswith(b".") and line != b"." else line)
        stuffed = end.endswith(b"\n")
    return read[:-1] if read[-1] == b"" else read


def check_one_data(content: bytes, cuts: list[int], silences: list[bool], crlf: bool) -> str:
    """Play it as the content of one DATA; return what became of it."""
    go = GO if crlf else GO.replace(b"\r\n", b"\n")
    kept, rest, bare, ambiguous = end_of_data(content, crlf)
    outcomes = []
    for todo in ([go, content], [go, *pieces(content, cuts)], [go, *(bytes([one]) for one in content)]):
        loop = connect()
        for chunk in filter(None, todo):
            loop.send(chunk)
        loop.quiet()
        outcomes.append(loop.outcome())
    assert outcomes[0] == outcomes[1] == outcomes[2], "cutting changes something"
    if rest is None or (bare and crlf):
        assert loop.begun == 1, "one DATA became two messages"
    ended = rest is not None or ambiguous
    assert bool(loop.messages) == ended
    if ended:
        message = loop.messages[0].content
        assert message == kept, "content changed"
        body = Body()
        sent = body.feed(message) + body.finish()
        assert b"\r\n.\r\n" not in b"\r\n" + sent, "the next server would end it earlier"
        assert [line.removeprefix(b".") for line in sent.split(b"\r\n")[:-1]] == lines(message)

    loop = connect()
    loop.send(go)
    quiet = False
    for index, chunk in enumerate(pieces(content, cuts)):
        begun = loop.begun
        loop.send(chunk)
        assert not quiet or loop.begun == begun, "a second message after an ambiguous end"
        if (silences[index : index + 1] or [False])[0]:
            quiet = quiet or bool(loop.session.ambiguous_end)
            loop.quiet()
    if loop.messages:
        assert content.startswith(loop.messages[0].content), "content changed"
        assert quiet or loop.messages[0].content == kept, "content lost"
    return "clear" if rest is not None and not bare else "bare" if bare else "ambiguous" if ambiguous else "open"


@settings(max_examples=600, deadline=None)
@given(CONTENTS, CUTS, st.lists(st.booleans(), max_size=40), st.booleans())
@example(b"a\r\nb\n.\r\n" + GO + b"smuggled\r\n", [7], [True], True)
@example(b"a\r\nb\n.\r\nQUIT\r\n" + GO, [13], [True], True)
def test_one_data_is_one_message(content: bytes, cuts: list[int], silences: list[bool], crlf: bool) -> None:
    """Unless it has a clear end; the same for every cutting; and what was read is what goes to the next server."""
    check_one_data(content, cuts, silences, crlf)


def first_fault(content: bytes, size: int, line: int, header: int) -> bytes:
    """The limit that is passed first, or b"": every prefix is judged by itself."""
    for length in range(1, len(content) + 1):
        lines = content[:length].split(b"\n")
        if length > size:
            return b"size"
        if len(lines[-1]) > line:
            return b"line"
        fields = received = 0
        for one in lines[:-1]:
            name, colon, _ = one.partition(b":")
            if not (fields and one[:1] in (b" ", b"\t")) and not (colon and name.isalpha()):
                break
            fields += len(one) + 1
            received += name.lower() == b"received"
        if fields > header:
            return b"header"
        if received >= FEW:
            return b"loop"
    return b""


FEW = 3
LINES = st.sampled_from(
    [b"a: b\n", b"\tc\n", b"x", b"yy\n", b"\n", b"\r\n", b"a:", b"zzzzzz", b"Received: x\n", b"received", b": y\n"]
)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.lists(LINES, min_size=1, max_size=6).map(b"".join), max_size=4),
    CUTS,
    st.integers(1, 80),
    st.integers(1, 20),
    st.integers(1, 60),
)
@example([b"Received: x\n" * 2, b"Received: x\n\n"], [], 80, 20, 60)
@example([b"a: b\n" * 3, b"a: b\n\n"], [], 80, 20, 18)
def test_limits_are_what_they_say(chunks: list[bytes], cuts: list[int], size: int, line: int, header: int) -> None:
    content = b"".join(chunks)
    kinds = {"554 5.6.0": b"line", "552 5.3.4": b"header", "554 5.4.6": b"loop", "None": b"", "552 size": b"size"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smtp_data, "MAX_RECEIVED", FEW)
        for way in (chunks, pieces(content, cuts)):
            limits = smtp_data.Limits(size, Reply(552, "size", ""), line, header)
            fault = None
            for piece in way:
                fault = fault or limits.check(piece)
            assert kinds[str(fault)[:9]] == first_fault(content, size, line, header)
