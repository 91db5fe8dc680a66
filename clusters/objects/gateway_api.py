"""The Gateway API's and cert-manager's objects, as far as they are used: typed, and no more.

Their definitions are their projects'; what a server that has them would say to an object is not
shown by this project's tests, which check their structure only.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightkube.models import meta_v1


@dataclass(frozen=True, slots=True)
class ParentReference:
    """The Gateway that a route is attached to."""

    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A path, by its beginning."""

    value: str
    type: str = "PathPrefix"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """Which requests a rule is for."""

    path: PathMatch


@dataclass(frozen=True, slots=True)
class BackendReference:
    """The Service that requests go to."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a request may take in all; `0s` is without a bound."""

    request: str


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Requests that match go to the backends."""

    matches: tuple[RouteMatch, ...]
    backend_refs: tuple[BackendReference, ...]
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class HTTPRouteSpec:
    """Of an HTTPRoute."""

    parent_refs: tuple[ParentReference, ...]
    hostnames: tuple[str, ...]
    rules: tuple[RouteRule, ...]


@dataclass(frozen=True, slots=True)
class HTTPRoute:
    """A route of a Gateway to a Service."""

    metadata: meta_v1.ObjectMeta
    spec: HTTPRouteSpec
    api_version: str = "gateway.networking.k8s.io/v1"
    kind: str = "HTTPRoute"


@dataclass(frozen=True, slots=True)
class IssuerReference:
    """Who makes the certificate."""

    name: str
    kind: str = "ClusterIssuer"
    group: str = "cert-manager.io"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """How the certificate's key is made."""

    algorithm: str = "ECDSA"
    size: int = 256
    rotation_policy: str = "Always"


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """Of a Certificate; the key pair is put into `secret_name`."""

    secret_name: str
    dns_names: tuple[str, ...]
    issuer_ref: IssuerReference
    private_key: PrivateKey


@dataclass(frozen=True, slots=True)
class Certificate:
    """cert-manager's Certificate."""

    metadata: meta_v1.ObjectMeta
    spec: CertificateSpec
    api_version: str = "cert-manager.io/v1"
    kind: str = "Certificate"
