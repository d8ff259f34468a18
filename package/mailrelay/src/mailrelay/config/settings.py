"""The checked settings as plain values: what `schema` fills in and every other part reads.

Holds no defaults, no help texts and no parsing of files (those are in `schema`, which is never resident).
The listener keeps this module in memory, so it stays small and imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mailrelay.config.findings import Fact

    Packed = dict[str, Any]  # plain values only, as `marshal` takes them


class Values:
    """A class of slots only; its annotations are its fields."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, **values: object) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and pack(self) == pack(other)

    __hash__ = None  # type: ignore[assignment]


class Main(Values):
    """Section `mailrelay 'main'`. Sizes are bytes, durations seconds."""

    __slots__ = (
        "enabled", "network", "allow", "port", "login", "hostname", "spool",
        "max_message_size", "max_queue_size", "min_free_space",
        "sender", "recipient", "postmaster", "notify", "notify_after", "alias", "allowed_recipient",
        "max_connections", "max_connections_per_client", "max_recipients", "max_command_length", "max_line_length",
        "max_header_length", "max_useless_commands", "command_timeout", "min_data_rate",
        "queue_lifetime", "failed_lifetime", "retry_min", "retry_max",
    )  # fmt: skip

    enabled: bool
    network: list[str]  # names of networks or interfaces, see interfaces.resolve
    allow: list[str]  # "address/length" or "address", each one that Net.parse takes
    port: list[int]
    login: str  # "any", "listed" or "none"
    hostname: str
    spool: str
    max_message_size: int
    max_queue_size: int  # 0: a quarter of the free space
    min_free_space: int
    sender: str  # "" where mail keeps its own
    recipient: list[str]
    postmaster: str
    notify: str  # absolute path of a program, or ""
    notify_after: int
    alias: list[str]  # "name=address[,address...]"; the name is a local part, an address or "@domain"
    allowed_recipient: list[str]  # "address" or "domain"; empty: everyone
    max_connections: int
    max_connections_per_client: int
    max_recipients: int
    max_command_length: int
    max_line_length: int
    max_header_length: int
    max_useless_commands: int
    command_timeout: int
    min_data_rate: int  # bytes a second
    queue_lifetime: int
    failed_lifetime: int
    retry_min: int
    retry_max: int


class Smarthost(Values):
    """Section `smarthost`. Holds secrets: never leaves the process that delivers."""

    __slots__ = (
        "name", "enabled", "host", "port", "tls", "allow_cleartext", "verify", "ca_file", "fingerprint",
        "auth", "username", "password", "priority", "sender", "from_",
        "rate_minute", "rate_day", "overflow", "connections", "family", "timeout",
    )  # fmt: skip

    name: str  # the section's name, or "smarthost[0]"
    enabled: bool
    host: str  # a host name, or an address without brackets
    port: int
    tls: str  # "starttls", "tls" or "none"
    allow_cleartext: bool
    verify: bool
    ca_file: str
    fingerprint: str  # SHA-256 of the certificate: 64 lower-case hex digits, or ""
    auth: str  # "auto", "plain", "login", "cram-md5" or "none"
    username: str
    password: str
    priority: int  # lower goes first
    sender: list[str]  # "address" or "@domain"; empty: any
    from_: str  # "" where mail keeps its sender, or has that of `main`
    rate_minute: int  # 0: no limit
    rate_day: int
    overflow: bool
    connections: int
    family: str  # "any", "ipv4" or "ipv6"
    timeout: int

    def __repr__(self) -> str:
        return f"<smarthost {self.name}>"


class Client(Values):
    """Section `client`: what holds for the machines at one address or in one network."""

    __slots__ = ("address", "accept_any_login", "username", "password", "rate_limit", "redirect")

    address: str
    accept_any_login: bool
    username: str
    password: str
    rate_limit: int  # messages a minute; 0: no limit
    redirect: bool  # for OpenWrt's firewall: whatever it sends to port 25 comes here

    def __repr__(self) -> str:
        return f"<client {self.address}>"


class Settings(Values):
    """Everything of one config. After `restore` the smarthosts are empty and `provider` tells if any was set."""

    __slots__ = ("main", "smarthosts", "clients", "provider")

    main: Main
    smarthosts: list[Smarthost]  # the enabled ones, by priority and then in the order of the file
    clients: list[Client]  # the most specific first: the first whose Net contains the address counts
    provider: bool

    def __repr__(self) -> str:
        return "<settings>"


class Plan(Values):
    """What `serve` runs by: the command line and the config in one."""

    __slots__ = (
        "config", "sources", "listen", "allow", "spool", "mount", "follow", "run_dir", "owner", "log", "warnings",
        "settings", "smarthosts",
    )  # fmt: skip

    config: str  # the file's path
    sources: dict[str, tuple[int, int]]  # the files that it was made from, as paths.stamp saw them before
    listen: list[tuple[str, int]]
    allow: list[str]  # networks, as Net.parse takes them
    spool: str
    mount: str  # mount point that the spool lies under, or ""
    follow: list[str] | None  # interfaces whose addresses are to be followed
    run_dir: str
    owner: tuple[int, int] | None  # uid and gid to run as; None: stay who we are
    log: str
    warnings: list[dict[str, Fact]]  # Finding.facts, and "text": the whole line
    settings: Settings  # without secrets
    smarthosts: dict[str, str]  # "host:port" by name


def pack(values: Values) -> Packed:
    """Return the fields of one object."""
    return {name: getattr(values, name) for name in values.__slots__}


def public(settings: Settings) -> Packed:
    """Return what the listener may know: nothing of a smarthost but that there is one."""
    return {
        "main": pack(settings.main),
        "clients": [pack(client) for client in settings.clients],
        "provider": settings.provider,
    }


def whole(settings: Settings) -> Packed:
    """Return everything, secrets too: for the courier, from the child that has parsed the file for it."""
    return {**public(settings), "smarthosts": [pack(smarthost) for smarthost in settings.smarthosts]}


def restore(values: Packed) -> Settings:
    """Make the settings of what `public` or `whole` made of them."""
    return Settings(
        main=Main(**values["main"]),
        smarthosts=[Smarthost(**smarthost) for smarthost in values.get("smarthosts", [])],
        clients=[Client(**client) for client in values["clients"]],
        provider=values["provider"],
    )


def pack_plan(plan: Plan) -> Packed:
    """Return the fields of a plan; of the settings what is public."""
    return {**pack(plan), "settings": public(plan.settings)}


def restore_plan(values: Packed) -> Plan:
    return Plan(**{**values, "settings": restore(values["settings"])})
