"""Which domains mean nothing beyond the own network: no mail reaches them from the internet."""

from __future__ import annotations

from mailrelay.core.net import Net, is_private

# RFC 6761, 6762 (with its appendix G), 8375, and what routers and installers name their networks.
ENDINGS = (
    b".corp", b".fritz.box", b".home", b".home.arpa", b".internal", b".intranet", b".invalid", b".lan", b".local",
    b".localdomain", b".localhost", b".private",
)  # fmt: skip


def is_private_domain(domain: bytes) -> bool:
    """Return whether the domain has no dot or ends as those of private networks do; not for address literals."""
    name = domain.lower().rstrip(b".")
    return b"." not in name or (b"." + name).endswith(ENDINGS)


def is_private_host(domain: bytes) -> bool:
    """Return whether what stands after an @, an IP address too, in brackets or not, means nothing elsewhere."""
    literal = domain[:1] == b"["
    try:
        return is_private(Net.parse((domain[1:-1] if literal else domain).lower().removeprefix(b"ipv6:").decode()))
    except ValueError:
        return not literal and is_private_domain(domain)
