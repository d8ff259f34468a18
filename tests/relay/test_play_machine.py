"""`mailrelay test --machine`: a machine's dialogue with the relay's own port, and its mail followed to the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailrelay.cli import play_machine
from tests.relay.calling import Done, call, places
from tests.support.relay import Relay, free_port, smarthost
from tests.support.scripted_provider import Script, ScriptedProvider
from tests.support.waiting import wait

DIALOGUE = ["connect", "banner", "ehlo", "mail", "rcpt", "data", "dot", "quit"]
POSTMASTER = "option postmaster 'owner@example.org'"


def play(relay: Relay, *arguments: str) -> Done:
    return call("test", "--machine", *places(relay), *arguments)


def steps(relay: Relay, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in play(relay, "--json-lines", *arguments).text.splitlines()]


def test_the_mail_goes_the_way_of_an_alarm_and_is_followed_to_its_delivery() -> None:
    with ScriptedProvider() as provider, Relay(POSTMASTER, smarthost(provider)) as relay:
        found = steps(relay)
        names = [step["step"] for step in found[:-1] if step["step"] != "sending"]
        assert names == [*DIALOGUE, "queued", "delivered"]
        assert all(step["ok"] for step in found)
        assert {step["smarthost"] for step in found[: len(DIALOGUE)]} == {f"127.0.0.1:{relay.port}"}
        end = found[-1]
        assert (end["result"], end["sender"], end["recipients"]) == (
            "delivered",
            "alarm@plc.lan",
            ["owner@example.org"],
        )
        assert f"id={end['id']}" in relay.log() and relay.status()["counts"]["accepted"] == 1
        (message,) = provider.messages
        assert (message.sender, message.recipients) == (b"alarm@plc.lan", [b"owner@example.org"])
        assert b"Subject: Test alarm\r\n" in message.data and b"\r\nDate: " in message.data, "completed on its way"
        done = play(relay, "other@example.org")
        assert done.code == 0
        assert "as a machine on the LAN" in done.text and "\nDelivered: 127.0.0.1 has taken it" in done.text
        assert provider.messages[-1].recipients == [b"other@example.org"]


@pytest.mark.parametrize(
    ("answer", "result", "advice"),
    [
        ("451 4.7.1 greylisted, try later", "deferred", "tried again"),
        ("550 5.1.1 no such user here", "failed", "typing mistake"),
        ("550 5.7.60 not as this sender", "deferred", "option sender"),
    ],
)
def test_a_mail_that_waits_or_fails_comes_with_the_answer_and_what_to_do(answer: str, result: str, advice: str) -> None:
    stage = "mail" if "sender" in answer else "rcpt"
    script: Script = {stage: answer}
    with ScriptedProvider(script) as provider, Relay(POSTMASTER, smarthost(provider)) as relay:
        *before, end = steps(relay)
        assert (before[-1]["step"], before[-1]["ok"]) == (result, False)
        assert (end["result"], end["ok"], end["text"]) == (result, False, answer)
        assert advice in end["advice"] and end["advice_code"]
        done = play(relay)
        assert done.code == 1 and answer in done.text and advice in done.text


def test_while_no_provider_is_tried_that_is_said_and_why() -> None:
    with Relay(POSTMASTER, smarthost(free_port())) as relay:
        relay.send()
        wait(lambda: relay.status().get("next_try"), "it was tried")
        end = steps(relay)[-1]
        assert end["result"] == "deferred" and "Connection refused" in end["text"] and end["advice"]


def test_what_the_relay_refuses_is_told_as_the_machine_hears_it() -> None:
    with Relay(f"{POSTMASTER}\nlist allowed_recipient 'example.org'", smarthost(1)) as relay:
        found = steps(relay, "a@example.com")
        assert [step["step"] for step in found[:-1]] == DIALOGUE[:5]
        assert (found[-1]["result"], found[-1]["text"][:9]) == ("failed", "550 5.7.1")
        assert "allowed_recipient" in found[-1]["advice"]
        assert relay.queue() == []


def test_a_relay_that_does_not_run_takes_no_part() -> None:
    with Relay(POSTMASTER, smarthost(1)) as relay:
        relay.stop()
        done = play(relay)
        assert (done.code, done.text) == (75, "") and "not running" in done.errors


def test_without_anybody_to_send_to_it_asks_for_an_address() -> None:
    with Relay("", smarthost(1)) as relay:
        done = play(relay)
        assert done.code == 64 and "ADDRESS" in done.errors
        assert call("test", *places(relay)).code == 64


def test_a_sender_that_a_provider_takes(provider: ScriptedProvider) -> None:
    options = ("list sender '@plant.example'",)
    with Relay(POSTMASTER, smarthost(provider, "provider", *options)) as relay:
        assert steps(relay)[-1]["sender"] == "alarm@plant.example"


def test_an_address_of_the_lan_is_called_where_there_is_one() -> None:
    loopback = ["127.0.0.1:25", "[::1]:25"]
    allow = ["192.168.1.0/24", "fd00::/64"]
    for listening, place in (
        (loopback, ("127.0.0.1", 25)),
        ([*loopback, "[fd00::1]:2525"], ("fd00::1", 2525)),
        ([*loopback, "[fd00::1]:25", "192.168.1.1:25"], ("192.168.1.1", 25)),
        ([*loopback, "192.168.9.1:25"], ("127.0.0.1", 25)),
        (["[fe80::1%br-lan]:25", "127.0.0.1:25"], ("127.0.0.1", 25)),
    ):
        assert play_machine.lan_address({"listening": listening, "allow": allow}) == place, listening
