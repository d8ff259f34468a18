"""Reads names of hosts, addresses, networks and aliases: what takes more than an expression.

Each reader takes the text and returns the value, or raises InvalidValue with what is wrong and what would be right. It
looks at nothing but the text. `option_types`, `rules` and `machine` call it. NAME and LOCAL_PART are expressions for
Python, JavaScript and awk alike.
"""

from __future__ import annotations

import re

from mailrelay.config.invalid import Hint, InvalidValue, Setting, quoted, text
from mailrelay.core.domains import ENDINGS
from mailrelay.core.net import Net, number

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = f"{_LABEL}([.]{_LABEL})*"
LOCAL_PART = r'([^ "(),:;<>@[-^]|\^)+'  # [-^ holds \ and ], which awk and JavaScript quote unlike
QUOTED_LOCAL_PART = r'"([^"\\]|\\.)*"'
# What is_private_domain says.
PRIVATE_DOMAIN = f"[^.:@]+|([^@]+[.])?({'|'.join([end[1:].decode() for end in ENDINGS]).replace('.', '[.]')})"
NETWORK = "[A-Za-z0-9_.:@-]{1,64}"
_ADDRESS_WITHIN = re.compile(r"<([^<>\s]+@[^<>\s]+)>")


def is_ip(value: str) -> bool:
    try:
        number(value)
    except ValueError:
        return False
    return True


def _name_fault(value: str) -> str | None:
    """Say what keeps the text from being a host name (RFC 1123), or None."""
    labels = value.split(".")
    if not value.isascii():
        return "holds letters that a host name cannot have (an international name is written in its xn-- form)"
    if " " in value or "," in value:
        return "has a space or a comma in it"
    if len(value) > 253 or any(len(label) > 63 for label in labels):
        return "is too long for a host name"
    if "" in labels:
        return "has a dot too many"
    if not re.fullmatch(NAME, value):
        return "is not a host name (letters, digits, dots, and hyphens inside)"
    if labels[-1].isdigit():
        return "looks like an IP address but is none"
    return None


def hostname(value: str) -> str:
    """Read a name for ourselves, as it goes into the banner and EHLO."""
    text(value)
    example = "write a name like 'router.example.org'"
    if is_ip(value.strip("[]")):
        raise InvalidValue("is an address, and many providers refuse one here", example)
    problem = _name_fault(value)
    if problem:
        raise InvalidValue(problem, f"write '{value.strip('.')}'" if not _name_fault(value.strip(".")) else example)
    if is_localhost(value):
        raise InvalidValue("is every machine's name, and many providers refuse it", example)
    return value


def is_localhost(value: str) -> bool:
    first, _, rest = value.lower().partition(".")
    return first in ("localhost", "localhost4", "localhost6") or rest == "localhost"


def host(value: str) -> str:
    """Read a server to connect to: a name, or an address (in brackets or not)."""
    text(value)
    if value.startswith("[") and value.endswith("]") and is_ip(value[1:-1]):
        return value[1:-1]
    if is_ip(value):
        return value
    example = "write the server's name only, like 'smtp.example.org'"
    bare = value.partition("://")[2] or value
    bare = bare.rpartition("@")[2] if "://" in value else bare
    bare, _, port_text = bare.rstrip("/").partition(":")
    if "://" in value or (port_text and bare):
        if _name_fault(bare) and not is_ip(bare):
            raise InvalidValue("is not a host name", example)
        also = (" and put the port into its own line, ", Setting("port", port_text)) if port_text.isdigit() else ()
        raise InvalidValue("is more than a host name", f"write '{bare}'", *also)
    if "@" in value:
        raise InvalidValue("is an e-mail address", example)
    problem = _name_fault(value)
    if problem:
        trimmed = value.strip(" ./").replace(",", ".")
        raise InvalidValue(problem, example if _name_fault(trimmed) else f"write '{trimmed}'")
    return value


def address(value: str) -> str:
    """Read an e-mail address (RFC 5321 Mailbox; RFC 6531 for letters beyond ASCII); its domain in lower case."""
    text(value)
    within = _ADDRESS_WITHIN.search(value)
    if within:
        raise InvalidValue("is more than an address", f"write '{within[1]}' alone")
    if value.count("@") > 1 and re.search(r"@[^@]*[,;\s][^@]*@", value):
        raise InvalidValue(
            "holds more than one address", "write one address; where a list is allowed, one `list` line for each"
        )
    local, at, domain = value.rpartition("@")
    example = "write it like 'name@example.org'"
    if value.lower().startswith("mailto:"):
        raise InvalidValue("is a link", f"write '{value[7:]}'")
    if not at:
        raise InvalidValue("is not an e-mail address: it has no @", example)
    if not local or not domain:
        raise InvalidValue(f"has nothing {'after' if local else 'before'} the @", example)
    if value.strip() != value or " " in domain:
        raise InvalidValue("has a space in it", f"write '{value.replace(' ', '')}'")
    if not re.fullmatch(LOCAL_PART, local) and not re.fullmatch(QUOTED_LOCAL_PART, local):
        raise InvalidValue("has a character before the @ that cannot stand there", example)
    if len(local.encode()) > 64:
        raise InvalidValue("has more than 64 bytes before the @", example)
    return f"{local}@{mail_domain(domain)}"


def mail_domain(value: str) -> str:
    """Read the part after the @: a host name, also an international one, or an address in brackets."""
    if value.startswith("[") and value.endswith("]"):
        if is_ip(value[1:-1].removeprefix("IPv6:")):
            return value
        raise InvalidValue("has no IP address between the brackets", "write a domain, or [192.0.2.1]")
    ascii_form = re.sub(r"[^\x00-\x7f]", "x", value)
    problem = "is an address without brackets" if is_ip(value) else _name_fault(ascii_form)
    if problem:
        raise InvalidValue(problem, "write a domain like 'example.org'", subject=f"the domain {quoted(value)}")
    return value.lower()


def sender_pattern(value: str) -> str:
    """Read a sender that a smarthost is for: an address, or "@domain"."""
    if value.startswith("@"):
        return "@" + mail_domain(text(value)[1:])
    if "@" not in value and not _name_fault(value) and "." in value:
        raise InvalidValue("is neither an address nor a domain with its @", f"write '@{value}'")
    return address(value)


def recipient_pattern(value: str) -> str:
    """Read a recipient to accept: an address, or a domain (with or without an @ before it)."""
    if "@" in value.lstrip("@"):
        return address(value)
    if value.startswith("*"):
        raise InvalidValue(
            "is a pattern", f"write '{value.lstrip('*.@') or 'example.org'}'; each domain stands for itself only"
        )
    return mail_domain(text(value).removeprefix("@"))


def alias(value: str) -> str:
    """Read "name=target[,target...]", also with a colon; return it with = and without spaces.

    The name is a local part, an address, or "@domain" for all addresses of a domain that have no alias of their own. A
    target is an address or the name of another alias.
    """
    text(value)
    example = "write it like 'root=owner@example.org'"
    match = re.match(r"\s*([^=:]*?)\s*[=:]\s*(.*?)\s*\Z", value)
    if match is None or not match[1] or not match[2]:
        raise InvalidValue("is not an alias: a name, = and an address", example)
    name, targets = match[1], match[2].split(",")
    if name == "*":
        use = "to send everything to one mailbox use ", Setting("recipient", word="list")
        raise InvalidValue("is not an alias: * is no name", *use)
    try:
        if name.startswith("@"):
            name = "@" + mail_domain(name[1:])
        elif "@" in name:
            name = address(name)
        if "@" not in name and not re.fullmatch(LOCAL_PART, name):
            raise InvalidValue("has a character that cannot stand in one", example)
    except InvalidValue as error:
        raise InvalidValue(error.problem, *error.hint, subject=error.subject or f"the name {quoted(name)}") from None
    read = []
    for target in targets:
        target = target.strip()
        try:
            local = re.fullmatch(LOCAL_PART, target) and "@" not in target
            read.append(target if local else address(target))
        except InvalidValue as error:
            raise InvalidValue(
                error.problem, *error.hint, subject=error.subject or f"the target {quoted(target)}"
            ) from None
    return f"{name}={','.join(dict.fromkeys(read))}"


def net(value: str) -> str:
    """Read an IP address or network, as Net.parse takes it."""
    try:
        Net.parse(value)
        return value
    except ValueError as error:
        problem = str(error)
    hint: Hint = ("write an address or a network, like '192.168.1.10' or '192.168.1.0/24'",)
    base, _, mask = value.partition("/")
    if is_ip(mask) and is_ip(base) and "." in mask:
        length = f"{number(mask)[1]:032b}".rstrip("0")
        if "0" not in length:
            hint = (f"write '{base}/{len(length)}'",)
    elif value in ("*", "any", "all"):
        hint = ("name the networks of your machines, like '192.168.1.0/24'",)
    elif re.fullmatch(r"(\d+\.){1,3}\*?", value):
        known = value.rstrip("*").rstrip(".").split(".")
        hint = (f"write '{'.'.join(known + ['0'] * (4 - len(known)))}/{8 * len(known)}'",)
    elif re.fullmatch(r"[A-Za-z][\w.-]*", value):
        hint = ("names of networks go into ", Setting("network", value, "list"), "; here ", *hint)
    raise InvalidValue(problem, *hint)


def network(value: str) -> str:
    """Read the name of a network (OpenWrt) or of a network interface."""
    if is_ip(value.partition("/")[0]):
        hint = "write ", Setting("allow", value, "list"), ", or a name like 'lan'"
        raise InvalidValue("is an address, not the name of a network", *hint)
    if not re.fullmatch(NETWORK, value):
        raise InvalidValue(
            "is not the name of a network", "write a name like 'lan', or 'eth0' where there is no OpenWrt"
        )
    return value
