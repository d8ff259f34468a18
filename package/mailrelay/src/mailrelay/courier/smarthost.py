"""One connection to a smarthost, blocking: name, connect, TLS, greeting, login, then message after message.

The courier and the `test` command call it. What is said when is smtp/client.py's business, waiting is dialogue's and
transport's.

    try:
        with SmarthostConnection(smarthost, b"router.example.org") as connection:
            for transaction, outcome in connection.deliver(transactions()):  # any iterable, taken from one ahead
                for reply in outcome.recipients:  # parallel to transaction.recipients
                    ...  # reply.ok: delivered; reply.permanent: failed; else deferred
    except Failure as failure:
        ...  # the smarthost failed, not a message: failure.in_flight stay queued, failure.unsure may have arrived
"""

from __future__ import annotations

from time import monotonic

from mailrelay.core.net import Net, is_private
from mailrelay.courier import transport
from mailrelay.courier.dialogue import Dialogue
from mailrelay.courier.failure import Failure, Step
from mailrelay.courier.transfer import Transfer
from mailrelay.smtp import client
from mailrelay.smtp.client import CONTENT, FAILED, READY, RESULT, STARTTLS, STEP
from mailrelay.smtp.login import Login

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    from mailrelay.config.settings import Smarthost
    from mailrelay.courier.transport import Transport
    from mailrelay.smtp.client import Event
    from mailrelay.smtp.transaction import Outcome, Transaction

GOODBYE = 2.0  # seconds to wait for the answer to QUIT


def preload(smarthosts: list[Smarthost]) -> None:
    """Import now what is imported when it is needed, while Python's library can be read wherever it lies."""
    from mailrelay.courier import advice  # noqa: F401

    if any(smarthost.tls != "none" for smarthost in smarthosts):
        from mailrelay.courier import certificate  # noqa: F401
    if any(smarthost.username and smarthost.auth in ("auto", "cram-md5") for smarthost in smarthosts):
        import hmac  # noqa: F401


def ehlo_name(hostname: bytes, own_address: str) -> bytes:
    """Return what EHLO says: the name, or the address of our end as a literal (RFC 5321 4.1.3) where that has no dot.

    Providers refuse a short name, for every recipient and for good.
    """
    if b"." in hostname:
        return hostname
    return f"[{'IPv6:' if ':' in own_address else ''}{own_address}]".encode()


class SmarthostConnection:
    """A smarthost, to be opened once. `hostname` is what EHLO says, if it has a dot."""

    def __init__(
        self,
        smarthost: Smarthost,
        hostname: bytes,
        *,
        on_step: Callable[[Step], None] | None = None,
        transfer: Transfer | None = None,
        trust: bool = True,
    ) -> None:
        self.smarthost = smarthost
        self.hostname = hostname
        self._on_step = on_step
        self._transfer = transfer or Transfer(lambda _: None)
        self._trust = trust  # only to look at a certificate that is not: then there is no login either
        self._limit = float(smarthost.timeout)
        self._deadline = transport.Deadline()
        self._transport: Transport | None = None
        self._dialogue: Dialogue | None = None
        self._context: ssl.SSLContext | None = None
        self._step_began = 0.0

    def __enter__(self) -> SmarthostConnection:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def dialogue(self) -> Dialogue:
        if self._dialogue is None:
            raise RuntimeError("not open")
        return self._dialogue

    @property
    def in_flight(self) -> list[Transaction]:
        """Return the transactions that have no outcome yet, oldest first."""
        return self.dialogue.session.in_flight

    def hurry(self, seconds: float) -> None:
        """Let nothing wait longer than `seconds` from now. May be called by a signal handler."""
        self._deadline.until = monotonic() + seconds

    # Opening

    def open(self) -> None:
        """Connect, greet and log in. Raise Failure if that is not to be."""
        self._step_began = monotonic()
        try:
            self._transport = self._connect()
            if self.smarthost.tls == "tls":
                self._secure(self._transport)
            login = Login(self.smarthost.username, self.smarthost.password, self.smarthost.auth)
            session = client.Session(
                ehlo_name(self.hostname, self._transport.own_address),
                starttls=self.smarthost.tls == "starttls",
                secure=self.smarthost.tls == "tls",
                login=login if self.smarthost.username and self.smarthost.auth != "none" and self._trust else None,
                verbose=self._on_step is not None,
            )
            self._dialogue = Dialogue(session, self._transport, self._limit, self._deadline)
            self._greet(self._dialogue, self._transport)
        except BaseException as error:
            self.drop()
            if isinstance(error, Failure):
                self._report(error)
            raise

    def _connect(self) -> Transport:
        host = self._host()
        addresses = transport.resolve(host, self.smarthost.port, self.smarthost.family, self._limit, self._deadline)
        self._step("name", ", ".join(map(transport.host_of, addresses)))
        if self.smarthost.tls == "none" and not self.smarthost.allow_cleartext:
            numbers = {address: transport.host_of(address).partition("%")[0] for address in addresses}
            addresses = [address for address in addresses if is_private(Net.parse(numbers[address]))]
            if not addresses:
                text = f"{self.smarthost.host} is not in a private network, and tls is 'none'"
                raise Failure("connect", "cleartext", text)
        connected, address = transport.connect(addresses, self._limit, self._deadline)
        connected.transfer = self._transfer
        self._step("connect", transport.endpoint(address))
        return connected

    def _host(self) -> bytes:
        try:
            return self.smarthost.host.encode("ascii")
        except UnicodeEncodeError:
            text = f"{self.smarthost.host}: write the name in its ASCII form (xn--...)"
            raise Failure("name", "no-such-name", text) from None

    def _greet(self, dialogue: Dialogue, connected: Transport) -> None:
        try:
            while True:
                for event in dialogue.exchange():
                    if event[0] == STARTTLS:
                        self._secure(connected)
                        dialogue.session.secured()
                    elif event[0] == READY:
                        return
                    else:
                        self._handle(event)
        except Failure as failure:
            silent = (failure.stage, failure.cause) == ("banner", "timeout")
            if silent and self.smarthost.tls == "starttls" and self._speaks_tls(connected):
                text = "the server speaks TLS from the first byte"
                raise Failure("banner", "tls-protocol", text) from None
            raise

    def _speaks_tls(self, connected: Transport) -> bool:
        """Find out whether a server that says nothing waits for a TLS handshake."""
        from mailrelay.courier import certificate

        try:
            connected.secure(certificate.context(self.smarthost, trust=False), self._host(), min(self._limit, 5.0))
            return True
        except OSError as error:
            return not certificate.broke_off(error) and getattr(error, "reason", "") != "WRONG_VERSION_NUMBER"

    def _secure(self, connected: Transport) -> None:
        from mailrelay.courier import certificate

        if self._context is None:
            self._context = certificate.context(self.smarthost, trust=self._trust)
        try:
            tls = connected.secure(self._context, self._host().partition(b"%")[0], self._limit)
        except OSError as error:
            if transport.is_our_timeout(error):
                raise Failure("tls", "timeout", f"no TLS handshake within {self._limit:.0f} s") from None
            failure = certificate.failure(error)
            if failure.stage == "certificate":
                failure.detail = self._inspect()
            raise failure from None
        facts = certificate.describe(tls.getpeercert(True) or b"")
        cipher = tls.cipher() or ("",)
        pinned = self.smarthost.fingerprint.replace(":", "").lower()
        if self._trust and pinned and facts["sha256"] != pinned:
            text = f"the certificate has the fingerprint {facts['sha256']}"
            raise Failure("certificate", "cert-fingerprint", text, detail=facts)
        self._step("tls", f"{tls.version()} {cipher[0]}")
        self._step("certificate", facts.get("subject", ""), facts)

    def _inspect(self) -> dict[str, str]:
        """Return what the certificate says that was just refused: the failed handshake does not give it away."""
        other = SmarthostConnection(self.smarthost, self.hostname, trust=False)
        other._deadline = self._deadline
        other._limit = min(self._limit, 10.0)
        facts: dict[str, str] = {}
        other._on_step = lambda step: facts.update(step.detail) if step.stage == "certificate" else None
        try:
            other.open()
        except Failure:
            pass
        finally:
            other.close()
        return facts

    # Delivering

    def deliver(self, transactions: Iterable[Transaction]) -> Iterator[tuple[Transaction, Outcome]]:
        """Send message after message, and yield each with its outcome, in order, as soon as it is known.

        The next transaction is taken when the content of the one before is through, and content() is called when the
        server asks for it. Raise Failure once every known result is out. An exception from `transactions` or content()
        drops the connection, so that nothing half sent is completed, and comes out unchanged. Leaving the loop early
        drops it too.
        """
        dialogue, source = self.dialogue, iter(transactions)
        session = dialogue.session
        events: list[Event] = []
        try:
            while True:
                events += self._pull(source)
                if not events:
                    if session.idle:
                        return
                    self._transfer.begin()
                    events = dialogue.exchange()
                content: Transaction | None = None
                for event in events:
                    if event[0] == RESULT:
                        self._transfer.end()
                        yield event[1], event[2]
                    elif event[0] == CONTENT:
                        content = event[1]
                    else:
                        self._handle(event)
                events = self._send(content, source) if content else []
        except Failure as failure:
            self._report(failure)
            raise
        finally:
            self._transfer.end()
            if not session.idle:
                self.drop()

    def _pull(self, source: Iterator[Transaction]) -> list[Event]:
        """Submit transactions for as long as the session wants any."""
        session = self.dialogue.session
        events: list[Event] = []
        while session.wants and (transaction := next(source, None)) is not None:
            events += session.submit(transaction)
        return events

    def _send(self, transaction: Transaction, source: Iterator[Transaction]) -> list[Event]:
        """Write the content, and its last block, the dot and the next transaction's commands in one write."""
        dialogue = self.dialogue
        block: list[bytes] = []
        size = 0
        tail = b"\r\n"
        for chunk in transaction.content():
            if block and size + len(chunk) > transport.BLOCK:
                if events := dialogue.write(b"".join(block)) or dialogue.read_early():
                    return events
                block.clear()
                size = 0
            block.append(chunk)
            size += len(chunk)
            tail = chunk[-2:] if len(chunk) > 1 else (tail + chunk)[-2:]
        events = self._pull(source)
        block.append(dialogue.session.end_of_data(tail))
        return events + dialogue.write(b"".join(block))

    def _handle(self, event: Event) -> None:
        if event[0] == STEP:
            _, stage, reply = event
            if reply.code != 334:
                self._step(stage, str(reply), self._detail(stage), ok=reply.code < 400)
        elif event[0] == FAILED:
            _, stage, cause, text, last = event
            failure = Failure(stage, cause, text, reply=last)
            session = self.dialogue.session
            failure.in_flight, failure.unsure = session.in_flight, session.unsure
            raise failure

    # Reporting

    def _detail(self, stage: str) -> dict[str, str]:
        session = self.dialogue.session
        if stage == "ehlo":
            name = session.opening.hostname.decode("ascii", "replace")
            return {
                "name": name,
                "extensions": ", ".join(f"{k} {v}".strip() for k, v in session.opening.extensions.items()),
            }
        return {"mechanism": session.opening.mechanism} if stage == "login" else {}

    def _step(self, stage: str, text: str, detail: dict[str, str] | None = None, *, ok: bool = True) -> None:
        if self._on_step:
            self._on_step(Step(stage, ok, text, monotonic() - self._step_began, detail or {}))
            self._step_began = monotonic()

    def _report(self, failure: Failure) -> None:
        self._step(failure.stage, failure.answer, failure.detail, ok=False)

    # Closing

    def close(self) -> None:
        """Say goodbye if the dialogue allows it, and close. Never fail."""
        if self._dialogue and self._dialogue.session.idle:
            self._dialogue.limit = min(self._limit, GOODBYE)
            self._dialogue.session.quit()
            while not self._dialogue.session.over:
                self._dialogue.exchange()
        self.drop()

    def drop(self) -> None:
        """Close without a word: whatever was not completed stays undone on the server."""
        if self._transport:
            self._transport.close()
        if self._dialogue:
            self._dialogue.session.receive(b"")
