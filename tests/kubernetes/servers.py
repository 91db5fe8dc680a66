"""The command lines of a control plane: which program is told what, all of it on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.programs import find
from tests.kubernetes.certificates import Authority, Pair, new_key
from tests.kubernetes.namespace import PODS, SERVICES
from tests.kubernetes.processes import Server, free_port

HERE = Path(__file__).parent
STAGES = sorted((HERE / "stages").glob("*.yaml"))
ISSUER = "https://kubernetes.default.svc.cluster.local"
LOOPBACK = "127.0.0.1"
AUDIT = "audit.log"
Options = dict[str, str | int | Path]


@dataclass(frozen=True)
class Ports:
    """One of its own for each program."""

    etcd: int = field(default_factory=free_port)
    etcd_peers: int = field(default_factory=free_port)
    api: int = field(default_factory=free_port)
    controllers: int = field(default_factory=free_port)
    scheduler: int = field(default_factory=free_port)
    kubelets: int = field(default_factory=free_port)


def _server(root: Path, name: str, options: Options) -> Server:
    folder = root / name
    folder.mkdir()
    return Server([str(find(name)), *(f"--{k}={v}" for k, v in options.items())], folder)


def etcd(root: Path, ports: Ports) -> Server:
    """The store. It syncs nothing to disk: its data need not outlive the tests."""
    clients, peers = f"http://{LOOPBACK}:{ports.etcd}", f"http://{LOOPBACK}:{ports.etcd_peers}"
    options: Options = {
        "data-dir": "data",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "unsafe-no-fsync": "true",
    }
    return _server(root, "etcd", options)


def service_account_key(root: Path) -> Path:
    """What the API server signs pods' tokens with."""
    path = root / "service-accounts.key"
    new_key(path)
    return path


def api_server(root: Path, ports: Ports, authority: Authority, tokens: Path, signs: Path) -> Server:
    """The API server: tokens and client certificates, RBAC, Pod Security, an audit log."""
    serving: Pair = authority.server()
    options: Options = {
        "etcd-servers": f"http://{LOOPBACK}:{ports.etcd}",
        "bind-address": LOOPBACK,
        "advertise-address": LOOPBACK,
        "endpoint-reconciler-type": "none",
        "secure-port": ports.api,
        "tls-cert-file": serving.certificate,
        "tls-private-key-file": serving.key,
        "client-ca-file": authority.certificate,
        "token-auth-file": tokens,
        "service-account-issuer": ISSUER,
        "service-account-key-file": signs,
        "service-account-signing-key-file": signs,
        "service-cluster-ip-range": SERVICES,
        "authorization-mode": "RBAC",
        "allow-privileged": "true",
        "audit-policy-file": HERE / "audit-policy.yaml",
        "audit-log-path": root / AUDIT,
    }
    return _server(root, "kube-apiserver", options)


def controllers(root: Path, port: int, kubeconfig: Path, authority: Path, signs: Path) -> Server:
    """The controllers: endpoints, Jobs, ReplicaSets, garbage collection, disruption budgets."""
    options: Options = {
        "kubeconfig": kubeconfig,
        "bind-address": LOOPBACK,
        "secure-port": port,
        "leader-elect": "false",
        "root-ca-file": authority,
        "service-account-private-key-file": signs,
        "use-service-account-credentials": "true",
    }
    return _server(root, "kube-controller-manager", options)


def scheduler(root: Path, port: int, kubeconfig: Path) -> Server:
    """The scheduler, with its defaults."""
    options: Options = {
        "kubeconfig": kubeconfig,
        "bind-address": LOOPBACK,
        "secure-port": port,
        "leader-elect": "false",
    }
    return _server(root, "kube-scheduler", options)


def kubelets(root: Path, port: int, kubeconfig: Path) -> Server:
    """The fake kubelets of all nodes with the annotation `kwok.x-k8s.io/node: fake`."""
    options: Options = {
        "kubeconfig": kubeconfig,
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "cidr": PODS,
        "node-ip": LOOPBACK,
        "node-lease-duration-seconds": 40,
        "server-address": f"{LOOPBACK}:{port}",
        "config": ",".join(map(str, STAGES)),
    }
    return _server(root, "kwok", options)
