"""Causes: what OpenWrt's tools say when they fail, in their own words, is told in one line with what to do."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forge.core import console, logs, paths, transcript
from forge.core.errors import ForgeError
from forge.core.logs import Log
from forge.openwrt.buildlog import explain

NOISE = """\
make[2]: Entering directory '/x'
{}
make[2]: *** [Makefile:193: package_install] Error 255
make[1]: *** [Makefile:140: _call_image] Error 2
make: *** [Makefile:272: image] Error 2
"""


@pytest.mark.parametrize(
    ("output", "what", "hint"),
    [
        (
            'Profile "x" does not exist!\nUse "make info" to get a list',
            "the ImageBuilder has no profile x",
            "--match x",
        ),
        (
            "Unknown package 'kmod-no'.\nCollected errors:\n * opkg_install_cmd: Cannot install package kmod-no.",
            "there is no package kmod-no",
            "--packages",
        ),
        ("Collected errors:\n * opkg_install_cmd: Cannot install package luci.", "opkg can't install luci", "log"),
        (
            " * pkg_hash_check_unresolved: cannot find dependency libx for mailrelay\n"
            " * opkg_install_cmd: Cannot install package mailrelay.",
            "mailrelay needs libx, which is in none of the package lists",
            "--mirror",
        ),
        (
            "ERROR: unable to select packages:\n  python3-light (no such package):\n"
            "    required by: mailrelay-1.0.0-r1[python3-light]",
            "there is no package python3-light, required by mailrelay-1.0.0-r1[python3-light]",
            "could not be fetched",
        ),
        (
            "ERROR: unable to select packages:\n  mailrelay-1.0.0-r1:\n    conflicts: mailrelay-postfix-1.0.0-r1",
            "apk finds no set of packages that fits: mailrelay-1.0.0-r1: conflicts: mailrelay-postfix-1.0.0-r1",
            "--packages=-NAME",
        ),
        ("Signature check failed.\nRemove wrong Signature file.", "opkg refuses a package list: its", "--mirror"),
        ("WARNING: opening https://x/packages.adb: UNTRUSTED signature", "nobody it trusts has signed it", "--mirror"),
        ("Prerequisite check failed. Use FORCE=1 to override.", "this machine lacks something", "./inv doctor"),
        ("Please build with umask 022 - other values produce broken packages", "a closed umask", "umask 022"),
        (
            "    WARNING: Image file /b/tmp/a-squashfs-sysupgrade.bin is too big: 8126464 > 7995392",
            "/b/tmp/a-squashfs-sysupgrade.bin is too big for the device: 8126464 > 7995392 bytes",
            "--no-luci",
        ),
        ("Can't locate FindBin.pm in @INC (you may need to install it)", "Perl's module FindBin is missing", "perl"),
        ("Build directory '/home/my name/x' contains spaces", "a path with a space in it", "MAILRELAY_CACHE"),
        ("cp: error writing 'x': No space left on device", "the disk is full", "cache.prune"),
        (" * opkg_download: Failed to download https://x/y.ipk, wget returned 4.", "could not be fetched", "--mirror"),
        ("fetch https://x: temporary error (try again later)", "could not be fetched", "--mirror"),
        ("    ERROR: package/feeds/mailrelay/mailrelay failed to build.", "mailrelay does not compile", "mini"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_a_cause_is_found_in_what_was_said(output: str, what: str, hint: str) -> None:
    cause = explain(NOISE.format(output))
    assert what in cause.what
    assert hint in cause.hint
    assert "\n" not in cause.what


def test_what_lies_beneath_is_told_rather_than_what_follows_from_it() -> None:
    output = "cp: No space left on device\n * opkg_install_cmd: Cannot install package luci.\nUnknown package 'x'."
    assert explain(output).what == "the disk is full"


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (NOISE.format("gcc: fatal error: no input files"), "gcc: fatal error: no input files"),
        (
            NOISE.format("bash: line 3: /x/usign: No such file or directory"),
            "bash: line 3: /x/usign: No such file or directory",
        ),
        ("make: *** [Makefile:1: x] Error 2\n", "make: *** [Makefile:1: x] Error 2"),
        ("", "it gives no reason"),
    ],
)
def test_what_nobody_foresaw_is_told_by_its_last_error(output: str, what: str) -> None:
    assert explain(output).what == what


def test_what_is_printed_meanwhile_is_in_the_log_of_this_thread_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "DIST", tmp_path)
    both = threading.Barrier(2)

    def work(name: str) -> None:
        with contextlib.suppress(ForgeError), logs.kept(name):
            both.wait()
            console.note(f"{name} begins")
            transcript.detail(f"{name} for the log alone")
            both.wait()
            raise ForgeError(f"{name} fails")

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, ("one", "two")))
    console.say("afterwards")
    for name in ("one", "two"):
        lines = [f"     {name} begins", f"{name} for the log alone", f"FAIL {name} fails"]
        assert (tmp_path / f"logs/{name}.log").read_text().splitlines() == lines


def test_where_no_log_can_be_written_the_task_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dist").touch()
    monkeypatch.setattr(paths, "DIST", tmp_path / "dist")
    with logs.kept("demo"):
        console.say("it goes on")
    shown = capsys.readouterr().out
    assert "no log is kept: " in shown and "Not a directory" in shown and "it goes on" in shown


def test_a_log_has_every_line_while_the_build_runs_and_stays(tmp_path: Path) -> None:
    with Log(tmp_path / "logs" / "x.log") as log:
        for number in range(20_000):
            log(f"line {number}")
        assert (tmp_path / "logs" / "x.log").read_text().count("\n") == 20_000
        assert log.text.endswith("line 19999")
