"""How clients outside of the cluster reach the endpoint: a route of a Gateway, or an Ingress.

TLS ends there: a Gateway's listener has its own certificate, an Ingress is given one. Settings of
single controllers (buffers, time outs) are not made, because they differ from one to the next.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.models import networking_v1

from clusters import names
from clusters.model import Manifest, ServiceState
from clusters.objects import gateway_api as api
from clusters.objects.about import described, leading
from clusters.objects.documents import document
from llmops.errors import InputError
from llmops.spec import KubernetesTarget

COMPONENT = "door"
BASE = "/v1"
"""Path of the endpoint's API. Its `/health` is not for the outside."""


def routes(state: ServiceState) -> Iterator[Manifest]:
    """Certificate, and HTTPRoute or Ingress, as the serving runtime's target wants to be exposed.

    Raises:
        InputError: A host name or the Gateway's name is missing.
    """
    runtime = leading(state)
    if runtime is None or runtime.shape.target.expose.kind == "none":
        return
    target, expose = runtime.shape.target, runtime.shape.target.expose
    hostname = _needed(expose.hostname, "hostname", expose.kind)
    if expose.issuer:
        yield document(_certificate(state, hostname, expose.issuer))
    if expose.kind == "ingress":
        yield document(_ingress(state, target, hostname))
    else:
        yield document(_route(state, target, hostname))


def tls_secret(service: str) -> str:
    """Secret that cert-manager puts the certificate into."""
    return f"{service}-tls"


def _certificate(state: ServiceState, hostname: str, issuer: str) -> api.Certificate:
    why = "The endpoint's certificate, made and renewed by cert-manager."
    return api.Certificate(
        described(state, state.service, COMPONENT, why),
        api.CertificateSpec(
            secret_name=tls_secret(state.service),
            dns_names=(hostname,),
            issuer_ref=api.IssuerReference(issuer),
            private_key=api.PrivateKey(),
        ),
    )


def _route(state: ServiceState, target: KubernetesTarget, hostname: str) -> api.HTTPRoute:
    """No bound on a request's time: a long answer is a stream of minutes, not a hung request."""
    why = "Clients from outside, by a Gateway, to the endpoint's API."
    expose = target.expose
    gateway = _needed(expose.gateway, "gateway", expose.kind)
    rule = api.RouteRule(
        matches=(api.RouteMatch(api.PathMatch(BASE)),),
        backend_refs=(api.BackendReference(state.service, names.HTTP_PORT),),
        timeouts=api.Timeouts(request="0s"),
    )
    return api.HTTPRoute(
        described(state, state.service, COMPONENT, why),
        api.HTTPRouteSpec(
            parent_refs=(api.ParentReference(gateway, expose.gateway_namespace),),
            hostnames=(hostname,),
            rules=(rule,),
        ),
    )


def _ingress(state: ServiceState, target: KubernetesTarget, hostname: str) -> networking_v1.Ingress:
    """TLS by the Secret that cert-manager fills, or by the user's."""
    why = "Clients from outside, by an Ingress, to the endpoint's API."
    expose = target.expose
    secret = tls_secret(state.service) if expose.issuer else expose.tls_secret
    return networking_v1.Ingress(
        apiVersion="networking.k8s.io/v1",
        kind="Ingress",
        metadata=described(state, state.service, COMPONENT, why),
        spec=networking_v1.IngressSpec(
            ingressClassName=expose.class_name,
            tls=[networking_v1.IngressTLS(hosts=[hostname], secretName=secret)],
            rules=[
                networking_v1.IngressRule(
                    host=hostname,
                    http=networking_v1.HTTPIngressRuleValue(paths=[_path(state.service)]),
                )
            ],
        ),
    )


def _path(service: str) -> networking_v1.HTTPIngressPath:
    port = networking_v1.ServiceBackendPort(number=names.HTTP_PORT)
    return networking_v1.HTTPIngressPath(
        path=BASE,
        pathType="Prefix",
        backend=networking_v1.IngressBackend(
            service=networking_v1.IngressServiceBackend(name=service, port=port)
        ),
    )


def _needed(value: str | None, field: str, kind: str) -> str:
    if value is None:
        raise InputError(
            f"target.expose.{field} is missing: `{kind}` needs it",
            hint=f"set target.expose.{field}, or target.expose.kind: none",
            path=f"target.expose.{field}",
        )
    return value
