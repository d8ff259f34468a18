"""`./inv demo --local`: the relay on this machine, between a machine that speaks plain SMTP and a provider.

It runs as it does on a router, under an account without rights. Nothing is left behind; a failure raises ForgeError.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable
from typing import Any

from forge.core import console, logs, proc, timeouts
from forge.core.errors import ForgeError
from forge.core.ports import free_ports
from forge.core.uci_text import uci
from forge.demo import story
from forge.servers.postfix import Provider
from forge.servers.relay import Relay


@logs.kept("demo-local")
def run(keep: bool = False) -> None:
    """Play the whole story; with `keep`, provider and relay stay up until Ctrl-C, to be tried by hand."""
    started = time.monotonic()
    proc.end_in_order()
    with contextlib.ExitStack() as stack:
        with console.step("starting a mail provider (Debian's Postfix, unpacked in a private folder)"):
            provider = stack.enter_context(Provider())
        _show_provider(provider)

        (port,) = free_ports(1)
        config = _config(provider)
        with console.step("starting the relay"):
            relay = stack.enter_context(Relay(config, port=port))
        _show_relay(relay, config, provider.password)

        story.title("A Controllino reports")
        story.play(port, story.ALARM)
        (mail,) = provider.wait_for(1, story.WAIT)
        story.show_handover(provider)
        story.show_mail(mail, story.ALARM)

        _outage(provider, relay)
        story.title("What the relay says of itself")
        _show_command(relay, "queue")
        _show_command(relay, "status")

        story.show_end(time.monotonic() - started, keep=keep)
        if keep:
            _keep(relay, provider)


def _config(provider: Provider) -> str:
    return uci(
        [
            ("mailrelay main", {"network": ["lo"], "hostname": "router.plant.example"}),
            (
                "smarthost",
                {
                    "host": provider.host,
                    "port": provider.starttls_port,
                    "tls": "starttls",
                    "ca_file": str(provider.ca_file),
                    "username": provider.username,
                    "password": provider.password,
                },
            ),
        ]
    )


def _show_provider(provider: Provider) -> None:
    story.title(f"The provider: Postfix {provider.version}, as strict as those on the internet")
    console.say(f"  {provider.host}:{provider.starttls_port}   STARTTLS, then a login; no mail without either")
    console.say(f"  {provider.host}:{provider.tls_port}   TLS from the start, then a login")
    console.say(f"  login       {provider.username}, PLAIN, LOGIN or CRAM-MD5")
    with socket.create_connection((provider.host, provider.starttls_port), timeout=5) as machine:
        lines = machine.makefile("rb")
        console.say()
        story.reply(lines.readline)
        console.say("  What the machine gets that talks to it directly:")
        for line in ("HELO plc", "MAIL FROM:<plc@plant.example>"):
            story.say(machine, line)
            (reply,) = story.reply(lines.readline)
            story.spoken("S", reply, "" if reply.startswith("250") else "red")


def _show_relay(relay: Relay, config: str, password: str) -> None:
    story.title("The relay in between: /etc/config/mailrelay, and it runs")
    story.show(config.replace(password, story.MASKED))
    shown = relay.argv[relay.argv.index("serve") :]
    console.say(f"  $ python3 -I -S package/mailrelay/src {' '.join(shown)}", "dim")
    for line in relay.log().splitlines():
        console.say(f"  {line}", "dim")


def _outage(provider: Provider, relay: Relay) -> None:
    story.title("The provider goes down, and the machine has something to say")
    provider.stop()
    console.say("  (the provider's ports are closed)", "dim")
    story.play(relay.port, story.SECOND_ALARM, brief=True)
    status = _status(relay, "it tells why nothing goes out", lambda now: now["queue"] == 1 and now["last_failure"])
    _show_command(relay, "queue")
    console.say()
    story.show_failure(status)

    story.title("The power goes: kill -9 of the whole relay, then a new start")
    killed = relay.processes()
    relay.kill()
    console.say(f"  killed: processes {', '.join(map(str, killed))}", "red")
    provider.start()
    relay.start()
    console.say(f"  started again as process {relay.pid}; the provider is back as well", "green")
    mails = provider.wait_for(2, story.WAIT)
    story.show_second(mails)
    _status(relay, "the queue is empty", lambda now: now["queue"] == 0 and now["counts"]["delivered"])

    story.title("One line an event, greppable by the mail's queue id")
    found = re.search(rb"^Message-ID: <(.*)@", mails[1].header, re.MULTILINE)
    queue_id = found[1].decode() if found else ""
    console.say(f"  $ grep {queue_id} log", "dim")
    for line in relay.log().splitlines():
        if f"id={queue_id}" in line:
            console.say(f"  {line}")


def _status(relay: Relay, what: str, reached: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The relay's own account of itself, as soon as it has come that far."""

    def status() -> dict[str, Any] | None:
        now: dict[str, Any] = json.loads(relay.run("status", "--json"))
        return now if reached(now) else None

    def failure() -> ForgeError:
        return ForgeError(f"the relay's status does not say that {what}", hint=f"its log:\n{relay.log()}")

    return timeouts.wait(status, time.monotonic() + story.WAIT, failure, 0.05)


def _show_command(relay: Relay, *words: str) -> None:
    console.say()
    console.say(f"  $ mailrelay {' '.join(words)}", "dim")
    story.show(relay.run(*words))


def _keep(relay: Relay, provider: Provider) -> None:
    box = provider.ca_file.parents[1] / "mail/box/new"
    command = "python3 -I -S package/mailrelay/src"
    options = f"--config {relay.config} --spool {relay.spool} --run-dir {relay.run_dir}"
    with story.until_interrupted("Both stay up until Ctrl-C"):
        console.say(f"  send     swaks --server 127.0.0.1:{relay.port} --to {story.RECIPIENT}")
        console.say(f"  ask      {command} queue {options}")
        console.say(f"           {command} status {options}")
        console.say(f"  the log  tail -f {relay.folder}/log")
        console.say(f"  arrived  {box}")
