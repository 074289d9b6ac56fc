"""What a person may change: labels on anomalies, and silence for notices."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from tracewave_panel.access import Access, Grant
from tracewave_panel.api.answers import LabelList, MuteList
from tracewave_panel.api.described import described, told
from tracewave_panel.api.forms import LabelForm, MuteForm
from tracewave_panel.api.problems import FaultForm, RefusalError
from tracewave_panel.api.questions import LabelOrder, MuteOrder, read_body
from tracewave_panel.api.reading import AnomalyId
from tracewave_panel.api.telling import label_form, mute_form, seconds
from tracewave_panel.api.vicinity import find
from tracewave_panel.model import Label, Mute
from tracewave_panel.ports import Console

__all__ = ["add_changing"]

LABEL, MUTE = "/api/labels/{anomaly_id}", "/api/mutes/{mute_id}"

_MuteId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=100,
        pattern="^[A-Za-z0-9._~:-]+$",
        description="A name that whoever mutes chooses; the same again takes the place of the earlier mute.",
    ),
]


def add_changing(app: FastAPI, console: Console, *, access: Access) -> None:
    """Add the addresses of labels and mutes."""
    changing = _Changing(console, access)
    add = app.add_api_route
    add("/api/labels", changing.labels, **described(LabelList))
    add(LABEL, changing.label, **described(LabelForm, body=LabelOrder, refuses=(404,), method="PUT"))
    add(LABEL, changing.unlabel, **described(None, refuses=(422,), method="DELETE"))
    add("/api/mutes", changing.mutes, **described(MuteList))
    add(MUTE, changing.mute, **described(MuteForm, body=MuteOrder, method="PUT"))
    add(MUTE, changing.unmute, **described(None, refuses=(422,), method="DELETE"))


class _Changing:
    def __init__(self, console: Console, access: Access) -> None:
        self._console, self._control, self._access = console, console.control, access

    def labels(self) -> Response:
        """Labels that hold."""
        return told(LabelList(tuple(map(label_form, self._control.labels().values()))))

    def label(self, request: Request, anomaly_id: AnomalyId) -> Response:
        """Say that an anomaly is real or not, in place of what was said before."""
        order = read_body(LabelOrder, request)
        if find(self._console, anomaly_id) is None and anomaly_id not in self._control.labels():
            raise RefusalError(404, "there is no such anomaly; /api/anomalies lists those that can be labelled")
        by = self._who(request, order.by)
        self._control.label(anomaly_id, order.verdict, by)
        given = self._control.labels().get(anomaly_id) or Label(anomaly_id, order.verdict, time.time(), by)
        return told(label_form(given))

    def unlabel(self, anomaly_id: AnomalyId) -> Response:
        """Take back what was said of an anomaly; without a label nothing happens."""
        if anomaly_id in self._control.labels():
            self._control.label(anomaly_id, None)
        return Response(status_code=204)

    def mutes(self) -> Response:
        """Mutes that hold at this moment."""
        return told(MuteList(tuple(map(mute_form, self._control.mutes()))))

    def mute(self, request: Request, mute_id: _MuteId) -> Response:
        """Send no notices of what the body names, until a time, for some seconds, or until it is taken back."""
        order = read_body(MuteOrder, request)
        now = time.time()
        until = None if order.until is None else seconds(order.until)
        if order.seconds is not None:
            if until is not None:
                raise _wrong("seconds", "is given beside until; give one of them")
            until = now + order.seconds
        if until is not None and until <= now:
            raise _wrong("until", "lies in the past; give a time to come")
        mute = Mute(
            id=mute_id,
            given_at=now,
            until=until,
            anomaly_id=order.anomaly_id,
            series=order.series,
            metric=order.metric,
            kind=order.kind,
            by=self._who(request, order.by),
        )
        self._control.mute(mute)
        return told(mute_form(mute))

    def unmute(self, mute_id: _MuteId) -> Response:
        """Take a mute back; without one nothing happens."""
        self._control.unmute(mute_id)
        return Response(status_code=204)

    def _who(self, request: Request, said: str) -> str:
        """Name of the token, where tokens are asked; else what was said."""
        grant: Grant | None = request.state.grant
        return grant.name if self._access.asks and grant else said


def _wrong(field: str, what: str) -> RefusalError:
    fault = FaultForm(f"body.{field}", what)
    return RefusalError(422, f"the request is not as described under /docs: {fault.where} {what}", errors=(fault,))
