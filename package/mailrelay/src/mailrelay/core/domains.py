"""Which domains mean nothing beyond the own network: no mail reaches them from the internet."""

from __future__ import annotations

# RFC 6761, 6762 (with its appendix G), 8375, and what routers and installers name their networks.
ENDINGS = (
    b".corp", b".fritz.box", b".home", b".home.arpa", b".internal", b".intranet", b".invalid", b".lan", b".local",
    b".localdomain", b".localhost", b".private",
)  # fmt: skip


def is_private_domain(domain: bytes) -> bool:
    """Return whether the domain has no dot or ends as those of private networks do; not for address literals."""
    name = domain.lower().rstrip(b".")
    return b"." not in name or (b"." + name).endswith(ENDINGS)
