"""The far end refuses over a setting, or is slow: mail waits, somebody is told, and no alarm waits behind a picture.

The provider is a real Postfix with the restrictions that real providers have.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.servers import postfix
from tests.e2e.test_clients import config
from tests.support.network import LOOPBACK, Network
from tests.support.relay import Relay, free_port, smarthost
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

BOSS = "boss@provider.example"  # somebody else's address there
QUICK = "option retry_min '1'\noption retry_max '2'\n"
PORT = 2587
# What goes to the provider's port crosses 40 kB a second; the way into the relay is as quick as ever.
SLOW_LINE = f"""{LOOPBACK} mtu 1500 gso_max_segs 1
tc qdisc add dev lo root handle 1: htb default 10
tc class add dev lo parent 1: classid 1:10 htb rate 1gbit quantum 60000
tc class add dev lo parent 1: classid 1:20 htb rate 320kbit
tc qdisc add dev lo parent 1:20 pfifo limit 20
tc filter add dev lo parent 1: protocol ip u32 match ip dport {PORT} 0xffff flowid 1:20
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Path]:
    """The file that the program `notify` beside it writes the names of events to, a line each."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    file, program = tmp_path / "told", tmp_path / "notify"
    file.touch()
    file.chmod(0o666)
    program.write_text(f'#!/bin/sh\necho "$MAILRELAY_EVENT" >>{file}\n')
    program.chmod(0o755)
    yield file


def test_a_router_named_by_one_word_greets_with_its_address(provider: postfix.Provider) -> None:
    with Relay(f"option hostname 'OpenWrt'\n{QUICK}", config(provider)) as relay:
        relay.send()
        [mail] = provider.wait_for(1)
    assert "from [127.0.0.1] (" in mail.received


def test_a_refused_sender_waits_and_the_owner_is_told_until_it_is_mended(
    provider: postfix.Provider, told: Path
) -> None:
    main = f"option notify '{told.with_name('notify')}'\n{QUICK}"
    with Relay(main, config(provider)) as relay:
        refused = relay.send(sender=BOSS)
        line = relay.wait_log(f"deferred id={refused}")
        assert "553 5.7.1" in line and "option sender" in line
        [notice] = provider.wait_for(1)
        assert notice.envelope_from == provider.username and notice.recipients == (provider.username,)
        assert b"553 5.7.1" in notice.raw and b"option sender" in notice.raw
        wait(lambda: told.read_text() == "sender-refused\n", "the notify program was run once")
        relay.send()
        assert "plc@example.net" in [mail.envelope_from for mail in provider.wait_for(2)], "others' mail goes on"
        wait(lambda: relay.queue() == [refused], "it alone waits")
        assert not relay.queue("failed")
        relay.configure(main, config(provider, **{"from": provider.username}))
        assert relay.pid is not None
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log(f'id={refused} to=owner@example.org smarthost=127.0.0.1 answer="250')
        assert provider.username in [mail.envelope_from for mail in provider.messages() if BOSS in mail.raw.decode()]
        wait(lambda: told.read_text() == "sender-refused\nmended\n", "the owner hears that it works again")


def test_what_the_spare_refuses_waits_for_the_first_provider(provider: postfix.Provider) -> None:
    port = free_port()
    spare = config(provider, priority="20").replace("'provider'", "'spare'", 1)
    with Relay(QUICK, smarthost(port) + spare) as relay:
        relay.send(sender=BOSS)
        relay.wait_log("553 5.7.1")
        with ScriptedProvider(port=port) as first:
            first.wait_for(lambda found: any(message.sender == BOSS.encode() for message in found.messages))
        assert not relay.queue("failed")
        assert all(mail.recipients == (provider.username,) for mail in provider.messages()), "notices at most"


def test_each_provider_gets_mail_from_the_address_that_it_allows(provider: postfix.Provider) -> None:
    with ScriptedProvider() as spare:
        second = smarthost(spare, "spare", "priority '20'", "from 'alarms@spare.example'")
        with Relay(QUICK, config(provider) + second) as relay:
            relay.send(sender=BOSS)
            spare.wait_for(1)
            assert spare.messages[0].sender == b"alarms@spare.example"
            relay.send()
            assert "plc@example.net" in [mail.envelope_from for mail in provider.wait_for(1)]


def test_an_alarm_does_not_wait_behind_a_picture_on_a_slow_line() -> None:
    if reason := postfix.obstacle():
        pytest.skip(reason)
    with (
        Network(SLOW_LINE) as line,
        line.within(),
        postfix.Provider(ports=(PORT, PORT + 1)) as provider,
        Relay(QUICK, config(provider)) as relay,
    ):
        relay.send(b"Subject: picture\r\n\r\n" + (b"x" * 76 + b"\r\n") * 5000, sender="camera@example.net")
        relay.courier()
        relay.send(b"Subject: FIRE\r\n\r\nhall 2\r\n", sender="alarm@example.net")
        mails = provider.wait_for(2)
    assert [mail.envelope_from for mail in mails] == ["alarm@example.net", "camera@example.net"]
