"""A real connection to a scripted provider: every failure has its stage and cause, and no wait is without an end."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailrelay.courier import transport
from mailrelay.courier.failure import Failure, Step
from mailrelay.courier.smarthost import SmarthostConnection, ehlo_name
from mailrelay.smtp.transaction import Transaction
from tests.relay.sending import PASSWORD, USERS, deliver, failure_of, mail, smarthost
from tests.support.certificates import Certificates
from tests.support.scripted_provider import Delay, Drip, Drop, DropAfter, Hang, Say, ScriptedProvider
from tests.support.scripted_provider import Step as ScriptStep


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class TestDelivery:
    def test_what_is_sent_arrives_exactly(self) -> None:
        content = b"Subject: x\r\n\r\n..dot\r\n\xff\x80\r\n\r\n"
        with ScriptedProvider() as provider:
            (outcome,) = deliver(smarthost(provider), [mail(b"a@x", b"b@x", content=content, size=7, eightbit=True)])
            assert outcome.delivered
            (message,) = provider.messages
            assert (message.helo, message.sender) == (b"router.example.org", b"plc@example.org")
            assert (message.recipients, message.parameters) == ([b"a@x", b"b@x"], [b"SIZE=7", b"BODY=8BITMIME"])
            assert (message.raw, message.data) == (content, content.replace(b"..dot", b".dot"))
            assert provider.violations == []
            assert provider.commands()[-1] == b"QUIT"

    @pytest.mark.parametrize("hostname", [b"OpenWrt", b"localhost", b"mailrelay"])
    def test_a_name_without_a_dot_gives_way_to_the_connections_own_address(self, hostname: bytes) -> None:
        with ScriptedProvider() as provider:
            with SmarthostConnection(smarthost(provider), hostname) as up:
                list(up.deliver([mail(b"a@x")]))
            assert provider.messages[0].helo == b"[127.0.0.1]"

    @pytest.mark.parametrize(
        ("hostname", "address", "said"),
        [
            (b"router.lan", "192.168.8.100", b"router.lan"),
            (b"router", "192.168.8.100", b"[192.168.8.100]"),
            (b"router", "fe80::1", b"[IPv6:fe80::1]"),
        ],
    )
    def test_ehlo_says_a_full_name_or_a_literal(self, hostname: bytes, address: str, said: bytes) -> None:
        assert ehlo_name(hostname, address) == said

    @pytest.mark.parametrize("extensions", [("PIPELINING", "SIZE"), ("SIZE",), ()])
    def test_many_messages_go_over_one_connection(self, extensions: tuple[str, ...]) -> None:
        with ScriptedProvider(extensions=extensions) as provider:
            outcomes = deliver(smarthost(provider), [mail(b"%d@x" % i) for i in range(50)])
            assert all(outcome.delivered for outcome in outcomes)
            assert [message.recipients for message in provider.messages] == [[b"%d@x" % i] for i in range(50)]
            assert provider.connections == 1
            assert provider.violations == []

    def test_the_end_of_data_and_the_next_envelope_are_one_write(self) -> None:
        with ScriptedProvider() as provider:
            deliver(smarthost(provider), [mail(b"a@x"), mail(b"b@x")])
            assert b"Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<plc@example.org>\r\nRCPT TO:<b@x>\r\nDATA\r\n" in [
                data for _, who, data in provider.dialogue if who == "C"
            ]

    def test_one_transaction_is_taken_ahead_and_its_content_only_when_asked_for(self) -> None:
        log: list[str] = []

        def content(n: int) -> Iterator[bytes]:
            log.append(f"content {n}")
            yield b"x\r\n"

        def mails() -> Iterator[Transaction]:
            for n in range(3):
                log.append(f"taken {n}")
                yield Transaction(b"a@x", [b"b@x"], lambda n=n: content(n), tag=n)  # type: ignore[misc]

        with ScriptedProvider() as provider, SmarthostConnection(smarthost(provider), b"r") as up:
            for transaction, _ in up.deliver(mails()):
                log.append(f"result {transaction.tag}")
        assert log == [
            *("taken 0", "content 0", "taken 1", "result 0", "content 1"),
            *("taken 2", "result 1", "content 2", "result 2"),
        ]

    def test_a_large_message_streams_in_small_pieces(self) -> None:
        sent = 0

        def content() -> Iterator[bytes]:
            nonlocal sent
            for _ in range(300):
                sent += 1
                yield b"x" * 65534 + b"\r\n"

        with ScriptedProvider(extensions=()) as provider:
            (outcome,) = deliver(smarthost(provider), [Transaction(b"a@x", [b"b@x"], content)])
            assert outcome.delivered
            assert sent == 300
            assert len(provider.messages[0].raw) == 300 * 65536

    @pytest.mark.parametrize("chunks", [[b"x\r", b"\n"], [b"x", b"\r\n", b""], [b"x"], [b"x\r\n"]])
    def test_the_final_dot_stands_on_a_line_of_its_own(self, chunks: list[bytes]) -> None:
        with ScriptedProvider() as provider:
            deliver(smarthost(provider), [Transaction(b"a@x", [b"b@x"], lambda: chunks)])
            assert provider.messages[0].raw == b"x\r\n"

    def test_deliver_can_be_called_again(self) -> None:
        with ScriptedProvider() as provider, SmarthostConnection(smarthost(provider), b"r") as up:
            for _ in range(3):
                assert [outcome.delivered for _, outcome in up.deliver([mail(), mail()])] == [True, True]
            assert provider.connections == 1

    def test_refused_messages_and_recipients_let_the_others_go_on(self) -> None:
        script = {"mail#2": "451 4.3.0 later", "rcpt:2": "550 5.1.1 no"}
        script |= {"data#3": "451 4.3.0 later", "dot#2": "554 5.6.0 no"}
        with ScriptedProvider(script) as provider:
            outcomes = deliver(smarthost(provider), [mail(b"a@x", b"b@x") for _ in range(5)])
            codes = [[reply.code for reply in outcome.recipients] for outcome in outcomes]
            assert codes == [[250, 550], [451, 451], [451, 550], [554, 550], [250, 550]]
            assert [outcome.stage for outcome in outcomes] == ["dot", "mail", "data", "dot", "dot"]
            assert provider.violations == []

    def test_an_exception_in_the_content_completes_nothing_and_comes_out_after_the_known_results(self) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half\r\n" * 20000
            raise OSError("disk")

        results = []
        with ScriptedProvider() as provider, SmarthostConnection(smarthost(provider), b"r") as up:
            with pytest.raises(OSError, match="disk"):
                for _, outcome in up.deliver([mail(), Transaction(b"a@x", [b"b@x"], broken), mail()]):
                    results.append(outcome)
            assert len(results) == len(provider.messages) == 1

    def test_leaving_the_loop_early_completes_nothing_more(self) -> None:
        with ScriptedProvider() as provider, SmarthostConnection(smarthost(provider), b"r") as up:
            for _ in up.deliver([mail() for _ in range(5)]):
                break
            gc.collect()
            provider.wait_for(lambda provider: not provider._open)
            assert len(provider.messages) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"250 " + b"x" * 100_000 + b"\r\n",
        b"250-x\r\n" * 200 + b"250 ok\r\n",
        b"250ok\r\n",
        b"250-2.0.0 queued\r\nas ever\r\n250\r\n",
    ],
)
def test_a_250_to_the_dot_counts_however_odd_its_text_and_the_next_mail_goes(answer: bytes) -> None:
    with ScriptedProvider({"dot#1": answer}) as provider:
        outcomes = deliver(smarthost(provider), [mail(), mail()])
        assert ([outcome.delivered for outcome in outcomes], provider.connections) == ([True, True], 1)


@pytest.mark.parametrize(
    ("script", "stage", "cause", "code"),
    [
        ({"connect": Drop()}, "banner", "lost", 0),
        ({"banner": "554 5.7.1 go away"}, "banner", "rejected", 554),
        ({"banner": b"SSH-2.0-OpenSSH_9.2p1\r\n"}, "banner", "garbage", 0),
        ({"ehlo": "421 4.7.0 Try again later, closing connection. (EHLO)"}, "ehlo", "closing", 421),
        ({"mail": "530 5.7.0 Authentication required"}, "login", "login-required", 530),
        ({"rcpt": Drop()}, "rcpt", "lost", 0),
        ({"data": "250 what?"}, "data", "garbage", 250),
        ({"dot": "421 4.3.2 shutting down"}, "dot", "closing", 421),
        ({"dot": Drop()}, "dot", "lost", 0),
        ({"dot": DropAfter()}, "dot", "lost", 0),
        ({"dot": b"\x00\x01\x02\r\n"}, "dot", "garbage", 0),
    ],
)
def test_each_failure_of_the_dialogue_has_its_stage_and_cause(
    script: dict[str, Any], stage: str, cause: str, code: int
) -> None:
    message = mail()
    with ScriptedProvider(script) as provider:
        failure = failure_of(smarthost(provider), [message])
    assert (failure.stage, failure.cause, failure.code) == (stage, cause, code)
    if provider.count("mail"):
        assert failure.in_flight == [message]
    assert (failure.unsure is message) == (stage == "dot" and code != 421)


@pytest.mark.parametrize("step", ["connect", "banner", "ehlo", "mail", "rcpt", "data", "dot"])
def test_a_hanging_server_is_given_up_in_time(step: str) -> None:
    with ScriptedProvider({step: Hang()}) as provider:
        began = time.monotonic()
        failure = failure_of(smarthost(provider, timeout=0.3))
        assert time.monotonic() - began < 10
    assert failure.cause == "timeout"
    assert failure.stage == {"connect": "banner"}.get(step, step)
    assert (failure.unsure is not None) == (step == "dot")


def test_a_reply_that_trickles_does_not_extend_its_limit() -> None:
    with ScriptedProvider({"ehlo": Drip(0.05)}) as provider:
        assert failure_of(smarthost(provider, timeout=0.4)).cause == "timeout"


def test_slow_replies_within_the_limit_are_waited_for() -> None:
    with ScriptedProvider({"banner": Drip(0.01), "mail": Delay(0.3), "dot": Drip(0.02)}) as provider:
        assert deliver(smarthost(provider, timeout=2), [mail()])[0].delivered


def test_the_answer_to_the_dot_has_ten_times_the_limit() -> None:
    with ScriptedProvider({"dot": Delay(1.5)}) as provider:
        assert deliver(smarthost(provider, timeout=0.3), [mail()])[0].delivered


def test_a_server_that_takes_no_more_data_is_given_up_in_time() -> None:
    release = threading.Event()

    def script(step: ScriptStep) -> None:
        if step.name == "content":
            release.wait(20)

    with ScriptedProvider(script) as provider:
        big = mail(content=b"x" * 62 + b"\r\n", size=1)
        big.content = lambda: iter([b"y" * 65534 + b"\r\n"] * 1000)
        failure = failure_of(smarthost(provider, timeout=0.1), [big])
        release.set()
    assert (failure.stage, failure.cause) == ("dot", "timeout")
    assert failure.unsure is None


def test_a_server_that_takes_data_byte_by_byte_is_given_up_in_time() -> None:
    class Sock:
        setsockopt = settimeout = lambda *_: None

        def send(self, data: bytes) -> int:
            time.sleep(0.01)
            return 1

    with pytest.raises(TimeoutError):
        transport.Transport(Sock(), 1.0, transport.Deadline()).write(b"x" * 1000, 0.1)  # type: ignore[arg-type]


def test_after_a_failure_there_is_only_failure() -> None:
    with ScriptedProvider({"mail": "421 bye"}) as provider, SmarthostConnection(smarthost(provider), b"r") as up:
        for _ in range(2):
            with pytest.raises(Failure):
                list(up.deliver([mail()]))


def test_a_connection_that_ended_while_idle_leaves_nothing_unsure() -> None:
    with (
        ScriptedProvider({"dot#1": Say("250 2.0.0 ok, and bye")}) as provider,
        SmarthostConnection(smarthost(provider), b"r") as up,
    ):
        assert len(list(up.deliver([mail()]))) == 1
        message = mail()
        with pytest.raises(Failure) as caught:
            list(up.deliver([message]))
        assert caught.value.cause == "lost"
        assert caught.value.in_flight == [message]
        assert caught.value.unsure is None


def test_results_known_come_before_the_failure() -> None:
    mails = [mail(b"%d@x" % i) for i in range(5)]
    with ScriptedProvider({"dot#3": DropAfter()}) as provider:
        failure = failure_of(smarthost(provider), mails)
        assert [transaction for transaction, _ in failure.results] == mails[:2]  # type: ignore[attr-defined]
        assert failure.in_flight == mails[2:4]
        assert failure.unsure is mails[2]
        assert len(provider.messages) == 3


def test_a_refusal_in_the_middle_of_the_content_is_the_answer_to_the_message() -> None:
    big = mail()
    chunks = iter([b"y" * 65534 + b"\r\n"] * 2000)
    big.content = lambda: chunks
    with ScriptedProvider({"content": Say("552 5.3.4 too big")}) as provider:
        with SmarthostConnection(smarthost(provider), b"r") as up:
            stream = up.deliver([big])
            _, outcome = next(stream)
            assert outcome.recipients[0].code == 552
            with pytest.raises(Failure):
                next(stream)
        assert provider.messages == []
    assert sum(1 for _ in chunks) > 100


def test_hurry_ends_any_wait_soon() -> None:
    with ScriptedProvider({"dot": Hang()}) as provider:
        up = SmarthostConnection(smarthost(provider, timeout=60), b"r")
        up.open()
        timer = threading.Timer(0.2, up.hurry, [0.3])
        timer.start()
        began = time.monotonic()
        with pytest.raises(Failure) as caught:
            list(up.deliver([mail()]))
        up.close()
        assert time.monotonic() - began < 3
        assert (caught.value.stage, caught.value.cause) == ("dot", "timeout")


class TestLogin:
    @pytest.mark.parametrize("method", ["auto", "plain", "login", "cram-md5"])
    def test_every_mechanism_logs_in(self, method: str) -> None:
        with ScriptedProvider(users=USERS) as provider:
            host = smarthost(provider, username="user", password=PASSWORD, auth=method)
            assert deliver(host, [mail()])[0].delivered
            assert provider.messages[0].username == "user"

    @pytest.mark.parametrize("method", ["plain", "login", "cram-md5"])
    def test_a_wrong_password_is_the_owners_business_and_shows_nowhere(self, method: str) -> None:
        steps: list[Step] = []
        with ScriptedProvider(users=USERS) as provider:
            host = smarthost(provider, username="user", password="falsch-Pa55", auth=method)
            failure = failure_of(host, on_step=steps.append)
            assert (failure.stage, failure.cause) == ("login", "login-refused")
            assert (failure.code, failure.enhanced) == (535, "5.7.8")
            shown = (
                str(failure) + repr(failure) + repr(vars(failure)) + repr([(step.text, step.detail) for step in steps])
            )
            assert "falsch" not in shown
            assert not provider.count("mail")

    def test_no_login_is_offered(self) -> None:
        with ScriptedProvider() as provider:
            failure = failure_of(smarthost(provider, username="user", password=PASSWORD))
            assert (failure.stage, failure.cause) == ("login", "no-common-auth")
            assert "offers no login" in failure.text

    def test_auth_none_and_no_username_log_in_nowhere(self) -> None:
        with ScriptedProvider(users=USERS) as provider:
            for options in ({"auth": "none", "username": "user", "password": PASSWORD}, {}):
                assert failure_of(smarthost(provider, **options)).cause == "login-required"
            assert not provider.count("auth")


class TestConnecting:
    def test_no_such_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resolver(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        failure = failure_of(smarthost(host="smtp.example.invalid"))
        assert (failure.stage, failure.cause) == ("name", "no-such-name")

    @pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL])
    def test_no_name_server(self, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
        """musl makes EAI_FAIL of REFUSED, which OpenWrt's dnsmasq answers while there is no connection."""
        self.resolver(monkeypatch, socket.gaierror(error, "Temporary failure in name resolution"))
        failure = failure_of(smarthost(host="smtp.example.org"))
        assert (failure.stage, failure.cause) == ("name", "name-timeout")

    def test_a_name_server_that_hangs_is_given_up_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        release = threading.Event()
        self.resolver(monkeypatch, lambda: release.wait(20))
        began = time.monotonic()
        failure = failure_of(smarthost(host="smtp.example.org", timeout=0.2))
        release.set()
        assert time.monotonic() - began < 3
        assert (failure.stage, failure.cause) == ("name", "name-timeout")

    def resolver(self, monkeypatch: pytest.MonkeyPatch, answer: OSError | Callable[[], object]) -> None:
        def getaddrinfo(host: bytes, *rest: Any) -> list[Any]:
            assert isinstance(host, bytes)
            if rest[-1] & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "not a number")
            if isinstance(answer, OSError):
                raise answer
            answer()
            return []

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def test_a_name_with_umlauts_is_said_to_be_wrong(self) -> None:
        assert failure_of(smarthost(host="smtp.bücher.example")).cause == "no-such-name"

    def test_refused(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        failure = failure_of(smarthost(port=port))
        assert (failure.stage, failure.cause) == ("connect", "refused")
        assert f"127.0.0.1 port {port}" in failure.text

    def test_connect_timeout(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            fillers = []
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())
                fillers.append(filler)
            failure = failure_of(smarthost(port=server.getsockname()[1], timeout=0.2))
            for filler in fillers:
                filler.close()
        assert (failure.stage, failure.cause) == ("connect", "timeout")

    def test_all_addresses_are_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedProvider() as provider:
            dead = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))
            alive = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", provider.port))
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [dead, alive])
            assert deliver(smarthost(provider, host="localhost"), [mail()])[0].delivered

    def test_the_family_can_be_chosen(self) -> None:
        with ScriptedProvider(host="::1") as provider:
            host = smarthost(provider, host="::1", family="ipv6")
            assert deliver(host, [mail()])[0].delivered
            assert failure_of(smarthost(provider, host="::1", family="ipv4")).stage == "name"

    def test_every_step_is_told_with_its_time(self, certificates: Certificates) -> None:
        steps: list[Step] = []
        with ScriptedProvider(tls="starttls", certificate=certificates.good, users=USERS) as provider:
            host = smarthost(provider, username="user", password=PASSWORD, ca_file=str(certificates.ca_file))
            deliver(host, [mail()], on_step=steps.append)
            peer = f"127.0.0.1 port {provider.port}"
        assert [step.stage for step in steps] == [
            *("name", "connect", "banner", "ehlo", "starttls", "tls", "certificate", "ehlo", "login"),
            *("mail", "rcpt", "data", "dot"),
        ]
        assert all(step.ok and step.seconds >= 0 for step in steps)
        assert steps[1].text == peer
        assert steps[5].text.startswith("TLSv1.")
        assert steps[8].detail == {"mechanism": "PLAIN"}
        assert PASSWORD not in repr([(step.text, step.detail) for step in steps])


def test_without_tls_nothing_goes_to_a_public_address_unless_the_owner_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    public = [(socket.AF_INET, (b"203.0.113.7", 25)), (socket.AF_INET, (b"127.0.0.1", 9))]
    tried: list[object] = []

    def connect(addresses: list[object], *_: object) -> object:
        tried.extend(addresses)
        raise Failure("connect", "refused", "no")

    monkeypatch.setattr(transport, "connect", connect)
    for found, allowed, expected in (
        (public[:1], False, "cleartext"),
        (public, False, "refused"),
        (public, True, "refused"),
    ):
        tried.clear()
        monkeypatch.setattr(transport, "resolve", lambda *_, found=found: found)
        with pytest.raises(Failure) as caught:
            SmarthostConnection(smarthost(host="mail.example.org", allow_cleartext=allowed), b"relay.test").open()
        assert caught.value.cause == expected
        assert tried == ([] if expected == "cleartext" else public if allowed else public[1:])
