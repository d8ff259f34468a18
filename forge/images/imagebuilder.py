"""Makes one image with OpenWrt's ImageBuilder: our packages, the site's files, a dry solve first, every image required.

Each build works in a copy of its own, so that several can run at once and none leaves anything behind; the packages it
downloads are kept for the next one. The ImageBuilder fails silently (an image that is too big is deleted, with status
0), so its exit status alone is never believed. image.py calls make(); asu.py and lab.py take place() and relay_needs().
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forge.core import console, hashes, logs, paths, proc
from forge.core.errors import CommandError, ForgeError
from forge.core.logs import Log
from forge.images.job import LUCI_APP, Job, Made
from forge.openwrt import archive, build, fetch, openwrt_host
from forge.openwrt import profile as profiles
from forge.openwrt.buildlog import explain
from forge.openwrt.release_index import Published
from forge.packages import feed, stage
from forge.site import overlay

TIMEOUT = 3600.0  # seconds; a slow line has some hundred packages to bring
PACKAGE_LINE = re.compile(
    r"(?m)^([a-z0-9][\w.+-]*) (?:- )?(\d\S*|\S*~\S*|r\d\S*)$"
)  # opkg: "name - version", apk: "name version"
MIRROR = ".mirror"
REPOSITORIES = {"opkg": "repositories.conf", "apk": "repositories"}
SUMS = "sha256sums"
TOO_BIG = re.compile(r"WARNING: Image file (\S+) is too big: (\d+) > (\d+)")


class ImageError(ForgeError):
    """The ImageBuilder did not make what it should have made."""


def tree(lists: Published) -> Path:
    """The ImageBuilder, unpacked: never worked in, only copied."""
    openwrt_host.require("image")
    file = lists.archive("imagebuilder")
    return archive.unpacked(file, hashes.digest(file))


def info(pristine: Path) -> dict[str, Any] | None:
    """The profiles by `make info`, for a target without a profiles.json; None if it has none to tell."""
    with build.scratch(".info-") as scratch:
        work = _copy(pristine, Path(scratch))
        result = proc.run([*openwrt_host.started(Path(scratch)), "make", "info"], cwd=work, timeout=600.0, check=False)
    found = profiles.from_info(result.output)
    return found if found["profiles"] else None


def make(job: Job, local: Sequence[Path]) -> Made:
    """Build the image into job.folder (replacing what was there), or raise ImageError with the cause."""
    assert job.tree is not None
    name = f"image-{job.lists.version.number}-{job.device.profile}-{job.extra}"
    with (
        build.scratch(".image-") as scratch,
        logs.kept(name) as log,
        console.step(f"image {job.label}"),
    ):
        top = Path(scratch)
        work = _copy(job.tree, top)
        _bring_packages(job, work)
        for path in local:
            shutil.copy(path, work / "packages")
        _repositories(job, work)
        overlay.render(job.site, top / "files")
        if job.options.feed:
            feed.trust(top / "files", job.options.feed, job.lists.version.release.manager)
        _solve(job, work, log)
        try:
            _image(job, work, top, log)
        finally:
            _keep_packages(job, work)
        found = _required(job, top / "out", log)
        place(job.folder, top / "out", secret=job.site.source is not None)
        return Made(job, job.images([job.folder / path.name for path in found]))


# ---- the parts of a build -------------------------------------------------------------------------------------------


def _copy(pristine: Path, top: Path) -> Path:
    archive.check_path(top)
    work = top / "imagebuilder"
    hint = f"./inv cache.prune, or set {paths.CACHE_VARIABLE} to a folder on another disk"
    proc.run(["cp", "-a", "--reflink=auto", pristine, work], timeout=TIMEOUT, hint=hint)
    (work / "packages").mkdir(exist_ok=True)
    return work


def _downloads(job: Job) -> Path:
    return paths.cache("openwrt-packages", job.lists.version.number, job.lists.target.dashed)


def _bring_packages(job: Job, work: Path) -> None:
    """What earlier builds fetched from the package feeds: opkg and apk check it again themselves."""
    with fetch.lock(_downloads(job) / ".lock", "is keeping packages"):
        proc.run(["cp", "-a", "--reflink=auto", f"{_downloads(job)}/.", work / "dl"], timeout=TIMEOUT)
    for name in (".lock", MIRROR):
        (work / "dl" / name).unlink(missing_ok=True)


def _keep_packages(job: Job, work: Path) -> None:
    kept = _downloads(job)
    with fetch.lock(kept / ".lock", "is keeping packages"):
        for path in sorted((work / "dl").rglob("*")):
            target = kept / path.relative_to(work / "dl")
            if path.is_dir():
                target.mkdir(exist_ok=True)
            elif path.is_file() and not path.is_symlink():
                with paths.replacing(target) as partial:
                    shutil.copy2(path, partial)


def _repositories(job: Job, work: Path) -> None:
    """A mirror stands in for the server's address, since the packages come from there, too; offline, the one of before:
    opkg and apk keep their lists by address."""
    path = work / REPOSITORIES[job.lists.version.release.manager]
    before = _downloads(job) / MIRROR
    mirror = job.lists.fetcher.mirrors[0]
    if job.lists.fetcher.offline and before.exists():
        mirror = before.read_text(encoding="utf-8")
    before.write_text(mirror, encoding="utf-8")
    folder = fetch.local(mirror)
    if mirror == fetch.SERVER or not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(fetch.SERVER, f"file://{folder}" if folder else mirror), encoding="utf-8")


def _words(job: Job) -> list[str]:
    wanted = [*job.options.own_packages, *job.site.packages, *job.options.packages]
    if job.options.bare:
        wanted = [*relay_needs(job.options.engine), *wanted]
    elif LUCI_APP in wanted:
        wanted.append("luci")
    return list(dict.fromkeys(wanted))


def relay_needs(engine: str) -> list[str]:
    """What the engine's package depends on, less what every image has."""
    with stage.staged(paths.PACKAGES / "mailrelay", [engine]) as packages:
        return [name for name in packages[0].depends if name != "libc"]


def _solve(job: Job, work: Path, log: Log) -> None:
    """A dry run: whether the image will have our packages. Cheap, and most mistakes show here."""
    words = [f"PROFILE={job.device.profile}", f"PACKAGES={' '.join(_words(job))}", "STRIP_ABI=1"]
    output = _make(job, work, log, "manifest", *words)
    found = dict(PACKAGE_LINE.findall(output))
    # Of others' packages a name may be one that another package provides: opkg and apk fail by themselves.
    ours = relay_needs(job.options.engine) if job.options.bare else job.options.own_packages
    lacking = [name for name in ours if name not in found]
    if lacking:
        cause = explain(output)
        raise _failed(job, f"the image would lack {', '.join(lacking)}: {cause.what}", log, cause.hint)


def _image(job: Job, work: Path, top: Path, log: Log) -> None:
    options = job.options
    words = [
        f"PROFILE={job.device.profile}",
        f"PACKAGES={' '.join(_words(job))}",
        f"FILES={top / 'files'}",
        f"EXTRA_IMAGE_NAME={job.extra}",
        f"BIN_DIR={top / 'out'}",
    ]
    if options.disabled:
        words.append(f"DISABLED_SERVICES={' '.join(options.disabled)}")
    if options.rootfs_mb:
        words.append(f"ROOTFS_PARTSIZE={options.rootfs_mb}")
    _make(job, work, log, "image", *words)


def _make(job: Job, work: Path, log: Log, *words: str) -> str:
    log(f"$ make {shlex.join(words)}")
    try:
        argv = [*openwrt_host.started(work.parent, offline=job.lists.fetcher.offline), "make", *words]
        return proc.run(argv, cwd=work, timeout=TIMEOUT, on_line=log).output
    except CommandError as error:
        if "Prerequisite check failed" in error.output:
            # It keeps its reasons to itself: the same check again, aloud.
            log("$ make -f include/prereq-build.mk prereq IB=1")
            check = ["make", "-r", "-s", "-f", "include/prereq-build.mk", "prereq", "IB=1", f"TOPDIR={work}"]
            proc.run([*openwrt_host.started(work.parent), *check], cwd=work, timeout=600.0, check=False, on_line=log)
        cause = explain(error.output)
        raise _failed(job, cause.what, log, cause.hint) from error


def _failed(job: Job, what: str, log: Log, hint: str) -> ImageError:
    return ImageError(f"no image for {job.label}: {what}\n  all that was said: {paths.shown(log.path)}", hint=hint)


# ---- what came of it ------------------------------------------------------------------------------------------------


def _required(job: Job, out: Path, log: Log) -> list[Path]:
    """Every image that this device has, by name, whole by the ImageBuilder's own hashes. ImageError if one is not."""
    made = json.loads((out / "profiles.json").read_text()) if (out / "profiles.json").exists() else {}
    told = {str(one["name"]): one for one in made.get("profiles", {}).get(job.device.profile, {}).get("images", [])}
    expected = profiles.named(job.device, job.lists.version, job.lists.target, job.extra) or tuple(told)
    big = {Path(path).name: (int(size), int(limit)) for path, size, limit in TOO_BIG.findall(log.text)}
    lacking = [name for name in expected if not (out / name).is_file()]
    if lacking or (big and not job.device.images):
        rows = [(name, str(size), str(limit), f"FAIL {size - limit} too many") for name, (size, limit) in big.items()]
        if rows:
            console.table(("image", "bytes", "the device takes", ""), rows)
        cause = explain(log.text) if big else None
        what = cause.what if cause else f"the ImageBuilder ended well, but made no {', '.join(lacking)}"
        raise _failed(job, what, log, cause.hint if cause else "the log says what it made instead")
    if not expected:
        raise _failed(job, "the ImageBuilder ended well, but made no image at all", log, explain(log.text).hint)
    for name in expected:
        sha = told.get(name, {}).get("sha256")
        found = hashes.digest(out / name)
        if sha and sha != found:
            raise _failed(job, f"{name} is damaged: expected sha256 {sha}, found {found}", log, "is the disk sound?")
    return [out / name for name in expected]


def place(target: Path, out: Path, *, secret: bool) -> None:
    """What was made, with its sha256sums, takes the place of what was in the folder, as a whole. With `secret`, as a
    site's passwords, the folder is closed to others."""
    names = sorted(path.name for path in out.iterdir() if path.is_file() and path.name != SUMS)
    (out / SUMS).write_text("".join(f"{hashes.digest(out / name)} *{name}\n" for name in names))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with paths.making(target, mode=0o700 if secret else 0o755) as fresh:
            shutil.copytree(out, fresh, dirs_exist_ok=True)
    except OSError as error:
        raise ForgeError(f"{paths.shown(target)}: {error.strerror or error}", hint="is the disk full?") from error
