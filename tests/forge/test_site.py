"""The site file: what is right comes out as settings, and what is wrong is named with its line and a hint."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.core import paths
from forge.core.errors import ForgeError, UsageError
from forge.generate import relay_schema
from forge.site import site
from forge.site.site import Site

HASH = "$6$saltsalt$" + "a" * 86


def key(kind: str = "ssh-ed25519") -> str:
    name = kind.encode()
    blob = len(name).to_bytes(4, "big") + name + b"\0\0\0\x20" + bytes(32)
    return f"{kind} {base64.b64encode(blob).decode()} you@office"


def load(tmp_path: Path, text: str) -> Site:
    file = tmp_path / "site.toml"
    file.write_text(text)
    return site.load(file)


def faults(tmp_path: Path, text: str) -> str:
    with pytest.raises(ForgeError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code == UsageError.exit_code
    return str(caught.value)


def test_without_a_file_nothing_is_set() -> None:
    assert site.load(None) == Site()
    assert not site.load(None).changes_router


def test_the_example_in_the_repository_is_a_good_site_file() -> None:
    example = site.load(paths.ROOT / "examples/site.toml")
    assert example.hostname == "plant7"
    assert "option host 'smtp.example.org'" in example.relay
    assert example.warnings == ()


def test_every_setting_comes_out(tmp_path: Path) -> None:
    made = load(
        tmp_path,
        f"""
        hostname = "plant7"
        timezone = "Europe/Berlin"
        [root]
        password_hash = "{HASH}"
        ssh_keys = ["{key()}"]
        password_login = false
        [lan]
        address = "10.1.2.1/255.255.254.0"
        [wan]
        protocol = "static"
        address = "198.51.100.7/24"
        gateway = "198.51.100.1"
        dns = ["198.51.100.1", "2001:db8::1"]
        [mailrelay]
        sender = "plant7@example.org"
        max_message_size = "10M"
        port = [25, 2525]
        [smarthost.one]
        host = "smtp.example.org"
        username = "you"
        password = "it's"
        [client.camera]
        address = "10.1.2.9"
        accept_any_login = true
        [vars]
        building = "B7"
        """,
    )
    assert (made.hostname, made.timezone) == ("plant7", "Europe/Berlin")
    assert made.posix_timezone == "CET-1CEST,M3.5.0,M10.5.0/3"
    assert made.root == site.Root(HASH, (key(),), False)
    assert made.lan == site.Lan("10.1.2.1", "255.255.254.0", 23)
    static = {"ipaddr": "198.51.100.7", "netmask": "255.255.255.0", "gateway": "198.51.100.1"}
    assert made.wan == site.Wan("static", static, ("198.51.100.1", "2001:db8::1"))
    assert made.vars == {"building": "B7"}
    settings, found, _ = relay_schema.check(made.relay.encode(), "config", relay_schema.Machine())
    assert not found
    assert settings.main.port == [25, 2525]
    assert settings.main.network == ["lan"], "without a network named, the LAN may send, as the package has it"
    assert settings.main.hostname == "plant7.lan", "the same rule as the package's own"
    assert settings.smarthosts[0].password == "it's"
    assert settings.clients[0].accept_any_login


@pytest.mark.parametrize(
    "text, line, words",
    [
        ('hostnam = "a"', 1, ["hostnam is nothing that a site file has", "Did you mean hostname"]),
        ("hostname = 7", 1, ["hostname is a number", 'hostname = "…"']),
        ('hostname = "plant_7"', 1, ["'plant_7' is not a host name", "'plant-7'"]),
        ('hostname = "localhost"', 1, ["names every machine"]),
        ('hostname = "a\\nb"', 1, ["line break"]),
        ('timezone = "Berlin"', 1, ["no time zone", "Did you mean Europe/Berlin?"]),
        ('timezone = "../../etc/passwd"', 1, ["no time zone"]),
        ('[root]\npassword_hash = "secret"', 2, ["is not a hash", "openssl passwd -6"]),
        ('[root]\npassword_hash = "$y$j9T$abc$def"', 2, ["a kind of hash that OpenWrt does not know"]),
        ('[root]\npassword_hash = "$6$salt$short"', 2, ["something is missing"]),
        ('[root]\nssh_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]', 2, ["private key", ".pub"]),
        ('[root]\nssh_keys = ["ssh-ed25519 AAAA"]', 2, ["not a whole ssh-ed25519 key"]),
        ('[root]\nssh_keys = ["ssh-dss AAAA"]', 2, ["too old a type"]),
        ("[root]\npassword_login = false", 2, ["nobody could log in"]),
        ('[root]\npassword_login = "no"', 2, ["is text", "true or false"]),
        ('[lan]\naddress = "192.168.1.1"', 2, ["has no network", "'192.168.1.1/24'"]),
        ('[lan]\naddress = "192.168.1.0/24"', 2, ["the network itself", "'192.168.1.1/24'"]),
        ('[lan]\naddress = "192.168.1.300/24"', 2, ["not an IPv4 address"]),
        ('[lan]\naddress = "192.168.1.1/31"', 2, ["no room"]),
        ('[lan]\nadress = "192.168.1.1/24"', 2, ["Did you mean address"]),
        ('[wan]\nprotocol = "dhcpp"', 2, ["not one of the choices", "Did you mean dhcp?"]),
        ('[wan]\nprotocol = "LTE"', 2, ["Did you mean qmi?"]),
        ('[wan]\napn = "internet"', 1, ["has no protocol"]),
        ('[wan]\nprotocol = "qmi"', 1, ["has no apn"]),
        ('[wan]\nprotocol = "dhcp"\napn = "internet"', 3, ["apn is nothing", "with protocol 'dhcp'"]),
        ('[wan]\nprotocol = "qmi"\napn = "a"\npin = "12"', 4, ["is not a PIN"]),
        ('[wan]\nprotocol = "static"\naddress = "198.51.100.7/24"\ngateway = "10.0.0.1"', 4, ["not in 198.51."]),
        ('[wan]\nprotocol = "static"\naddress = "192.168.1.9/24"\ngateway = "192.168.1.1"\n[lan]\naddress = '
         '"192.168.1.1/24"', 3, ["in the network of [lan]"]),
        ('[mailrelay]\nsendr = "a@b.c"', 2, ["[mailrelay] sendr", "sender"]),
        ("[mailrelay]\nsender = 1.5", 2, ["neither text nor a number"]),
        ('[mailrelay]\nmax_message_size = "lots"', 2, ["[mailrelay] max_message_size"]),
        ('[smarthost.x]\nhost = "smtp.example.org"\nport = 99999', 3, ["[smarthost.x] port", "1 to 65535"]),
        ('[smarthost.x]\nhost = "smtp.example.org"\ntls = "ssl"', 3, ["'ssl' is not one of the choices", "'tls'"]),
        ('[smarthost.x]\nhost = "smtp.example.org"\nusername = "u"', 1, ["password is missing", 'password = "..."']),
        ('[smarthost.x]\nport = 25', 1, ["host is missing"]),
        ('[smarthost.a-b]\nhost = "smtp.example.org"', 1, ["is not a name", "[smarthost.a_b"]),
        ('[smarthost]\nhost = "smtp.example.org"', 2, ["stands in no section", "[smarthost.NAME]"]),
        ('[smarthost.x]\nhost = "smtp.example.org"\npassword = "a\\nb"', 3, ["line break"]),
        ('[client.x]\naddress = "300.1.1.1"', 2, ["[client.x] address"]),
        ('[smarthost.main]\nhost = "smtp.example.org"', 1, ["is taken already"]),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_key_and_mend(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    message = faults(tmp_path, text)
    assert f"{tmp_path}/site.toml:{line}: " in message
    for word in words:
        assert word in message


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    message = faults(
        tmp_path, 'hostname = "a b"\n[lan]\naddress = "x"\n[smarthost.x]\nport = 0\n[wan]\nprotocol = "x"\n'
    )
    assert "4 faults" in message or "5 faults" in message
    lines = [int(part.split(":")[0]) for part in message.split("site.toml:")[1:]]
    assert lines == sorted(lines)


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    text = (
        '[root]\npassword_hash = "hunter2"\n[smarthost.x]\nhost = "a b"\nusername = "u"\npassword = "hun\\u0007ter2"\n'
    )
    message = faults(tmp_path, text)
    assert "hunter2" not in message and "ter2" not in message
    good = load(tmp_path, '[smarthost.x]\nhost = "h.example"\nusername = "u"\npassword = "hunter2"\n')
    assert "hunter2" not in repr(good)


def test_a_secret_may_stand_in_a_file_or_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("MAIL_PASSWORD", "from environment")
    text = '[smarthost.x]\nhost = "h.example"\nusername = "u"\npassword = {}\n'
    assert "'from file'" in load(tmp_path, text.format('{ file = "secret" }')).relay
    assert "'from environment'" in load(tmp_path, text.format('{ environment = "MAIL_PASSWORD" }')).relay
    assert f"{tmp_path}/nowhere" in faults(tmp_path, text.format('{ file = "nowhere" }'))
    assert "has no NOWHERE" in faults(tmp_path, text.format('{ environment = "NOWHERE" }'))
    assert "'fil'" in faults(tmp_path, text.format('{ fil = "secret" }'))


@pytest.mark.parametrize(
    "data, words",
    [
        (b'hostname = "a', ":1: is not TOML"),
        (b"hostname = plant7", ":1: is not TOML"),
        (b'a = 1\na = 2\n', ":2: is not TOML"),
        (b'# ok\nhostname = "\xff"', ":2: is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "site.toml").write_bytes(data)
    with pytest.raises(UsageError, match=words):
        site.load(tmp_path / "site.toml")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere.toml cannot be read: No such file"):
        site.load(tmp_path / "nowhere.toml")


@pytest.fixture
def mine() -> str:
    """An address of this machine's that is no loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks for the address that would be used
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def test_what_the_builder_has_does_not_count_for_the_router(tmp_path: Path, mine: str) -> None:
    """The builder has no network 'lan', and its own addresses are not the router's."""
    made = load(tmp_path, f'[smarthost.x]\nhost = "{mine}"\ntls = "none"\nallow_cleartext = true\nport = 25\n')
    assert not [warning for warning in made.warnings if "does not exist on this machine" in warning]


def test_files_that_are_read_side_by_side_do_not_disturb_each_other(tmp_path: Path, mine: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(f'[smarthost.x]\nhost = "{mine}"\nport = 25\n')
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(site.load, [path] * 800))
    assert len(made) == 800 and len({one.relay for one in made}) == 1


def test_what_is_only_unwise_is_a_warning_with_its_line(tmp_path: Path) -> None:
    made = load(tmp_path, '[smarthost.x]\nhost = "gmail.com"\nusername = "u@example.org"\npassword = "p"\n')
    (warning,) = made.warnings
    assert "site.toml:2: [smarthost.x] host" in warning and "smtp.gmail.com" in warning


def test_a_modem_says_which_packages_its_image_needs(tmp_path: Path) -> None:
    made = load(tmp_path, '[wan]\nprotocol = "qmi"\napn = "internet"\npin = "1234"\n')
    assert made.packages == ("uqmi", "kmod-usb-net-qmi-wwan")
    assert made.wan and made.wan.options == {"apn": "internet", "pincode": "1234", "device": "/dev/cdc-wdm0"}
    assert site.load(None).packages == ()


_words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
_keys = st.sampled_from(["hostname", "timezone", "lan", "wan", "root", "mailrelay", "smarthost", "client", "vars", "x"])
_values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["address", "host", "password", "protocol", "file", "port", "ssh_keys", "a b", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(_keys, _values, max_size=4))
def test_whatever_stands_in_it_the_answer_is_settings_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    import tomli_w

    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(tomli_w.dumps(data))
    try:
        assert isinstance(site.load(file), Site)
    except ForgeError as error:
        assert str(file) in str(error)


def test_reading_a_site_costs_no_import_of_the_relay_without_its_tables() -> None:
    code = "import sys; from forge.site import site; site.load(None); print('mailrelay' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, check=True)
    assert done.stdout == "False\n"
