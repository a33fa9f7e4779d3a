"""Train a model: a plain one, or a student under a teacher. `--help` lists the options."""

import sys

try:
    from mmdist.cli.train import main
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed; in mmdist's folder: {sys.executable} -m pip install -e .")

if __name__ == "__main__":
    sys.exit(main())
