"""A chat streams its pieces, and each way to fail is told as what it is."""

from __future__ import annotations

import itertools
import random
import socket
import traceback

import pytest

from llmops.errors import InputError, LlmopsError, TargetError
from serving.client import Chat, Endpoint
from tests.client.server import DONE, KEY, SERVICE, Answer, Server, delta, error, event, refusal

TEXTS = ["Grüße", " aus", " 東京", "\n\n", "data: [DONE]", " 🦙"]
WHOLE = b"".join([event({"choices": [{"delta": {"role": "assistant"}}]}), *map(delta, TEXTS), DONE])
HELLO = [{"role": "user", "content": "hello"}]


def ask(endpoint: Endpoint) -> list[str]:
    return list(endpoint.chat(HELLO, max_tokens=8, temperature=0.5, seed=3))


def cut_anywhere(text: bytes, seed: int) -> list[bytes | float]:
    pick = random.Random(seed)
    at = sorted({0, len(text), *(pick.randrange(len(text)) for _ in range(40))})
    return [text[a:b] for a, b in itertools.pairwise(at)]


@pytest.mark.parametrize("seed", range(10))
def test_pieces_come_as_generated_wherever_the_stream_is_cut(
    server: Server, endpoint: Endpoint, seed: int
) -> None:
    server.script.append(Answer(cut_anywhere(WHOLE, seed)))
    assert ask(endpoint) == TEXTS


def test_a_piece_is_there_before_the_answer_is_whole(server: Server, endpoint: Endpoint) -> None:
    more: list[bytes | float] = [delta("more"), 0.01]
    server.script.append(Answer([delta("first"), 0.2, *more * 400, DONE]))
    pieces = endpoint.chat(HELLO, max_tokens=None, temperature=None)
    assert next(pieces) == "first"
    pieces.close()
    assert server.hung_up.wait(5), "the endpoint was not told that nobody listens any more"


def test_the_request_says_what_was_asked_and_no_more(server: Server, endpoint: Endpoint) -> None:
    server.script += [Answer([WHOLE]), Answer([WHOLE])]
    ask(endpoint)
    list(endpoint.chat(HELLO, max_tokens=None, temperature=None))
    full, bare = server.asked
    assert full.path == "/v1/chat/completions"
    assert full.headers["authorization"] == f"Bearer {KEY}"
    least = {"model": SERVICE, "messages": HELLO, "stream": True}
    assert full.body == least | {"max_tokens": 8, "temperature": 0.5, "seed": 3}
    assert bare.body == least


def test_text_that_is_no_unicode_is_the_endpoints_to_refuse(
    server: Server, endpoint: Endpoint
) -> None:
    server.script.append(Answer([WHOLE]))
    said = [{"role": "user", "content": "\udcff"}]
    assert list(endpoint.chat(said, max_tokens=None, temperature=None)) == TEXTS
    assert server.asked[0].body["messages"] == said


@pytest.mark.parametrize(
    ("answer", "kind", "exit_code", "told", "hint"),
    [
        (refusal(401, "a key is needed", "bad"), InputError, 2, "refused the key", "llmops keys"),
        (refusal(404, "no model", "bad"), InputError, 2, "no model", "llmops status tiny"),
        (
            refusal(429, "too often", "rate", retry_after="17"),
            TargetError,
            4,
            "try again in 17 s: too often",
            "",
        ),
        (
            refusal(503, "none now", "no_release"),
            TargetError,
            5,
            "no release serves tiny: none now (request req-7)",
            "llmops status tiny",
        ),
        (refusal(503, "gone; try again", "upstream_gone"), TargetError, 5, "gone; try", ""),
        (refusal(400, "no chat template", "bad"), InputError, 2, "no chat template", ""),
        (refusal(502, "the engine failed", "bad"), TargetError, 5, "the engine failed", ""),
        (Answer([b"<html>"], 502), TargetError, 5, "failed (502)", ""),
        (Answer([b""], 302, {"location": "/v1/elsewhere"}), TargetError, 5, "failed (302)", ""),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_a_refusal_is_told_as_what_it_is(
    server: Server,
    endpoint: Endpoint,
    answer: Answer,
    kind: type[LlmopsError],
    exit_code: int,
    told: str,
    hint: str,
) -> None:
    server.script.append(answer)
    with pytest.raises(kind) as caught:
        ask(endpoint)
    assert told in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == exit_code
    assert len(server.asked) == 1, "a refused request was sent again, or followed elsewhere"


@pytest.mark.parametrize(
    ("pieces", "dies", "told"),
    [
        ([delta("x"), event(error("it died", "cut", request_id="req-9"))], False, "it died"),
        ([delta("x")], False, "stopped before its end"),
        ([delta("x"), DONE[:-1]], False, "stopped before its end"),
        ([delta("x")], True, "stopped before its end"),
        ([delta("x"), b"data: {\n\n"], False, "not JSON"),
        ([delta("x"), b"data: []\n\n"], False, "no JSON object"),
        ([delta("x"), b"data: " + b"x" * 1_100_000], False, "more than 1000000 bytes"),
    ],
)
def test_a_broken_stream_is_never_passed_off_as_whole(
    server: Server, endpoint: Endpoint, pieces: list[bytes | float], dies: bool, told: str
) -> None:
    server.script.append(Answer(pieces, headers={"x-request-id": "req-9"}, dies=dies))
    stream = endpoint.chat(HELLO, max_tokens=None, temperature=None)
    assert next(stream) == "x"
    with pytest.raises(TargetError, match="the answer broke off") as caught:
        list(stream)
    assert told in caught.value.message
    assert "(request req-9)" in caught.value.message


def test_nobody_there_is_told_with_the_way_to_look() -> None:
    with socket.socket() as bound:  # bound and not listening: refused, and nobody else's
        bound.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{bound.getsockname()[1]}/v1", KEY, SERVICE)
        with pytest.raises(TargetError, match="nobody answers at http://127") as caught:
            ask(endpoint)
    assert caught.value.hint == "see `llmops status tiny`"


def test_a_proxy_of_the_environment_is_not_asked(
    server: Server, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.script.append(Answer([WHOLE]))
    assert ask(endpoint) == TEXTS


@pytest.mark.parametrize("status", [200, 401, 400, 503])
def test_the_key_is_in_no_error_and_no_repr(
    server: Server, endpoint: Endpoint, status: int
) -> None:
    echo = error(f"you sent {KEY}\x1b[2J", f"x{KEY}", request_id=KEY)
    body: list[bytes | float] = [event(echo)] if status == 200 else [event(echo)[6:]]
    server.script.append(Answer(body, status, {"x-request-id": KEY}))
    with pytest.raises(LlmopsError) as caught:
        ask(endpoint)
    assert "you sent <key>" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert KEY not in repr(endpoint)
    assert SERVICE in repr(endpoint)


@pytest.mark.parametrize("key", ["", " ", "key\r\nx: y", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused_unseen(key: str) -> None:
    with pytest.raises(InputError) as caught:
        Endpoint("http://127.0.0.1:1/v1", key, SERVICE)
    assert not key.strip() or key not in caught.value.message


@pytest.mark.parametrize(
    "url",
    ["", "ftp://host/v1", "http://host", "http://host/v1/", "http:///v1", "http://a:b@host/v1",
     "http://host:port/v1", "host:8000/v1"],
)  # fmt: skip
def test_a_url_that_is_no_base_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="the endpoint's URL"):
        Endpoint(url, KEY, SERVICE)


def test_a_conversation_remembers_whole_turns_only(server: Server, endpoint: Endpoint) -> None:
    chat = Chat(endpoint, system="be brief", max_tokens=5)
    server.script += [
        Answer([delta("hi"), delta("!"), DONE]),
        Answer([delta("half")]),
        Answer([delta("bye"), DONE]),
    ]
    assert "".join(chat.say("hello")) == "hi!"
    with pytest.raises(TargetError):
        list(chat.say("lost"))
    assert "".join(chat.say("bye")) == "bye"
    sent = [(m["role"], m["content"]) for m in server.asked[-1].body["messages"]]
    assert sent == [
        ("system", "be brief"), ("user", "hello"), ("assistant", "hi!"), ("user", "bye"),
    ]  # fmt: skip
    assert server.asked[-1].body["max_tokens"] == 5
