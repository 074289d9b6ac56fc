"""Where browsers find the page of a notebook, and the frame that shows it in a cell."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from typing import Literal, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from tracewave_panel.app.pages import PAGES
from tracewave_panel.errors import ConfigError

__all__ = ["LOOPBACK", "Frame", "Place", "Theme"]

LOOPBACK = "127.0.0.1"
Theme = Literal["auto", "dark", "light"]

# JupyterLab and Notebook 7 say their theme at the body, VS Code by a class; elsewhere the page decides for itself
_FOLLOW_THEME = """<script>
for (const frame of document.querySelectorAll("iframe[data-tracewave]:not([src])")) {
  const {dataset, classList} = document.body;
  const dark = dataset.jpThemeLight === "false" || classList.contains("vscode-dark");
  const light = dataset.jpThemeLight === "true" || classList.contains("vscode-light");
  frame.src = frame.dataset.tracewave + (dark ? "&theme=dark" : light ? "&theme=light" : "");
}
</script>"""


class Place(NamedTuple):
    """Where browsers find the page, with ``{port}`` for the port, and the sites that may open it."""

    url: str
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, url: str | None, origins: Sequence[str]) -> Self:
        """Where this kernel's pages are found."""
        hub = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
        if url is None and hub is None:
            return cls(f"http://{LOOPBACK}:{{port}}/", tuple(origins))
        public = "" if url else os.environ.get("JUPYTERHUB_PUBLIC_URL", "")
        url = url or f"{hub}proxy/{{port}}/"
        split = urlsplit(url)
        if split.query or split.fragment or (split.scheme not in {"http", "https"} and not url.startswith("/")):
            raise ConfigError(f"url={url!r}: write it as https://host/path/{{port}}/ or /path/{{port}}/")
        names = [urlsplit(name).netloc if "://" in name else name for name in (*origins, url, public)]
        sites = tuple(name for name in names if name and not name.startswith("/"))
        if not sites:
            raise ConfigError(f"the page is behind a proxy, at {url}: say the site's name, as in origins=['host.org']")
        return cls(url, sites)

    def address(self, port: int, page: str) -> str:
        """Of a page."""
        return f"{self.url.replace('{port}', str(port)).rstrip('/')}/{'' if page == PAGES[0].name else page}"


class Frame(NamedTuple):
    """What shows the page in a cell."""

    address: str
    height: int
    theme: Theme

    def html(self) -> str:
        """An iframe, and where the notebook's theme is to be followed, what looks for that."""
        query = {"embed": "1"} if self.theme == "auto" else {"embed": "1", "theme": self.theme}
        address = html.escape(f"{self.address}?{urlencode(query)}")
        style = f"display:block;width:100%;height:{self.height}px;border:0"
        attributes = f'title="Tracewave" allow="clipboard-write; fullscreen" style="{style}"'
        if self.theme == "auto":
            return f'<iframe data-tracewave="{address}" {attributes}></iframe>{_FOLLOW_THEME}'
        return f'<iframe src="{address}" {attributes}></iframe>'
