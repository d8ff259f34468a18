"""What a provider refuses over a setting waits, and goes once that is mended: Postfix as strict as providers are."""

from __future__ import annotations

import os
import signal

from forge.servers import postfix
from tests.e2e.test_clients import config
from tests.support.relay import Relay, smarthost
from tests.support.scripted_provider import ScriptedProvider

BOSS = "boss@provider.example"  # somebody else's address there
MAIN = "option retry_min '1'\noption retry_max '2'\n"


def test_a_router_named_by_one_word_is_no_reason_to_refuse_its_mail(provider: postfix.Provider) -> None:
    with Relay("", config(provider)) as relay:
        relay.config.write_text(relay.config.read_text().replace("relay.example.net", "OpenWrt"))
        assert relay.pid is not None
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log("reloaded")
        relay.send()
        assert "from OpenWrt" not in provider.wait_for(1)[0].received


def test_mail_from_an_address_that_is_refused_waits_until_the_setting_is_right(provider: postfix.Provider) -> None:
    with Relay(MAIN, config(provider)) as relay:
        refused = relay.send(sender=BOSS)
        line = relay.wait_log(f"deferred id={refused}")
        assert "553 5.7.1" in line and "option sender" in line
        relay.send(sender="plc@example.net")
        assert "plc@example.net" in [mail.envelope_from for mail in provider.wait_for(1)], "others' mail goes on"
        assert (relay.queue(), relay.queue("failed")) == ([refused], [])
        relay.configure(MAIN, config(provider) + f"\toption from '{provider.username}'\n")
        assert relay.pid is not None
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log(f'id={refused} to=owner@example.org smarthost=127.0.0.1 answer="250')
        assert provider.username in [mail.envelope_from for mail in provider.messages() if BOSS in mail.raw.decode()]


def test_what_the_provider_refuses_goes_to_the_spare_and_comes_from_its_own_address(provider: postfix.Provider) -> None:
    with ScriptedProvider() as spare:
        second = smarthost(spare, "spare", "priority '20'", "from 'alarms@spare.example'")
        with Relay(MAIN, config(provider) + second) as relay:
            relay.send(sender=BOSS)
            spare.wait_for(1)
            assert spare.messages[0].sender == b"alarms@spare.example"
            relay.send()
            provider.wait_for(1)
