"""`./inv demo`: the relay between a machine that speaks plain SMTP and a provider that wants TLS and a login.

Everything is real but the cabinet: Debian's Postfix plays the provider (postfix.py), the relay runs as it does on a
router, and a plain socket says what a Controllino's sketch says. Nothing is left behind; a failure raises ForgeError.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from forge import console
from forge.errors import ForgeError
from forge.ports import free_ports
from forge.postfix import Mail, Provider
from forge.relay import Relay, end_in_order, uci

RECIPIENT = "owner@phone.example"
WAIT = 15.0  # seconds for a mail to arrive

# As sketches write it: lower case, a space before the address, an address as the EHLO argument, no brackets around the
# recipient, a line of text right after the subject, no Date, From, To or Message-ID, and no QUIT.
GREETING = ("ehlo plc@plant.example", "mail from: <plc@plant.example>", f"rcpt to: {RECIPIENT}", "data")
ALARM = ("Subject: Pump 3 stopped", "Tank level is 87 % and rising.")
SECOND_ALARM = ("Subject: Tank is full", "Level 100 %, inlet valve closed.")

MASKED = "••••••••"


def run(keep: bool = False) -> None:
    """Plays the whole story; with `keep`, provider and relay stay up until Ctrl-C, to be tried by hand."""
    started = time.monotonic()
    end_in_order()
    with contextlib.ExitStack() as stack:
        with console.step("starting a mail provider (Debian's Postfix, unpacked in a private folder)"):
            provider = stack.enter_context(Provider())
        _show_provider(provider)

        (port,) = free_ports(1)
        config = _config(provider)
        with console.step("starting the relay"):
            relay = stack.enter_context(Relay(config, port=port))
        _show_relay(relay, config, provider.password)

        _title("A Controllino reports")
        _play(port, ALARM)
        (mail,) = provider.wait_for(1, WAIT)
        _show_handover(provider)
        _show_mail(mail, ALARM)

        _outage(provider, relay)
        _title("What the relay says of itself")
        _show_command(relay, "queue")
        _show_command(relay, "status")

        console.say()
        took = console.seconds(time.monotonic() - started)
        console.good(f"It works: 2 mails in by plain SMTP, 2 out by TLS with a login, none lost ({took}).")
        if keep:
            _keep(relay, provider)
        else:
            console.note(
                "Next: ./inv demo --keep to try it by hand, ./inv test to see it proved, README.md to set it up."
            )


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
    _title(f"The provider: Postfix {provider.instance.version}, as strict as those on the internet")
    console.say(f"  {provider.host}:{provider.starttls_port}   STARTTLS, then a login; no mail without either")
    console.say(f"  {provider.host}:{provider.tls_port}   TLS from the start, then a login")
    console.say(f"  login       {provider.username}, PLAIN, LOGIN or CRAM-MD5")
    with socket.create_connection((provider.host, provider.starttls_port), timeout=5) as machine:
        lines = machine.makefile("rb")
        console.say()
        _reply(lines.readline)
        console.say("  What the machine gets that talks to it directly:")
        for line in ("HELO plc", "MAIL FROM:<plc@plant.example>"):
            _say(machine, line)
            (reply,) = _reply(lines.readline)
            _line("S", reply, "" if reply.startswith("250") else "red")


def _show_relay(relay: Relay, config: str, password: str) -> None:
    _title("The relay in between: /etc/config/mailrelay, and it runs")
    _show(config.replace(password, MASKED))
    shown = relay.argv[relay.argv.index("serve") :]
    console.say(f"  $ python3 -I -S package/mailrelay/src {' '.join(shown)}", "dim")
    for line in relay.log.splitlines():
        console.say(f"  {line}", "dim")


def _show_handover(provider: Provider) -> None:
    _title("What the provider saw (its log)")
    seen = 0
    for pattern, name in (
        (r"TLS connection established from [^:]+: (TLSv\S+ with cipher \S+)", "TLS"),
        (r"client=\S+, (sasl_method=\S+ sasl_username=\S+)", "login"),
        (r"(from=<[^>]*>, size=\d+, nrcpt=\d+)", "mail"),
    ):
        if found := re.findall(pattern, provider.log):
            console.say(f"  {name:<6} {found[-1]}", "green")
            seen += 1
    if seen != 3:
        raise ForgeError("the provider's log shows no TLS, login and mail", hint=f"its log:\n{provider.log}")


def _show_mail(mail: Mail, sent: tuple[str, ...]) -> None:
    _title("The mail as it arrived: + is what the relay completed")
    console.say(
        f"  envelope: from <{mail.envelope_from}> to {', '.join(f'<{name}>' for name in mail.recipients)}", "dim"
    )
    for line in mail.raw.decode(errors="replace").splitlines():
        own = line in sent
        console.say(f"  {' ' if own or not line else '+'} {line}", "" if own else "green")
    lacking = [
        name for name in ("From", "To", "Date", "Message-ID") if f"\n{name}:".encode() not in b"\n" + mail.header
    ]
    if lacking:
        raise ForgeError(f"the mail arrived without {', '.join(lacking)}")
    if mail.body.decode() != sent[1] + "\n":
        raise ForgeError(f"the text arrived changed: {mail.body!r}")


def _outage(provider: Provider, relay: Relay) -> None:
    _title("The provider goes down, and the machine has something to say")
    provider.stop()
    console.say("  (the provider's ports are closed)", "dim")
    _play(relay.port, SECOND_ALARM, brief=True)
    status = _status(relay, "it tells why nothing goes out", lambda now: now["queue"] == 1 and now["last_failure"])
    _show_command(relay, "queue")
    console.say()
    console.say(f"  why: {status['last_failure']['answer']}", "yellow")
    console.say(f"       {status['last_failure']['advice']}", "yellow")

    _title("The power goes: kill -9 of the whole relay, then a new start")
    killed = relay.processes()
    relay.kill()
    console.say(f"  killed: processes {', '.join(map(str, killed))}", "red")
    provider.start()
    relay.start()
    console.say(f"  started again as process {relay.pid}; the provider is back as well", "green")
    mails = provider.wait_for(2, WAIT)
    if SECOND_ALARM[0].encode() not in mails[1].header or len(mails) != 2:
        raise ForgeError("what arrived is not the mail that was queued", hint=f"{mails[1:]}")
    console.say(f"  arrived: {SECOND_ALARM[0]} / {mails[1].body.decode().strip()}", "green")
    _status(relay, "the queue is empty", lambda now: now["queue"] == 0 and now["counts"]["delivered"])

    _title("One line an event, greppable by the mail's queue id")
    found = re.search(rb"^Message-ID: <(.*)@", mails[1].header, re.MULTILINE)
    queue_id = found[1].decode() if found else ""
    console.say(f"  $ grep {queue_id} log", "dim")
    for line in relay.log.splitlines():
        if f"id={queue_id}" in line:
            console.say(f"  {line}")


def _status(relay: Relay, what: str, reached: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The relay's own account of itself, as soon as it has come that far."""
    deadline = time.monotonic() + WAIT
    while True:
        status: dict[str, Any] = json.loads(relay.run("status", "--json"))
        if reached(status):
            return status
        if time.monotonic() > deadline:
            raise ForgeError(f"the relay's status does not say that {what}", hint=f"its log:\n{relay.log}")
        time.sleep(0.05)


def _play(port: int, text: tuple[str, ...], *, brief: bool = False) -> None:
    """The sketch: waits for each reply, takes whatever it says, and just closes after the final dot.

    `brief` leaves out of the account what the reader has seen before.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=10) as machine:
        machine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = machine.makefile("rb")
        _answer(replies.readline, "220", show=not brief)
        for line in GREETING:
            _say(machine, line, show=not brief)
            _answer(replies.readline, "354" if line == "data" else "250", show=not brief)
        for line in text:
            _say(machine, line)
        asked = time.monotonic()
        _say(machine, ".")
        _answer(replies.readline, "250")
        took = (time.monotonic() - asked) * 1000
        console.note(f"This 250 means: on disk. It took {took:.1f} ms; then the machine hung up, without a QUIT.")


def _say(machine: socket.socket, line: str, *, show: bool = True) -> None:
    if show:
        _line("C", line)
    machine.sendall(line.encode() + b"\r\n")


def _answer(readline: Callable[[], bytes], code: str, *, show: bool = True) -> None:
    reply = _reply(readline)
    for line in reply if show else []:
        _line("S", line, "cyan")
    if not reply[-1].startswith(code):
        raise ForgeError(f"the relay answered {reply[-1]!r} instead of {code}")


def _reply(readline: Callable[[], bytes]) -> list[str]:
    """All lines of one reply."""
    lines = []
    while True:
        line = readline().decode(errors="replace").rstrip()
        if not line:
            raise ForgeError("the connection was closed instead of a reply")
        lines.append(line)
        if line[3:4] != "-":
            return lines


def _line(who: str, text: str, style: str = "") -> None:
    console.say(f"  {who}: {text}", style)


def _title(text: str) -> None:
    console.say()
    console.title(text)


def _show(text: str) -> None:
    for line in text.rstrip().splitlines():
        console.say(f"  {line}")


def _show_command(relay: Relay, *words: str) -> None:
    console.say()
    console.say(f"  $ mailrelay {' '.join(words)}", "dim")
    _show(relay.run(*words))


def _keep(relay: Relay, provider: Provider) -> None:
    box = provider.ca_file.parents[1] / "mail/box/new"
    command = "python3 -I -S package/mailrelay/src"
    options = f"--config {relay.config} --spool {relay.spool} --run-dir {relay.run_dir}"
    with contextlib.suppress(KeyboardInterrupt):
        _title("Both stay up until Ctrl-C")
        console.say(f"  send     swaks --server 127.0.0.1:{relay.port} --to {RECIPIENT}")
        console.say(f"  ask      {command} queue {options}")
        console.say(f"           {command} status {options}")
        console.say(f"  the log  tail -f {relay.folder}/log")
        console.say(f"  arrived  {box}")
        signal.pause()
    console.say()
    console.good("ended; nothing is left")
