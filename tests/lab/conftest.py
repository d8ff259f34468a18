"""One router for all tests, and a mail provider that it can reach.

Without an option the router is a lab guest, booted once from firmware that is built here: the moments `bare` (booted,
nothing installed) and `ready` (the package installed and set up) are kept, and a module starts from one of them. With
--host it is a router on the network, with --firmware a guest from an image of OpenWrt.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from forge.lab import targets
from forge.packages import minisdk
from forge.servers import postfix
from tests.support.postfix_provider import provider as provider
from tests.support.postfix_provider import running_provider as running_provider
from tests.support.router_ssh import SshRouter, asked_for


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> str:
    return str(pytestconfig.getoption("--target") or targets.DEFAULT)


@pytest.fixture(scope="session")
def release(pytestconfig: pytest.Config) -> str:
    """That a guest of the lab's is made as."""
    return str(pytestconfig.getoption("--release") or targets.RELEASE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A boot counts as a part of the test that needs it, and waits have deadlines of their own."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def whole_router(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshRouter]:
    """Booted, with nothing of ours installed."""
    with asked_for(pytestconfig, tmp_path_factory.mktemp("router")) as router:
        yield router


@pytest.fixture(scope="session")
def package(whole_router: SshRouter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package mailrelay, as `./inv build` makes it for such a router."""
    return minisdk.packed("mailrelay", tmp_path_factory.mktemp("package"), whole_router.packages.ending)


@pytest.fixture(scope="session")
def bare_router(whole_router: SshRouter) -> SshRouter:
    """Only for `ready_router`: the moment before anything was installed is kept here."""
    whole_router.keep_moment("bare")
    return whole_router


@pytest.fixture(scope="session")
def ready_router(bare_router: SshRouter, package: Path, running_provider: postfix.Provider) -> SshRouter:
    bare_router.install(package)
    bare_router.keep_moment("installed")
    bare_router.set_up(running_provider)
    bare_router.keep_moment("ready")
    return bare_router


@pytest.fixture(scope="module")
def router(ready_router: SshRouter) -> SshRouter:
    """With the package installed, set up and running; as it was then for each module."""
    ready_router.return_to("ready")
    ready_router.wait_relay()
    return ready_router


@pytest.fixture
def changed_router(router: SshRouter) -> Iterator[SshRouter]:
    """The same, for a test that leaves it otherwise than it found it: taken back afterwards."""
    yield router
    router.return_to("ready")
    router.wait_relay()


@pytest.fixture
def host(router: SshRouter) -> Host:
    """The same, as testinfra's own tests have it; SshRouter.host says what holds on busybox."""
    return router.host
