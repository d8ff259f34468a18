"""Where accepted mail goes: aliases, the override, and the list of recipients that the owner allows.

Applied by the listener when a message comes in, so that each final recipient has a state of its own in the spool.
"""

from __future__ import annotations

import os

from mailrelay.core.domains import is_private_host
from mailrelay.smtp import replies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config import settings
    from mailrelay.smtp.reply import Reply

_MAX_ALIASES = 5  # of aliases, one after the other


class Recipients:
    """The owner's rules about recipients. Addresses are compared without regard to case.

    A local name is one without a domain, or in a domain that no provider delivers to: the relay's or the system's own
    name, or one that means nothing outside, unless `allowed_recipient` names it. Its mail goes where an alias says,
    else to the postmaster. Of aliases, one of the whole address goes before one of its domain, and that before one of
    the local part, which counts for local names alone.
    """

    def __init__(self, main: settings.Main) -> None:
        self._override = [address.encode() for address in main.recipient]
        self._postmaster = main.postmaster.encode()
        self._own = {name.lower().encode() for name in ("", "localhost", main.hostname, os.uname().nodename)}
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
        # Where an alias, the override or the postmaster leads is the owner's own word.
        if self._allowed and recipient in targets and not self._is_allowed(recipient):
            return replies.RECIPIENT_NOT_ALLOWED
        return None

    def expand(self, recipients: list[bytes]) -> list[bytes]:
        """Return the final recipients, each once; local names that nothing maps to an address are left out."""
        final: dict[bytes, bytes] = {}
        for recipient in recipients:
            for target in self._override or self._resolve(recipient):
                final.setdefault(target.lower(), target)
        return list(final.values())

    def _resolve(self, recipient: bytes, used: tuple[bytes, ...] = ()) -> list[bytes]:
        """Return what an address stands for. used: the aliases that led to it; none counts twice.

        An address in a private domain that an alias names is the owner's word: a server in the network may take it.
        """
        local, at, domain = recipient.lower().rpartition(b"@")
        if not at:
            local, domain = domain, b""
        domain = domain.rstrip(b".")
        is_local = domain in self._own or (not used and is_private_host(domain) and not self._is_allowed(recipient))
        names = ([local + b"@" + domain, b"@" + domain] if domain else []) + [local] * is_local
        alias = next((name for name in names if name in self._aliases and name not in used), None)
        if alias is None:
            return [self._postmaster] * bool(self._postmaster) if is_local else [recipient]
        if len(used) == _MAX_ALIASES:
            return []
        return [final for target in self._aliases[alias] for final in self._resolve(target, (*used, alias))]

    def _is_allowed(self, recipient: bytes) -> bool:
        recipient = recipient.lower()
        return recipient in self._allowed or recipient.rpartition(b"@")[2] in self._allowed
