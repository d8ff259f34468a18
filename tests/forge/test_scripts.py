"""The check of LuCI's scripts: by the rules of LuCI's repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge.checks import scripts

GOOD = """'use strict';
'require view';
'require mailrelay.relay as relay';

/* global relay */

return view.extend({
	load: () => relay.status(),
	render(status) { return E('p', {}, [ _('%d'), L.url(status) ]); }
});
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not scripts.NPM.exists():
        pytest.skip("the linters' Python packages, which bring Node.js, are not here")
    (tmp_path / "view.js").write_text(GOOD)
    return tmp_path


def test_a_script_as_lucis_own_passes(folder: Path) -> None:
    done = scripts.check(folder)
    assert (done.status, done.output) == (0, "")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("relay.status(lost);", "no-undef"),
        ("var old = relay; old.status();", "no-var"),
        ("[ 1 ].map(function(one) { return one + 1; });", "prefer-arrow-callback"),
        ("let unused = 1;", "no-unused-vars"),
        ("if (relay) { } else if (relay) { relay.status(); }", "no-dupe-else-if"),
    ],
)
def test_what_lucis_rules_do_not_want_is_told(folder: Path, line: str, rule: str) -> None:
    (folder / "view.js").write_text(GOOD.replace("return view", f"{line}\n\nreturn view"))
    done = scripts.check(folder)
    assert done.status == 1 and rule in done.output


def test_a_name_that_stands_twice_in_json_is_told(folder: Path) -> None:
    (folder / "menu.json").write_text('{"a": 1, "a": 2}')
    done = scripts.check(folder)
    assert done.status == 1 and "no-duplicate-keys" in done.output


def test_the_lock_names_every_package_with_its_hash_and_no_place() -> None:
    lock = json.loads((scripts.NEEDS / "package-lock.json").read_text())
    packages = [entry for name, entry in lock["packages"].items() if name]
    assert len(packages) > 50
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in packages)
