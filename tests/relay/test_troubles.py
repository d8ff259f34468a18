"""What the owner is told of, as a table of what is met when. Nothing runs and no time passes."""

from __future__ import annotations

from mailrelay.core import ipc
from mailrelay.courier.explain import Advice
from mailrelay.courier.troubles import Troubles
from mailrelay.daemon import carried_state

NOW = 1000.0
DAY = 86400


class Desk:
    """One courier after the other; each knows what those before it learnt."""

    def __init__(self) -> None:
        self.state: dict[str, list[str]] = {}

    def report(self, kind: str, name: str, *words: str) -> None:
        if kind == "remember":
            self.state[name] = list(words)
        else:
            del self.state[name]

    def courier(self) -> Troubles:
        return Troubles(dict(self.state), self.report)


def test_a_trouble_is_told_once_and_once_more_each_day_that_it_lasts() -> None:
    desk = Desk()
    told = []
    for after, cause in ((0, "x"), (10, "x"), (20, "y"), (DAY, "y"), (DAY + 20, "y")):
        told.append(desk.courier().note("a", NOW + after, cause, "no") is not None)
    assert told == [True, False, True, False, True]
    assert desk.courier().end("a", "x") is None, "another one was mended"
    ended = desk.courier().end("a", "y")
    assert ended is not None and ended.since == NOW + 20
    assert desk.courier().end("a") is None, "once"
    assert desk.courier().note("a", NOW + DAY + 20 + 3601, "y", "no"), "it was mended in between"


def test_a_trouble_that_comes_and_goes_is_told_once_until_it_lasts_an_hour() -> None:
    desk = Desk()
    told = []
    for turn in range(10):
        told.append(desk.courier().note("a", NOW + 900 * turn, "x", "no") is not None)
        told.append(desk.courier().end("a") is not None)
    assert told == [True, True, *[False] * 18], "begun and mended, once"
    again = NOW + 900 * 10
    assert not desk.courier().note("a", again, "x", "no")
    assert not desk.courier().note("a", again + 3599, "x", "no")
    assert desk.courier().note("a", again + 3600, "x", "no")
    assert desk.courier().end("a"), "the owner knows of it"


def test_two_troubles_that_take_turns_are_told_once_each() -> None:
    desk = Desk()
    told = [desk.courier().note("a", NOW + 60 * turn, "xy"[turn % 2], "no") is not None for turn in range(10)]
    assert told == [True, True, *[False] * 8]


def test_what_has_come_and_gone_does_not_fill_the_memory() -> None:
    desk = Desk()
    for number in range(100):
        desk.courier().note(f"a {number}@x.org", NOW + number, "x", "no")
        desk.courier().end(f"a {number}@x.org")
    assert len(desk.state) == 32
    assert not desk.courier().note("a 99@x.org", NOW + 100, "x", "no")


def test_what_may_pass_by_itself_is_told_only_once_it_has_lasted() -> None:
    desk = Desk()
    for after, is_told in ((0, False), (59, False), (60, True), (61, False)):
        told = desk.courier().note("a", NOW + after, "x", "no", patience=60.0)
        assert (told is not None) is is_told, after
    desk = Desk()
    desk.courier().note("a", NOW, "x", "no", patience=60.0)
    assert desk.courier().end("a") is None, "nobody was told of it"
    assert not desk.state
    desk.courier().note("a", NOW, "x", "no", patience=60.0)
    assert desk.courier().note("a", NOW + 1, "x", "no"), "the clock is trusted by now"


def test_senders_that_somebody_invents_do_not_fill_the_memory() -> None:
    desk = Desk()
    told = [desk.courier().note(f"a {number}@x.org", NOW, "x", "no") for number in range(100)]
    assert len(desk.state) == len([one for one in told if one]) == 32
    assert desk.courier().note("disk", NOW, "disk", "no"), "what else there is still has its place"
    assert desk.courier().note("a", NOW, "x", "no", sender="somebody@x.org"), "and so has another sort of its kind"


def test_a_trouble_that_was_cut_short_on_its_way_is_read_as_far_as_it_goes() -> None:
    desk = Desk()
    desk.courier().note(
        "a", NOW, "x", "no" * 1000, smarthost="mail.example.org", advice=Advice("do" * 1000, "x", {"name": "y"})
    )
    words = desk.state["trouble a"]
    assert len("".join(words)) < 1500, "what a report has room for"
    assert words[-2:] == ["x", "name=y"]
    desk.state["trouble a"] = words[:-4]
    (trouble,) = desk.courier().known.values()
    assert (trouble.smarthost, trouble.answer, trouble.advice) == ("mail.example.org", "", "")


def test_a_time_that_is_no_number_in_json_is_not_told() -> None:
    for since in ("nan", "inf", "-inf", "x", ""):
        words = [since, "0", "0", "0", "", "login", "smtp.a.example", "", "535 5.7.8 no", "advice"]
        assert carried_state.troubles({f"{ipc.TROUBLE} {since}": words}) == [], since
    (trouble,) = carried_state.troubles({f"{ipc.TROUBLE} a": ["1", *words[1:]]})
    assert trouble["cause"] == "login"
