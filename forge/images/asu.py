"""Has an attended-sysupgrade server (OpenWrt's asu) make an image: `./inv image --via URL`, for machines that can't.

Such a server takes names of packages, and of feeds that its owner allows; no package file, no overlay, and no password
should go there. image.py calls check(), which says so before anything is asked, then run(). The API is asu's: POST
api/v1/build, then poll its hash.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from forge.core import console, logs
from forge.core.errors import ForgeError, UsageError
from forge.images import imagebuilder
from forge.images.job import Image, Job, Made, Options
from forge.openwrt import build
from forge.openwrt.fetch import Fetcher
from forge.openwrt.partial import FetchError, Unreachable
from forge.packages import feed, keys
from forge.site.site import Site

CLIENT = "mailrelay/1"
EVERY = 5.0  # seconds between two questions
LONGEST = 1800.0  # seconds that an image may take, its time in the queue included
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}")
TOLERATED = 5  # questions in a row that fail before we give up


class ServerError(ForgeError):
    """The server refused, or could not make the image. Its own words are in the message."""


def check(options: Options, sites: Sequence[Site]) -> None:
    """Raise UsageError for what no such server can do."""
    if not re.fullmatch(r"https?://[^\s/]+(?:/\S*)?", options.via):
        raise UsageError(f"--via: {options.via!r} is no address", hint="write it like https://sysupgrade.openwrt.org")
    if any(site.source for site in sites):
        raise UsageError(
            "--via takes no --site: a server takes no overlay, and your passwords are nobody's business",
            hint="leave --site out and set the router up in LuCI; or build here, without --via",
        )
    if options.disabled:
        raise UsageError("--via can't disable services", hint="build here, without --via")
    if not options.bare and not options.feed:
        raise UsageError(
            "--via can't take our packages: a server takes no package file, only names from feeds that it knows",
            hint="--bare has it make an image with all that the relay needs, into which the relay is installed later; "
            "or put our feed (./inv feed) where the server's owner allows it, and name it with --feed URL",
        )


def run(url: str, job: Job) -> Made:
    """Ask, wait, download and verify. What the server said is in a log."""
    url = url.rstrip("/")
    reason = Fetcher((url,)).reachable()
    if reason:
        raise Unreachable(
            f"{url} can't be reached: {reason}", hint="is this machine on the internet? --via names the server"
        )
    name = f"image-{job.lists.version.number}-{job.device.profile}-via"
    with logs.kept(name) as log:
        asked = request(job)
        log(f"POST {url}/api/v1/build {asked}")
        with console.step(f"{url} makes the image {job.label}"):
            answer = _wait(url, asked)
        for stream in ("stdout", "stderr"):
            log(f"--- {stream}\n{answer.get(stream, '')}")
        return Made(job, _download(url, job, answer))


def request(job: Job) -> dict[str, Any]:
    """The build request, in asu's own words (build_request.py there)."""
    version, options = job.lists.version, job.options
    own = imagebuilder.relay_needs(options.engine) if options.bare else [options.engine]
    asked: dict[str, Any] = {
        "version": "SNAPSHOT" if version.folder == "snapshots" else version.number,
        "target": job.lists.target.name,
        "profile": job.device.profile,
        "packages": [*own, *options.packages],
        "client": CLIENT,
    }
    if options.rootfs_mb:
        asked["rootfs_size_mb"] = options.rootfs_mb
    if options.feed and not options.bare:
        pair, base, opkg = keys.load(), options.feed.rstrip("/"), version.release.manager == "opkg"
        asked["repositories"] = {feed.NAME: f"{base}/opkg" if opkg else f"{base}/apk/packages.adb"}
        asked["repositories_mode"] = "append"
        public = pair.usign.public.text().splitlines()[1]
        asked["repository_keys"] = [public if opkg else keys.apk_public_text(pair.apk.public_key()).decode()]
    return asked


def _wait(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The finished job. Says where it stands whenever that changes."""
    answer = _ask("POST", f"{url}/api/v1/build", asked)
    began, said, failures = time.monotonic(), "", 0
    while answer.get("status") == 202:
        state = str(answer.get("imagebuilder_status") or answer.get("detail") or "waiting")
        if answer.get("detail") == "queued":
            state = f"queued at position {answer.get('queue_position', '?')}"
        if state != said:
            said = state
            console.note(state.replace("_", " "))
        if time.monotonic() - began > LONGEST:
            raise ServerError(f"{url} was not done after {LONGEST / 60:.0f} minutes ({state})", hint="ask again later")
        time.sleep(EVERY)
        try:
            answer = _ask("GET", f"{url}/api/v1/build/{quote(str(answer['request_hash']), safe='')}")
            failures = 0
        except FetchError:
            failures += 1
            if failures >= TOLERATED:
                raise
    return answer


def _ask(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    import requests

    try:
        response = requests.request(method, url, json=body, timeout=(5.0, 60.0))
    except requests.RequestException as error:
        raise FetchError(f"{url}: {error}", hint="try again later") from error
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        if response.status_code >= 500:
            raise FetchError(f"{url} answered {response.status_code} {response.reason}", hint="try again later")
        raise ServerError(
            f"{url} is no attended-sysupgrade server: it answered {response.status_code} without JSON",
            hint="OpenWrt's own is https://sysupgrade.openwrt.org",
        )
    if response.status_code in (200, 202):
        return {**answer, "status": response.status_code}
    detail = answer.get("detail", response.reason)
    if isinstance(detail, list):  # pydantic's list of faults in the request
        detail = "; ".join(f"{'.'.join(map(str, one.get('loc', [])))}: {one.get('msg')}" for one in detail)
    words = str(answer.get("stderr", "")).strip().splitlines()
    tail = "".join(f"\n  | {line}" for line in words[-8:])
    if response.status_code == 529:
        raise ServerError(f"{url}: {detail}", hint="the server is busy: ask again later")
    hint = "a package name that this release lacks?" if response.status_code == 500 else "what was asked for is above"
    if "Repository not allowed" in str(detail):
        hint = "the server's owner has to allow our feed first: ask, or build here without --via"
    raise ServerError(f"{url} makes no image: {detail}{tail}", hint=hint)


def _download(url: str, job: Job, answer: dict[str, Any]) -> list[Image]:
    """The images by the names and hashes that the server tells; nothing is placed unless all are right."""
    told = [one for one in answer.get("images", []) if one.get("filesystem") != "initramfs"]
    if not told or not answer.get("bin_dir"):
        raise ServerError(f"{url} says that it is done, but names no image", hint="build here, without --via")
    with build.scratch(".via-") as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        folder = str(answer["bin_dir"])
        for one in told:
            name, sha256 = str(one.get("name", "")), str(one.get("sha256", ""))
            if not (NAME.fullmatch(folder) and NAME.fullmatch(name) and SHA256.fullmatch(sha256)):
                raise ServerError(
                    f"{url} names an image {folder}/{name!r}, sha256 {sha256!r}", hint="use another server"
                )
            fetcher = Fetcher((f"{url}/store",))
            got = fetcher.fetch(f"{folder}/{name}", sha256=sha256)
            shutil.move(got, out / name)
        imagebuilder.place(job.folder, out, secret=False)
    return job.images([job.folder / str(one["name"]) for one in told])
