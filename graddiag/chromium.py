"""A Chromium that nobody sees: figures as images, pages as PDF. It needs kaleido and an installed Chromium or Chrome.

Nothing is fetched: plotly.js is the one that came with plotly, and whatever the browser itself would ask the network
for goes to a proxy that is not there.
"""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, Final, Literal, TypeVar

from graddiag.errors import GraddiagError, MissingLibraryError

ImageFormat = Literal["png", "svg", "pdf"]
T = TypeVar("T")

SECONDS: Final = 300.0  # for one image, or one page: far more than any takes
_NOWHERE: Final = "127.0.0.1:9"  # the port of the discard service: refused at once
_SOON: Final = 0.02  # seconds until a page is asked again
_PRINTED: Final = {
    "preferCSSPageSize": True,
    "printBackground": True,
    "displayHeaderFooter": True,
    "headerTemplate": "<span></span>",
    "generateDocumentOutline": True,
    "generateTaggedPDF": True,
}


class BrowserError(GraddiagError):
    """Chromium is there, and did not do what it was asked."""


@dataclass(frozen=True)
class ImageSize:
    """Width and height in CSS pixels, 96 an inch; ``scale`` is how many pixels of a PNG each of them becomes."""

    width: int
    height: int
    scale: float = 2.0


class Chromium:
    """A browser that runs while its ``with`` does; made by ``chromium``, and used from the thread that made it."""

    def __init__(self, kaleido: Any, call: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._kaleido = kaleido
        self._call = call

    def image(self, figure: Mapping[str, Any], form: ImageFormat, size: ImageSize) -> bytes:
        """A plotly figure, as its JSON is, as an image.

        Raises:
            BrowserError: it could not be drawn.
        """
        scale = size.scale if form == "png" else 1.0  # vectors have no pixels, and would be that much larger
        options = {"format": form, "width": size.width, "height": size.height, "scale": scale}
        drawn: bytes = self._call(self._kaleido.calc_fig(dict(figure), opts=options))
        return drawn

    def pdf(self, page: str, *, ready: str, footer: str) -> bytes:
        """A page of HTML on paper of the size in its style sheet, with its links, and an outline of its headings.

        Args:
            ready: an expression of JavaScript; the promise it gives is fulfilled when the page can be printed.
            footer: HTML below each page; elements of the classes pageNumber and totalPages are filled in.

        Raises:
            BrowserError: it could not be loaded or printed.
        """
        printed: bytes = self._call(_printed(self._kaleido, page, ready, footer))
        return printed


@contextmanager
def chromium(purpose: str) -> Iterator[Chromium]:
    """Starts a browser and ends it; ``purpose`` is what it is for, as the errors say it: ``a report as PDF``.

    Its event loop runs in a separate thread, so that it can be used inside a running one (a notebook) too.

    Raises:
        MissingLibraryError: kaleido, or Chromium itself, is not installed.
        BrowserError: Chromium does not start.
    """
    library = _library(purpose)
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="graddiag-chromium", daemon=True)
    thread.start()

    def call(work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, SECONDS), loop).result()
        except _errors() as error:
            raise BrowserError(
                f"{purpose}: Chromium failed ({type(error).__name__}: {error}). Try it again."
            ) from error

    try:
        kaleido = _made(library, purpose)
        call(kaleido.open())
        try:
            yield Chromium(kaleido, call)
        finally:
            call(kaleido.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _library(purpose: str) -> ModuleType:
    try:
        import kaleido
    except ImportError as error:
        raise MissingLibraryError(
            f"{purpose} needs a library that could not be imported ({error}). "
            "Install it with `pip install 'graddiag[figures]'`."
        ) from error
    return kaleido


def _made(library: ModuleType, purpose: str) -> Any:
    from choreographer.errors import ChromeNotFoundError

    try:
        return library.Kaleido(mathjax=False, timeout=SECONDS, proxy_server=_NOWHERE)
    except ChromeNotFoundError as error:
        raise MissingLibraryError(
            f"{purpose} needs Chromium or Chrome, and none was found. Install it (Debian: apt-get install chromium; "
            "or kaleido_get_chrome), or name it in the variable BROWSER_PATH."
        ) from error


def _errors() -> tuple[type[Exception], ...]:
    from choreographer.errors import BrowserClosedError, BrowserFailedError, ChannelClosedError, DevtoolsProtocolError
    from kaleido.errors import KaleidoError

    return BrowserClosedError, BrowserFailedError, ChannelClosedError, DevtoolsProtocolError, KaleidoError, TimeoutError


async def _printed(browser: Any, page: str, ready: str, footer: str) -> bytes:
    from choreographer.utils import TmpDirectory

    folder = TmpDirectory(sneak=browser.is_isolated())  # where that browser may read
    try:
        file = Path(folder.path) / "page.html"
        file.write_text(page, encoding="utf-8")
        return await _file_printed(browser, file, ready, footer)
    finally:
        folder.clean()


# a new tab is an empty page, complete as well, until it goes to the file
_LOADED: Final = "location.protocol === 'file:' && document.readyState === 'complete'"


async def _file_printed(browser: Any, file: Path, ready: str, footer: str) -> bytes:
    tab = await browser.create_tab(file.as_uri())
    try:
        while not await _value(tab, _LOADED):
            await asyncio.sleep(_SOON)
        await _value(tab, ready)
        answer = await _asked(tab, "Page.printToPDF", {**_PRINTED, "footerTemplate": footer})
        return b64decode(answer["data"])
    finally:
        await tab.close()


async def _value(tab: Any, expression: str) -> Any:
    asked = {"expression": f"(async () => {{ return !!(await ({expression})) }})()", "awaitPromise": True}
    return (await _asked(tab, "Runtime.evaluate", asked))["result"].get("value")


async def _asked(tab: Any, command: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = await tab.send_command(command, params=dict(parameters))
    wrong = answer.get("error") or answer["result"].get("exceptionDetails")
    if wrong:
        raise BrowserError(f"Chromium refused {command}: {wrong}. This is a defect of graddiag; please report it.")
    result: Mapping[str, Any] = answer["result"]
    return result
