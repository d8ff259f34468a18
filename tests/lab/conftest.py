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

from forge.lab import firmware as firmwares
from forge.lab import targets
from forge.packages import minisdk, stage
from forge.servers import postfix
from forge.vm import ssh as sshs
from forge.vm.guest import Guest
from tests.lab.machine import LabRouter, RealRouter, Router
from tests.providers import provider as provider
from tests.providers import running_provider as running_provider

PACKAGE = Path(__file__).resolve().parents[2] / "package" / "mailrelay"


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> str:
    return str(pytestconfig.getoption("--target") or targets.DEFAULT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A boot counts as a part of the test that needs it, and waits have deadlines of their own."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))


def lab_site(folder: Path) -> Path:
    """A site file for the lab's firmware: nothing but a way in."""
    path = folder / "site.toml"
    path.write_text(f'[root]\nssh_keys = ["{sshs.public_key()}"]\n')
    return path


@pytest.fixture(scope="session")
def whole_router(
    pytestconfig: pytest.Config, target: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    """Booted, with nothing of ours installed."""
    if address := pytestconfig.getoption("--host"):
        real = RealRouter(str(address), tmp_path_factory.mktemp("ssh"))
        if real.run("opkg status mailrelay | grep -q Status").status == 0:
            pytest.exit(f"{address} has the package mailrelay already: its settings and queue would be lost", 4)
        yield real
        real.clean_up()
        real.close()
        return
    if file := pytestconfig.getoption("--firmware"):
        folder = Path(str(file))
    else:
        folder = firmwares.build(target, site=lab_site(tmp_path_factory.mktemp("site"))).folder
    with Guest(target, folder, disk=True) as guest:
        yield LabRouter(guest)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package mailrelay, as `./inv build` makes it."""
    return packed("mailrelay", tmp_path_factory.mktemp("package"))


def packed(name: str, folder: Path, directory: Path = PACKAGE) -> Path:
    with stage.staged(directory, [name]) as packages:
        [made] = [one.path for package in packages for one in minisdk.pack(package, folder, "ipk")]
    return made


@pytest.fixture(scope="session")
def bare_router(whole_router: Router) -> Router:
    """Only for `installed_router`: the moment before anything was installed is kept here."""
    whole_router.keep_moment("bare")
    return whole_router


@pytest.fixture(scope="session")
def ready_router(bare_router: Router, package: Path, running_provider: postfix.Provider) -> Router:
    bare_router.install(package)
    bare_router.keep_moment("installed")
    bare_router.set_up(running_provider)
    bare_router.keep_moment("ready")
    return bare_router


@pytest.fixture(scope="module")
def router(ready_router: Router) -> Router:
    """With the package installed, set up and running; as it was then for each module."""
    ready_router.return_to("ready")
    ready_router.wait_relay()
    return ready_router


@pytest.fixture
def changed_router(router: Router) -> Iterator[Router]:
    """The same, for a test that leaves it otherwise than it found it: taken back afterwards."""
    yield router
    router.return_to("ready")
    router.wait_relay()


@pytest.fixture
def host(router: Router) -> Host:
    """The same, as testinfra's own tests have it; Router.host says what holds on busybox."""
    return router.host
