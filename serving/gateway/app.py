"""The gateway: the only door to every service of a runtime, as a pure ASGI app.

Decisions come in this order, each before anything more is looked at: the raw path, the key, the
rate, the size, the JSON, the service, the fields. Nothing here trusts the Host header or a parsed
URL. It knows no Ray and no engine: it sends what it has let through to an Upstream.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from serving.gateway import answers, bounds, naming, worst
from serving.gateway.allowance import Allowance
from serving.gateway.answers import Refusal
from serving.gateway.audit import Audit
from serving.gateway.config import GatewayConfig, Limits, Service
from serving.gateway.defences import Defences
from serving.gateway.exchange import MODELS, Exchange
from serving.gateway.forward import Forwarder
from serving.gateway.keys import Key, KeyRing
from serving.gateway.ledger import Ledger
from serving.gateway.limiter import Book, Limiter, LocalLimiter
from serving.gateway.metrics import Metrics
from serving.gateway.presence import Replicas
from serving.gateway.quarantine import Quarantine
from serving.gateway.routing import Routing
from serving.gateway.scaling import Scaling
from serving.gateway.shadows import Shadows
from serving.gateway.turns import Turns
from serving.gateway.upstream import ReleaseRef, Upstream

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

GENERATIONS = frozenset(bounds.FIELDS)
BODY_DEADLINE = 30.0
"""Seconds in which a request's body must have arrived."""
HEALTHY_FOR = 150.0
"""Seconds after a real generation during which a service counts as healthy."""
KEY_HEADER = b"x-api-key"
"""Where the key may stand as well: a proxy on the way, such as that of a Kubernetes API server,
takes `Authorization` for itself."""


class App:
    """The endpoint. One instance serves all services of a runtime."""

    def __init__(
        self,
        config: GatewayConfig,
        keyring: KeyRing,
        upstream: Upstream,
        *,
        metrics: Metrics,
        audit: Audit,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        defences: Defences | None = None,
        body_deadline: float = BODY_DEADLINE,
        limiter: Limiter | None = None,
        secret: bytes | None = None,
    ) -> None:
        """Make the endpoint.

        Args:
            clock: Unix seconds: for days and months, and for when something was.
            elapsed: Seconds on a clock that nobody sets: for how long something takes.
        """
        self._config = config
        self._holders = naming.holders(config.services)
        self._keyring = keyring
        self._metrics = metrics
        self._audit = audit
        metrics.audit_lost.set_function(audit.lost)
        self._clock, self._elapsed = clock, elapsed
        self._defences = defences or Defences()
        self._body_deadline = body_deadline
        self._allowance = Allowance(limiter or LocalLimiter(Book(), clock), metrics)
        secret = secret or secrets.token_bytes(32)
        self._routing = Routing(secret)
        self.quarantine = Quarantine(secret, metrics, on=self._defences.quarantine)
        self.turns = Turns()
        self.turns.follow(config.services)
        self._leaving = False
        self.ledger = Ledger()
        self.ledger.compared.follow(config.services)
        self.scaling = Scaling(elapsed)
        self.scaling.follow(config.services)
        self._forwarder = Forwarder(
            upstream, self.ledger, metrics, elapsed, self.scaling, self.quarantine
        )
        self._shadows = Shadows(
            upstream, metrics, audit, elapsed, self.turns.spare, self.scaling.asleep
        )
        self._shadows.follow(config.services)

    def reconfigure(self, config: GatewayConfig) -> None:
        """Use this table from the next request on; read the keys again if they have changed."""
        if config.keys_version != self._config.keys_version:
            self.reload_keys()
        self._config = config
        self._holders = naming.holders(config.services)
        self.ledger.keep(set(config.services))
        self.ledger.compared.follow(config.services)
        self.turns.follow(config.services)
        self.scaling.follow(config.services)
        self._shadows.follow(config.services)

    def leave(self) -> None:
        """End each connection with its next answer: this gateway is about to be taken away."""
        self._leaving = True

    def note_generation(self, service: str, release: int) -> None:
        """Remember that a release has really generated."""
        self.ledger.generated(service, release, self._elapsed())

    def quiet(self, seconds: float) -> list[ReleaseRef]:
        """Releases with traffic that have not generated for so long, less those that sleep."""
        now = self._elapsed()
        return [
            ReleaseRef(name, share.release)
            for name, service in self._config.services.items()
            for share in service.releases
            if share.share and not self.ledger.fresh(name, share.release, seconds, now)
            if not self.scaling.asleep(ReleaseRef(name, share.release))
        ]

    def releases(self) -> list[ReleaseRef]:
        """Every release of the routing table."""
        return [
            ReleaseRef(name, share.release)
            for name, service in self._config.services.items()
            for share in service.releases
        ]

    def engine_of(self, release: ReleaseRef) -> ReleaseRef:
        """The release whose engine answers for one: itself, unless another's is used."""
        table = self._config.services.get(release.service)
        shares = table.releases if table else []
        engine = next((s.engine for s in shares if s.release == release.number), None)
        return release if engine is None else ReleaseRef(release.service, engine)

    def state(self) -> dict[str, Any]:
        """Generation and keys in use; by service: releases, shares, in flight, health, rates."""
        now = self._elapsed()
        return {
            "generation": self._config.generation,
            "keys_version": self._keyring.version,
            "audit": self._audit.anchors(),
            "audit_lost": self._audit.lost(),
            "services": {
                name: {
                    "releases": {str(s.release): s.share for s in service.releases},
                    "healthy": self._healthy(name, service, now),
                    **self.ledger.figures(name, now, self._clock()),
                    **self.turns.figures(name),
                    **self.scaling.state(name),
                    **self._shadows.figures(name),
                    **self.quarantine.figures(name),
                }
                for name, service in self._config.services.items()
            },
        }

    def _healthy(self, name: str, service: Service, now: float) -> bool:
        return any(
            self.ledger.fresh(name, share.release, HEALTHY_FOR, now)
            or self.scaling.asleep(ReleaseRef(name, share.release))
            for share in service.releases
            if share.share
        )

    def know(self, replicas: Mapping[ReleaseRef, Replicas], gateways: int) -> None:
        """Know which replicas there are, and how many gateways share them."""
        self.scaling.tell(replicas)
        self.turns.running({one: count.running for one, count in replicas.items()}, gateways)

    def figures(self) -> dict[ReleaseRef, dict[str, Any]]:
        """What releases are asked for whose number of replicas follows the load."""
        return self.scaling.figures(
            {name: self.turns.figures(name)["waiting"] for name in self._config.services}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; anything else is closed."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, f"req-{secrets.token_hex(12)}", self._elapsed())
        exchange.closing = self._leaving or self._config.closing or exchange.ambiguous
        try:
            await self._answer(exchange)
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except Exception as error:  # the last resort: no client sees what went wrong inside
            if not self._defences.quiet_errors:
                raise
            exchange.failure = type(error).__name__
            await exchange.refuse(
                Refusal(500, "internal_error", "something failed here", kind="server_error")
            )
        finally:
            exchange.close()
            self._allowance.settle(exchange)
            self._record(exchange)

    def _record(self, exchange: Exchange) -> None:
        if exchange.path == "/health":
            return
        self._audit.write(**exchange.line(self._elapsed()))
        who = (
            exchange.service or "",
            str(exchange.release.number) if exchange.release else "",
            exchange.key.name if exchange.key else "",
            exchange.model or exchange.service or "",
        )
        self._metrics.requests.labels(*who, str(exchange.cut or exchange.status)).inc()

    async def _answer(self, exchange: Exchange) -> None:
        path, method = exchange.path, exchange.method
        if path == "/health":
            await self._health(exchange)
            return
        service, key = await self._authenticate(exchange)
        if path in GENERATIONS:
            if method != "POST":
                raise answers.wrong_method("POST")
            await self._generate(exchange, service, key)
        elif path == "/v1/models" or path.startswith(MODELS):
            if method not in ("GET", "HEAD"):
                raise answers.wrong_method("GET")
            await self._models(exchange, self._nameable(service, key))
        elif self._defences.allowlist:
            raise answers.not_found()
        else:
            await self._pass_through(exchange, service)

    async def _authenticate(self, exchange: Exchange) -> tuple[str, Key | None]:
        """The service and key of a request, from its headers alone.

        Raises:
            Refusal: 401, whatever was asked for; 429 when the key asks too often, or has too many
                requests in flight.
        """
        if not self._defences.keys:
            return next(iter(self._config.services), ""), None
        found = self._keyring.find(_key_of(exchange))
        if found is None:
            raise answers.unauthorized()
        service, key = found
        exchange.key, exchange.service = key, service
        table = self._config.services.get(service)
        if table is None:
            raise answers.no_model(service)
        if self._defences.rate and not key.operator:
            await self._allowance.admit(exchange, key, service, table.limits.of(key.name))
        return service, key

    def reload_keys(self) -> None:
        """Read the keys again: the file they are in has changed by itself."""
        self._keyring.reload()

    def is_operator(self, text: str) -> bool:
        """Whether a text is llmops' own key of a service."""
        found = self._keyring.find(text)
        return found is not None and found[1].operator

    async def _health(self, exchange: Exchange) -> None:
        """Whether all that has traffic generates. Asked without a key, so it tells no more."""
        if exchange.method not in ("GET", "HEAD"):
            raise answers.wrong_method("GET")
        now = self._elapsed()
        serving = {
            name: service
            for name, service in self._config.services.items()
            if any(share.share for share in service.releases)
        }
        healthy = bool(serving) and all(self._healthy(n, s, now) for n, s in serving.items())
        body = json.dumps({"status": "ok" if healthy else "no recent generation"}).encode()
        await exchange.reply(200 if healthy else 503, body)

    def _nameable(self, service: str, key: Key | None) -> list[str]:
        """What a request may name as its model."""
        if not self._defences.isolation:
            return list(self._holders)
        return [
            name
            for name, holder in self._holders.items()
            if (key.may_name(name, holder, service) if key else holder == service)
        ]

    async def _models(self, exchange: Exchange, nameable: list[str]) -> None:
        tables = {name: self._config.services[self._holders[name]] for name in nameable}
        names = [name for name in nameable if naming.served(tables[name], name)]
        entries = [naming.entry(name, self._holders[name], tables[name]) for name in names]
        if exchange.path == "/v1/models":
            await exchange.reply(200, json.dumps({"object": "list", "data": entries}).encode())
            return
        name = exchange.path.removeprefix(MODELS)
        if name not in names:
            raise answers.no_model(name)
        await exchange.reply(200, json.dumps(entries[names.index(name)]).encode())

    async def _pass_through(self, exchange: Exchange, service: str) -> None:
        """What an endpoint without an allowlist would do; reached only when a test wants it."""
        release = self._routing.choose(exchange, service, self._config.services[service], None)
        body = await exchange.read(2**20, self._body_deadline)
        await self._forwarder.forward(exchange, release, body, stream=False, wants_usage=True)

    async def _generate(self, exchange: Exchange, service: str, key: Key | None) -> None:
        table = self._config.services[service]
        limit = table.limits.max_body if self._defences.body else 2**40
        document = bounds.parse(await exchange.read(limit, self._body_deadline))
        model = document.get("model")
        if not isinstance(model, str):
            raise answers.bad("'model' must name the service", param="model")
        if model not in self._nameable(service, key):
            raise answers.no_model(model)
        home, service = service, self._holders[model]
        exchange.service, exchange.model = service, "" if model == service else model
        table = self._config.services[service]
        table = table.within(_limits(exchange, table, own=service == home))
        checked = bounds.check(exchange.path, document, table, self._defences)
        self.quarantine.admit(exchange, service, checked)
        exchange.session = self._routing.session(exchange, home, key, table.affinity)
        body = await self._set_aside(exchange, document, checked, table)
        stream = bool(checked.get("stream"))
        async with self.turns.turn(exchange, service, table.limits.priority):
            release = self._routing.choose(exchange, service, self._config.services[service], key)
            with self._shadows.beside(exchange, release, body, stream=stream):
                await self._forwarder.forward(
                    exchange,
                    release,
                    body,
                    stream=stream,
                    wants_usage=bounds.wants_usage(document),
                    wants_each=bounds.wants_each(document),
                )

    async def _set_aside(
        self, exchange: Exchange, document: dict[str, Any], checked: dict[str, Any], table: Service
    ) -> bytes:
        """The body that the engine gets, once what it can take at most is set aside for it.

        Raises:
            Refusal: When its key has not as much left.
        """
        body = bounds.encode(checked)
        most = worst.most(exchange.path, checked, len(body), table.context)
        room = table.limits.at_once
        if room is not None and worst.leave_room(document, checked, room - most.read):
            most = worst.most(exchange.path, checked, len(body), table.context)
            body = bounds.encode(checked)
        await self._allowance.reserve(exchange, table.limits, most)
        return body


def _limits(exchange: Exchange, table: Service, *, own: bool) -> Limits:
    """The limits of one request: those of its key, where the service is the key's own."""
    if exchange.ask is None or exchange.key is None:
        return table.limits.of_nobody
    return table.limits.of(exchange.key.name) if own else table.limits


def _key_of(exchange: Exchange) -> str:
    """The text of the one key that a request carries.

    Raises:
        Refusal: 401 when it carries none, or more than one.
    """
    bearer, plain = exchange.header(b"authorization"), exchange.header(KEY_HEADER)
    if len(bearer) + len(plain) != 1 or (bearer and bearer[0][:7].lower() != b"bearer "):
        raise answers.unauthorized()
    given = bearer[0][7:] if bearer else plain[0]
    return given.decode("latin-1").strip()
