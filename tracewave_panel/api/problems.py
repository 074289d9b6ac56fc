"""What goes wrong, told as RFC 9457 problem details; the only place that makes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from tracewave_panel.codec import to_json
from tracewave_panel.errors import QueryError, StoreError

__all__ = ["MEDIA", "FaultForm", "ProblemForm", "RefusalError", "add_problems", "problem"]

MEDIA = "application/problem+json"

logger = logging.getLogger(__name__)


class FaultForm(Struct, frozen=True):
    """One thing that is wrong with a request, and where it is; what was sent is not repeated."""

    where: str
    what: str


class ProblemForm(Struct, frozen=True):
    """What happened, in words, and what to do (RFC 9457). Errors lists what is wrong with a request part by part."""

    type: Annotated[str, Meta(description="about:blank: the status says it all.")]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Meta(description="Path that was asked for.")]
    errors: tuple[FaultForm, ...] | UnsetType = UNSET


class RefusalError(Exception):
    """An answer that is a problem.

    Parameters
    ----------
    status, detail
        As in the problem that it becomes.
    headers
        Further headers of the answer.
    errors
        What is wrong with the request, part by part.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: tuple[FaultForm, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.errors = status, detail, dict(headers or {}), errors


def problem(
    status: int, detail: str, path: str, *, headers: Mapping[str, str] | None = None, errors: tuple[FaultForm, ...] = ()
) -> Response:
    """Answer with a problem; callable as an ASGI application."""
    form = ProblemForm("about:blank", HTTPStatus(status).phrase, status, detail, path, errors or UNSET)
    return Response(to_json(form), status, dict(headers or {}), MEDIA)


def add_problems(app: FastAPI) -> None:
    """Have an application tell everything that goes wrong as a problem."""
    app.add_exception_handler(RefusalError, _refused)
    app.add_exception_handler(QueryError, _query)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(HTTPException, _router)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    return problem(error.status, error.detail, request.url.path, headers=error.headers, errors=error.errors)


async def _query(request: Request, error: Exception) -> Response:
    return problem(400, str(error), request.url.path)


async def _store(request: Request, error: Exception) -> Response:
    logger.warning("%s could not be answered: %s", request.url.path, error)
    return problem(503, str(error), request.url.path, headers={"Retry-After": "5"})


async def _router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem(404, "there is nothing under this address; /docs lists what there is", request.url.path)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods(request)))
        detail = f"this address does not answer {request.method}; it answers {allowed}"
        return problem(405, detail, request.url.path, headers={"Allow": allowed})
    return problem(error.status_code, HTTPStatus(error.status_code).phrase, request.url.path, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = tuple(FaultForm(".".join(map(str, each["loc"])), str(each["msg"])) for each in error.errors())
    return problem(422, "the request is not as described under /docs", request.url.path, errors=errors)


def _methods(request: Request) -> set[str]:
    """Every method of every route at this address: the router itself tells only of the first route."""
    scope: dict[str, Any] = dict(request.scope)
    routes = [route for route in request.app.routes if route.matches(scope)[0] is not Match.NONE]
    return {method for route in routes for method in getattr(route, "methods", None) or ()}
