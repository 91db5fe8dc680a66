"""The one client of the API server, and the only module that knows the official one.

The official client reads the credentials (tokens, certificates, plugins that are run, the files of
a pod); the requests themselves are plain: its typed models cost more than the server's answer. It
is slow to import, so it is imported only when a cluster is really talked to.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clusters.model import Manifest
from clusters.names import MANAGER
from clusters.ports import NONE, Connection, Manifests, Propagation, Proxied, Reader, Writer
from clusters.resources import RESOURCES, Resource, pod_proxy, resource, resource_of
from clusters.rest import (
    APPLY_PATCH,
    MERGE_PATCH,
    Request,
    Transport,
    from_server,
    lines,
    patiently,
)
from clusters.trouble import About, Busy, Changed, Exists, NotFound, NotServed, refusal
from llmops.errors import InputError, LlmopsError
from llmops.releases import Conflict

if TYPE_CHECKING:
    from clusters.kubeconfig import Access
    from clusters.pool import Credentials

__all__ = ["Client", "Connection", "Proxied", "Reader", "Writer"]


class Client:
    """A Writer over one connection pool. It may be used from several threads at once."""

    def __init__(self, transport: Transport, *, context: str, server: str, namespace: str) -> None:
        self._transport = transport
        self.context = context
        self.server = server
        self.namespace = namespace
        """The context's own namespace."""

    @classmethod
    def open(cls, context: str | None = None) -> Client:
        """A client of a context of the kubeconfig, of the current one without a name.

        Nothing is asked yet.

        Raises:
            InputError: When there are no credentials for it, or they cannot be used.
        """
        from clusters.kubeconfig import find

        return cls.of(find(context))

    @classmethod
    def of(cls, access: Access) -> Client:
        """A client with the credentials that were found."""
        from clusters.pool import Pool

        pool = Pool(lambda: _credentials(access))
        return cls(pool, context=access.context, server=access.server, namespace=access.namespace)

    def __repr__(self) -> str:
        return f"Client(context={self.context!r}, server={self.server!r})"

    # Looking.

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        row = resource(kind)
        try:
            return self._json(
                Request("GET", row.path(namespace, name), safe=True),
                _about("get", row, name, namespace),
            )
        except NotFound:
            return None

    def list(
        self, kind: str, namespace: str = "", labels: Mapping[str, str] = NONE, fields: str = ""
    ) -> Manifests:
        row = resource(kind)
        wanted = ",".join(f"{key}={value}" for key, value in labels.items())
        query = {"labelSelector": wanted, "fieldSelector": fields}
        request = Request(
            "GET",
            row.path(namespace),
            {key: value for key, value in query.items() if value},
            headers={"Accept-Encoding": "gzip"},
            safe=True,
        )
        found = self._json(request, _about("list", row, "", namespace))
        head = {"apiVersion": row.api_version, "kind": row.kind}
        return [{**head, **item} for item in found.get("items") or ()]

    def version(self) -> str:
        about = About("get", "the API server's version")
        return str(self._json(Request("GET", "/version", safe=True), about)["gitVersion"])

    def serves(self, kind: str) -> bool:
        row = resource(kind)
        try:
            known = self._json(Request("GET", row.root, safe=True), _about("get", row, "", ""))
        except (NotServed, NotFound):
            return False
        return any(one["kind"] == kind for one in known.get("resources") or ())

    def can_i(
        self, verb: str, group: str, resource: str, namespace: str = "", subresource: str = ""
    ) -> bool:
        asked = {"verb": verb, "group": group, "resource": resource}
        asked |= {"namespace": namespace, "subresource": subresource}
        request = Request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            },
            safe=True,
        )
        review = self._json(request, About("create", "SelfSubjectAccessReview"))
        return bool(review["status"]["allowed"])

    def dry_run(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        return self._apply(manifest, force=force, dry_run=True)

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
        """See `Reader.proxy`."""
        request = Request(
            method,
            pod_proxy(namespace, pod, port, path),
            body=payload,
            headers=headers,
            timeout=timeout,
            patient=False,
        )
        answer = self._transport.send(request)
        if answer.status in {401, 403, 404} and from_server(answer):
            about = About(method.lower(), "Pod", pod, namespace, plural="pods/proxy")
            raise self._refusal(answer.status, answer.body, about)
        return Proxied(answer.status, answer.headers, answer.body)

    def events(self, namespace: str, kind: str, name: str) -> Manifests:
        fields = f"involvedObject.kind={kind},involvedObject.name={name}"
        return sorted(self.list("Event", namespace, fields=fields), key=_event_time)

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
        """See `Reader.logs`."""
        row = RESOURCES["Pod"]
        options = {
            "container": container,
            "follow": "true" if follow else "",
            "tailLines": "" if tail is None else str(tail),
            "previous": "true" if previous else "",
        }
        request = Request(
            "GET",
            row.path(namespace, pod, "log"),
            {key: value for key, value in options.items() if value},
            timeout=None if follow else 30.0,
            safe=True,
        )
        status, chunks = self._transport.stream(request)
        if status >= 400:
            about = About("get", "Pod", pod, namespace, plural="pods/log")
            raise self._refusal(status, b"".join(chunks), about)
        return lines(chunks)

    def connection(self) -> Connection:
        return self._transport.connection()

    # Changing.

    def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        return self._apply(manifest, force=force, dry_run=False)

    def create(self, manifest: Manifest) -> Manifest:
        row, name, namespace = _place(manifest)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        request = Request("POST", row.path(namespace), query, manifest)
        try:
            return self._json(request, _about("create", row, name, namespace))
        except Exists as error:
            raise Conflict(error.message) from error

    def replace(self, manifest: Manifest) -> Manifest:
        row, name, namespace = _place(manifest)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        request = Request("PUT", row.path(namespace, name), query, manifest)
        try:
            return self._json(request, _about("update", row, name, namespace))
        except (Changed, NotFound) as error:
            raise Conflict(error.message) from error

    def patch_merge(
        self, kind: str, name: str, namespace: str, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        row = resource(kind)
        request = Request(
            "PATCH",
            row.path(namespace, name, subresource),
            {"fieldManager": MANAGER, "fieldValidation": "Strict"},
            patch,
            MERGE_PATCH,
        )
        return self._json(request, _about("patch", row, name, namespace))

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
        """See `Writer.delete`."""
        row = resource(kind)
        given = {"uid": uid, "resourceVersion": resource_version}
        options: dict[str, Any] = {"propagationPolicy": propagation}
        if exact := {key: value for key, value in given.items() if value}:
            options["preconditions"] = exact
        request = Request("DELETE", row.path(namespace, name), body=options)
        try:
            self._json(request, _about("delete", row, name, namespace))
        except NotFound:
            return False
        except Changed as error:
            raise Conflict(error.message) from error
        return True

    def evict(self, pod: str, namespace: str) -> str:
        row = RESOURCES["Pod"]
        request = Request(
            "POST",
            row.path(namespace, pod, "eviction"),
            body={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod, "namespace": namespace},
            },
            patient=False,
        )
        try:
            self._json(request, About("create", "Pod", pod, namespace, plural="pods/eviction"))
        except NotFound:
            return ""
        except Busy as error:
            return error.message
        return ""

    def _apply(self, manifest: Manifest, *, force: bool, dry_run: bool) -> Manifest:
        row, name, namespace = _place(manifest)
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        query |= {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry_run else {}
        request = Request(
            "PATCH", row.path(namespace, name), query, manifest, APPLY_PATCH, safe=dry_run
        )
        return self._json(request, _about("patch", row, name, namespace))

    def _json(self, request: Request, about: About) -> Manifest:
        answer = patiently(self._transport.send, request)
        if answer.status >= 400:
            raise self._refusal(answer.status, answer.body, about)
        found: Manifest = json.loads(answer.body)
        return found

    def _refusal(self, status: int, body: bytes, about: About) -> LlmopsError:
        return refusal(status, body, about, self._transport.ended() if status == 401 else "")


def _place(manifest: Manifest) -> tuple[Resource, str, str]:
    meta = manifest["metadata"]
    return resource_of(manifest), str(meta["name"]), str(meta.get("namespace", ""))


def _about(verb: str, row: Resource, name: str, namespace: str) -> About:
    return About(verb, row.kind, name, namespace, row.group, row.plural)


def _event_time(event: Manifest) -> str:
    when = event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"].get("creationTimestamp", ""))


def _credentials(access: Access) -> Credentials:
    """What the official client makes of the kubeconfig: certificates, tokens, plugins."""
    from kubernetes import client, config
    from kubernetes.client.rest import RESTClientObject

    from clusters.pool import Credentials

    configuration = client.Configuration()
    with _plugin_errors() as said:
        try:
            if access.files:
                files = os.pathsep.join(str(file) for file in access.files)
                config.load_kube_config(files, access.context, configuration)
            else:
                config.load_incluster_config(configuration)
        except (config.ConfigException, OSError, ValueError) as error:
            raise _unusable(access, str(error)) from error
    if said:
        raise _unusable(access, said[0])
    _set_proxy(configuration, access)
    certificate = configuration.cert_file
    return Credentials(
        server=configuration.host,
        manager=RESTClientObject(configuration).pool_manager,
        headers=lambda: _authorisation(configuration),
        connection=lambda: _connection(configuration),
        certificate=Path(certificate).read_text() if certificate else "",
    )


def _unusable(access: Access, why: str) -> InputError:
    text = f"the credentials of user {access.user} in {access.source} cannot be used: {why[:300]}"
    return InputError(text, hint="`kubectl auth whoami` with the same context says the same")


@contextmanager
def _plugin_errors() -> Iterator[list[str]]:
    """The official client only logs that a credential plugin failed, and goes on as nobody."""
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    root, handler = logging.getLogger(), Collect(logging.ERROR)
    others, root.handlers = root.handlers, [handler]
    try:
        yield said
    finally:
        root.handlers = others


def _set_proxy(configuration: Any, access: Access) -> None:
    """The kubeconfig's own proxy before the environment's, and none to this machine itself."""
    host = urlsplit(access.server).hostname or ""
    if access.proxy:
        configuration.proxy, configuration.no_proxy = access.proxy, ""
    elif host == "localhost" or host.startswith("127.") or host == "::1":
        configuration.proxy = None


def _authorisation(configuration: Any) -> dict[str, str]:
    found = configuration.auth_settings().get("BearerToken")
    return {"authorization": found["value"]} if found and found["value"] else {}


def _connection(configuration: Any) -> Connection:
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    return Connection(
        base_url=configuration.host,
        tls=tls,
        headers=_authorisation(configuration),
        proxy=configuration.proxy,
        server_name=configuration.tls_server_name,
    )
