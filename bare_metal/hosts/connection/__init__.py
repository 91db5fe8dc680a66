"""The way to hosts: over SSH, or to what was recorded of them."""

from bare_metal.hosts.connection.answers import (
    Connector,
    Files,
    HostGoneError,
    LookingConnector,
    Ran,
    Reader,
    Unreachable,
    Writer,
)
from bare_metal.hosts.connection.fanout import MOST_AT_ONCE, over
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
    "HostGoneError",
    "HostKey",
    "LookingConnector",
    "MOST_AT_ONCE",
    "Ran",
    "Reader",
    "RecordedConnector",
    "Unreachable",
    "Writer",
    "called",
    "chosen",
    "chosen_switches",
    "connector",
    "over",
    "pin",
    "pinned",
    "record",
    "shown_key",
    "with_addresses",
]
