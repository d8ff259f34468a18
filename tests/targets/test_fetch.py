"""Downloads: whatever a server, a line or a disk does, what ends up in the cache is whole and right, or not there."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from forge.core import console, progress
from forge.core.errors import MissingError, UsageError
from forge.core.hashes import digest
from forge.openwrt import fetch
from forge.openwrt.fetch import Fetcher, Patience
from forge.openwrt.partial import FetchError, NotThere, Unreachable, WrongFile
from tests.support.waiting import wait
from tests.targets.conftest import Place
from tests.targets.upstream import Fault, Upstream

NAME = "releases/some/file.bin"
SIZE = 300_000
QUICK = Patience(connect=2, read=2, tries=3, backoff=0.01, slow_after=0.2, slow=1000)


@pytest.fixture
def file(upstream: Upstream) -> Iterator[Path]:
    path = upstream.root / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(SIZE))
    yield path
    shutil.rmtree(path.parent)


@pytest.fixture
def fetcher(upstream: Upstream, place: Place) -> Fetcher:
    return Fetcher((upstream.url,), patience=QUICK)


def leftovers(place: Place) -> list[str]:
    return sorted(path.name for path in place.cache.rglob("*.part*"))


def test_a_download_is_the_servers_file_and_the_next_one_comes_from_the_cache(
    fetcher: Fetcher, upstream: Upstream, file: Path, place: Place
) -> None:
    for _ in range(2):
        got = fetcher.fetch(NAME, sha256=digest(file))
        assert got.read_bytes() == file.read_bytes()
    assert upstream.paths() == [NAME]
    assert not leftovers(place)


def test_a_cut_connection_is_gone_on_with_where_it_broke(fetcher: Fetcher, upstream: Upstream, file: Path) -> None:
    upstream.faults[NAME] = [Fault(cut_at=100_000), Fault(cut_at=200_000)]
    assert fetcher.fetch(NAME, sha256=digest(file)).read_bytes() == file.read_bytes()
    ranges = [headers.get("Range") for _, headers in upstream.requests]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert all(headers.get("If-Range") for _, headers in upstream.requests[1:])


def test_a_later_run_goes_on_with_what_an_interrupted_one_left(
    fetcher: Fetcher, upstream: Upstream, file: Path, place: Place
) -> None:
    upstream.faults[NAME] = [Fault(cut_at=150_000), *[Fault(status=503)] * 2]
    with pytest.raises(FetchError, match="failed 3 times"):
        fetcher.fetch(NAME, sha256=digest(file))
    assert leftovers(place), "what has arrived is kept"
    assert not fetcher.cached(NAME).exists(), "but not under its name"
    upstream.requests.clear()
    fetcher.fetch(NAME, sha256=digest(file))
    assert [headers.get("Range") for _, headers in upstream.requests] == ["bytes=150000-"]
    assert not leftovers(place)


def test_a_file_that_changed_between_two_tries_is_not_patched_together(
    fetcher: Fetcher, upstream: Upstream, file: Path
) -> None:
    new = os.urandom(SIZE)
    upstream.faults[NAME] = [Fault(cut_at=100_000), Fault(before=lambda: file.write_bytes(new))]
    assert fetcher.fetch(NAME).read_bytes() == new


def test_a_server_that_ignores_ranges_is_taken_at_its_word(fetcher: Fetcher, upstream: Upstream, file: Path) -> None:
    upstream.faults[NAME] = [Fault(cut_at=100_000), Fault(no_range=True)]
    assert fetcher.fetch(NAME, sha256=digest(file)).read_bytes() == file.read_bytes()


def test_a_rest_that_fits_no_more_is_started_from_its_beginning(
    fetcher: Fetcher, upstream: Upstream, file: Path, place: Place
) -> None:
    upstream.faults[NAME] = [Fault(cut_at=150_000), *[Fault(status=500)] * 2]
    with pytest.raises(FetchError):
        fetcher.fetch(NAME, sha256=digest(file))
    (part,) = place.cache.rglob(".*.part")
    part.write_bytes(b"x" * 150_000)  # the disk of a router's cabinet has seen better days
    assert fetcher.fetch(NAME, sha256=digest(file)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("status", [500, 502, 429])
def test_a_server_that_is_ill_for_a_moment_is_asked_again(
    fetcher: Fetcher, upstream: Upstream, file: Path, status: int
) -> None:
    upstream.faults[NAME] = [Fault(status=status), Fault(status=status)]
    assert fetcher.fetch(NAME).read_bytes() == file.read_bytes()
    assert len(upstream.requests) == 3


def test_a_file_that_is_not_there_is_asked_for_once_and_named(fetcher: Fetcher, upstream: Upstream) -> None:
    with pytest.raises(NotThere, match=r"releases/none/at/all: there is no such file \(404\)"):
        fetcher.fetch("releases/none/at/all")
    assert len(upstream.requests) == 1


def test_another_file_than_expected_is_refused_with_both_hashes_and_not_kept(
    fetcher: Fetcher, upstream: Upstream, file: Path, place: Place
) -> None:
    upstream.faults[NAME] = [Fault(body=b"something else")]
    with pytest.raises(WrongFile) as caught:
        fetcher.fetch(NAME, sha256=digest(file))
    assert NAME in str(caught.value)
    assert f"expected sha256 {digest(file)}, found " in str(caught.value)
    assert not fetcher.cached(NAME).exists() and not leftovers(place)


def test_a_file_shorter_than_announced_is_never_taken_for_whole(
    fetcher: Fetcher, upstream: Upstream, file: Path
) -> None:
    upstream.faults[NAME] = [Fault(length=SIZE + 1000, no_range=True)] * 9
    with pytest.raises(FetchError, match=f"cut: expected {SIZE + 1000} bytes, found {SIZE}"):
        fetcher.fetch(NAME)
    assert not fetcher.cached(NAME).exists()


def test_a_file_of_no_announced_length_is_whole_or_not_taken(
    fetcher: Fetcher, upstream: Upstream, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = f"{SIZE:x}\r\n".encode() + file.read_bytes() + b"\r\n0\r\n\r\n"
    upstream.faults[NAME] = [Fault(body=whole[:-100_000], chunked=True), Fault(body=whole, chunked=True)]
    assert fetcher.fetch(NAME).read_bytes() == file.read_bytes()


def test_a_redirect_to_a_mirror_is_followed(fetcher: Fetcher, upstream: Upstream, file: Path) -> None:
    shutil.copy(file, file.with_name("elsewhere.bin"))
    upstream.faults[NAME] = [Fault(location=f"{upstream.url}/releases/some/elsewhere.bin")]
    assert fetcher.fetch(NAME, sha256=digest(file)).read_bytes() == file.read_bytes()


def test_redirects_without_end_are_an_error(fetcher: Fetcher, upstream: Upstream, file: Path) -> None:
    upstream.faults[NAME] = [Fault(location=f"{upstream.url}/{NAME}")] * 200
    with pytest.raises(FetchError, match="redirects"):
        fetcher.fetch(NAME)


def test_a_mirror_that_has_it_wrong_is_passed_over_for_one_that_has_it_right(
    upstream: Upstream, file: Path, place: Place, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    (bad / NAME).parent.mkdir(parents=True)
    (bad / NAME).write_bytes(b"forged")
    mirrors = Fetcher((str(tmp_path / "gone"), str(bad), upstream.url), patience=QUICK)
    assert mirrors.fetch(NAME, sha256=digest(file)).read_bytes() == file.read_bytes()


def test_a_folder_can_be_the_mirror(file: Path, upstream: Upstream, place: Place) -> None:
    for mirror in (str(upstream.root), f"file://{upstream.root}"):
        got = fetch.fetcher(mirror).fetch(NAME, sha256=digest(file))
        assert got.read_bytes() == file.read_bytes()
        got.unlink()
    assert not upstream.requests


def test_the_environment_can_name_the_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fetch.MIRROR_VARIABLE, "https://a.example/openwrt/, https://b.example")
    assert fetch.fetcher().mirrors == ("https://a.example/openwrt", "https://b.example")
    assert fetch.fetcher("https://c.example").mirrors == ("https://c.example",)
    with pytest.raises(UsageError, match="--mirror: 'ftp://x'"):
        fetch.fetcher("ftp://x")


def test_without_a_network_the_answer_names_the_file_and_what_to_do_at_once(place: Place) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Unreachable) as caught:
            Fetcher((url,)).fetch(NAME)
    assert f"{url}/{NAME} can't be reached: Connection refused" in str(caught.value)
    assert "--mirror" in caught.value.hint and "--offline" in caught.value.hint


def test_a_name_server_that_never_answers_holds_nothing_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def wait(*_: object) -> None:
        never.wait(60)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", wait)
    with pytest.raises(Unreachable, match="no answer within"):
        Fetcher(("http://downloads.example",), patience=Patience(connect=0.1)).fetch(NAME)
    never.set()


def test_offline_asks_nobody_and_says_what_is_missing(upstream: Upstream, file: Path, place: Place) -> None:
    offline = Fetcher((upstream.url,), offline=True)
    with pytest.raises(MissingError, match=f"--offline: {NAME} was not fetched before"):
        offline.fetch(NAME)
    Fetcher((upstream.url,)).fetch(NAME)
    upstream.requests.clear()
    assert offline.fetch(NAME, fresh=True).read_bytes() == file.read_bytes()
    assert not upstream.requests


def test_a_server_that_trickles_is_given_up(fetcher: Fetcher, upstream: Upstream, file: Path) -> None:
    started = time.monotonic()
    # The handler's own thread: the body starts long after a read's patience has ended.
    upstream.faults[NAME] = [Fault(before=lambda: time.sleep(3))]
    quick = Fetcher((upstream.url,), patience=Patience(connect=1, read=0.2, tries=1))
    with pytest.raises(FetchError, match="timed out"):
        quick.fetch(NAME)
    assert time.monotonic() - started < 3


def test_a_server_that_is_far_too_slow_is_given_up(fetcher: Fetcher, upstream: Upstream, file: Path) -> None:
    hasty = Fetcher((upstream.url,), patience=Patience(tries=2, backoff=0.01, slow_after=0, slow=1 << 50))
    with pytest.raises(FetchError, match=r"failed \d times: only \d+ bytes a second"):
        hasty.fetch(NAME)


def test_progress_is_a_bar_on_a_terminal_and_plain_lines_elsewhere(
    fetcher: Fetcher, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0)
    fetcher.fetch(NAME)
    lines = capsys.readouterr().out.splitlines()
    assert "     file.bin: 300.0 kB of 300.0 kB (100 %)" in lines
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    fetcher.fetch(NAME, fresh=True)
    assert "file.bin \x1b[" in capsys.readouterr().out


def test_two_runs_at_once_fetch_a_file_once(upstream: Upstream, file: Path, place: Place) -> None:
    gate = threading.Event()
    upstream.faults[NAME] = [Fault(before=lambda: gate.wait(20))]
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(Fetcher((upstream.url,)).fetch, NAME, sha256=digest(file)) for _ in range(2)]
        wait(lambda: upstream.requests, "one of them asks")
        gate.set()
    assert [run.result().read_bytes() for run in runs] == [file.read_bytes()] * 2
    assert len(upstream.requests) == 1


@pytest.mark.root
def test_a_disk_that_is_too_small_is_told_before_a_byte_is_fetched(
    fetcher: Fetcher, file: Path, small_disk: Path
) -> None:
    with pytest.raises(FetchError, match=r"the disk of .* is full: needs 300\.0 kB") as caught:
        fetcher.fetch(NAME)
    assert "cache.prune" in caught.value.hint


@pytest.mark.root
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_that_looks_whole(
    fetcher: Fetcher, file: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "room", lambda *_: None)
    with pytest.raises(FetchError, match="is full"):
        fetcher.fetch(NAME)
    assert not fetcher.cached(NAME).exists()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a//b"])
def test_no_path_leads_out_of_the_cache(fetcher: Fetcher, path: str) -> None:
    with pytest.raises(UsageError):
        fetcher.fetch(path)
