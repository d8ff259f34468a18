"""opkg and apk as far as our packages notice them: which files come and go, and which scripts run in which order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forge import apk, ipk, stage
from forge.package import Package
from tests.package.router import PACKAGE, Router


@contextmanager
def packages() -> Iterator[dict[str, Package]]:
    """Both packages, as the Makefile has them, by name."""
    with stage.staged(PACKAGE, epoch=1786491911) as found:
        yield {package.name: package for package in found}


class Manager:
    """One package manager on one router."""

    def __init__(self, router: Router) -> None:
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

    def script(self, path: Path, *arguments: str, upgrade: bool = False) -> None:
        inside = f"/{path.relative_to(self.router.root)}"
        done = self.router.run("sh", inside, *arguments, env={"PKG_UPGRADE": "1" if upgrade else "0"})
        assert done.returncode == 0, (path.name, done.stdout, done.stderr)
        assert not done.stderr, (path.name, done.stderr)


class Opkg(Manager):
    """Install: postinst configure. Upgrade: prerm, files, postrm, postinst, with PKG_UPGRADE. Remove: prerm, postrm."""

    def _write(self, package: Package) -> Path:
        info = self.router.root / "usr/lib/opkg/info"
        paths = self.lay_out(package)
        (info / f"{package.name}.list").write_text("".join(f"{path}\n" for path in paths))
        for name, (text, mode) in ipk.control_files(package, 0).items():
            (info / f"{package.name}.{name}").write_text(text)
            (info / f"{package.name}.{name}").chmod(mode)
        self.installed[package.name] = package, paths
        return info / package.name

    def _links(self, package: Package, *, there: bool) -> None:
        for _, link, target in (entry.split(":") for entry in package.alternatives):
            place = self.router.root / link[1:]
            place.unlink(missing_ok=True)
            if there:
                place.symlink_to(target)

    def install(self, package: Package) -> None:
        base = self._write(package)
        self._links(package, there=True)
        self.script(base.with_name(f"{base.name}.postinst"), "configure")

    def upgrade(self, package: Package) -> None:
        info = self.router.root / "usr/lib/opkg/info"
        self.script(info / f"{package.name}.prerm", "upgrade", upgrade=True)
        old = info / f"{package.name}.postrm"
        kept = old.rename(self.router.root / "tmp/old.postrm")
        gone = set(self.installed[package.name][1])
        base = self._write(package)
        self.take_away(sorted(gone - set(self.installed[package.name][1])))
        self.script(kept, "upgrade", upgrade=True)
        self.script(base.with_name(f"{base.name}.postinst"), "configure", upgrade=True)

    def remove(self, package: Package) -> None:
        info = self.router.root / "usr/lib/opkg/info"
        self.script(info / f"{package.name}.prerm", "remove")
        self.take_away(self.installed.pop(package.name)[1])
        self._links(package, there=False)
        self.script(info / f"{package.name}.postrm", "remove")
        for file in info.glob(f"{package.name}.*"):
            file.unlink()


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
            self.script(self.router.write(f"tmp/{name}", text, 0o755))

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
