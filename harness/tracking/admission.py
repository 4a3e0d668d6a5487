"""What stands before MLflow's scoring server: limits of size, time and number, and errors as one sentence."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from harness.tracking.asked import Rejected, refuse_other_content, refuse_wrong, sentence_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ASK, LOOK = "/invocations", ("/ping", "/health", "/version")
TURNS = 2  # requests that are parsed, computed and written at once; one of them has the networks


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the server: bytes of a body, seconds to an answer; requests and bytes held at once."""

    bytes: int
    seconds: float
    requests: int = 256
    bodies: int = 4  # whole ones that are held at once; many more if they are small


class Admission:
    """An ASGI application that lets requests through to MLflow's, so many at a time."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.turns = asyncio.Semaphore(TURNS)
        self.requests = self.held = 0  # requests, and bytes of their bodies
        self.working: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["path"] in LOOK and scope["method"] == "GET"):
            return await self.app(scope, receive, send)
        try:
            refuse_other_places(scope)
            status, body = await self._answer(scope, receive)
        except Rejected as error:
            status, body = error.status, error.body()
        await send_json(send, status, body)

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, bytes]:
        """Return status and body of an answer. What is held of a request is let go when nobody works at it any more."""
        if self.requests >= self.limits.requests:
            raise Rejected(503, f"server: answers {self.requests} requests already; ask again in a moment")
        until = asyncio.get_running_loop().time() + self.limits.seconds
        held = Held(self)
        try:
            refuse_other_content(header(scope, b"content-type"))
            with in_time(408, "body: did not arrive", self.limits.seconds):
                async with asyncio.timeout_at(until):
                    body = await self._body(scope, receive, held)
            with in_time(503, "server: is busy; there was no turn", self.limits.seconds):
                async with asyncio.timeout_at(until):
                    await self.turns.acquire()
            return await self._worked(scope, body, held, until)
        finally:
            if not held.by_task:
                held.release()

    async def _body(self, scope: Message, receive: Receive, held: "Held") -> bytes:
        """Return a request's body, whose bytes are counted while they come."""
        told = header(scope, b"content-length")
        self._refuse_large(int(told) if told.isdigit() else 0)
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Rejected(400, "body: ended early; send it whole")
            parts.append(message.get("body", b""))
            held.more(len(parts[-1]))
            self._refuse_large(held.bytes)
            if not message.get("more_body"):
                return b"".join(parts)

    def _refuse_large(self, size: int) -> None:
        most = self.limits.bytes
        if size > most:
            raise Rejected(
                413, f"body: of more than {most} bytes; send fewer images, or start with --limit-mb"
            )
        if self.held > self.limits.bodies * most:
            raise Rejected(503, f"server: holds {self.held} bytes of requests already; ask again in a moment")

    async def _worked(self, scope: Message, body: bytes, held: "Held", until: float) -> tuple[int, bytes]:
        """Return an answer that is there in time; a thread that computes goes on, and keeps its turn until it ends."""
        task = asyncio.create_task(self._asked(scope, body))
        self.working.add(task)
        held.by_task = True

        def end(done: asyncio.Task[Any]) -> None:
            self.working.discard(done)
            held.release()
            self.turns.release()
            if not done.cancelled():
                done.exception()  # seen, also where nobody waits for it any more

        task.add_done_callback(end)
        await asyncio.wait({task}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        if not task.done():
            raise late(504, "server: had no answer", self.limits.seconds)
        return task.result()

    async def _asked(self, scope: Message, body: bytes) -> tuple[int, bytes]:
        """Return what MLflow's server answers, an error as a sentence."""
        await asyncio.to_thread(refuse_wrong, body)
        rest = iter([{"type": "http.request", "body": body, "more_body": False}])
        answered, said = asyncio.Event(), Said()

        async def receive() -> Message:
            for message in rest:
                return message
            await answered.wait()  # the client is there until the answer is
            return {"type": "http.disconnect"}

        try:
            await self.app(scope, receive, said)
        except Exception:
            raise Rejected(500, "server: failed; its log says why") from None
        finally:
            answered.set()
        if said.status >= 400:
            raise sentence_of(said.status, said.body)
        return said.status, said.body


class Held:
    """What the server holds of one request."""

    def __init__(self, server: Admission) -> None:
        self.server, self.bytes, self.by_task = server, 0, False
        server.requests += 1

    def more(self, size: int) -> None:
        self.bytes += size
        self.server.held += size

    def release(self) -> None:
        self.server.requests -= 1
        self.server.held -= self.bytes


class Said:
    """What an application sends, kept."""

    def __init__(self) -> None:
        self.status, self.body = 500, b""

    async def __call__(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")


def refuse_other_places(scope: Message) -> None:
    """Raise Rejected for all but POST to the one place that answers it."""
    path, method = scope["path"], scope["method"]
    if path not in (ASK, *LOOK):
        raise Rejected(404, f"{path[:80]!r}: is not here; POST to {ASK}, or GET {', '.join(LOOK)}")
    if path != ASK or method != "POST":
        raise Rejected(405, f"{path}: does not take {method[:20]}; POST to {ASK}, or GET {', '.join(LOOK)}")


def header(scope: Message, name: bytes) -> str:
    """Return a header of a request, empty where it has none."""
    return str(next((value for key, value in scope["headers"] if key == name), b"").decode("latin-1"))


@contextlib.contextmanager
def in_time(status: int, what: str, seconds: float) -> Iterator[None]:
    """Turn a timeout into an answer."""
    try:
        yield
    except TimeoutError:
        raise late(status, what, seconds) from None


def late(status: int, what: str, seconds: float) -> Rejected:
    """Return the answer to a request that took too long."""
    return Rejected(
        status, f"{what} within {seconds:g} s; send fewer images at once, or start with --timeout"
    )


async def send_json(send: Send, status: int, body: bytes) -> None:
    """Send an answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
