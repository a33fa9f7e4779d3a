"""Train a teacher, a student by itself and a distilled student, and compare them. `--help` lists the options."""

import sys
from pathlib import Path

try:
    from mmdist.cli.demo.main import main
except ModuleNotFoundError as error:
    install = f"{sys.executable} -m pip install -e '.[demo]'"
    sys.exit(f"error: {error.name} is not installed; in mmdist's folder: make demo, or {install}")

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
