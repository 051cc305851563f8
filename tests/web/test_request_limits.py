"""The page takes short texts and no files, from a browser as from any other program."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest

from hf_vanilla_transformer.web.request_limits import MOST_BYTES, MOST_CHARACTERS, RequestLimits


def answer_to(method: str, path: str, *parts: bytes) -> tuple[int, bytes]:
    """Status and body that the limits give to a request; behind them, an application that returns the body."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)
    ]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    async def echo(scope, receive, send):
        body = (await receive())["body"] if method == "POST" else b"page"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    asyncio.run(RequestLimits(echo)({"type": "http", "method": method, "path": path}, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_short_requests_pass_unchanged():
    assert answer_to("GET", "/") == (200, b"page")
    assert answer_to("POST", "/gradio_api/queue/join", b"ab", b"", b"c") == (200, b"abc")
    assert answer_to("POST", "/gradio_api/queue/join", bytes(MOST_BYTES)) == (200, bytes(MOST_BYTES))


@pytest.mark.parametrize("path", ["/upload", "/gradio_api/upload", "/gradio_api/upload/"])
def test_files_are_refused(path):
    assert answer_to("POST", path, b"file")[0] == 403


def test_long_requests_are_refused_before_they_are_read():
    status, text = answer_to("POST", "/gradio_api/queue/join", *[bytes(MOST_BYTES // 2)] * 3, b"never read")
    assert status == 413 and f"{MOST_BYTES:,}".encode() in text


def test_a_page_that_is_served_has_the_limits(seq2seq):
    pytest.importorskip("gradio")
    from hf_vanilla_transformer.web import PageModel, build_page, launch_page

    page = build_page(PageModel.load(str(seq2seq), device="cpu"))
    _, address, _ = launch_page(page, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False)

    def post(path: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
        request = urllib.request.Request(f"{address}gradio_api/{path}", body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def translated(text: str, count: int = 1) -> str:
        _, event = post("call/translate", json.dumps({"data": [text, count]}).encode())
        url = f"{address}gradio_api/call/translate/{json.loads(event)['event_id']}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.read().decode()

    try:
        form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nsecret\r\n--b--\r\n'
        assert post("upload", form, "multipart/form-data; boundary=b")[0] == 403
        assert post("call/translate", json.dumps({"data": ["x" * MOST_BYTES, 4]}).encode())[0] == 413
        assert "complete" in translated("a man")
        assert "error" in translated("x" * (MOST_CHARACTERS + 1)) and "error" in translated("a man", 10**6)
    finally:
        page.close(verbose=False)
