"""`mailrelay test ADDRESS`: every step shown as it happens, and what to change when one fails."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.relay.calling import STRANGER, Done, call, python_for_all
from tests.support.certificates import Certificates
from tests.support.relay import free_port, relay_command
from tests.support.scripted_provider import Hang, ScriptedProvider


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


def write(config: Path, *smarthosts: str, main: str = "") -> None:
    text = f"config mailrelay 'main'\n\toption hostname 'router.example.net'\n\toption spool '{config}-spool'\n{main}\n"
    config.write_text(text + "".join(f"config smarthost\n\toption host '127.0.0.1'\n{one}\n" for one in smarthosts))


def plain(port: int, more: str = "") -> str:
    return f"\toption tls 'none'\n\toption port '{port}'\n{more}"


def send_test(config: Path, *arguments: str) -> Done:
    return call("test", "--config", str(config), "--run-dir", f"{config}-run", *arguments)


def test_each_step_is_shown_and_the_mail_arrives_complete(config: Path) -> None:
    with ScriptedProvider({"dot": "250 2.0.0 Ok: queued as 4XyZ"}) as provider:
        write(config, plain(provider.port))
        done = send_test(config, "owner@example.org")
        assert done.code == 0
        for word in ("name lookup", "connection", "greeting", "EHLO", "sender", "recipient", "message"):
            assert any(line.split(" ok ")[0].strip() == word for line in done.text.splitlines()), word
        assert re.search(r" we said router\.example\.net$", done.text, re.MULTILINE)
        assert "queued as 4XyZ" in done.text
        assert provider.violations == []


def test_the_mail_says_where_it_comes_from(config: Path) -> None:
    with ScriptedProvider() as provider:
        write(config, plain(provider.port))
        assert send_test(config, "owner@example.org").code == 0
        message = provider.messages[0]
        assert message.sender == b"mailrelay@router.example.net"
        for part in (b"From: mailrelay@router.example.net", b"To: owner@example.org", b"Message-ID: <", b"Date: "):
            assert b"\r\n" + part in message.data
        assert b"Subject: Test mail from router.example.net" in message.data
        assert b"mailrelay 1." in message.data


def test_aliases_and_sender_rules_hold_for_it_as_for_all_mail(config: Path) -> None:
    with ScriptedProvider() as provider:
        main = "\tlist alias 'root=owner@example.org'\n\toption sender 'account@example.com'"
        write(config, plain(provider.port), main=main)
        done = send_test(config, "root", "--from", "plc@plant.example")
        assert done.code == 0
        message = provider.messages[0]
        assert message.sender == b"account@example.com"
        assert message.recipients == [b"owner@example.org"]
        assert b"\r\nFrom: account@example.com\r\n" in message.data
        assert b"\r\nReply-To: plc@plant.example\r\n" in message.data
        assert "that is where root goes" in done.text
        assert "owner@example.org (that is where root@pi goes)" in send_test(config, "root@pi").text


def test_each_provider_is_shown_with_the_sender_that_goes_to_it(config: Path) -> None:
    with ScriptedProvider() as provider:
        first, spare = plain(free_port()), plain(provider.port, "\toption from 'you@example.org'")
        write(config, first, spare, main="\toption sender 'alarms@company.example'")
        done = send_test(config, "owner@example.org", "--from", "plc@plant.example")
        assert done.code == 0, done.text
        assert provider.messages[0].sender == b"you@example.org"
        assert "from  alarms@company.example (option sender; asked for was plc@plant.example)" in done.text
        assert "from  you@example.org (option from of provider smarthost[1]; asked for was plc@pl" in done.text
        lines = [json.loads(line) for line in send_test(config, "owner@example.org", "--json-lines").text.splitlines()]
        assert lines[-1]["sender"] == "you@example.org"


def test_a_name_without_an_alias_is_explained_before_anything_is_sent(config: Path) -> None:
    with ScriptedProvider() as provider:
        write(config, plain(provider.port))
        done = send_test(config, "nosuchname")
        assert done.code == 1
        assert "alias" in done.text
        assert provider.connections == 0


def test_an_address_of_two_lines_is_wrong_usage(config: Path) -> None:
    with ScriptedProvider() as provider:
        write(config, plain(provider.port), main="\toption postmaster 'boss@example.org'")
        for arguments in (
            ["root\nx@example.org"],
            ["a@example.org", "--from", "a@example.org>\r\nRCPT TO:<b@example.org"],
        ):
            done = send_test(config, *arguments)
            assert (done.code, done.errors.count("\n")) == (64, 1)
        assert provider.connections == 0


def test_tls_and_login_are_shown_and_the_password_is_not(config: Path, tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    with ScriptedProvider(tls="starttls", certificate=made.good, users={"me": "s3cr3t-pass"}) as provider:
        more = f"\toption username 'me'\n\toption password 's3cr3t-pass'\n\toption ca_file '{made.ca_file}'"
        write(config, f"\toption port '{provider.port}'\n{more}")
        done = send_test(config, "owner@example.org")
        assert done.code == 0, done.text
        for part in ("TLSv1.", "mailrelay test authority", "valid until", "PLAIN"):
            assert part in done.text
        assert "s3cr3t" not in done.text + done.errors


def test_a_refused_login_comes_with_advice(config: Path) -> None:
    with ScriptedProvider(users={"me": "right"}) as provider:
        write(config, plain(provider.port, "\toption username 'me'\n\toption password 'wr0ng'"))
        done = send_test(config, "owner@example.org")
        assert done.code == 1
        assert "login        FAILED" in done.text
        assert "password" in done.text
        assert "wr0ng" not in done.text + done.errors
        assert provider.messages == []


def test_what_is_refused_over_a_setting_goes_to_the_next_provider_as_the_couriers_mail_does(config: Path) -> None:
    refusal = "550 5.7.60 not allowed to send as this sender"
    with ScriptedProvider({"mail": refusal}) as first, ScriptedProvider() as spare:
        write(config, plain(first.port), plain(spare.port, "\toption priority '20'"))
        done = send_test(config, "owner@example.org")
        assert (done.code, len(spare.messages)) == (0, 1)
        assert "option sender" in done.text and "The next provider is tried." in done.text
        spare.script = {"mail": refusal}
        assert send_test(config, "owner@example.org").code == 1


def test_a_refused_recipient_is_a_failure_with_the_providers_words(config: Path) -> None:
    with ScriptedProvider({"rcpt": "550 5.1.1 no such user here"}) as provider:
        write(config, plain(provider.port))
        done = send_test(config, "owner@example.org")
        assert done.code == 1
        assert "recipient    FAILED" in done.text
        assert "Failed: 550 5.1.1 no such user here" in done.text


def test_the_next_provider_is_tried_by_priority(config: Path) -> None:
    with ScriptedProvider() as provider:
        write(config, plain(provider.port, "\toption priority '20'"), plain(free_port(), "\toption priority '5'"))
        done = send_test(config, "owner@example.org")
        assert done.code == 0
        assert "Connection refused" in done.text
        assert done.text.index("next provider") < done.text.index(f"port {provider.port},")
        assert len(provider.messages) == 1


def test_a_provider_for_other_senders_is_not_asked(config: Path) -> None:
    with ScriptedProvider() as first, ScriptedProvider() as second:
        write(config, plain(first.port, "\tlist sender '@plant.example'"), plain(second.port))
        assert send_test(config, "owner@example.org", "--from", "plc@plant.example").code == 0
        assert (len(first.messages), len(second.messages)) == (1, 0)
        assert send_test(config, "owner@example.org").code == 0
        assert (len(first.messages), len(second.messages)) == (1, 1)


def test_it_goes_the_way_and_comes_from_whom_mail_of_a_machine_does(config: Path) -> None:
    """Whose sender is its own: the one that all mail is sent as is no reason for a provider."""
    with ScriptedProvider() as first, ScriptedProvider() as second:
        special = plain(first.port, "\tlist sender '@example.com'")
        write(config, special, plain(second.port), main="\toption sender 'account@example.com'")
        done = send_test(config, "owner@example.org")
        assert done.code == 0 and "from  account@example.com\n" in done.text, "and nobody asked for another one"
        assert (len(first.messages), len(second.messages)) == (0, 1)
        assert second.messages[0].sender == b"account@example.com"


def test_json_lines_are_an_object_a_step_and_a_result(config: Path) -> None:
    with ScriptedProvider() as provider:
        write(config, plain(provider.port))
        done = send_test(config, "owner@example.org", "--json-lines")
        lines = [json.loads(line) for line in done.text.splitlines()]
        assert [line["step"] for line in lines[:-1]] == "begin name connect banner ehlo mail rcpt data dot".split()
        assert all(line["ok"] is True and line["seconds"] >= 0 for line in lines[1:-1])
        assert (lines[0]["smarthost"], lines[0]["limit"]) == (f"127.0.0.1:{provider.port}", 60)
        assert lines[-1]["result"] == "accepted"
        assert lines[-1]["recipients"] == ["owner@example.org"]
    done = send_test(config, "owner@example.org", "--json-lines")
    lines = [json.loads(line) for line in done.text.splitlines()]
    assert done.code == 1
    assert (lines[-2]["step"], lines[-2]["ok"]) == ("connect", False)
    assert (lines[-1]["result"], bool(lines[-1]["advice"])) == ("failed", True)


def test_steps_are_shown_while_the_next_one_takes_its_time(config: Path) -> None:
    with ScriptedProvider({"banner": Hang()}) as provider:
        write(config, plain(provider.port))
        argv = relay_command("test", "--config", str(config), "owner@example.org")
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            began = time.monotonic()
            shown = next(line for line in process.stdout if "connection" in line)
            assert " ok " in shown
            assert time.monotonic() - began < 30  # the timeout is 60 s
            process.kill()


def test_no_provider_is_said(config: Path) -> None:
    write(config)
    done = send_test(config, "owner@example.org")
    assert done.code == 1
    assert "no provider" in done.text


def test_a_faulty_or_missing_config_ends_it_with_one_line(config: Path) -> None:
    done = send_test(config, "owner@example.org")
    assert (done.code, done.errors.count("\n")) == (66, 1)
    config.write_text("config mailrelay 'main'\n\toption max_recipients 'x'\n")
    done = send_test(config, "owner@example.org")
    assert (done.code, done.errors.count("\n")) == (78, 1)
    assert f"{config}:2:" in done.errors


@pytest.mark.root
def test_who_may_not_read_the_config_is_told_so(tmp_path: Path) -> None:
    done = call("test", "--config", "/proc/1/environ", "a@example.org", uid=STRANGER, python=python_for_all())
    assert (done.code, done.errors.count("\n")) == (77, 1)
    assert "root" in done.errors
