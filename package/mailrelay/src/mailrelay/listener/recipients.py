"""Where accepted mail goes: aliases, the override, and the list of recipients that the owner allows.

Applied by the listener when a message comes in, so that each final recipient has a state of its own in the spool.
"""

from __future__ import annotations

from mailrelay.smtp import replies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config import settings
    from mailrelay.smtp.reply import Reply


class Recipients:
    """The owner's rules about recipients. Addresses are compared without regard to case."""

    def __init__(self, main: settings.Main) -> None:
        self._override = [address.encode() for address in main.recipient]
        self._postmaster = main.postmaster.encode()
        self._local = {b"localhost", main.hostname.lower().encode()}
        self._aliases = {}
        for alias in main.alias:
            name, _, targets = alias.partition("=")
            self._aliases[name.strip().lower().encode()] = [part.strip().encode() for part in targets.split(",")]
        self._allowed = {entry.lower().lstrip("@").encode() for entry in main.allowed_recipient}

    def refusal(self, recipient: bytes) -> Reply | None:
        """Return the reply for a recipient that cannot be served, None for one that can."""
        targets = self.expand([recipient])
        if not targets:
            return replies.NO_ALIAS
        if self._allowed and not all(self._is_allowed(target) for target in targets):
            return replies.RECIPIENT_NOT_ALLOWED
        return None

    def expand(self, recipients: list[bytes]) -> list[bytes]:
        """Return the final recipients, each once; local names that nothing maps to an address are left out."""
        final: dict[bytes, bytes] = {}
        for recipient in recipients:
            for target in self._override or self._resolve(recipient, 5):
                final.setdefault(target.lower(), target)
        return list(final.values())

    def _resolve(self, recipient: bytes, depth: int) -> list[bytes]:
        """Return what an address stands for, through at most `depth` aliases of aliases."""
        local, at, domain = recipient.lower().rpartition(b"@")
        if not at:
            local, domain = domain, b""
        targets = self._aliases.get(recipient.lower())
        if targets is None and (not domain or domain in self._local):
            targets = self._aliases.get(local)
            if targets is None:
                return [self._postmaster] if self._postmaster else []
        if targets is None:
            return [recipient]
        if not depth:
            return []
        return [final for target in targets for final in self._resolve(target, depth - 1)]

    def _is_allowed(self, recipient: bytes) -> bool:
        recipient = recipient.lower()
        return recipient in self._allowed or recipient.rpartition(b"@")[2] in self._allowed
