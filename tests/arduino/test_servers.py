"""The library through the relay to a real provider, and to Postfix itself."""

from __future__ import annotations

from forge.core.uci_text import Options, uci
from forge.servers import postfix
from forge.servers.relay import Relay
from tests.arduino.conftest import REFUSED, SENT, Sender, body, message
from tests.support.postfix_provider import provider as provider
from tests.support.postfix_provider import running_provider as running_provider
from tests.support.relay import free_port
from tests.support.scripted_provider import ScriptedProvider

SUBJECT = "Störung an Pumpe 3: 85 °C, die Temperatur ist seit mehr als einer Viertelstunde zu hoch"
TEXT = "Füllstand: 12 %\n.\n..\nT=85\n" + "x" * 1500 + "\n"


def settings(provider: postfix.Provider) -> str:
    smarthost: Options = {
        "host": provider.host,
        "port": provider.starttls_port,
        "ca_file": str(provider.ca_file),
        "username": provider.username,
        "password": provider.password,
    }
    main: Options = {"hostname": "relay.example.net", "allowed_recipient": ["provider.example"]}
    return uci([("mailrelay main", main), ("smarthost provider", smarthost)])


def check(content: bytes) -> None:
    assert message(content)["Subject"] == SUBJECT
    assert body(content).decode().replace("\r\n", "\n") == TEXT


def test_a_mail_reaches_the_provider_through_the_relay(send: Sender, provider: postfix.Provider) -> None:
    recipients = "one@provider.example, two@provider.example"
    with Relay(settings(provider), port=free_port()) as relay:
        outcome = send(relay.port, to=recipients, subject=SUBJECT, text=TEXT)
        assert outcome.result == SENT, outcome.error
        refused = send(relay.port, to="you@example.org")
        (mail,) = provider.wait_for(1)
    assert outcome.reply.startswith("250 2.0.0 Queued as ")
    assert mail.recipients == ("one@provider.example", "two@provider.example")
    assert b"Message-ID:" in mail.header, "the relay completes what the board cannot know"
    check(mail.raw)
    assert (refused.result, refused.temporary) == (REFUSED, False), refused.error


def test_postfix_takes_it_as_well(send: Sender, provider: postfix.Provider) -> None:
    with ScriptedProvider() as sink, postfix.Baseline(sink.port) as server:
        outcome = send(server.port, subject=SUBJECT, text=TEXT)
        assert outcome.result == SENT, outcome.error
        sink.wait_for(1, 20)
        check(sink.messages[0].data)
