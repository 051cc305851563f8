"""Serves the page of a model, from this machine or in a Space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .page import build_page
from .page_model import PageModel
from .request_limits import RequestLimits

if TYPE_CHECKING:
    import gradio


def launch_page(page: gradio.Blocks, **options: Any) -> Any:
    """Starts a page with the limits of `request_limits`; `options` and result are those of Gradio's `launch`."""
    from starlette.middleware import Middleware

    return page.launch(app_kwargs={"middleware": [Middleware(RequestLimits)]}, max_file_size=1, **options)


def serve_page(
    model: PageModel, *, examples: list[str] | None = None, host: str | None = None, port: int | None = None
) -> None:
    """Serves the page of `model` until the process is interrupted; prints its address.

    Args:
        model: the model of the page.
        examples: texts to choose from on the page.
        host: address to listen on; 127.0.0.1, which only this machine can reach, if None.
        port: port to listen on; the first free one from 7860 if None.

    Raises:
        ImportError: Gradio is not installed.
        OSError: the port is in use.
    """
    page = build_page(model, examples=examples)
    _, address, _ = launch_page(
        page,
        server_name=host or "127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
    )
    print(f"{model.name}: {address}   (press Ctrl-C to stop)", flush=True)
    try:
        page.block_thread()
    finally:
        page.close(verbose=False)
