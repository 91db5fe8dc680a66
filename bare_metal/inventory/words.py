"""Texts of the cluster file that have a form: names, places, and references to secrets.

Only forms: whether two of them are the same, or an address is one, is asked in `contradictions`. A
reference says where a secret is. The secret itself is refused, and never repeated.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llmops.spec import Form

HostName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
    Form("a host's name: at most 63 lower-case letters, digits and hyphens"),
]
RackName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?$"),
    Form("a rack's name: letters, digits, dots and hyphens"),
]
Device = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,30}$"),
    Form("the name of an RDMA device, such as mlx5_0"),
]
Interface = Annotated[
    str,
    Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$"),
    Form("the name of a network interface, such as eno1"),
]
Pci = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$"),
    Form("a PCI address such as 0000:18:00.0, in lower case"),
]
Address = Annotated[str, Form("an IP address such as 10.0.0.11")]
Account = Annotated[
    str,
    Field(pattern=r"^[a-z_][a-z0-9_-]{0,30}$"),
    Form("the name of an account: lower-case letters, digits, hyphens and underscores"),
]
AbsolutePath = Annotated[
    str,
    Field(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$", max_length=200),
    Form("a path from the root, such as /var/lib/llmops, of plain letters"),
]
ModuleName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,50}$"),
    Form("the name of a kernel module, with underscores"),
]
SettingName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_-]+)+$", max_length=100),
    Form("the name of a kernel setting, such as net.core.somaxconn"),
]
ServiceName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$"),
    Form("the name of a systemd service, without .service"),
]
LocalPath = Annotated[str, Field(min_length=1, max_length=200), Form("the path of a file here")]
PublicKey = Annotated[
    str,
    Field(pattern=r"^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n]{0,200})?$"),
    Form(
        "a public key on one line, such as 'ssh-ed25519 AAAA… you'",
        "it is what stands in the file that ends in .pub",
        secret=True,
    ),
]
Secret = Annotated[
    str,
    Field(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]{0,60}|file:[^\n]{1,200})$"),
    Form(
        "env:NAME or file:PATH",
        "write where the secret is, not the secret: env:NAME for a variable, file:PATH for a file",
        secret=True,
    ),
]
