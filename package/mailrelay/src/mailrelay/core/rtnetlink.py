"""rtnetlink(7), as far as the addresses of interfaces go: the question for all of them, and what the kernel says.

Bytes only, no socket. For `config.interfaces`, which asks once, and `daemon.address_watch`, which goes on listening.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NEWADDR, DELADDR, _GETADDR, ERROR, DONE = 20, 21, 22, 2, 3  # nlmsg_type
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
ADDRESS, LOCAL, LABEL = 1, 2, 3  # IFA_*; ADDRESS is the peer's on a point-to-point link
TEMPORARY, DAD_FAILED = 0x01, 0x08  # IFA_F_*; IPv6 only
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")

GET_ADDRESSES = _HEADER.pack(_HEADER.size + _MESSAGE.size, _GETADDR, _DUMP, 1, 0) + bytes(_MESSAGE.size)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and body of each message in a datagram. OSError if it is malformed."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        if length < _HEADER.size:
            raise OSError("the kernel's list of addresses is malformed")
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def address(body: bytes) -> tuple[int, int, int, int, dict[int, bytes]]:
    """Read a NEWADDR or DELADDR: family, prefix length, flags, the interface's index, and attributes."""
    family, length, flags, _, index = _MESSAGE.unpack_from(body)
    attributes: dict[int, bytes] = {}
    rest = body[_MESSAGE.size :]
    while len(rest) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(rest)
        if size < _ATTRIBUTE.size:
            break
        attributes[kind] = rest[_ATTRIBUTE.size : size]
        rest = rest[(size + 3) & ~3 :]
    return family, length, flags, index, attributes
