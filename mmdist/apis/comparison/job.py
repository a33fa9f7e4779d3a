"""What a job of slurm's does: train its cells, or go on with the comparison."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mmdist.apis.comparison import slurm
from mmdist.apis.comparison.main import Request, compare
from mmdist.apis.comparison.stages import lock, read_json
from mmdist.errors import MMDistError


def main() -> int:
    """Do it.

    Returns:
        int: 0; 1 where a training failed or nothing could be done.
    """
    content = read_json(Path(os.environ[slurm.JOB]))
    os.chdir(content["cwd"])
    try:
        if "cells" not in content:
            compare(**content["arguments"])
            return 0
        cells = slurm.cells_of(content, int(os.environ["SLURM_ARRAY_TASK_ID"]))
        request = Request.of(**content["arguments"])
        with lock(request.folder, shared=True) as held:
            rows = request.work(held).train_here(cells)
    except MMDistError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
