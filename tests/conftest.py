"""For all tests: the checkout's own modules can be imported, and what needs root says so."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shared machine's pauses are no faults, nor are examples that an older Hypothesis finds slow or large to make. The
# run on every commit repeats itself; elsewhere new examples are tried.
NO_FAULTS = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "default", deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=NO_FAULTS
)
settings.register_profile("quick", parent=settings.get_profile("default"), max_examples=25)
settings.load_profile("default")

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# What a script starts in the background ignores Ctrl-C, and would hand that down to all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--online", action="store_true", help="also run what asks OpenWrt's real server")
    group = parser.getgroup("lab", "the router of tests/lab")
    group.addoption("--target", default="", help="the lab target to boot (lab-mipsel), or that of --firmware")
    group.addoption("--release", default="", help="the OpenWrt release that a lab target is made as: 24.10 or 25.12")
    group.addoption("--firmware", default="", help="boot this firmware: a folder of the lab, or an image of OpenWrt")
    group.addoption("--host", default="", help="a router on the network instead: ssh://root@192.168.1.1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    online = [item for item in items if item.get_closest_marker("online")]
    reason = _offline(asked=bool(config.getoption("--online"))) if online else ""
    for item in online:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
    terminal = [item for item in items if item.get_closest_marker("terminal")]
    if terminal and (error := _without_terminals()):
        for item in terminal:
            item.add_marker(pytest.mark.skip(reason=f"no pseudo terminal can be opened here ({error})"))
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, None]:
    """A test's timeout ends what hangs: it is as much longer as the machine is slower, or busier, than ours."""
    from forge.core import timeouts

    mark = item.get_closest_marker("timeout")
    asked = item.config.getoption("timeout") or item.config.getini("timeout")
    seconds = float(mark.args[0] if mark else asked)
    item.add_marker(pytest.mark.timeout(seconds * timeouts.factor()), append=False)
    yield


def _without_terminals() -> str:
    from forge.checks import lacking

    return lacking.without_terminals()


def _offline(*, asked: bool) -> str:
    """Why OpenWrt's server is not asked; empty if it is."""
    if not asked:
        return "asks OpenWrt's real server: only with ./inv test --online"
    from forge.openwrt import fetch

    reason = fetch.fetcher().reachable()
    return f"OpenWrt's server can't be reached: {reason}" if reason else ""


@pytest.fixture(autouse=True, scope="session")
def _own_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Builds sign with keys of the tests' own, and make none in the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAILRELAY_CONFIG", str(tmp_path_factory.mktemp("config")))
        for name in ("MAILRELAY_FEED_KEY", "MAILRELAY_APK_KEY"):
            patch.delenv(name, raising=False)
        yield
