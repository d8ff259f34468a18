"""Stages a package directory: evaluates a copy of it, runs the install recipes, and hands out Package values.

The copy has git's modes (0644 or 0755) whatever the checkout's are, and lies in a temporary folder without a space in
its path, laid out like OpenWrt's tree; so umask, path and user leave no trace. minisdk.py, feed.py, package_state.py,
sdk.py, imagebuilder.py and the tests call this.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from forge.core import paths
from forge.core.errors import ForgeError
from forge.host import host
from forge.packages import epoch as epochs
from forge.packages import makefile, validate
from forge.packages.makefile import Definition, Evaluation, Fault, PackageError, Tree
from forge.packages.package import Package

FEED = "feeds/mailrelay/package"  # where OpenWrt's tree has our packages when the checkout is its feed `mailrelay`

# Left in a folder by editors, systems and Python, and never meant for a router.
LEFTOVERS = re.compile(
    r"__pycache__|.*\.pyc|\.git|\.svn|CVS|\.DS_Store|.*~|\.#.*|.*\.sw[po]|\.(?:mypy|ruff|pytest)_cache"
)
PRUNED = re.compile(r"CVS|\.svn|\.#.*|.*~")  # what OpenWrt takes out of a package's tree
CONTROL = "CONTROL"
PLAIN = re.compile(r"[A-Za-z0-9_./+@-]+")  # paths that neither make nor a shell reads anything into


@contextmanager
def workspace() -> Iterator[Path]:
    """A temporary folder whose path every tool takes, without a space in it whatever TMPDIR says."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        path = os.path.realpath(parent)
        if PLAIN.fullmatch(path) and os.access(path, os.W_OK | os.X_OK):
            break
    else:
        raise ForgeError("there is no temporary folder with a plain path", hint="set TMPDIR to one without spaces")
    with tempfile.TemporaryDirectory(prefix="mailrelay-build-", dir=path) as folder:
        yield Path(folder)


@contextmanager
def staged(
    directory: Path,
    names: Sequence[str] = (),
    *,
    epoch: int | None = None,
    source: str = "",
    reproducible: bool = False,
) -> Iterator[list[Package]]:
    """The packages of `directory`/Makefile (those of `names`, else all), staged as long as the context lasts.

    `epoch` and `reproducible` are as in epoch.of, which is asked where no epoch is given; `source` is where OpenWrt's
    tree has the directory. Raise PackageError with every fault that was found.
    """
    host.require("build")
    with workspace() as top:
        tree = lay_out(top, directory, source or f"{FEED}/{directory.name}")
        evaluation = makefile.evaluate(tree)
        faults = validate.check(evaluation)
        if faults:
            raise PackageError(faults)
        wanted = [one for one in evaluation.packages if not names or one.name in names]
        seconds = epochs.of(directory, reproducible=reproducible) if epoch is None else epoch
        yield [_stage(tree, evaluation, one, seconds) for one in wanted]


def defined(directory: Path) -> list[str]:
    """The names of the packages of `directory`/Makefile."""
    host.require("build")
    with workspace() as top:
        return [one.name for one in makefile.evaluate(lay_out(top, directory, f"{FEED}/{directory.name}")).packages]


def lay_out(top: Path, directory: Path, source: str) -> Tree:
    """Make `top` look like OpenWrt's tree: the stand-ins where Makefiles include them, and the copy at `source`."""
    if not PLAIN.fullmatch(source):
        raise ForgeError(f"{paths.shown(directory)}: a package's folder has a plain name", hint="rename the folder")
    package = top / source
    copy(directory, package)
    for folder in (package.parent.parent, top / "feeds" / "luci"):  # include ../../luci.mk, or by its full path
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(makefile.MK / "luci.mk", folder / "luci.mk")
    (top / "include").mkdir()
    shutil.copyfile(makefile.MK / "package.mk", top / "include" / "package.mk")
    shutil.copyfile(makefile.MK / "rules.mk", top / "rules.mk")
    for folder in top.glob("**/"):  # neither the umask nor a setgid bit of the temporary folder is handed down
        folder.chmod(0o755)
    return Tree(top, package, directory)


def copy(directory: Path, target: Path) -> None:
    """A package directory as git has it: without what an editor or Python left there, modes 0644 or 0755."""
    target.mkdir(parents=True)
    _copy(directory, target, "", epochs.ignored(directory))


def _copy(source: Path, target: Path, below: str, ignored: set[str]) -> None:
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        name = f"{below}{entry.name}"
        copy = target / entry.name
        if LEFTOVERS.fullmatch(entry.name) or name in ignored:
            continue
        if entry.is_symlink():
            copy.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir():
            copy.mkdir()
            _copy(Path(entry.path), copy, f"{name}/", ignored)
        elif entry.is_file():
            shutil.copyfile(entry.path, copy)
            copy.chmod(0o755 if entry.stat().st_mode & stat.S_IXUSR else 0o644)
        else:
            raise PackageError([Fault(Path(entry.path), 0, "is neither a file, a folder nor a link")])


# ---- one package ----------------------------------------------------------------------------------------------------


def _stage(tree: Tree, evaluation: Evaluation, definition: Definition, epoch: int) -> Package:
    variant = definition.fields["VARIANT"]
    if variant:  # OpenWrt builds each variant in a run of its own, which the Makefile may look at
        again = makefile.evaluate(tree, variant)
        definition = next(one for one in again.packages if one.name == definition.name)
    name, values = definition.name, definition.fields
    root = tree.top / "staged" / name
    root.mkdir(parents=True)
    for folder in (root.parent, root):
        folder.chmod(0o755)
    makefile.run_install(tree, name, root, variant)
    _prune(root)
    conffiles = validate.conffiles(definition)
    _keep(root, name, conffiles)
    faults = [*_check_tree(tree, evaluation, definition, root), *_check_alternatives(evaluation, definition, root)]
    if faults:
        raise PackageError(faults)
    return Package(
        name=name,
        version=evaluation.common["PKG_VERSION"],
        release=evaluation.common["PKG_RELEASE"],
        depends=validate.depends(definition),
        provides=values["PROVIDES"].split(),
        conflicts=values["CONFLICTS"].split(),
        alternatives=values["ALTERNATIVES"].split(),
        section=values["SECTION"],
        license=values["LICENSE"],
        license_files=values["LICENSE_FILES"].split(),
        url=values["URL"],
        maintainer=values["MAINTAINER"],
        source=values["SOURCE"],
        sourcename=evaluation.common["PKG_NAME"],
        userid=" ".join(values["USERID"].split()),
        architecture=values["PKGARCH"],
        title=values["TITLE"],
        description=validate.description(definition),
        conffiles=conffiles,
        scripts=validate.scripts(definition),
        root=root,
        epoch=epoch,
        default_variant=bool(values["DEFAULT_VARIANT"]),
    )


def _prune(root: Path) -> None:
    for folder, folders, names in os.walk(root):
        for name in [*names, *folders]:
            path = Path(folder, name)
            if PRUNED.fullmatch(name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif PRUNED.fullmatch(name):
                path.unlink()


def _keep(root: Path, name: str, conffiles: Sequence[str]) -> None:
    """What the package does not ship itself is kept through sysupgrade by a list of its own."""
    kept = [path for path in conffiles if not (root / path.lstrip("/")).is_file()]
    if not kept:
        return
    folder = root
    for part in ("lib", "upgrade", "keep.d"):
        folder /= part
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(0o755)
    path = folder / name
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(before + "".join(f"{line}\n" for line in kept), encoding="utf-8")
    path.chmod(0o644)


def _check_tree(tree: Tree, evaluation: Evaluation, definition: Definition, root: Path) -> Iterator[Fault]:
    """What OpenWrt would leave out or pack silently, and a router could not use."""
    file = evaluation.makefile
    line = file.define(f"Package/{definition.name}/install")
    empty = True
    for path in sorted(root.rglob("*")):
        empty = False
        inside = f"/{path.relative_to(root)}"
        try:
            inside.encode()
        except UnicodeEncodeError:
            yield Fault(file.path, line, f"{definition.name}: the file name {inside!r} is not UTF-8")
            continue
        if path.name == CONTROL:
            yield Fault(
                file.path, line, f"{definition.name} installs {inside}", f"OpenWrt leaves out what is called {CONTROL}"
            )
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            fault = _check_file(path, inside, mode)
            if fault:
                number, problem, hint = fault
                origin = _origin(tree, path, inside)
                yield Fault(origin or file.path, number if origin else line, problem, hint)
        elif not (stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            yield Fault(file.path, line, f"{definition.name}: {inside} is neither a file, a folder nor a link")
    if empty:
        yield Fault(file.path, line, f"{definition.name} installs no file")


def _check_file(path: Path, inside: str, mode: int) -> tuple[int, str, str] | None:
    """The line, the problem and the hint of a file that is to be run and cannot, or None."""
    data = path.read_bytes()
    executable = bool(mode & 0o111)
    if executable and not data.startswith((b"#!", b"\x7fELF")):
        return 1, f"{inside} is executable and has no #! line first", "begin it with #!/bin/sh, or take its x bit"
    if data.startswith(b"#!") and data.split(b"\n", 1)[0].endswith(b"\r"):
        return 1, f"{inside} has DOS line ends", "no router finds its interpreter; save it with Unix ones"
    if not executable and re.fullmatch(r"/etc/init\.d/[^/]+", inside):
        return 1, f"{inside} is not executable", "no init script runs without its x bit: chmod +x"
    if executable and data.startswith(b"#!"):
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            return data[: error.start].count(b"\n") + 1, f"{inside} is not UTF-8", "save it as UTF-8"
    return None


def _origin(tree: Tree, path: Path, inside: str) -> Path | None:
    """The file of the checkout that became this one: the one at its path in root/, else one of the same bytes."""
    mirrored = tree.origin / "root" / inside.lstrip("/")
    if mirrored.is_file():
        return mirrored
    data = path.read_bytes()
    for copy in sorted(tree.package.rglob(f"*{path.suffix}")):
        if copy.is_file() and copy.stat().st_size == len(data) and copy.read_bytes() == data:
            return tree.origin / copy.relative_to(tree.package)
    return None


def _check_alternatives(evaluation: Evaluation, definition: Definition, root: Path) -> Iterator[Fault]:
    file, name = evaluation.makefile, definition.name
    for word in definition.fields["ALTERNATIVES"].split():
        target = word.split(":")[2]
        if not os.path.lexists(root / target.lstrip("/")):
            problem = f"{name}: ALTERNATIVES leads to {target}, which the package does not install"
            yield Fault(file.path, file.assignment("ALTERNATIVES", name), problem)
