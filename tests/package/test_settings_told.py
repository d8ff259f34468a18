"""What the init script tells of the settings, in service.json: are they in force, and if not, since when and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.router import SETTINGS
from tests.support.router_container import Container

pytestmark = pytest.mark.root
INIT = "/etc/init.d/mailrelay"
SERVICE_FACTS = "/var/run/mailrelay/service.json"


@pytest.fixture
def router() -> Iterator[Container]:
    with Container() as router:
        router.enabled_router()
        yield router


def told(router: Container) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(router.read(SERVICE_FACTS))
    return found


def test_good_settings_are_told_with_the_engine_and_its_networks(router: Container) -> None:
    assert told(router) == {
        "engine": "python", "package": "1.0.0-r1", "enabled": True, "settings": "good", "since": None,
        "running_old": False, "findings": [], "networks": ["lan"], "cannot": [],
    }  # fmt: skip
    assert router.mode(SERVICE_FACTS) == "-rw-r--r--"


def test_refused_settings_are_told_with_their_faults_and_since_when(router: Container) -> None:
    router.configure("option port 'abc'")
    router.ok(INIT, "reload")
    first = told(router)
    assert (first["settings"], first["enabled"], first["running_old"]) == ("refused", True, True)
    assert [(one["option"], one["line"], one["warning"]) for one in first["findings"]] == [("port", 5, False)]
    assert first["networks"] == ["lan"], "those of the relay that runs"

    router.put(SERVICE_FACTS, router.read(SERVICE_FACTS).replace(f'"since": {first["since"]}', '"since": 1000'))
    router.configure("option port 'abcd'")
    router.ok(INIT, "reload")
    assert told(router)["since"] == 1000, "refused all the while"
    router.configure()
    router.ok(INIT, "reload")
    assert (told(router)["settings"], told(router)["since"], told(router)["findings"]) == ("good", None, [])


def test_settings_that_are_missing_or_switched_off_are_told(router: Container) -> None:
    router.ok("rm", SETTINGS)
    router.ok(INIT, "reload")
    assert (told(router)["settings"], told(router)["running_old"]) == ("missing", True)
    router.configure(enabled="0")
    router.ok(INIT, "reload")
    assert (told(router)["settings"], told(router)["enabled"], told(router)["running_old"]) == ("off", False, False)
