"""sendmail and its kin, called as nut, smartd, PHP, git and cron scripts call them."""

from __future__ import annotations

import getpass
import itertools
import os
import re
import subprocess
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.cli.instance import Stop
from mailrelay.cli.sendmail import Options, read_options
from mailrelay.cli.stdin_message import StdinMessage, text_of
from tests.relay.calling import STRANGER, Done, call, places, python_for_all
from tests.support.relay import SMARTHOST, SOURCE, Relay, relay_command
from tests.support.scripted_provider import Received, ScriptedProvider
from tests.support.waiting import wait

NOBODY = 65534
ALIASES = (
    "list alias 'root=owner@example.org'\nlist alias 'both=one@example.org,two@example.org'\noption max_recipients 5"
)


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


@pytest.fixture(scope="module")
def relay(provider: ScriptedProvider) -> Iterator[Relay]:
    with Relay(ALIASES, SMARTHOST.format(port=provider.port)) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(provider: ScriptedProvider) -> None:
    provider.messages.clear()


def sendmail(relay: Relay, *arguments: str, given: bytes = b"Subject: x\n\nhello\n", uid: int | None = None) -> Done:
    python = python_for_all() if uid is not None else ""
    return call("sendmail", *places(relay), *arguments, given=given, uid=uid, python=python)


def arrived(provider: ScriptedProvider, count: int = 1) -> Received:
    provider.wait_for(count)
    return provider.messages[-1]


def body(message: Received) -> bytes:
    return message.data.partition(b"\r\n\r\n")[2]


def head(message: Received) -> bytes:
    return message.data.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n") + b"\n"


# Callers


def test_nut_mails_root_and_ends_with_a_dot(relay: Relay, provider: ScriptedProvider) -> None:
    done = sendmail(relay, "root", given=b"From: root\nSubject: ups on battery\n\npower is gone\n.\nnot this\n")
    assert (done.code, done.raw, done.errors) == (0, b"", "")
    message = arrived(provider)
    assert message.recipients == [b"owner@example.org"]
    assert body(message) == b"power is gone\r\n"
    assert b"Subject: ups on battery\n" in head(message)


def test_php_takes_the_recipients_from_the_headers_and_dots_stay(relay: Relay, provider: ScriptedProvider) -> None:
    mail = b"To: A <a@example.org>, b@example.org\nCc: root\nBcc: hidden@example.org\nSubject: x\n\n.\none\n..\n"
    assert sendmail(relay, "-t", "-i", given=mail).code == 0
    message = arrived(provider)
    assert message.recipients == [b"a@example.org", b"b@example.org", b"owner@example.org", b"hidden@example.org"]
    assert b"hidden" not in message.data
    assert body(message) == b".\r\none\r\n..\r\n"


def test_with_t_recipients_named_as_arguments_are_added(relay: Relay, provider: ScriptedProvider) -> None:
    assert sendmail(relay, "-ti", "c@example.org", given=b"To: a@example.org\n\nx\n").code == 0
    assert sorted(arrived(provider).recipients) == [b"a@example.org", b"c@example.org"]


def test_git_and_cron_like_calls(relay: Relay, provider: ScriptedProvider) -> None:
    for count, arguments in enumerate(
        (
            ["-i", "a@example.org", "b@example.org"],
            ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "a@example.org,b@example.org"],
            ["-oi", "-oem", "-f", "me@example.org", "--", "a@example.org", "b@example.org"],
            ["-bm", "-N", "never", "-R", "hdrs", "-V", "id", "-h", "3", "-m", "-n", "-U", "-G", "-O", "X=y"]
            + ["a@example.org", "B <b@example.org>"],
        ),
        1,
    ):
        done = sendmail(relay, *arguments)
        assert (done.code, done.errors) == (0, ""), arguments
        assert arrived(provider, count).recipients == [b"a@example.org", b"b@example.org"], arguments


def test_called_under_its_name(relay: Relay, provider: ScriptedProvider, tmp_path: Path) -> None:
    for name in ("sendmail", "mailq", "newaliases"):
        (tmp_path / name).symlink_to(SOURCE)
    argv = relay_command(*places(relay), "root", source=tmp_path / "sendmail")
    subprocess.run(argv, input=b"Subject: x\n\ny\n", check=True, timeout=60)
    assert arrived(provider).recipients == [b"owner@example.org"]
    argv = relay_command(source=tmp_path / "newaliases")
    assert b"config" in subprocess.run(argv, check=True, timeout=60, capture_output=True).stdout


@pytest.mark.root
def test_any_uid_may_call_it(relay: Relay, provider: ScriptedProvider) -> None:
    done = sendmail(relay, "root", uid=STRANGER)
    assert (done.code, done.errors) == (0, "")
    assert arrived(provider).sender == b"%d@relay.example.net" % STRANGER


# Sender


def test_the_sender_is_who_calls_at_the_relays_name(relay: Relay, provider: ScriptedProvider) -> None:
    assert sendmail(relay, "root").code == 0
    assert arrived(provider).sender == getpass.getuser().encode() + b"@relay.example.net"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-f", "ups@example.org"], b"ups@example.org"),
        (["-fups@example.org"], b"ups@example.org"),
        (["-r", "ups@example.org"], b"ups@example.org"),
        (["-f", "UPS <ups@example.org>"], b"ups@example.org"),
        (["-f", "ups"], b"ups@relay.example.net"),
        (["-f", "<>"], b""),
        (["-f", ""], b""),
    ],
)
def test_the_sender_may_be_named(
    relay: Relay, provider: ScriptedProvider, arguments: list[str], expected: bytes
) -> None:
    assert sendmail(relay, *arguments, "root").code == 0
    assert arrived(provider).sender == expected


def test_a_name_goes_into_from_where_there_is_none(relay: Relay, provider: ScriptedProvider) -> None:
    assert sendmail(relay, "-F", 'Pump "3"\r\nBcc: x@example.org', "-f", "p@example.org", "root").code == 0
    assert b'From: "Pump 3 Bcc: x@example.org" <p@example.org>\n' in head(arrived(provider))
    assert sendmail(relay, "-F", "Pump", "root", given=b"From: me@example.org\n\nFrom here\n").code == 0
    assert b"From: me@example.org\n" in head(arrived(provider, 2))
    assert b"Pump" not in provider.messages[-1].data
    assert (
        sendmail(relay, "-F", "Pump", "-f", "p@example.org", "root", given=b"From x Mon\nSubject: y\n\nz\n").code == 0
    )
    assert b"From: Pump <p@example.org>\n" in head(arrived(provider, 3))
    assert b"From x" not in provider.messages[-1].data


# The mail


def test_a_mail_without_headers_arrives_whole(relay: Relay, provider: ScriptedProvider) -> None:
    assert sendmail(relay, "root", given=b"disk /dev/sda is failing\n").code == 0
    assert body(arrived(provider)) == b"disk /dev/sda is failing\r\n"


def test_eight_bit_is_announced(relay: Relay, provider: ScriptedProvider) -> None:
    assert sendmail(relay, "root", given="Subject: x\n\nPumpe läuft\n".encode()).code == 0
    message = arrived(provider)
    assert b"BODY=8BITMIME" in message.parameters
    assert body(message) == "Pumpe läuft\r\n".encode()


def test_a_large_mail_arrives_whole(relay: Relay, provider: ScriptedProvider) -> None:
    lines = b"".join(b"%d %s\n" % (number, b"x" * 60) for number in range(50_000))
    assert sendmail(relay, "-oi", "root", given=b"Subject: x\n\n" + lines).code == 0
    assert body(arrived(provider)) == lines.replace(b"\n", b"\r\n")


def test_a_large_mail_is_not_held_in_memory() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(300):
            yield b"y" * 65535 + b"\n"

    tracemalloc.start()
    mail = StdinMessage(text_of(chunks(), dot_ends=True))
    size = sum(map(len, mail.wire()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 300 * 65537
    assert peak < 1 << 20


TEXTS = st.lists(
    st.sampled_from([b"a", b".", b"\n", b"\r", b"\r\n", b"\n.\n", b"From ", b"\x00", b"\xff", b"xyz"])
).map(b"".join)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(TEXTS, st.lists(st.integers(0, 1000)), st.booleans())
def test_it_does_not_matter_how_the_input_is_cut(data: bytes, places: list[int], dot_ends: bool) -> None:
    assert b"".join(text_of(cut(data, places), dot_ends)) == b"".join(text_of([data], dot_ends))


@given(TEXTS, st.booleans())
def test_the_text_is_the_input_up_to_a_lone_dot(data: bytes, dot_ends: bool) -> None:
    lines = re.sub(rb"\r?\r\n|\r", b"\n", data).split(b"\n")
    if dot_ends and b"." in lines:
        lines = [*lines[: lines.index(b".")], b""]
    assert b"".join(text_of([data], dot_ends)) == b"\n".join(lines)


@given(TEXTS, st.lists(st.integers(0, 1000)))
def test_what_goes_over_the_wire_is_clean_and_means_the_text(data: bytes, places: list[int]) -> None:
    text = b"".join(text_of([data], False))
    mail = StdinMessage(text_of(cut(data, places), False))
    wire = b"".join(mail.wire())
    assert mail.wire_size() == len(wire)
    assert wire.count(b"\n") == wire.count(b"\r\n") == wire.count(b"\r")
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    lines = wire.split(b"\r\n")
    assert b"\n".join(line[1:] if line.startswith(b".") else line for line in lines) == (
        text if text.endswith(b"\n") or not text else text + b"\n"
    )


# Recipients that the relay does not take


def test_no_recipient_is_wrong_usage(relay: Relay) -> None:
    for arguments in ([], ["-t"], ["-f", "x@example.org"]):
        done = sendmail(relay, *arguments)
        assert (done.code, done.errors.count("\n")) == (64, 1)
        assert "no recipient" in done.errors


def test_a_refused_recipient_is_told_and_the_others_get_it(relay: Relay, provider: ScriptedProvider) -> None:
    done = sendmail(relay, "nosuchname", "root")
    assert done.code == 67
    assert "nosuchname: 550 5.1.1" in done.errors
    assert arrived(provider).recipients == [b"owner@example.org"]


@pytest.mark.parametrize(
    "address",
    [
        "root\nx@example.org", "a@example.org>\r\nDATA", "a@example.org\n", "\ra@example.org", "a@exa\n mple.org",
        "a@example.org,\nb@example.org", "<a@example.org>\nRCPT TO:<b@example.org>", '"a\nb"@example.org',
        "A\tB <a@example.org>", "a\x7fb@example.org", "a\x1bb@example.org", "a\x85b@example.org", "a@example.org\u2028",
    ],
)  # fmt: skip
def test_an_address_with_a_line_end_or_control_character_is_wrong_usage_and_nothing_is_sent(
    relay: Relay, provider: ScriptedProvider, address: str
) -> None:
    before = len(relay.log())
    for arguments in ([address, "root"], ["root", "--", address], ["-f", address, "root"], ["-r" + address, "root"]):
        done = sendmail(relay, *arguments)
        assert (done.code, done.errors.count("\n")) == (64, 1), arguments
        assert "nothing was sent" in done.errors
    assert "accepted" not in relay.log()[before:]


def test_an_address_in_a_header_may_be_folded_and_hold_no_control_character(
    relay: Relay, provider: ScriptedProvider
) -> None:
    folded = b"To: A\n\t<a@example.org>,\r\n b@example.org\nSubject: \x01\n\nx\n"
    assert sendmail(relay, "-t", given=folded).code == 0
    assert arrived(provider).recipients == [b"a@example.org", b"b@example.org"]
    for address in (
        b"a\0b@example.org",
        b"a@example.org\x01",
        b"a@example.org\x0bc@example.org",
        b'"\x1b" <a@example.org>',
        b"a@exa\x7fmple.org",
    ):
        done = sendmail(relay, "-t", "root", given=b"Cc: b@example.org\nTo: " + address + b"\n\nx\n")
        assert (done.code, done.errors.count("\n")) == (65, 1)
    assert len(provider.messages) == 1


def test_more_recipients_than_the_relay_takes_at_a_time_all_get_it(relay: Relay, provider: ScriptedProvider) -> None:
    names = [f"r{number}@example.org" for number in range(12)]
    done = sendmail(relay, *names)
    assert (done.code, done.errors) == (0, "")
    provider.wait_for(3)
    assert sorted(name.decode() for message in provider.messages for name in message.recipients) == sorted(names)


def test_a_caller_without_standard_output_does_no_harm(relay: Relay, provider: ScriptedProvider) -> None:
    argv = relay_command("sendmail", *places(relay), "-v", "root")
    command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *argv]
    subprocess.run(command, input=b"Subject: x\n\ny\n", check=True, timeout=60)
    assert body(arrived(provider)) == b"y\r\n"


def test_too_big_a_mail_is_refused_for_good(provider: ScriptedProvider) -> None:
    with Relay("option max_message_size '10K'", SMARTHOST.format(port=provider.port)) as small:
        done = sendmail(small, "a@example.org", given=b"x\n" * 10_000)
        assert done.code == 69
        assert "5.3.4" in done.errors


def test_verbose_shows_the_dialogue(relay: Relay) -> None:
    done = sendmail(relay, "-v", "root")
    assert re.search("banner: 220 .*mail: 250 .*rcpt: 250 .*data: 354 .*dot: 250 .*Queued", done.text, re.DOTALL)


# No relay


@pytest.mark.root
def test_with_the_relay_down_root_queues_as_the_spools_owner(provider: ScriptedProvider) -> None:
    relay = Relay(ALIASES, SMARTHOST.format(port=provider.port))
    relay.spool.mkdir(0o700)
    os.chown(relay.spool, NOBODY, NOBODY)
    done = sendmail(relay, "both", "nosuchname", "a@example.org", "-F", "Me", given=b"Subject: x\n\n.y\n")
    assert done.code == 67
    assert "nosuchname" in done.errors
    (queue_id,) = relay.queue()
    assert (relay.spool / "queue" / queue_id).stat().st_uid == NOBODY
    shown = call("show", queue_id, *places(relay)).text
    assert re.findall(r"recipient +(\S+)", shown) == ["one@example.org", "two@example.org", "a@example.org"]
    assert "sender       root@relay.example.net" in shown
    assert shown.endswith("\n\nFrom: Me <root@relay.example.net>\nSubject: x\n\n.y\n")


@pytest.mark.root
def test_what_root_queued_is_sent_when_the_relay_starts(provider: ScriptedProvider) -> None:
    with Relay(ALIASES, SMARTHOST.format(port=provider.port)) as relay:
        relay.stop()
        assert sendmail(relay, "root").code == 0
        relay.start()
        assert arrived(provider).recipients == [b"owner@example.org"]


@pytest.mark.root
def test_nobody_but_root_queues_with_the_relay_down(provider: ScriptedProvider) -> None:
    relay = Relay(ALIASES, SMARTHOST.format(port=provider.port))
    relay.config.chmod(0o644)
    relay.spool.mkdir(0o700)
    os.chown(relay.spool, STRANGER, STRANGER)
    done = sendmail(relay, "root", uid=STRANGER)
    assert (done.code, done.errors.count("\n")) == (75, 1)
    assert "not kept" in done.errors
    assert list(relay.spool.iterdir()) == []


def test_root_without_a_spool_or_a_config_is_told_to_try_again(tmp_path: Path) -> None:
    relay = Relay()
    relay.config.unlink()
    done = sendmail(relay, "root")
    assert (done.code, done.errors.count("\n")) == (75, 1)


def test_a_relay_without_a_provider_is_tried_again_later() -> None:
    with Relay() as relay:
        done = sendmail(relay, "a@example.org")
        assert done.code == 75
        assert "451" in done.errors


# The other modes


def test_smtp_on_standard_input_and_output(relay: Relay, provider: ScriptedProvider) -> None:
    talk = b"EHLO me\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<root>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\nQUIT\r\n"
    done = sendmail(relay, "-bs", given=talk)
    assert done.code == 0
    assert [line[:4] for line in done.raw.splitlines() if line[3:4] == b" "] == [
        b"220 ", b"250 ", b"250 ", b"250 ", b"354 ", b"250 ", b"221 ",
    ]  # fmt: skip
    assert arrived(provider).sender == b"a@example.org"


@pytest.mark.parametrize(("mode", "said"), [("-bs", b"421 4.3.2 "), ("-q", b"")])
def test_without_a_relay_its_modes_are_to_be_tried_again_later(mode: str, said: bytes) -> None:
    done = sendmail(Relay(), mode, given=b"QUIT\r\n")
    assert done.code == 75
    assert done.raw.startswith(said)


def test_mailq_looks_as_it_always_did() -> None:
    with (
        ScriptedProvider({"mail": "451 4.3.0 later"}) as provider,
        Relay("", SMARTHOST.format(port=provider.port)) as relay,
    ):
        assert call("mailq", *places(relay)).text == "Mail queue is empty\n"
        queue_id = relay.send()
        relay.wait_log("deferred")
        wait(lambda: "sending" not in call("queue", *places(relay)).text, "the courier lets go of it")
        for shown in (call("mailq", *places(relay)).text, sendmail(relay, "-bp").text):
            assert re.search(rf"^{queue_id} +26 \w\w\w \w\w\w \d\d [\d:]+  plc@example.net$", shown, re.MULTILINE)
            assert "(451 4.3.0 later)" in shown
            assert re.search(r"^ +owner@example.org$", shown, re.MULTILINE)
            assert shown.endswith("-- 1 Kbytes in 1 Request.\n")
        provider.script = {}
        assert sendmail(relay, "-q").code == 0
        arrived(provider)


def test_newaliases_and_daemon_mode_say_where_things_are(relay: Relay) -> None:
    assert "config" in call("newaliases").text
    assert "config" in sendmail(relay, "-bi").text
    done = sendmail(relay, "-bd", "-q15m")
    assert done.code == 64
    assert "mailrelay serve" in done.errors
    assert call("sendmail", "--help").text.startswith("usage: sendmail")


# Options


def option_values(found: Options) -> tuple[object, ...]:
    return (found.mode, found.from_headers, found.dot_ends, found.sender, found.name, found.recipients)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("root", ("m", False, True, None, None, [b"root"])),
        ("-ti", ("m", True, False, None, None, [])),
        ("-oi -t", ("m", True, False, None, None, [])),
        ("-itfa@b x", ("m", True, False, b"a@b", None, [b"x"])),
        ("-oem -odb -oQ/tmp x", ("m", False, True, None, None, [b"x"])),
        ("x -f a@b y", ("m", False, True, b"a@b", None, [b"x", b"y"])),
        ("-f a@b -- -t", ("m", False, True, b"a@b", None, [b"-t"])),
        ("-FName -em x", ("m", False, True, None, b"Name", [b"x"])),
        ("-bp", ("p", False, True, None, None, [])),
        ("-bs -v", ("s", False, True, None, None, [])),
        ("-d8.1 -X /tmp/log -L tag -C /x.cf x", ("m", False, True, None, None, [b"x"])),
    ],
)
def test_options_are_read_as_sendmail_reads_them(line: str, expected: tuple[object, ...]) -> None:
    assert option_values(read_options(line.split())) == expected


@pytest.mark.parametrize("line", ["-q", "-q15m", "-qRexample.org", "-v -q"])
def test_q_in_every_form_flushes(line: str) -> None:
    assert read_options(line.split()).flush


@pytest.mark.parametrize("line", ["-z", "--config", "--confg=x", "-f", "-bd", "-bD", "-bv", "-bx"])
def test_what_nobody_knows_is_refused(line: str) -> None:
    with pytest.raises(Stop) as caught:
        read_options(line.split())
    assert caught.value.code == 64


def test_a_port_25_that_answers_is_not_taken_for_a_relay_that_runs_elsewhere(tmp_path: Path) -> None:
    """Only the usual relay is looked for there; who names a run directory means that one."""
    from mailrelay.cli import submission
    from mailrelay.cli.instance import Relay as Place

    assert submission.endpoints(Place(run_dir=str(tmp_path))) == []
