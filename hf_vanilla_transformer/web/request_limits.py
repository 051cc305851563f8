"""What the page takes from a browser: short texts, and no files.

Gradio opens a route for uploads in every page, for which neither size nor origin is limited, and keeps the files. The
page has no use for files, so the route is closed. Other requests are short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# A text that fills a model has some thousand characters.
MOST_CHARACTERS = 10_000
# A request contains a text, in which each character may take 12 bytes (as \ud83d\ude00 in JSON), and some settings.
MOST_BYTES = 16 * MOST_CHARACTERS
# Requests that wait for the model; more are answered that the page is busy.
MOST_WAITING = 64

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RequestLimits:
    """Middleware (ASGI) that answers uploads with 403 and long requests with 413.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
        elif scope["path"].rstrip("/").endswith("/upload"):
            await _answer(send, 403, "This page takes no files.")
        elif (body := await _short_body(receive)) is None:
            await _answer(send, 413, f"This page takes requests of at most {MOST_BYTES:,} bytes.")
        else:
            await self.app(scope, _replayed(body, receive), send)


async def _short_body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is longer than `MOST_BYTES`, of which no more is read then."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read already, then what follows, such as the end of the connection."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
