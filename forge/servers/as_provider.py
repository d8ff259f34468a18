"""The test provider as a router's smarthost: what the demo, the bench and tests/lab set by uci, in one place."""

from __future__ import annotations

from collections.abc import Mapping

from forge.servers.postfix import Provider

NAME = "mail.provider.example"  # in its certificate
# On the router, which trusts no such authority by itself: where an upgrade of its firmware keeps it.
CA_FILE = "/etc/mailrelay/provider.pem"


def settings(provider: Provider, port: int = 0) -> dict[str, str]:
    """Options by `section.option`: STARTTLS and a login, the relay enabled. `port` is where the router reaches it."""
    return {
        "provider.host": NAME,
        "provider.port": str(port or provider.starttls_port),
        "provider.tls": "starttls",
        "provider.ca_file": CA_FILE,
        "provider.username": provider.username,
        "provider.password": provider.password,
        "main.hostname": "router.plant.example",
        "main.enabled": "1",
    }


def commands(values: Mapping[str, str]) -> list[str]:
    """For `uci batch`, up to the commit."""
    return ["set mailrelay.provider=smarthost", *(f"set mailrelay.{name}='{value}'" for name, value in values.items())]
