"""outcomes: which failure is the last whose cause is still there, and how each smarthost is."""

from __future__ import annotations

import pytest

from mailrelay.daemon.outcomes import Outcomes

HOSTS = {"a": "smtp.a.example:587", "b": "smtp.b.example:587"}
FIRST, SECOND = "0" * 16, "1" * 16


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


def fail(
    outcomes: Outcomes, now: float, queue_id: str = "", name: str = "a", stage: str = "dot", state: str = "waiting"
) -> None:
    deferred = "1" if queue_id and state else ""
    answer = f"451 4.3.0 not now, {now:.0f}"
    outcomes.note_failure(now, [queue_id, name, f"smtp.{name}.example", stage, state, deferred, answer, "do it", "id"])


def states(outcomes: Outcomes, now: float = 100.0) -> list[str]:
    return [provider["state"] for provider in outcomes.providers(HOSTS, {}, now, 0.0)]


def last(outcomes: Outcomes) -> str | None:
    failure = outcomes.last_failure(0.0)
    return None if failure is None else failure["id"] or failure["name"]


def test_a_mail_that_waits_is_the_last_failure_until_it_is_gone(outcomes: Outcomes) -> None:
    assert states(outcomes) == ["unknown", "unknown"]
    fail(outcomes, 1.0, FIRST)
    failure = outcomes.last_failure(1000.0)
    assert failure == {
        "time": 1001.0, "id": FIRST, "name": "a", "smarthost": "smtp.a.example", "stage": "dot", "deferred": True,
        "answer": "451 4.3.0 not now, 1", "advice": "do it", "advice_code": "id", "advice_values": {},
    }  # fmt: skip
    assert states(outcomes) == ["waiting", "unknown"]
    outcomes.note_success(2.0, SECOND, "b", "smtp.b.example")
    outcomes.note_success(3.0, SECOND, "a", "smtp.a.example")
    assert last(outcomes) == FIRST, "another smarthost's or mail's success does not hide it"
    assert states(outcomes) == ["waiting", "good"]
    outcomes.forget_mails({FIRST}.__contains__)
    assert last(outcomes) == FIRST
    outcomes.forget_mails(set().__contains__)
    assert last(outcomes) is None
    assert states(outcomes) == ["good", "good"]


def test_an_earlier_failure_is_shown_again_when_the_later_one_is_mended(outcomes: Outcomes) -> None:
    fail(outcomes, 1.0, FIRST)
    fail(outcomes, 2.0, name="b", stage="connect", state="bad")
    assert last(outcomes) == "b"
    outcomes.note_opened("b")
    assert last(outcomes) == FIRST
    assert states(outcomes) == ["waiting", "unknown"], "that it can be reached says not yet that it takes mail"


@pytest.mark.parametrize("stage", ["name", "connect", "certificate", "login"])
def test_what_fails_on_the_way_to_a_smarthost_is_mended_when_it_is_reached(outcomes: Outcomes, stage: str) -> None:
    fail(outcomes, 1.0, stage=stage, state="bad")
    assert (last(outcomes), states(outcomes)[0]) == ("a", "bad")
    outcomes.note_success(2.0, FIRST, "b", "smtp.b.example")
    outcomes.note_opened("b")
    assert (last(outcomes), states(outcomes)[0]) == ("a", "bad")
    outcomes.note_opened("a")
    assert last(outcomes) is None


def test_a_smarthost_that_breaks_off_is_bad_until_it_answers_or_takes_mail(outcomes: Outcomes) -> None:
    fail(outcomes, 1.0, stage="data", state="bad")
    outcomes.note_opened("a")
    assert states(outcomes)[0] == "bad"
    fail(outcomes, 2.0, FIRST)
    assert states(outcomes)[0] == "waiting"
    fail(outcomes, 3.0, stage="data", state="bad")
    outcomes.note_success(4.0, FIRST, "a", "smtp.a.example")
    outcomes.forget_mails(set().__contains__)
    assert (last(outcomes), states(outcomes)[0]) == (None, "good")


def test_a_setting_that_a_mail_was_refused_over_is_bad_until_mail_is_taken(outcomes: Outcomes) -> None:
    fail(outcomes, 1.0, FIRST, stage="mail", state="bad")
    outcomes.note_opened("a")
    outcomes.forget_mails(set().__contains__)
    assert (last(outcomes), states(outcomes)[0]) == (None, "bad"), "its mail was deleted, its cause is still there"
    outcomes.note_success(2.0, SECOND, "a", "smtp.a.example")
    assert states(outcomes)[0] == "good"


def test_a_smarthost_whose_last_mail_failed_is_not_green(outcomes: Outcomes) -> None:
    outcomes.note_success(1.0, SECOND, "a", "smtp.a.example")
    fail(outcomes, 2.0, FIRST, stage="rcpt", state="")
    assert states(outcomes)[0] == "waiting"
    outcomes.note_success(3.0, SECOND, "a", "smtp.a.example")
    assert (states(outcomes)[0], last(outcomes)) == ("good", FIRST)


def test_since_when_it_is_so_and_until_when_it_rests(outcomes: Outcomes) -> None:
    fail(outcomes, 5.0, FIRST)
    outcomes.providers(HOSTS, {}, 6.0, 0.0)
    fail(outcomes, 50.0, FIRST)
    (a, b) = outcomes.providers(HOSTS, {"host a": ["160.0", "1", ""]}, 60.0, 1000.0)
    assert (a["since"], a["next_try"], a["text"]) == (1005.0, 1160.0, "451 4.3.0 not now, 50")
    assert (b["since"], b["next_try"], b["text"]) == (None, None, "")
    for words in (["x"], ["nan"], ["inf"], ["-inf"], []):
        assert outcomes.providers(HOSTS, {"host a": words}, 60.0, 1000.0)[0]["next_try"] is None


def test_what_the_settings_have_no_more_is_forgotten(outcomes: Outcomes) -> None:
    fail(outcomes, 1.0, name="old", stage="connect", state="bad")
    outcomes.keep(HOSTS)
    assert last(outcomes) is None


def test_the_latest_of_many_mails_are_kept(outcomes: Outcomes) -> None:
    for number in range(1000):
        fail(outcomes, float(number), f"{number:016}")
    outcomes.forget_mails({f"{number:016}" for number in range(980)}.__contains__)
    assert last(outcomes) == f"{979:016}"
    assert len(outcomes.save()) < 40


def test_the_next_relay_goes_on_with_it(outcomes: Outcomes) -> None:
    outcomes.note_success(1.0, SECOND, "b", "smtp.b.example")
    fail(outcomes, 2.0, FIRST)
    fail(outcomes, 3.0, name="b", stage="connect", state="bad")
    states(outcomes)
    later = Outcomes()
    later.restore({**outcomes.save(), "host a": ["1", "2"]})
    for ask in (lambda one: one.last_failure(5.0), lambda one: one.last_success(5.0), states):
        assert ask(later) == ask(outcomes)
    for bad in ({"mail x": ["nan?"]}, {"success": ["1"]}, {"last a": []}):
        with pytest.raises((ValueError, IndexError)):
            Outcomes().restore(bad)
