"""opkg and apk on a router that is a container, with the packages as the Makefile has them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from forge.packages import minisdk, stage
from forge.packages.package import Package
from tests.support.router_container import PACKAGE, Container


@contextmanager
def packages() -> Iterator[dict[str, Package]]:
    """Both packages, as the Makefile has them, by name."""
    with stage.staged(PACKAGE, epoch=1786491911) as found:
        yield {package.name: package for package in found}


def lay_out(router: Container, package: Package) -> list[str]:
    """Put a package's files in place, without any manager; their paths."""
    paths = []
    for file in sorted(package.root.rglob("*")):
        name = str(file.relative_to(package.root))
        if file.is_dir():
            (router.root / name).mkdir(exist_ok=True)
        else:
            shutil.copy(file, router.root / name)
            paths.append(f"/{name}")
    return paths


class Manager:
    """The package manager of a router, the stand-in's, as an owner has it install a package's file."""

    def __init__(self, router: Container) -> None:
        self.router = router

    def install(self, package: Package) -> None:
        """Install, or upgrade."""
        [made] = minisdk.PACKERS[self.router.packages.ending].pack(package, self.router.root / "tmp")
        self._run(self.router.packages.install(f"/tmp/{made.name}"))

    def remove(self, package: Package) -> None:
        self._run(self.router.packages.remove(package.name))

    def _run(self, line: str) -> None:
        done = self.router.run(line)
        assert (done.status, done.errors) == (0, ""), (line, done)
