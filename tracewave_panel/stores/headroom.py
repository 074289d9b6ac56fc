"""A bound on memory that the operating system keeps, for what a database does not count."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from types import TracebackType

__all__ = ["Headroom"]

_STATUS = Path("/proc/self/status")


class Headroom:
    """Within it the process may grow by `size` bytes; what asks for more gets an error instead.

    The bound holds for all threads, so it must leave room for what the others need meanwhile. It
    is counted from the first entry and falls with the last exit; who enters in between shares it.
    Only Linux keeps it; elsewhere it does nothing. A lower bound that the process has already stays.

    Examples
    --------
    >>> headroom = Headroom(1 << 30)
    >>> with headroom, headroom:
    ...     small = bytearray(1 << 20)
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside = 0
        self._before: tuple[int, int] | None = None
        self._begun: int | None = None
        self._lock = Lock()

    @property
    def tight(self) -> bool:
        """Whether two thirds of it are used, so that whoever can had better stop."""
        begun = self._begun
        return begun is not None and (_used() or 0) - begun > self._size * 2 // 3

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = self._bound()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._before is not None:
                import resource  # noqa: PLC0415 - Windows has none

                resource.setrlimit(resource.RLIMIT_DATA, self._before)
                self._begun = None

    def _bound(self) -> tuple[int, int] | None:
        """Set the bound; return what was there, or None when nothing was changed."""
        used = _used()
        if used is None:
            return None
        import resource  # noqa: PLC0415 - Windows has none

        soft, hard = before = resource.getrlimit(resource.RLIMIT_DATA)
        bound = used + self._size
        if any(limit != resource.RLIM_INFINITY and limit <= bound for limit in before):
            return None
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
        self._begun = used
        return soft, hard


def _used() -> int | None:
    """Bytes that count towards the limit, or None where that is not told."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)
