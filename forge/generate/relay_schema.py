"""The relay's schema for the host side: the one place where forge imports the relay. generate and site read it.

The relay is imported as on the router, from the folder of its package, and only once something of it is asked for: a
site file without the relay's tables does not need it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from forge.core import paths

if TYPE_CHECKING:
    from mailrelay.config import uci
    from mailrelay.config.addresses import LOCAL_PART, NAME, PRIVATE_DOMAIN
    from mailrelay.config.invalid import Setting
    from mailrelay.config.machine import Machine
    from mailrelay.config.option_types import FALSE, SPACE_FREE, TRUE, TYPES
    from mailrelay.config.options import OPTIONS, Option
    from mailrelay.config.schema import check

# fmt: off
__all__ = [
    "FALSE", "LOCAL_PART", "NAME", "OPTIONS", "PRIVATE_DOMAIN", "SPACE_FREE", "TRUE", "TYPES",
    "Machine", "Option", "Setting", "advice_texts", "check", "uci",
]
# fmt: on

if str(paths.RELAY) not in sys.path:
    sys.path.insert(0, str(paths.RELAY))


def __getattr__(name: str) -> object:
    from mailrelay.config import addresses, option_types, schema

    for module in (addresses, option_types, schema):  # schema imports the others
        if name in __all__ and hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(name)


def advice_texts() -> dict[str, str]:
    """Return the table's advice by its id."""
    from mailrelay.courier import explain

    return {code: text for _, _, code, text in explain.rules()}
