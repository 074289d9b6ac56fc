"""A pipeline and its page on threads of their own, which end together."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from tracewave_panel.app.server import start, stop
from tracewave_panel.errors import TracewaveError
from tracewave_panel.ports import Console
from tracewave_panel.runtime import Runtime

from .frame import LOOPBACK

__all__ = ["Running"]

_JOIN_SECONDS = 5.0
_LAST_WORDS = 0.1  # seconds for the websockets to say goodbye


class Running:
    """Pipeline and page of one view, of which it knows nothing, so that the view can be let go of.

    The page has a thread and an event loop of its own: the kernel's loop belongs to the kernel.
    """

    def __init__(self, runtime: Runtime, port: int, origins: Sequence[str]) -> None:
        self.runtime = runtime
        self.console = Console(runtime.feed, runtime.store, runtime, runtime)
        self.ended = False
        self._port = port
        self._origins = origins
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._listening: Future[int] = Future()
        self._ending = threading.Lock()
        # a daemon: the others are joined before what is registered for the interpreter's exit is run
        self._thread = threading.Thread(target=self._serve, name="tracewave-page", daemon=True)

    def begin(self) -> int:
        """Start both, and return the port once the page can be opened."""
        atexit.register(self.end)
        self._thread.start()
        try:
            port = self._listening.result()
            self.runtime.start()
        except BaseException:
            self.end()
            raise
        return port

    def end(self) -> None:
        """End both and wait for that; safe from any thread but theirs, and more than once."""
        with self._ending:
            self.ended = True
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_JOIN_SECONDS)
            self.runtime.stop()
            atexit.unregister(self.end)

    def end_beside(self) -> None:
        """End both on another thread."""
        if not self.ended:
            threading.Thread(target=self.end, name="tracewave-end").start()

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve_page())
        except TracewaveError as error:
            self._listening.set_exception(error)
        finally:
            self._listening.cancel()  # nobody waits for ever; what has a result keeps it

    async def _serve_page(self) -> None:
        server = start(self.console, address=LOOPBACK, port=self._port, origins=self._origins, framed=True)
        assert server.port is not None
        self._listening.set_result(server.port)
        await self._stopping.wait()
        stop(server)
        await asyncio.sleep(_LAST_WORDS)
