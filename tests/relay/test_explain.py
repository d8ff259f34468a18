"""Failures in plain words: for what people really meet, the advice that mends it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mailrelay.config.settings import Smarthost
from mailrelay.courier.explain import VERDICTS, explain, explain_reply, rules
from mailrelay.courier.failure import Failure
from mailrelay.smtp.client import LOGIN_CODES
from mailrelay.smtp.reply import Reply
from mailrelay.smtp.reply_reader import as_reply

CAUSES = (
    *("cleartext", "no-such-name", "name-timeout", "refused", "timeout", "unreachable"),
    *("cert-expired", "cert-not-yet-valid"),
    *("cert-wrong-name", "cert-untrusted", "cert-fingerprint", "ca-file", "tls-protocol", "no-starttls"),
    *("login-refused", "login-required", "no-common-auth", "rejected", "closing", "garbage", "lost"),
)
STAGES = (
    *("name", "connect", "tls", "certificate", "banner", "ehlo", "starttls", "login"),
    *("mail", "rcpt", "data", "dot", "quit", "lost"),
)


ANSWERS = [
    (*line.split("\t"), "", "", "", "")[:7]
    for line in (Path(__file__).parents[1] / "data" / "provider-answers.tsv").read_text().splitlines()
    if line[:1] != "#"
]


def smarthost(host: str = "smtp.example.org", port: int = 587, tls: str = "starttls", auth: str = "auto") -> Smarthost:
    return Smarthost(name="test", host=host, port=port, tls=tls, auth=auth)


def reply(line: str) -> Reply:
    return as_reply(int(line[:3]), [line[4:].encode()])


def hint(stage: str, cause: str, answer: str = "", detail: dict[str, str] | None = None, **host: Any) -> str:
    said = reply(answer) if answer else None
    return explain(Failure(stage, cause, said.text if said else "", reply=said, detail=detail), smarthost(**host))[1]


def judge(stage: str, answer: str, **host: Any) -> tuple[str, str]:
    """Return verdict and hint for what the client makes of an answer."""
    if stage == "offers":
        text = f"the server offers only {answer} to log in by"
        return explain(Failure("login", "no-common-auth", text), smarthost(**host))
    said = reply(answer)
    cause = "login-refused" if stage == "login" else "rejected" if stage in ("banner", "ehlo") else ""
    if said.code == 421:
        cause = "closing"
    elif stage == "mail" and said.code in (*LOGIN_CODES, 503):
        stage, cause = "login", "login-required"
    if cause:
        return explain(Failure(stage, cause, said.text, reply=said), smarthost(**host))
    return explain_reply(said, stage, smarthost(**host))


@pytest.mark.parametrize(("host", "stage", "answer", "verdict", "words", "never", "options"), ANSWERS)
def test_what_providers_answer_is_the_fault_of_whom_it_is_and_says_what_to_change(
    host: str, stage: str, answer: str, verdict: str, words: str, never: str, options: str
) -> None:
    values = dict(option.split("=") for option in options.split() if "=" in option)
    found, text = judge(stage, answer, host=host, **values)
    assert found in verdict.split("|"), text
    assert re.search(words, text), text
    assert never in ("", "-") or not re.search(never, text), text
    if options != "host" and "smtp-relay.gmail.com" not in (host if stage == "ehlo" else ""):
        assert judge(stage, answer, host="smtp.example.org", **values)[0] in verdict.split("|"), "at any host"


def test_advice_that_quotes_the_provider_has_its_code() -> None:
    assert judge("dot", "554 5.7.99 never seen")[1].endswith("It said: 554 5.7.99 never seen")


@pytest.mark.parametrize(
    ("host", "answer", "words"),
    [
        ("smtp.gmail.com", "535 5.7.8 Username and Password not accepted.", "App Password"),
        ("smtp.gmail.com", "534 5.7.9 Application-specific password required.", "App Password"),
        (
            "smtp.office365.com",
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled",
            "SMTP AUTH",
        ),
        ("smtp.office365.com", "535 5.7.3 Authentication unsuccessful", "Authenticated SMTP"),
        ("mail.example.org", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled", "Microsoft"),
        ("smtp-mail.outlook.com", "535 5.7.139 Authentication unsuccessful", "OAuth2"),
        ("smtp.mail.yahoo.com", "535 5.7.0 (#AUTH005) Too many bad auth attempts.", "app password"),
        ("smtp.mail.me.com", "535 5.7.8 Error: authentication failed", "app-specific"),
        ("smtp.fastmail.com", "535 5.7.0 Incorrect username or password", "app password"),
        ("smtp.zoho.eu", "535 Authentication Failed", "smtp.zoho.eu"),
        ("mail.gmx.net", "535 Authentication credentials invalid", "POP3"),
        ("smtp.web.de", "535 Authentication credentials invalid", "POP3"),
        ("email-smtp.eu-central-1.amazonaws.com", "535 Authentication Credentials Invalid", "SMTP credentials"),
        ("smtp.sendgrid.net", "535 Authentication failed: Bad username / password", "apikey"),
        ("mail.example.org", "535 5.7.8 Error: authentication failed", "username and password"),
        ("mail.example.org", "534 5.7.9 Application-specific password required", "app password"),
        ("smtp.gmail.com", "454 4.7.0 Too many login attempts, please try again later.", "tried again"),
    ],
)
def test_a_refused_login_says_what_this_provider_wants(host: str, answer: str, words: str) -> None:
    assert words in hint("login", "login-refused", answer, host=host)


@pytest.mark.parametrize(
    ("stage", "answer", "host", "words"),
    [
        ("dot", "554 5.2.252 SendAsDenied; x@y not allowed to send as z@y", "smtp.office365.com", "option sender"),
        ("dot", "550 5.7.60 Client does not have permissions to send as", "smtp.office365.com", "option sender"),
        ("mail", "553 5.7.1 <a@x>: Sender address rejected: not owned by user b", "mail.example.org", "option sender"),
        ("dot", "554 Message rejected: Email address is not verified.", "email-smtp.eu-west-1.amazonaws.com", "Verify"),
        ("dot", "550 5.4.5 Daily user sending limit exceeded.", "smtp.gmail.com", "limit for one day"),
        ("mail", "450 4.2.1 The user is receiving mail too quickly: rate limited", "x.example", "option rate"),
        ("dot", "552 5.3.4 Message size exceeds fixed limit", "mail.example.org", "max_message_size"),
        ("mail", "552 message size exceeds maximum", "mail.example.org", "max_message_size"),
        ("rcpt", "550 5.1.1 no such user", "mail.example.org", "typing mistake"),
        ("rcpt", "554 5.7.1 <a@x>: Relay access denied", "mail.example.org", "login"),
        ("local", "553 5.6.7 non-ASCII", "mail.example.org", "umlauts"),
        ("rcpt", "452 4.2.2 The email account is over quota", "mail.example.org", "option rate|full"),
        ("rcpt", "450 4.2.0 Greylisted, try again", "mail.example.org", "does not know yet"),
        ("dot", "550 5.7.1 this message is likely spam", "mail.example.org", "spam"),
        ("dot", "550 something else", "mail.example.org", "something else"),
        ("dot", "451 4.3.0 something else", "mail.example.org", "tried again"),
    ],
)  # fmt: skip
def test_an_answer_to_a_message_says_what_to_change(stage: str, answer: str, host: str, words: str) -> None:
    assert re.search(words, explain_reply(reply(answer), stage, smarthost(host))[1])


@pytest.mark.parametrize(
    ("stage", "cause", "port", "tls", "words"),
    [
        ("banner", "timeout", 465, "starttls", "tls to 'tls'"),
        ("banner", "tls-protocol", 465, "starttls", "tls to 'tls'"),
        ("banner", "tls-protocol", 8465, "starttls", "tls to 'tls'"),
        ("tls", "tls-protocol", 587, "tls", "tls to 'starttls'"),
        ("connect", "timeout", 25, "starttls", "block port 25"),
        ("connect", "timeout", 587, "starttls", "blocks? this port"),
        ("connect", "refused", 587, "starttls", "refuses connections"),
        ("starttls", "no-starttls", 587, "starttls", "offers no encryption"),
        ("name", "name-timeout", 587, "starttls", "WAN"),
        ("name", "no-such-name", 587, "starttls", "typing mistake"),
        ("ehlo", "rejected", 587, "starttls", "option hostname"),
        ("login", "login-required", 587, "starttls", "username and password"),
        ("certificate", "cert-not-yet-valid", 587, "starttls", "date and time"),
    ],
)
def test_a_wrong_setting_is_named_with_the_right_one(stage: str, cause: str, port: int, tls: str, words: str) -> None:
    assert re.search(words, hint(stage, cause, port=port, tls=tls)), hint(stage, cause, port=port, tls=tls)


def test_certificates_are_explained_with_their_facts() -> None:
    detail = {
        "names": "mail.example.org",
        "not_after": "2026-01-01 00:00 UTC",
        "issuer": "CN=Firewall",
        "sha256": "abc",
    }
    wrong_name = hint("certificate", "cert-wrong-name", detail=detail, host="10.0.0.1")
    assert "is for mail.example.org, not for 10.0.0.1" in wrong_name
    assert "2026-01-01" in hint("certificate", "cert-expired", detail=detail)
    untrusted = hint("certificate", "cert-untrusted", detail=detail)
    assert "CN=Firewall" in untrusted
    assert "don't send" in untrusted and "abc" not in untrusted, "a fingerprint is read where the server is"


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_at_every_stage_has_advice_without_gaps(cause: str) -> None:
    for stage in STAGES:
        for host, port, tls in (("smtp.gmail.com", 465, "tls"), ("x.example", 25, "none"), ("x", 587, "starttls")):
            text = hint(stage, cause, "550 5.0.0 {curly} %s", host=host, port=port, tls=tls)
            assert text.endswith((".", ")", "(unknown)", "%s")), text
            assert not re.search(r"\{(?!curly)", text)


def test_what_a_server_says_is_not_taken_for_a_place_to_fill_in() -> None:
    assert "{host} {0}" in explain_reply(reply("550 {host} {0}"), "dot", smarthost())[1]


def test_the_table_holds_only_conditions_that_exist_and_no_rule_that_cannot_be_reached() -> None:
    seen = []
    for conditions, verdict, code, text in rules():
        assert set(conditions) <= {"host", "port", "tls", "auth", "cause", "stage", "code", "enhanced", "text"}, (
            conditions
        )
        assert verdict in VERDICTS
        assert text and re.fullmatch("[a-z0-9-]+", code)
        assert conditions not in seen
        seen.append(conditions)
        for cause in conditions.get("cause", []):
            assert cause == "login-*" or cause in CAUSES
        assert set(conditions.get("stage", [])) <= {*STAGES, "local"}
        assert all(word == word.lower() for word in conditions.get("text", []))
    assert seen[-1] == {}
    assert {} not in seen[:-1]


def test_each_advice_has_an_id_of_its_own_and_what_is_filled_in() -> None:
    texts = [(code, text) for *_, code, text in rules()]
    assert len(dict(texts)) == len({text for _, text in texts}), "the same words have the same id"
    failure = Failure("name", "name-timeout", "no answer {host}")
    _, advice = explain(failure, smarthost("mail.example.org"))
    assert (advice.code, advice.values) == ("name-timeout", {"host": "mail.example.org"})
    assert advice.words()[1:] == ["name-timeout", "host=mail.example.org"]
    assert "typing mistake" in advice
    refused = explain_reply(reply("550 5.7.1 this message is likely spam"), "dot", smarthost())[1]
    assert (refused.code, refused.values) == ("spam", {}), "the answer itself is told beside it"
