"""The command line: what a person types, sees and interrupts. Each in a process of its own, as ./inv starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from forge.core import timeouts
from forge.packages import keys
from tests.support.relay import alive
from tests.support.waiting import wait
from tests.targets.conftest import STABLE, Place
from tests.targets.upstream import Fault, Upstream

DRIVER = Path(__file__).parent / "driver.py"
GL = "glinet_gl-mt1300"


def start(place: Place, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", DRIVER, place.feeds, place.dist, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(place: Place, *words: str) -> tuple[int, str]:
    process = start(place, *words)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def test_from_an_empty_cache_to_packages_and_firmware(upstream: Upstream, place: Place, tmp_path: Path) -> None:
    """The whole way, as the README tells it: targets, lock, build, image; then all of it again without a network."""
    site = tmp_path / "my-site.toml"
    site.write_text('hostname = "hall-3"\n')
    mirror = ("--mirror", upstream.url)
    image = ("image", "--target", "ramips", "--profile", GL, "--site", str(site))
    for words, said in (
        (("targets", "--release", "25.12", "--match", "ramips/mt7621", *mirror), "mipsel_24kc"),
        (("targets", "--match", "mi router 3g"), "xiaomi_mi-router-3g"),
        (("lock", "--target", "ramips", *mirror), "sdk"),
        (("build", "--target", "ramips", "--release", "25.12", "--builder", "sdk", *mirror), "mailrelay-1.0.0-r1.apk"),
        ((*image, *mirror), "squashfs-sysupgrade.bin"),
        ((*image, "--offline"), "squashfs-sysupgrade.bin"),
        (("cache.verify",), "files are what they should be"),
    ):
        status, output = run(place, *words)
        assert status == 0, output
        assert said in output, output


def test_a_reader_that_has_seen_enough_gets_no_traceback(place: Place) -> None:
    process = start(place, "targets")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) in (0, 128 + signal.SIGPIPE)


def test_a_device_that_is_not_known_gets_near_matches(place: Place) -> None:
    status, output = run(place, "targets", "--match", "mt1200")
    assert status == 2
    assert "Did you mean mt1300" in output


def test_ctrl_c_in_the_middle_leaves_no_program_no_half_file_and_status_130(
    upstream: Upstream, place: Place, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    (upstream.breakage / "hang").write_text(str(marker))
    process = start(place, "image", "--target", f"ramips:{GL},x86:generic", "--jobs", "2", "--mirror", upstream.url)
    wait(lambda: process.poll() is not None or (marker.exists() and marker.read_text()), "the build hangs")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30 * timeouts.factor())
    assert process.returncode == 130, output
    assert "Traceback" not in output
    wait(lambda: not alive(int(marker.read_text())), "the program has ended")
    assert list((place.cache / "work").iterdir()) == []
    assert not (place.dist / "images").exists()


def test_ctrl_c_while_a_file_comes_keeps_what_is_there_for_the_next_run(upstream: Upstream, place: Place) -> None:
    name = f"releases/{STABLE}/targets/ramips/mt7621/openwrt-imagebuilder-{STABLE}-ramips-mt7621.Linux-x86_64.tar.zst"
    upstream.faults[name] = [Fault(before=lambda: time.sleep(5))]
    process = start(place, "image", "--target", "ramips", "--profile", GL, "--mirror", upstream.url)
    wait(lambda: process.poll() is not None or upstream.paths(name), "the file is asked for")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30 * timeouts.factor())
    assert process.returncode == 130, output
    assert not (place.cache / "openwrt" / name).exists()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_the_feed_is_served_to_a_router_in_the_same_room(place: Place) -> None:
    process = start(place, "serve", "--port", "0", "--address", "127.0.0.1")
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends it" in line:
                break
        output = "".join(lines)
        url = output.rpartition(" at ")[2].partition(";")[0]
        assert f"src/gz mailrelay {url}/opkg" in output and f"{url}/apk/packages.adb" in output
        with urllib.request.urlopen(f"{url}/opkg/Packages", timeout=10) as answer:
            assert b"Package: mailrelay\n" in answer.read()
        with urllib.request.urlopen(f"{url}/keys/mailrelay.pem", timeout=10) as answer:
            assert answer.read() == keys.apk_public_text(keys.load().apk.public_key())
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}/../../../etc/passwd", timeout=10)
        if has_ipv6():
            with urllib.request.urlopen(f"{url.replace('127.0.0.1', '[::1]')}/apk/index.json", timeout=10) as answer:
                assert b"mailrelay" in answer.read()
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30 * timeouts.factor())
    assert process.returncode == 0, rest
    assert "Traceback" not in rest
