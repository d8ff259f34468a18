"""The package on a router that has just installed it, and once it is set up."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from forge.servers import as_provider
from tests.support.router import SPOOL
from tests.support.router_ssh import SshRouter


@pytest.fixture(scope="module")
def fresh(ready_router: SshRouter) -> SshRouter:
    """Right after the installation, nothing set up."""
    ready_router.return_to("installed")
    return ready_router


def test_a_fresh_installation_is_complete_but_for_the_provider(fresh: SshRouter) -> None:
    settings = fresh.ok("cat /etc/config/mailrelay")
    assert "option enabled '0'" in settings and "list network 'lan'" in settings, settings
    assert "@HOSTNAME@" not in settings, "uci-defaults has run"
    assert not fresh.host.file("/etc/uci-defaults/60-mailrelay").exists
    assert fresh.ok("service mailrelay check").count("config is fine") == 1
    assert fresh.instance() == {}, "nothing runs before it is set up"
    assert not fresh.listening(25)
    assert fresh.run("service mailrelay enabled").status == 0

    assert (fresh.mode("/etc/config/mailrelay"), fresh.owner("/etc/config/mailrelay")) == ("-rw-------", "0"), (
        "it holds a password"
    )


def test_the_service_has_a_user_of_its_own(fresh: SshRouter) -> None:
    assert fresh.ok("grep ^mailrelay: /etc/passwd").split(":")[2] == "587"
    assert fresh.ok("grep ^mailrelay: /etc/group").split(":")[2] == "587"


def test_the_package_manager_knows_what_it_installed(fresh: SshRouter) -> None:
    assert fresh.packages.installed("mailrelay") == {"mailrelay": fresh.read("/usr/lib/mailrelay/version").strip()}
    files = fresh.packages.files("mailrelay")
    for path in ("/etc/init.d/mailrelay", "/usr/lib/mailrelay/relay/__main__.py", "/usr/sbin/mailrelay"):
        assert path in files, files
        assert fresh.host.file(path).exists


def test_sendmail_and_its_like_are_ours(fresh: SshRouter) -> None:
    for link in ("/usr/sbin/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases"):
        assert fresh.host.file(link).linked_to == "/usr/lib/mailrelay/sendmail"


def test_it_listens_on_lan_and_loopback_only(router: SshRouter, host: Host) -> None:
    lan = router.lan_ip
    assert host.socket(f"tcp://{lan}:25").is_listening and host.socket("tcp://127.0.0.1:25").is_listening
    found = router.listening(25)
    own = {"127.0.0.1:25", "::1:25", f"{lan}:25"}
    ula = router.ok(". /lib/functions/network.sh; network_get_ipaddrs6 ip lan; echo $ip").split()
    assert found - own <= {f"{address}:25" for address in ula}, found


def test_the_listener_holds_no_secret_and_little_rights(router: SshRouter) -> None:
    pid = int(router.status()["pid"])
    children = router.children(pid)
    assert children, "the supervisor has a listener"
    uids = [router.ok(f"grep ^Uid: /proc/{child}/status").split()[1] for child in children]
    assert set(uids) == {"587"}, uids
    assert "/_ssl" not in router.ok(f"cat /proc/{children[0]}/maps")


def test_the_queue_lies_on_storage_that_lasts(router: SshRouter) -> None:
    assert router.status()["spool"] == SPOOL
    assert "tmpfs" not in router.ok(f"df {SPOOL}")
    assert router.owner(SPOOL) == "587"
    assert router.mode(SPOOL).startswith("drwx------") or router.mode(SPOOL)[7:] == "---"


# What sysupgrade does before it archives: it asks the hooks of /lib/upgrade, which put the queue to rest.
KEPT = """
. /lib/functions.sh
: >/tmp/kept
sysupgrade_init_conffiles=
CONF_BACKUP= CONF_BACKUP_LIST=0 TEST=0
for hook in /lib/upgrade/*.sh; do . "$hook"; done
for hook in $sysupgrade_init_conffiles; do "$hook" /tmp/kept; done
cat /tmp/kept
rm /tmp/kept
"""


def test_settings_and_certificates_are_kept_when_the_firmware_is_upgraded(router: SshRouter) -> None:
    kept = router.ok("sysupgrade -l").split()
    assert {"/etc/config/mailrelay", as_provider.CA_FILE} <= set(kept), kept
    assert SPOOL not in kept, "a backup that is restored would send old mail again"
    assert router.instance(), "asking for the list stops nothing"


def test_the_queue_is_kept_when_the_firmware_is_upgraded(router: SshRouter) -> None:
    assert SPOOL in router.ok(KEPT).split()
