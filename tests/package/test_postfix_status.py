"""The Postfix engine's status file, which LuCI reads as it does the Python relay's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forge.servers import postfix
from tests.package.postfix_router import INIT, PostfixRouter
from tests.package.postfix_sending import at, main, section
from tests.support.router import STATUS, as_status
from tests.support.scripted_provider import ScriptedProvider

pytest_plugins = ("tests.package.postfix_fixtures",)
pytestmark = pytest.mark.root


def told(router: PostfixRouter) -> dict[str, Any]:
    place = router.root / STATUS[1:]
    return as_status(place.read_text()) if place.exists() else {}


def test_who_listens_and_what_waits_stands_in_the_status_file(
    router: PostfixRouter, provider: postfix.Provider
) -> None:
    provider.stop()
    router.start(main(retry_min="1h", retry_max="2h") + at(provider))
    status = router.wait(lambda: told(router), "there is one")
    assert router.mode(STATUS) == "-rw-r--r--"
    assert status["pid"] == router.instance()["pid"] and "127.0.0.1:25" in status["listening"]
    assert status["smarthosts"] == [f"localhost:{provider.starttls_port}"] and status["port_taken"] == []
    router.mail()
    failure = router.wait(lambda: told(router)["last_failure"], "the deferral is told")
    assert (told(router)["queue"], told(router)["deferred"]) == (1, 1)
    assert (failure["id"], failure["stage"], failure["deferred"]) == (router.waiting()[0]["queue_id"], "banner", True)
    router.ok("/usr/libexec/rpcd/mailrelay", "call", "delete", input=json.dumps({"ids": [failure["id"]]}))
    assert (told(router)["queue"], told(router)["last_failure"]) == (0, None), "at once"
    router.stop()
    router.wait(lambda: not told(router), "a relay that does not run says nothing")
    answer = json.loads(router.ok("/usr/libexec/rpcd/mailrelay", "call", "status"))
    assert (answer["running"], answer["queue"], answer["engine"]) == (False, 0, "postfix")


def test_a_login_that_fails_is_a_trouble_with_the_providers_code_until_it_is_mended(router: PostfixRouter) -> None:
    with ScriptedProvider(users={"shop": "right"}) as provider:
        login = {"auth": "plain", "username": "shop", "port": router.reach(provider.port)}
        settings = main(retry_min="1s", retry_max="1s") + section(
            "smarthost", "p", host="127.0.0.1", tls="none", **login
        )
        router.start(f"{settings}\toption password 'wrong'\n")
        router.mail()
        (trouble,) = router.wait(lambda: told(router).get("troubles"), "the trouble is told")
        assert (trouble["cause"], trouble["answer"]) == ("login-refused", "535 5.7.8 wrong name or password")
        assert trouble["advice"] and trouble["advice_code"] == "login-refused"
        assert told(router)["last_failure"]["answer"] == trouble["answer"]
        router.write(f"{settings}\toption password 'right'\n")
        router.ok(INIT, "reload")
        provider.wait_for(1)
        router.wait(lambda: told(router).get("troubles") == [], "it is mended")


def test_a_port_that_another_program_has_is_told_with_its_name(router: PostfixRouter) -> None:
    router.write(main() + section("smarthost", "p", host="127.0.0.1", tls="none", port=9))
    script = "import signal, socket; s = socket.create_server(('127.0.0.1', 25)); signal.pause()"
    router.ok(f'(python3 -c "{script}" </dev/null >/dev/null 2>&1 & echo $! >/tmp/other)')
    pid = router.read("/tmp/other").strip()
    router.wait(lambda: router.listens("127.0.0.1"), "somebody else listens")
    router.ok(INIT, "start")
    (taken,) = router.wait(lambda: told(router).get("port_taken"), "who it is is told")
    assert taken["endpoint"] == "127.0.0.1:25" and taken["by"].endswith(f"(pid {pid})")
    answer = json.loads(router.ok("/usr/libexec/rpcd/mailrelay", "call", "status"))
    assert [one["code"] for one in answer["warnings"]] == ["port-taken"] and taken["by"] in answer["warnings"][0][
        "text"
    ]
    assert f"127.0.0.1:25 is taken by {taken['by']}" in router.log()
    router.ok("kill", pid)
    router.wait(lambda: told(router).get("port_taken") == [], "Postfix has it")
