"""The task `image`: firmware with the relay in it. Reads what was asked for into jobs, and runs several at a time.

imagebuilder.py makes one image; asu.py has a server make it (`--via`); lab.py has the jobs of the lab's targets;
report.py tells what came of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from forge.core import choices, cli, console, hashes, logs, paths, proc
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.openwrt import catalog, fetch, release_index
from forge.openwrt.catalog import Target
from forge.openwrt.fetch import Fetcher
from forge.openwrt.profile import Device
from forge.openwrt.release_index import Published
from forge.packages import feed, minisdk

LUCI_APP = "luci-app-mailrelay"
WORD = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._+-]*")
DEFAULT_NAME = "mailrelay"  # of an image without a site


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
    engine: str = choices.ENGINES[0]


class Planned(Protocol):
    """What a job is to those who run and report it, for OpenWrt's ImageBuilder or for the lab."""

    @property
    def site(self) -> Path | None: ...
    @property
    def folder(self) -> Path:
        """Where the images go."""

    @property
    def label(self) -> str: ...
    @property
    def facts(self) -> dict[str, str]:
        """Which release, target and profile it is for."""

    def next(self, images: Sequence[Image]) -> list[str]:
        """What can be done with the images, a line each."""


@dataclass(frozen=True)
class Job:
    """One image of OpenWrt's. `extra` is in its files' names (EXTRA_IMAGE_NAME)."""

    lists: Published
    device: Device
    site: Path | None
    wishes: Wishes
    folder: Path
    tree: Path | None = None  # the ImageBuilder, unpacked; None for a server's job

    @property
    def extra(self) -> str:
        return plain_name(self.site)

    @property
    def label(self) -> str:
        return f"{self.lists.version.number} {self.device.profile}" + (f" {self.site.stem}" if self.site else "")

    @property
    def facts(self) -> dict[str, str]:
        lists = self.lists
        return {"release": lists.version.number, "target": lists.target.name, "profile": self.device.profile}

    def next(self, images: Sequence[Image]) -> list[str]:
        from forge.images import report

        return report.next_of_openwrt(self, images)


def plain_name(site: Path | None) -> str:
    """What a site is called in the names of files."""
    name = site.stem if site else DEFAULT_NAME
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "site"


@dataclass(frozen=True)
class Image:
    path: Path
    size: int
    limit: int  # what the device takes; 0: not published, NO_LIMIT
    sha256: str


NO_LIMIT = -1


@dataclass(frozen=True)
class Made:
    job: Planned
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
    out: str = "",
    dry_run: bool = False,
    wishes: Wishes | None = None,
) -> list[Made]:
    """The task. `target` may be several, with commas, each TARGET or TARGET:PROFILE; `out` stands for dist/images."""
    from forge.images import lab as lab_images
    from forge.images import report

    wishes = wishes or Wishes()
    cli.choice(wishes.engine, choices.ENGINES, "--engine")
    targets = [word for word in (one.strip() for one in target.split(",")) if word]
    if not targets:
        raise UsageError("--target names none", hint="./inv targets lists them")
    lab = [word for word in targets if word.startswith(lab_images.PREFIX)]
    for word in (*wishes.packages, *wishes.disabled):
        if not WORD.fullmatch(word) and not (len(lab) == len(targets) and word.endswith(".ipk")):
            raise UsageError(f"{word!r} is no name of a package or service", hint="put spaces or commas between names")
    if wishes.feed and not feed.URLS.fullmatch(wishes.feed):
        raise UsageError(f"--feed: {wishes.feed!r} is no address", hint="write it like https://example.org/feed")
    files = _site_files(site, sites)
    if lab:
        lab_images.check(lab, files, wishes, profile=profile, release=release, mirror=mirror)
    _check_sites(files, wishes)
    top = Path(out) if out else paths.DIST / "images"
    fetcher = fetch.fetcher(mirror, offline=offline)
    planned: list[Planned] = []
    for word in targets:
        if word in lab:
            planned += lab_images.plan(word, files, wishes, top, offline=offline)
        else:
            planned += _plan(fetcher, word, profile, release, files, wishes, top, whole=not dry_run)
    folders = [job.folder for job in planned]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice:
        raise UsageError(f"two of the images would go to {paths.shown(twice)}", hint="name each target and site once")
    if dry_run:
        report.preview(planned)
        return []
    return report.finish(planned, _make(planned, wishes, jobs), listed=bool(sites))


def _check_sites(files: Sequence[Path | None], wishes: Wishes) -> None:
    """Everything that can be wrong with what was asked for shows before anything long begins."""
    from forge.site import site

    for path in files:
        site.load(path)
    if wishes.via:
        from forge.images import asu

        asu.check(wishes, files)


def _plan(
    fetcher: Fetcher,
    word: str,
    profile: str,
    release: str,
    sites: Sequence[Path | None],
    wishes: Wishes,
    top: Path,
    *,
    whole: bool,
) -> list[Job]:
    """The jobs of a target of OpenWrt's, one for each site; not `whole` without the ImageBuilder."""
    from forge.images import imagebuilder

    name, _, own = word.partition(":")
    one, wanted = _target(fetcher, name, own or profile, release)
    version = catalog.version(release or catalog.stable().series, target=one.name)
    console.title(f"OpenWrt {version.number}, {one.name}")
    lists = release_index.load(fetcher, version, one)
    tree = imagebuilder.tree(lists) if whole and not wishes.via else None
    data = lists.profiles() or (imagebuilder.info(tree) if tree else None)
    device = _device(data, wanted, one)
    folder = top / version.number / device.profile
    return [Job(lists, device, path, wishes, folder / site_name(path), tree) for path in sites]


def site_name(site: Path | None) -> str:
    """The folder of a site's images, in that of its profile."""
    return site.stem if site else DEFAULT_NAME


def _target(fetcher: Fetcher, name: str, profile: str, release: str) -> tuple[Target, str]:
    told = release_index.told_targets(fetcher, catalog.version(release or catalog.stable().series))
    one, guess = catalog.target(name, told)
    if guess:
        console.note(guess)
    board = catalog.board(name)
    return one, profile or (board.profile if board and board.target == one.name else "")


def _device(data: dict[str, Any] | None, wanted: str, target: Target) -> Device:
    from forge.openwrt import profile as profiles

    if not data or not data.get("profiles"):
        if not wanted:
            raise MissingError(
                f"the profiles of {target.name} are not known here, and --profile names none",
                hint="run once with the server in reach, or name the profile",
            )
        return profiles.of(wanted, None)
    name, guess = catalog.profile(wanted, data["profiles"], target.name)
    if guess:
        console.note(guess)
    found = profiles.of(name, data)
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
            f"--sites: there is no .toml file in {sites}", hint="one site file for each router: docs/build/SITE.md"
        )
    return list(found)


def _make(planned: Sequence[Planned], wishes: Wishes, jobs: int) -> list[Made | ForgeError]:
    """Every job to its end, also if another fails; results in the jobs' order. Ctrl-C ends them all."""
    from forge.images import imagebuilder
    from forge.images import lab as lab_images

    def call(job: Planned, ours: dict[str, list[Path]]) -> Callable[[], Made]:
        if isinstance(job, Job):
            return lambda: imagebuilder.make(job, ours.get(job.lists.version.release.series, []))
        assert isinstance(job, lab_images.LabJob)
        return lambda: lab_images.make(job, ours[job.target.name])

    if wishes.via:
        from forge.images import asu

        return [asu.run(wishes.via, job) for job in planned if isinstance(job, Job)]
    with (
        _local_packages([job for job in planned if isinstance(job, Job)], wishes) as local,
        lab_images.packages([job for job in planned if isinstance(job, lab_images.LabJob)], wishes) as lab,
    ):
        return in_parallel([call(job, {**local, **lab}) for job in planned], jobs)


@contextmanager
def _local_packages(planned: Sequence[Job], wishes: Wishes) -> Iterator[dict[str, list[Path]]]:
    """Our packages by release series, made by the mini-SDK; the folder is gone afterwards."""
    from forge.openwrt import build

    with build.scratch(".packages-") as scratch:
        local: dict[str, list[Path]] = {}
        for job in planned:
            release = job.lists.version.release
            if release.series in local or wishes.bare:
                continue
            wanted = {*own_packages(wishes), *wishes.packages}
            folder = Path(scratch) / release.series
            with logs.kept(f"mini-{release.series}"):
                built = minisdk.make(format=release.format, release=release.conventions, folder=folder)
            local[release.series] = [one.path for one in built if one.package.name in wanted]
        yield local


def own_packages(wishes: Wishes) -> list[str]:
    """Which of this checkout's packages go in."""
    if wishes.bare:
        return []
    app = (paths.PACKAGES / LUCI_APP / "Makefile").exists() and wishes.luci
    return [wishes.engine, *([LUCI_APP] if app else [])]


# ---- running them ---------------------------------------------------------------------------------------------------


def in_parallel(calls: Sequence[Callable[[], Made]], jobs: int) -> list[Made | ForgeError]:
    results: dict[int, Made | ForgeError] = {}
    pool = ThreadPoolExecutor(max(1, min(jobs, choices.MANY_JOBS)))
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


def checked(job: Job, found: Sequence[Path]) -> list[Image]:
    """Files as images, with hash and limit."""
    images = []
    for path in found:
        kind = "kernel" if re.search(r"-(?:kernel|initramfs)\b", path.name) else "image"
        images.append(Image(path, path.stat().st_size, job.device.limits.get(kind, 0), hashes.digest(path)))
    return images
