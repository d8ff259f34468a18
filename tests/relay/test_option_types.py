"""option_types: values are read by the type of their option; an expression matches all that its reader takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.config import addresses, option_types
from mailrelay.config.invalid import InvalidValue
from mailrelay.config.option_types import TYPES, Limits
from tests.support.option_values import VALUES


def reads(name: str, value: str) -> bool:
    try:
        TYPES[name].read(value, Limits(*TYPES[name].bounds, choices=("tls", "none")))
    except InvalidValue as invalid:
        assert invalid.problem and invalid.hint
        return False
    return True


@pytest.mark.parametrize("name", TYPES)
def test_what_is_right_is_read_and_what_nearly_is_is_refused(name: str) -> None:
    right, wrong = VALUES[name]
    large = {"999999G", "999w"}  # numbers; options have bounds
    assert [value for value in right if not reads(name, value)] == []
    assert [value for value in wrong if reads(name, value) and value not in large] == []


@pytest.mark.parametrize("name", TYPES)
@given(text=st.text(st.sampled_from("aZ09.-_:/@=,;'\"<>[]()%* \t|^äKms\n"), max_size=12))
def test_an_expression_matches_all_that_is_read(name: str, text: str) -> None:
    assert TYPES[name].matches(text) or not text or not reads(name, text)


@pytest.mark.parametrize(
    ("show", "read"),
    [(option_types.show_size, option_types.size), (option_types.show_duration, option_types.duration)],
)
@given(number=st.integers(0, 1 << 40))
def test_a_shown_quantity_reads_back(
    show: Callable[[int], str], read: Callable[[str, Limits], int], number: int
) -> None:
    assert read(show(number), Limits()) == number


@pytest.mark.parametrize("address", ['"a b"@example.org', "a..b@example.org", "ilo.@example.org", "ä@bücher.example",
                                     "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a+b=c/d@nas"])  # fmt: skip
def test_odd_addresses_that_exist_are_taken(address: str) -> None:
    assert addresses.address(address) == address
