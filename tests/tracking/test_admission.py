"""The limits before MLflow's server, with an application that answers when it is told to."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness.tracking.admission import TURNS, Admission, Limits, Message, Receive, Send
from harness.tracking.asked import Rejected, refuse_other_content, refuse_wrong, sentence_of

BODY = b'{"inputs": {"image": ["aGFsbG8="]}}'
Answer = tuple[int, dict[str, Any]]


class Slow:
    """An ASGI application that answers what it got when it is let go."""

    def __init__(self) -> None:
        self.go, self.inside, self.most = asyncio.Event(), 0, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        body = (await receive())["body"]
        await self.go.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


async def ask(server: Admission, *parts: bytes, pause: float = 0.0, **headers: str) -> Answer:
    """Return status and document of the answer to a POST whose body comes in parts."""
    rest, sent = list(parts), []

    async def receive() -> Message:
        await asyncio.sleep(pause)
        if not rest:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": rest.pop(0), "more_body": bool(rest)}

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    listed = [(key.encode(), value.encode()) for key, value in given.items()]
    scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": listed}
    await server(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def run(test: Callable[[Slow], Awaitable[None]]) -> None:
    async def whole() -> None:
        await test(Slow())

    asyncio.run(whole())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.001)


def test_so_many_at_once_and_the_rest_one_after_the_other() -> None:
    async def test(app: Slow) -> None:
        server = Admission(app, Limits(bytes=1000, seconds=30, requests=20))
        asking = [asyncio.create_task(ask(server, BODY)) for _ in range(20)]
        await until(lambda: app.inside == TURNS and server.requests == 20)
        status, said = await ask(server, BODY)
        assert (status, said["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert said["message"] == "server: answers 20 requests already; ask again in a moment"
        app.go.set()
        assert await asyncio.gather(*asking) == [(200, json.loads(BODY))] * 20
        assert app.most == TURNS
        assert (server.requests, server.held, len(server.working)) == (0, 0, 0)

    run(test)


def test_bodies_that_are_held_have_a_limit_together() -> None:
    async def test(app: Slow) -> None:
        server = Admission(app, Limits(bytes=60, seconds=30, bodies=3))
        asking = [asyncio.create_task(ask(server, BODY)) for _ in range(5)]
        await until(lambda: server.held == 5 * len(BODY))
        status, said = await ask(server, BODY)
        assert (status, said["message"]) == (
            503,
            "server: holds 210 bytes of requests already; ask again in a moment",
        )
        app.go.set()
        assert [status for status, _ in await asyncio.gather(*asking)] == [200] * 5
        assert server.held == 0

    run(test)


def test_a_large_body_is_refused_when_it_is_told_or_came() -> None:
    async def test(app: Slow) -> None:
        server = Admission(app, Limits(bytes=60, seconds=30))
        assert (await ask(server, *[b" " * 10] * 7))[0] == 413
        assert (await ask(server, BODY, content_length="61"))[0] == 413  # before the rest of it comes
        app.go.set()
        assert (await ask(server, BODY[:10], BODY[10:], b" " * (60 - len(BODY))))[0] == 200
        assert (server.requests, server.held) == (0, 0)

    run(test)


def test_each_wait_has_its_answer_and_a_late_thread_keeps_its_turn() -> None:
    async def test(app: Slow) -> None:
        server = Admission(app, Limits(bytes=1000, seconds=0.2))
        status, said = await ask(server, *[b" "] * 100, pause=0.01)
        assert (status, said["message"].partition(" within")[0]) == (408, "body: did not arrive")
        late = await asyncio.gather(*[ask(server, BODY) for _ in range(TURNS)])
        assert [status for status, _ in late] == [504] * TURNS
        assert (server.requests, len(server.working)) == (TURNS, TURNS)  # still at work
        status, said = await ask(server, BODY)
        assert (status, said["message"].partition(" within")[0]) == (
            503,
            "server: is busy; there was no turn",
        )
        app.go.set()
        await until(lambda: not server.working)
        assert (await ask(server, BODY))[0] == 200
        assert (server.requests, server.held) == (0, 0)

    run(test)


def test_a_client_that_leaves_early_is_forgotten() -> None:
    async def test(app: Slow) -> None:
        server = Admission(app, Limits(bytes=1000, seconds=5))
        rest = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Message:
            return rest.pop(0)

        async def send(message: Message) -> None:
            assert message.get("status", 400) == 400

        kind = [(b"content-type", b"application/json")]
        await server(
            {"type": "http", "path": "/invocations", "method": "POST", "headers": kind}, receive, send
        )
        assert (server.requests, server.held, app.most) == (0, 0, 0)

    run(test)


def test_an_application_that_fails_is_a_sentence() -> None:
    async def broken(scope: Message, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("with a stack trace")

    async def test(app: Slow) -> None:
        server = Admission(broken, Limits(bytes=1000, seconds=5))
        status, said = await ask(server, BODY)
        assert (status, said["message"]) == (500, "server: failed; its log says why")
        assert (server.requests, server.held, len(server.working)) == (0, 0, 0)

    run(test)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            {"message": "Failed to predict 'AAAA'. \nError: image 0: bad; send a good one"},
            "image 0: bad; send a",
        ),
        (
            {"message": "a\nError: KeyError('x')", "stack_trace": "Traceback"},
            "body: is read as no images (KeyError",
        ),
        ({"message": "x" * 5000}, "body: is read as no images (xxx"),
        ({}, "server: failed; its log says why"),
    ],
)
def test_an_error_of_mlflow_becomes_one_short_sentence(said: dict[str, str], sentence: str) -> None:
    found = sentence_of(400, json.dumps(said).encode())
    assert str(found).startswith(sentence)
    assert len(str(found)) < 500
    assert "\n" not in str(found)
    assert set(json.loads(found.body())) == {"error_code", "message"}


def test_texts_that_numpy_would_blow_up_are_refused() -> None:
    rows = [{"image": "A" * 200_000}, *[{"image": ""}] * 1000]
    with pytest.raises(Rejected, match="instances: 1001 images, the longest of 200000 characters"):
        refuse_wrong(json.dumps({"instances": rows}).encode())
    refuse_wrong(json.dumps({"dataframe_records": rows}).encode())


def test_only_json_in_utf_8_is_taken() -> None:
    for good in ("application/json", "Application/JSON; charset=UTF-8", "application/json;"):
        refuse_other_content(good)
    with pytest.raises(Rejected, match="content-type: is missing; send application/json in UTF-8"):
        refuse_other_content("")
