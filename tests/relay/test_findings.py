"""What the check says: whoever mistypes the config reads where, what and how to mend it."""

from __future__ import annotations

import pytest

from mailrelay.config import machine, schema
from mailrelay.config.invalid import Setting
from mailrelay.config.machine import Machine, ThisMachine
from tests.relay.test_schema import CLIENT, HOST, MAIN, SMTP, check, good

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
    (MAIN + "option sender 'it's me", "FILE:2: cannot be parsed (too many", "inside single quotes as '\\''"),
    (MAIN + "option sender 'open\n\n", "FILE:2: cannot be parsed (EOF with unterminated ')", "close the quote"),
    (MAIN + "option max-size 1", "FILE:2: cannot be parsed (invalid character", "no hyphen"),
    ("option a b", "FILE:1: cannot be parsed", "config mailrelay 'main'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says", "hint"), FAULTS, ids=range(len(FAULTS)))
def test_a_mistake_is_named_once_with_its_mend(text: str, says: str, hint: str) -> None:
    found, faults, _ = check(text)
    assert found is None
    assert len(faults) == 1, faults
    problem, _, advice = faults[0].rpartition("; ") if faults[0].count("; ") == 1 else faults[0].partition("; ")
    assert says in problem
    assert hint in advice


def test_a_loop_of_aliases_is_named() -> None:
    _, faults, _ = check(MAIN + "list alias 'a=b'\nlist alias 'b=a'")
    assert faults and all("comes back to itself" in fault for fault in faults)
    _, faults, _ = check(MAIN + "list alias '@plant.local=root@plant.local'")
    assert faults and all("comes back to itself" in fault for fault in faults)
    assert good(MAIN + "list alias 'a=b'\nlist alias 'b=c@example.org'").main.alias
    assert good(MAIN + "list alias '@a.local=root@a.local'\nlist alias 'root@a.local=b@example.org'").main.alias


def test_all_faults_are_found_at_once_in_the_order_of_the_file() -> None:
    _, faults, _ = check(MAIN + "option enabled x\nlist port a\nlist port 25\nlist port b\n" + HOST + "option tls y")
    assert [fault.split(": ")[0] for fault in faults] == ["FILE:2", "FILE:3", "FILE:5", "FILE:6", "FILE:7"]


SECOND = "config smarthost 'second'\noption host 'mail.example.net'\noption priority 20\n"
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
    (
        SMTP + "option username u\noption password 'it's #secret'",
        "FILE:4: warning: section 'p', option 'password' has a ' within it that is not read",
    ),
    (SMTP + "option username u\noption password 'secret' #tail", "option 'password' is followed by a comment"),
    (SMTP + "option username u # tail\noption password 'secret'", "option 'username' is followed by a comment"),
    (MAIN + "option hostname 'OpenWrt'", "'OpenWrt' has no dot: providers are greeted by the connection's own address"),
    (
        MAIN + "option login none\n" + CLIENT + "option address 10.0.0.1\noption accept_any_login 1",
        "option 'accept_any_login' has no effect, as option login of section 'main' is 'none'",
    ),
    (SMTP + "option username u\noption password x", "nobody is told of mail that cannot be delivered"),
    (SMTP + "option from 'alarm@plant'", "option 'from': 'alarm@plant' has a domain without a dot"),
    (SMTP + "option overflow 1\n" + SECOND, "option 'overflow' has no effect without option rate"),
    (SMTP + "option rate '30/minute'\noption overflow 1", "'overflow' has no effect without another provider"),
    (
        MAIN
        + "option sender 'alarms@company.example'\n"
        + SMTP
        + "option username 'it@company.example'\noption password x\n"
        + SECOND
        + "option username 'me@example.org'\noption password x",
        "section 'second', option 'from' is not set: mail through it comes from 'alarms@company.example'",
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


LOGIN = "option username 'me@example.org'\noption password 'x y'\n"
SOUND = [
    SMTP + LOGIN,
    # the ways to Microsoft that take no login by a mailbox's password
    MAIN + "option sender 'DoNotReply@11111111-2222.azurecomm.net'\noption postmaster 'me@company.example'\n"
    "config smarthost\noption host 'smtp.azurecomm.net'\noption username 'mail|11111111-2222|33333333-4444'\n"
    "option password 'a~B.c'\n",
    MAIN + "option sender 'alarms@company.example'\n"
    "config smarthost\noption host 'company-example.mail.protection.outlook.com'\noption port 25\n",
    SMTP + LOGIN + "option rate '30/minute'\noption overflow 1\n" + SECOND + LOGIN + "option connections 1\n",
    MAIN + "option sender 'alarms@company.example'\n" + SMTP + LOGIN + SECOND + LOGIN,
    MAIN + "option hostname 'router.example.org'\noption login listed\n" + SMTP + LOGIN
    + CLIENT + "option address '127.0.0.2'\noption username u\noption password 'x' \n",
    MAIN + "option enabled '1' # on\n" + SMTP + LOGIN,
    MAIN + "option notify '/bin/true'\n" + SMTP + "option username u\noption password x\n",
]  # fmt: skip


@pytest.mark.parametrize("text", SOUND, ids=range(len(SOUND)))
def test_a_sound_config_is_not_nagged_about(text: str) -> None:
    _, _, warnings = check(MAIN + "list network 'lo'\n" + text.replace(MAIN, "", 1))
    assert [line for line in warnings if "in memory" not in line] == []


def test_no_finding_shows_a_secret() -> None:
    for written in ("'it's #sesame'", "sesame #open", "'x'sesame", '"ses\\ame"', "sesame;open", "sesame#open"):
        _, faults, warnings = check(SMTP + f"option username u\noption password {written}")
        assert any("option 'password'" in line for line in warnings)
        assert "sesame" not in "".join([*faults, *warnings])


def test_a_finding_carries_its_parts() -> None:
    _, (fault,), _ = schema.check((MAIN + "list port 'abc'").encode(), "FILE", ThisMachine())
    assert fault.facts() == {
        "code": "no-port", "warning": False, "section": "main", "option": "port", "line": 2,
        "problem": "'abc' is not a port", "hint": "write a number from 1 to 65535",
        "values": {"value": "abc"},
    }  # fmt: skip


def test_whoever_shows_a_hint_writes_settings_in_his_own_way() -> None:
    _, _, warnings = schema.check((SMTP + "option port 465").encode(), "FILE", Machine())
    assert "write tls=tls" in [finding.advice(lambda line: f"{line.option}={line.value}") for finding in warnings]
    _, (fault,), _ = schema.check((MAIN + "list allow lan").encode(), "FILE", Machine())
    assert Setting("network", "lan", "list").__str__() == "list network 'lan'"
    assert "go into list network 'lan'; here" in fault.advice()


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        (MAIN + "list port 'smtp'", "no-port", {"value": "smtp", "instead": "25"}),
        (MAIN + "list allow '8.8.8.8'", "public-network", {"value": "8.8.8.8"}),
        (MAIN + "option retry_min '1h'", "retry-order", {"value": "15m", "least": "1h"}),
        (SMTP + "option port 465", "port-and-tls", {"value": "465", "tls": "tls"}),
        (SMTP + "option username u\noption password 'a\u200b'", "no-secret", {}),
        (MAIN + "option sender 'a@b'\noption sender 'a@b.example'", "twice", {"last": "3"}),
        ("config mailrelay 'main\n", "syntax", {"reason": "EOF with unterminated '", "line": "1"}),
    ],
)
def test_a_finding_tells_what_is_filled_in_so_that_others_can_say_it(
    text: str, code: str, values: dict[str, str]
) -> None:
    _, faults, warnings = schema.check(text.encode(), "FILE", Machine())
    found = [finding.facts()["values"] for finding in [*faults, *warnings] if finding.code == code]
    assert values in found


def test_a_network_that_faces_the_internet_is_named_with_its_zone() -> None:
    _, (fault,), _ = schema.check((MAIN + "list network wan").encode(), "FILE", Machine({"wan": "outside"}))
    assert (fault.code, fault.values) == ("exposed-network", {"value": "wan", "zone": "outside"})
