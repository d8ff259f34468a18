"""The client session by example: what it says, and what it makes of each answer."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest

from mailrelay.smtp.client import CONTENT, FAILED, READY, RESULT, STARTTLS, STEP, Session
from mailrelay.smtp.login import Login
from mailrelay.smtp.transaction import Outcome, Transaction

GREETING = b"220 mx ESMTP\r\n250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000\r\n"
PASSWORD = "geheim-Pa55"


def transaction(*recipients: bytes, sender: bytes = b"plc@example.org", **more: Any) -> Transaction:
    return Transaction(sender, recipients or (b"me@example.org",), lambda: [b"x\r\n"], **more)


def ready(greeting: bytes = GREETING, **options: Any) -> Session:
    """A session after its greeting, all said so far taken away."""
    session = Session(b"router.example.org", **options)
    events = session.receive(greeting)
    assert events[-1] == (READY,), events
    session.take()
    return session


def only(events: list[Any], kind: int) -> list[Any]:
    return [event for event in events if event[0] == kind]


def result(events: list[Any]) -> Outcome:
    (event,) = only(events, RESULT)
    outcome: Outcome = event[2]
    return outcome


def failed(events: list[Any]) -> tuple[str, str]:
    (event,) = only(events, FAILED)
    return event[1], event[2]


def codes(outcome: Outcome) -> list[int]:
    return [reply.code for reply in outcome.recipients]


class TestGreeting:
    def test_ehlo_says_the_hostname(self) -> None:
        session = Session(b"router.example.org")
        assert session.take() == b""
        session.receive(b"220 mx\r\n")
        assert session.take() == b"EHLO router.example.org\r\n"

    def test_helo_where_ehlo_is_not_known(self) -> None:
        session = Session(b"r")
        session.receive(b"220 mx\r\n")
        session.receive(b"502 what?\r\n")
        assert session.take() == b"EHLO r\r\nHELO r\r\n"
        assert session.receive(b"250 mx\r\n") == [(READY,)]

    @pytest.mark.parametrize(
        ("options", "wire", "expected"),
        [
            ({}, b"554 go away\r\n", ("banner", "rejected")),
            ({}, b"421 busy\r\n", ("banner", "closing")),
            ({}, b"220 x\r\n550 localhost?\r\n550 no\r\n", ("ehlo", "rejected")),
            ({}, b"220 x\r\n421 busy\r\n", ("ehlo", "closing")),
            ({}, b"\x16\x03\x01\n", ("banner", "garbage")),
            ({"starttls": True}, b"220 x\r\n250 mx\r\n", ("starttls", "no-starttls")),
            ({"starttls": True}, b"220 x\r\n502 what?\r\n", ("starttls", "no-starttls")),
            ({"starttls": True}, b"220 x\r\n550 localhost?\r\n", ("ehlo", "rejected")),
            ({"starttls": True}, b"220 x\r\n250-mx\r\n250 STARTTLS\r\n454 not now\r\n", ("starttls", "no-starttls")),
            ({"login": Login("u", "p")}, b"220 x\r\n250 mx\r\n", ("login", "no-common-auth")),
            ({"login": Login("u", "p")}, b"220 x\r\n250-mx\r\n250 AUTH XOAUTH2\r\n", ("login", "no-common-auth")),
            (
                {"login": Login("u", "p", "plain")},
                b"220 x\r\n250-mx\r\n250 AUTH LOGIN\r\n",
                ("login", "no-common-auth"),
            ),
        ],
    )
    def test_each_way_to_refuse_has_its_stage_and_cause(
        self, options: dict[str, Any], wire: bytes, expected: tuple[str, str]
    ) -> None:
        session = Session(b"r", **options)
        assert failed(session.receive(wire)) == expected
        assert session.over

    def test_what_was_said_before_the_handshake_is_forgotten(self) -> None:
        session = Session(b"r", starttls=True)
        session.receive(b"220 mx\r\n250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
        events = session.receive(b"220 go\r\n250-injected\r\n250 SMTPUTF8\r\n235 welcome\r\n")
        assert events == [(STARTTLS,)]
        assert session.receive(b"250 more of it\r\n") == []
        session.take()
        session.secured()
        assert session.take() == b"EHLO r\r\n"
        assert session.opening.extensions == {}
        assert session.receive(b"250 mx\r\n") == [(READY,)]

    def test_no_login_and_no_helo_without_the_tls_that_is_due(self) -> None:
        session = Session(b"r", starttls=True, login=Login("u", PASSWORD))
        session.receive(b"220 mx\r\n250-mx\r\n250 AUTH PLAIN LOGIN\r\n")
        assert session.take() == b"EHLO r\r\n"
        assert session.over


# What is said to log in, and what it is answered.
PLAIN = (b"AUTH PLAIN " + base64.b64encode(b"\0user\0" + PASSWORD.encode()), b"235 welcome")
LOGIN = [
    (b"AUTH LOGIN", b"334 VXNlcm5hbWU6"),
    (base64.b64encode(b"user"), b"334 UGFzc3dvcmQ6"),
    (base64.b64encode(PASSWORD.encode()), b"235 welcome"),
]
CRAM_MD5 = [
    (b"AUTH CRAM-MD5", b"334 " + base64.b64encode(b"<1@mx>")),
    (base64.b64encode(b"user " + hmac.new(PASSWORD.encode(), b"<1@mx>", "md5").hexdigest().encode()), b"235 welcome"),
]


class TestLogin:
    def login(self, offered: str, username: str = "user") -> Session:
        session = Session(b"r", secure=True, login=Login(username, PASSWORD))
        session.receive(b"220 mx\r\n250-mx\r\n250 AUTH " + offered.encode() + b"\r\n")
        return session

    @pytest.mark.parametrize(
        ("offered", "secure", "exchange", "mechanism"),
        [
            (b"AUTH LOGIN PLAIN", True, [PLAIN], "PLAIN"),
            (b"AUTH LOGIN", True, LOGIN, "LOGIN"),
            (b"AUTH=LOGIN\r\n250 AUTH NTLM", True, LOGIN, "LOGIN"),
            (b"AUTH PLAIN LOGIN", True, [(PLAIN[0], b"504 5.5.4 not that one"), *LOGIN], "LOGIN"),
            (b"AUTH PLAIN LOGIN CRAM-MD5", False, CRAM_MD5, "CRAM-MD5"),
            (b"AUTH CRAM-MD5 PLAIN", False, [(CRAM_MD5[0][0], b"535 5.7.8 Invalid mechanism"), PLAIN], "PLAIN"),
            (b"AUTH CRAM-MD5 PLAIN", False, [CRAM_MD5[0], (CRAM_MD5[1][0], b"535 5.7.8 no"), PLAIN], "PLAIN"),
        ],
    )
    def test_what_is_said_to_log_in(
        self, offered: bytes, secure: bool, exchange: list[tuple[bytes, bytes]], mechanism: str
    ) -> None:
        session = Session(b"r", secure=secure, login=Login("user", PASSWORD))
        session.receive(b"220 mx\r\n250-mx\r\n250" + (b"-" if b"\n" in offered else b" ") + offered + b"\r\n")
        for said, answer in exchange:
            assert session.take().removeprefix(b"EHLO r\r\n") == said + b"\r\n"
            events = session.receive(answer + b"\r\n")
        assert events == [(READY,)]
        assert session.opening.mechanism == mechanism

    def test_plain_too_long_for_a_command_waits_for_the_challenge(self) -> None:
        session = self.login("PLAIN", username="u" * 400)
        assert session.take().removeprefix(b"EHLO r\r\n") == b"AUTH PLAIN\r\n"
        session.receive(b"334 \r\n")
        assert base64.b64decode(session.take()).startswith(b"\0uuu")

    @pytest.mark.parametrize("end", [b"535 5.7.8 no\r\n", b""])
    def test_one_more_login_is_tried_after_cram_md5_and_the_refusal_told(self, end: bytes) -> None:
        session = Session(b"r", login=Login("user", PASSWORD))
        session.receive(b"220 mx\r\n250-mx\r\n250 AUTH CRAM-MD5 PLAIN LOGIN\r\n")
        session.receive(b"535 5.7.8 no\r\n")
        assert session.take().endswith(PLAIN[0] + b"\r\n")
        (event,) = session.receive(end)
        assert event[:4] == (FAILED, "login", "login-refused", "no")
        assert session.take() == b""

    def test_an_error_challenge_is_answered_with_an_empty_line(self) -> None:
        session = self.login("PLAIN")
        session.take()
        session.receive(b"334 " + base64.b64encode(b'{"status":"401"}') + b"\r\n")
        assert session.take() == b"\r\n"
        assert failed(session.receive(b"535 5.7.8 no\r\n")) == ("login", "login-refused")

    def test_endless_challenges_end(self) -> None:
        session = self.login("LOGIN")
        events = session.receive(b"334 x\r\n" * 50)
        assert failed(events) == ("login", "login-refused")

    @pytest.mark.parametrize("code", [454, 535])
    def test_a_refused_login_comes_with_its_reply(self, code: int) -> None:
        (event,) = only(self.login("PLAIN").receive(b"%d 4.7.0 try later\r\n" % code), FAILED)
        assert (event[2], event[4].code) == ("login-refused", code)

    def test_secrets_show_nowhere_even_if_the_server_repeats_them(self) -> None:
        session = self.login("PLAIN", username="user")
        session._verbose = True
        echoed = base64.b64encode(b"\0user\0" + PASSWORD.encode()).decode()
        events = session.receive(f"535-5.7.8 {echoed} is wrong\r\n535 {PASSWORD} too\r\n".encode())
        shown = repr(events) + repr(vars(session))
        assert failed(events) == ("login", "login-refused")
        assert PASSWORD not in shown
        assert echoed not in shown.replace(repr(session._pipeline.out), "")


class TestTransactions:
    def test_an_envelope_is_one_write(self) -> None:
        session = ready()
        session.submit(transaction(b"a@x", b"b@x", size=10, eightbit=True))
        assert session.take() == (
            b"MAIL FROM:<plc@example.org> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"
        )

    def test_the_next_envelope_rides_with_the_dot(self) -> None:
        session = ready()
        first, second = transaction(), transaction()
        session.submit(first)
        session.take()
        assert session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n") == [(CONTENT, first)]
        assert session.wants
        session.submit(second)
        assert not session.wants
        assert session.end_of_data() == (b".\r\nMAIL FROM:<plc@example.org>\r\nRCPT TO:<me@example.org>\r\nDATA\r\n")
        assert session.unsure is first
        assert session.in_flight == [first, second]
        events = session.receive(b"250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        assert [event[0] for event in events] == [RESULT, CONTENT]
        assert result(events).delivered
        assert session.unsure is None
        assert session.in_flight == [second]

    def test_a_line_left_open_is_closed_before_the_dot(self) -> None:
        session = ready()
        session.submit(transaction())
        session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        session.take()
        assert session.end_of_data(b"x") == b"\r\n.\r\n"

    def test_without_pipelining_every_command_waits(self) -> None:
        session = ready(b"220 mx\r\n250 mx\r\n")
        session.submit(transaction(b"a@x", b"b@x"))
        for expected in (b"MAIL FROM:<plc@example.org>\r\n", b"RCPT TO:<a@x>\r\n", b"RCPT TO:<b@x>\r\n"):
            assert session.take() == expected
            session.receive(b"250 ok\r\n")
        assert session.take() == b"DATA\r\n"
        session.receive(b"354 go\r\n")
        session.submit(transaction(b"c@x"))
        assert session.end_of_data() == b".\r\n"
        events = session.receive(b"250 ok\r\n")
        assert result(events).delivered
        assert session.take() == b"MAIL FROM:<plc@example.org>\r\n"

    def test_without_pipelining_nothing_is_asked_after_a_refused_mail(self) -> None:
        session = ready(b"220 mx\r\n250 mx\r\n")
        session.submit(transaction(b"a@x", b"b@x"))
        session.take()
        outcome = result(session.receive(b"451 later\r\n"))
        assert (codes(outcome), outcome.stage) == ([451, 451], "mail")
        assert session.idle
        assert session.take() == b""

    def test_without_pipelining_no_data_for_nobody_and_a_reset_before_the_next(self) -> None:
        session = ready(b"220 mx\r\n250 mx\r\n")
        session.submit(transaction(b"a@x"))
        session.receive(b"250 ok\r\n")
        session.take()
        outcome = result(session.receive(b"550 no\r\n"))
        assert (codes(outcome), outcome.stage, outcome.message) == ([550], "rcpt", None)
        session.submit(transaction(b"b@x"))
        assert session.take() == b"RSET\r\n"
        session.receive(b"250 ok\r\n")
        assert session.take() == b"MAIL FROM:<plc@example.org>\r\n"

    def test_many_recipients_go_in_groups(self) -> None:
        session = ready()
        session.submit(transaction(*(b"%d@x" % i for i in range(250))))
        assert session.take().count(b"\r\n") == 100
        session.receive(b"250 ok\r\n" * 99)
        assert session.take() == b""
        session.receive(b"250 ok\r\n")
        assert session.take().count(b"\r\n") == 100
        session.receive(b"250 ok\r\n" * 100)
        assert session.take().endswith(b"RCPT TO:<249@x>\r\nDATA\r\n")

    def test_refused_recipients_fail_while_the_others_go_on(self) -> None:
        session = ready()
        session.submit(transaction(b"a@x", b"b@x", b"c@x"))
        session.receive(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n450 later\r\n354 go\r\n")
        session.take()
        session.end_of_data()
        outcome = result(session.receive(b"250 queued\r\n"))
        assert codes(outcome) == [250, 550, 450]
        assert outcome.message
        assert outcome.message.text == "queued"
        assert not outcome.delivered

    @pytest.mark.parametrize(
        ("replies", "expected", "stage"),
        [
            (b"452 full\r\n503 no\r\n503 no\r\n503 no\r\n", [452, 452], "mail"),
            (b"550 bad sender\r\n250 ok\r\n250 ok\r\n554 no\r\n", [550, 550], "mail"),
            (b"250 ok\r\n550 no\r\n450 later\r\n554 nobody\r\n", [550, 450], "rcpt"),
            (b"250 ok\r\n250 ok\r\n550 no\r\n451 later\r\n", [451, 550], "data"),
            (b"250 ok\r\n250 ok\r\n250 ok\r\n554 no\r\n", [554, 554], "data"),
        ],
    )
    def test_a_refused_command_decides_for_its_recipients(
        self, replies: bytes, expected: list[int], stage: str
    ) -> None:
        session = ready()
        session.submit(transaction(b"a@x", b"b@x"))
        outcome = result(session.receive(replies))
        assert (codes(outcome), outcome.stage) == (expected, stage)
        assert session.idle
        session.take()
        session.submit(transaction(b"c@x"))
        assert session.take().startswith(b"RSET\r\n" if replies.startswith(b"250") else b"MAIL ")

    @pytest.mark.parametrize("refusal", [b"250 ok\r\n550 no\r\n", b"550 no\r\n503 no\r\n"])
    def test_data_granted_for_nobody_gets_the_lone_dot_which_counts_nothing(self, refusal: bytes) -> None:
        session = ready()
        session.submit(transaction())
        session.take()
        outcome = result(session.receive(refusal + b"354 go\r\n"))
        assert codes(outcome) == [550]
        assert session.take() == b".\r\n"
        session.submit(transaction(b"b@x"))
        assert session.take() == (b"MAIL FROM:<plc@example.org>\r\nRCPT TO:<b@x>\r\nDATA\r\n")
        assert session.unsure is None
        events = session.receive(b"250 queued, thank you\r\n250 ok\r\n250 ok\r\n354 go\r\n")
        assert [event[0] for event in events] == [CONTENT]

    @pytest.mark.parametrize(
        ("replies", "stage"),
        [(b"", "mail"), (b"250 ok\r\n", "rcpt"), (b"250 ok\r\n250 ok\r\n", "data")],
    )
    @pytest.mark.parametrize(("end", "cause"), [(b"421 bye\r\n", "closing"), (b"", "lost"), (b"huh\r\n", "garbage")])
    def test_the_connection_ending_anywhere_is_no_result(
        self, replies: bytes, stage: str, end: bytes, cause: str
    ) -> None:
        session = ready()
        mail = transaction()
        session.submit(mail)
        events = session.receive(replies) if replies else []
        events += session.receive(end)
        assert failed(events) == (stage, cause)
        assert not only(events, RESULT)
        assert session.in_flight == [mail]
        assert session.unsure is None

    def test_an_unanswered_dot_is_told_from_a_refused_one(self) -> None:
        for end, unsure in ((b"", True), (b"421 4.3.2 bye\r\n", False), (b"451 later\r\n", False)):
            session = ready()
            mail = transaction()
            session.submit(mail)
            session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
            session.end_of_data()
            session.receive(end)
            assert (session.unsure is mail) is unsure

    @pytest.mark.parametrize("begun", [b"250 2.0.0 Ok: que", b"250", b"250-2.0.0 Ok\r\n25"])
    @pytest.mark.parametrize("closed", [True, False])
    def test_an_answer_to_the_dot_that_breaks_off_counts_by_its_code(self, begun: bytes, closed: bool) -> None:
        session = ready()
        session.submit(transaction())
        session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        session.end_of_data()
        session.receive(begun)
        events = session.receive(b"") if closed else session.abandon("timeout", "no answer")
        assert (codes(result(events)), session.in_flight, session.unsure) == ([250], [], None)

    def test_a_refusal_within_the_content_is_the_answer_to_the_message(self) -> None:
        session = ready()
        session.submit(transaction())
        session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        events = session.receive(b"552 5.3.4 too big\r\n")
        assert codes(result(events)) == [552]
        assert failed(events)[1] == "closing"

    def test_an_answer_before_the_dot_never_counts_as_delivery(self) -> None:
        session = ready()
        session.submit(transaction())
        events = session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n")
        assert not only(events, RESULT)
        assert not only(events, CONTENT)
        assert only(events, FAILED)

    @pytest.mark.parametrize("code", [503, 530, 535])
    def test_mail_refused_for_lack_of_a_login_never_fails_a_message(self, code: int) -> None:
        session = ready()
        session.submit(transaction())
        events = session.receive(b"%d 5.7.0 Authentication required\r\n" % code)
        assert failed(events) == ("login", "login-required")
        assert not only(events, RESULT)

    def test_a_reply_of_its_step_goes_to_those_who_watch(self) -> None:
        session = ready(verbose=True)
        session.submit(transaction())
        events = session.receive(b"250 ok\r\n550 no\r\n554 nobody\r\n")
        assert [(event[1], event[2].code) for event in events if event[0] == STEP] == [
            ("mail", 250),
            ("rcpt", 550),
            ("data", 554),
        ]


class TestRefusedHere:
    def test_a_message_over_the_size_limit_is_not_sent(self) -> None:
        session = ready()
        outcome = result(session.submit(transaction(size=1001)))
        assert str(outcome.recipients[0]).startswith("552 5.3.4 ")
        assert outcome.stage == "local"
        assert session.take() == b""
        assert session.wants

    @pytest.mark.parametrize("limit", [b"SIZE 0", b"SIZE", b"SIZE lots"])
    def test_a_size_without_a_limit_limits_nothing(self, limit: bytes) -> None:
        session = ready(b"220 mx\r\n250-mx\r\n250 " + limit + b"\r\n")
        assert session.submit(transaction(size=10**9)) == []

    @pytest.mark.parametrize("mail", [transaction("ü@x".encode()), transaction(b"a@x", sender="ü@x".encode())])
    def test_a_non_ascii_envelope_needs_smtputf8(self, mail: Transaction) -> None:
        session = ready()
        assert str(result(session.submit(mail)).recipients[0]).startswith("553 5.6.7 ")
        assert session.take() == b""
        session = ready(b"220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n")
        session.submit(mail)
        assert b" SMTPUTF8\r\n" in session.take()

    def test_to_a_server_without_8bitmime_mail_says_no_body_and_content_learns_it(self) -> None:
        session = ready(b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n")
        mail = transaction(eightbit=True, size=5)
        session.submit(mail)
        assert mail.extensions.keys() == {"PIPELINING"}
        assert session.take().startswith(b"MAIL FROM:<plc@example.org>\r\n")

    def test_results_stay_in_order(self) -> None:
        session = ready()
        session.submit(transaction())
        session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        assert session.submit(transaction(size=5000)) == []
        assert session.wants
        session.take()
        session.end_of_data()
        assert [codes(event[2]) for event in session.receive(b"250 queued\r\n")] == [[250], [552]]

    @pytest.mark.parametrize(
        "address",
        [
            b"a@x\r\nRCPT TO:<b@x>",
            b"a@x\n",
            b"a\0@x",
            b"a@x> SIZE=1",
            b"a b@x",
            b"<a@x>",
            b'"a\r\n"@x',
            b'"a"b"@x',
            b'"a"@x y',
            b'"a\\',
        ],
    )
    def test_what_is_no_address_is_never_said(self, address: bytes) -> None:
        session = ready()
        outcome = result(session.submit(transaction(sender=address)))
        assert outcome.recipients[0].enhanced == "5.1.7"
        session.submit(transaction(address, b"good@x"))
        assert session.take() == b"MAIL FROM:<plc@example.org>\r\nRCPT TO:<good@x>\r\nDATA\r\n"
        session.receive(b"250 ok\r\n250 ok\r\n354 go\r\n")
        session.end_of_data()
        outcome = result(session.receive(b"250 queued\r\n"))
        assert codes(outcome) == [553, 250]

    @pytest.mark.parametrize("address", [b'"a b"@x', b'"a\\"b"@x', b"ilo.@x", b"a'b@x", b"root"])
    def test_odd_addresses_that_are_allowed_are_said_as_they_are(self, address: bytes) -> None:
        session = ready()
        session.submit(transaction(address, sender=b""))
        assert session.take() == b"MAIL FROM:<>\r\nRCPT TO:<" + address + b">\r\nDATA\r\n"

    def test_a_hostname_with_a_line_end_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(ValueError, match="line end"):
            Session(b"r\r\nQUIT").receive(b"220 mx\r\n")
