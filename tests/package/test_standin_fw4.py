"""The stand-in's fw4 makes of zones, rules and services' data what the real one is known to do with them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.support.router_container import STANDIN, Container

pytestmark = pytest.mark.root
RULE = {"type": "rule", "src": "lan", "proto": "tcp", "dest_port": "25", "family": "any", "target": "ACCEPT"}
REDIRECT = {
    "type": "redirect", "src": "lan", "src_ip": "192.168.1.40", "proto": "tcp", "src_dport": "25", "dest_port": "2525",
    "family": "ipv4", "reflection": "0", "target": "DNAT",
}  # fmt: skip


@pytest.fixture(scope="module")
def router() -> Iterator[Container]:
    """With OpenWrt's own firewall settings, and one service that carries rules."""
    with Container() as router:
        shutil.copy(STANDIN / "etc/config/firewall", router.root / "etc/config/firewall")
        instance = {"command": ["/bin/sleep", "1000"], "data": {"firewall": [RULE, REDIRECT]}}
        router.ask("set", {"name": "demo", "instances": {"main": instance}})
        yield router


def chain(router: Container, name: str) -> list[str]:
    text = router.ok("fw4", "print")
    found = re.search(rf"\tchain {name} {{\n(.*?)\n\t}}", text, re.DOTALL)
    return [line.strip() for line in found[1].splitlines()] if found else []


def test_what_comes_in_goes_to_its_devices_zone_and_is_refused_elsewhere(router: Container) -> None:
    lines = chain(router, "input")
    assert lines[0].endswith("policy drop;")
    assert 'iifname { "br-lan" } jump input_lan' in lines
    assert 'iifname { "eth1" } jump input_wan' in lines
    assert lines[-1] == "reject with icmpx port-unreachable"
    assert chain(router, "input_lan")[-1] == "accept"
    assert chain(router, "input_wan")[-1] == "reject with icmpx port-unreachable"


def test_a_services_rule_opens_its_port_in_its_zone_alone(router: Container) -> None:
    assert "tcp dport { 25 } counter accept" in chain(router, "input_lan")
    assert not [line for line in chain(router, "input_wan") if "25" in line]


def test_a_services_redirect_catches_one_address_and_what_it_caught_is_let_in(router: Container) -> None:
    caught = "ip saddr { 192.168.1.40 } tcp dport { 25 } counter redirect to :2525"
    assert chain(router, "dstnat_lan") == [caught]
    assert "ct status dnat accept" in chain(router, "input_lan")


def test_the_settings_own_rules_stand_for_their_zone(router: Container) -> None:
    lines = chain(router, "input_wan")
    assert 'meta nfproto ipv4 icmp type { echo-request } counter accept comment "!fw4: Allow-Ping"' in lines
    assert 'meta nfproto ipv4 udp dport { 68 } counter accept comment "!fw4: Allow-DHCP-Renew"' in lines
    assert not [line for line in chain(router, "input_lan") if "Allow" in line]


def test_zones_are_told_while_it_runs(router: Container) -> None:
    assert router.ok("fw4", "-q", "network", "lan") == "lan\n"
    assert router.ok("fw4", "device", "eth1") == "wan\n"
    assert router.run("fw4", "network", "nosuch").status == 1
    (router.root / "var/run/fw4.state").unlink()
    assert router.run("fw4", "network", "lan").status == 1
    router.put("/var/run/fw4.state", "")


def test_it_reads_the_rules_again_when_a_service_comes_changes_or_goes(router: Container) -> None:
    trigger = ["service.data", ["run_script", "/bin/touch", "/tmp/asked"], 0]
    router.ask("set", {"name": "watcher", "triggers": [trigger]})
    asked = router.root / "tmp/asked"
    for message in (
        {"name": "other", "instances": {"main": {"command": ["/bin/sleep", "1000"], "data": {"firewall": [RULE]}}}},
        {"name": "other", "instances": {"main": {"command": ["/bin/sleep", "1000"], "data": {"firewall": []}}}},
    ):
        router.ask("set", message)
        router.wait(asked.exists, "the trigger runs")
        asked.unlink()
    router.ask("set", {"name": "third", "instances": {"main": {"command": ["/bin/sleep", "1000"]}}})
    router.ask("delete", {"name": "other"})
    router.wait(asked.exists, "the trigger runs")
    assert json.dumps(router.ask("get_data", {"type": "firewall"})).count("dest_port") == 2


def test_nft_takes_the_ruleset(router: Container) -> None:
    nft = f"/host{shutil.which('nft')}"
    if router.run(nft, "list", "tables").status:
        pytest.skip("this machine's kernel has no nf_tables; tests/lab loads the rules in a guest")
    router.put("/tmp/rules", router.ok("fw4", "print"))
    done = router.run(nft, "-c", "-f", "/tmp/rules")
    assert (done.status, done.errors) == (0, "")
