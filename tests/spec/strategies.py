"""Deployments that can be written, of every shape that the models and the checks allow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st

from llmops.spec import arguments
from llmops.spec.contradictions import find_contradictions
from llmops.spec.models import Deployment
from llmops.spec.names import DNS_LABEL
from llmops.spec.text import unprintable

MIB = 2**20

names = st.from_regex(DNS_LABEL, fullmatch=True)
parts = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,12}", fullmatch=True)
printable = st.text(max_size=30).filter(lambda text: unprintable(text) is None)
sources = st.one_of(
    st.builds("hf://{}/{}".format, parts, parts),
    st.builds("file:///{}".format, parts),
    st.builds("pkg://{}/{}".format, st.from_regex(r"[a-z_][a-z0-9_]{0,9}", fullmatch=True), parts),
    st.builds("s3://bucket/{}".format, parts),
    st.builds("gs://bucket/{}/{}".format, parts, parts),
)
sizes = st.integers(MIB, 64 * MIB * MIB).map(lambda size: f"{size}B")
times = st.integers(1000, 86_400_000).map(lambda time: f"{time}ms")
replicas = st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(
    lambda pair: f"{min(pair)}..{max(pair)}"
)
scalars: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    printable,
)
values: st.SearchStrategy[Any] = st.one_of(
    scalars,
    st.lists(scalars, min_size=1, max_size=4),
    st.dictionaries(parts, scalars, min_size=1, max_size=3),
)
arguments_of = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,6}(_[a-z0-9]{1,6}){0,2}", fullmatch=True), values, max_size=4
).filter(lambda args: not any(arguments.check(args)))


def _section(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_following = st.fixed_dictionaries(
    {"replicas": st.integers(3, 1000).map(lambda high: f"1..{high}")},
    optional={
        "objective": _section(
            ttft=st.integers(1, 3_600_000).map(lambda time: f"{time}ms"),
            percent=st.floats(50, 100),
            queue=st.integers(0, 100_000),
        ),
        "target_tokens_per_second": st.integers(1, 1_000_000),
        "warm": st.integers(0, 2),
        "schedule": st.lists(
            st.fixed_dictionaries(
                {
                    "window": st.sampled_from(["daily 22:00-06:00", "Sat,Sun 00:00-24:00 UTC"]),
                    "replicas": st.sampled_from(["1", "2", "1..3"]),
                }
            ),
            max_size=2,
        ),
        "settle": times,
    },
)
"""Scaling of a number of replicas that follows the load."""

_LABELS = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?", fullmatch=True)
_DIGESTS = st.integers(0, 16**64 - 1).map(lambda number: f"sha256:{number:064x}")
images = st.builds(
    "{}/{}@{}".format,
    st.sampled_from(["registry.example.com", "localhost", "localhost:5000", "[::1]:443"]),
    st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", fullmatch=True),
    _DIGESTS,
)
clusters = st.fixed_dictionaries(
    {"kind": st.just("kubernetes")},
    optional={
        "context": st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True),
        "namespace": st.sampled_from(["default", "models", "a-1"]),
        "node_selector": st.dictionaries(_LABELS, _LABELS, max_size=2),
        "tolerations": st.lists(
            st.fixed_dictionaries(
                {"key": _LABELS}, optional={"effect": st.sampled_from(["NoSchedule", "NoExecute"])}
            ),
            max_size=2,
        ),
        "gateways": st.integers(1, 32),
        "priority": st.integers(-1_000_000, 1_000_000),
        "weights": st.one_of(
            st.fixed_dictionaries({"kind": st.just("pvc")}, optional={"size": st.just("1TiB")}),
            st.just({"kind": "host_path", "path": "/var/cache/llmops"}),
        ),
        "egress": st.lists(st.sampled_from(["10.0.0.0/8", "2001:db8::/32"]), max_size=2),
        "expose": st.sampled_from(
            [
                {"kind": "gateway", "hostname": "chat.example.com", "gateway": "public"},
                {"kind": "ingress", "hostname": "chat.example.com", "issuer": "acme"},
            ]
        ),
        "redis": st.just({"address": "redis://redis.models.svc:6379"}),
        "autoscaled_nodes": st.booleans(),
        "monitoring": st.booleans(),
    },
)


prices = st.floats(0, 100_000, allow_nan=False) | st.integers(0, 1000)

_of_this_machine: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": names,
        "model": st.fixed_dictionaries(
            {"source": sources},
            optional={"context": st.integers(16, 16_777_216) | st.just("auto")},
        ),
    },
    optional={
        "apiVersion": st.just("llmops/v1"),
        "engine": _section(
            dtype=st.sampled_from(["auto", "bfloat16", "float16", "float32"]),
            kv_cache=sizes | st.just("auto"),
            args=arguments_of,
        ),
        "parallelism": st.just("auto") | _section(tensor=st.integers(1, 1024)),
        "hardware": st.just("auto")
        | _section(
            device=st.sampled_from(["auto", "cpu", "gpu"]),
            cores=st.integers(1, 4096) | st.just("auto"),
            memory=sizes | st.just("auto"),
        ),
        "target": _section(
            host=st.sampled_from(["127.0.0.1", "127.9.9.9", "::1", "localhost"]),
            port=st.integers(1024, 65535),
            allow_plaintext=st.booleans(),
        ),
        "scaling": _section(replicas=replicas, target_in_flight=st.integers(1, 10_000))
        | _following,
        "routing": _section(affinity=st.sampled_from(["request", "header", "key"])),
        "security": _section(
            keys=st.lists(names, unique=True, max_size=4),
            requests_per_minute=st.integers(1, 1_000_000),
            max_tokens=st.integers(1, 1_048_576),
            max_choices=st.integers(1, 128),
            tokens_per_minute=st.integers(1_048_576, 1_000_000_000),
            concurrent_requests=st.integers(1, 100_000),
            tokens_per_day=st.integers(1_048_576, 1_000_000_000_000),
            prices=st.fixed_dictionaries({"input_usd": prices, "output_usd": prices}),
            per_key=st.dictionaries(
                names, _section(requests_per_minute=st.integers(1, 1000)), max_size=3
            ),
        ),
        "maintenance": _section(
            strategy=st.sampled_from(["rolling", "canary", "recreate"]),
            canary=_section(
                steps=st.sets(st.integers(1, 90), min_size=1, max_size=4).map(sorted),
                watch=st.integers(10, 86_400).map(lambda time: f"{time}s"),
                least_requests=st.integers(1, 100_000),
            ),
            drain=times,
            start_deadline=times,
            window=st.sampled_from(["Sun 02:00-04:00 Europe/Berlin", "daily 22:00-06:00 UTC"]),
            keep_releases=st.integers(1, 1000) | st.just("all"),
            keep_logs=st.integers(0, 1000) | st.just("all"),
        ),
    },
)
documents: st.SearchStrategy[dict[str, Any]] = _of_this_machine | st.builds(
    lambda document, image, target: document | {"image": image, "target": target},
    _of_this_machine,
    images,
    clusters,
)
"""What a file holds, as plain data; contradictions are still in it."""


def _make(document: dict[str, Any]) -> Deployment:
    return Deployment.model_validate(document)


def _written(made: Deployment, trail: Sequence[str | int]) -> bool:
    """Whether a field was given, as the reader knows it of a file."""
    section: Any = made
    for step in trail:
        if step not in section.model_fields_set:
            return False
        section = getattr(section, str(step))
    return True


deployments: st.SearchStrategy[Deployment] = documents.map(_make).filter(
    lambda made: not any(find_contradictions(made, partial(_written, made)))
)
"""Deployments that mean something."""
