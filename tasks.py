"""The tasks, for ./inv and for Invoke: thin, each a few lines over forge/. Start with ./inv --list.

What is imported here at once is the standard library's and forge's own: ./inv --help works before anything is
installed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from forge.core import choices, cli, needs, words
from forge.inv import names

if TYPE_CHECKING:
    from invoke.context import Context

MIRROR = "take OpenWrt's files from here: an address, or a folder with the same tree (several with commas between)"
OFFLINE = "ask no server: use what was fetched before, or say what is missing"
DRY_RUN = "say what would be done and brought, and do nothing"
OUT = "the folder that takes what is made (dist)"


@cli.task(
    first="target",
    needs=needs.demo,
    convert={"target": cli.OneOf(names.lab_targets), "release": cli.OneOf(names.lab_releases)},
    help={
        "target": "another router than lab-mipsel",
        "release": "the OpenWrt it is made as: 25.12 (the default) or 24.10",
        "local": "run the relay on this machine, without a router",
        "keep": "leave provider and router (or relay) running until Ctrl-C, to try them by hand",
        "dry_run": DRY_RUN,
    },
)
def demo(
    _: Context, target: str = "", release: str = "", local: bool = False, keep: bool = False, dry_run: bool = False
) -> None:
    """Show the relay at work on a router in QEMU: plain mail goes in, a provider with TLS and a login gets it.

    The router boots from firmware that is made of Debian's packages, the provider is Debian's Postfix, unpacked in a
    private folder; nothing is installed or left behind. Both outlive a stopped provider and a power cut.
    """
    if dry_run:
        from forge.inv import preview

        preview.demo(target=target, local=local)
    elif local:
        from forge.demo import local as local_demo

        local_demo.run(keep=keep)
    else:
        from forge.demo import lab

        lab.run(target=target, release=release, keep=keep)


@cli.task(
    first="only",
    json=True,
    needs=needs.test,
    rest="arguments for pytest: files, -k WORD, -x",
    convert={
        "only": cli.OneOf(choices.checked),
        "target": cli.Suggested(names.machines),
        "release": cli.OneOf(names.lab_releases),
    },
    help={
        "only": "one area alone: the name of a folder in tests/, or lint",
        "lint": "run no linters",
        "all_targets": "boot the lab's ARM targets as well",
        "host": "run the lab's tests, or with --only luci LuCI's, on this router: ssh://root@192.168.1.1",
        "firmware": "run the lab's tests, or LuCI's, on a guest with this image of OpenWrt",
        "target": "of that image (x86/64, armsr/armv8, malta/le), or the one lab target to boot",
        "release": "boot the lab's targets as this OpenWrt: 24.10 or 25.12 (a run has each on one of them)",
        "online": "also run the tests that ask OpenWrt's real server",
        "dry_run": "name the stages that would be run, and run none",
    },
)
def test(
    _: Context,
    only: str = "",
    lint: bool = True,
    all_targets: bool = False,
    host: str = "",
    firmware: str = "",
    target: str = "",
    release: str = "",
    online: bool = False,
    dry_run: bool = False,
) -> None:
    """Run the linters and the tests, the relay's on every Python at hand.

    Areas are tested side by side; what fails on the busy machine is tried once more, alone, and named in the table.
    """
    from forge.checks import checks

    checks.run_all(
        only=choices.on_router(only) if host or firmware or target else only,
        lint=lint,
        routers=checks.routers(all_targets=all_targets, release=release),
        router=checks.router(host=host, firmware=firmware, target=target, release=release),
        online=online,
        pytest_args=cli.remainder(),
        dry_run=dry_run,
    )


@cli.task(
    first="target",
    json=True,
    needs=partial(needs.build, known=names.is_target),
    convert={
        "package": cli.OneOf(choices.packages),
        "format": cli.OneOf(choices.FORMATS),
        "builder": cli.OneOf(choices.BUILDERS),
        "target": cli.Suggested(names.targets),
    },
    help={
        "target": "build with OpenWrt's SDK for this target (ramips, x86/64, a board's name) where it can be had",
        "package": "this package alone",
        "format": "ipk (opkg, up to OpenWrt 24.10), apk (25.12 and later) or all (both, the default); or deb (Debian)",
        "release": "for this OpenWrt: 23.05, 24.10, 25.12, one of their point releases, snapshot",
        "builder": "auto (the SDK if it is cached or reachable), sdk, or mini (needs nothing of OpenWrt's)",
        "out": OUT,
        "reproducible": "refuse to build what another checkout of the same commit would build otherwise",
        "mirror": MIRROR,
        "offline": OFFLINE,
        "dry_run": DRY_RUN,
    },
)
def build(
    _: Context,
    target: str = "",
    package: str = "",
    format: str = "all",
    release: str = "",
    builder: str = "auto",
    out: str = "",
    reproducible: bool = False,
    mirror: str = "",
    offline: bool = False,
    dry_run: bool = False,
) -> None:
    """Make the OpenWrt packages in dist/, from package/*/Makefile: with OpenWrt's SDK, or without any."""
    from forge.openwrt import build as builders

    options = builders.Options(
        package=package,
        format=format,
        target=target,
        release=release,
        builder=builder,
        out=out,
        reproducible=reproducible,
        mirror=mirror,
        offline=offline,
        dry_run=dry_run,
    )
    builders.run(options)


@cli.task(
    first="target",
    required=True,
    json=True,
    needs=partial(needs.image, known=names.is_target),
    convert={
        "target": cli.Suggested(names.targets),
        "site": cli.existing_file,
        "sites": cli.existing_folder,
        "jobs": cli.Number(1, choices.MANY_JOBS),
        "rootfs_mb": cli.Number(0, 65536),
        "engine": cli.OneOf(choices.ENGINES),
    },
    help={
        "target": "ramips, x86/64, a board, lab-mipsel; several with commas between, each TARGET or TARGET:PROFILE",
        "profile": "the device: ./inv targets --match WORD finds it",
        "release": "25.12 (the default), 24.10, a point release, snapshot; of a lab target 24.10 or 25.12",
        "site": "a site file: what this router is to have set (docs/build/SITE.md)",
        "sites": "a folder of site files: an image for each",
        "jobs": "how many images are made at a time (1)",
        "packages": "more packages for the image, with commas or spaces between; -NAME leaves one out",
        "disable": "services that do not start, with commas or spaces between",
        "rootfs_mb": "size of the root partition in MB, on devices that have a disk",
        "engine": "mailrelay (the default) or mailrelay-postfix",
        "luci": "leave the web interface out",
        "feed": "where routers will find our feed: its key and its line go into the image",
        "via": "have this attended-sysupgrade server make the image",
        "bare": "all that the relay needs, without the relay",
        "out": "the folder that takes the images (dist/images)",
        "mirror": MIRROR,
        "offline": OFFLINE,
        "dry_run": DRY_RUN,
    },
)
def image(
    _: Context,
    target: str = "",
    profile: str = "",
    release: str = "",
    site: str = "",
    sites: str = "",
    jobs: int = 1,
    packages: str = "",
    disable: str = "",
    rootfs_mb: int = 0,
    engine: str = "mailrelay",
    luci: bool = True,
    feed: str = "",
    via: str = "",
    bare: bool = False,
    out: str = "",
    mirror: str = "",
    offline: bool = False,
    dry_run: bool = False,
) -> None:
    """Make firmware with the relay and a site's settings in it, by OpenWrt's ImageBuilder; lab targets by ourselves."""
    from forge.images import image, job

    options = job.Options(
        target=target,
        profile=profile,
        release=release,
        site=site,
        sites=sites,
        jobs=jobs,
        packages=words.split(packages),
        disabled=words.split(disable),
        rootfs_mb=rootfs_mb,
        engine=engine,
        luci=luci,
        feed=feed,
        via=via,
        bare=bare,
        out=out,
        mirror=mirror,
        offline=offline,
        dry_run=dry_run,
    )
    image.run(options)


@cli.task(
    first="match",
    json=True,
    help={
        "match": "what has this in its name: a target, an architecture, a board, a maker",
        "release": "ask the server about this release (with --match: about the devices of the targets that match)",
        "mirror": MIRROR,
        "offline": OFFLINE,
    },
)
def targets(_: Context, match: str = "", release: str = "", mirror: str = "", offline: bool = False) -> None:
    """List OpenWrt's releases, targets and devices, with their package manager and QEMU machine."""
    from forge.openwrt import targets

    targets.run(release=release, match=match, mirror=mirror, offline=offline)


@cli.task(
    first="release",
    convert={"target": cli.Suggested(names.targets)},
    help={
        "release": "also lock this release (a series means its newest)",
        "target": "also lock this target",
        "mirror": MIRROR,
    },
)
def lock(_: Context, release: str = "", target: str = "", mirror: str = "") -> None:
    """Bring feeds/lock.toml up to date from OpenWrt's signed lists, and show the difference."""
    from forge.openwrt import fetch, lock

    lock.update(fetch.fetcher(mirror), release=release, target=target)


@cli.task(name="cache", aliases=("cache.show",), json=True)
def cache_show(_: Context) -> None:
    """Show what the cache folder holds."""
    from forge.inv import cache

    cache.show()


@cli.task(name="cache.verify", json=True)
def cache_verify(_: Context) -> None:
    """Hash everything in the cache that has a recorded hash, and remove what is not what it should be."""
    from forge.inv import cache_verify

    cache_verify.verify()


@cli.task(name="cache.prune", help={"all": "empty it", "dry_run": "name what would be removed, and remove nothing"})
def cache_prune(_: Context, all: bool = False, dry_run: bool = False) -> None:
    """Remove what no later run needs from the cache: half downloads, unpacked archives, old releases."""
    from forge.inv import cache

    cache.prune(everything=all, dry_run=dry_run)


@cli.task(
    first="file",
    required=True,
    convert={"file": cli.existing_package},
    json=True,
    help={"file": "a package: .ipk, .apk or .deb"},
)
def inspect(_: Context, file: str = "") -> None:
    """Show a package's control data, scripts and files. Nothing is unpacked."""
    from forge.packages import minisdk

    minisdk.inspect(file)


@cli.task(
    first="url",
    needs=needs.BUILD,
    help={
        "url": "where routers will find dist/feed, for the lines that are printed: https://example.org/feed",
        "reproducible": "refuse to build what another checkout of the same commit would build otherwise",
    },
)
def feed(_: Context, url: str = "", reproducible: bool = False) -> None:
    """Lay out dist/feed for opkg and apk: packages, signed indexes, and the keys and lines that a router needs."""
    from forge.packages import feed

    feed.run(url=url, reproducible=reproducible)


@cli.task(
    needs=needs.BUILD,
    convert={"port": cli.Number(0, 65535)},
    help={"port": "where to listen (8000)", "address": "this machine's address, as the router sees it"},
)
def serve(_: Context, port: int = 8000, address: str = "") -> None:
    """Serve dist/feed to a router in the same room, until Ctrl-C; says what to type there."""
    from forge.packages import serve

    serve.run(port=port, address=address)


@cli.task(needs=needs.LINT)
def lint(_: Context) -> None:
    """Run the linters alone: ruff, mypy, shellcheck."""
    from forge.checks import checks

    checks.run_lint()


@cli.task(help={"check": "write nothing, and fail if a file is not as it should be"})
def generate(_: Context, check: bool = False) -> None:
    """Write what is made from the code: LuCI's options, the router's table of them, tables in docs, translations."""
    from forge.inv import generate

    generate.run(check=check)


@cli.task(
    first="to",
    needs=needs.BUILD,
    convert={"to": cli.Suggested(choices.STEPS)},
    help={
        "to": "major, minor (the default), patch, or a number as 2.0.1",
        "build": "make again what the tag that is checked out stands for, to publish it",
        "dry_run": DRY_RUN,
    },
)
def release(_: Context, to: str = "", build: bool = False, dry_run: bool = False) -> None:
    """Set a new version, date it in CHANGELOG.md, commit and tag it; then packages, feed and checksums into dist/."""
    from forge.inv import release

    release.run(to, build=build, dry_run=dry_run)


@cli.task(json=True)
def doctor(_: Context) -> None:
    """Say which task can run now, and what the next start of each would bring."""
    from forge.inv import doctor

    doctor.run()


@cli.task(
    first="target",
    needs=needs.bench,
    convert={"rounds": cli.Number(1, 100), "target": cli.OneOf(names.lab_targets)},
    help={
        "target": "a target of the lab's, as lab-mipsel: measures on that router instead of this machine",
        "rounds": "how often each figure is taken (5; a round takes a minute and a half)",
        "quick": "one round of a smaller load, for a first look; docs/ is left as it is",
    },
)
def bench(_: Context, target: str = "", rounds: int = 5, quick: bool = False) -> None:
    """Measure the relay side by side with Postfix on this machine, or by itself on a router in QEMU; writes docs/."""
    from forge.bench import bench, guest

    if target:
        guest.run(target, rounds=rounds, quick=quick)
    else:
        bench.run(rounds=rounds, quick=quick)


@cli.task(
    first="target",
    needs=needs.guest,
    convert={
        "target": cli.OneOf(names.machines),
        "release": cli.OneOf(names.lab_releases),
        "site": cli.existing_file,
        "memory": cli.Number(32, choices.MOST_MEMORY),
    },
    help={
        "target": "lab-mipsel (the default), lab-x86-64, lab-arm64, lab-armhf; x86/64, armsr/armv8, malta/le",
        "firmware": "an image of OpenWrt, or a folder of the lab's; without it the lab's firmware is built",
        "release": "the OpenWrt that firmware built here is made as: 24.10 (the default) or 25.12",
        "disk": "a file that keeps what the router writes, made if it is not there yet",
        "site": "a site file, for firmware that is built here",
        "lan": "the router's own address, where its firmware has another one than 192.168.1.1/24",
        "memory": "MB, where the target's own is not right",
    },
)
def qemu(
    _: Context,
    target: str = "",
    firmware: str = "",
    release: str = "",
    disk: str = "",
    site: str = "",
    lan: str = "",
    memory: int = 0,
) -> None:
    """Boot a router in QEMU, its console on this terminal (Ctrl-A X ends it), its ports on this machine's loopback."""
    from forge.inv import qemu

    qemu.run(target=target, firmware=firmware, release=release, disk=disk, site=site, lan=lan, memory=memory)


@cli.task(
    first="target",
    needs=needs.LAB,
    rest="a command to run there instead of a shell",
    help={"target": "which guest, if several are running"},
)
def ssh(_: Context, target: str = "") -> None:
    """Open a shell on the router that ./inv qemu has started. After -- : a command to run there instead."""
    from forge.inv import qemu

    cli.leave(qemu.ssh(target=target, words=cli.remainder()))


def __getattr__(name: str) -> Any:
    """`namespace`, where Invoke looks for the tasks: made when it looks, as ./inv --help has no Invoke."""
    if name == "namespace":
        return cli.collection()
    raise AttributeError(name)
