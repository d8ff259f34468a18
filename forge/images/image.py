"""The task `image`: firmware with the relay in it. Reads what was asked for into jobs, and runs several at a time.

imagebuilder.py makes one image; asu.py has a server make it (`--via`); lab.py has the jobs of the lab's targets;
report.py tells what came of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forge.core import choices, cli, console, logs, paths, proc
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.images import asu, imagebuilder, report
from forge.images import lab as lab_images
from forge.images.job import Job, LabJob, Made, Options, Planned, site_name
from forge.lab import package_state
from forge.openwrt import build, catalog, fetch, release_index
from forge.openwrt import profile as profiles
from forge.openwrt.catalog import Target
from forge.openwrt.fetch import Fetcher
from forge.openwrt.profile import Device
from forge.packages import feed, minisdk
from forge.site import site

WORD = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._+-]*")


def run(options: Options) -> list[Made]:
    """The task. Raise UsageError for what makes no sense, before anything long begins."""
    cli.choice(options.engine, choices.ENGINES, "--engine")
    targets = [word for word in (part.strip() for part in options.target.split(",")) if word]
    if not targets:
        raise UsageError("--target names none", hint="./inv targets lists them")
    lab = [word for word in targets if word.startswith(lab_images.PREFIX)]
    for word in (*options.packages, *options.disabled):
        if not WORD.fullmatch(word) and not (len(lab) == len(targets) and word.endswith(package_state.FILES)):
            raise UsageError(f"{word!r} is no name of a package or service", hint="put spaces or commas between names")
    if options.feed and not feed.URLS.fullmatch(options.feed):
        raise UsageError(f"--feed: {options.feed!r} is no address", hint="write it like https://example.org/feed")
    sites = [site.load(path) for path in _site_files(options)]
    if lab:
        lab_images.check(lab, sites, options)
    if options.via:
        asu.check(options, sites)
    top = Path(options.out) if options.out else paths.DIST / "images"
    fetcher = fetch.fetcher(options.mirror, offline=options.offline)
    planned: list[Planned] = []
    for word in targets:
        if word in lab:
            planned += lab_images.plan(word, sites, options, top)
        else:
            planned += _plan(fetcher, word, sites, options, top)
    folders = [job.folder for job in planned]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice:
        raise UsageError(f"two of the images would go to {paths.shown(twice)}", hint="name each target and site once")
    if options.dry_run:
        report.preview(planned)
        return []
    return report.finish(planned, _make(planned, options), listed=bool(options.sites))


def _plan(fetcher: Fetcher, word: str, sites: Sequence[site.Site], options: Options, top: Path) -> list[Job]:
    """The jobs of a target of OpenWrt's, one for each site; a dry run's without the ImageBuilder."""
    name, _, own = word.partition(":")
    target, wanted = _target(fetcher, name, own or options.profile, options.release)
    version = catalog.version(options.release or catalog.stable().series, target=target.name)
    console.title(f"OpenWrt {version.number}, {target.name}")
    lists = release_index.load(fetcher, version, target)
    tree = imagebuilder.tree(lists) if not options.dry_run and not options.via else None
    data = lists.profiles() or (imagebuilder.info(tree) if tree else None)
    device = _device(data, wanted, target)
    folder = top / version.number / device.profile
    return [Job(lists, device, one, options, folder / site_name(one), tree) for one in sites]


def _target(fetcher: Fetcher, name: str, profile: str, release: str) -> tuple[Target, str]:
    told = release_index.told_targets(fetcher, catalog.version(release or catalog.stable().series))
    target, guess = catalog.target(name, told)
    if guess:
        console.note(guess)
    board = catalog.board(name)
    return target, profile or (board.profile if board and board.target == target.name else "")


def _device(data: dict[str, Any] | None, wanted: str, target: Target) -> Device:
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


def _site_files(options: Options) -> list[Path | None]:
    if options.site and options.sites:
        raise UsageError("--site names one site, --sites a folder of them", hint="leave one of the two out")
    if not options.sites:
        return [Path(options.site) if options.site else None]
    found = sorted(Path(options.sites).glob("*.toml"))
    if not found:
        raise UsageError(
            f"--sites: there is no .toml file in {options.sites}",
            hint="one site file for each router: docs/build/SITE.md",
        )
    return list(found)


def _make(planned: Sequence[Planned], options: Options) -> list[Made | ForgeError]:
    """Every job to its end, also if another fails; results in the jobs' order. Ctrl-C ends them all."""

    def call(job: Planned, ours: dict[str, list[Path]]) -> Callable[[], Made]:
        if isinstance(job, Job):
            return lambda: imagebuilder.make(job, ours.get(job.lists.version.release.series, []))
        return lambda: lab_images.make(job, ours[job.target.name])

    if options.via:
        return [asu.run(options.via, job) for job in planned if isinstance(job, Job)]
    with (
        _local_packages([job for job in planned if isinstance(job, Job)], options) as local,
        lab_images.packages([job for job in planned if isinstance(job, LabJob)], options) as lab,
    ):
        return in_parallel([call(job, {**local, **lab}) for job in planned], options.jobs)


@contextmanager
def _local_packages(planned: Sequence[Job], options: Options) -> Iterator[dict[str, list[Path]]]:
    """Our packages by release series, made by the mini-SDK; the folder is gone afterwards."""
    with build.scratch(".packages-") as scratch:
        local: dict[str, list[Path]] = {}
        for job in planned:
            release = job.lists.version.release
            if release.series in local or options.bare:
                continue
            wanted = {*options.own_packages, *options.packages}
            folder = Path(scratch) / release.series
            with logs.kept(f"mini-{release.series}"):
                built = minisdk.make(format=release.format, release=release.conventions, folder=folder)
            local[release.series] = [made.path for made in built if made.package.name in wanted]
        yield local


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
