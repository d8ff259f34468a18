"""What the options of a config mean to each other, to this machine and to the world outside.

`schema` calls `run` once it has read every value. A fault is text that cannot be meant; what depends on the state of
the machine (a file, a mount) or is only unwise is a warning, so that it never keeps the relay from starting. Facts of
the machine are asked of the Machine that is passed in.
"""

from __future__ import annotations

from mailrelay.config import addresses
from mailrelay.config.findings import Part
from mailrelay.config.invalid import InvalidValue, Setting, nearest
from mailrelay.config.machine import Machine
from mailrelay.config.option_types import show_duration, show_size
from mailrelay.core.domains import is_private_domain
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


def run(parts: list[Part], machine: Machine) -> None:
    """Check all sections together, and fill in the defaults that depend on other values."""
    main = next(part for part in parts if part.type == "mailrelay")
    if main["hostname"] == "":
        main.values["hostname"] = machine.hostname()
    elif main["hostname"] and "." not in main["hostname"]:
        problem = f"'{main['hostname']}' has no dot: providers are greeted by the connection's own address instead"
        main.warn("dotless-hostname", "hostname", problem, "write a full name like 'router.example.org'")
    smarthosts = [part for part in parts if part.type == "smarthost"]
    used = sorted((part for part in smarthosts if part["enabled"]), key=lambda part: part["priority"] or 0)
    if main["postmaster"] == "":
        main.values["postmaster"] = _owner(main, used)
    _main(main, machine)
    for part in smarthosts:
        if part["port"] == "":
            part.values["port"] = PORTS.get(part["tls"])
        _smarthost(part, main, machine)
    _between(used, main)
    if not used and all(part["enabled"] is not None for part in smarthosts):
        problem = "has no provider set, so that all mail is refused for now"
        main.warn("no-smarthost", "", problem, "add a section ", Setting("smarthost", word="config"))
    if used and all(part["sender"] for part in used):
        problem = "leaves mail from other senders without a provider"
        used[-1].warn("no-smarthost-for-others", "sender", problem, "leave it out in one smarthost")
    if used and main["postmaster"] == "" and main["notify"] == "":
        problem = "is not set, and no login name is a mail address: nobody is told of mail that cannot be delivered"
        main.warn("nobody-told", "postmaster", problem, "write ", Setting("postmaster", "you@example.org"))
    _clients([part for part in parts if part.type == "client"], main)


def _owner(main: Part, used: list[Part]) -> str:
    """Return whom to tell where nobody is named: the address of the first provider's account, "" if it is not known."""
    first = [used[0]["username"], used[0]["from"]] if used else []
    return next(filter(None, map(_address, [*first, main["sender"]])), "")


def _address(text: str | None) -> str:
    """Return the text if it is an address that a provider could deliver to, else ""."""
    try:
        read = addresses.address(text or "")
    except InvalidValue:
        return ""
    return read if "." in read.rpartition("@")[2] else ""


def _domain(text: str | None) -> str:
    return _address(text).rpartition("@")[2]


def _main(main: Part, machine: Machine) -> None:
    if main["network"] == [] and main["allow"] == []:
        problem = "is not set, so that only this machine itself can send"
        main.warn("no-network", "network", problem, "name the network: ", Setting("network", "lan", "list"))
    _networks(main, machine)
    for index, text in enumerate(main["allow"] or ()):
        if not is_private(Net.parse(text)):
            problem = f"'{text}' lets addresses of the internet send through this relay"
            hint = "list only networks of your own, or see that a firewall keeps everyone else out"
            main.warn("public-network", "allow", problem, hint, index=index)
    for option in ("sender", "postmaster", "recipient"):
        _dotless(main, option)
    _aliases(main)
    if main["spool"] and machine.forgets(main["spool"]):
        problem = f"'{main['spool']}' is in memory: a power cut loses the mail that waits there"
        main.warn("spool-in-memory", "spool", problem, "name a folder on flash, a disk or a USB stick")
    if main["notify"] and machine.cannot_run(main["notify"]):
        if machine.lacks(main["notify"]):
            problem, hint = "does not exist", "write the program, or another path"
        else:
            problem, hint = "cannot be run", f"run chmod +x {main['notify']}"
        main.warn("no-program", "notify", f"'{main['notify']}' {problem}", hint)
    least, most = main["retry_min"], main["retry_max"]
    if least is not None and most is not None and least > most:
        hint = f"write at least '{show_duration(least)}', or a shorter retry_min"
        main.fault("retry-order", "retry_max", f"'{show_duration(most)}' is shorter than retry_min", hint)
    message, queue = main["max_message_size"], main["max_queue_size"]
    if message and queue and message > queue:
        hint = "a mail of that size can never be taken; make one of them fit"
        main.warn("queue-too-small", "max_queue_size", f"'{show_size(queue)}' is smaller than max_message_size", hint)


def _networks(main: Part, machine: Machine) -> None:
    """Check names: one that does not exist now may appear later (a USB modem), so that this is no fault."""
    known = machine.networks()
    for index, name in enumerate(main["network"] or ()):
        if name in machine.exposed:
            problem = f"'{name}' is in the firewall zone '{machine.exposed[name]}', which faces the internet, and "
            hint = f"remove '{name}' from the list"
            main.fault("exposed-network", "network", f"{problem}anyone there could send", hint, index=index)
        elif known and name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else f"this machine has {', '.join(sorted(known))}"
            main.warn("unknown-network", "network", f"'{name}' does not exist on this machine", hint, index=index)


def _dotless(part: Part, option: str) -> None:
    values = part[option] or ()
    for index, text in enumerate([values] if isinstance(values, str) else values):
        domain = text.rpartition("@")[2]
        if "." not in domain and "[" not in domain:
            problem = f"'{text}' has a domain without a dot, which providers refuse"
            part.warn("dotless-domain", option, problem, "write the full domain", index=index)


def _aliases(main: Part) -> None:
    targets: dict[str, list[str]] = {}
    for index, text in enumerate(main["alias"] or ()):
        name, _, right = text.partition("=")
        if name.lower() in targets:
            line = Setting("alias", f"{name}=FIRST,SECOND", "list")
            main.fault("alias-twice", "alias", f"'{name}' is set twice", "write one line: ", line, index=index)
        targets[name.lower()] = right.split(",")
    for index, text in enumerate(main["alias"] or ()):
        name, _, right = text.partition("=")
        for target in right.split(","):
            if "@" not in target and target.lower() not in targets:
                problem = f"'{target}' is neither an address nor another alias"
                line = Setting("alias", f"{name}={target}@example.org", "list")
                main.fault("alias-nowhere", "alias", problem, "write an address: ", line, index=index)
        seen: set[str] = set()
        reached = {name.lower()}
        while reached - seen:
            seen |= reached
            reached = {_alias_of(target, targets) for known in reached for target in targets.get(known, ())}
            if name.lower() in reached:
                problem, hint = f"'{name}' comes back to itself", "write where its mail goes in the end"
                main.fault("alias-loop", "alias", problem, hint, index=index)
                break


def _alias_of(target: str, targets: dict[str, list[str]]) -> str:
    """Return the name of the alias that a target is sent by next: its own, its domain's, or one that there is not."""
    name = target.lower()
    domain = name[name.rfind("@") :]
    return domain if "@" in name and name not in targets and domain in targets else name


def _smarthost(part: Part, main: Part, machine: Machine) -> None:
    host = part["host"]
    if host == "":
        if part["enabled"] is not False:
            line = Setting("host", "smtp.example.org")
            part.fault("missing", "host", "is missing", "write the name of the provider's server, ", line)
        return
    _login(part)
    _certificate(part, machine)
    _dotless(part, "from")
    if host is None:
        return
    is_address = addresses.is_ip(host)
    if part["family"] not in (None, "any") and is_address and (":" in host) != (part["family"] == "ipv6"):
        problem = f"'{part['family']}' does not fit the address in option host"
        part.fault("family-mismatch", "family", problem, "leave the option out")
    _ourselves(part, main, machine)
    if part["tls"] == "none":
        _cleartext(part)
    _usual(part)


def _between(used: list[Part], main: Part) -> None:
    """Warn of what a provider is set to and has no effect, or the wrong one, beside the others."""
    sender = _domain(main["sender"])
    is_an_accounts = sender != "" and any(_domain(part["username"]) == sender for part in used)
    for part in used:
        if part["overflow"] and (part["rate"] == (0, 0) or len(used) == 1):
            lacks = "option rate" if part["rate"] == (0, 0) else "another provider"
            part.warn("no-effect", "overflow", f"has no effect without {lacks}", "leave the option out")
        account = _address(part["username"])
        if is_an_accounts and account and _domain(account) != sender and part["from"] == "":
            problem = f"is not set: mail through it comes from '{main['sender']}', which it may refuse"
            part.warn("sender-of-another", "from", problem, "write ", Setting("from", account))


def _usual(part: Part) -> None:
    """Warn of hosts and ports that are seldom meant."""
    host, port, tls = part["host"].lower(), part["port"], part["tls"]
    if port in _READING_PORTS:
        problem = f"'{port}' is for reading mail ({_READING_PORTS[port]})"
        part.warn("reading-port", "port", problem, "sending uses 587 or 465")
    elif (port, tls) == (465, "starttls"):
        part.warn(
            "port-and-tls", "port", "'465' usually speaks TLS from the first byte on", "write ", Setting("tls", "tls")
        )
    elif (port, tls) == (587, "tls"):
        problem = "'587' usually begins unencrypted and then switches"
        part.warn("port-and-tls", "port", problem, "write ", Setting("tls", "starttls"))
    if host in _SENDING_HOSTS:
        problem = f"'{part['host']}' is the provider's domain, not its server for sending"
        part.warn("not-a-server", "host", problem, f"write '{_SENDING_HOSTS[host]}'")
    elif host.startswith(("imap.", "pop.", "pop3.")):
        problem = f"'{part['host']}' looks like a server for reading mail"
        part.warn("reading-host", "host", problem, f"it may be 'smtp.{part['host'].partition('.')[2]}'")


def _credentials(part: Part, username: str) -> None:
    """Fault one half of a login; `username` is what more is said of the name."""
    if part["username"] and part["password"] == "":
        line = Setting("password", "...")
        part.fault("missing", "password", "is missing, but there is a username", "write ", line)
    elif part["password"] and part["username"] == "":
        line = Setting("username", "" if username else "...")
        part.fault("missing", "username", "is missing, but there is a password", "write ", line, username)


def _login(part: Part) -> None:
    username, password, auth = part["username"], part["password"], part["auth"]
    _credentials(part, ", often the mail address")
    if username == "" and not password and auth not in (None, "auto", "none"):
        settings = Setting("username"), " and ", Setting("password")
        part.fault("auth-without-login", "auth", f"'{auth}' needs a login", "write ", *settings)
    elif auth == "none" and username and password != "":
        hint = "leave the option out to log in"
        part.warn("unused-login", "auth", "'none' leaves the username unused", hint)
    elif username == "" and not password and part["port"] in (465, 587) and auth == "auto":
        problem = "is not set; most providers want a login on this port"
        part.warn("no-login", "username", problem, "write username and password")
    if password and password != password.strip():
        hint = "remove the space unless it belongs to it"
        part.warn("space-in-password", "password", "begins or ends with a space", hint)


def _certificate(part: Part, machine: Machine) -> None:
    if part["tls"] == "none":
        for option in ("ca_file", "fingerprint"):
            if part[option]:
                line = Setting("tls", "starttls")
                part.warn("no-effect", option, "has no effect without encryption", "write ", line, " or 'tls'")
        return
    if part["verify"] is False and not part["fingerprint"]:
        problem = "is off: whoever sits in between can read the password and the mail"
        hint = "leave the option out; for a server of your own set ca_file or fingerprint"
        part.warn("not-verified", "verify", problem, hint)
    if part["ca_file"] and machine.lacks(part["ca_file"]):
        problem = f"'{part['ca_file']}' does not exist"
        part.warn("no-file", "ca_file", problem, "copy the certificate there, or write another path")
    if part["host"] and addresses.is_ip(part["host"]) and part["verify"] and not part["fingerprint"]:
        problem = "is an address, which few certificates name"
        part.warn("address-in-certificate", "host", problem, "write the server's name, or set fingerprint")


def _cleartext(part: Part) -> None:
    host = part["host"]
    offered = "write 'starttls' if it is offered"
    allow = "write 'starttls' or 'tls', or ", Setting("allow_cleartext", "1"), " if anyone may read the mail"
    if part["allow_cleartext"] or part["allow_cleartext"] is None:
        part.warn("cleartext", "tls", "is 'none': mail and password cross the network unencrypted", offered)
    elif addresses.is_ip(host):
        if not is_private(Net.parse(host)):
            problem = f"'none' is refused, as '{host}' is not in a private network"
            part.fault("cleartext-refused", "tls", problem, *allow)
    elif not is_private_domain(host.encode()):
        part.warn("cleartext", "tls", f"'none' works only if '{host}' is in a private network", *allow)
    if part["username"] and not part["allow_cleartext"]:
        part.warn("cleartext", "tls", "is 'none': the password crosses the network unencrypted", offered)


def _ourselves(part: Part, main: Part, machine: Machine) -> None:
    """Fault a relay that sends to itself: it would go round for ever."""
    host = part["host"].lower()
    ours = part["port"] in (main["port"] or ())
    hint = "write the name of the provider's server; for another mail server on this machine its address and port"
    if host == (main["hostname"] or "").lower():
        part.fault("itself", "host", f"'{part['host']}' is this relay's own host name", hint)
    elif ours and (addresses.is_localhost(host) or (addresses.is_ip(host) and machine.owns(host))):
        part.fault("itself", "host", f"'{part['host']}' with port {part['port']} is this relay itself", hint)


def _clients(clients: list[Part], main: Part) -> None:
    seen: dict[Net, str] = {}
    for part in clients:
        _credentials(part, "")
        if main["login"] == "none" and part["accept_any_login"]:
            problem = "has no effect, as option login of section 'main' is 'none'"
            part.warn("no-effect", "accept_any_login", problem, "write ", Setting("login", "listed"), " there")
        if part["accept_any_login"] and part["username"]:
            problem = "leaves the username without a meaning"
            part.fault("two-logins", "accept_any_login", problem, "set one of the two")
        address = part["address"]
        if address == "":
            line = Setting("address", "192.168.1.10")
            part.fault("missing", "address", "is missing", "write the machine's address, ", line)
        if not address:
            continue
        net = Net.parse(address)
        if part["redirect"] and net.length < net.bits:
            hint = "write the one machine's address, as all others in the network would be redirected too"
            part.fault("redirected-network", "redirect", f"is for one machine, and '{address}' is a network", hint)
        if net in seen:
            problem = f"'{address}' is in section '{seen[net]}' already"
            part.fault("address-twice", "address", problem, "put them into one section")
        seen[net] = part.title
        if not _may_send(net, main):
            add = "add ", Setting("allow", address, "list"), " to section 'main'"
            part.warn("not-allowed", "address", f"'{address}' is not allowed to send at all", *add)


def _may_send(net: Net, main: Part) -> bool:
    """Tell whether machines of the network may send; networks that are named are not looked into."""
    if main["network"] != [] or main["allow"] is None:
        return True
    return any(known.covers(net) or net.covers(known) for known in map(Net.parse, main["allow"]))
