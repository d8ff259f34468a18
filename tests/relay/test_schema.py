"""schema: what is right in a config becomes settings, and every option is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forge.generate import docs
from mailrelay.config import option_types, schema, settings
from mailrelay.config.machine import Machine, ThisMachine
from mailrelay.config.options import OPTIONS

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
MAIN, HOST, CLIENT = "config mailrelay 'main'\n", "config smarthost 'p'\n", "config client 'c'\n"
SMTP = HOST + "\toption host 'smtp.example.org'\n"


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
    assert (main.max_useless_commands, main.command_timeout, main.min_data_rate) == (20, 300, 64)
    assert (main.queue_lifetime, main.failed_lifetime) == (5 * 86400, 7 * 86400)
    assert (main.retry_min, main.retry_max) == (30, 900)
    assert found.provider is False
    assert found.smarthosts == []


LOGIN = "option password x\n"


@pytest.mark.parametrize(
    ("text", "postmaster"),
    [
        (MAIN + "option postmaster pm@example.net\n" + SMTP + "option username me@example.org\n" + LOGIN,
         "pm@example.net"),
        (SMTP + "option username me@Example.org\n" + LOGIN, "me@example.org"),
        (SMTP + "option username AKIA123\noption from alarm@example.org\n" + LOGIN, "alarm@example.org"),
        (SMTP + "option username 'a|b|c'\n" + LOGIN + MAIN + "option sender plant@example.org\n",
         "plant@example.org"),
        (SMTP + "option username me@plant\n" + LOGIN, ""),
        (SMTP + "option username me@first.example\noption enabled 0\n" + LOGIN
         + "config smarthost s\noption host s.example\noption username me@second.example\n" + LOGIN,
         "me@second.example"),
        (SMTP + "option username me@first.example\noption priority 20\n" + LOGIN
         + "config smarthost s\noption host s.example\noption username me@second.example\n" + LOGIN,
         "me@second.example"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_postmaster_is_the_accounts_owner_where_nobody_is_named(text: str, postmaster: str) -> None:
    assert good(text).main.postmaster == postmaster


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_tls(tls: str, port: int) -> None:
    text = f"config smarthost\n option host '192.168.9.9'\n option tls '{tls}'"
    assert good(text).smarthosts[0].port == port


def test_smarthosts_go_by_priority_and_then_by_place() -> None:
    text = "".join(f"config smarthost '{name}'\n option host '{name}.example.org'\n option priority {number}\n"
                   for name, number in (("c", 20), ("b", 5), ("a", 20)))  # fmt: skip
    assert [one.name for one in good(text).smarthosts] == ["b", "c", "a"]


def test_another_server_on_this_machine_is_no_loop() -> None:
    assert good(HOST + "option host '127.0.0.1'\noption port '1025'\noption tls 'none'").provider


def test_one_option_may_hold_several_names() -> None:
    assert good(MAIN + "option network 'lan guest'\noption port '25 2525'").main.network == ["lan", "guest"]


def test_an_entry_that_stands_twice_counts_once() -> None:
    assert good(MAIN + "list port 25\nlist port 2525\nlist port 25").main.port == [25, 2525]


def test_a_disabled_smarthost_may_be_incomplete() -> None:
    assert good(HOST + "option enabled '0'").smarthosts == []


@pytest.mark.parametrize(
    ("section", "kind"), [("mailrelay", settings.Main), ("smarthost", settings.Smarthost), ("client", settings.Client)]
)
def test_options_and_settings_are_the_same_fields_of_the_same_types(section: str, kind: type[settings.Values]) -> None:
    fields = {field: option for option in OPTIONS[section] for field in option.fills}
    assert set(fields) | ({"name"} if kind is settings.Smarthost else set()) == set(kind.__annotations__)
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
    for options in OPTIONS.values():
        assert len({option.name for option in options}) == len(options)
        for option in options:
            assert option.type in option_types.TYPES and option.help.endswith(".")
            option.initial()


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


def examples(page: Path) -> list[str]:
    blocks = re.findall(r"(?:^    \S.*\n(?:(?:    .*)?\n)*)+", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks if block.startswith("    config")]


def test_the_examples_in_the_docs_are_sound() -> None:
    assert len(examples(docs.CONFIG)) >= 5
    for example in examples(docs.CONFIG):
        _, faults, _ = check(example)
        assert faults == []


def test_nothing_is_unwise_about_the_ways_to_microsoft() -> None:
    found = examples(docs.CONFIG.with_name("microsoft-365.md"))
    hosts = [f"option host '{host}" for host in ("smtp.azurecomm.net", "example-org.mail.protection", "smtp-hve.")]
    assert all(any(host in example for example in found) for host in hosts)
    for example in found:
        _, faults, warnings = schema.check(example.encode(), "FILE", Machine())
        assert [str(finding) for finding in [*faults, *warnings]] == []
