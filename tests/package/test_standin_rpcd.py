"""LuCI's side of the stand-in, as rpcd and uhttpd answer: sessions, settings that are held back, calls over HTTP."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.router_container import Container

pytestmark = pytest.mark.root
ACL = {
    "demo": {
        "read": {
            "ubus": {"system": ["board"], "file": ["read"]},
            "file": {"/tmp/told*": ["read"], "/proc/uptime": ["read"]},
        },
        "write": {"ubus": {"uci": ["*"], "session": ["destroy"]}, "uci": {"demo": ["read", "write"]}},
    },
    "other": {"write": {"uci": ["network"]}},
}
LOGINS = "config login\n\toption username 'viewer'\n\toption password '!'\n\tlist read 'de*'\n"
LOGINS += "\nconfig login\n\toption username 'locked'\n\toption password '$1$x$y'\n\tlist read '*'\n"
SETTINGS = "config demo 'main'\n\toption a '1'\n\tlist l 'x'\n\tlist l 'y'\n\nconfig host\n\toption n 'q'\n"
SERVICE = """#!/bin/sh /etc/rc.common
USE_PROCD=1
start_service() { :; }
reload_service() { : >/tmp/reloaded; }
service_triggers() { procd_add_reload_trigger demo; }
"""
NOBODY = "0" * 32
DENIED, INVALID_ARGUMENT, NOT_FOUND, NO_DATA, NOT_SUPPORTED = [6], [2], [4], [5], [8]
REFUSED = {"code": -32002, "message": "Access denied"}


@pytest.fixture(scope="module")
def web() -> Iterator[Container]:
    with Container() as router:
        router.put("/usr/share/rpcd/acl.d/demo.json", json.dumps(ACL))
        router.put("/etc/config/rpcd", f"{router.read('/etc/config/rpcd')}\n{LOGINS}")
        router.put("/www/luci-static/a.js", "let a;\n")
        router.put("/etc/secret", "")
        router.ok("/etc/init.d/uhttpd", "start")
        yield router


@pytest.fixture
def router(web: Container) -> Container:
    web.put("/etc/config/demo", SETTINGS)
    return web


def post(router: Container, body: bytes) -> Any:
    host, port = router.lan(80)
    with urllib.request.urlopen(f"http://{host}:{port}/ubus/x.y", body) as answer:
        return json.load(answer)


def call(router: Container, session: str, name: str, method: str, **message: object) -> Any:
    """The status and the reply, or the error."""
    asked = {"jsonrpc": "2.0", "id": 7, "method": "call", "params": [session, name, method, message]}
    answer = post(router, json.dumps(asked).encode())
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer["result"] if "result" in answer else answer["error"]


def login(router: Container, user: str = "root") -> str:
    status, found = call(router, NOBODY, "session", "login", username=user, password="")
    assert status == 0 and found["data"] == {"username": user}
    return str(found["ubus_rpc_session"])


def test_who_has_not_logged_in_may_log_in_and_nothing_else(router: Container) -> None:
    assert call(router, NOBODY, "uci", "get", config="demo") == REFUSED
    assert call(router, "f" * 32, "session", "login", username="root", password="") == REFUSED
    for user in ("nobody", "locked"):
        assert call(router, NOBODY, "session", "login", username=user, password="x") == DENIED
    session = login(router)
    assert call(router, session, "session", "destroy") == [0]
    assert call(router, session, "system", "board") == REFUSED


def test_a_session_may_what_its_logins_groups_let_it(router: Container) -> None:
    root, viewer = login(router), login(router, "viewer")
    assert call(router, viewer, "system", "board")[0] == 0
    assert call(router, viewer, "uci", "get", config="demo") == REFUSED
    for session, writes in ((root, True), (viewer, False)):
        for scope, name, function in (("uci", "demo", "write"), ("access-group", "demo", "write")):
            asked = {"scope": scope, "object": name, "function": function}
            assert call(router, NOBODY, "session", "access", **asked) == [0, {"access": False}]
            found = router.ok("ubus", "call", "session", "access", json.dumps({**asked, "ubus_rpc_session": session}))
            assert json.loads(found) == {"access": writes}


def test_what_is_no_call_is_told(router: Container) -> None:
    for body in (b"{", b"[]", b"{}", b'{"params": [1]}', b"\xff"):
        assert post(router, body)["error"]["code"] == -32600


def test_files_come_from_www_and_nowhere_else(router: Container) -> None:
    host, port = router.lan(80)
    with urllib.request.urlopen(f"http://{host}:{port}/luci-static/a.js?v=1") as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"let a;\n", "text/javascript; charset=utf-8")
    for path in ("/luci-static/b.js", "/../etc/secret", "/luci-static", "//etc/secret"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{host}:{port}{path}")


def ask(router: Container, method: str, **message: object) -> Any:
    """The bus, where no session is needed."""
    done = router.run("ubus", "call", "uci", method, json.dumps({"config": "demo", **message}))
    return json.loads(done.output or "null") if done.status == 0 else [done.status]


def test_settings_are_told_as_sections_options_and_lists(router: Container) -> None:
    found = ask(router, "get")["values"]
    assert found["main"] == {
        ".anonymous": False, ".type": "demo", ".name": "main", ".index": 0, "a": "1", "l": ["x", "y"]
    }  # fmt: skip
    (host,) = [section for section in found.values() if section[".type"] == "host"]
    assert (host[".anonymous"], host[".index"], found[host[".name"]]) == (True, 1, host)
    assert list(ask(router, "get", type="demo")["values"]) == ["main"]
    assert ask(router, "get", section="@host[0]", option="n") == {"value": "q"}
    assert ask(router, "get", section="main", option="nosuch") == ask(router, "get", config="nosuch") == NOT_FOUND
    assert ask(router, "get", config="../passwd") == INVALID_ARGUMENT


def test_a_sessions_changes_are_its_own_until_it_applies_them(router: Container) -> None:
    router.put("/etc/init.d/demo", SERVICE, 0o755)
    router.ok("/etc/init.d/demo", "start")
    one, two = login(router), login(router)

    def uci(method: str, **message: object) -> Any:
        return call(router, one, "uci", method, config="demo", **message)

    status, added = uci("add", type="host", values={"n": "new", "l": ["a b", "it's"]})
    assert status == 0 and len(added["section"]) == 9
    assert uci("set", section="main", values={"a": "2", "l": ["z"], "b": True, "c": ""}) == [0]
    assert uci("set", section="@host[0]", values={"n": "q"}) == [0], "what is so already is no change"
    assert uci("set", section="nosuch", values={}) == NOT_FOUND
    held = uci("get")[1]["values"]
    assert held["main"]["a"] == "2" and held["main"]["l"] == ["z"] and held["main"]["b"] == "1"
    assert "c" not in held["main"] and held[added["section"]]["l"] == ["a b", "it's"]
    assert ["set", "main", "a", "2"] in uci("changes")[1]["changes"]
    assert uci("delete", section="main", options=["a", "nosuch"]) == [0]
    assert router.read("/etc/config/demo") == SETTINGS
    assert call(router, two, "uci", "get", config="demo")[1]["values"]["main"]["a"] == "1"
    assert call(router, two, "uci", "apply", rollback=True, timeout=10) == NO_DATA, "it has changed nothing"

    assert call(router, one, "uci", "apply", rollback=True, timeout=10) == [0]
    assert call(router, one, "uci", "confirm") == [0]
    assert uci("changes") == [0, {"changes": []}]
    text = router.read("/etc/config/demo")
    assert "option b '1'" in text and "list l 'it'\\''s'" in text and "option a" not in text
    router.wait(lambda: router.run("test -e /tmp/reloaded").status == 0, "procd hears of the change")


def test_a_section_is_deleted_and_changes_are_forgotten(router: Container) -> None:
    session = login(router)
    assert call(router, session, "uci", "delete", config="demo", section="main") == [0]
    assert list(call(router, session, "uci", "get", config="demo")[1]["values"]) != ["main"]
    assert call(router, session, "uci", "revert", config="demo") == [0]
    assert "main" in call(router, session, "uci", "get", config="demo")[1]["values"]


def test_sections_are_put_in_order(router: Container) -> None:
    root = login(router)
    names = list(call(router, root, "uci", "get", config="demo")[1]["values"])
    assert call(router, root, "uci", "order", config="demo", sections=names[::-1]) == [0]
    assert list(call(router, root, "uci", "get", config="demo")[1]["values"]) == names[::-1]
    assert call(router, root, "uci", "changes", config="demo") == [0, {"changes": [["order", names[1], "0"]]}]
    assert call(router, root, "uci", "order", config="demo", sections=["none"]) == NOT_FOUND
    call(router, root, "uci", "revert", config="demo")


# ---- files ----------------------------------------------------------------------------------------------------------


def test_a_session_reads_the_files_that_its_lists_name(router: Container) -> None:
    viewer = login(router, "viewer")

    def read(path: str) -> Any:
        return call(router, viewer, "file", "read", path=path)

    router.put("/tmp/told", "ä\n")
    router.put("/tmp/told-nothing", "")
    router.put("/tmp/told-all", "x" * 262144)
    assert read("/tmp/told") == read("/tmp/./there/../told") == [0, {"data": "ä\n"}]
    assert read("/tmp/told/../../etc/secret") == read("/etc/secret") == read("/tmp/none") == DENIED
    assert read("/tmp/told-none") == NOT_FOUND and read("/tmp/told-nothing") == NO_DATA
    assert read("/tmp/told-all") == NOT_SUPPORTED
    assert float(read("/proc/uptime")[1]["data"].split()[0]) > 0, "a file that tells no size"
    assert call(router, NOBODY, "file", "read", path="/tmp/told") == REFUSED
