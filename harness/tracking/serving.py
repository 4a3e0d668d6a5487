"""A registered version behind MLflow's scoring server, with limits: verified first, and none of its own code run."""

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import pandas as pd
import uvicorn
from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel, scoring_server
from uvicorn.protocols.http.h11_impl import H11Protocol

from harness.errors import ConfigError
from harness.stopping import STOPS
from harness.tracking.admission import ASK, Admission, Limits
from harness.tracking.registry import SIGNATURE
from harness.tracking.served_model import Segmenter
from harness.tracking.trusted import FLAVOR, LOADER

QUIET = 5.0  # s in which a connection must begin a request, and begin the next one
ENDS_WITHIN = 5.0  # s for the answers under way when the server is asked to stop
CONNECTIONS = 1000
NO_LIMIT = 10**9  # s; MLflow's own time limit would leave its thread at work and uncounted


def listen(host: str, port: int) -> socket.socket:
    """Return a socket of this address, not listening yet. Raises ConfigError where it cannot be had."""
    with contextlib.ExitStack() as undone:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            listening = undone.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError as error:
            where = f"--host {host} --port {port}: {error.strerror or error}"
            raise ConfigError(f"{where}; choose another one with --port or --host") from None
        undone.pop_all()
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the address of a server, as a browser has it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_open_to_others(listening: socket.socket) -> bool:
    """Return whether other machines can reach a server."""
    return not ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def example(address: str) -> str:
    """Return a command that asks for the objects in a picture."""
    request = '{"inputs": {"image": ["%s"]}, "params": {"mask": "rle", "objects": true}}'
    picture = "\"$(base64 < picture.png | tr -d '\\n')\""
    return (
        f"printf '{request}' {picture} |\n"
        f"  curl -s --data-binary @- -H 'content-type: application/json' {address}{ASK}"
    )


def serve_model(
    model: Segmenter, listening: socket.socket, limits: Limits, ready: Callable[[], None]
) -> None:
    """Answer requests until this process is asked to stop; call `ready` when the first one may come."""
    described = Model(signature=SIGNATURE, flavors={FLAVOR: {"loader_module": LOADER}})
    os.environ[MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.name] = str(NO_LIMIT)
    admission = Admission(scoring_server.init(PyFuncModel(described, _Served(model))), limits)
    config = uvicorn.Config(
        admission,
        http=_Impatient,
        ws="none",
        loop="asyncio",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(QUIET),
        timeout_graceful_shutdown=int(ENDS_WITHIN),
        limit_concurrency=CONNECTIONS,
    )
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_Server(config, ready).serve(sockets=[listening]))
    if admission.working:  # no thread can be stopped, and this process would wait for it
        os.write(2, f"stopped: {len(admission.working)} requests under way were given up\n".encode())
        os._exit(0)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


class _Served:
    """The model under the name and the arguments that MLflow calls."""

    def __init__(self, model: Segmenter) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return self.model.predict(None, model_input, params)


class _Server(uvicorn.Server):
    """Says when it listens, and ends in order when it is asked to stop: uvicorn's would raise the signal again."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {number: signal.signal(number, self.handle_exit) for number in STOPS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Impatient(H11Protocol):
    """Closes a connection that begins no request for a while; uvicorn's waits for ever for the first one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.timeout_keep_alive, self._look, None)

    def _look(self, seen: Any) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and self.cycle is seen:
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(self.timeout_keep_alive, self._look, self.cycle)
