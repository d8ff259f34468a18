"""What a second courier takes: it helps while another courier's transfer to a smarthost lasts, and leaves the rest.

Small mail goes while bytes still move there, so that two large messages never keep a small one waiting. Where the
smarthost hangs, mail of any size goes to another one, if another may have it. No clock, no file: a table of decisions.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.config.settings import Smarthost

SMALL = 65536  # bytes: an alarm with a thumbnail, seconds on any line
MOVING, HANGING = "moving", "hanging"


def choice(first: Smarthost | None, other: Smarthost | None, busy: str, state: str, size: int) -> Smarthost | None:
    """Return the smarthost that the second courier sends a message of `size` bytes to; None: it leaves the message.

    first: the one that is to have it; other: the one that would, if the busy one were away. busy: the name of the
    smarthost whose transfer lasts; state: MOVING or HANGING.
    """
    small = size <= SMALL
    if first is None or not (small or state == HANGING):
        return None
    if first.name != busy:
        return first
    if state == HANGING and other is not None:
        return other
    if not small:
        return None
    if first.connections > 1:
        return first
    return other if first.overflow else None


def concerns(name: str, busy: str) -> bool:
    """Return whether carried state of this name is about the busy smarthost.

    What a second connection meets there is no news: the first one works, and some providers allow but one.
    """
    return f" {busy} " in f"{name} "
