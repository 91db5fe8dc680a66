"""Hosts: first contact, what is known of them, and what prepares them, from end to end.

`connection` is the way to them, `facts` what they are, `operations` what changes them.
"""

from bare_metal.hosts.pinning import Seen, compare_keys, seen_lines
from bare_metal.hosts.preparing import (
    Plans,
    carry_out,
    changing,
    exit_code,
    plan_hosts,
    summary,
    wanted,
)
from bare_metal.hosts.telling import facts_lines

__all__ = [
    "Plans",
    "Seen",
    "carry_out",
    "changing",
    "compare_keys",
    "exit_code",
    "facts_lines",
    "plan_hosts",
    "seen_lines",
    "summary",
    "wanted",
]
