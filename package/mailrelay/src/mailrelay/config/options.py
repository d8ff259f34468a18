"""Every section and option of the config: the one place that knows names, types, defaults and help texts.

`schema` reads a config by it; `./inv generate` makes the tables of docs/owner/CONFIG.md, LuCI's options and the
router's option table of it. It never stays in memory.
"""

from __future__ import annotations

from mailrelay.config.option_types import TYPES, Limits

K, M, G = 1 << 10, 1 << 20, 1 << 30
HOUR, DAY = 3600, 86400


class Option:
    """One option. `default` is written as in the file; "" and () say that there is none, or one that is `computed`."""

    __slots__ = ("name", "type", "default", "help", "many", "limits", "required", "computed", "fills")

    def __init__(
        self,
        name: str,
        type: str,
        default: str | tuple[str, ...],
        help: str,
        low: int | None = None,
        high: int | None = None,
        choices: tuple[str, ...] = (),
        required: bool = False,
        computed: str = "",
        fills: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.type = type
        self.default = default
        self.help = help
        self.many = isinstance(default, tuple)  # a `list`
        least, most = TYPES[type].bounds
        self.limits = Limits(least if low is None else low, most if high is None else high, choices)
        self.required = required
        self.computed = computed  # where the default comes from when it is not written here
        self.fills = fills or (name,)  # the fields of the settings that take the value, or its parts

    @property
    def secret(self) -> bool:
        return self.type == "secret"

    def read(self, text: str) -> object:
        return TYPES[self.type].read(text, self.limits)

    def initial(self) -> object:
        """Return the value where the file has none."""
        if isinstance(self.default, tuple):
            return [self.read(text) for text in self.default]
        if self.default:
            return self.read(self.default)
        return (0,) * len(self.fills) if len(self.fills) > 1 else ""


# fmt: off
OPTIONS: dict[str, tuple[Option, ...]] = {
    "mailrelay": (
        Option("enabled", "switch", "1", "Whether the relay runs at all."),
        Option("network", "network", (),
               "The networks whose machines may send, by name: `lan` on OpenWrt, a network interface like `eth0` "
               "elsewhere. The relay listens on their addresses. This machine itself may always send."),
        Option("allow", "net", (),
               "Further addresses or networks that may send, like `192.168.7.0/24`: those behind another router."),
        Option("port", "port", ("25",), "The ports to listen on."),
        Option("login", "choice", "any",
               "Machines that insist on a login: `any` takes whatever name and password they send, `listed` offers a "
               "login only to those that have one in a section `client`, `none` offers none.",
               choices=("any", "listed", "none")),
        Option("hostname", "hostname", "",
               "The name the relay calls itself by, to machines and to the provider. Never `localhost`: many "
               "providers refuse it.", computed="the system's name with its domain; one without a dot goes to the "
               "provider as the connection's own address, like `[192.0.2.1]`"),
        Option("spool", "spool", "/etc/mailrelay/spool",
               "The folder where mail waits. It must be on storage that survives a power cut: not in `/tmp`, and on "
               "OpenWrt not in `/var`."),
        Option("max_message_size", "size", "25M", "The largest mail that is taken.", low=K, high=G),
        Option("max_queue_size", "size", "0",
               "How much may wait in all; `0` is a quarter of the free space.", high=1024 * G),
        Option("min_free_space", "size", "512K",
               "How much room always stays free on the spool's storage.", high=1024 * G),
        Option("sender", "address", "",
               "Sends every mail as coming from this address, as most providers demand that it is the account's own."
               " The original goes into `Reply-To` or `X-Original-From`."),
        Option("recipient", "address", (), "Sends every mail to these addresses, whoever it was addressed to."),
        Option("alias", "alias", (),
               "Where mail to a local name goes: `root=owner@example.org`, several addresses separated by commas. A "
               "local name has no domain, this machine's, or one like `raspberrypi`, `plant.local` and `nas.lan`. The "
               "target may also be another alias. `@plant.local=owner@example.org` is for a whole domain, also of "
               "another name."),
        Option("allowed_recipient", "recipient", (),
               "If set, mail is taken only for these addresses and domains. A domain like `plant.local` that stands "
               "here is delivered to."),
        Option("postmaster", "address", "",
               "Who is told by mail when a mail could not be delivered for good, or waits for a setting to be mended.",
               computed="`username` of the first provider, if that is an address"),
        Option("notify", "program", "",
               "A program that is run when mail has failed, is stuck, damaged, or waits for a setting to be mended, "
               "when the disk or the relay refuses mail, and when that is over. It runs as the relay's user and finds "
               "the facts in its environment."),
        Option("notify_after", "duration", "1h",
               "How long mail may be stuck before `notify` is run.", low=1, high=90 * DAY),
        Option("queue_lifetime", "duration", "5d",
               "How long delivery is tried before a mail counts as failed.", low=1, high=365 * DAY),
        Option("failed_lifetime", "duration", "7d",
               "How long a failed mail is kept, to be read or sent again; less if mail that can still be delivered "
               "wants the room.", high=365 * DAY),
        Option("retry_min", "duration", "30s",
               "The first wait after a failed attempt; each further one is twice as long.", low=1, high=DAY),
        Option("retry_max", "duration", "15m", "The longest wait between two attempts.", low=1, high=7 * DAY),
        Option("max_connections", "integer", "256",
               "Connections at a time. When full, the one that gets on least is closed.", low=1, high=10000),
        Option("max_connections_per_client", "integer", "64",
               "Connections at a time from one address.", low=1, high=10000),
        Option("max_recipients", "integer", "100", "Recipients of one mail.", low=1, high=10000),
        Option("max_command_length", "size", "2K", "The longest SMTP command.", low=512, high=M),
        Option("max_line_length", "size", "1M",
               "The longest line within a mail. Lines over 998 bytes are folded on the way out.", low=1000, high=G),
        Option("max_header_length", "size", "64K", "The longest header section of a mail.", low=K, high=16 * M),
        Option("max_useless_commands", "integer", "20",
               "Commands without progress before a connection is closed.", low=1, high=10000),
        Option("command_timeout", "duration", "5m",
               "How long a machine may take for one command, or be silent within a mail. When connections run short it "
               "is a minute at most, and half of one within a mail.", low=1, high=HOUR),
        Option("min_data_rate", "size", "64",
               "How slow a mail may come in, in bytes a second, measured over `command_timeout`; `0` for any speed.",
               high=M),
    ),
    "smarthost": (
        Option("enabled", "switch", "1", "Whether this provider is used."),
        Option("host", "host", "",
               "The provider's server for outgoing mail, like `smtp.example.org`.", required=True),
        Option("port", "port", "", "Its port.", computed="587 with `starttls`, 465 with `tls`, 25 with `none`"),
        Option("tls", "choice", "starttls",
               "`starttls`: the connection is encrypted after a first command (port 587). `tls`: it is from the "
               "first byte on (port 465). `none`: it is not; only to private addresses, see `allow_cleartext`.",
               choices=("starttls", "tls", "none")),
        Option("allow_cleartext", "switch", "0",
               "With `tls` `none`: send unencrypted across other people's networks, where all can read it."),
        Option("verify", "switch", "1",
               "Whether the server must prove that it is who it says: certificate and name."),
        Option("ca_file", "path", "",
               "A file of certificate authorities to trust instead of the system's: for a server of your own."),
        Option("fingerprint", "fingerprint", "",
               "The SHA-256 fingerprint of the server's certificate, to trust this one and no other."),
        Option("auth", "choice", "auto",
               "How to log in. `auto` takes the best that the server offers.",
               choices=("auto", "plain", "login", "cram-md5", "none")),
        Option("username", "text", "", "The login name, often the whole mail address."),
        Option("password", "secret", "",
               "The password. Many providers want an *app password* made for this purpose."),
        Option("priority", "integer", "10",
               "The provider with the lowest number is tried first, the others when it fails.", high=65535),
        Option("sender", "sender", (),
               "If set, this provider is only for mail from these addresses or domains (`@example.org`)."),
        Option("from", "address", "",
               "Whom mail through this provider comes from, where it takes only mail from the account's own address.",
               computed="`sender` of section `main`", fills=("from_",)),
        Option("rate", "rate", "",
               "How much to send at most: `30/minute`, `500/day`, or both with a space between.",
               fills=("rate_minute", "rate_day")),
        Option("overflow", "switch", "0",
               "What to do with mail over `rate`: `1` sends it by the next provider, `0` lets it wait for this one."),
        Option("connections", "integer", "2",
               "Connections at a time. A second one is made when small mail waits behind a large one; `1` for a "
               "provider that allows no second one.", low=1, high=2),
        Option("family", "choice", "any",
               "Whether to connect by IPv4, by IPv6 or by any.", choices=("any", "ipv4", "ipv6")),
        Option("timeout", "duration", "60s", "How long to wait for the server's answer.", low=1, high=HOUR),
    ),
    "client": (
        Option("address", "net", "",
               "The machine's address, or a network. The most specific section counts.", required=True),
        Option("accept_any_login", "switch", "0",
               "For machines that insist on a login: takes whatever they send, also where `login` is `listed`."),
        Option("username", "text", "", "The login name that these machines must give."),
        Option("password", "secret", "", "The password that goes with it."),
        Option("rate_limit", "integer", "0",
               "Mails a minute, `0` for any number. What is over it is refused, and lost if the machine has no queue.",
               high=1_000_000),
        Option("redirect", "switch", "0",
               "For a machine with a mail server built in, on OpenWrt: what it sends to port 25 of anyone comes to "
               "the relay instead. Wants the address of that one machine."),
    ),
}
# fmt: on
