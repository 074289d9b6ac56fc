"""A process that is killed between two tries: the next one sends the rest, and nothing twice."""

from __future__ import annotations

import collections
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from notify_servers import SECRET, Hook, free_port, wait_until

SCRIPT = Path(__file__).parent / "servers" / "killed_notifier.py"


def started(url: str, data: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, SCRIPT, url, SECRET, data], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "taken\n"
    return process


def killed(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


def counted(hook: Hook) -> collections.Counter:
    return collections.Counter(json.loads(body)["anomaly"]["id"] for _, body in hook.requests)


def test_notices_of_a_killed_process_are_sent_once_by_the_next(tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    first = started(url, tmp_path)
    time.sleep(0.3)
    killed(first)
    second = started(url, tmp_path)  # its run tells the same episodes again
    hook = Hook(port)
    try:
        wait_until(lambda: len(hook.requests) == 10, 20)
        killed(second)
        third = started(url, tmp_path)
        time.sleep(0.7)
        killed(third)
        assert counted(hook) == dict.fromkeys((f"a{number}" for number in range(10)), 1)
    finally:
        hook.stop()


def test_killed_again_and_again_it_loses_nothing_and_a_double_has_the_same_key(tmp_path):
    hook = Hook()
    url = f"http://127.0.0.1:{hook.port}/"
    try:
        for kill in range(4):
            hook.answers = [503, 204] * 3 + [503] * 1000
            process = started(url, tmp_path)
            time.sleep(0.1 + 0.07 * kill)
            killed(process)
        hook.answers = []
        process = started(url, tmp_path)
        wait_until(lambda: len(counted(hook)) == 10, 20)
        time.sleep(0.5)
        killed(process)
        keys = collections.Counter(headers["Idempotency-Key"] for headers, _ in hook.requests)
        assert set(keys) == {f"a{number}.opened.hook" for number in range(10)}
        assert sum(keys.values()) <= 10 + 4  # one for each kill is what is promised
    finally:
        hook.stop()
