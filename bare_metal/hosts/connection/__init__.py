"""The way to hosts: over SSH, or to what was recorded of them."""

from bare_metal.hosts.connection.answers import (
    Connector,
    Files,
    HostGoneError,
    LookingConnector,
    Ran,
    Reader,
    Talk,
    Unreachable,
    Writer,
)
from bare_metal.hosts.connection.fanout import MOST_AT_ONCE, over
from bare_metal.hosts.connection.holding import Held, held
from bare_metal.hosts.connection.opening import (
    chosen,
    chosen_switches,
    connector,
    shown_key,
    with_addresses,
)
from bare_metal.hosts.connection.pins import HostKey, called, pin, pinned
from bare_metal.hosts.connection.recorded import RecordedConnector, record

__all__ = [
    "Connector",
    "Files",
    "Held",
    "HostGoneError",
    "HostKey",
    "LookingConnector",
    "MOST_AT_ONCE",
    "Ran",
    "Reader",
    "RecordedConnector",
    "Talk",
    "Unreachable",
    "Writer",
    "called",
    "chosen",
    "chosen_switches",
    "connector",
    "held",
    "over",
    "pin",
    "pinned",
    "record",
    "shown_key",
    "with_addresses",
]
