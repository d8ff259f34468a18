"""Why a smarthost could not be used, and the steps on the way there: what smarthost raises and reports.

Says nothing about a message: those have a transaction.Outcome. Read by the courier, explain and the `test` command.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.smtp.reply import Reply
    from mailrelay.smtp.transaction import Transaction


class Failure(Exception):
    """The smarthost failed.

    stage: 'name', 'connect', 'tls', 'certificate', 'banner', 'ehlo', 'starttls', 'login', 'mail', 'rcpt', 'data',
        'dot', 'quit'; 'lost' if nothing was awaited.
    cause: 'no-such-name', 'name-timeout', 'refused', 'timeout', 'unreachable', 'cert-expired', 'cert-not-yet-valid',
        'cert-wrong-name', 'cert-untrusted', 'cert-fingerprint', 'ca-file', 'tls-protocol', 'no-starttls',
        'cleartext' (our own rule), 'login-refused', 'login-required', 'no-common-auth', 'rejected' (banner or EHLO
        with 4xx or 5xx), 'closing' (421), 'garbage' (not SMTP), 'lost'.
    code, enhanced, text: what the server said, or 0, "" and our own words.
    in_flight: transactions begun without a result, oldest first. unsure: the one of them whose dot was not answered.
    detail: more facts for people; for a certificate its subject, issuer, names, dates and sha256.
    """

    def __init__(
        self,
        stage: str,
        cause: str,
        text: str,
        *,
        reply: Reply | None = None,
        detail: dict[str, str] | None = None,
    ) -> None:
        super().__init__(stage, cause, text)
        self.stage = stage
        self.cause = cause
        self.text = text
        self.code = reply.code if reply else 0
        self.enhanced = reply.enhanced if reply else ""
        self.detail = detail or {}
        self.in_flight: list[Transaction] = []
        self.unsure: Transaction | None = None

    @property
    def answer(self) -> str:
        """What the server said, with its code, or our own words."""
        return " ".join(filter(None, (str(self.code or ""), self.enhanced, self.text)))

    def __str__(self) -> str:
        return f"{self.stage}: {self.answer}"


class Step:
    """One step done, for people who watch: `seconds` it took, `ok` or not, in `text` what the other side said."""

    __slots__ = ("stage", "ok", "text", "seconds", "detail")

    def __init__(self, stage: str, ok: bool, text: str, seconds: float, detail: dict[str, str]) -> None:
        self.stage = stage
        self.ok = ok
        self.text = text
        self.seconds = seconds
        self.detail = detail
