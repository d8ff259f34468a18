"""The task `image`: firmware for real routers. Reads what was asked for into jobs, runs several at a time, and reports.

imagebuilder.py makes one image; asu.py has a server make it (`--via`). Lab targets are not built here: tasks.py hands
them to forge.lab.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge import build, catalog, cli, console, feed, fetch, hashes, paths, proc, progress, published
from forge.catalog import Target
from forge.device import Device
from forge.errors import ForgeError, MissingError, UsageError
from forge.fetch import Fetcher
from forge.published import Published

ENGINES = ("mailrelay", "mailrelay-postfix")
LUCI_APP = "luci-app-mailrelay"
WORD = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._+-]*")
DEFAULT_NAME = "mailrelay"  # of an image without a site
MANY = 64  # jobs at a time: more than any machine has use for


@dataclass(frozen=True)
class Wishes:
    """What all images of a run have in common, from the command line."""

    packages: tuple[str, ...] = ()  # beyond ours; "-NAME" leaves one out
    disabled: tuple[str, ...] = ()  # services
    rootfs_mb: int = 0  # partition size; 0: the device's own
    feed: str = ""  # where routers find our feed
    via: str = ""
    bare: bool = False  # all that the relay needs, without the relay
    luci: bool = True
    engine: str = ENGINES[0]


@dataclass(frozen=True)
class Job:
    """One image. `extra` is in its files' names (EXTRA_IMAGE_NAME)."""

    lists: Published
    device: Device
    site: Path | None
    wishes: Wishes
    folder: Path  # where the images go
    tree: Path | None = None  # the ImageBuilder, unpacked; None for a server's job

    @property
    def extra(self) -> str:
        name = self.site.stem if self.site else DEFAULT_NAME
        return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "site"

    @property
    def label(self) -> str:
        return f"{self.lists.version.number} {self.device.profile}" + (f" {self.site.stem}" if self.site else "")


@dataclass(frozen=True)
class Image:
    path: Path
    size: int
    limit: int  # 0: not published
    sha256: str


@dataclass(frozen=True)
class Made:
    job: Job
    images: list[Image]
    packages: int  # in the image
    log: Path


def run(
    *,
    target: str,
    profile: str = "",
    release: str = "",
    site: str = "",
    sites: str = "",
    jobs: int = 1,
    mirror: str = "",
    offline: bool = False,
    wishes: Wishes | None = None,
) -> list[Made]:
    """The task. `target` may be several, with commas, each TARGET or TARGET:PROFILE."""
    wishes = wishes or Wishes()
    cli.choice(wishes.engine, ENGINES, "--engine")
    for word in (*wishes.packages, *wishes.disabled):
        if not WORD.fullmatch(word):
            raise UsageError(f"{word!r} is no name of a package or service", hint="put spaces or commas between names")
    if wishes.feed and not feed.URLS.fullmatch(wishes.feed):
        raise UsageError(f"--feed: {wishes.feed!r} is no address", hint="write it like https://example.org/feed")
    fetcher = fetch.fetcher(mirror, offline=offline)
    planned = _plan(fetcher, target, profile, release, _site_files(site, sites), wishes)
    if wishes.via:
        from forge import asu

        return _finish(planned, [asu.run(wishes.via, job) for job in planned])
    with _local_packages(planned, wishes) as local:
        return _finish(planned, _parallel(planned, local, jobs))


def _plan(
    fetcher: Fetcher, targets: str, profile: str, release: str, sites: Sequence[Path | None], wishes: Wishes
) -> list[Job]:
    """Everything that can be wrong with what was asked for shows here, before anything long begins."""
    from forge import imagebuilder, site

    for path in sites:
        site.load(path)
    if wishes.via:
        from forge import asu

        asu.check(wishes, sites)
    planned = []
    for word in filter(None, (one.strip() for one in targets.split(","))):
        name, _, own = word.partition(":")
        wanted = own or profile
        one, wanted = _target(fetcher, name, wanted, release)
        version = catalog.version(release or catalog.stable().series, target=one.name)
        console.title(f"OpenWrt {version.number}, {one.name}")
        lists = published.load(fetcher, version, one)
        tree = None if wishes.via else imagebuilder.tree(lists)
        data = lists.profiles() or (imagebuilder.info(tree) if tree else None)
        device = _device(data, wanted, one)
        for path in sites:
            folder = paths.DIST / "images" / version.number / device.profile / (path.stem if path else DEFAULT_NAME)
            planned.append(Job(lists, device, path, wishes, folder, tree))
    if not planned:
        raise UsageError("--target names none", hint="./inv targets lists them")
    folders = [job.folder for job in planned]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice:
        raise UsageError(f"two of the images would go to {paths.shown(twice)}", hint="name each target and site once")
    return planned


def _target(fetcher: Fetcher, name: str, profile: str, release: str) -> tuple[Target, str]:
    told = published.told_targets(fetcher, catalog.version(release or catalog.stable().series))
    one, guess = catalog.target(name, told)
    if guess:
        console.note(guess)
    board = {board.profile for board in catalog.boards() if board.target == one.name}
    return one, profile or (name if name in board else "")


def _device(data: dict[str, Any] | None, wanted: str, target: Target) -> Device:
    from forge import device

    if not data or not data.get("profiles"):
        if not wanted:
            raise MissingError(
                f"the profiles of {target.name} are not known here, and --profile names none",
                hint="run once with the server in reach, or name the profile",
            )
        return device.of(wanted, None)
    name, guess = catalog.profile(wanted, data["profiles"], target.name)
    if guess:
        console.note(guess)
    found = device.of(name, data)
    console.note(f"{name}: {found.title}" if found.title else name)
    return found


def _site_files(site: str, sites: str) -> list[Path | None]:
    if site and sites:
        raise UsageError("--site names one site, --sites a folder of them", hint="leave one of the two out")
    if not sites:
        return [Path(site) if site else None]
    folder = Path(sites)
    found = sorted(folder.glob("*.toml"))
    if not found:
        raise UsageError(
            f"--sites: there is no .toml file in {sites}", hint="one site file for each router: docs/SITE.md"
        )
    return list(found)


@contextmanager
def _local_packages(planned: Sequence[Job], wishes: Wishes) -> Iterator[dict[str, list[Path]]]:
    """Our packages by release series, made by the mini-SDK; the folder is gone afterwards."""
    from forge import builder

    with builder.scratch(".packages-") as scratch:
        local: dict[str, list[Path]] = {}
        for job in planned:
            release = job.lists.version.release
            if release.series in local or wishes.bare:
                continue
            wanted = {*own_packages(wishes), *wishes.packages}
            folder = Path(scratch) / release.series
            built = build.make(format=release.format, release=release.conventions, folder=folder)
            local[release.series] = [one.path for one in built if one.package.name in wanted]
        yield local


def own_packages(wishes: Wishes) -> list[str]:
    """Which of this checkout's packages go in."""
    if wishes.bare:
        return []
    app = (paths.PACKAGES / LUCI_APP / "Makefile").exists() and wishes.luci
    return [wishes.engine, *([LUCI_APP] if app else [])]


# ---- running them ---------------------------------------------------------------------------------------------------


def _parallel(planned: Sequence[Job], local: dict[str, list[Path]], jobs: int) -> list[Made | ForgeError]:
    """Every job to its end, also if another fails; results in the jobs' order. Ctrl-C ends them all."""
    from forge import imagebuilder

    def one(job: Job) -> Made:
        return imagebuilder.make(job, local.get(job.lists.version.release.series, []))

    return in_parallel([lambda job=job: one(job) for job in planned], jobs)  # type: ignore[misc]


def in_parallel(calls: Sequence[Callable[[], Made]], jobs: int) -> list[Made | ForgeError]:
    results: dict[int, Made | ForgeError] = {}
    pool = ThreadPoolExecutor(max(1, min(jobs, MANY)))
    futures: dict[Future[Made], int] = {pool.submit(call): at for at, call in enumerate(calls)}
    try:
        for future in as_completed(futures):
            try:
                results[futures[future]] = future.result()
            except ForgeError as error:
                results[futures[future]] = error
                console.bad(error.message.splitlines()[0])
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        while any(future.running() for future in futures):  # a job may start its next program meanwhile
            proc.end_all()
            wait([future for future in futures if future.running()], timeout=0.2)
        raise
    pool.shutdown()
    return [results[at] for at in range(len(calls))]


def _finish(planned: Sequence[Job], results: Sequence[Made | ForgeError]) -> list[Made]:
    made = [result for result in results if isinstance(result, Made)]
    if made:
        console.say()
        _table(made)
        console.say()
        _next(made[0])
    failed = [(job, result) for job, result in zip(planned, results, strict=True) if isinstance(result, ForgeError)]
    if len(failed) == 1 and len(planned) == 1:
        raise failed[0][1]
    if failed:
        lines = [f"{job.label}: {error}".replace("\n", "\n    ") for job, error in failed]
        raise ForgeError(f"{len(failed)} of {len(planned)} images failed:\n  " + "\n  ".join(lines))
    return made


def _table(made: Sequence[Made]) -> None:
    rows = []
    for one in made:
        for image in one.images:
            limit = progress.size(image.limit) if image.limit else "not published"
            used = f"{100 * image.size // image.limit} %" if image.limit else "-"
            rows.append((paths.shown(image.path), progress.size(image.size), limit, used, image.sha256))
    console.table(("image", "size", "the device takes", "used", "sha256"), rows)


def _next(one: Made) -> None:
    upgrade = next((image.path for image in one.images if "sysupgrade" in image.path.name), None)
    machine = catalog.targets().get(one.job.lists.target.name, one.job.lists.target).machine
    console.say("Next:")
    if upgrade:
        console.say("  on a router that runs OpenWrt already (its settings go with -n; the image has yours):")
        console.say(f"    scp -O {paths.shown(upgrade)} root@192.168.1.1:/tmp/firmware.bin")
        console.say("    ssh root@192.168.1.1 sysupgrade -n /tmp/firmware.bin")
    if machine and one.images:
        console.say(f"  to boot it here: ./inv qemu --target {one.job.lists.target.name} --firmware FILE")
    if not machine:
        console.note(f"QEMU has no {one.job.lists.target.name}: not booted before it meets the router (docs/ROUTER.md)")


def checked(job: Job, found: Sequence[Path]) -> list[Image]:
    """Files as images, with hash and limit."""
    images = []
    for path in found:
        kind = "kernel" if re.search(r"-(?:kernel|initramfs)\b", path.name) else "image"
        images.append(Image(path, path.stat().st_size, job.device.limits.get(kind, 0), hashes.digest(path)))
    return images
