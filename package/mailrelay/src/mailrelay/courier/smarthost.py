"""One connection to a smarthost, blocking: name, connect, TLS, greeting, login, then message after message.

The courier and the `test` command call it. The dialogue is smtp/client.py's business, sockets and deadlines are
transport's.

    up = SmarthostConnection(smarthost, b"router.example.org")
    try:
        up.open()
        for transaction, outcome in up.deliver(transactions()):  # any iterable, taken from one ahead
            for reply in outcome.recipients:  # parallel to transaction.recipients
                ...  # reply.ok: delivered; reply.permanent: failed; else deferred
    except Failure as failure:
        ...  # the smarthost failed, not a message: failure.in_flight stay queued, failure.unsure may have arrived
    finally:
        up.close()
"""

from __future__ import annotations

from time import monotonic

from mailrelay.core.net import Net, is_private
from mailrelay.courier.failure import Failure, Step
from mailrelay.courier.transport import BLOCK, Deadline, Transport, connect, is_our_timeout, printable, resolve
from mailrelay.smtp import client
from mailrelay.smtp.client import CONTENT, FAILED, READY, RESULT, STARTTLS, STEP
from mailrelay.smtp.login import Login
from mailrelay.smtp.reply import Reply
from mailrelay.smtp.transaction import Outcome, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    from mailrelay.config.settings import Smarthost
    from mailrelay.smtp.client import Event

__all__ = ["Failure", "Outcome", "Reply", "Step", "Transaction", "SmarthostConnection"]

GOODBYE = 2.0  # seconds to wait for the answer to QUIT


def preload(smarthosts: list[Smarthost]) -> None:
    """Import now what is imported when it is needed, while Python's library can be read wherever it lies."""
    from mailrelay.courier import advice  # noqa: F401

    if any(smarthost.tls != "none" for smarthost in smarthosts):
        from mailrelay.courier import certificate  # noqa: F401


class SmarthostConnection:
    """A smarthost, to be opened once. `hostname` is what EHLO says. Limits are multiples of smarthost.timeout seconds:
    one for a reply, three for 64 KiB of content, ten for the answer to the dot (the ratios of RFC 5321 4.5.3.2)."""

    def __init__(
        self,
        smarthost: Smarthost,
        hostname: bytes,
        *,
        on_step: Callable[[Step], None] | None = None,
        trust: bool = True,
    ) -> None:
        self.smarthost = smarthost
        self.hostname = hostname
        self._on_step = on_step
        self._trust = trust  # only to look at a certificate that is not: then there is no login either
        self._limit = float(smarthost.timeout)
        self._deadline = Deadline()
        self._transport: Transport | None = None
        self._session: client.Session | None = None
        self._context: ssl.SSLContext | None = None
        self._step_began = 0.0
        self._reply_due = 0.0  # for the reply that is awaited
        self._progress = -1  # of the session when that was set

    def __enter__(self) -> SmarthostConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def session(self) -> client.Session:
        if self._session is None:
            raise RuntimeError("not open")
        return self._session

    def hurry(self, seconds: float) -> None:
        """From now on nothing waits longer than `seconds` from now. May be called by a signal handler."""
        self._deadline.until = monotonic() + seconds

    # Opening

    def open(self) -> None:
        """Connect, greet and log in. Failure."""
        self._step_began = monotonic()
        try:
            self._connect()
            login = Login(self.smarthost.username, self.smarthost.password, self.smarthost.auth)
            self._session = client.Session(
                self.hostname,
                starttls=self.smarthost.tls == "starttls",
                secure=self.smarthost.tls == "tls",
                login=login if self.smarthost.username and self.smarthost.auth != "none" and self._trust else None,
                verbose=self._on_step is not None,
            )
            self._greet(self._session)
        except BaseException as error:
            self.drop()
            if isinstance(error, Failure):
                self._report(error)
            raise

    def _connect(self) -> None:
        host = self._host()
        addresses = resolve(host, self.smarthost.port, self.smarthost.family, self._limit, self._deadline)
        self._step("name", ", ".join(address[1][0].decode() for address in addresses))
        if self.smarthost.tls == "none" and not self.smarthost.allow_cleartext:
            addresses = [
                address for address in addresses if is_private(Net.parse(address[1][0].decode().partition("%")[0]))
            ]
            if not addresses:
                text = f"{self.smarthost.host} is not in a private network, and tls is 'none'"
                raise Failure("connect", "cleartext", text, permanent=True)
        self._transport, address = connect(addresses, self._limit, self._deadline)
        self._step("connect", printable(address))
        if self.smarthost.tls == "tls":
            self._secure(self._transport)

    def _host(self) -> bytes:
        try:
            return self.smarthost.host.encode("ascii")
        except UnicodeEncodeError:
            text = f"{self.smarthost.host}: write the name in its ASCII form (xn--...)"
            raise Failure("name", "no-such-name", text, permanent=True) from None

    def _greet(self, session: client.Session) -> None:
        while True:
            for event in self._write(session.take()) or self._read():
                if event[0] == STARTTLS and self._transport:
                    self._secure(self._transport)
                    session.secured()
                elif event[0] == READY:
                    return
                else:
                    self._handle(event)

    def _secure(self, transport: Transport) -> None:
        from mailrelay.courier import certificate

        if self._context is None:
            self._context = certificate.context(self.smarthost, trust=self._trust)
        try:
            transport.secure(self._context, self._host().partition(b"%")[0], self._limit)
        except OSError as error:
            if is_our_timeout(error):
                raise Failure("tls", "timeout", f"no TLS handshake within {self._limit:.0f} s") from None
            failure = certificate.failure(error)
            if failure.stage == "certificate":
                failure.detail = self._inspect()
            raise failure from None
        tls = transport.tls
        der = tls.getpeercert(True) if tls else None
        facts = certificate.describe(der or b"")
        cipher = tls.cipher() if tls else None
        pinned = self.smarthost.fingerprint.replace(":", "").lower()
        if self._trust and pinned and facts["sha256"] != pinned:
            text = f"the certificate has the fingerprint {facts['sha256']}"
            raise Failure("certificate", "cert-fingerprint", text, permanent=True, detail=facts)
        if tls and cipher:
            self._step("tls", f"{tls.version()} {cipher[0]}")
        self._step("certificate", facts.get("subject", ""), facts)

    def _inspect(self) -> dict[str, str]:
        """The facts about a certificate that was just refused: the failed handshake does not give it away."""
        other = SmarthostConnection(self.smarthost, self.hostname, trust=False)
        other._deadline = self._deadline
        other._limit = min(self._limit, 10.0)
        found: dict[str, str] = {}
        other._on_step = lambda step: found.update(step.detail) if step.stage == "certificate" else None
        try:
            other.open()
        except Failure:
            pass
        finally:
            other.close()
        return found

    # Delivering

    def deliver(self, transactions: Iterable[Transaction]) -> Iterator[tuple[Transaction, Outcome]]:
        """Send message after message; each with its outcome, in order, as soon as it is known.

        The next transaction is taken when the content of the one before is through, and content() is called when the
        server asks for it. Failure once every result known has been handed out. An exception from `transactions` or
        content() drops the connection, so that nothing half sent is completed, and comes out unchanged. Leaving the
        loop early drops it too.
        """
        session, source = self.session, iter(transactions)
        events: list[Event] = []
        try:
            while True:
                while session.wants and self._pull(source, events):
                    pass
                if not events:
                    if session.idle:
                        return
                    events = self._write(session.take()) or self._read()
                content: Transaction | None = None
                for event in events:
                    if event[0] == RESULT:
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
            if not session.idle:
                self.drop()

    def _pull(self, source: Iterator[Transaction], events: list[Event]) -> bool:
        transaction = next(source, None)
        if transaction is None:
            return False
        events += self.session.submit(transaction)
        return True

    def _send(self, transaction: Transaction, source: Iterator[Transaction]) -> list[Event]:
        """Write the content; the last block, the dot and the next transaction's commands in one write."""
        events: list[Event] = []
        block: list[bytes] = []
        size = 0
        tail = b"\r\n"
        for chunk in transaction.content():
            if block and size + len(chunk) > BLOCK:
                if events := self._write(b"".join(block)) or self._early():
                    return events
                block.clear()
                size = 0
            block.append(chunk)
            size += len(chunk)
            tail = chunk[-2:] if len(chunk) > 1 else (tail + chunk)[-2:]
        while self.session.wants and self._pull(source, events):
            pass
        block.append(self.session.end_of_data(tail))
        return events + self._write(b"".join(block))

    # The only places that wait for the server

    def _write(self, data: bytes) -> list[Event]:
        """Send `data`. Events only if that fails: the connection is over then, maybe with a last answer."""
        if not data or self._transport is None:
            return []
        session = self.session
        self._progress = -1
        try:
            self._transport.write(data, 3 * self._limit)
            return []
        except OSError as error:
            if is_our_timeout(error):
                return session.abandon("timeout", "the server stopped taking data")
        events: list[Event] = []
        deadline = monotonic() + 1.0
        while not session.over:
            try:
                events += session.receive(self._transport.read(deadline))
            except TimeoutError:
                events += session.receive(b"")
        return events

    def _read(self) -> list[Event]:
        """Read once. The time limit is for the whole reply, however slowly it trickles in."""
        session = self.session
        if session.over:
            raise Failure("lost", "lost", "the connection is over")
        if self._transport is None:
            return session.receive(b"")
        limit = self._limit * (10 if session.stage == "dot" else 1)
        if session.progress != self._progress:
            self._progress = session.progress
            self._reply_due = monotonic() + limit
        try:
            events = session.receive(self._transport.read(self._reply_due))
            if events or session.progress != self._progress or self._deadline.left(self._reply_due) > 0:
                return events
        except TimeoutError:
            pass
        if session.stage == "banner" and self.smarthost.tls == "starttls" and self._speaks_tls(self._transport):
            return session.abandon("tls-protocol", "the server speaks TLS from the first byte", permanent=True)
        return session.abandon("timeout", f"no answer within {limit:g} s")

    def _early(self) -> list[Event]:
        """An answer to content that is still on its way: a refusal, and there is no use in going on."""
        if self._transport is None or not self._transport.readable():
            return []
        try:
            return self.session.receive(self._transport.read(monotonic()))
        except TimeoutError:
            return []

    def _speaks_tls(self, transport: Transport) -> bool:
        """A server that says nothing may be waiting for a TLS handshake."""
        from mailrelay.courier import certificate

        try:
            transport.secure(certificate.context(self.smarthost, trust=False), self._host(), min(self._limit, 5.0))
            return True
        except OSError as error:
            return not certificate.broke_off(error) and getattr(error, "reason", "") != "WRONG_VERSION_NUMBER"

    def _handle(self, event: Event) -> None:
        if event[0] == STEP:
            _, stage, reply = event
            if reply.code != 334:
                self._step(stage, str(reply), self._detail(stage), ok=reply.code < 400)
        elif event[0] == FAILED:
            _, stage, cause, text, last, permanent = event
            failure = Failure(stage, cause, text, reply=last, permanent=permanent)
            failure.in_flight = self.session.in_flight
            failure.unsure = self.session.unsure
            raise failure

    # Reporting

    def _detail(self, stage: str) -> dict[str, str]:
        session = self.session
        if stage == "ehlo":
            return {"extensions": ", ".join(f"{k} {v}".strip() for k, v in session.opening.extensions.items())}
        return {"mechanism": session.opening.mechanism} if stage == "login" else {}

    def _step(self, stage: str, text: str, detail: dict[str, str] | None = None, *, ok: bool = True) -> None:
        if self._on_step:
            now = monotonic()
            self._on_step(Step(stage, ok, text, now - self._step_began, detail or {}))
            self._step_began = monotonic()

    def _report(self, failure: Failure) -> None:
        self._step(failure.stage, str(failure).partition(": ")[2], failure.detail, ok=False)

    # Closing

    def close(self) -> None:
        """Say goodbye if the dialogue allows it, and close. Never fails."""
        if self._transport and self._session and self._session.idle:
            session = self._session
            self._limit = min(self._limit, GOODBYE)
            session.quit()
            self._write(session.take())
            while not session.over:
                self._read()
        self.drop()

    def drop(self) -> None:
        """Close without a word: whatever was not completed stays undone on the server."""
        if self._transport:
            self._transport.close()
            self._transport = None
