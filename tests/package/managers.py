"""opkg and apk as far as our packages notice them: which files come and go, and which scripts run in which order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forge.packages import apk, ipk, stage
from forge.packages.package import Package
from tests.support.router_container import PACKAGE, Container


@contextmanager
def packages() -> Iterator[dict[str, Package]]:
    """Both packages, as the Makefile has them, by name."""
    with stage.staged(PACKAGE, epoch=1786491911) as found:
        yield {package.name: package for package in found}


class Manager:
    """One package manager on one router."""

    def __init__(self, router: Container) -> None:
        self.router = router
        self.installed: dict[str, tuple[Package, list[str]]] = {}

    def lay_out(self, package: Package) -> list[str]:
        paths = []
        for file in sorted(package.root.rglob("*")):
            name = str(file.relative_to(package.root))
            if file.is_dir():
                (self.router.root / name).mkdir(exist_ok=True)
            else:
                shutil.copy(file, self.router.root / name)
                paths.append(f"/{name}")
        return paths

    def take_away(self, paths: list[str]) -> None:
        for path in paths:
            (self.router.root / path[1:]).unlink(missing_ok=True)
        for folder in sorted({Path(path).parent for path in paths}, reverse=True):
            place = self.router.root / str(folder)[1:]
            if place.is_dir() and not any(place.iterdir()) and folder.parts[1] == "usr":
                place.rmdir()


class Opkg(Manager):
    """The stand-in's opkg (forge/lab/standin/usr/lib/standin/opkg.py), with the package packed as .ipk."""

    def _opkg(self, *words: str) -> str:
        done = self.router.run("opkg", *words)
        assert (done.status, done.errors) == (0, ""), (words, done)
        return done.output

    def install(self, package: Package) -> None:
        [packed] = ipk.pack(package, self.router.root / "tmp")
        self._opkg("install", f"/tmp/{packed.name}")

    upgrade = install

    def remove(self, package: Package) -> None:
        self._opkg("remove", package.name)


class Apk(Manager):
    """Install: post-install. Upgrade: the files under what runs, and post-upgrade. Remove: around the files."""

    def _write(self, package: Package) -> None:
        paths = self.lay_out(package)
        data = self.router.root / "lib/apk/packages"
        (data / f"{package.name}.list").write_text("".join(f"{path}\n" for path in paths))
        (data / f"{package.name}.alternatives").write_text("".join(f"{entry}\n" for entry in package.alternatives))
        self.installed[package.name] = package, paths

    def _run(self, package: Package, name: str) -> None:
        text = apk._scripts(package).get(name)
        if text is not None:
            self.router.put(f"/tmp/{name}", text)
            done = self.router.run("env", "PKG_UPGRADE=0", "sh", f"/tmp/{name}")
            assert (done.status, done.errors) == (0, ""), (name, *done)

    def install(self, package: Package) -> None:
        self._write(package)
        self._run(package, "post-install")

    def upgrade(self, package: Package) -> None:
        self._write(package)
        self._run(package, "post-upgrade")

    def remove(self, package: Package) -> None:
        self._run(package, "pre-deinstall")
        self.take_away(self.installed.pop(package.name)[1])
        for name in ("list", "alternatives"):
            (self.router.root / f"lib/apk/packages/{package.name}.{name}").unlink()
        self._run(package, "post-deinstall")
