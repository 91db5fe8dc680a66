"""The stand-in's own small client of the API server, and mirrors of what is there.

Not the project's client, on purpose: what the tests stand on must not share its mistakes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import yaml

Object = dict[str, Any]
AGAIN = 0.2
"""Seconds until a lost watch is begun anew."""


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """Requests to one API server, as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        cluster, user = _entries(yaml.safe_load(kubeconfig.read_text()))
        context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        headers = {"authorization": f"Bearer {user['token']}"} if "token" in user else {}
        if "token" not in user:
            _show_certificate(context, user)
        self._client = httpx.AsyncClient(
            base_url=cluster["server"], verify=context, headers=headers, trust_env=False, timeout=30
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> Object:
        return await self._call("GET", path)

    async def create(self, path: str, body: Object) -> Object:
        return await self._call("POST", path, body)

    async def replace(self, path: str, body: Object) -> Object:
        return await self._call("PUT", path, body)

    async def delete(self, path: str) -> Object:
        return await self._call("DELETE", path)

    async def _call(self, method: str, path: str, body: Object | None = None) -> Object:
        answer = await self._client.request(method, path, json=body)
        document: Object = answer.json() if answer.content else {}
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, str(document.get("message", answer.text))[:500])
        return document

    async def watch(self, path: str, version: str) -> AsyncIterator[Object]:
        """Events from `version` on, until the server ends the watch."""
        query = {"watch": "true", "resourceVersion": version}
        timeout = httpx.Timeout(30, read=None)
        async with self._client.stream(
            "GET", httpx.URL(path).copy_merge_params(query), timeout=timeout
        ) as answer:
            if answer.status_code >= 400:
                raise ApiError(answer.status_code, "the watch was refused")
            async for line in answer.aiter_lines():
                yield json.loads(line)


class Mirror:
    """All objects of one kind as the API server has them, by namespace and name."""

    def __init__(self, api: Api, path: str, changed: asyncio.Event) -> None:
        self.items: dict[tuple[str, str], Object] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self.filled = False
        """Whether it has been read at least once."""
        self._api = api
        self._path = path
        self._changed = changed

    def put(self, item: Object) -> None:
        """Take an object, unless a newer version was seen: an answer may come before
        the watch tells of it, or long after."""
        key, version = _key(item), _version(item)
        if version >= self._seen.get(key, 0):
            self._seen[key] = version
            self.items[key] = item

    def _drop(self, item: Object) -> None:
        self._seen[_key(item)] = _version(item)
        self.items.pop(_key(item), None)

    async def follow(self) -> None:
        """Keep up for ever, also when the API server goes away for a while."""
        while True:
            with contextlib.suppress(httpx.HTTPError, ApiError, ValueError):
                await self._follow_once()
            await asyncio.sleep(AGAIN)

    async def _follow_once(self) -> None:
        listing = await self._api.get(self._path)
        self.items = {_key(item): item for item in listing["items"]}
        self._seen |= {key: _version(item) for key, item in self.items.items()}
        self.filled = True
        self._changed.set()
        async for event in self._api.watch(self._path, listing["metadata"]["resourceVersion"]):
            if event["type"] == "ERROR":
                return
            if event["type"] == "DELETED":
                self._drop(event["object"])
            else:
                self.put(event["object"])
            self._changed.set()


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


def _entries(document: Object) -> tuple[Object, Object]:
    name = document["current-context"]
    context = next(c["context"] for c in document["contexts"] if c["name"] == name)
    cluster = next(c["cluster"] for c in document["clusters"] if c["name"] == context["cluster"])
    user = next(u["user"] for u in document["users"] if u["name"] == context["user"])
    return cluster, user


def _text(entry: Object, name: str) -> str:
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return Path(entry[name]).read_text()


def _show_certificate(context: ssl.SSLContext, user: Object) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
        file.flush()
        context.load_cert_chain(file.name)
