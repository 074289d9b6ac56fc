"""Sends a notice by Apprise, which speaks to mail servers and some hundred other services."""

from __future__ import annotations

import logging
import re
import threading
from typing import Any

from tracewave_panel.errors import ConfigError
from tracewave_panel.notify.hidden import Address
from tracewave_panel.notify.notice import Notice, Outcome

__all__ = ["Service"]

SERVICE_TIMEOUT = 60.0
"""Seconds after which Apprise stops waiting for a service; each service's own limits are shorter."""
ANSWER_TIMEOUT = 15.0
"""Seconds in which a service has to answer: one that took a notice and says so too late is sent it again."""
# Words of ours for what Apprise's log may say. None of its own words get out: they may hold a secret.
_REASONS = (
    (re.compile(r"refused: \d{3}|SMTPRecipientsRefused|SMTPSenderRefused"), "the mail server refused an address"),
    (re.compile(r"SMTPAuth|authentication|\b535\b", re.IGNORECASE), "the mail server refused the login"),
    (re.compile(r"Connection refused|Errno 111", re.IGNORECASE), "connection refused"),
    (re.compile(r"timed out|timeout", re.IGNORECASE), "no answer in time"),
    (
        re.compile(r"service not known|gaierror|resolve|Errno -\d", re.IGNORECASE),
        "the host's name is not known",
    ),
    (re.compile(r"certificate|SSL", re.IGNORECASE), "no trusted TLS connection"),
    (re.compile(r"unexpectedly closed|reset by peer|Broken pipe", re.IGNORECASE), "the connection was closed"),
)
_STATUS = re.compile(r"error[= ](\d{3})\b")
_loading = threading.Lock()


class Service:
    """Sends to one Apprise URL.

    Apprise takes some tenths of a second to import and to find its services: it is imported at the
    first use, which is on the thread of the route.
    """

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name

    @property
    def kind(self) -> str:
        """Which service, without what may be secret."""
        return f"{self._address.url.partition(':')[0].lower()}://"

    def check(self) -> None:
        """See whether Apprise understands the URL.

        Raises
        ------
        ConfigError
            When it does not; the URL is not shown.
        """
        if self._made() is None:
            raise ConfigError(
                f"notify {self._name}: url is not an address that Apprise understands;"
                " see https://appriseit.com/services for how it is written"
            )

    def send(self, notice: Notice) -> Outcome:
        """Try once."""
        apprise = _apprise()
        service = self._made()
        if service is None:
            return Outcome("Apprise does not understand the URL")
        sender = apprise.Apprise(asset=service.asset)
        sender.add(service)
        attach = None
        if notice.picture:
            from apprise.attachment.memory import AttachMemory  # noqa: PLC0415

            attach = apprise.AppriseAttachment(asset=service.asset)
            made: Any = AttachMemory
            attach.add(made(notice.picture, name="pulse.png", mimetype="image/png"))
        result = sender.notify(
            title=notice.subject,
            body=notice.body,
            body_format=apprise.NotifyFormat.TEXT,
            notify_type=_type_of(notice, apprise),
            attach=attach,
            log_level=logging.DEBUG,
        )
        if result:
            return Outcome()
        return Outcome(_reason(result))

    def _made(self) -> Any:
        """A new service each time: Apprise holds one back for seconds between two notices, we have the limit."""
        apprise = _apprise()
        asset = apprise.AppriseAsset(
            app_id="Tracewave",
            app_desc="Tracewave",
            async_mode=False,
            http_redirects=False,
            service_timeout=SERVICE_TIMEOUT,
        )
        service = apprise.Apprise.instantiate(self._address.url, asset=asset)
        if service is not None:
            service.socket_read_timeout = max(service.socket_read_timeout, ANSWER_TIMEOUT)
        return service


def _apprise() -> Any:
    """Apprise, with its log kept to itself."""
    with _loading:
        import apprise  # noqa: PLC0415

        # Its messages, and those of the library it posts with, hold addresses, which hold passwords and tokens.
        log = logging.getLogger("apprise")
        log.propagate = False
        log.setLevel(logging.DEBUG)
        if not log.handlers:
            log.addHandler(logging.NullHandler())
        posting = logging.getLogger("urllib3")
        if posting.level < logging.INFO:
            posting.setLevel(logging.INFO)
    return apprise


def _type_of(notice: Notice, apprise: Any) -> Any:
    if notice.phase == "closed":
        return apprise.NotifyType.SUCCESS
    kinds = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}
    return kinds.get(notice.anomaly.severity.value, apprise.NotifyType.INFO)


def _reason(result: Any) -> str:
    said = " ".join(entry.message for entry in result.logs())
    status = _STATUS.search(said)
    if status:
        return f"the service answered {status[1]}"
    for pattern, words in _REASONS:
        if pattern.search(said):
            return words
    return "the service did not take it; see its own log, and that the URL is right"
