"""IP networks and addresses, as numbers.

The listener keeps this module in memory, so it stays small and imports nothing but `_socket`.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_pton

_V4_MAPPED = b"\0" * 10 + b"\xff\xff"


def number(address: str) -> tuple[int, int]:
    """Read an IP address as (width in bits, value). Drop a zone id; IPv4 mapped into IPv6 is IPv4. ValueError."""
    try:
        if ":" not in address:
            return 32, int.from_bytes(inet_pton(AF_INET, address), "big")
        packed = inet_pton(AF_INET6, address.partition("%")[0])
    except (OSError, UnicodeError, ValueError):
        raise ValueError("is not an IP address") from None
    if packed.startswith(_V4_MAPPED):
        return 32, int.from_bytes(packed[12:], "big")
    return 128, int.from_bytes(packed, "big")


class Net:
    """An IP network, or one address. Host bits may be set: 192.168.1.1/24 is the network around that address."""

    __slots__ = ("bits", "length", "_prefix")

    def __init__(self, bits: int, length: int, value: int) -> None:
        self.bits = bits
        self.length = length
        self._prefix = value >> (bits - length)

    @classmethod
    def parse(cls, text: str) -> Net:
        """Read "address" or "address/length". ValueError says in plain words what is wrong."""
        address, slash, length = text.partition("/")
        if "%" in address:
            raise ValueError("has a zone id (%...), which a network cannot have")
        bits, value = number(address)
        width = bits
        if slash:
            if not (length.isascii() and length.isdigit()):
                raise ValueError("has a mask that is not a number of bits")
            least = 96 if ":" in address and bits == 32 else 0
            width = int(length[:9]) - least
            if not 0 <= width <= bits:
                raise ValueError(f"has a mask that is not between {least} and {least + bits} bits")
        return cls(bits, width, value)

    def contains(self, address: str) -> bool:
        """Return whether the address lies in this network; false also for text that is no address."""
        try:
            bits, value = number(address)
        except ValueError:
            return False
        return bits == self.bits and value >> (bits - self.length) == self._prefix

    def covers(self, other: Net) -> bool:
        """Return whether every address of `other` lies in this network."""
        return (
            self.bits == other.bits
            and self.length <= other.length
            and (other._prefix >> (other.length - self.length) == self._prefix)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Net) and self.covers(other) and other.covers(self)

    def __hash__(self) -> int:
        return hash((self.bits, self.length, self._prefix))


# Loopback, private and link-local: what does not cross somebody else's network.
_PRIVATE = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "::1", "fc00::/7", "fe80::/10",
)  # fmt: skip


def is_private(net: Net) -> bool:
    """Return whether a network, or the network of one address, holds private addresses only."""
    return any(Net.parse(known).covers(net) for known in _PRIVATE)
