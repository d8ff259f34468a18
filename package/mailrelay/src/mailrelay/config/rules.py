"""What the options of a config mean to each other, to this machine and to the world outside.

`schema` calls `run` once it has read every value. A fault is text that cannot be meant; what depends on the state of
the machine (a file, a mount) or is only unwise is a warning, so that it never keeps the relay from starting.
"""

from __future__ import annotations

import os
import socket

from mailrelay.config import addresses, interfaces, uci
from mailrelay.config.findings import Part
from mailrelay.config.invalid import InvalidValue, nearest
from mailrelay.config.option_types import show_duration, show_size
from mailrelay.core.net import Net, is_private

PORTS = {"starttls": 587, "tls": 465, "none": 25}
_READING_PORTS = {110: "POP3", 143: "IMAP", 993: "IMAP", 995: "POP3"}
# The domain after the @ is not the server that takes mail for sending.
_SENDING_HOSTS = {
    "gmail.com": "smtp.gmail.com", "googlemail.com": "smtp.gmail.com", "outlook.com": "smtp-mail.outlook.com",
    "hotmail.com": "smtp-mail.outlook.com", "office365.com": "smtp.office365.com", "yahoo.com": "smtp.mail.yahoo.com",
    "icloud.com": "smtp.mail.me.com", "fastmail.com": "smtp.fastmail.com", "zoho.com": "smtp.zoho.com",
    "gmx.net": "mail.gmx.net", "gmx.de": "mail.gmx.net", "web.de": "smtp.web.de",
}  # fmt: skip
_LOCAL_ENDINGS = ("lan", "local", "localhost", "internal", "home.arpa", "localdomain", "home")
_MEMORY_FILESYSTEMS = ("tmpfs", "ramfs", "rootfs")


def run(parts: list[Part]) -> None:
    """Checks all sections together, and fills in the defaults that depend on other values."""
    main = next(part for part in parts if part.type == "mailrelay")
    if main["hostname"] == "":
        main.values["hostname"] = system_hostname()
    _main(main)
    smarthosts = [part for part in parts if part.type == "smarthost"]
    for part in smarthosts:
        if part["port"] == "":
            part.values["port"] = PORTS.get(part["tls"])
        _smarthost(part, main)
    used = [part for part in smarthosts if part["enabled"]]
    if not used and all(part["enabled"] is not None for part in smarthosts):
        main.warn("", "has no provider set, so that all mail is refused for now", "add a section config smarthost")
    elif used and all(part["sender"] for part in used):
        used[-1].warn("sender", "leaves mail from other senders without a provider", "leave it out in one smarthost")
    _clients([part for part in parts if part.type == "client"], main)


def system_hostname() -> str:
    """The system's name as one that may be used in EHLO; "mailrelay.localdomain" where it has none."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in socket.gethostname()).strip("-.")
    try:
        return addresses.hostname(name)
    except InvalidValue:
        return "mailrelay.localdomain"


def _main(main: Part) -> None:
    if main["network"] == [] and main["allow"] == []:
        main.warn(
            "network", "is not set, so that only this machine itself can send", "name the network: list network 'lan'"
        )
    _networks(main)
    for index, text in enumerate(main["allow"] or ()):
        if not is_private(Net.parse(text)):
            mend = "list only networks of your own, or see that a firewall keeps everyone else out"
            main.warn("allow", f"'{text}' lets addresses of the internet send through this relay", mend, index)
    for option in ("sender", "postmaster", "recipient"):
        _dotless(main, option)
    _aliases(main)
    _spool(main)
    _programs(main)
    least, most = main["retry_min"], main["retry_max"]
    if least is not None and most is not None and least > most:
        mend = f"write at least '{show_duration(least)}', or a shorter retry_min"
        main.fault("retry_max", f"'{show_duration(most)}' is shorter than retry_min", mend)
    message, queue = main["max_message_size"], main["max_queue_size"]
    if message and queue and message > queue:
        mend = "a mail of that size can never be taken; make one of them fit"
        main.warn("max_queue_size", f"'{show_size(queue)}' is smaller than max_message_size", mend)


def _networks(main: Part) -> None:
    """Names that do not exist now. A network may appear later (a USB modem), so this is no fault."""
    known = openwrt_networks() or [name for _, name in socket.if_nameindex()]
    for index, name in enumerate(main["network"] or ()):
        if name not in known:
            near = nearest(name, known)
            mend = f"did you mean '{near}'?" if near else f"this machine has {', '.join(sorted(known))}"
            main.warn("network", f"'{name}' does not exist on this machine", mend, index)


def openwrt_networks(path: str = "/etc/config/network") -> list[str]:
    """The names of OpenWrt's networks; none on another system."""
    try:
        with open(path, "rb") as file:
            sections = uci.parse(file.read())
    except (OSError, uci.ParseError):
        return []
    return [section.name for section in sections if section.type == "interface" and section.name]


def _dotless(part: Part, option: str) -> None:
    values = part[option] or ()
    for index, text in enumerate([values] if isinstance(values, str) else values):
        domain = text.rpartition("@")[2]
        if "." not in domain and "[" not in domain:
            part.warn(
                option, f"'{text}' has a domain without a dot, which providers refuse", "write the full domain", index
            )


def _aliases(main: Part) -> None:
    targets: dict[str, list[str]] = {}
    for index, text in enumerate(main["alias"] or ()):
        name, _, right = text.partition("=")
        if name.lower() in targets:
            main.fault("alias", f"'{name}' is set twice", f"write one line: list alias '{name}=FIRST,SECOND'", index)
        targets[name.lower()] = right.split(",")
    for index, text in enumerate(main["alias"] or ()):
        name, _, right = text.partition("=")
        for target in right.split(","):
            if "@" not in target and target.lower() not in targets:
                mend = f"write an address: list alias '{name}={target}@example.org'"
                main.fault("alias", f"'{target}' is neither an address nor another alias", mend, index)
        seen: set[str] = set()
        reached = {name.lower()}
        while reached - seen:
            seen |= reached
            reached = {target.lower() for known in reached for target in targets.get(known, ())}
            if name.lower() in reached:
                main.fault("alias", f"'{name}' comes back to itself", "write where its mail goes in the end", index)
                break


def _spool(main: Part) -> None:
    if main["spool"] and on_memory(main["spool"]):
        mend = "name a folder on flash, a disk or a USB stick"
        main.warn("spool", f"'{main['spool']}' is in memory: a power cut loses the mail that waits there", mend)


def _programs(main: Part) -> None:
    if main["notify"] and not os.access(main["notify"], os.X_OK):
        there = "cannot be run" if os.path.exists(main["notify"]) else "does not exist"
        mend = f"run chmod +x {main['notify']}" if there == "cannot be run" else "write the program, or another path"
        main.warn("notify", f"'{main['notify']}' {there}", mend)


def _smarthost(part: Part, main: Part) -> None:
    host, port, tls = part["host"], part["port"], part["tls"]
    if host == "":
        if part["enabled"] is not False:
            part.fault("host", "is missing", "write the name of the provider's server, option host 'smtp.example.org'")
        return
    _login(part)
    _certificate(part)
    if host is None:
        return
    is_address = addresses.is_ip(host)
    if part["family"] not in (None, "any") and is_address and (":" in host) != (part["family"] == "ipv6"):
        part.fault("family", f"'{part['family']}' does not fit the address in option host", "leave the option out")
    _ourselves(part, main)
    if tls == "none":
        _cleartext(part)
    if port in _READING_PORTS:
        part.warn("port", f"'{port}' is for reading mail ({_READING_PORTS[port]})", "sending uses 587 or 465")
    elif (port, tls) == (465, "starttls"):
        part.warn("port", "'465' usually speaks TLS from the first byte on", "write option tls 'tls'")
    elif (port, tls) == (587, "tls"):
        part.warn("port", "'587' usually begins unencrypted and then switches", "write option tls 'starttls'")
    if host.lower() in _SENDING_HOSTS:
        meant = _SENDING_HOSTS[host.lower()]
        part.warn("host", f"'{host}' is the provider's domain, not its server for sending", f"write '{meant}'")
    elif host.lower().startswith(("imap.", "pop.", "pop3.")):
        part.warn(
            "host", f"'{host}' looks like a server for reading mail", f"it may be 'smtp.{host.partition('.')[2]}'"
        )


def _login(part: Part) -> None:
    username, password, auth = part["username"], part["password"], part["auth"]
    if username and password == "":
        part.fault("password", "is missing, but there is a username", "write option password '...'")
    elif password and username == "":
        part.fault("username", "is missing, but there is a password", "write option username, often the mail address")
    elif auth not in (None, "auto", "none") and username == "":
        part.fault("auth", f"'{auth}' needs a login", "write option username and option password")
    elif auth == "none" and username:
        part.warn("auth", "'none' leaves the username unused", "leave the option out to log in")
    elif username == "" and part["port"] in (465, 587) and auth == "auto":
        part.warn("username", "is not set; most providers want a login on this port", "write username and password")
    if password and password != password.strip():
        part.warn("password", "begins or ends with a space", "remove the space unless it belongs to it")


def _certificate(part: Part) -> None:
    if part["tls"] == "none":
        for option in ("ca_file", "fingerprint"):
            if part[option]:
                part.warn(option, "has no effect without encryption", "write option tls 'starttls' or 'tls'")
        return
    if part["verify"] is False and not part["fingerprint"]:
        mend = "leave the option out; for a server of your own set ca_file or fingerprint"
        part.warn("verify", "is off: whoever sits in between can read the password and the mail", mend)
    if part["ca_file"] and not os.path.isfile(part["ca_file"]):
        part.warn("ca_file", f"'{part['ca_file']}' does not exist", "copy the certificate there, or write another path")
    if part["host"] and addresses.is_ip(part["host"]) and part["verify"] and not part["fingerprint"]:
        part.warn("host", "is an address, which few certificates name", "write the server's name, or set fingerprint")


def _cleartext(part: Part) -> None:
    host = part["host"]
    if part["allow_cleartext"] or part["allow_cleartext"] is None:
        part.warn(
            "tls", "is 'none': mail and password cross the network unencrypted", "write 'starttls' if it is offered"
        )
    elif addresses.is_ip(host):
        if not is_private(Net.parse(host)):
            mend = "write 'starttls' or 'tls', or option allow_cleartext '1' if anyone may read the mail"
            part.fault("tls", f"'none' is refused, as '{host}' is not in a private network", mend)
    elif "." in host and not host.lower().endswith(tuple("." + ending for ending in _LOCAL_ENDINGS)):
        mend = "write 'starttls' or 'tls', or option allow_cleartext '1' if anyone may read the mail"
        part.warn("tls", f"'none' works only if '{host}' is in a private network", mend)
    if part["username"] and not part["allow_cleartext"]:
        part.warn("tls", "is 'none': the password crosses the network unencrypted", "write 'starttls' if it is offered")


def _ourselves(part: Part, main: Part) -> None:
    """A relay that sends to itself would go round for ever."""
    host = part["host"].lower()
    ours = part["port"] in (main["port"] or ())
    mend = "write the name of the provider's server; for another mail server on this machine its address and port"
    if host == (main["hostname"] or "").lower():
        part.fault("host", f"'{part['host']}' is this relay's own host name", mend)
    elif ours and (addresses.is_localhost(host) or (addresses.is_ip(host) and interfaces.own(host))):
        part.fault("host", f"'{part['host']}' with port {part['port']} is this relay itself", mend)


def _clients(clients: list[Part], main: Part) -> None:
    seen: dict[Net, str] = {}
    allowed = [Net.parse(text) for text in main["allow"] or ()]
    for part in clients:
        username, password = part["username"], part["password"]
        if username and password == "":
            part.fault("password", "is missing, but there is a username", "write option password '...'")
        elif password and username == "":
            part.fault("username", "is missing, but there is a password", "write option username '...'")
        if part["accept_any_login"] and username:
            part.fault("accept_any_login", "leaves the username without a meaning", "set one of the two")
        if part["address"] == "":
            part.fault("address", "is missing", "write the machine's address, option address '192.168.1.10'")
        if not part["address"]:
            continue
        net = Net.parse(part["address"])
        if part["redirect"] and net.length < net.bits:
            mend = "write the one machine's address, as all others in the network would be redirected too"
            part.fault("redirect", f"is for one machine, and '{part['address']}' is a network", mend)
        if net in seen:
            part.fault(
                "address", f"'{part['address']}' is in section '{seen[net]}' already", "put them into one section"
            )
        seen[net] = part.title
        if main["network"] == [] and main["allow"] is not None and not any(
            known.covers(net) or net.covers(known) for known in allowed
        ):  # fmt: skip
            mend = f"add list allow '{part['address']}' to section 'main'"
            part.warn("address", f"'{part['address']}' is not allowed to send at all", mend)


def on_memory(path: str, mounts: str = "/proc/self/mounts") -> bool:
    """True if the folder, or the place where it would be made, loses its content at a power cut."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            table = [line.split(" ") for line in file]
    except OSError:
        return False
    place = os.path.realpath(path)
    for _ in range(4):  # an overlay's upper folder lies on another mount
        kind, options = "", ""
        best = ""
        for _device, where, type, given, *_rest in table:
            where = where.replace("\\040", " ")
            if (place + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(best):
                best, kind, options = where, type, given
        if kind != "overlay":
            return kind in _MEMORY_FILESYSTEMS
        upper = [given.partition("=")[2] for given in options.split(",") if given.startswith("upperdir=")]
        if not upper or not os.path.isdir(upper[0]):
            return False
        place = os.path.realpath(upper[0])
    return False
