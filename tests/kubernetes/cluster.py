"""What tests ask of a cluster: users with few rights, namespaces, fake nodes, what was written."""

from __future__ import annotations

import itertools
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.engines.programs import find
from tests.kubernetes import objects
from tests.kubernetes.audit import Audit
from tests.kubernetes.certificates import Authority, Pair
from tests.kubernetes.objects import Json
from tests.kubernetes.servers import AUDIT
from tests.kubernetes.users import User, kubeconfig, make_users, write_tokens


def until(what: str, holds: Callable[[], bool], within: float = 180.0) -> None:
    """Poll until it holds. Raises TimeoutError that names what did not come, after seconds."""
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {within} s")
        time.sleep(0.05)


class Cluster:
    """An API server that is, or will be, on a port of 127.0.0.1, and who may talk to it."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.url = f"https://127.0.0.1:{port}"
        self.authority = Authority(root)
        self.admin, spare = make_users()
        self.tokens = root / "tokens.csv"
        write_tokens(self.tokens, [self.admin, *spare])
        self.audit = Audit(root / AUDIT, self._fence)
        self._spare = iter(spare)
        self._numbers = itertools.count(1)
        self._kubectl = [str(find("kubectl")), f"--kubeconfig={self.kubeconfig()}"]
        trusted = ssl.create_default_context(cafile=str(self.authority.certificate))
        self._client = httpx.Client(verify=trusted, trust_env=False, timeout=30)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """Run kubectl as the administrator; its output. Raises RuntimeError with what it said."""
        command = [*self._kubectl, *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def api(self, method: str, path: str, body: Json | None = None) -> Json:
        """Ask as the administrator. Raises httpx.HTTPStatusError with the server's words."""
        return self._ask(self.admin, method, path, body)

    def kubeconfig(
        self,
        user: User | Pair | None = None,
        *,
        namespace: str = "default",
        context: str = "tests",
    ) -> Path:
        """A file of its own, with one context; the administrator's unless told whose."""
        who = user or self.admin
        path = self.root / f"kubeconfig-{next(self._numbers)}.yaml"
        path.touch(mode=0o600)
        authority = self.authority.certificate
        text = kubeconfig(self.url, authority, who, namespace=namespace, context=context)
        path.write_text(text)
        return path

    def user(self, *rules: Mapping[str, Any], namespace: str | None = None) -> User:
        """A fresh user with these RBAC rules, in a namespace or everywhere; waits until they hold.

        A rule is a PolicyRule: `{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}`.
        """
        made = next(self._spare)
        if rules:
            role, binding = objects.rights(made.name, rules, namespace)
            place = f"/namespaces/{namespace}" if namespace else ""
            path = f"/apis/rbac.authorization.k8s.io/v1{place}/{role['kind'].lower()}"
            self.api("POST", f"{path}s", role)
            self.api("POST", f"{path}bindings", binding)
            until(f"rights of {made.name}", lambda: self._holds(made, rules, namespace))
        return made

    def certificate(self, name: str, *groups: str, valid: timedelta = timedelta(days=1)) -> Pair:
        """A user by that very name who has a certificate; expired when `valid` is negative."""
        return self.authority.client(name, *groups, valid=valid)

    def namespace(self, level: str = "restricted") -> str:
        """A fresh namespace with Pod Security enforced at that level."""
        name = f"test-{next(self._numbers)}"
        self.api("POST", "/api/v1/namespaces", objects.namespace(name, level))
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        until(accounts, lambda: self.look(accounts) is not None)
        return name

    def remove_namespace(self, name: str) -> None:
        """Take its pods away at once, then the rest in the background."""
        self.api("DELETE", f"/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0")
        self.api("DELETE", f"/api/v1/namespaces/{name}")

    def add_node(
        self,
        name: str,
        *,
        gpus: int = 0,
        cpu: int = 64,
        memory: str = "512Gi",
        gpu_product: str = "NVIDIA-H100-80GB-HBM3",
        gpu_memory_mib: int = 81559,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """A fake node; ready when this returns. `remove_node` takes it away."""
        made = objects.node(
            name,
            gpus=gpus,
            cpu=cpu,
            memory=memory,
            gpu_product=gpu_product,
            gpu_memory_mib=gpu_memory_mib,
            labels=labels or {},
            taints=taints,
        )
        self.api("POST", "/api/v1/nodes", made)
        until(f"node {name}", lambda: self._node_is_ready(name))

    def remove_node(self, name: str) -> None:
        """Delete a node; its pods follow some 40 s later, as the controllers have it."""
        self.api("DELETE", f"/api/v1/nodes/{name}")

    def look(self, path: str) -> Json | None:
        """What the administrator's GET of that path finds; None when it fails, whyever."""
        try:
            return self.api("GET", path)
        except (httpx.HTTPStatusError, httpx.TransportError):
            return None

    def close(self) -> None:
        """Let go of the connections to the API server."""
        self._client.close()

    def _ask(
        self,
        user: User,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        sent = {"Authorization": f"Bearer {user.token}", **(headers or {})}
        answer = self._client.request(method, self.url + path, json=body, headers=sent)
        if answer.is_error:
            text = f"{method} {path}: {answer.status_code}: {answer.text}"
            raise httpx.HTTPStatusError(text, request=answer.request, response=answer)
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else {}

    def _node_is_ready(self, name: str) -> bool:
        found = self.api("GET", f"/api/v1/nodes/{name}")
        conditions = found["status"].get("conditions", [])
        ready = {"type": "Ready", "status": "True"}
        tainted = any("not-ready" in t["key"] for t in found["spec"].get("taints", []))
        return not tainted and any(ready.items() <= c.items() for c in conditions)

    def _holds(self, user: User, rules: Sequence[Mapping[str, Any]], namespace: str | None) -> bool:
        review = {"spec": {"namespace": namespace or "default"}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        given = self._ask(user, "POST", path, review)["status"]["resourceRules"]
        parts = ("resources", "verbs")
        return all(
            any(all(set(rule.get(p, ())) <= set(found[p]) for p in parts) for found in given)
            for rule in rules
        )

    def _fence(self, mark: str) -> None:
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        self._ask(self.admin, "POST", path, {}, {"Audit-ID": mark})
