"""The recorded sample package for the tests of forge/: a copy to change, and what OpenWrt made of it."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forge.packages.package import Package

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "package-golden"
MADE = GOLDEN / "made"
SOURCE = "feeds/base/sample"  # where it lay in OpenWrt's tree
EPOCHS = {"23.05": 1755295850, "24.10": 1786491911, "25.12": 1782770622}
LINK = Path("root/usr/sbin/sample-sendmail")
PLAIN = Package(
    name="plain",
    version="1.0",
    release="1",
    depends=["libc"],
    section="mail",
    license="Apache-2.0",
    source="feeds/x/plain",
    sourcename="plain",
    architecture="all",
    title="Plain",
    description=" Plain.",
    root=Path("/nonexistent"),
    epoch=1_700_000_000,
)


def apk_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The public key in a PEM file, as a router has it in /etc/apk/keys."""
    key = serialization.load_pem_public_key(pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def copy_sample(folder: Path, name: str = "sample") -> Path:
    """A copy of the sample package directory in `folder`, for a test to change."""
    target = folder / name
    shutil.copytree(GOLDEN / "sample", target, symlinks=True)
    link = target / LINK
    if not link.is_symlink():  # a checkout without symbolic links has the target's text in its place
        text = link.read_text()
        link.unlink()
        link.symlink_to(text)
    return target


def edit(directory: Path, before: str, after: str, name: str = "Makefile") -> int:
    """Replaces a text of the Makefile (or another file), and tells the line where it stands."""
    path = directory / name
    text = path.read_text()
    assert before in text, before
    path.write_text(text.replace(before, after, 1))
    return text[: text.index(before)].count("\n") + 1


def tree_of(root: Path) -> dict[str, tuple[str, int, object]]:
    """A folder as a value: path -> kind, permission bits (of all but links), contents or target."""
    found: dict[str, tuple[str, int, object]] = {}
    for path in [root, *root.rglob("*")]:
        name, mode = str(path.relative_to(root)), path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found[name] = ("link", 0o777, str(path.readlink()))
        elif path.is_dir():
            found[name] = ("directory", mode, None)
        else:
            found[name] = ("file", mode, path.read_bytes())
    return found


def ipk_of(members: dict[str, bytes]) -> bytes:
    """An ipk of whatever members it is told to have."""
    return gzipped_tar([(tarfile.TarInfo(name), data) for name, data in members.items()])


def gzipped_tar(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for info, data in entries:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return output.getvalue()
