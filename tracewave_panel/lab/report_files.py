"""A report in a folder: Markdown for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.codec import to_json
from tracewave_panel.errors import StoreError

__all__ = ["write_report"]


def write_report(
    folder: Path, text: str, plain: Mapping[str, Any], pictures: Mapping[str, bytes] | None = None
) -> None:
    """Write ``report.md``, ``report.json`` and pictures by their names.

    Raises
    ------
    StoreError
        When the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        (folder / "report.json").write_bytes(msgspec.json.format(to_json(plain), indent=1) + b"\n")
        for name, picture in (pictures or {}).items():
            (folder / name).write_bytes(picture)
    except OSError as error:
        raise StoreError(f"cannot write into {folder}: {error.strerror}; make room or name another folder") from error
