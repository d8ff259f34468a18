"""The Arduino library against a server that does what its script says: refuse, hang, hang up, drip, at any step."""

from __future__ import annotations

import socket
from email.header import decode_header

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forge.core import timeouts
from tests.arduino.conftest import (
    BAD_ADDRESS,
    CONNECTION_LOST,
    NOT_CONNECTED,
    NOT_SMTP,
    REFUSED,
    SENT,
    SOME_REFUSED,
    TIMED_OUT,
    Sender,
    body,
    message,
)
from tests.support.relay import free_port
from tests.support.scripted_provider import Delay, Drip, Drop, DropAfter, Hang, Say, ScriptedProvider

# The steps of a dialogue, by the script's names, and as printError() calls them.
STEPS = {
    "banner": "greeting",
    "helo": "HELO",
    "mail": "MAIL FROM",
    "rcpt": "RCPT TO",
    "data": "DATA",
    "dot": "text",
}

each_step = pytest.mark.parametrize("step", STEPS)


def hurry() -> tuple[int, int]:
    """ms: enough for a server on this machine that answers at once; and what all may take, with a machine's pauses."""
    return int(200 * timeouts.factor()), int(1700 * timeouts.factor())


# ---- a mail that goes through ---------------------------------------------------------------------------------------


def test_a_mail_is_sent_in_good_order(send: Sender, server: ScriptedProvider) -> None:
    outcome = send(server.port)
    assert (outcome.result, outcome.code, outcome.temporary) == (SENT, 250, False)
    assert outcome.reply == "250 2.0.0 queued"
    (received,) = server.messages
    assert received.helo == b"plant7.example.org"
    assert received.sender == b"board@plant7.example.org"
    assert received.recipients == [b"you@example.org"]
    mail = message(received.data)
    assert (mail["From"], mail["To"]) == ("board@plant7.example.org", "you@example.org")
    assert (mail["Subject"], mail.get_content()) == ("Pump 3", "stands still\r\n")
    assert server.commands()[-1] == b"QUIT"


def test_a_text_may_come_in_pieces(send: Sender, server: ScriptedProvider) -> None:
    assert send(server.port, pieces=1).result == SENT
    assert body(server.messages[0].data) == b"Temperature: 21.50\r\n42\r\n.\r\n"


def test_several_recipients_get_one_mail(send: Sender, server: ScriptedProvider) -> None:
    assert send(server.port, to="a@example.org,b@example.org,  c@example.org").result == SENT
    (received,) = server.messages
    assert received.recipients == [b"a@example.org", b"b@example.org", b"c@example.org"]
    to = message(received.data)["To"]
    assert [one.addr_spec for one in to.addresses] == ["a@example.org", "b@example.org", "c@example.org"]


def test_a_whole_reply_is_awaited_however_many_lines_it_has(send: Sender, server: ScriptedProvider) -> None:
    server.script = {"banner": "220-one\n220-two\n220 three", "mail": "250-yes\n250-yes\n250 yes", "rcpt": "250"}
    assert send(server.port).result == SENT
    server.script = {"rcpt": "550-5.7.1 first\n550-5.7.1 second\n550 5.7.1 third"}
    assert send(server.port).reply == "550-5.7.1 first"


@each_step
def test_replies_may_come_byte_by_byte(send: Sender, server: ScriptedProvider, step: str) -> None:
    server.script = {step: Drip(0.002)}
    assert send(server.port).result == SENT


def test_the_next_mail_does_not_suffer_from_the_last_one(send: Sender, server: ScriptedProvider) -> None:
    server.script = {"rcpt": ["550 no", None], "helo": [None, None, Drop()]}
    first, second, third, fourth = send.several(server.port, times=4)
    assert [one.result for one in (first, second, third, fourth)] == [REFUSED, SENT, CONNECTION_LOST, SENT]
    assert (second.code, fourth.reply) == (250, "250 2.0.0 queued")


def test_the_clock_may_wrap_while_a_mail_is_under_way(send: Sender, server: ScriptedProvider) -> None:
    short, late = hurry()
    server.script = {"rcpt": Drip(0.01)}
    assert send(server.port, CLOCK=2**32 - 60).result == SENT
    server.script = {"rcpt": Hang()}
    outcome = send(server.port, CLOCK=2**32 - 60, timeout=short)
    assert (outcome.result, outcome.took < late) == (TIMED_OUT, True)


def test_a_client_that_does_not_tell_how_much_it_takes_will_do(send: Sender, server: ScriptedProvider) -> None:
    assert send(server.port, PACED=0, text="0123456789\n" * 500).result == SENT
    assert body(server.messages[0].data) == b"0123456789\r\n" * 500


# ---- one that does not ----------------------------------------------------------------------------------------------


@each_step
@pytest.mark.parametrize("code", [421, 450, 554])
def test_a_refusal_is_told_with_its_step_code_and_text(
    send: Sender, server: ScriptedProvider, step: str, code: int
) -> None:
    server.script = {step: f"{code} 1.2.3 because"}
    outcome = send(server.port, log=1, timeout=1000)
    assert (outcome.result, outcome.code, outcome.reply) == (REFUSED, code, f"{code} 1.2.3 because")
    assert outcome.temporary == (code < 500)
    assert outcome.error == f"mail: refused at {STEPS[step]}: {code} 1.2.3 because"
    assert outcome.output.startswith(outcome.error), "the log has it as well"
    assert server.messages == []
    if code != 421:
        server.wait_for(lambda _: server.commands()[-1:] == [b"QUIT"])


@each_step
@pytest.mark.parametrize("action", [Drop(), DropAfter()])
def test_a_server_that_hangs_up_is_noticed(
    send: Sender, server: ScriptedProvider, step: str, action: Drop | DropAfter
) -> None:
    server.script = {step: action}
    outcome = send(server.port)
    assert (outcome.result, outcome.temporary) == (CONNECTION_LOST, True)
    assert outcome.error == f"mail: connection lost at {STEPS[step]}"


@each_step
def test_a_silent_server_is_left_when_the_time_is_up(send: Sender, server: ScriptedProvider, step: str) -> None:
    short, late = hurry()
    server.script = {step: Hang()}
    outcome = send(server.port, timeout=short)
    assert (outcome.result, outcome.temporary) == (TIMED_OUT, True)
    assert outcome.error == f"mail: timed out at {STEPS[step]}"
    assert short <= outcome.took < late
    assert outcome.idles > 10, "the idle function had its turns"


@each_step
def test_the_time_is_for_all_of_it_however_busy_the_server_seems(
    send: Sender, server: ScriptedProvider, step: str
) -> None:
    short, late = hurry()
    server.script = {step: b"250-and another line\r\n" * 200_000}
    outcome = send(server.port, timeout=short)
    assert (outcome.result, outcome.took < late) == (TIMED_OUT, True)


def test_a_server_that_does_not_read_makes_nobody_wait_too_long(send: Sender, server: ScriptedProvider) -> None:
    short, late = hurry()
    server.script = {"content": Delay(60)}
    server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # its connections inherit it
    outcome = send(server.port, timeout=short, text="0123456789\n" * 10_000, SEND_BUFFER=4608)
    assert (outcome.result, outcome.took < late) == (TIMED_OUT, True)


def test_a_silent_goodbye_changes_nothing(send: Sender, server: ScriptedProvider) -> None:
    short, late = hurry()
    server.script = {"quit": Hang()}
    outcome = send(server.port, timeout=short)
    assert (outcome.result, outcome.reply, outcome.took < late) == (SENT, "250 2.0.0 queued", True)


def test_nobody_there(send: Sender) -> None:
    outcome = send(free_port())
    assert (outcome.result, outcome.temporary, outcome.error) == (NOT_CONNECTED, True, "mail: no connection")


def test_no_mail_server_there(send: Sender, server: ScriptedProvider) -> None:
    server.script = {"banner": b"SSH-2.0-OpenSSH_9.2\r\n"}
    outcome = send(server.port)
    assert (outcome.result, outcome.temporary) == (NOT_SMTP, False)
    assert outcome.error == "mail: not SMTP at greeting"


def test_some_recipients_refused_is_neither_success_nor_failure(send: Sender, server: ScriptedProvider) -> None:
    server.script = {"rcpt:2": "550 5.1.1 no such user"}
    outcome = send(server.port, to="a@example.org, b@example.org, c@example.org")
    assert (outcome.result, outcome.code, outcome.temporary) == (SOME_REFUSED, 550, False)
    assert outcome.error == "mail: refused in part at RCPT TO: 550 5.1.1 no such user"
    assert server.messages[0].recipients == [b"a@example.org", b"c@example.org"]


def test_a_text_refused_after_some_recipients_were_is_told_as_what_it_is(
    send: Sender, server: ScriptedProvider
) -> None:
    server.script = {"rcpt:1": "550 5.1.1 no such user", "dot": "452 4.3.1 disk full"}
    outcome = send(server.port, to="a@example.org, b@example.org")
    assert (outcome.result, outcome.reply, outcome.temporary) == (REFUSED, "452 4.3.1 disk full", True)


def test_a_long_reply_is_cut(send: Sender, server: ScriptedProvider) -> None:
    server.script = {"mail": Say("550 " + "x" * 2000)}
    assert send(server.port).reply == "550 " + "x" * 51


def test_mail_from_the_idle_function_waits_for_its_turn(send: Sender, server: ScriptedProvider) -> None:
    outcome = send(server.port, meddle=1)
    assert outcome.result == SENT
    assert "meddled" not in outcome.output
    assert len(server.messages) == server.connections == 1


# ---- what must not come through -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        ",",
        "a@example.org,",
        "a@example.org,,b@example.org",
        "a b@example.org",
        "a@example.org\r\nRCPT TO:<b@example.org>",
        "a@example.org\n",
        "a@example.org> SIZE=1",
        "<a@example.org>",
        "a\t@example.org",
        "jürgen@example.org",
        "a\x7f@example.org",
    ],
)
@pytest.mark.parametrize("which", ["to", "sender"])
def test_an_address_that_could_be_a_command_is_refused_before_anything_is_sent(
    send: Sender, server: ScriptedProvider, which: str, address: str
) -> None:
    outcome = send(server.port, **{which: address})
    assert (outcome.result, outcome.temporary, outcome.error) == (BAD_ADDRESS, False, "mail: bad address")
    assert server.connections == 0


subjects = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=120)


@settings(max_examples=40)
@given(subject=subjects)
@example(subject="T = 85 °C")
@example(subject="T=85? no: =?UTF-8?Q?x?=")
@example(subject="ü" * 60)
@example(subject="a" + "\U0001f525" * 40)
@example(subject="=" * 200)
@example(subject="Alarm\r\nBcc: all@example.org\r\n\r\n.\r\nQUIT")
@example(subject="Ümlaut\r\nBcc: all@example.org\n\n.\n")
def test_any_subject_arrives_as_it_was_written_and_begins_no_header_field(send: Sender, subject: str) -> None:
    with ScriptedProvider() as server:
        assert send(server.port, subject=subject).result == SENT
        raw = server.messages[0].data
        assert server.violations == [] and body(raw) == b"stands still\r\n"
    header = raw.partition(b"\r\nMIME-Version")[0].partition(b"\r\nSubject: ")[2]
    lines = (b"Subject: " + header).split(b"\r\n")
    wanted = "".join(" " if letter < " " else letter for letter in subject)
    if lines[1:] or b"=?" in header:
        assert all(len(line) <= 76 for line in lines)
        words = [word for line in lines for word in line.removeprefix(b"Subject: ").split()]
        decoded = [decode_header(word.decode("ascii")) for word in words]
        assert all(len(parts) == 1 and parts[0][1] == "utf-8" for parts in decoded)
        # Each word by itself: no character is torn between two.
        assert "".join(part[0][0].decode("utf-8") for part in decoded) == wanted
    else:
        assert header.decode("ascii") == wanted


texts = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b".", b"..", b"\n", b"\r\n", b"\r", b"x" * 80, b"=", "ü€🔥".encode(), b" "])).map(
        b"".join
    ),
)


@settings(max_examples=60)
@given(text=texts)
@example(text=b"\n.\n")
@example(text=b"\r\n.\r\nMAIL FROM:<x@example.org>\r\n")
@example(text=b"x" * 73 + b".." * 100)
def test_any_text_arrives_as_it_was_written_and_ends_the_mail_nowhere(send: Sender, text: bytes) -> None:
    text = text.replace(b"\0", b"")
    with ScriptedProvider() as server:
        assert send(server.port, text=text).result == SENT
        (received,) = server.messages
        assert server.violations == []  # such as a bare CR or LF
        assert server.commands()[-1] == b"QUIT"
    content = received.raw.partition(b"\r\n\r\n")[2]
    assert all(len(line) <= 77 for line in content.split(b"\r\n")), "76 and a dot of dot-stuffing"
    wanted = text.replace(b"\r", b"").replace(b"\n", b"\r\n")
    if wanted and not wanted.endswith(b"\r\n"):
        wanted += b"\r\n"
    # A space at the end of a line is not protected: transport may drop it anyway.
    assert _unpadded(body(received.data)) == _unpadded(wanted)


def _unpadded(text: bytes) -> list[bytes]:
    return [line.rstrip(b" ") for line in text.split(b"\r\n")]
