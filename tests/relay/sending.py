"""Sending to a scripted provider, for the tests of smarthost."""

from __future__ import annotations

from typing import Any

import pytest

from mailrelay.config.settings import Smarthost
from mailrelay.courier.failure import Failure
from mailrelay.courier.smarthost import SmarthostConnection
from mailrelay.smtp.transaction import Outcome, Transaction
from tests.support.scripted_provider import ScriptedProvider

PASSWORD = "geheim-Pa55"
USERS = {"user": PASSWORD}


def smarthost(provider: ScriptedProvider | None = None, **options: Any) -> Smarthost:
    values: dict[str, Any] = {
        "name": "test",
        "enabled": True,
        "host": "127.0.0.1",
        "port": provider.port if provider else 25,
        "tls": provider.tls if provider else "none",
        "allow_cleartext": False,
        "verify": True,
        "ca_file": "",
        "fingerprint": "",
        "auth": "auto",
        "username": "",
        "password": "",
        "priority": 10,
        "sender": [],
        "from_": "",
        "rate_minute": 0,
        "rate_day": 0,
        "family": "any",
        "timeout": 5,
    }
    return Smarthost(**{**values, **options})


def mail(*recipients: bytes, content: bytes = b"Subject: x\r\n\r\nx\r\n", **more: Any) -> Transaction:
    return Transaction(b"plc@example.org", recipients or (b"me@example.org",), lambda: [content], **more)


def failure_of(host: Smarthost, mails: list[Transaction] | None = None, **options: Any) -> Failure:
    """The Failure of opening and delivering; what was delivered before it is in `.results`."""
    results: list[tuple[Transaction, Outcome]] = []
    with pytest.raises(Failure) as caught, SmarthostConnection(host, b"router.example.org", **options) as up:
        for result in up.deliver(mails or [mail()]):
            results.append(result)
    caught.value.results = results  # type: ignore[attr-defined]
    return caught.value


def deliver(host: Smarthost, mails: list[Transaction], **options: Any) -> list[Outcome]:
    with SmarthostConnection(host, b"router.example.org", **options) as up:
        return [outcome for _, outcome in up.deliver(mails)]
