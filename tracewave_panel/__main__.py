"""``python -m tracewave_panel`` is the command ``tracewave``."""

from tracewave_panel.cli import main

if __name__ == "__main__":
    main(prog_name="tracewave")
