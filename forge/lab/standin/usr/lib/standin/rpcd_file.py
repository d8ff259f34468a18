"""Stand-in for rpcd's object `file`: reading alone. It reads as root, so a session reads what its lists name only."""

from __future__ import annotations

import errno
import os

import bus
import session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONGEST = 256 * 1024  # bytes: RPC_FILE_MAX_SIZE
_OF_NO_SIZE = 128  # bytes that are read of a file that tells no size, as in /proc: RPC_FILE_MIN_SIZE
_CODES = {errno.ENOENT: bus.NOT_FOUND, errno.EACCES: bus.DENIED, errno.ENOTDIR: bus.INVALID_ARGUMENT}
_UNKNOWN_ERROR = 9


def offer() -> None:
    bus.objects["file"] = bus.methods(read=_read)


def _read(message: dict[str, Any]) -> dict[str, str]:
    path, caller = os.path.normpath(message["path"]), message.get("ubus_rpc_session")
    if caller is not None and not session.allows(caller, "file", path, "read"):
        raise bus.Failed(bus.DENIED)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size >= _LONGEST:
                raise bus.Failed(bus.NOT_SUPPORTED)
            data = file.read(size or _OF_NO_SIZE)
    except OSError as error:
        raise bus.Failed(_CODES.get(error.errno or 0, _UNKNOWN_ERROR)) from None
    if not data:
        raise bus.Failed(bus.NO_DATA)
    return {"data": data.decode("utf-8", "surrogateescape")}
