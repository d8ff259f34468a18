"""rpcd's calls for settings that are not saved, the log, and what the app's access lists let whom call."""

from __future__ import annotations

import json
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from forge.servers import as_provider
from forge.servers.postfix import Provider
from tests.luci.conftest import ACL, APP, RPCD
from tests.support.router import SETTINGS, Router
from tests.support.router_container import Container

pytestmark = pytest.mark.root
RUN = "/var/run/mailrelay"
MAIN = "config mailrelay 'main'\n\tlist network 'lan'\n\toption hostname 'relay.example.net'\n"


def draft(provider: Provider, password: str = "") -> str:
    return (
        f"{MAIN}\nconfig smarthost\n\toption host '{as_provider.NAME}'\n\toption port '{provider.starttls_port}'\n"
        f"\toption username '{provider.username}'\n\toption password '{password or provider.password}'\n"
        f"\toption ca_file '{as_provider.CA_FILE}'\n"
    )


@pytest.fixture(autouse=True)
def reached(router: Router, provider: Provider) -> None:
    router.reach(provider.starttls_port)


def finish(router: Router, call: Any) -> dict[str, Any]:
    """The last step of the test that is under way."""
    answer: dict[str, Any] = router.wait(
        lambda: found if not (found := call("test_status"))["running"] else None, "the test ends"
    )
    last: dict[str, Any] = answer["steps"][-1]
    return last


def drafts(router: Router) -> list[str]:
    return router.run(f"ls {RUN}/draft-* 2>/dev/null").output.split()


def test_a_draft_is_checked_and_not_kept(router: Router, call: Any, provider: Provider) -> None:
    before = router.read(SETTINGS)
    assert call("check_draft", settings=draft(provider)) == {"ok": True, "findings": []}
    answer = call("check_draft", settings=draft(provider).replace("'lan'", "'wan'"))
    assert not answer["ok"] and "faces the internet, and anyone there could send" in answer["findings"][0]["problem"]
    answer = call("check_draft", settings=draft(provider).replace(f"port '{provider.starttls_port}'", "port 'x'"))
    (finding,) = answer["findings"]
    place = (finding["section"], finding["option"], finding["line"], finding["warning"], finding["code"])
    assert place == ("smarthost[0]", "port", 7, False, "no-port")
    assert (finding["problem"], finding["hint"]) == ("'x' is not a port", "write a number from 1 to 65535")
    assert router.read(SETTINGS) == before
    assert not drafts(router)


def test_a_test_by_a_draft_reaches_the_provider(router: Router, call: Any, provider: Provider) -> None:
    assert call("test_draft", address="owner@example.org", settings=draft(provider))["ok"]
    assert finish(router, call)["result"] == "accepted"
    assert provider.wait_for(1)[0].recipients == ("owner@example.org",)
    router.wait(lambda: not drafts(router), "the draft is gone")


def test_a_password_of_a_draft_is_in_no_command_line_and_no_readable_file(
    container: Container, call: Any, provider: Provider
) -> None:
    """Looked for in every process and every file of the run directory, again and again while the test runs."""
    secret = "Xk7-such-a-secret"
    seen: list[str] = []
    modes: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        text = (process / name).read_bytes()
                    except OSError:
                        continue
                    if secret.encode() in text:
                        seen.append(f"{process}/{name}: {text[:80]!r}")
            for file in (container.root / RUN[1:]).iterdir():
                try:
                    if file.is_file() and secret in file.read_text(errors="replace"):
                        modes.add(stat.S_IMODE(file.stat().st_mode))
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert call("check_draft", settings=draft(provider, secret))["ok"]
        assert call("test_draft", address="owner@example.org", settings=draft(provider, secret))["ok"]
        last = finish(container, call)
        assert last["result"] == "failed" and "refuses username and password" in last["advice"]
        assert secret not in json.dumps(call("test_status"))
    finally:
        over.set()
        watcher.join()
    assert not seen
    assert modes == {0o600}, "it was looked at while it was there"
    assert secret not in container.log()


def test_a_draft_with_faults_is_not_tried(router: Router, call: Any, provider: Provider) -> None:
    bad = draft(provider).replace("'lan'", "'wan'")
    assert call("test_draft", address="owner@example.org", settings=bad)["ok"]
    last = finish(router, call)
    assert last["result"] == "failed" and "faces the internet" in last["findings"][0]["problem"]
    assert not provider.messages()


def test_a_test_that_dies_has_a_result(container: Container, call: Any) -> None:
    python = container.root / "usr/bin/python3"
    text = python.read_text()
    python.write_text("#!/bin/sh\necho 'no room' >&2\nexit 1\n")
    try:
        assert call("test", address="owner@example.org")["ok"]
        assert finish(container, call) == {"result": "failed", "ok": False, "text": "no room"}
    finally:
        python.write_text(text)


def test_one_test_at_a_time(container: Container, call: Any, provider: Provider) -> None:
    lock = container.root / RUN[1:] / "test.lock"
    with lock.open("w") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        answer = call("test_draft", address="owner@example.org", settings=draft(provider))
        assert answer == {"ok": False, "text": "a test is under way; ask for test_status"}
        assert not drafts(container)


@pytest.mark.parametrize(
    "settings",
    [
        " \n\x00", None, {"a": "b"}, "'" * 5000, "$(touch /tmp/owned) `touch /tmp/owned`", "'; touch /tmp/owned; '",
        "x" * 70000,
        "config mailrelay main\n\toption sender 'a@b'$(touch /tmp/owned)'", "config mailrelay '../../etc/passwd'\n",
        "config smarthost\n\toption host '-oProxyCommand=x'\n", "\\%s%n\u202e\U0001f4a9", "ü" * 40000,
    ],
)  # fmt: skip
def test_hostile_settings_are_refused_and_never_run(router: Router, call: Any, settings: object) -> None:
    answer = call("check_draft", settings=settings)
    assert not answer["ok"] and (answer.get("text") or answer["findings"])
    assert router.run("test -e /tmp/owned").status == 1
    assert not drafts(router)


@pytest.mark.parametrize(
    "address",
    [
        *("", "owner", "-f@x", "a@b@c", "$(touch /tmp/owned)@x", "a@b\nc", "`id`@x", None, ["a@b"], "a@" + "b" * 300),
        *("a\tb@c", "a b@c.example"),
    ],
)
def test_hostile_addresses_are_refused(router: Router, call: Any, provider: Provider, address: object) -> None:
    for answer in (call("test_draft", address=address, settings=draft(provider)), call("test", address=address)):
        assert answer == {"ok": False, "text": "that is not a mail address"}
    assert router.run("test -e /tmp/owned").status == 1
    assert not drafts(router)


def test_the_log_is_filtered_by_an_id_that_is_one(router: Router, call: Any) -> None:
    router.ok("/usr/sbin/mailrelay", "check")
    assert call("log", id="x; touch /tmp/owned") == {"ok": False, "text": "that is not a queue id; 'queue' lists them"}
    assert not call("log", limit="1;reboot")["ok"]
    assert call("log", id="1m81x5813g42b6mg") == {"ok": True, "text": ""}
    assert len(call("log", limit=1)["text"].splitlines()) <= 1
    assert len(call("log")["text"]) <= 49152


def test_the_queue_is_listed_by_state(router: Router, call: Any) -> None:
    for state in ("", "queue", "hold", "failed"):
        assert call("queue", limit=10, state=state)["messages"] == []
    assert call("queue", state="x; touch /tmp/owned") == {"ok": False, "text": "state is queue, hold or failed"}


def test_the_access_lists_name_every_call_once_and_give_readers_nothing_secret(router: Router) -> None:
    methods = json.loads(router.ok(RPCD, "list"))
    acl = json.loads(ACL.read_text())["luci-app-mailrelay"]
    read, write = (acl[level]["ubus"]["mailrelay"] for level in ("read", "write"))
    assert set(methods) == {*read, *write} and not set(read) & set(write)
    assert methods["delete"] == {"ids": []}, "as rpcd takes it"
    assert set(read) == {"status", "check", "queue", "log"}
    assert set(acl["read"]) == {"ubus", "file"}, "no uci, which holds the password"
    files = {"/proc/uptime", f"{RUN}/service.json", f"{RUN}/status.json"}
    assert acl["read"]["file"] == {path: ["read"] for path in files}, "what anybody may read"
    assert acl["read"]["ubus"]["service"] == ["list"]
    assert set(acl["write"]) == {"ubus", "file", "uci"}
    assert acl["write"]["file"] == {f"{RUN}/test.jsonl": ["read"]}


def test_the_check_for_readers_never_shows_a_password(router: Router, call: Any) -> None:
    before = router.read(SETTINGS)
    secrets = ["p\u200bssw0rd1", "p\tssw0rd2"]
    try:
        for secret in secrets:
            login = f"\toption username 'u'\n\toption password '{secret}'\n"
            router.put(SETTINGS, f"{MAIN}\nconfig smarthost\n\toption host 'x.org'\n{login}", 0o600)
            answer = call("check")
            assert not answer["ok"] and answer["findings"] and "ssw0rd" not in str(answer)
    finally:
        router.put(SETTINGS, before, 0o600)


def test_the_menu_leads_to_views_that_exist() -> None:
    menu = json.loads((APP / "root/usr/share/luci/menu.d/luci-app-mailrelay.json").read_text())
    views = APP / "htdocs/luci-static/resources/view"
    for name, entry in menu.items():
        if entry["action"]["type"] == "view":
            assert (views / f"{entry['action']['path']}.js").is_file(), name
    assert menu["admin/services/mailrelay"]["depends"]["acl"] == ["luci-app-mailrelay"]


def test_the_scripts_ask_for_nothing_from_elsewhere() -> None:
    """No page of the router loads anything from the internet, or puts a text of a mail into HTML."""
    for script in APP.glob("htdocs/**/*.js"):
        text = script.read_text()
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|\beval\b", text), script.name
