"""Firmware of the lab with the relay in it: the lab's half of the task `image`, and what `./inv qemu` boots.

Each option is carried out as for OpenWrt's images, or refused with the reason. forge/lab/firmware.py builds; the demo
and the tests call that, as they install the relay themselves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from forge.core import choices, cli, console, logs, paths
from forge.core.errors import UsageError
from forge.images import imagebuilder
from forge.images.job import LAB, NO_LIMIT, Image, LabJob, Made, Options, plain_name, site_name
from forge.lab import firmware as firmwares
from forge.lab import package_state, targets
from forge.lab.firmware import FILES, Firmware
from forge.lab.targets import Target
from forge.openwrt import build
from forge.site import overlay
from forge.site.site import Site

PREFIX = "lab-"


def check(words: Sequence[str], sites: Sequence[Site], options: Options) -> None:
    """Raise UsageError for what no firmware of the lab can carry out."""
    profile = options.profile
    for word in words:
        name, _, own = word.partition(":")
        target = targets.find(name, options.release)
        for site in sites:
            firmwares.check(target, site)
        profile = profile or own
    for option, given, reason in (
        ("--via", options.via, "no server makes the lab's firmware"),
        ("--profile", profile, "a lab target is one machine, and has no profiles"),
        ("--rootfs-mb", options.rootfs_mb, "the lab's root has no partition; ./inv qemu --disk keeps what it writes"),
        (
            "--mirror",
            options.mirror,
            "the lab's firmware is of Debian's packages, from where apt takes them on this machine",
        ),
    ):
        if given:
            raise UsageError(
                f"{option} means nothing for {words[0].partition(':')[0]}: {reason}", hint=f"leave {option} out"
            )
    wanted = _names(target, options)
    if not any(
        name.endswith(package_state.FILES) for name in wanted
    ):  # what those bring is seen when they are installed
        for service in options.disabled:
            cli.choice(service, _services(wanted), "--disable")


def _services(wanted: Sequence[str]) -> list[str]:
    """The services of firmware with these packages."""
    ours = {name: folder / "root" for name, folder in package_state.offered().items() if folder and name in wanted}
    tops = [firmwares.STANDIN, paths.FILES, *ours.values()]
    found = {script.name for top in tops for script in (top / "etc/init.d").glob("*")}
    return sorted(found | ({"postfix"} if "postfix" in wanted or choices.ENGINES[1] in wanted else set()))


def plan(name: str, sites: Sequence[Site], options: Options, top: Path) -> list[LabJob]:
    """The jobs of a lab target, one for each site."""
    target = targets.find(name, options.release)
    folder = top / LAB.format(target.release) / target.name
    return [LabJob(target, site, options, folder / site_name(site)) for site in sites]


def _names(target: Target, options: Options) -> list[str]:
    """The packages that go in. UsageError for what the lab has not, or cannot leave out."""
    wanted = options.own_packages
    if options.bare:
        there = package_state.names(target)
        wanted = [name for name in imagebuilder.relay_needs(options.engine) if name not in there]
    other = next(name for name in choices.ENGINES if name != options.engine)
    for word in options.packages:
        if word == other and not options.bare:
            raise UsageError(
                f"--packages {word}: the image has {options.engine} already", hint=f"--engine {other} instead"
            )
        left_out = word.removeprefix("-")
        if word == left_out:
            wanted.append(word)
        elif left_out in wanted:
            wanted.remove(left_out)
        else:
            raise UsageError(
                f"--packages: {left_out} is not what can be left out of the lab's firmware",
                hint=f"it has, of what can: {', '.join(wanted) or 'nothing'}",
            )
    known = package_state.offered()
    for name in wanted:
        if not name.endswith(package_state.FILES):
            cli.choice(name, known, "--packages")
        elif not name.endswith(package_state.FORMATS[target.manager]):
            raise UsageError(
                f"--packages: {name} is none of {target.label}'s packages",
                hint=f"{target.manager} takes .{package_state.FORMATS[target.manager]}",
            )
    return list(dict.fromkeys(wanted))


@contextmanager
def packages(planned: Sequence[LabJob], options: Options) -> Iterator[dict[str, list[Path]]]:
    """The packages by target, made by the mini-SDK; the folder is gone afterwards."""
    made: dict[str, list[Path]] = {}
    if not planned:
        yield made
        return
    with build.scratch(".packages-") as scratch:
        with logs.kept("mini-lab"), console.step("the packages that go in"):
            for job in planned:
                if job.target.name not in made:
                    folder = Path(scratch, job.target.name)
                    names = _names(job.target, options)
                    made[job.target.name] = package_state.named(job.target, names, folder, offline=options.offline)
        yield made


def make(job: LabJob, packages: Sequence[Path]) -> Made:
    """Build the firmware, or take it from the cache, and put a copy into job.folder."""
    with logs.kept(f"image-{job.target.stem}-{plain_name(job.site)}"), console.step(f"image {job.label}"):
        made = _build(job, packages)
        with build.scratch(".image-") as scratch:
            out = Path(scratch, "out")
            out.mkdir()
            for name in (*FILES, firmwares.MANIFEST):
                shutil.copyfile(made.folder / name, out / name)  # no link: what the owner does with it is no cache's
            (out / "profiles.json").write_text(json.dumps(_profiles(made), indent=2) + "\n")
            imagebuilder.place(job.folder, out, secret=job.site.source is not None)
        hashes = made.manifest["files"]
        files = [job.folder / name for name in FILES]
        images = [Image(path, path.stat().st_size, NO_LIMIT, hashes[path.name]) for path in files]
        return Made(job, images)


def _build(job: LabJob, packages: Sequence[Path]) -> Firmware:
    return firmwares.build(
        job.target,
        site=job.site,
        packages=packages,
        disabled=job.options.disabled,
        feed=job.options.feed,
        offline=job.options.offline,
    )


def _profiles(made: Firmware) -> dict[str, object]:
    """What OpenWrt's ImageBuilder says in its profiles.json, of this firmware."""
    target = made.target
    kinds = zip(FILES, ("kernel", "initrd", "rootfs"), ("", "", "squashfs"), strict=True)
    images = [
        {"name": name, "type": kind, "filesystem": filesystem, "sha256": made.manifest["files"][name]}
        for name, kind, filesystem in kinds
    ]
    return {
        "metadata_version": 1,
        "target": target.name,
        "arch_packages": target.package_architecture,
        "version_number": target.release,
        "linux_kernel": {"version": made.manifest["kernel"]},
        "source_date_epoch": overlay.TIME,
        "default_packages": package_state.names(target),
        "profiles": {
            target.name: {
                "titles": [{"vendor": "QEMU", "model": target.machine}],
                "supported_devices": [target.name],
                "device_packages": [],
                "images": images,
            }
        },
    }


def default(target: str, site: Site, release: str = "") -> Firmware:
    """The firmware that ./inv qemu boots: as ./inv image makes it when nothing else is asked for."""
    job = plan(target, [site], Options(release=release), Path())[0]
    firmwares.check(job.target, site)
    with packages([job], job.options) as made:
        return _build(job, made[job.target.name])
