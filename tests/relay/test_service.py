"""The whole relay, as real processes, between a client and a provider that follows a script."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest

from tests.relay.calling import call, places
from tests.support.relay import Relay, processor_seconds, smarthost
from tests.support.scripted_provider import Delay, ScriptedProvider
from tests.support.waiting import wait

# ---- from the LAN to the provider -----------------------------------------------------------------------------------


def test_what_a_controllino_sends_arrives_with_its_headers_completed(relay: Relay, provider: ScriptedProvider) -> None:
    with socket.create_connection(("127.0.0.1", relay.port)) as sock:
        for line in (b"ehlo\n", b"mail from: plc@example.net\n", b"rcpt to: owner@example.org\n", b"data\n"):
            sock.sendall(line)
        sock.sendall(b"Subject: Alarm\npump 3 stands still\n.\n")
        provider.wait_for(1)  # whoever closes with replies unread takes back what was not read yet, on a busy machine
    [mail] = provider.messages
    assert (mail.sender, mail.recipients) == (b"plc@example.net", [b"owner@example.org"])
    head, _, body = mail.data.partition(b"\r\n\r\n")
    assert body == b"pump 3 stands still\r\n"
    for field in (b"Subject: Alarm", b"From: ", b"To: ", b"Date: ", b"Message-ID: <", b"Received: "):
        assert field in head
    wait(lambda: relay.queue() == [], "the queue is empty")


def test_allowed_networks_may_send_and_nothing_of_strangers_is_taken(provider: ScriptedProvider) -> None:
    with Relay("", smarthost(provider), allow=("127.0.0.0/29",)) as relay:
        with relay.connect(source="127.0.0.9") as client:
            assert client.banner.startswith("554 5.7.1")
            client.sock.sendall(b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n")
            assert client.reply().startswith("554")
        relay.wait_log("refused client=127.0.0.9")
        relay.send(source="127.0.0.3")
        provider.wait_for(1)
        assert len(provider.messages) == 1


def test_aliases_and_override_and_allowed_recipients() -> None:
    with ScriptedProvider() as provider:
        main = "list alias 'root=owner@example.org,second@example.org'\nlist allowed_recipient 'example.org'"
        with Relay(main, smarthost(provider)) as relay, relay.connect() as client:
            client.mail(b"Subject: x\r\n\r\nx\r\n", "root")
            provider.wait_for(1)
            assert provider.messages[0].recipients == [b"owner@example.org", b"second@example.org"]
            client.say("MAIL FROM:<a@example.org>", "250")
            client.say("RCPT TO:<x@elsewhere.net>", "550")
            client.say("RCPT TO:<nobody-here>", "550")
            client.say("RCPT TO:<nobody@raspberrypi>", "550")
            client.mail(b"Subject: x\r\n\r\nx\r\n", "root@raspberrypi")
            provider.wait_for(2)
            assert provider.messages[1].recipients == provider.messages[0].recipients
        with Relay("list recipient 'all@example.org'", smarthost(provider)) as relay:
            relay.send(b"Subject: y\r\n\r\ny\r\n", "a@x.org", "b@y.org", "root")
            provider.wait_for(3)
            assert provider.messages[2].recipients == [b"all@example.org"]


def test_a_rewritten_sender_keeps_the_original_in_reply_to_also_for_mail_that_waits() -> None:
    with (
        ScriptedProvider({"banner": ["421 not now"]}) as provider,
        Relay("option retry_min '1'", smarthost(provider)) as relay,
    ):
        relay.send(sender="plc@cabinet.lan")
        relay.wait_log("smarthost-failed")
        relay.configure("option retry_min '1'\noption sender 'shop@example.com'", smarthost(provider))
        os.kill(relay.pid, signal.SIGHUP)
        provider.wait_for(1)
        [mail] = provider.messages
        assert mail.sender == b"shop@example.com"
        assert b"From: shop@example.com" in mail.data.replace(b"<", b"").replace(b">", b"")
        assert b"plc@cabinet.lan" in mail.data


# ---- the provider fails ---------------------------------------------------------------------------------------------


def test_a_4xx_answer_lets_the_message_wait_and_go_later(relay: Relay, provider: ScriptedProvider) -> None:
    provider.script = {"dot": ["451 4.7.1 greylisted", None]}
    relay.send()
    assert "greylisted" in relay.wait_log("deferred ")
    provider.wait_for(1)
    wait(lambda: relay.queue() == [], "the queue is empty")
    assert len(provider.messages) == 1


def test_five_thousand_waiting_mails_cost_one_attempt_each_time() -> None:
    main = "option retry_min '3600'\noption retry_max '3600'"
    script = {"banner": "421 4.3.2 closed for today"}
    with ScriptedProvider(script) as provider, Relay(main, smarthost(provider)) as relay:
        with relay.connect() as client:
            for _ in range(200):
                client.mail(b"Subject: x\r\n\r\nx\r\n")
        relay.wait_log("smarthost-failed")
        relay.send()
        wait(lambda: relay.status().get("queue") == 201 and not relay.status()["delivering"], "all wait")
        assert provider.count("connect") == 1
        relay.flush()
        wait(lambda: provider.count("connect") == 2, "flush tries once more")


def test_a_wrong_password_waits_and_says_what_to_do() -> None:
    with ScriptedProvider(users={"shop": "right"}) as provider:
        section = smarthost(provider).replace("option auth 'none'", "option auth 'plain'")
        section += "\toption username 'shop'\n\toption password 'wr0ng-s3cret'\n"
        with Relay("", section) as relay:
            relay.send()
            answer = "535 5.7.8 wrong name or password"
            line = relay.wait_log("cause=login-refused")
            assert "advice=" in line and f'answer="{answer}"' in line
            wait(lambda: (relay.status().get("last_failure") or {}).get("stage") == "login", "status tells of it")
            assert relay.status()["last_failure"]["advice"] and relay.status()["last_failure"]["answer"] == answer
            assert [trouble["answer"] for trouble in relay.status()["troubles"]] == [answer]
            assert f"login-refused at 127.0.0.1: {answer}" in call("status", *places(relay)).text
            assert len(relay.queue()) == 1 and relay.queue("failed") == []
            assert "wr0ng-s3cret" not in relay.log() + str(relay.status())
            relay.configure("", section.replace("wr0ng-s3cret", "right"))
            os.kill(relay.pid, signal.SIGHUP)
            provider.wait_for(1)
            assert provider.messages[0].username == "shop"


# ---- what the owner hears -------------------------------------------------------------------------------------------


def told_program(tmp_path: Path) -> Path:
    """A program for option notify that writes its environment into the file `heard`."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and str(parent) != "/tmp" and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    program = tmp_path / "notify"
    program.write_text(f"#!/bin/sh\nenv | sort >{tmp_path}/heard\n")
    program.chmod(0o755)
    return program


def test_the_owners_program_hears_of_stuck_mail_with_the_facts(tmp_path: Path) -> None:
    with ScriptedProvider({"banner": "421 no"}) as provider:
        main = f"option notify '{told_program(tmp_path)}'\noption notify_after '1s'\n"
        main += "option retry_min '1'\noption retry_max '1'"
        with Relay(main, smarthost(provider)) as relay:
            queue_id = relay.send()
            wait(lambda: (tmp_path / "heard").exists(), f"the program runs: {relay.log()}")
            relay.wait_log("notified event=stuck")
            heard = dict(line.split("=", 1) for line in (tmp_path / "heard").read_text().splitlines() if "=" in line)
            assert heard["MAILRELAY_EVENT"] == "stuck"
            assert heard["MAILRELAY_ID"] == queue_id
            assert int(heard["MAILRELAY_AGE"]) >= 1


# ---- the spool's order ----------------------------------------------------------------------------------------------


def test_a_damaged_file_is_set_aside_and_the_rest_goes_on(relay: Relay, provider: ScriptedProvider) -> None:
    (relay.spool / "queue" / "0000000000000000").write_bytes(b"mailrelay 1\nrubbish")
    relay.flush()
    relay.wait_log("damaged id=0000000000000000")
    (trouble,) = wait(lambda: relay.status().get("troubles"), "the owner sees it")
    assert trouble["cause"] == "damaged" and trouble["answer"].startswith("0000000000000000: ")
    relay.send()
    provider.wait_for(1)


# ---- logins of clients ----------------------------------------------------------------------------------------------


CLIENTS = """
config client
	option address '127.0.0.2'
	option accept_any_login '1'

config client
	option address '127.0.0.3'
	option username 'cam'
	option password 'lan-secret'

config client
	option address '127.0.0.4'
	option rate_limit '2'
"""


@pytest.mark.parametrize(
    ("main", "offered"),
    [
        ("", {1, 2, 3, 4}),
        ("option login 'any'", {1, 2, 3, 4}),
        ("option login 'listed'", {2, 3}),
        ("option login 'none'", {3}),
    ],
)
def test_clients_that_insist_on_a_login_get_one_and_no_login_is_kept(main: str, offered: set[int]) -> None:
    with ScriptedProvider() as provider, Relay(main, smarthost(provider) + CLIENTS, allow=("127.0.0.0/29",)) as relay:
        for number in (1, 2, 4):
            with relay.connect(f"127.0.0.{number}") as client:
                assert ("AUTH LOGIN PLAIN CRAM-MD5" in client.say("EHLO cam", "250")) is (number in offered)
                client.say("AUTH PLAIN AGFueQB0aGluZw==", "235" if number in offered else "502")
                client.mail(b"Subject: x\r\n\r\nx\r\n")
        with relay.connect("127.0.0.3") as client:
            assert "AUTH LOGIN PLAIN\n" in client.say("EHLO cam", "250")
            client.say("MAIL FROM:<a@example.org>", "530")
            client.say("AUTH CRAM-MD5", "504")
            client.say("AUTH PLAIN AGNhbQBub25zZW5zZQ==", "535")
            client.say("AUTH PLAIN AGNhbQBsYW4tc2VjcmV0", "235")
            client.mail(b"Subject: x\r\n\r\nx\r\n")
        with relay.connect("127.0.0.5") as client:
            assert client.say("AUTH LOGIN")[:3] in ("334", "502")
        provider.wait_for(4)
        kept = b"".join(path.read_bytes() for path in relay.spool.glob("*/*")) + relay.log().encode()
        for secret in (b"thing", b"lan-secret", b"AGFueQB0aGluZw", b"AGNhbQBub25zZW5zZQ"):
            assert secret not in kept


def test_a_rate_limit_holds_for_messages_that_come_in_at_once_and_the_owner_is_told(tmp_path: Path) -> None:
    main = f"option notify '{told_program(tmp_path)}'"
    with ScriptedProvider() as provider, Relay(main, smarthost(provider) + CLIENTS, allow=("127.0.0.0/29",)) as relay:
        clients = [relay.connect("127.0.0.4") for _ in range(10)]
        for client in clients:
            client.say("EHLO plc", "250")
            client.say("MAIL FROM:<a@example.org>", "250")
            client.say("RCPT TO:<b@example.org>", "250")
        began = [client for client in clients if client.say("DATA")[:3] == "354"]
        assert len(began) == 2
        began[0].close()
        relay.wait_log("aborted id=")
        began[1].say(b"x\r\n.", "250")
        with relay.connect("127.0.0.4") as client:
            client.mail(b"Subject: x\r\n\r\nthe one broken off left its place\r\n")
            client.say("MAIL FROM:<a@example.org>", "450")
        for client in clients:
            client.close()
        with relay.connect("127.0.0.4") as client:
            client.say("MAIL FROM:<a@example.org>", "450")
        provider.wait_for(2)
        [refusal] = wait(lambda: relay.status()["refusals"], "the status shows it")
        assert (refusal["client"], refusal["reply"][:9]) == ("127.0.0.4", "450 4.7.1")
        assert "rate_limit" in refusal["advice"] and refusal["since"] <= refusal["last"]
        relay.wait_log("notified event=refused")
        heard = (tmp_path / "heard").read_text()
        assert "MAILRELAY_CLIENT=127.0.0.4\n" in heard and "MAILRELAY_ANSWER=450 4.7.1" in heard


def test_a_rate_limit_holds_for_messages_that_are_sent_in_one_piece() -> None:
    with ScriptedProvider() as provider, Relay("", smarthost(provider) + CLIENTS, allow=("127.0.0.0/29",)) as relay:
        with relay.connect("127.0.0.4") as client:
            mail = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nx\r\n.\r\n"
            client.sock.sendall(mail * 3)
            assert [client.reply()[:3] for _ in range(9)] == ["250", "250", "354", "250"] * 2 + ["450"]
        provider.wait_for(2)


def test_mail_that_comes_in_now_keeps_its_order_and_goes_over_one_connection(
    relay: Relay, provider: ScriptedProvider
) -> None:
    with relay.connect() as client:
        for i in range(20):
            client.mail(b"Subject: %d\r\n\r\nx\r\n" % i)
    provider.wait_for(20)
    subjects = [int(mail.data.split(b"Subject: ")[1].split(b"\r")[0]) for mail in provider.messages]
    assert subjects == list(range(20))
    assert len({mail.connection for mail in provider.messages}) <= 3


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a file system in memory")
def test_a_spool_in_memory_is_told_at_the_start_and_in_status() -> None:
    relay = Relay()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o755)
        relay.spool = Path(folder) / "spool"
        with relay:
            assert "power cut" in relay.wait_log("is in memory")
            assert any("is in memory" in warning["text"] for warning in relay.status()["warnings"])


def test_flushing_one_message_while_the_courier_is_busy_tries_it_when_it_leaves() -> None:
    with ScriptedProvider({"banner": "421 closed"}) as away, ScriptedProvider({"dot": [Delay(2.0)]}) as busy:
        sections = smarthost(away, "a") + smarthost(busy, "b", "list sender 'busy@x.org'")
        main = "option retry_min '3600'\noption retry_max '3600'"
        with Relay(main, sections) as relay:
            queue_id = relay.send()
            relay.wait_log("smarthost-failed")
            wait(lambda: not relay.status()["delivering"], "it rests")
            relay.send(sender="busy@x.org")
            wait(lambda: busy.count("dot") == 1, "the courier is busy with something else")
            away.script = {}
            with open(relay.run_dir / "control", "w") as control:
                control.write(f"{queue_id}\n")
            away.wait_for(1)


# ---- room -----------------------------------------------------------------------------------------------------------


def test_mail_that_comes_in_at_the_same_time_keeps_to_the_limit_together(provider: ScriptedProvider) -> None:
    provider.script = {"banner": "421 not now"}
    main = "option max_queue_size '1M'\noption max_message_size '900K'"
    with Relay(main, smarthost(provider)) as relay:
        clients = [relay.connect() for _ in range(10)]
        for client in clients:
            client.begin_data()
        line = b"x" * 98 + b"\r\n"
        for _ in range(8):
            for client in clients:
                client.sock.sendall(line * 1000)
        replies = [client.say(b".")[:3] for client in clients]
        for client in clients:
            client.close()
        assert set(replies) <= {"250", "452"} and replies.count("250") <= 1, replies
        held = sum(path.stat().st_size for path in relay.spool.glob("*/*"))
        assert held < 1 << 20


def test_idle_and_resting_processes_use_no_processor_time(provider: ScriptedProvider) -> None:
    provider.script = {"banner": "421 not now"}
    with Relay("option retry_min '3600'\noption retry_max '3600'", smarthost(provider)) as relay:
        relay.send()
        wait(lambda: relay.status().get("next_try"), "the smarthost rests")
        relay.send()
        pids = [relay.pid, relay.listener()]
        before = [processor_seconds(pid) for pid in pids]
        time.sleep(3.0)
        assert [now - then for now, then in zip([processor_seconds(pid) for pid in pids], before)] == pytest.approx(
            [0, 0], abs=0.1
        )
