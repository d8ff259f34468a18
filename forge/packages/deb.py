"""Packs the relay as .deb for Debian and Raspberry Pi OS: the same sources, in the surroundings that Debian has.

package/NAME/debian/ holds one tree for each Debian package, as it lies on the machine, with DEBIAN/ as dpkg-deb wants
it; what is the same everywhere (the relay, versions) comes from the package that the mini-SDK staged. minisdk.py calls.
"""

from __future__ import annotations

import email.utils
import gzip
import io
import os
import re
import shutil
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

from forge.core import paths, proc
from forge.core.errors import ForgeError, MissingError
from forge.host import host
from forge.packages import stage
from forge.packages.epoch import VARIABLE
from forge.packages.package import Contents, Entry, Package

TIMEOUT = 300.0
# What the staged package and the machine have in common, from the root on.
SHARED = ("usr/lib/mailrelay/relay", "usr/lib/mailrelay/sendmail")
DOCUMENTS = ("README.md", "docs/owner/CONFIG.md", "docs/owner/raspberry-pi.md", "docs/owner/send-from-arduino.md")
KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "link", tarfile.REGTYPE: "file"}


def trees(package: Package) -> list[Path]:
    """The trees of the Debian packages that are made of this one; none for most."""
    return sorted(path.parent.parent for path in (paths.PACKAGES / package.name / "debian").glob("*/DEBIAN/control"))


def file_name(package: Package, release: str = "") -> str:
    return f"{package.name}_{_version(package)}_{package.architecture}.deb"


def _version(package: Package) -> str:
    return f"{package.version}-{package.release}"


def pack(package: Package, folder: Path, release: str = "") -> list[Path]:
    """Write the .debs that are made of a staged package into `folder`; the first is the one of its name."""
    if not host.command("dpkg-deb"):
        raise MissingError("a .deb is made by dpkg-deb, which is not here", hint="build it on a Debian machine")
    made = []
    for tree in trees(package):
        with stage.workspace() as top:
            root = top / tree.name
            shutil.copytree(tree, root, symlinks=True)
            if tree.name == package.name:
                _share(package, root)
            _document(package, tree, root)
            _normalise(root, package.epoch)
            _control(package, root)
            output = folder / file_name(replace(package, name=tree.name))
            with paths.replacing(output) as partial:
                argv: list[proc.Arg] = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, partial]
                proc.run(argv, env={VARIABLE: str(package.epoch), "LC_ALL": "C"}, timeout=TIMEOUT)
        made.append(output)
    return made


def _share(package: Package, root: Path) -> None:
    for name in SHARED:
        source, target = package.root / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)


def _document(package: Package, tree: Path, root: Path) -> None:
    """What Debian's Policy wants of every package (12.5, 12.7, 12.1), and the documents for people."""
    folder = root / "usr/share/doc" / tree.name
    folder.mkdir(parents=True)
    shutil.copyfile(tree.parent / "copyright", folder / "copyright")
    date = email.utils.formatdate(package.epoch)
    entry = f"{tree.name} ({_version(package)}) unstable; urgency=medium\n\n  * mailrelay {package.version}.\n\n"
    _zip(folder / "changelog.Debian.gz", f"{entry} -- {package.maintainer}  {date}\n".encode())
    if tree.name == package.name:
        for document in DOCUMENTS:
            shutil.copyfile(paths.ROOT / document, folder / Path(document).name)
    for page in root.glob("usr/share/man/man*/*"):
        packed = page.with_name(f"{page.name}.gz")
        if page.is_symlink():
            packed.symlink_to(f"{page.readlink()}.gz")
        else:
            _zip(packed, page.read_bytes())
        page.unlink()


def _zip(path: Path, data: bytes) -> None:
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped:
        zipped.write(data)


def _normalise(root: Path, epoch: int) -> None:
    """Neither a checkout's modes nor its times get in."""
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _control(package: Package, root: Path) -> None:
    """Complete DEBIAN/: version, maintainer and size, the sums of the files."""
    control = root / "DEBIAN"
    files = [path for path in root.rglob("*") if control not in (path, *path.parents)]
    # As dpkg-gencontrol counts: kilobytes of each file, and one for anything else.
    size = sum(-(-path.stat().st_size // 1024) if _plain(path) else 1 for path in files)
    text = (control / "control").read_text(encoding="utf-8").replace("${version}", _version(package))
    filled = f"Version: {_version(package)}\nMaintainer: {package.maintainer}\nInstalled-Size: {size}\n"
    first, rest = text.split("\n", 1)
    (control / "control").write_text(f"{first}\n{filled}{rest}", encoding="utf-8")
    names = sorted(str(path.relative_to(root)) for path in files if _plain(path))
    sums = proc.run(["md5sum", *names], cwd=root, timeout=TIMEOUT).output
    (control / "md5sums").write_text(sums, encoding="utf-8")
    for path in control.iterdir():
        os.utime(path, (package.epoch, package.epoch))


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


# ---- the way back ---------------------------------------------------------------------------------------------------


def inspect(path: Path) -> Contents:
    """What a .deb says and holds, listed by dpkg-deb: nothing is unpacked."""
    members = _members(path, "--ctrl-tarfile")
    texts = {
        member.name.removeprefix("./"): data.decode("utf-8", "replace") for member, data in members if member.isfile()
    }
    if "control" not in texts:
        raise ForgeError(f"{paths.shown(path)} has no control file", hint="is it a whole .deb?")
    fields = re.findall(r"^(\S+): ?(.*(?:\n[ \t].*)*)", texts["control"], re.MULTILINE)
    return Contents(
        format="deb",
        control=fields,
        scripts={name: texts[name] for name in ("preinst", "postinst", "prerm", "postrm") if name in texts},
        conffiles=texts.get("conffiles", "").split(),
        files=[_entry(member) for member, _ in _members(path, "--fsys-tarfile") if member.name not in (".", "./")],
    )


def _members(path: Path, part: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    import subprocess

    # Bytes, which proc.run() does not do.
    done = subprocess.run(["dpkg-deb", part, path], capture_output=True, timeout=TIMEOUT)
    if done.returncode:
        raise ForgeError(f"{paths.shown(path)}: {done.stderr.decode(errors='replace').strip()}")
    found = []
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            found.append((member, file.read() if file else b""))
    return found


def _entry(member: tarfile.TarInfo) -> Entry:
    path = "/" + member.name.removeprefix("./").rstrip("/")
    kind = KINDS.get(member.type, "file of a strange kind")
    owner = f"{member.uname or member.uid}:{member.gname or member.gid}"
    return Entry(path, kind, member.mode, owner, member.size, member.linkname)
