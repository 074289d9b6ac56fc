"""What OpenAPI says of each address, made from the very structs that are encoded and decoded."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from tracewave_panel.api.problems import MEDIA, ProblemForm
from tracewave_panel.codec import to_json

__all__ = ["REFERENCE", "described", "told"]

REFERENCE = "#/components/schemas/{name}"
_ALWAYS = (400, 401, 403, 421, 429, 500, 503)
_OF_A_BODY = (408, 413, 415, 422)


def told(form: msgspec.Struct, status: int = 200) -> Response:
    """Answer with a form as JSON."""
    return Response(to_json(form), status, media_type="application/json")


def described(
    answer: type | None,
    *,
    query: type | None = None,
    body: type | None = None,
    refuses: tuple[int, ...] = (),
    media: dict[str, Any] | None = None,
    method: str = "GET",
) -> dict[str, Any]:
    """Arguments of ``add_api_route`` for an address that answers with one struct and asks with others.

    Parameters
    ----------
    answer
        Struct of its JSON; None where it answers with nothing (204) or only with `media`.
    query, body
        Structs of what it takes.
    refuses
        Statuses of problems that not every address has.
    media
        Further media types that it answers in, with their OpenAPI descriptions.
    """
    content = {**({"application/json": {"schema": _reference(answer)}} if answer else {}), **(media or {})}
    succeeded: dict[int | str, dict[str, Any]] = {
        200 if content else 204: {"description": "What was asked for.", **({"content": content} if content else {})}
    }
    statuses = {*_ALWAYS, *refuses, *(_OF_A_BODY if body else ()), *((422,) if query else ())}
    refused = {MEDIA: {"schema": _reference(ProblemForm)}}
    problems: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": refused} for status in sorted(statuses)
    }
    extra: dict[str, Any] = {}
    if query:
        extra["parameters"] = _parameters(query)
    if body:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": _reference(body)}}}
    return {
        "methods": [method],
        "status_code": next(iter(succeeded)),
        "response_class": Response,
        "response_model": None,
        "responses": {**succeeded, **problems},
        "openapi_extra": extra,
    }


def _reference(form: type) -> dict[str, str]:
    return {"$ref": REFERENCE.format(name=form.__name__)}


def _parameters(query: type) -> list[dict[str, Any]]:
    """Each field of a query as a parameter; what may be None may be left out."""
    _, components = msgspec.json.schema_components((query,), ref_template=REFERENCE)
    parameters = []
    for name, schema in components[query.__name__]["properties"].items():
        options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
        told = (
            options[0] if len(options) == 1 else {key: value for key, value in schema.items() if key != "description"}
        )
        description = told.get("description") or schema.get("description", "")
        shape = {key: value for key, value in told.items() if key != "description"}
        parameters.append({"name": name, "in": "query", "required": False, "description": description, "schema": shape})
    return parameters
