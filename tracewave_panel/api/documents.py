"""OpenAPI, and a page that shows it without asking anybody else for anything."""

from __future__ import annotations

import html
from importlib.resources import files
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import RedirectResponse, Response

from tracewave_panel.access import Access
from tracewave_panel.api import answers, forms, questions
from tracewave_panel.api.described import REFERENCE
from tracewave_panel.api.problems import ProblemForm, RefusalError
from tracewave_panel.codec import to_json

__all__ = ["add_documents"]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_TAGS = {"labels": "Labels and silence", "mutes": "Labels and silence", "sql": "SQL"} | dict.fromkeys(
    ("health", "stats", "metrics"), "State"
)
_OURS = {"start.js": "text/javascript", "docs.css": "text/css"}
_THEIRS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def add_documents(app: FastAPI, *, access: Access, prefix: str) -> None:
    """Add OpenAPI and the page that shows it."""
    documents = _Documents(app, access, prefix)
    app.openapi = documents.openapi  # type: ignore[method-assign]
    app.add_route("/", documents.start, include_in_schema=False)
    app.add_route("/openapi.json", documents.description, include_in_schema=False)
    app.add_route("/docs", documents.page, include_in_schema=False)
    app.add_route("/docs/{asset}", documents.asset, include_in_schema=False)


class _Documents:
    def __init__(self, app: FastAPI, access: Access, prefix: str) -> None:
        self._app, self._access, self._prefix = app, access, prefix
        self._made: dict[str, Any] = {}
        self._asked = False

    def openapi(self) -> dict[str, Any]:
        """Describe every address, with the forms as components."""
        if not self._made or self._asked != self._access.asks:
            self._asked = self._access.asks
            app = self._app
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes,
                servers=[{"url": self._prefix}] if self._prefix else None,
            )  # fmt: skip
            structs = [getattr(module, name) for module in (answers, forms, questions) for name in module.__all__]
            shown = [each for each in structs if isinstance(each, type) and issubclass(each, msgspec.Struct)]
            _, schemas = msgspec.json.schema_components((*shown, ProblemForm), ref_template=REFERENCE)
            components = made.setdefault("components", {})
            components["schemas"] = schemas
            for path, operations in made["paths"].items():
                for operation in operations.values():
                    operation["tags"] = [_TAGS.get(path.removeprefix("/api").split("/")[1], "Findings")]
            if self._asked:
                components["securitySchemes"] = {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token of this server.",
                    }
                }
                for path, operations in made["paths"].items():
                    for operation in operations.values():
                        operation["security"] = [{"token": []}, *([{}] if path == "/api/health" else [])]
            self._made = made
        return self._made

    def description(self, request: Request) -> Response:
        """Answer with OpenAPI's JSON."""
        del request
        return Response(to_json(self.openapi()), media_type="application/json")

    def start(self, request: Request) -> Response:
        """Lead whoever asks for the bare address to the page."""
        return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")

    def page(self, request: Request) -> Response:
        """Answer with the page."""
        root = html.escape(request.scope.get("root_path", ""), quote=True)
        text = _PAGE.format(root=root, title=html.escape(self._app.title))
        return Response(text, media_type="text/html", headers={"content-security-policy": _POLICY})

    def asset(self, request: Request) -> Response:
        """Answer with a script or style of the page."""
        name = request.path_params["asset"]
        if name in _OURS:
            data = (files("tracewave_panel.api") / "assets" / name).read_bytes()
            return Response(data, media_type=_OURS[name])
        if name in _THEIRS:
            data = (files("fastapi_swagger") / "resources" / name).read_bytes()
            return Response(data, media_type=_THEIRS[name], headers={"cache-control": "private, max-age=3600"})
        raise RefusalError(404, "there is nothing under this address; /docs shows what there is")


_PAGE = """<!DOCTYPE html>
<html lang="en" data-root="{root}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>{title}</title>
<link rel="icon" type="image/png" href="{root}/docs/favicon-32x32.png">
<link rel="stylesheet" href="{root}/docs/swagger-ui.css">
<link rel="stylesheet" href="{root}/docs/docs.css">
</head>
<body>
<main id="docs"><p>The description of the API needs JavaScript; the same is at {root}/openapi.json.</p></main>
<script src="{root}/docs/swagger-ui-bundle.js"></script>
<script src="{root}/docs/start.js"></script>
</body>
</html>
"""
