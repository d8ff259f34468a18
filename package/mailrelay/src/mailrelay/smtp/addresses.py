"""Envelope paths: the argument of MAIL and RCPT, and which addresses this relay takes.

Called by both sessions. It judges syntax and refuses what routes mail behind the relay's back; it does not ask whether
a mailbox exists, and it knows nothing of header addresses (address_list.py does).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# RFC 5321 4.5.3.1: 64 octets, "@", 255 octets.
MAX_ADDRESS: Final = 320

_SPECIALS = b'<>()[]:;,\\"@'
_DOMAIN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._" + bytes(range(128, 256))

# Bytes that an address may hold outside of a quoted string; everything else is looked at closely.
_PLAIN_ADDRESS = bytes(c for c in range(33, 256) if c not in b'<>"\\\x7f')


def split(argument: bytes, keyword: bytes) -> tuple[bytes, bytes] | None:
    """Cut `FROM: <a@b> SIZE=1` into address and parameters; return None if it is no such argument.

    Spaces around the colon and inside the brackets, lower case, and an address without brackets are all fine: the
    machines on a LAN write every one of these. So is an address whose own brackets, and a name before them, stand
    within those of the machine: its owner has typed them in.
    """
    if argument[: len(keyword)].upper() != keyword:
        return None
    rest = argument[len(keyword) :].lstrip()
    if rest[:1] != b":":
        return None
    rest = rest[1:].lstrip()
    if rest[:1] != b"<":
        address, _, parameters = rest.partition(b" ")
        return address, parameters
    address, bracket, parameters = rest[1:].partition(b">")
    if not bracket:
        return None
    inner, rest = address.count(b"<"), parameters
    for _ in range(inner):
        rest = rest.lstrip(b" ")
        if rest[:1] != b">":
            return address.strip(b" "), parameters
        rest = rest[1:]
    return address[address.rfind(b"<") + 1 :].strip(b" "), rest


def fault(address: bytes) -> str:
    """Return why this relay cannot take the address, in words for a reply; "" if it can.

    A bare local part (`root`) passes, as do local parts that begin or end with a dot. Whether non-ASCII is allowed
    depends on the transaction and is the caller's question.
    """
    if len(address) > MAX_ADDRESS:
        return "The address is too long"
    try:
        printable = address.decode().isprintable()
    except UnicodeDecodeError:
        return "The address is not valid UTF-8"
    if not printable or b" " in address:
        return "The address holds spaces or control characters"
    if address[:1] == b"@" and b":" in address:
        return "Source routes are not accepted; write the address alone"
    local, at, domain = address.rpartition(b"@")
    if not at:
        local = domain
    elif not _is_domain(domain):
        return "What follows the @ is not a domain name"
    if len(local) > 2 and local[:1] == b'"' == local[-1:]:
        local = local[1:-1]
    if not local:
        return "Nothing stands before the @"
    if b"%" in local or b"!" in local:
        return "Routing through the local part (% or !) is not accepted"
    if local.translate(None, _SPECIALS) != local:
        return "This is not a single plain address like name@example.org"
    return ""


def folded(address: bytes) -> bytes:
    """Return what is the same for one mailbox: the domain is case-insensitive, the local part is not."""
    local, at, domain = address.rpartition(b"@")
    return local + at + domain.lower() if at else address


def _is_domain(domain: bytes) -> bool:
    if domain[:1] == b"[" and domain[-1:] == b"]":
        return len(domain) > 2 and not domain[1:-1].translate(None, _DOMAIN + b":")
    return bool(domain) and domain[:1] != b"." and b".." not in domain and not domain.translate(None, _DOMAIN)


def is_unsafe(address: bytes) -> bool:
    """Return whether this could end the path or the command it stands in (RFC 5321 4.1.2). "" is the null sender."""
    if not address.translate(None, _PLAIN_ADDRESS):
        return False
    local, at, domain = address.rpartition(b"@")
    if not (at and len(local) >= 2 and local[:1] == local[-1:] == b'"'):
        return True
    inside = iter(local[1:-1])
    for c in inside:
        if c == 92:  # a backslash takes the next byte with it
            c = next(inside, 0)
        elif c == 34:
            return True
        if c < 32 or c == 127:
            return True
    return bool(domain.translate(None, _PLAIN_ADDRESS))
