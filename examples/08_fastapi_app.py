"""A FastAPI service that trades: the circuit's refusal is a 503 with Retry-After, health and metrics are routes.

pip install fastapi uvicorn && python examples/08_fastapi_app.py
"""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.error
import urllib.request

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import make_asgi_app

import peak_observe
from peak_observe import CircuitOpenError, circuit_breaker, health_check
from peak_observe.resilience.health.http import answers

app = FastAPI()
peak_observe.register()  # the metrics of this process join those of prometheus_client
app.mount("/metrics", make_asgi_app())
healthy = answers(health_check)


@health_check.check("feed")
def feed() -> tuple[bool, str]:
    """Say whether prices come in."""
    return True, "last tick 0.3 s ago"


@circuit_breaker(failure_threshold=2, recovery_timeout=30, name="upstream")
async def upstream() -> float:
    """Ask the exchange, which is in maintenance."""
    raise ConnectionError("503 Service Unavailable")


@app.get("/price")
async def price() -> float:
    """Answer with the price."""
    return await upstream()


@app.get("/readyz")
def readyz(request: Request) -> Response:
    """Answer for the checks; a plain function, as they may take a while."""
    answer = healthy(f"/readyz?{request.url.query}")
    return Response(answer.body, answer.status, media_type=answer.content_type)


@app.exception_handler(CircuitOpenError)
async def refused(_: Request, error: CircuitOpenError) -> JSONResponse:
    """Tell the caller when to come again."""
    headers = {"Retry-After": str(math.ceil(error.retry_after))}
    return JSONResponse({"detail": f"{error.name} is unavailable"}, 503, headers)


@app.exception_handler(ConnectionError)
async def failed(_: Request, error: ConnectionError) -> JSONResponse:
    """Tell that the exchange failed."""
    return JSONResponse({"detail": str(error)}, 502)


def main() -> None:
    """Serve on a free port and ask a few times."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    for path in ("/price", "/price", "/price", "/readyz"):
        print(path, *ask(f"http://127.0.0.1:{port}{path}"))
    _, text, _ = ask(f"http://127.0.0.1:{port}/metrics/")
    print(next(line for line in text.splitlines() if 'outcome="rejected"' in line))
    server.should_exit = True
    thread.join()


def ask(url: str) -> tuple[int, str, str]:
    """Return status, body and Retry-After."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode().strip(), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["detail"], f"Retry-After: {error.headers['Retry-After']}"


if __name__ == "__main__":
    main()
