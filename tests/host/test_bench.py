"""The bench's judgement: medians, ratios, hits, floors and misses come out as the goals say."""

from __future__ import annotations

import pytest

from forge.bench import bench, guest
from forge.bench.bench import Goal, Row
from forge.vm import machines

RATE = Row("rate", "accepting", "mails/s", Goal(2, at_least=True, floor=1.5))


def rounds(key: str, ours: list[float], theirs: list[float]) -> list[dict[str, dict[str, float]]]:
    return [{"mailrelay": {key: one}, "Postfix": {key: other}} for one, other in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize(("ours", "verdict"), [(200, "hit"), (199, "floor"), (150, "floor"), (149, "MISS")])
def test_a_rate_is_a_hit_from_its_goal_on_and_a_miss_below_its_floor(ours: float, verdict: str) -> None:
    assert bench.judge(RATE, rounds("rate", [ours], [100])).verdict == verdict


def test_a_time_must_stay_below_its_share_of_postfix() -> None:
    row = Row("p50", "session", "ms", Goal(0.7))
    assert bench.judge(row, rounds("p50", [0.7], [1.0])).verdict == "hit"
    assert bench.judge(row, rounds("p50", [0.71], [1.0])).verdict == "MISS"


def test_medians_are_compared_and_one_bad_round_changes_nothing() -> None:
    cell = bench.judge(RATE, rounds("rate", [250, 10, 260], [100, 100, 5000]))
    assert (cell.ours, cell.theirs, cell.ratio, cell.verdict) == ("250 mails/s", "100 mails/s", "2.50 ×", "hit")


def test_a_starved_client_is_named_so_and_misses_its_goal() -> None:
    row = Row("slow_1", "beside slow ones", "ms", Goal(10, ratio=False))
    cell = bench.judge(row, rounds("slow_1", [float("inf")], [float("inf")]))
    assert (cell.ours, cell.theirs, cell.ratio, cell.verdict) == ("starved", "starved", "", "MISS")


def test_a_long_queue_is_compared_with_the_same_round_idle() -> None:
    (row,) = [row for row in bench.ROWS if row.key == "queued_more"]
    figures = {"queued_pss_anon": 8000.0, "idle_pss_anon": 6000.0}
    cell = bench.judge(row, [{"mailrelay": figures, "Postfix": figures}])
    assert (cell.ours, cell.verdict) == ("2.00 MB", "hit")


def test_the_page_names_every_miss() -> None:
    cell = bench.judge(RATE, rounds("rate", [100, 90], [100, 100]))
    page = bench.document([cell], ["2 cores"], rounds=2, queued=5000)
    assert "**MISS**" in page
    assert "- accepting: 95.00 mails/s (0.95 ×), goal ≥ 2 × (floor 1.5)" in page.partition("## Missed")[2]


def test_the_goals_are_those_we_set() -> None:
    goals = {row.key: row.goal for row in bench.ROWS}
    for kind in ("accept", "both"):
        for each in ("each", "many"):
            rates = [goals[f"{kind}_{connections}_{each}"] for connections in (1, 10, 50)]
            assert [(goal.floor, goal.limit) for goal in rates if goal] == [(0.9, 1.1), (1.5, 2), (2.0, 3)]
    assert goals["p50"] == Goal(0.7)
    assert goals["drain"] == Goal(1.0)
    limits = {"listener_over_bare": 3, "idle_pss_anon": 7, "loaded_more": 3, "queued_more": 3, "big_more": 1}
    limits |= {"slow_1": 10, "slow_100": 10}
    for key, limit in limits.items():
        assert goals[key] == Goal(limit, ratio=False)


def test_memory_on_a_router_is_the_peak_of_each_role() -> None:
    idle, busy = [[8, 4, 2], [7, 3, 1]], [[8, 4, 2], [9, 3, 2], [15, 9, 4]]
    figures = guest._by_role("loaded", [idle, busy, idle])
    assert figures["loaded_listener_rss"] == 9 and figures["loaded_listener_anon"] == 2
    assert figures["loaded_courier_pss"] == 9, "it is there for a part of the time only"


def test_the_table_of_a_router_has_every_figure_of_both_columns() -> None:
    machine = machines.find("lab-mipsel")
    rounds = [{row.key: value for row in guest.ROWS} for value in (1.0, 900.0, 3.0)]
    text = guest._document(machine, dict.fromkeys(guest.VARIANTS, rounds), 3, ["Linux", "Python 3.11.2"])
    for row in guest.ROWS:
        assert f"| {row.text} | 3" in text, row.key
