"""What can be asked of an API server: a Reader only looks, a Writer changes.

Code that is handed a Reader cannot change anything. Objects are plain `Manifest`s; every failure is
an error of `clusters.trouble`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from clusters.model import Manifest

Propagation = Literal["Foreground", "Background", "Orphan"]

NONE: Mapping[str, str] = {}

Manifests = list[Manifest]
"""In a class with a method `list`, `list[...]` is no type."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a pod answered through the API server. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Connection:
    """How another HTTP client reaches the API server as the same user.

    The credentials are in `headers` and `tls`, and in no `repr`.
    """

    base_url: str
    tls: ssl.SSLContext = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    proxy: str | None = field(default=None, repr=False)
    server_name: str | None = None
    """Name that the server's certificate is checked against, where it is not the host's."""


class Reader(Protocol):
    """Looks at a cluster."""

    @property
    def context(self) -> str:
        """Context of the kubeconfig, or `in-cluster`."""
        ...

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        ...

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object; None when there is none of that name, nor its namespace."""
        ...

    def list(
        self, kind: str, namespace: str = "", labels: Mapping[str, str] = NONE, fields: str = ""
    ) -> Manifests:
        """Objects with all of `labels`, of every namespace when it is empty.

        `fields` is a field selector such as `spec.nodeName=n1`.
        """
        ...

    def version(self) -> str:
        """Version of the API server, such as `v1.36.4`."""
        ...

    def serves(self, kind: str) -> bool:
        """Whether the API server knows the kind: false where its CRD is not installed."""
        ...

    def can_i(
        self, verb: str, group: str, resource: str, namespace: str = "", subresource: str = ""
    ) -> bool:
        """Whether the API server would let us."""
        ...

    def dry_run(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """What the object would be after `apply`, with the server's defaults; nothing is changed.

        Raises:
            Conflicted: When others own fields that it sets to other values.
        """
        ...

    def proxy(
        self,
        pod: str,
        namespace: str,
        port: int,
        path: str,
        *,
        method: str = "GET",
        payload: object = None,
        headers: Mapping[str, str] = NONE,
        timeout: float = 30.0,
    ) -> Proxied:
        """Ask a pod by HTTP, through the API server. `payload` is sent as JSON.

        The API server answers for a pod it cannot reach, with 502, 503 or 504.
        """
        ...

    def events(self, namespace: str, kind: str, name: str) -> Manifests:
        """Events about an object, oldest first."""
        ...

    def logs(
        self,
        pod: str,
        namespace: str,
        container: str = "",
        *,
        follow: bool = False,
        tail: int | None = None,
        previous: bool = False,
    ) -> Iterator[str]:
        """Lines of a container's log."""
        ...

    def connection(self) -> Connection:
        """How to stream through the API server, such as through its proxy of a Service."""
        ...


class Writer(Reader, Protocol):
    """Changes a cluster."""

    def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Server-side apply as field manager `llmops`; fields that are unknown are refused.

        With `metadata.resourceVersion`, only if the object is still at that version.

        Raises:
            Conflicted: When others own fields that it sets to other values, without `force`.
            Changed: When the object is at another version.
        """
        ...

    def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            Conflict: When there is one of that name.
        """
        ...

    def replace(self, manifest: Manifest) -> Manifest:
        """Write a whole object, if it is still at the manifest's `metadata.resourceVersion`.

        Raises:
            Conflict: When somebody else wrote or deleted it.
        """
        ...

    def patch_merge(
        self, kind: str, name: str, namespace: str, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        """Merge `patch` into an object; None as a value takes a field away."""
        ...

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        propagation: Propagation = "Background",
        uid: str = "",
        resource_version: str = "",
    ) -> bool:
        """Delete an object; whether there was one. What it owns goes first with `Foreground`.

        Raises:
            Conflict: When it has another `uid` or `resource_version` than those given.
        """
        ...

    def evict(self, pod: str, namespace: str) -> str:
        """Ask for a pod's eviction, which disruption budgets may forbid.

        Returns:
            Empty when it was accepted, or the pod is gone; otherwise why it is forbidden now.
        """
        ...
