"""Unpacks OpenWrt's archives (.tar.zst, .tar.xz, .tar.gz) so that nothing lands outside the folder they go into.

A verified archive is still not trusted with the disk: no absolute or climbing names, no device, and nothing is ever
written through a link, wherever links may lead (OpenWrt's own lead to the host's programs). Python 3.11.2 lacks
tarfile's filters, and those of later ones refuse such links. sdk.py and imagebuilder.py call unpacked().
"""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from forge.core import console, paths
from forge.core.errors import ForgeError
from forge.openwrt import fetch
from forge.packages import stage

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14 and later
except ImportError:
    from backports import zstd

USER = ".user-"
MEMBERS = 2_000_000
BYTES = 64 << 30  # unpacked: more than any of OpenWrt's by far
WINDOW = 31  # zstd's largest, log2: OpenWrt packs with --ultra


class ArchiveError(ForgeError):
    """An archive is damaged, or holds what no archive of OpenWrt's has any reason to hold."""


def unpacked(archive: Path, sha256: str) -> Path:
    """The one folder that the archive holds, below the cache; unpacked once for its hash, and only ever whole."""
    folder = paths.cache("unpacked-openwrt") / sha256[:16]
    with fetch.lock(folder.with_name(f".{folder.name}.lock"), f"is unpacking {archive.name}"):
        if not folder.exists():
            check_path(folder)
            with paths.making(folder) as scratch, console.step(f"unpacking {archive.name}"):
                unpack(archive, scratch)
    (folder / f"{USER}{os.getpid()}").touch()  # cache.prune leaves it alone as long as this process lives
    inside = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if len(inside) != 1:
        raise ArchiveError(f"{archive.name} holds {len(inside)} folders where one was expected")
    return inside[0]


def check_path(folder: Path) -> None:
    """Raise ForgeError where OpenWrt's tools can't work."""
    if not stage.PLAIN.fullmatch(str(folder)):
        raise ForgeError(
            f"the cache folder {folder.parent} has a space or the like in its path",
            hint=f"OpenWrt's tools can't work there: set {paths.CACHE_VARIABLE} to a folder with a plain path",
        )


def in_use(folder: Path) -> bool:
    """Whether another process that works with an unpacked archive is alive."""
    pids = [path.name.removeprefix(USER) for path in folder.glob(f"{USER}*")]
    return any(pid != str(os.getpid()) and Path("/proc", pid).exists() for pid in pids)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack into an empty folder. Raise ArchiveError, with the member's name, before that member is written."""
    top = Path(os.path.realpath(folder))
    count = size = 0
    try:
        with _opened(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                count, size = count + 1, size + member.size
                if count > MEMBERS or size > BYTES:
                    raise ArchiveError(f"{archive.name} unpacks to more than any archive of OpenWrt's")
                _take(tar, member, top, archive.name)
    except (tarfile.TarError, EOFError, lzma.LZMAError, zstd.ZstdError) as error:
        raise ArchiveError(f"{archive.name} is damaged: {error}", hint="./inv cache.verify, then try again") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ForgeError(
                f"the disk is full: {archive.name} does not fit into {folder.parent} ({size >> 20} MB were not enough)",
                hint=f"./inv cache.prune, or set {paths.CACHE_VARIABLE} to a folder on another disk",
            ) from None
        raise


def _opened(archive: Path) -> Any:
    if archive.suffix == ".zst":
        return zstd.open(archive, "rb", options={zstd.DecompressionParameter.window_log_max: WINDOW})
    return lzma.open(archive) if archive.suffix == ".xz" else gzip.open(archive)


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, top: Path, archive: str) -> None:
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if member.name.startswith("/") or ".." in parts:
        raise ArchiveError(f"{archive}: {member.name!r} leads out of the archive's folder; nothing more was unpacked")
    if not parts:
        return
    path = top.joinpath(*parts)
    _parents(top, parts[:-1], member.name, archive)
    if member.isdir():
        if path.is_symlink() or not path.is_dir():
            _clear(path)
            path.mkdir()
        path.chmod(member.mode & 0o755 | 0o700)
        return
    _clear(path)
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        _hard_link(member, path, top, archive)
    elif member.isreg():
        _file(tar, member, path)
    else:
        raise ArchiveError(f"{archive}: {member.name!r} is neither a file, a folder nor a link")


def _parents(top: Path, parts: list[str], name: str, archive: str) -> None:
    """Make the folders above a member; refuse to go through a link."""
    path = top
    for part in parts:
        path /= part
        if path.is_symlink():
            raise ArchiveError(
                f"{archive}: {name!r} lies behind the link {path.relative_to(top)}; nothing is written there"
            )
        if not path.is_dir():
            path.mkdir(mode=0o755)


def _hard_link(member: tarfile.TarInfo, path: Path, top: Path, archive: str) -> None:
    parts = [part for part in member.linkname.split("/") if part not in ("", ".")]
    source = top.joinpath(*parts)
    if member.linkname.startswith("/") or ".." in parts or not source.exists():
        raise ArchiveError(f"{archive}: the hard link {member.name!r} leads to {member.linkname!r}")
    _parents(top, parts[:-1], member.linkname, archive)
    os.link(source, path, follow_symlinks=False)


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None
    mode = 0o755 if member.mode & 0o111 else 0o644  # no setuid, nothing that others can write
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as output:
        shutil.copyfileobj(source, output, 1 << 20)
    path.chmod(mode)
    os.utime(path, (member.mtime, member.mtime))  # make looks at these


def _clear(path: Path) -> None:
    """What an archive has twice: the later one counts, and never what the earlier one leads to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
