"""Whom a message is from and to, and when it was written, where what it says itself may not leave as it is.

Changes fields in place, in the list that headers makes of a header section; that is the only caller.
"""

from __future__ import annotations

from mailrelay.core.domains import is_private_host
from mailrelay.mail import dates
from mailrelay.mail.address_list import (
    CONTROL,
    addr_spec,
    address_of,
    display_name,
    encoded_addresses,
    is_public,
    named,
    parse,
    phrase,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mailrelay.mail.fields import Field
    from mailrelay.mail.headers import MessageInfo


def replace_date(kept: list[Field], info: MessageInfo, date: bytes) -> None:
    """Replace a Date that no reader can take for the message's own, and keep what it said."""
    for place, (key, name, value) in enumerate(kept):
        if key == b"date" and not dates.is_plausible(value, info.latest):
            kept[place] = (key, name, b" " + date)
            if not any(key == b"x-original-date" for key, _, _ in kept):
                kept.insert(place + 1, (b"x-original-date", b"X-Original-Date", value))
            return


def set_from(kept: list[Field], info: MessageInfo, rewrite: bytes, hostname: bytes) -> None:
    """Give the message a From with an address in it: its own, the envelope's, or the one that a rule demands."""
    place = next((i for i, field in enumerate(kept) if field[0] == b"from"), -1)
    value = kept[place][2] if place >= 0 else b""
    address = address_of(value)
    can_be_written = info.smtputf8 or value.isascii() or b"@" in address_of(encoded_addresses(value))
    if not rewrite and b"@" in address and can_be_written:
        return
    sender = addr_spec(rewrite or info.sender or b"MAILER-DAEMON", hostname)
    if place < 0:
        original = info.original_sender.translate(None, CONTROL).strip()
        kept.append((b"from", b"From", b" " + sender))
    else:
        original = value.strip()
        written = parse(value)
        if rewrite and len(written) == 1 and written[0][1].lower() == sender.lower():
            original = b""
        else:
            name = display_name(value) or (b"" if rewrite else phrase(address))
            kept[place] = (b"from", kept[place][1], b" " + named(name, sender))
    if not rewrite:
        return
    kept[:] = [f for f in kept if f[0] != b"sender" or address_of(f[2]).lower() == sender.lower()]
    _replace_reply_to(kept)
    _keep_original(kept, original, sender, info.smtputf8)


def _replace_reply_to(kept: list[Field]) -> None:
    """Leave out of Reply-To whom no answer reaches; the reader still sees it where nobody is left."""
    place = next((i for i, field in enumerate(kept) if field[0] == b"reply-to"), -1)
    written = parse(kept[place][2]) if place >= 0 else []
    reached = [named(phrase(name), address) for name, address in written if is_public(address)]
    if reached and len(reached) < len(written):
        kept[place] = (*kept[place][:2], b" " + b", ".join(reached))
    elif written and not reached:
        kept[place] = (b"x-original-reply-to", b"X-Original-Reply-To", kept[place][2])


def _keep_original(kept: list[Field], original: bytes, sender: bytes, smtputf8: bool) -> None:
    """Note whom a rewritten message is from: where answers go if they can reach it, else for the reader."""
    written = parse(original)
    address = written[0][1] if len(written) == 1 else b""
    if not original or address.lower() == sender.lower():
        return
    can_be_written = smtputf8 or address.isascii()
    if can_be_written and is_public(address) and not any(key == b"reply-to" for key, _, _ in kept):
        kept.append((b"reply-to", b"Reply-To", b" " + address))
    else:
        kept.append((b"x-original-from", b"X-Original-From", b" " + original))


def replace_local_names(kept: list[Field], info: MessageInfo, to: bytes) -> None:
    """Replace a To or Cc that names nobody beyond the own network (`root`) by whom the message went to; leave such
    names out where there are others."""
    went_to = {recipient.lower() for recipient in info.recipients}
    have_to = False
    for field in [field for field in kept if field[0] in (b"to", b"cc")]:
        key, name, value = field
        written = parse(value)
        reached = [pair for pair in written if pair[1].lower() in went_to or not _is_local(pair[1], info)]
        if len(reached) == len(written):
            have_to |= key == b"to"
            continue
        if not reached and key == b"cc" and have_to:
            kept.remove(field)
            continue
        if reached:
            to_others = b", ".join([named(phrase(name), address) for name, address in reached])
        else:
            to_others = named(display_name(value), to) if len(written) == 1 and b"@" in to else to
        kept[kept.index(field)] = (key, name, b" " + to_others)
        have_to = True


def _is_local(address: bytes, info: MessageInfo) -> bool:
    domain = address.rpartition(b"@")[2]
    return (
        b"@" not in address
        or is_private_host(domain)
        or domain.lower().rstrip(b".") == info.hostname.lower().encode("ascii", "ignore")
    )


def recipient_field(info: MessageInfo, hidden: bool, hostname: bytes) -> bytes:
    """Return the one recipient. Several stay undisclosed: who they are may be what a stripped Bcc was to hide."""
    if hidden or len(info.recipients) != 1 or not (info.smtputf8 or info.recipients[0].isascii()):
        return b"undisclosed-recipients:;"
    return addr_spec(info.recipients[0], hostname)
