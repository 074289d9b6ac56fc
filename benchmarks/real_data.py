"""What the engine finds in real captures whose incidents are known: hits, misses, and all that was raised besides.

Run: ``python benchmarks/real_data.py ../shared/data --out benchmarks/reports``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tracewave_panel.errors import TracewaveError
from tracewave_panel.lab.real_data.configuration import load_configuration
from tracewave_panel.lab.real_data.known import known_captures
from tracewave_panel.lab.real_data.report import save_report, study_as_markdown
from tracewave_panel.lab.real_data.study import study_captures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("captures", type=Path, help="folder of real captures")
    parser.add_argument("--config", type=Path, help="settings; default: those that ship with Tracewave")
    parser.add_argument("--out", type=Path, help="folder for real_data.md and real_data.json; default: print")
    arguments = parser.parse_args()
    began = time.process_time()

    def tell(name: str) -> None:
        print(f"{time.process_time() - began:6.1f} s of CPU: {name}", file=sys.stderr, flush=True)

    try:
        configuration = load_configuration(arguments.config)
        study = study_captures(arguments.captures, known_captures(), configuration, progress=tell)
        if arguments.out:
            save_report(arguments.out, study)
    except TracewaveError as error:
        sys.exit(f"{parser.prog}: {error}")
    if not arguments.out:
        print(study_as_markdown(study))
    tell("done")


if __name__ == "__main__":
    main()
