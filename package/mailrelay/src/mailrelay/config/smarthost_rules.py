"""What the options of one smarthost mean to each other, to this machine and to the world outside.

`rules` calls `check` for each; what smarthosts mean to each other is its own business.
"""

from __future__ import annotations

from mailrelay.config import addresses
from mailrelay.config.findings import Part
from mailrelay.config.invalid import Setting
from mailrelay.config.machine import Machine
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


def check(part: Part, main: Part, machine: Machine) -> None:
    host = part["host"]
    if host == "":
        if part["enabled"] is not False:
            line = Setting("host", "smtp.example.org")
            part.fault("missing", "host", "is missing", "write the name of the provider's server, ", line)
        return
    _login(part)
    _certificate(part, machine)
    dotless(part, "from")
    if host is None:
        return
    is_address = addresses.is_ip(host)
    if part["family"] not in (None, "any") and is_address and (":" in host) != (part["family"] == "ipv6"):
        problem = f"'{part['family']}' does not fit the address in option host"
        part.fault("family-mismatch", "family", problem, "leave the option out", value=part["family"])
    _ourselves(part, main, machine)
    if part["tls"] == "none":
        _cleartext(part)
    _usual(part)


def _usual(part: Part) -> None:
    """Warn of hosts and ports that are seldom meant."""
    host, port, tls = part["host"].lower(), part["port"], part["tls"]
    if port in _READING_PORTS:
        problem = f"'{port}' is for reading mail ({_READING_PORTS[port]})"
        part.warn("reading-port", "port", problem, "sending uses 587 or 465", value=str(port))
    elif (port, tls) == (465, "starttls"):
        problem = "'465' usually speaks TLS from the first byte on"
        part.warn("port-and-tls", "port", problem, "write ", Setting("tls", "tls"), value="465", tls="tls")
    elif (port, tls) == (587, "tls"):
        problem = "'587' usually begins unencrypted and then switches"
        part.warn("port-and-tls", "port", problem, "write ", Setting("tls", "starttls"), value="587", tls="starttls")
    if host in _SENDING_HOSTS:
        problem = f"'{part['host']}' is the provider's domain, not its server for sending"
        server = _SENDING_HOSTS[host]
        part.warn("not-a-server", "host", problem, f"write '{server}'", value=part["host"], instead=server)
    elif host.startswith(("imap.", "pop.", "pop3.")):
        problem = f"'{part['host']}' looks like a server for reading mail"
        server = f"smtp.{part['host'].partition('.')[2]}"
        part.warn("reading-host", "host", problem, f"it may be '{server}'", value=part["host"], instead=server)


def credentials(part: Part, username: str) -> None:
    """Fault one half of a login; `username` is what more is said of the name."""
    if part["username"] and part["password"] == "":
        line = Setting("password", "...")
        part.fault("missing", "password", "is missing, but there is a username", "write ", line)
    elif part["password"] and part["username"] == "":
        line = Setting("username", "" if username else "...")
        part.fault("missing", "username", "is missing, but there is a password", "write ", line, username)


def _login(part: Part) -> None:
    username, password, auth = part["username"], part["password"], part["auth"]
    credentials(part, ", often the mail address")
    if username == "" and not password and auth not in (None, "auto", "none"):
        settings = Setting("username"), " and ", Setting("password")
        part.fault("auth-without-login", "auth", f"'{auth}' needs a login", "write ", *settings, value=auth)
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
                problem = "has no effect without encryption"
                part.warn("no-effect", option, problem, "write ", line, " or 'tls'")
        return
    if part["verify"] is False and not part["fingerprint"]:
        problem = "is off: whoever sits in between can read the password and the mail"
        hint = "leave the option out; for a server of your own set ca_file or fingerprint"
        part.warn("not-verified", "verify", problem, hint)
    if part["ca_file"] and machine.lacks(part["ca_file"]):
        problem = f"'{part['ca_file']}' does not exist"
        hint = "copy the certificate there, or write another path"
        part.warn("no-file", "ca_file", problem, hint, value=part["ca_file"])
    if part["host"] and addresses.is_ip(part["host"]) and part["verify"] and not part["fingerprint"]:
        problem = "is an address, which few certificates name"
        hint = "write the server's name, or set fingerprint"
        part.warn("address-in-certificate", "host", problem, hint, value=part["host"])


def _cleartext(part: Part) -> None:
    host = part["host"]
    offered = "write 'starttls' if it is offered"
    allow = "write 'starttls' or 'tls', or ", Setting("allow_cleartext", "1"), " if anyone may read the mail"
    if part["allow_cleartext"] or part["allow_cleartext"] is None:
        part.warn("cleartext", "tls", "is 'none': mail and password cross the network unencrypted", offered)
    elif addresses.is_ip(host):
        if not is_private(Net.parse(host)):
            problem = f"'none' is refused, as '{host}' is not in a private network"
            part.fault("cleartext-refused", "tls", problem, *allow, host=host)
    elif not is_private_domain(host.encode()):
        problem = f"'none' works only if '{host}' is in a private network"
        part.warn("cleartext", "tls", problem, *allow, host=host)
    if part["username"] and not part["allow_cleartext"]:
        part.warn("cleartext", "tls", "is 'none': the password crosses the network unencrypted", offered)


def _ourselves(part: Part, main: Part, machine: Machine) -> None:
    """Fault a relay that sends to itself: it would go round for ever."""
    host = part["host"].lower()
    ours = part["port"] in (main["port"] or ())
    hint = "write the name of the provider's server; for another mail server on this machine its address and port"
    if host == (main["hostname"] or "").lower():
        part.fault("itself", "host", f"'{part['host']}' is this relay's own host name", hint, value=part["host"])
    elif ours and (addresses.is_localhost(host) or (addresses.is_ip(host) and machine.owns(host))):
        problem = f"'{part['host']}' with port {part['port']} is this relay itself"
        part.fault("itself", "host", problem, hint, value=part["host"])


def dotless(part: Part, option: str) -> None:
    values = part[option] or ()
    for index, text in enumerate([values] if isinstance(values, str) else values):
        domain = text.rpartition("@")[2]
        if "." not in domain and "[" not in domain:
            problem = f"'{text}' has a domain without a dot, which providers refuse"
            part.warn("dotless-domain", option, problem, "write the full domain", index=index, value=text)
