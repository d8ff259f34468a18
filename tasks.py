"""The tasks, for ./inv and for Invoke: thin, each a few lines over forge/. Start with ./inv --list."""

from invoke.context import Context

from forge import cli


@cli.task(
    help={
        "local": "run the relay on this machine (the only kind there is so far, and the default)",
        "keep": "leave provider and relay running until Ctrl-C, to try them by hand",
    }
)
def demo(_: Context, local: bool = False, keep: bool = False) -> None:
    """Show the relay at work: a machine's plain mail goes in, a provider with TLS and a login gets it."""
    from forge import demo

    demo.run(keep=keep)


@cli.task(
    help={
        "only": "one area alone: the name of a folder in tests/, or lint",
        "lint": "also run the linters",
        "all-targets": "boot the lab's ARM targets as well",
        "host": "run the lab's tests, and no others, on this router: ssh://root@192.168.1.1",
        "firmware": "run the lab's tests, and no others, on a guest with this image of OpenWrt",
        "target": "of that image (x86/64, armsr/armv8, malta/le), or the one lab target to boot",
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
) -> None:
    """Run the linters and the tests, the relay's on every Python at hand. After -- : arguments for pytest."""
    from forge import checks

    checks.run_all(
        only="lab" if host or firmware or target else only,
        lint=lint,
        routers=checks.routers(all_targets=all_targets),
        router=checks.router(host=host, firmware=firmware, target=target),
        pytest_args=cli.remainder(),
    )


@cli.task(
    help={
        "package": "this package alone, by its name (mailrelay, mailrelay-postfix)",
        "format": "ipk (opkg, up to OpenWrt 24.10), apk (25.12 and later) or all (the default)",
    }
)
def build(_: Context, package: str = "", format: str = "all") -> None:
    """Make the OpenWrt packages in dist/, from package/*/Makefile, without an SDK."""
    from forge import build

    build.run(package=package, format=format)


@cli.task(
    help={
        "target": "lab-mipsel (the default), lab-x86-64, lab-arm64 or lab-armhf",
        "site": "a site file: what the router is to be set to",
        "packages": "built in, separated by commas: mailrelay, mailrelay-postfix, postfix, or .ipk files",
    }
)
def image(_: Context, target: str = "", site: str = "", packages: str = "") -> None:
    """Build firmware with files/ in it, for a target of the lab: from Debian packages, without root."""
    from forge.lab import image

    image.run(target, site=site, packages=packages.replace(",", " ").split())


@cli.task(help={"file": "a package: .ipk or .apk"})
def inspect(_: Context, file: str) -> None:
    """Show a package's control data, scripts and files. Nothing is unpacked."""
    from forge import build

    build.inspect(file)


@cli.task(help={"url": "where routers will find dist/feed, for the lines that are printed: https://example.org/feed"})
def feed(_: Context, url: str = "") -> None:
    """Lay out dist/feed for opkg and apk: packages, signed indexes, and the keys and lines that a router needs."""
    from forge import feed

    feed.run(url=url)


@cli.task()
def lint(_: Context) -> None:
    """Run the linters alone: ruff, mypy, shellcheck."""
    from forge import checks

    checks.run_lint()


@cli.task()
def doctor(_: Context) -> None:
    """Show what this machine has of what the tasks need, and what is missing."""
    from forge import host

    host.doctor()


@cli.task(
    help={
        "rounds": "how often each figure is taken (5; a round takes a minute and a half)",
        "quick": "one round of a smaller load, for a first look; docs/BENCHMARKS.md is left as it is",
    }
)
def bench(_: Context, rounds: str = "5", quick: bool = False) -> None:
    """Measure the relay side by side with Postfix on this machine; writes docs/BENCHMARKS.md."""
    from forge import bench

    bench.run(rounds=cli.number(rounds, "--rounds", least=1, most=100), quick=quick)


@cli.task(
    help={
        "target": "lab-mipsel (the default), lab-x86-64, lab-arm64, lab-armhf; x86/64, armsr/armv8, malta/le",
        "firmware": "an image of OpenWrt, or a folder of the lab's; without it the lab's firmware is built",
        "disk": "a file that keeps what the router writes, made if it is not there yet",
        "site": "a site file, for firmware that is built here",
        "lan": "the router's own address, where its firmware has another one than 192.168.1.1/24",
        "memory": "MB, where the target's own is not right",
    }
)
def qemu(
    _: Context, target: str = "", firmware: str = "", disk: str = "", site: str = "", lan: str = "", memory: str = ""
) -> None:
    """Boot a router in QEMU, its console on this terminal (Ctrl-A X ends it), its ports on this machine's loopback."""
    from forge import qemu

    qemu.run(target=target, firmware=firmware, disk=disk, site=site, lan=lan, memory=memory)


@cli.task(help={"target": "which guest, if several are running"})
def ssh(_: Context, target: str = "") -> None:
    """Open a shell on the router that ./inv qemu has started. After -- : a command to run there instead."""
    from forge import qemu

    cli.leave(qemu.ssh(target=target, words=cli.remainder()))
