"""The command ``tracewave serve``: pipeline, pages and API in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from tracewave_panel.access import Access
from tracewave_panel.access.private_files import make_private_folder
from tracewave_panel.cli_options import Speed, settings_from, with_settings
from tracewave_panel.config import Settings
from tracewave_panel.errors import ConfigError, PortInUseError

if TYPE_CHECKING:
    from tracewave_panel.runtime import Runtime

__all__ = ["serve"]


@click.command()
@click.option(
    "--source", default="auto", show_default=True, help="auto, wikimedia, synthetic, recording:PATH or own:FEED.toml."
)
@click.option(
    "--speed", type=Speed(), default="1", show_default=True, help="Of recordings and whole files: a factor, or max."
)
@click.option("--port", type=click.IntRange(0, 65535), default=5006, show_default=True, help="Of the pages.")
@click.option("--api-port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Of the API.")
@click.option("--no-api", is_flag=True, help="Serve the pages only.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Of both.")
@click.option("--insecure", is_flag=True, help="Let strangers in who reach the address, without asking them anything.")
@click.option("--prefix", default="", metavar="/PATH", help="Path under which a proxy has the pages.")
@click.option("--origin", "origins", multiple=True, metavar="HOST[:PORT]", help="Further name for browsers to come by.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Data folder.")
@with_settings
def serve(
    source: str,
    speed: float | None,
    port: int,
    api_port: int,
    no_api: bool,
    address: str,
    insecure: bool,
    prefix: str,
    origins: tuple[str, ...],
    data: Path,
    config: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Run the pipeline, the pages and the API."""
    settings = settings_from(config, assignments)
    prefix = _prefix(prefix)
    access = Access(settings.access, environment=os.environ, data=data)
    access.refuse_exposure(address, api=not no_api, insecure=insecure)
    with contextlib.suppress(ConfigError):  # without a folder there is no history, and the pipeline says so
        make_private_folder(data)
    from tracewave_panel.plan import Planner  # noqa: PLC0415 (Panel takes seconds to import)
    from tracewave_panel.runtime import Runtime  # noqa: PLC0415

    runtime = Runtime(settings, Planner(settings, source, speed=speed, data=data), data=data)
    serving = _Serving(settings, runtime, access, address, prefix)
    asyncio.run(serving.run(port, None if no_api else api_port, origins, data))
    # everything is committed and every thread joined; the interpreter's own teardown would take seconds for nothing
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


class _Serving:
    """Both servers over one runtime, until the process is told to stop."""

    def __init__(self, settings: Settings, runtime: Runtime, access: Access, address: str, prefix: str) -> None:
        self._settings = settings
        self._runtime = runtime
        self._access = access
        self._address = address
        self._prefix = prefix

    async def run(self, port: int, api_port: int | None, origins: tuple[str, ...], data: Path) -> None:
        from tracewave_panel.api.application import build_api  # noqa: PLC0415
        from tracewave_panel.api.server import start_api  # noqa: PLC0415
        from tracewave_panel.app.server import start, watching  # noqa: PLC0415
        from tracewave_panel.notify.notifier import Notifier  # noqa: PLC0415
        from tracewave_panel.ports import Console  # noqa: PLC0415

        runtime, settings, stopping = self._runtime, self._settings, asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_without_hang_ups)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        console = Console(runtime.feed, runtime.store, runtime, runtime)
        server = start(
            console,
            address=self._address,
            port=port,
            sessions=settings.page.sessions,
            access=self._access,
            prefix=self._prefix,
            origins=origins,
        )
        runtime.metrics.watch_sessions(lambda: watching(server))
        api = None
        if api_port is not None:
            app = build_api(console, access=self._access, metrics=runtime.metrics, prefix=self._prefix)
            try:
                api = await start_api(app, address=self._address, port=api_port)
            except PortInUseError as error:
                raise PortInUseError(f"the API: {error}; --api-port sets it, --no-api does without") from error
        page, programs = self._at(server.port), self._at(api.port) if api else ""
        runtime.start(
            Notifier(settings.notify, settings.notices, feed=runtime.feed, data=data, page=page, api=programs)
        )
        click.echo(f"Tracewave is at {page} (Ctrl-C stops it)")
        if api:
            click.echo(f"its API at {programs}/api, described at {programs}/docs")
        sys.stdout.flush()
        await stopping.wait()
        click.echo("Stopping: committing what was seen")
        server.stop(wait=False)
        if api:
            await api.stop()
        await asyncio.to_thread(runtime.stop)

    def _at(self, port: int | None) -> str:
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"http://{host}:{port}{self._prefix}"


def _without_hang_ups(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what nobody handled, but that a page was closed while something was on its way to it is no fault."""
    if not isinstance(context.get("exception"), WebSocketClosedError | StreamClosedError):
        loop.default_exception_handler(context)


def _prefix(text: str) -> str:
    """The path with a slash before it and none behind."""
    path = f"/{text.strip('/')}" if text.strip("/") else ""
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path):
        raise ConfigError(f"--prefix {text}: write it as a path of plain letters, such as /tracewave")
    return path
