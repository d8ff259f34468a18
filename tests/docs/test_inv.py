"""The documentation's lines for ./inv: run in a scratch checkout where that is cheap, else previewed and understood.

What takes a router, OpenWrt's server or minutes is held to the grammar: its tasks, options and names exist, and what it
names is there. Where the task has --dry-run, that is run.
"""

from __future__ import annotations

import re
import shlex
import shutil

import pytest

import tasks  # noqa: F401 - declares them
from forge.core import cli, commandline, paths
from forge.core.errors import ForgeError
from forge.inv import release
from tests.docs import pages, places
from tests.docs.conftest import Checkout

# Tasks that are run as they stand; with a target, OpenWrt's server would have to be asked.
RUN = ("build", "cache", "cache.prune", "cache.verify", "doctor", "feed", "inspect", "targets")
ASKS = {"target", "mirror", "release"}  # options; an older release is built for without any server
SAMPLES = {
    "[--release R]": "--release 25.12",
    "[--site FILE]": "--site my-site.toml",
    "TARGET": "ramips/mt7621",
    "PROFILE": "glinet_gl-mt1300",
    "FILE": "dist/mailrelay_1.0.0-r1_all.ipk",
    "SHELL": "bash",
    "TASK": "build",
}
# A preview may end with 3 where it wants what only OpenWrt's server or a package that is not installed could tell.
LACKING = r"can't be reached|system packages are missing|with the server in reach|this is no git checkout"
EXPECTED = {  # what the pages say that these print
    "./inv targets --match gl-mt1300": ("glinet_gl-mt1300", "ramips/mt7621", "none"),
    "./inv build": ("mailrelay_1.0.0-r1_all.ipk", "mailrelay-1.0.0-r1.apk", "luci-app-mailrelay"),
    "./inv build --format deb": ("mailrelay_1.0.0-1_all.deb", "mailrelay-mta_1.0.0-1_all.deb"),
    "./inv feed": ("opkg update", "apk update"),
}


def filled_in(text: str) -> str:
    """With something real in place of what the reader puts in."""
    text = re.sub(r"\s+#( .*)?$", "", text)
    text = re.sub(r"^invoke ", ".venv/bin/invoke ", text)
    for word, sample in SAMPLES.items():
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?!\w)", sample, text)
    return text


def lines() -> list[pages.Line]:
    """Each command line once, where it first stands."""
    found: dict[str, pages.Line] = {}
    for line in places.of("test_inv.py"):
        found.setdefault(filled_in(line.text), line)
    return list(found.values())


def understood(text: str) -> commandline.Line:
    words = shlex.split(text)
    start = next(at for at, word in enumerate(words) if word.endswith(("/inv", "/invoke")))
    return commandline.parse(words[start + 1 :], cli.COMMANDS)


@pytest.mark.parametrize("line", [line for line in lines() if "inv" in line.text.split("#")[0]], ids=str)
def test_the_line_works(line: pages.Line, checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    text = filled_in(line.text)
    if "--completion" in text:
        completes(text, checkout)
        return
    monkeypatch.chdir(checkout.folder)
    parsed = understood(text)
    calls = parsed.calls if parsed.about is None else []
    for call in calls:
        call.needs()
    call = calls[-1] if calls else None
    if call is None or (call.command.name in RUN and not _asks(call)):
        keys = checkout.folder.parent / "config/keys"
        secrets = {"OPKG_KEY": str(keys / "usign.key")}
        done = checkout.sh(text.replace("/run/secrets/apk.pem", str(keys / "apk.pem")), **secrets)
        assert done.returncode in ((0, 3) if call and call.command.name == "doctor" else (0,)), done.stdout
        for word in EXPECTED.get(text, ()):
            assert word in done.stdout
    elif "dry_run" in call.command.options:
        done = checkout.sh(f"{text} --dry-run" if not call.rest else text.replace(" --", " --dry-run --", 1))
        assert done.returncode == 0 or (done.returncode == 3 and re.search(LACKING, done.stdout)), done.stdout


COMPLETES = {
    "bash": "{}; complete -p ./inv",
    "zsh": "autoload -Uz compinit; compinit -u; {}; print ${{_comps[./inv]}} | grep .",
    "fish": "{}; complete --do-complete './inv ima' | grep image",
}


def completes(text: str, checkout: Checkout) -> None:
    """The shell that the line is for knows how to complete ./inv after it."""
    shell = next(name for name in COMPLETES if f"--completion {name}" in text)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = COMPLETES[shell].format(text)
    checkout.ok(f"{shell} -c {shlex.quote(script)}", HOME=str(checkout.folder.parent))


def _asks(call: commandline.Call) -> bool:
    wanted = ASKS - ({"release"} if call.command.name == "build" else set())
    return bool(wanted & set(call.values))


def test_each_task_that_is_mentioned_is_there_with_its_options() -> None:
    for line in pages.spans():
        if line.text.startswith("./inv"):
            try:
                understood(filled_in(line.text))
            except ForgeError as error:
                pytest.fail(f"{line}: {line.text}: {error}")


def test_each_line_that_was_expected_to_print_something_is_in_the_pages() -> None:
    assert {*EXPECTED} <= {filled_in(line.text) for line in lines()}


@pytest.mark.parametrize("line", [line for line in lines() if "inv" not in line.text.split("#")[0]], ids=str)
def test_what_is_said_beside_inv_names_what_is_there(line: pages.Line, checkout: Checkout) -> None:
    words = shlex.split(line.text, comments=True)
    if words[0] == "cp":
        checkout.ok(line.text)
    elif words[0] == "export":
        assert words[1].partition("=")[0].startswith("MAILRELAY_")
    elif words[0] == "pip":
        assert all((paths.ROOT / name).is_file() for name in words[2:] if name != "-r")
    else:
        checkout.ok(f"bash -n <<<{shlex.quote(line.text)}")


def test_each_package_file_that_is_named_is_one_that_is_built(checkout: Checkout) -> None:
    built = {path.name for path in (checkout.folder / "dist").iterdir()}
    named = [
        (str(line), name.replace(release.following(release.current(), "patch"), release.current()))
        for line in pages.commands()
        for name in re.findall(r"[\w.-]+\.(?:ipk|apk|deb)\b", line.text)
    ]
    assert len(named) > 10
    assert [(line, name) for line, name in named if name not in built] == []
