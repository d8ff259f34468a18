"""A router that comes with everything: package and settings built into its firmware, started with the wrong date."""

from __future__ import annotations

import email
import email.utils
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.lab import firmware as firmwares
from forge.servers import postfix
from forge.servers.postfix import Provider
from forge.site import site as sites
from forge.vm.guest import Guest
from tests.support.router_ssh import GuestRouter, lab_site

FIRST_DATE = "2020-01-01T00:00:00"


@pytest.fixture(scope="module")
def new_provider() -> Iterator[Provider]:
    if reason := postfix.obstacle():
        pytest.skip(reason)
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def new_router(
    pytestconfig: pytest.Config,
    target: str,
    release: str,
    package: Path,
    new_provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GuestRouter]:
    if pytestconfig.getoption("--host") or pytestconfig.getoption("--firmware"):
        pytest.skip("the firmware is not one that is built here")
    site = lab_site(tmp_path_factory.mktemp("site"))
    site.write_text(f"""hostname = "plant7"
{site.read_text()}
[mailrelay]
hostname = "plant7.works.example"
[smarthost.provider]
host = "{GuestRouter.provider_address}"
port = {new_provider.starttls_port}
verify = "off"
username = "{new_provider.username}"
password = "{new_provider.password}"
""")
    firmware = firmwares.build(target, release, site=sites.load(site), packages=[package])
    with Guest(target, firmware.folder, disk=True, clock=FIRST_DATE) as guest:
        yield GuestRouter(guest)


def test_mail_accepted_before_the_clock_was_set_gets_the_right_date(
    new_router: GuestRouter, new_provider: Provider
) -> None:
    new_router.wait_relay()
    assert new_router.ok("uname -n").strip() == "plant7"
    assert not new_router.host.file("/etc/uci-defaults/60-mailrelay").exists, "first-boot scripts have run"
    shown = int(new_router.ok("date +%s"))
    assert time.time() - shown > 86400, "the router does not know the date"
    new_provider.stop()
    new_router.send("Which day is it?")
    [_] = new_router.wait(new_router.queue, "the mail is queued")
    new_provider.start()
    new_router.ok(f"date -s @{int(time.time())}")
    new_router.ok("ACTION=stratum stratum=3 hotplug-call ntp")
    [mail] = new_provider.wait_for(1)
    date = email.utils.parsedate_to_datetime(email.message_from_bytes(mail.raw)["Date"]).timestamp()
    assert abs(date - time.time()) < 600, mail.header
    assert "Authenticated sender" in mail.received


def test_settings_of_the_site_file_are_those_of_the_router(new_router: GuestRouter) -> None:
    assert new_router.ok("uci get mailrelay.main.hostname").strip() == "plant7.works.example"
    assert new_router.mode("/etc/config/mailrelay") == "-rw-------"
    assert new_router.run("service mailrelay enabled").status == 0
    assert "mailrelay" in new_router.packages.installed("mailrelay")
