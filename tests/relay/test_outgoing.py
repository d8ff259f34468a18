"""Whom mail is from through a smarthost: what the settings say, else what the envelope says."""

from __future__ import annotations

import pytest

from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from mailrelay.courier import outgoing
from mailrelay.spool.spool import Envelope

ACCOUNT = "option username 'me@account.example'\n\toption password 'x'"


@pytest.mark.parametrize(
    ("main", "smarthost", "envelope", "notice", "expected"),
    [
        ("", "", b"plc@plant.example", False, b"plc@plant.example"),
        ("", "", b"", False, b""),
        ("", ACCOUNT, b"plc@plant.example", False, b"plc@plant.example"),
        ("option sender 'main@x.example'", "", b"plc@plant.example", False, b"main@x.example"),
        ("option sender 'main@x.example'", "", b"", False, b"main@x.example"),
        ("option sender 'main@x.example'", "option from 'own@y.example'", b"", False, b"own@y.example"),
        ("", "option from 'own@y.example'", b"plc@plant.example", False, b"own@y.example"),
        ("option sender 'main@x.example'", "option from 'o@y.example'\n\t" + ACCOUNT, b"", True, b"me@account.example"),
        ("option sender 'main@x.example'", "option from 'own@y.example'", b"", True, b"own@y.example"),
        ("option sender 'main@x.example'", ACCOUNT.replace("@account.example", ""), b"", True, b"main@x.example"),
        ("", "", b"", True, b""),
    ],
)
def test_the_smarthosts_word_goes_before_the_relays_and_that_before_the_envelopes(
    main: str, smarthost: str, envelope: bytes, notice: bool, expected: bytes
) -> None:
    config = f"config mailrelay 'main'\n\t{main}\nconfig smarthost 'a'\n\toption host 'a.example'\n\t{smarthost}\n"
    settings, faults, _ = schema.check(config.encode(), "config", ThisMachine())
    assert settings is not None, faults
    of = Envelope(envelope, [b"owner@example.org"], "", notice=notice)
    assert outgoing.sender(of, settings.main, settings.smarthosts[0]) == expected
