"""A small reverse proxy: passes bytes on as they are, below a path or not, and says who the visitor is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()


@asynccontextmanager
async def proxy_to(port: int, prefix: str, *said: str) -> AsyncIterator[int]:
    """Listen on a free port, which is yielded; `said` are lines added to each request's head.

    A request is known by its head: each connection carries one, but for what follows a websocket's.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            if not line.split(b" ")[1].startswith(prefix.encode() + b"/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                writer.close()
                return
            onward, back = await asyncio.open_connection("127.0.0.1", port)
            kept = [each for each in rest[:-4].split(b"\r\n") if not each.lower().startswith(b"connection:")]
            upgrade = any(each.lower().startswith(b"upgrade:") for each in kept)
            kept += [b"Connection: Upgrade" if upgrade else b"Connection: close", *(each.encode() for each in said)]
            back.write(b"\r\n".join((line, *kept)) + b"\r\n\r\n")
            await asyncio.gather(_pass_on(reader, back), _pass_on(onward, writer))
        with contextlib.suppress(ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
