"""schema: whoever mistypes the config reads where, what and how to mend it; what is right becomes settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.generate import docs
from mailrelay.config import addresses, machine, option_types, schema, settings
from mailrelay.config.invalid import Setting
from mailrelay.config.machine import Machine, ThisMachine
from tests.relay.running import SOURCE

GOOD = """
config mailrelay 'main'
	option enabled '1'
	list network 'lo'
	list allow '192.168.7.0/24'
	list port '25'
	list port '2525'
	option hostname 'router.example.org'
	option spool '/mnt/usb/mail spool'
	option max_message_size '10M'
	option max_queue_size '1g'
	option sender 'Router@Example.org'
	list recipient 'owner@example.org'
	option postmaster 'owner@example.org'
	option notify_after '90m'
	list alias 'root: owner@example.org, second@example.org'
	list alias 'daemon=root'
	list allowed_recipient '@Example.org'
	list allowed_recipient 'one@example.com'
	option queue_lifetime '2w'

config smarthost 'spare'
	option host '[2001:db8::25]'
	option tls 'tls'
	option priority '20'
	option fingerprint 'SHA256 Fingerprint=0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9'

config smarthost
	option host 'smtp.example.org'
	option username 'owner@example.org'
	option password 'it'\\''s # a "secret"'
	list sender '@example.org'
	option rate '30/minute 500/day'

config smarthost 'off'
	option enabled '0'

config client
	option address '192.168.7.0/24'

config client 'camera'
	option address '192.168.7.40'
	option accept_any_login 'yes'
	option rate_limit '20'
"""  # noqa: E501


def check(text: str) -> tuple[settings.Settings | None, list[str], list[str]]:
    found, faults, warnings = schema.check(text.encode("utf-8", "surrogateescape"), "FILE", ThisMachine())
    assert (found is None) == bool(faults)
    return found, list(map(str, faults)), list(map(str, warnings))


def good(text: str) -> settings.Settings:
    found, faults, _ = check(text)
    assert found is not None, faults
    return found


def test_everything_that_is_right_arrives() -> None:
    found = good(GOOD)
    main = found.main
    assert (main.enabled, main.network, main.allow, main.port) == (True, ["lo"], ["192.168.7.0/24"], [25, 2525])
    assert (main.hostname, main.spool) == ("router.example.org", "/mnt/usb/mail spool")
    assert (main.max_message_size, main.notify_after, main.queue_lifetime) == (10 << 20, 5400, 14 * 86400)
    assert (main.sender, main.recipient) == ("Router@example.org", ["owner@example.org"])
    assert main.alias == ["root=owner@example.org,second@example.org", "daemon=root"]
    assert main.allowed_recipient == ["example.org", "one@example.com"]
    first, second = found.smarthosts
    assert (first.name, first.port, first.tls, first.verify) == ("smarthost[1]", 587, "starttls", True)
    assert (first.password, first.sender) == ('it\'s # a "secret"', ["@example.org"])
    assert (first.rate_minute, first.rate_day, first.timeout) == (30, 500, 60)
    assert (second.name, second.host, second.port, second.rate_day) == ("spare", "2001:db8::25", 465, 0)
    assert second.fingerprint == "0a1b2c3d4e5f60718293a4b5c6d7e8f9" * 2
    assert found.provider is True


def test_the_most_specific_client_comes_first() -> None:
    assert [client.address for client in good(GOOD).clients] == ["192.168.7.40", "192.168.7.0/24"]


def test_an_empty_file_gives_every_default() -> None:
    found = good("")
    main = found.main
    assert (main.port, main.spool, main.max_message_size) == ([25], "/etc/mailrelay/spool", 25 << 20)
    assert (main.max_queue_size, main.min_free_space, main.notify_after) == (0, 512 << 10, 3600)
    assert (main.max_connections, main.max_connections_per_client, main.max_recipients) == (256, 64, 100)
    assert (main.max_command_length, main.max_line_length, main.max_header_length) == (2048, 1 << 20, 64 << 10)
    assert (main.max_useless_commands, main.command_timeout, main.min_data_rate) == (20, 60, 64)
    assert (main.queue_lifetime, main.failed_lifetime) == (5 * 86400, 7 * 86400)
    assert (main.retry_min, main.retry_max) == (30, 900)
    assert found.provider is False
    assert found.smarthosts == []


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_tls(tls: str, port: int) -> None:
    text = f"config smarthost\n option host '192.168.9.9'\n option tls '{tls}'"
    assert good(text).smarthosts[0].port == port


def test_smarthosts_go_by_priority_and_then_by_place() -> None:
    text = "".join(f"config smarthost '{name}'\n option host '{name}.example.org'\n option priority {number}\n"
                   for name, number in (("c", 20), ("b", 5), ("a", 20)))  # fmt: skip
    assert [one.name for one in good(text).smarthosts] == ["b", "c", "a"]


MAIN, HOST, CLIENT = "config mailrelay 'main'\n", "config smarthost 'p'\n", "config client 'c'\n"
SMTP = HOST + "\toption host 'smtp.example.org'\n"

# The config, the line and the places of its one fault, and what it must say.
FAULTS: list[tuple[str, str, str]] = [
    # switches, numbers, sizes, durations
    (MAIN + "option enabled 'YES'", "FILE:2: section 'main', option 'enabled': 'YES' is", "write '1'"),
    (MAIN + "option enabled 'maybe'", "'maybe' is neither yes nor no", "'1' (yes) or '0' (no)"),
    (MAIN + "list port 'abc'", "FILE:2: section 'main', option 'port': 'abc' is not a port", "number from 1 to 65535"),
    (MAIN + "list port 25\nlist port 70000", "FILE:3: section 'main', option 'port': '70000'", "1 to 65535"),
    (MAIN + "option port 'smtp'", "'smtp' is not a port", "write '25'"),
    (MAIN + "option port '0'", "'0' is not a port", "1 to 65535"),
    (MAIN + "option port '-25'", "'-25' is not a port", "1 to 65535"),
    (MAIN + "option port '٢٥'", "is not a port", "1 to 65535"),
    (MAIN + "option max_message_size '25MB'", "'25MB' is not a size", "write '25M'"),
    (MAIN + "option max_message_size '1.5M'", "'1.5M' is not a size", "write '1536K'"),
    (MAIN + "option max_message_size '25 M'", "is not a size", "write '25M'"),
    (MAIN + "option max_message_size 'big'", "'big' is not a size", "K, M or G"),
    (MAIN + "option max_message_size '5'", "'5' is too small", "from 1K to 1G"),
    (MAIN + "option max_message_size '99999999999999999999G'", "is too large", "from 1K to 1G"),
    (MAIN + "option queue_lifetime '5 days'", "'5 days' is not a duration", "write '5d'"),
    (MAIN + "option queue_lifetime '30min'", "is not a duration", "write '30m'"),
    (MAIN + "option queue_lifetime '1.5h'", "is not a duration", "write '90m'"),
    (MAIN + "option queue_lifetime 'soon'", "'soon' is not a duration", "s, m, h, d or w"),
    (MAIN + "option max_connections '0'", "'0' is too small", "from 1 to"),
    (MAIN + "option max_connections 'many'", "'many' is not a whole number", "digits only"),
    (MAIN + "option retry_min '1h'", "section 'main', option 'retry_max': '15m' is shorter", "'1h'"),
    # names
    (MAIN + "option hostname 'localhost'", "'localhost' is every machine's name", "router.example.org"),
    (MAIN + "option hostname 'LocalHost.localdomain'", "every machine's name", "router.example.org"),
    (MAIN + "option hostname '192.168.1.1'", "'192.168.1.1' is an address", "router.example.org"),
    (MAIN + "option hostname '[192.168.1.1]'", "is an address", "router.example.org"),
    (MAIN + "option hostname 'my router'", "has a space", "router.example.org"),
    (MAIN + "option hostname 'my_router'", "is not a host name", "router.example.org"),
    (MAIN + "option hostname 'r.example.org.'", "has a dot too many", "write 'r.example.org'"),
    (MAIN + "option hostname 'rüter.example.org'", "that a host name cannot have", "router"),
    (MAIN + "option sender 'a\u200b@b.example'", "an invisible character", "type it anew"),
    (SMTP + "option username u\noption password 'abcd\xa0efgh'", "its value holds an invisible", "type it anew"),
    (MAIN + "option hostname 'a\nMAIL FROM:<x>'", "holds a line break", "on one line"),
    (MAIN + f"option hostname '{'a' * 64}.example.org'", "too long", "router.example.org"),
    (MAIN + "list network '192.168.1.1'", "'192.168.1.1' is an address", "list allow '192.168.1.1'"),
    (MAIN + "list network 'la n/'", "is not the name of a network", "'lan'"),
    (MAIN + "list allow 'lan'", "'lan' is not an IP address", "list network 'lan'"),
    (MAIN + "list allow '192.168.1.0/255.255.255.0'", "mask", "write '192.168.1.0/24'"),
    (MAIN + "list allow '192.168.1.*'", "is not an IP address", "write '192.168.1.0/24'"),
    (MAIN + "list allow '192.168.1.0/33'", "mask", "192.168.1.0/24"),
    (MAIN + "list allow '*'", "'*' is not an IP address", "networks of your machines"),
    (MAIN + "list allow 'fe80::1%eth0'", "zone", "write an address"),
    # addresses
    (MAIN + "option sender 'Router <r@example.org>'", "more than an address", "write 'r@example.org'"),
    (MAIN + "option sender 'router'", "has no @", "name@example.org"),
    (MAIN + "option sender '@example.org'", "nothing before the @", "name@example.org"),
    (MAIN + "option sender 'router@'", "nothing after the @", "name@example.org"),
    (MAIN + "option sender 'a@exa mple.org'", "space", "write 'a@example.org'"),
    (MAIN + "option sender 'a@b.example>'", "domain 'b.example>'", "example.org"),
    (MAIN + "option sender 'a@b..example'", "the domain 'b..example' has a dot too many", "example.org"),
    (MAIN + "option sender 'a@192.168.1.1'", "address without brackets", "example.org"),
    (MAIN + "option sender 'mailto:a@b.example'", "is a link", "write 'a@b.example'"),
    (MAIN + "option sender 'a@b.example\r\nRCPT TO:<x@y>'", "line break", "on one line"),
    (MAIN + "option sender 'a\x7f@b.example'", "control character", "type it anew"),
    (MAIN + "option sender 'a\udcff@b.example'", "not UTF-8", "type it anew"),
    (MAIN + "option sender 'a(b)@b.example'", "cannot stand there", "name@example.org"),
    (MAIN + f"option sender '{'a' * 65}@b.example'", "more than 64 bytes", "name@example.org"),
    (MAIN + "option recipient 'a@b.example, c@d.example'", "more than one address", "`list`"),
    (MAIN + "list allowed_recipient '*.example.org'", "is a pattern", "write 'example.org'"),
    (MAIN + "list alias 'root'", "is not an alias", "root=owner@example.org"),
    (MAIN + "list alias 'root=owner'", "'owner' is neither an address nor another alias", "root=owner@example.org"),
    (MAIN + "list alias 'root=a@b.example,'", "the target '' is not an e-mail address", "name@example.org"),
    (MAIN + "list alias 'ro ot=a@b.example'", "the name 'ro ot'", "root=owner@example.org"),
    (MAIN + "list alias '*=a@b.example'", "* is no name", "list recipient"),
    (MAIN + "list alias 'a=x@b.example'\nlist alias 'A=y@b.example'", "FILE:3: section 'main', option 'alias': 'A' is",
     "A=FIRST,SECOND"),
    # paths
    (MAIN + "option spool 'spool'", "'spool' is not a full path", "'/spool'"),
    (MAIN + "option spool '/'", "holds other things", "'/etc/mailrelay/spool'"),
    (MAIN + "option spool '/etc/'", "holds other things", "'/etc/mailrelay'"),
    (MAIN + "option spool '/etc/config/../'", "holds other things", "like '/etc/mailrelay'"),
    (MAIN + "option notify '/bin/echo -n'", "has arguments", "'/bin/echo'"),
    (MAIN + "option notify 'echo'", "is not a full path", "'/echo'"),
    # smarthosts
    (HOST, "FILE:1: section 'p', option 'host' is missing", "smtp.example.org"),
    ("config smarthost", "FILE:1: section 'smarthost[0]', option 'host' is missing", "smtp.example.org"),
    (HOST + "option host 'smtp.example.org:465'", "more than a host name", "option port '465'"),
    (HOST + "option host 'smtps://smtp.example.org:465/'", "more than a host name", "write 'smtp.example.org'"),
    (HOST + "option host 'smtp,example.org'", "a space or a comma", "write 'smtp.example.org'"),
    (HOST + "option host ' smtp.example.org'", "a space or a comma", "write 'smtp.example.org'"),
    (HOST + "option host 'owner@example.org'", "is an e-mail address", "smtp.example.org"),
    (HOST + "option host '192.168.1.300'", "looks like an IP address", "smtp.example.org"),
    (HOST + "option host 'smtp.example.org\nx'", "line break", "on one line"),
    (SMTP + "option tls 'ssl'", "'ssl' is not one of the choices", "write 'tls'"),
    (SMTP + "option tls 'STARTTLS'", "not one of the choices", "write 'starttls'"),
    (SMTP + "option tls 'strattls'", "not one of the choices", "write 'starttls'"),
    (SMTP + "option auth 'xoauth2'", "does not speak", "app password"),
    (SMTP + "option family 'inet6'", "not one of the choices", "write 'ipv6'"),
    (SMTP + "option rate '30/hour'", "minutes and days", "30/minute"),
    (SMTP + "option rate '30/min'", "minutes and days", "write '30/minute'"),
    (SMTP + "option rate '30'", "is not a rate", "30/minute"),
    (SMTP + "option rate '30/day 20/day'", "limits the day twice", "30/minute"),
    (SMTP + "option fingerprint 'AA:BB'", "has 4 characters", "openssl x509"),
    (SMTP + f"option fingerprint '{'a' * 40}'", "SHA-1", "openssl x509"),
    (SMTP + "option username 'u'", "FILE:1: section 'p', option 'password' is missing", "password"),
    (SMTP + "option password 'secret'", "option 'username' is missing", "mail address"),
    (SMTP + "option username 'a\nb'\noption password 'x'", "'username': 'a?b' holds a line break", "on one line"),
    (SMTP + "option auth 'plain'", "'plain' needs a login", "username"),
    (SMTP + "list sender 'example.org'", "its @", "write '@example.org'"),
    (HOST + "option host '192.0.2.1'\noption family 'ipv6'", "does not fit the address", "leave the option out"),
    (HOST + "option host '8.8.8.8'\noption tls 'none'", "'none' is refused, as '8.8.8.8'", "allow_cleartext '1'"),
    (HOST + "option host '127.0.0.1'\noption port 25", "with port 25 is this relay itself", "provider's server"),
    (HOST + "option host 'localhost'\noption port 25", "with port 25 is this relay itself", "provider's server"),
    (HOST + "option host '::1'\noption port 25", "with port 25 is this relay itself", "provider's server"),
    (HOST + "option host '0.0.0.0'\noption port 2525\n" + MAIN + "list port 2525", "this relay itself", "provider's"),
    (HOST + "option host 'R.example.org'\n" + MAIN + "option hostname 'r.example.org'", "own host name", "provider's"),
    # clients
    (CLIENT, "FILE:1: section 'c', option 'address' is missing", "192.168.1.10"),
    (CLIENT + "option address 'camera'", "'camera' is not an IP address", "192.168.1.10"),
    (CLIENT + "option address 10.0.0.1\noption username u", "option 'password' is missing", "password"),
    (CLIENT + "option address 10.0.0.1\noption password x", "option 'username' is missing", "username"),
    (CLIENT + "option address 10.0.0.1\noption username u\noption password x\noption accept_any_login 1",
     "option 'accept_any_login' leaves the username", "one of the two"),
    (CLIENT + "option address 10.0.0.1\nconfig client\noption address '10.0.0.1/32'", "FILE:4: section 'client[1]'",
     "one section"),
    # names that do not exist
    (MAIN + "option senderr 'x'", "FILE:2: section 'main', option 'senderr' is not known", "did you mean 'sender'?"),
    (MAIN + "option Sender 'x'", "option 'Sender' is not known here", "did you mean 'sender'?"),
    (MAIN + "option maxmessagesize '1M'", "is not known", "did you mean 'max_message_size'?"),
    (MAIN + "option host 'x'", "is not known", "a section of type 'smarthost'"),
    (MAIN + "option zzzz 'x'", "is not known", "the options here are enabled, network"),
    (SMTP + "option user 'u'\noption password 'x'", "option 'user' is not known", "did you mean 'username'?"),
    (HOST + "option server 'smtp.example.org'", "option 'server' is not known", "did you mean 'host'?"),
    (CLIENT + "option ip '10.0.0.1'", "option 'ip' is not known", "did you mean 'address'?"),
    ("config smarhost 'p'", "FILE:1: section 'p' is of an unknown type 'smarhost'", "did you mean 'smarthost'?"),
    ("config provider", "section 'provider[0]' is of an unknown type", "did you mean 'smarthost'?"),
    ("config main", "section 'main[0]' is of an unknown type", "config mailrelay 'main'"),
    ("config zzz", "unknown type 'zzz'", "the types are 'mailrelay', 'smarthost', 'client'"),
    ("config mailrelay", "FILE:1: section 'mailrelay[0]' is not the one section", "config mailrelay 'main'"),
    (MAIN + "config mailrelay 'second'", "FILE:2: section 'second' is not the one section", "once"),
    (MAIN + "list sender 'a@b.example'", "option 'sender' is a `list` here", "option sender"),
    # text that is no UCI
    (MAIN + "optoin a '1'", "FILE:2: cannot be parsed (invalid command)", "write 'option'"),
    (MAIN + "host = x", "FILE:2: cannot be parsed (invalid command)", "config, option, list or #"),
    (MAIN + "option sender my name", "FILE:2: cannot be parsed (too many arguments)", "'single quotes'"),
    (MAIN + "option sender 'open\n\n", "FILE:2: cannot be parsed (EOF with unterminated ')", "close the quote"),
    (MAIN + "option max-size 1", "FILE:2: cannot be parsed (invalid character", "no hyphen"),
    ("option a b", "FILE:1: cannot be parsed", "config mailrelay 'main'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says", "mend"), FAULTS, ids=range(len(FAULTS)))
def test_a_mistake_is_named_once_with_its_mend(text: str, says: str, mend: str) -> None:
    found, faults, _ = check(text)
    assert found is None
    assert len(faults) == 1, faults
    problem, _, advice = faults[0].rpartition("; ") if faults[0].count("; ") == 1 else faults[0].partition("; ")
    assert says in problem
    assert mend in advice


def test_a_loop_of_aliases_is_named() -> None:
    _, faults, _ = check(MAIN + "list alias 'a=b'\nlist alias 'b=a'")
    assert faults and all("comes back to itself" in fault for fault in faults)
    assert good(MAIN + "list alias 'a=b'\nlist alias 'b=c@example.org'").main.alias


def test_all_faults_are_found_at_once_in_the_order_of_the_file() -> None:
    _, faults, _ = check(MAIN + "option enabled x\nlist port a\nlist port 25\nlist port b\n" + HOST + "option tls y")
    assert [fault.split(": ")[0] for fault in faults] == ["FILE:2", "FILE:3", "FILE:5", "FILE:6", "FILE:7"]


WARNINGS: list[tuple[str, str]] = [
    ("", "no provider set"),
    (SMTP + "option enabled 0", "no provider set"),
    (MAIN, "option 'network' is not set"),
    (MAIN + "list allow '0.0.0.0/0'", "'0.0.0.0/0' lets addresses of the internet send"),
    (MAIN + "list allow '192.0.0.0/8'", "lets addresses of the internet send"),
    (MAIN + "list network 'lo0'", "'lo0' does not exist on this machine; did you mean 'lo'?"),
    (MAIN + "option spool '/dev/../proc/../run/mail'\n", "a power cut loses the mail"),
    (MAIN + "option notify '/no/such/program'", "'/no/such/program' does not exist"),
    (MAIN + "option max_queue_size '1M'", "smaller than max_message_size"),
    (MAIN + "option sender 'root@router'", "a domain without a dot"),
    (
        MAIN + "option sender a@b.example\noption sender c@d.example",
        "FILE:2: warning: section 'main', option 'sender' stands",
    ),
    (
        SMTP + "option username u\noption password ab#cd",
        "FILE:4: warning: section 'p', option 'password' ends at the #",
    ),
    (SMTP + "option username u\noption password 'x '", "begins or ends with a space"),
    (SMTP + "option verify 0", "whoever sits in between can read"),
    (SMTP + "option ca_file '/no/such/file'", "'/no/such/file' does not exist"),
    (SMTP + "option tls none", "works only if 'smtp.example.org' is in a private network"),
    (SMTP + "option tls none\noption allow_cleartext 1", "unencrypted"),
    (HOST + "option host 10.0.0.9\noption tls none\noption username u\noption password x", "the password crosses"),
    (HOST + "option host 10.0.0.9\noption tls none\noption ca_file '/x'", "no effect without encryption"),
    (SMTP + "option port 465", "option tls 'tls'"),
    (SMTP + "option port 587\noption tls 'tls'", "option tls 'starttls'"),
    (SMTP + "option port 993", "for reading mail (IMAP)"),
    (SMTP, "option 'username' is not set"),
    (SMTP + "list sender '@example.org'", "leaves mail from other senders without a provider"),
    (HOST + "option host 'gmail.com'", "write 'smtp.gmail.com'"),
    (HOST + "option host 'imap.example.org'", "it may be 'smtp.example.org'"),
    (HOST + "option host '192.0.2.1'", "few certificates name"),
    (CLIENT + "option address 10.0.0.1", "'10.0.0.1' is not allowed to send at all"),
]


@pytest.mark.parametrize(("text", "says"), WARNINGS, ids=range(len(WARNINGS)))
def test_what_is_unwise_is_told_and_accepted(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "on_memory", lambda path: path == "/run/mail")
    found, faults, warnings = check(text)
    assert found is not None, faults
    assert any(says in warning for warning in warnings), warnings


def test_a_sound_config_is_not_nagged_about() -> None:
    text = MAIN + "list network 'lo'\n" + SMTP + "option username 'me@example.org'\noption password 'x y'\n"
    _, _, warnings = check(text)
    assert [line for line in warnings if "in memory" not in line] == []


def test_another_server_on_this_machine_is_no_loop() -> None:
    assert good(HOST + "option host '127.0.0.1'\noption port '1025'\noption tls 'none'").provider


def test_one_option_may_hold_several_names() -> None:
    assert good(MAIN + "option network 'lan guest'\noption port '25 2525'").main.network == ["lan", "guest"]


def test_an_entry_that_stands_twice_counts_once() -> None:
    assert good(MAIN + "list port 25\nlist port 2525\nlist port 25").main.port == [25, 2525]


def test_a_disabled_smarthost_may_be_incomplete() -> None:
    assert good(HOST + "option enabled '0'").smarthosts == []


WRECKS = st.sampled_from([
    SMTP + "option username 'u'\noption password '{}'\noption tls 'x'",
    SMTP + "option password '{}'",
    SMTP + "option pasword '{}'",
    SMTP + "list password '{}'\nlist password 'x'",
    SMTP + "option password '{}",
    SMTP + "option password '{}' x",
    SMTP + "password '{}'",
    SMTP + "option password '\x01{}'\noption username 'u'",
    CLIENT + "option address 10.0.0.1\noption password '{}'",
    HOST + "option host 'smtp://user:{}@smtp.example.org'",
])  # fmt: skip


@given(WRECKS, st.from_regex(r"[a-z]{3}[A-Z0-9#;]{5,20}", fullmatch=True))
def test_no_password_is_ever_printed(wreck: str, password: str) -> None:
    _, faults, warnings = check(wreck.replace("{}", password))
    assert password[:8] not in "\n".join(faults + warnings)


@given(st.binary(max_size=300))
def test_any_bytes_give_settings_or_faults(data: bytes) -> None:
    found, faults, _ = schema.check(data, "FILE", ThisMachine())
    assert (found is None) == bool(faults)


VALUE = st.text(max_size=30).map(lambda text: text.replace("'", "").replace("\0", "")) | st.sampled_from(
    ["1", "0", "a@b.example", "127.0.0.1", "::1", "10.0.0.0/8", "tls", "25", "1K", "5d", "/x", "none", "a=b", "3/day"]
)
LINE = st.builds(
    lambda word, name, value: f"{word} {name} '{value}'\n",
    st.sampled_from(["option", "list"]),
    st.sampled_from(sorted({option.name for options in schema.OPTIONS.values() for option in options})),
    VALUE,
)
SECTION = st.builds(
    lambda head, lines: head + "".join(lines),
    st.sampled_from([MAIN, HOST, CLIENT, "config smarthost\n"]),
    st.lists(LINE),
)


@given(st.lists(SECTION, max_size=4).map("".join))
def test_any_values_give_settings_or_one_line_faults(text: str) -> None:
    found, faults, warnings = schema.check(text.encode("utf-8", "surrogatepass"), "FILE", ThisMachine())
    assert (found is None) == bool(faults)
    for finding in [*faults, *warnings]:
        assert str(finding).isprintable() and "; " in str(finding)
    if found is not None:
        assert settings.restore(settings.public(found)).main == found.main
        for text in [
            found.main.hostname,
            found.main.sender,
            *found.main.recipient,
            *(h.username for h in found.smarthosts),
        ]:
            assert not re.search(r"[\x00-\x1f\x7f]", text)
        assert not addresses.is_localhost(found.main.hostname)


@pytest.mark.parametrize(
    ("show", "read"),
    [(option_types.show_size, option_types.size), (option_types.show_duration, option_types.duration)],
)
@given(number=st.integers(0, 1 << 40))
def test_a_shown_quantity_reads_back(show: Any, read: Any, number: int) -> None:
    assert read(show(number), option_types.Limits()) == number


@pytest.mark.parametrize("address", ['"a b"@example.org', "a..b@example.org", "ilo.@example.org", "ä@bücher.example",
                                     "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a+b=c/d@nas"])  # fmt: skip
def test_odd_addresses_that_exist_are_taken(address: str) -> None:
    assert addresses.address(address) == address


@pytest.mark.parametrize(
    ("section", "kind"), [("mailrelay", settings.Main), ("smarthost", settings.Smarthost), ("client", settings.Client)]
)
def test_options_and_settings_are_the_same_fields_of_the_same_types(section: str, kind: type[settings.Values]) -> None:
    fields = {field: option for option in schema.OPTIONS[section] for field in option.fills}
    assert set(fields) | ({"name"} if kind is settings.Smarthost else set()) == set(kind.__slots__)
    found = good(GOOD)
    instance = {settings.Main: found.main, settings.Smarthost: found.smarthosts[0], settings.Client: found.clients[0]}[
        kind
    ]
    for field, annotation in kind.__annotations__.items():
        value = getattr(instance, field)
        whole, _, entry = annotation.rstrip("]").partition("[")
        assert type(value).__name__ == whole, field
        assert all(type(one).__name__ == entry for one in (value if entry else ())), field


def test_every_option_has_a_reader_a_help_text_and_a_default_that_reads() -> None:
    for options in schema.OPTIONS.values():
        assert len({option.name for option in options}) == len(options)
        for option in options:
            assert option.type in option_types.TYPES and option.help.endswith(".")
            option.initial()


def test_the_system_name_is_made_fit_for_ehlo(monkeypatch: pytest.MonkeyPatch) -> None:
    for system, ours in (("OpenWrt", "OpenWrt"), ("my_router", "my-router"), ("localhost", "mailrelay.localdomain"),
                         ("", "mailrelay.localdomain"), ("10.0.0.1", "mailrelay.localdomain")):  # fmt: skip
        monkeypatch.setattr("socket.gethostname", lambda system=system: system)
        assert machine.system_hostname() == ours
        assert good("").main.hostname == ours


def test_a_spool_in_memory_is_recognised(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"overlayfs:/x / overlay rw,lowerdir=/,upperdir={upper},workdir=/w 0 0\n"
        f"tmpfs {tmp_path} tmpfs rw 0 0\n"
        "tmpfs /srv/ram tmpfs rw 0 0\n"
        "/dev/sda1 /srv/ram/disk ext4 rw 0 0\n"
        "tmpfs /srv/a\\040b tmpfs rw 0 0\n"
        "overlayfs:/y /srv/gone overlay rw,upperdir=/no/such/folder 0 0\n"
    )
    expected = {
        "/etc/spool": True,
        "/srv/ram/spool": True,
        "/srv/ramdisk": True,  # beside /srv/ram, so on the root overlay
        "/srv/ram/disk/spool": False,
        "/srv/a b/c": True,
        "/srv/gone/x": False,
    }
    assert {path: machine.on_memory(path, str(mounts)) for path in expected} == expected


def test_openwrt_networks_are_known_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "network"
    file.write_text("config interface 'lan'\n\toption device 'br-lan'\nconfig device\nconfig interface 'guest'\n")
    assert machine.openwrt_networks(str(file)) == ["lan", "guest"]
    assert machine.openwrt_networks(str(tmp_path / "none")) == []


def test_a_file_is_checked_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "mailrelay"
    file.write_text(GOOD)
    file.chmod(0o644)
    found, _, warnings = schema.load(str(file), ThisMachine())
    said = f"{file}: warning: can be read by others, and it holds passwords; run chmod 600 {file}"
    assert found is not None and said in map(str, warnings)
    file.chmod(0o600)
    assert said not in map(str, schema.load(str(file), ThisMachine())[2])


def test_a_file_that_is_missing_or_a_folder_is_a_fault(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        found, faults, _ = schema.load(str(path), ThisMachine())
        assert found is None and len(faults) == 1
        assert str(faults[0]).startswith(f"{path}: cannot be read: ") and "--config" in str(faults[0])


def test_a_finding_carries_its_parts() -> None:
    _, (fault,), _ = schema.check((MAIN + "list port 'abc'").encode(), "FILE", ThisMachine())
    assert fault.facts() == {
        "code": "no-port", "warning": False, "section": "main", "option": "port", "line": 2,
        "problem": "'abc' is not a port", "hint": "write a number from 1 to 65535",
    }  # fmt: skip


def test_whoever_shows_a_hint_writes_settings_in_his_own_way() -> None:
    _, _, warnings = schema.check((SMTP + "option port 465").encode(), "FILE", Machine())
    assert "write tls=tls" in [finding.advice(lambda line: f"{line.option}={line.value}") for finding in warnings]
    _, (fault,), _ = schema.check((MAIN + "list allow lan").encode(), "FILE", Machine())
    assert Setting("network", "lan", "list").__str__() == "list network 'lan'"
    assert "go into list network 'lan'; here" in fault.advice()


NOT_HERE = "list network 'lo0'\noption spool '/tmp/mail'\noption notify '/no/such/program'\n"
NOT_HERE += SMTP + "option ca_file '/no/such/file'\noption username u\noption password p"


def test_of_another_machine_nothing_is_said_that_only_it_can_know() -> None:
    found, _, warnings = schema.check((MAIN + NOT_HERE).encode(), "FILE", Machine())
    assert found is not None and warnings == []
    assert len(schema.check((MAIN + NOT_HERE).encode(), "FILE", ThisMachine())[2]) >= 3


def test_the_machines_facts_are_those_that_are_passed_in() -> None:
    class Router(Machine):
        def networks(self) -> list[str]:
            return ["lan", "guest"]

        def owns(self, address: str) -> bool:
            return address == "192.0.2.7"

    text = MAIN + "list network lan\nlist network wan6\nlist network wan\n"
    text += HOST + "option host 192.0.2.7\noption port 25"
    _, faults, warnings = schema.check(text.encode(), "FILE", Router(exposed={"wan": "outside"}))
    assert [(fault.code, fault.line) for fault in faults] == [("exposed-network", 4), ("itself", 6)]
    assert "in the firewall zone 'outside', which faces the internet" in faults[0].problem
    assert [finding.line for finding in warnings if finding.code == "unknown-network"] == [3]


def test_the_examples_in_the_docs_are_sound() -> None:
    blocks = re.findall(r"(?:^    \S.*\n(?:(?:    .*)?\n)*)+", docs.CONFIG.read_text(encoding="utf-8"), re.MULTILINE)
    examples = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks if block.startswith("    config")]
    assert len(examples) >= 5
    for example in examples:
        _, faults, _ = check(example)
        assert faults == []


def test_runs_with_what_the_router_has() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from mailrelay.config import machine, schema;"
    code += "print(*schema.check(b'', 'x', machine.ThisMachine())[1], *sys.modules)"
    run = [sys.executable, "-I", "-S", "-c", code, str(SOURCE)]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert not {"ssl", "email", "logging", "asyncio", "ctypes", "urllib", "uuid", "encodings.idna"} & set(loaded)
