"""Bad access to a real API server: a clear message and the exit code, for each way to be bad."""

from __future__ import annotations

import http.server
import socket
import stat
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.apply import apply_all, preview
from clusters.client import Client
from clusters.kubeconfig import find
from clusters.model import Manifest
from clusters.trouble import Forbidden, NotFound, NotServed, Unauthorised, Unreachable
from llmops.errors import InputError, LlmopsError
from tests.kubernetes.certificates import Authority
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.users import User

CANARY = "canary-of-a-token"


def opened(file: Path) -> Client:
    return Client.of(find(None, {"KUBECONFIG": str(file)}))


def edited(plane: ControlPlane, edit: Callable[[Any, Any], None]) -> Client:
    """A client of the administrator's kubeconfig after an edit of its cluster and its user."""
    file = plane.kubeconfig()
    document = yaml.safe_load(file.read_text())
    edit(document["clusters"][0]["cluster"], document["users"][0]["user"])
    file.write_text(yaml.safe_dump(document))
    return opened(file)


def config(where: str, name: str = "a") -> Manifest:
    meta = {"name": name, "namespace": where}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"x": "1"}}


def refused(client: Client) -> LlmopsError:
    begun = time.monotonic()
    with pytest.raises(LlmopsError) as error:
        client.version()
    assert time.monotonic() - begun < 12
    assert error.value.hint
    assert CANARY not in error.value.message + error.value.hint
    return error.value


def test_an_expired_certificate_says_since_when(control_plane: ControlPlane) -> None:
    pair = control_plane.certificate("late", "system:masters", valid=timedelta(days=-1))
    client = opened(control_plane.kubeconfig(pair))
    with pytest.raises(Unauthorised, match="the client certificate expired on 20"):
        client.list("Secret", "default")


def test_a_token_that_is_not_known_is_refused(control_plane: ControlPlane) -> None:
    client = opened(control_plane.kubeconfig(User("nobody", CANARY)))
    with pytest.raises(Unauthorised, match="have expired or are not its own") as error:
        client.list("Secret", "default")
    assert error.value.exit_code == 2
    assert CANARY not in error.value.message


@pytest.mark.parametrize("verb", ["get", "list", "create", "patch", "delete"])
def test_each_right_that_is_missing_is_named(
    control_plane: ControlPlane, namespace_of_test: str, verb: str
) -> None:
    verbs = [v for v in ("get", "list", "create", "patch", "delete") if v != verb]
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}
    user, where = control_plane.user(rule, namespace=namespace_of_test), namespace_of_test
    client = opened(control_plane.kubeconfig(user))
    control_plane.kubectl("create", "configmap", "old", f"--namespace={where}")
    acts: dict[str, Callable[[], object]] = {
        "get": lambda: client.get("ConfigMap", "old", where),
        "list": lambda: client.list("ConfigMap", where),
        "create": lambda: apply_all(client, [config(where)]),
        "patch": lambda: apply_all(client, [config(where, "b")]),
        "delete": lambda: client.delete("ConfigMap", "old", where),
    }
    for name, act in acts.items():
        if name == verb or {name, verb} == {"create", "patch"}:
            with pytest.raises(Forbidden, match=f"{user.name} may not {verb} configmaps") as no:
                act()
            assert f"kubectl auth can-i {verb} configmaps -n {where}" in no.value.hint
        else:
            act()
    assert client.can_i(verb, "", "configmaps", where) is False


def test_a_namespace_that_is_not_there_is_named(control_plane: ControlPlane) -> None:
    client = opened(control_plane.kubeconfig())
    with pytest.raises(NotFound, match="there is no namespace nowhere"):
        preview(client, [config("nowhere"), {**config("nowhere"), "kind": "Secret", "data": {}}])


def test_a_crd_that_is_not_installed_is_named(
    control_plane: ControlPlane, namespace_of_test: str
) -> None:
    client = opened(control_plane.kubeconfig())
    queue = {**config(namespace_of_test), "kind": "LocalQueue"}
    queue["apiVersion"] = "kueue.x-k8s.io/v1beta1"
    assert not client.serves("LocalQueue")
    assert client.serves("RayService")
    with pytest.raises(NotServed, match=r"LocalQueue \(localqueues\.kueue\.x-k8s\.io\)") as error:
        preview(client, [queue])
    assert "Kueue" in error.value.hint


def test_a_server_signed_by_another_authority_is_not_trusted(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    other = str(Authority(tmp_path).certificate)
    client = edited(control_plane, lambda c, _: c.update({"certificate-authority": other}))
    assert "is not signed by the kubeconfig's authority" in refused(client).message


def test_a_server_by_another_name_is_not_trusted(control_plane: ControlPlane) -> None:
    wrong = edited(control_plane, lambda c, _: c.update({"tls-server-name": "elsewhere"}))
    assert "its certificate is for another name" in refused(wrong).message
    right = edited(control_plane, lambda c, _: c.update({"tls-server-name": "localhost"}))
    assert right.version()


def test_a_server_that_does_not_speak_tls_is_told_from_one_that_does(
    control_plane: ControlPlane,
) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{plain.server_port}"
        client = edited(control_plane, lambda c, _: c.update({"server": url}))
        assert "it does not speak TLS" in refused(client).message
        plain.shutdown()


def test_a_port_where_nothing_listens_is_told(control_plane: ControlPlane) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{probe.getsockname()[1]}"
        client = edited(control_plane, lambda c, _: c.update({"server": url}))
        error = refused(client)
    assert isinstance(error, Unreachable)
    assert f"nothing listens at the API server's address {url}" in error.message


def test_a_name_that_is_not_known_is_told(control_plane: ControlPlane) -> None:
    url = "https://api.invalid:6443"
    client = edited(control_plane, lambda c, _: c.update({"server": url}))
    assert "the name api.invalid" in refused(client).message


def plugin(path: Path, script: str) -> Any:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(path), "interactiveMode": "Never"}}


def with_plugin(plane: ControlPlane, made: Any) -> Client:
    def edit(_: Any, user: Any) -> None:
        user.clear()
        user.update(made)

    return edited(plane, edit)


def credential(token: str) -> str:
    return (
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        f' "status": {{"token": "{token}"}}}}\''
    )


def test_a_credential_plugin_is_run(control_plane: ControlPlane, tmp_path: Path) -> None:
    made = plugin(tmp_path / "login", credential(control_plane.admin.token))
    assert with_plugin(control_plane, made).list("Secret", "default") is not None


def test_credentials_that_end_half_way_are_fetched_anew(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    path = tmp_path / "login"
    client = with_plugin(control_plane, plugin(path, credential("no-longer-known")))
    client.connection()  # The plugin has run.
    plugin(path, credential(control_plane.admin.token))
    assert client.list("Secret", "default") is not None


def test_a_credential_plugin_that_fails_says_why(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    made = plugin(tmp_path / "login", "echo 'the session has ended: log in' >&2; exit 3")
    with pytest.raises(InputError, match=r"process returned 3\. the session has ended: log in"):
        with_plugin(control_plane, made).version()


def test_a_credential_plugin_that_is_not_there_is_named(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    made = plugin(tmp_path / "login", "")
    (tmp_path / "login").unlink()
    with pytest.raises(InputError, match=r"cannot be used: .*login"):
        with_plugin(control_plane, made).version()


def test_a_certificate_file_that_is_not_there_is_named(control_plane: ControlPlane) -> None:
    missing = {"client-certificate": "/nowhere/a.crt", "client-key": "/nowhere/a.key"}
    with pytest.raises(InputError, match=r"/nowhere/a\.crt"):
        with_plugin(control_plane, missing).version()


def test_an_api_server_that_goes_away_is_told_and_the_next_run_goes_on(
    control_plane: ControlPlane, namespace_of_test: str
) -> None:
    client, where = opened(control_plane.kubeconfig()), namespace_of_test
    apply_all(client, [config(where)])
    control_plane.stop_api_server()
    try:
        with pytest.raises(Unreachable, match="nothing listens"):
            apply_all(client, [config(where)])
    finally:
        control_plane.start_api_server()
    assert [change.verb for change in apply_all(client, [config(where)])] == ["unchanged"]
