"""`image --via`: a server is asked for what it can do, and for nothing that it cannot or should not have.

The server is a few answers in asu's words; what comes from it is used when its hashes are right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forge.core.errors import ForgeError, UsageError
from forge.images import asu, image
from forge.images.asu import ServerError
from forge.images.job import Made, Options
from forge.openwrt.partial import FetchError, Unreachable, WrongFile
from forge.packages import keys
from tests.targets.conftest import MT7621, OLD, STABLE, Place
from tests.targets.upstream import Fault, Upstream

GL = "glinet_gl-mt1300"
NAME = f"openwrt-{STABLE}-abc-ramips-mt7621-{GL}-squashfs-sysupgrade.bin"
CONTENT = b"firmware"
JOB = "f00d"


class Server:
    """An attended-sysupgrade server: notes what it is asked, answers in the order of `states`."""

    def __init__(self, upstream: Upstream) -> None:
        self.asked: list[dict[str, Any]] = []
        self.states: list[tuple[int, dict[str, Any]]] = []
        self.upstream = upstream
        store = upstream.root / "asu" / "store" / JOB
        store.mkdir(parents=True, exist_ok=True)
        (store / NAME).write_bytes(CONTENT)
        upstream.answers["POST", "asu/api/v1/build"] = self._post
        upstream.answers["GET", f"asu/api/v1/build/{JOB}"] = lambda _: self._next()

    @property
    def url(self) -> str:
        return f"{self.upstream.url}/asu"

    def _post(self, body: bytes) -> tuple[int, bytes]:
        self.asked.append(json.loads(body))
        return self._next()

    def _next(self) -> tuple[int, bytes]:
        status, answer = self.states.pop(0)
        return status, json.dumps({"request_hash": JOB, "status": status, **answer}).encode()


def done(**more: Any) -> tuple[int, dict[str, Any]]:
    images = [
        {"name": NAME, "sha256": hashlib.sha256(CONTENT).hexdigest(), "type": "sysupgrade", "filesystem": "squashfs"},
        {"name": "initramfs.bin", "sha256": "0" * 64, "type": "kernel", "filesystem": "initramfs"},
    ]
    return 200, {"detail": "done", "images": images, "bin_dir": JOB, "manifest": {"base-files": "1"}, **more}


@pytest.fixture
def server(upstream: Upstream, place: Place, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(asu, "EVERY", 0.01)
    return Server(upstream)


def run(server: Server, upstream: Upstream, **options: Any) -> Made:
    options = {"target": "ramips", "profile": GL, "mirror": upstream.url, "via": server.url, "bare": True, **options}
    (made,) = image.run(Options(**options))
    return made


def test_an_image_with_all_that_the_relay_needs_is_asked_for_waited_for_and_verified(
    server: Server, upstream: Upstream, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    server.states = [
        (202, {"detail": "queued", "queue_position": 3}),
        (202, {"detail": "started", "imagebuilder_status": "building_image"}),
        done(),
    ]
    made = run(server, upstream, packages=("htop",), rootfs_mb=128)
    assert made.images[0].path.read_bytes() == CONTENT
    assert made.images[0].path == place.dist / "images" / STABLE / GL / "mailrelay" / NAME
    (asked,) = server.asked
    assert asked == {
        "version": STABLE,
        "target": MT7621,
        "profile": GL,
        "packages": ["python3-light", "python3-openssl", "ca-bundle", "rpcd", "htop"],
        "rootfs_size_mb": 128,
        "client": asu.CLIENT,
    }
    said = capsys.readouterr().out
    assert "queued at position 3" in said and "building image" in said
    assert not upstream.paths("imagebuilder"), "no ImageBuilder is fetched for it"


@pytest.mark.parametrize(("release", "number"), [("25.12", STABLE), ("24.10", OLD), ("snapshot", "SNAPSHOT")])
def test_our_packages_come_from_our_feed_where_the_server_allows_it(
    server: Server, upstream: Upstream, release: str, number: str
) -> None:
    server.states = [done()]
    run(server, upstream, bare=False, feed="https://example.org/feed/", release=release)
    (asked,) = server.asked
    pair = keys.load()
    assert (asked["version"], asked["packages"]) == (number, ["mailrelay"])
    if release == "24.10":
        assert asked["repositories"] == {"mailrelay": "https://example.org/feed/opkg"}
        assert asked["repository_keys"] == [pair.usign.public.text().splitlines()[1]]
    else:
        assert asked["repositories"] == {"mailrelay": "https://example.org/feed/apk/packages.adb"}
        assert asked["repository_keys"][0].startswith("-----BEGIN PUBLIC KEY")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bare": False}, "--via can't take our packages"),
        ({"disabled": ("odhcpd",)}, "can't disable services"),
        ({"via": "sysupgrade.openwrt.org"}, "is no address"),
    ],
)
def test_what_no_server_can_do_is_told_with_what_can(
    server: Server, upstream: Upstream, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        run(server, upstream, **options)
    assert not server.asked


def test_no_site_and_so_no_password_ever_reaches_a_server(server: Server, upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('hostname = "hall"\n')
    with pytest.raises(UsageError, match="your passwords are nobody's business"):
        run(server, upstream, site=str(path))
    assert not server.asked


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ((400, {"detail": "Unsupported profile: x"}), "Unsupported profile: x"),
        ((400, {"detail": "Repository not allowed: https://x"}), "owner has to allow our feed"),
        ((422, {"detail": [{"loc": ["body", "profile"], "msg": "bad"}]}), r"body\.profile: bad"),
        ((500, {"detail": "failed", "stderr": "a\nCannot install package y."}), r"\| Cannot install package y"),
        ((529, {"detail": "server overload"}), "ask again later"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(
    server: Server, upstream: Upstream, place: Place, state: tuple[int, dict[str, Any]], said: str
) -> None:
    server.states = [state]
    with pytest.raises(ServerError, match=said):
        run(server, upstream)
    assert not (place.dist / "images").exists()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"images": [{"name": NAME, "sha256": "1" * 64}]}, WrongFile),
        ({"images": [{"name": "../../evil", "sha256": "1" * 64}]}, ServerError),
        ({"images": [{"name": NAME, "sha256": "short"}]}, ServerError),
        ({"images": []}, ServerError),
        ({"bin_dir": "../.."}, ServerError),
    ],
)
def test_what_the_server_hands_out_is_not_trusted(
    server: Server, upstream: Upstream, place: Place, answer: dict[str, Any], error: type[ForgeError]
) -> None:
    server.states = [done(**answer)]
    with pytest.raises(error):
        run(server, upstream)
    assert not (place.dist / "images").exists()


def test_a_hiccup_while_waiting_is_borne_and_a_dead_server_given_up(
    server: Server, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.states = [(202, {"detail": "started"}), done()]
    real: Callable[[bytes], tuple[int, bytes]] = upstream.answers["GET", f"asu/api/v1/build/{JOB}"]
    hiccups = iter([(502, b"bad gateway")] * 2)
    upstream.answers["GET", f"asu/api/v1/build/{JOB}"] = lambda body: next(hiccups, None) or real(body)
    assert run(server, upstream).images
    server.states = [(202, {"detail": "started"})]
    upstream.answers["GET", f"asu/api/v1/build/{JOB}"] = lambda _: (502, b"bad gateway")
    with pytest.raises(FetchError, match="502"):
        run(server, upstream)


def test_what_is_no_such_server_is_told(server: Server, upstream: Upstream) -> None:
    upstream.answers["POST", "asu/api/v1/build"] = lambda _: (404, b"<html>")
    with pytest.raises(ServerError, match="no attended-sysupgrade server"):
        run(server, upstream)
    with pytest.raises(Unreachable, match="can't be reached"):
        run(server, upstream, via="http://127.0.0.1:9")


def test_a_cut_download_is_gone_on_with(server: Server, upstream: Upstream) -> None:
    server.states = [done()]
    upstream.faults[f"asu/store/{JOB}/{NAME}"] = [Fault(cut_at=3)]
    assert run(server, upstream).images[0].path.read_bytes() == CONTENT
