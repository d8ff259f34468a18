"""The listener's bounds, on real sockets: slow clients, odd ends of data, large mail, clients that hang up."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrelay.spool import group_commit, spool
from tests.support.relay import SOURCE, Relay, processor_seconds, relay_python, smarthost
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

ENVELOPE = b"EHLO x\r\nMAIL FROM:<plc@x.org>\r\nRCPT TO:<a@x.org>\r\n"


@pytest.fixture
def relay(provider: ScriptedProvider) -> Iterator[Relay]:
    with Relay("", smarthost(provider)) as found:
        yield found


def raw(relay: Relay, data: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", relay.port), timeout=20)
    sock.sendall(data)
    return sock


def everything(sock: socket.socket) -> bytes:
    """What the relay says until it closes."""
    found = b""
    while chunk := sock.recv(65536):
        found += chunk
    return found


def test_a_whole_session_in_one_packet(relay: Relay, provider: ScriptedProvider) -> None:
    first, second = b"DATA\r\nSubject: x\r\n\r\none\r\n.\r\n", b"DATA\r\nSubject: y\r\n\r\ntwo\r\n.\r\nQUIT\r\n"
    with raw(relay, ENVELOPE + first + ENVELOPE[8:] + second) as sock:
        codes = [line[:3] for line in everything(sock).splitlines() if line[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"250", b"354", b"250", b"221"]
    provider.wait_for(2)


def test_a_script_that_sends_bare_lf_and_shuts_down_its_side(relay: Relay, provider: ScriptedProvider) -> None:
    with raw(relay, b"HELO x\nMAIL FROM:<a@x.org>\nRCPT TO:<b@x.org>\nDATA\nSubject: x\n\nhello\n.\nQUIT\n") as sock:
        sock.shutdown(socket.SHUT_WR)
        assert b"\r\n250 2.0.0 Queued as" in everything(sock)
    provider.wait_for(1)
    assert provider.messages[0].data.endswith(b"\r\n\r\nhello\r\n")


@pytest.mark.parametrize(
    ("end", "last"),
    [(b"\nhello\n.\r\n", b""), (b"\r\n\r\nhello\n.\r\n", b""), (b"\r\r\n\r\r\nhello\r\r\n.\r\r\n", b"QUIT\r\r\n")],
    ids=["LF lines", "CRLF lines", "CR CR LF, and QUIT at once"],
)
def test_a_lone_dot_of_another_kind_ends_the_mail_after_three_seconds_of_silence(
    relay: Relay, provider: ScriptedProvider, end: bytes, last: bytes
) -> None:
    with raw(relay, ENVELOPE + b"DATA\r\nSubject: x" + end + last) as sock:
        began = time.monotonic()
        file = sock.makefile("rb")
        replies = [file.readline() for _ in range(10)]
        while not replies[-1].startswith(b"250 2.0.0 Queued"):
            replies.append(file.readline())
        assert 2.9 < time.monotonic() - began < 15
        if not last:
            sock.sendall(b"MAIL FROM:<again@x.org>\r\n")
        assert file.readline().startswith(b"221" if last else b"421")
    provider.wait_for(1)
    assert provider.messages[0].data.endswith(b"\r\n\r\nhello\r\n")


def test_a_client_that_goes_within_these_seconds_has_sent_nothing(relay: Relay, provider: ScriptedProvider) -> None:
    raw(relay, ENVELOPE + b"DATA\r\nSubject: x\n\nhello\n.\r\n").close()
    relay.wait_log("aborted ")
    assert relay.queue() == [] and provider.messages == []


def test_a_client_that_goes_with_quit_has_sent_its_mail(relay: Relay, provider: ScriptedProvider) -> None:
    with raw(relay, ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nhello\n.\r\nQUIT\r\n") as sock:
        sock.shutdown(socket.SHUT_WR)
        assert b"\r\n250 2.0.0 Queued as" in everything(sock)
    provider.wait_for(1)


def test_forty_megabytes_pass_and_more_is_refused_early_and_late() -> None:
    main = "option max_message_size '41M'\noption max_queue_size '1G'"
    script = {"dot": ["451 not yet"]}
    with (
        ScriptedProvider(script, extensions=("PIPELINING",)) as provider,
        Relay(main, smarthost(provider)) as relay,
    ):
        before = private(relay.listener())
        peak = [before]
        watching = threading.Event()

        def watch() -> None:
            while not watching.wait(0.02):
                with contextlib.suppress(OSError):
                    peak.append(private(relay.listener()))

        thread = threading.Thread(target=watch)
        thread.start()
        content = b"Subject: film\r\n\r\n" + (b"x" * 76 + b"\r\n") * (40 * 1024 * 1024 // 78)
        with relay.connect() as client:
            client.mail(content)
            watching.set()
            thread.join()
            client.say("MAIL FROM:<a@x.org> SIZE=43000000", "552")
            client.begin_data()
            client.say(content + content[17 : 17 + 3 * 78 * 10000] + b".", "552")
            assert len(relay.queue()) == 1
        assert max(peak) - before < 4 << 20, "a large mail is not held in memory"


def private(pid: int) -> int:
    """Bytes of memory that are the process's own."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@pytest.mark.parametrize("sources", [1, 10])
def test_slow_clients_never_keep_another_one_out(provider: ScriptedProvider, sources: int) -> None:
    main = "option max_connections '40'\noption max_connections_per_client '30'"
    with (
        Relay(main, smarthost(provider), allow=("127.0.0.0/8",)) as relay,
        contextlib.ExitStack() as open_,
    ):
        slow = []
        for i in range(120):
            sock = socket.create_connection(
                ("127.0.0.1", relay.port), timeout=20, source_address=(f"127.0.1.{i % sources + 1}", 0)
            )
            open_.enter_context(contextlib.closing(sock))
            sock.sendall(b"EHLO slow\r\nMAIL FR" if i % 2 else b"E")
            slow.append(sock)
        for source in ("127.0.0.1", "127.0.1.1"):
            for _ in range(5):
                relay.send(source=source)
        provider.wait_for(10)
        assert "evicted client=127.0.1." in relay.log()


def test_a_command_that_takes_too_long_and_a_mail_that_trickles_are_ended(provider: ScriptedProvider) -> None:
    main = "option command_timeout '2s'\noption min_data_rate '1000'"
    with Relay(main, smarthost(provider)) as relay:
        with raw(relay, b"EHLO x\r\nMAIL FR") as sock:
            assert b"\r\n421 4.4.2 " in everything(sock)
        with raw(relay, ENVELOPE + b"DATA\r\nSubject: x\r\n") as sock:
            assert everything(sock).endswith(b"421 4.4.2 The message comes in too slowly, try again\r\n")
        assert relay.queue() == []


def test_a_full_queue_is_told_before_and_after_the_mail(provider: ScriptedProvider) -> None:
    provider.script = {"banner": "421 closed"}
    with Relay("option max_queue_size '200K'", smarthost(provider)) as relay:
        with relay.connect() as client:
            size = int(client.say("EHLO x", "250").split("SIZE ")[1].split()[0])
            assert 100_000 < size <= 200 * 1024
            client.say("MAIL FROM:<a@x.org> SIZE=300000", "452")
            client.mail(b"Subject: x\r\n\r\n" + b"x" * 100_000 + b"\r\n")
            client.begin_data()
            client.say(b"x" * 150_000 + b"\r\n.", "452")
        provider.script = {}
        relay.flush()
        provider.wait_for(1)

        def roomy() -> bool:
            with relay.connect() as client:
                return int(client.say("EHLO x", "250").split("SIZE ")[1].split()[0]) > 150_000

        wait(roomy, "delivered mail makes room")


@pytest.mark.parametrize("size", [b"", b" SIZE=80000"])
def test_failed_pictures_make_room_for_an_alarm_at_its_first_try(size: bytes) -> None:
    """With a limit that they fill, and a provider that takes none of them."""
    picture, alarm = (b"p" * 78 + b"\r\n") * 4200, (b"a" * 78 + b"\r\n") * 1000
    main = "option max_queue_size '1M'"
    with (
        ScriptedProvider({"dot": ["552 5.3.4 too large"] * 3}) as provider,
        Relay(main, smarthost(provider)) as relay,
    ):
        pictures = [relay.send(picture) for _ in range(3)]
        wait(lambda: relay.queue("failed") == pictures, "they have failed")
        with relay.connect() as client:
            client.say("EHLO plc", "250")
            client.say(b"MAIL FROM:<plc@example.net>" + size, "250")
            client.say("RCPT TO:<owner@example.org>", "250")
            client.say("DATA", "354")
            client.say(alarm + b".", "250")
        assert relay.queue("failed") == pictures[1:]
        assert "deleted to make room" in relay.wait_log(f"expired id={pictures[0]}")
        provider.wait_for(1)


# ---- disks that fail or take their time ------------------------------------------------------------------------------

LAUNCHER = """
import os, runpy, sys, time
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0])
{change}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Changed(Relay):
    """A line of Python changes the relay before it starts."""

    change = ""

    def command(self, *arguments: str) -> list[str]:
        launcher = self.folder / "launcher.py"
        launcher.write_text(LAUNCHER.format(change=self.change))
        return [relay_python(), "-I", "-S", str(launcher), str(SOURCE), *arguments]


class SlowDisk(Changed):
    """Every fsync takes a second and a half."""

    change = "real = os.fsync; os.fsync = lambda fd: (time.sleep(1.5), real(fd))"


class Hurried(Changed):
    """While connections run short, a second is all that a command or silence may take."""

    change = "from mailrelay.listener import limits; limits._SHORT_TIMEOUT = limits._SHORT_WINDOW = 1.0"


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_client"])
def test_slow_clients_have_minutes_until_connections_run_short(provider: ScriptedProvider, limit: str) -> None:
    with Hurried(f"option {limit} '5'", smarthost(provider)) as relay, contextlib.ExitStack() as open_:
        person = open_.enter_context(relay.connect())
        person.begin_data()
        waiting = [open_.enter_context(relay.connect()) for _ in range(2)]
        for client in waiting:
            client.say("EHLO x", "250")
        time.sleep(2.5)
        person.sock.sendall(b"Subject: Alarm\r\n")
        waiting[1].say("NOOP", "250")
        fast = [open_.enter_context(relay.connect()) for _ in range(2)]
        assert person.reply() == "421 4.4.2 The message comes in too slowly, try again"
        assert waiting[0].reply().startswith("421 4.4.2 ")
        fast[0].mail(b"Subject: x\r\n\r\nthere is room for this one\r\n")
        relay.wait_log('reason="421 4.4.2 The message comes in too slowly')
        relay.wait_log('refused client=127.0.0.1 reply="421 4.4.2 Nothing complete')


@pytest.mark.parametrize("with_reset", [True, False])
def test_a_client_gone_while_its_mail_is_synced_costs_no_processor_time(
    provider: ScriptedProvider, with_reset: bool
) -> None:
    with SlowDisk("", smarthost(provider)) as relay:
        listener = relay.listener()
        sock = raw(relay, ENVELOPE)
        os.kill(listener, signal.SIGSTOP)  # the reset is there before the mail is read
        sock.sendall(b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
        if with_reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        before = processor_seconds(listener)
        os.kill(listener, signal.SIGCONT)
        time.sleep(1.2)
        assert processor_seconds(listener) - before < 0.2
        provider.wait_for(1)


def test_a_slow_disk_is_not_the_clients_fault(provider: ScriptedProvider) -> None:
    main = "option command_timeout '5s'\noption min_data_rate '1M'"
    with SlowDisk(main, smarthost(provider)) as relay, relay.connect() as client:
        client.mail(b"Subject: x\r\n\r\nx\r\n")
        client.mail(b"Subject: y\r\n\r\n" + b"y" * 70 + b"\r\n")
        provider.wait_for(2)


def test_term_waits_for_the_commit_under_way_and_the_client_hears_of_it(provider: ScriptedProvider) -> None:
    with SlowDisk("", smarthost(provider)) as relay:
        sock = raw(relay, ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
        wait(lambda: relay.queue("tmp") + relay.queue(), "the mail is being written")
        began = time.monotonic()
        assert relay.stop() == 0
        assert time.monotonic() - began < 4.0
        said = everything(sock)
        assert (b"250 2.0.0 Queued" in said) <= (len(relay.queue()) == 1), "what was promised is there"
        sock.close()


def test_a_large_mail_that_cannot_be_stored_is_answered_at_once(relay: Relay, provider: ScriptedProvider) -> None:
    shutil.rmtree(relay.spool / "tmp")
    with relay.connect() as client:
        client.begin_data()
        client.sock.settimeout(5.0)
        client.sock.sendall((b"x" * 78 + b"\r\n") * 100_000)
        client.say(b".", "451")
        (relay.spool / "tmp").mkdir(mode=0o700)
        owner = relay.spool.stat()
        os.chown(relay.spool / "tmp", owner.st_uid, owner.st_gid)
        wait(lambda: client.say("MAIL FROM:<a@x.org>")[:3] == "250", "there is room again")
        client.say("RCPT TO:<b@x.org>", "250")
        client.say("DATA", "354")
        client.say(b"Subject: x\r\n\r\nx\r\n.", "250")
    provider.wait_for(1)


def test_without_a_spool_even_a_new_listener_answers(relay: Relay) -> None:
    shutil.rmtree(relay.spool)
    os.kill(relay.listener(), signal.SIGKILL)
    with relay.connect() as client:
        client.say("EHLO x", "250")
        client.say("MAIL FROM:<a@x.org>", "452")
    assert "crashed" not in relay.log()


def test_without_memory_a_mail_is_refused_and_the_next_one_taken(
    box: spool.Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = group_commit.Committer(box, threads=1)

    def verdict() -> OSError | None:
        found = wait(committer.collect, "a verdict comes")
        return found[0][1]  # type: ignore[no-any-return]

    def exhausted(*_: object) -> None:
        raise MemoryError

    def seal() -> OSError | None:
        draft = spool.Draft(box, spool.Envelope(b"", [b"a@x.org"], "::1"))
        committer.seal(draft, [b"x\r\n"], draft)
        return verdict()

    with monkeypatch.context() as patch:
        patch.setattr(spool, "write_all", exhausted)
        error = seal()
        assert error is not None and error.errno == errno.ENOMEM
    assert seal() is None
    assert len(box.ids(spool.QUEUE)) == 1


def test_every_refusal_stands_in_the_log_once_with_what_was_said_and_what_to_change() -> None:
    main = "option max_message_size '100K'\noption login 'listed'"
    with ScriptedProvider() as provider, Relay(main, smarthost(provider)) as relay:
        with relay.connect() as client:
            client.say("EHLO x", "250")
            for line, code in [
                ("FROBNICATE with something", "500"),
                ("STARTTLS", "502"),
                ("AUTH PLAIN AGNhbWVyYQBzZWNyZXQ=", "502"),
                ("bXktb3duLXNlY3JldA==", "500"),
                ("MAIL FROM", "501"),
                ("MAIL FROM:<a@x.org> RET=HDRS", "555"),
                ("RCPT TO:<b@x.org>", "503"),
                ("EXPN \x1b[2J" + "x" * 500, "502"),
            ]:
                client.say(line, code)
            for _ in range(3):
                client.say("MAIL FROM:<a@x.org> SIZE=200000", "552")
            # Pipelined: what is refused is not the first of its replies.
            client.sock.sendall(b"MAIL FROM:<a@x.org>\r\nRCPT TO:<nobody-here>\r\nRCPT TO:<b@x.org>\r\n")
            assert [client.reply()[:3] for _ in range(3)] == ["250", "550", "250"]
            client.say("DATA", "354")
            client.say(b"x" * 150_000 + b"\r\n.", "552")
        wait(lambda: relay.status()["counts"]["refused"] == 8, "what keeps a mail out is counted")
        wait(lambda: len(relay.status()["refusals"]) == 5, "and is in the status, for each reply")
        lines = {line.split('reply="')[1][:3]: line for line in relay.log().splitlines() if "refused client=" in line}
        assert relay.log().count("refused client=127.0.0.1 reply=") == 9, "the same reply is told once a minute"
        for code, said, hint in [
            ("500", "said=FROBNICATE", ""),
            ("501", 'said="MAIL FROM"', "correct the address"),
            ("503", 'said="RCPT TO:<b@x.org>"', "the refusal before"),
            ("550", 'said="RCPT TO:<nobody-here>"', "postmaster"),
            ("552", 'said="MAIL FROM:<a@x.org> SIZE=200000"', "max_message_size"),
            ("555", "RET=HDRS", "delivery notifications"),
        ]:
            assert said in lines[code] and hint in lines[code], lines[code]
        assert 'said="AUTH PLAIN" advice="set option login' in relay.log()
        assert "said=STARTTLS advice=" in relay.log() and r"EXPN \x1b[2Jxxx" in relay.log()
        for secret in ("AGNh", "bXktb3du", "x" * 100):
            assert secret not in relay.log()
        assert relay.status()["refusals"][-1]["advice"].startswith("set option login")


def test_a_broken_off_mail_tells_why_and_how_much_came_and_many_are_summed_up(provider: ScriptedProvider) -> None:
    main = "option max_line_length '1000'\noption max_connections_per_client '2'"
    with Relay(main, smarthost(provider)) as relay:
        for end in (False, True):
            sock = raw(relay, ENVELOPE + b"DATA\r\n")
            file = sock.makefile("rb")
            while not file.readline().startswith(b"354"):
                pass
            sock.sendall(b"Subject: x\r\n")
            if end:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            file.close()
            sock.close()
        relay.wait_log('received=12 reason="the client hung up"')
        relay.wait_log('received=12 reason="Connection reset by peer"')
        with relay.connect() as client:
            client.begin_data()
            client.say(b"x" * 2000 + b"\r\n.", "554")
        relay.wait_log('reason="554 5.6.0 A line of this message is longer than 1000 bytes"')
        with relay.connect() as client, relay.connect():
            client.begin_data()
            client.sock.sendall(b"Subject: x\r\n")
            with relay.connect() as third:
                third.say("EHLO x", "250")
                relay.wait_log("evicted client=127.0.0.1 reply=")
        wait(lambda: relay.status()["counts"]["aborted"] >= 3, "they are counted")
        with relay.connect() as client:
            client.begin_data()
            relay.stop()
        assert 'received=0 reason="421 4.3.2 The relay is shutting down' in relay.log()


def test_status_follows_what_the_owner_does_and_a_reload_that_was_refused(provider: ScriptedProvider) -> None:
    provider.script = {"rcpt": "550 no"}
    with Relay("", smarthost(provider)) as relay:
        queue_id = relay.send()
        wait(lambda: relay.status()["failed"] == 1, "it has failed")
        (relay.spool / "failed" / queue_id).unlink()
        wait(lambda: relay.status()["failed"] == 0, "status notices that it is gone")
        relay.config.write_text(relay.config.read_text() + "\toption prot '25'\n")
        os.kill(relay.pid, signal.SIGHUP)
        wait(
            lambda: any("old ones are in force" in one["text"] for one in relay.status()["warnings"]), "status says so"
        )
