"""A checkout for the demo whose tools take no time: they write the files that the real ones write, and keep a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdist.apis.comparison.history import History
from mmdist.apis.comparison.predictions import save
from mmdist.cli.demo import main as demo_main
from mmdist.cli.demo import training
from mmdist.cli.demo.catalog import choose

CONFIG = """
train_cfg = dict(max_iters=100)
param_scheduler = [dict(type='PolyLR', begin=0, end=100)]
val_dataloader = dict(dataset=dict(data_root='data/digit_scenes/'))
width = {width}
"""

CONVERTER = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
out.mkdir(parents=True, exist_ok=True)
(out / 'manifest.json').write_text(json.dumps({'tree_sha256': 'as it is'}))
print('digit_scenes: made')
"""

# `trouble.json` says at which training to stop, and how far it gets: checkpoint, validation, exit status.
TRAIN = """
import json, pathlib, sys
arguments = sys.argv[1:]
with open('calls.jsonl', 'a') as file:
    file.write(json.dumps(arguments) + '\\n')
folder = pathlib.Path(arguments[arguments.index('--work-dir') + 1])
options = dict(pair.split('=') for pair in arguments if '=' in pair)
iterations = int(options['train_cfg.max_iters'])
trouble = pathlib.Path('trouble.json')
trouble = json.loads(trouble.read_text()) if trouble.exists() else {}
hit = trouble.get('folder') == folder.name
reached = trouble['reached'] if hit else iterations
if reached:
    checkpoint = folder / f'iter_{reached}.pth'
    seconds = reached * (2.0 if 'dist' in arguments[0] else 1.0)
    checkpoint.write_text(json.dumps({'iterations': reached, 'seconds': seconds, 'config': arguments[0]}))
    (folder / 'last_checkpoint').write_text(str(checkpoint))
for step in range(1, iterations + 1):
    print(f'Iter(train) [{step}/{iterations}]  lr: 1e-3  loss: 1.5  loss_ce: 1.0')
if hit:
    print(trouble['says'])
    sys.exit(trouble['status'])
logs = folder / '20260101_000000' / 'vis_data'
logs.mkdir(parents=True, exist_ok=True)
with open(logs / 'scalars.json', 'a') as file:
    for step in (iterations // 2, iterations):
        file.write(json.dumps({'mIoU': 100 * step / 400, 'step': step}) + '\\n')
"""

TEST = """
import json, sys
with open('calls.jsonl', 'a') as file:
    file.write(json.dumps(sys.argv[1:]) + '\\n')
with open(sys.argv[sys.argv.index('--out') + 1], 'w') as file:
    json.dump({'mIoU': 12.5}, file)
"""


class DemoCheckout:
    """The fake checkout.

    Args:
        root (Path): Where it is made.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.demo = root, choose()
        self.folder = root / "work" / "seg-digits"
        for name, text in {"train": TRAIN, "test": TEST, "dataset_converters/digit_scenes": CONVERTER}.items():
            path = root / "tools" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (root / "configs" / "demo").mkdir(parents=True)
        for name, width in ((self.demo.teacher, 32), (self.demo.student, 8), (self.demo.distilled, 8)):
            self.write_config(name, width)

    def write_config(self, name: str, width: int, text: str = CONFIG) -> None:
        (self.root / "configs" / "demo" / name).write_text(text.format(width=width), encoding="utf-8")

    def trouble(self, folder: str, *, reached: int, status: int = 1, says: str = "RuntimeError: no luck") -> None:
        """Let a training end with an error after so many iterations."""
        content = {"folder": folder, "reached": reached, "status": status, "says": says}
        (self.root / "trouble.json").write_text(json.dumps(content), encoding="utf-8")

    def no_trouble(self) -> None:
        (self.root / "trouble.json").unlink()

    def run(self, *arguments: str) -> int:
        return demo_main.main(self.root, ["--work-dir", str(self.root / "work"), *arguments])

    def new_calls(self) -> list[list[str]]:
        """The arguments of all trainings and tests since this was last asked."""
        path = self.root / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.write_text("", encoding="utf-8")
        return [json.loads(line) for line in lines]

    def trained(self) -> list[str]:
        """The folders of the trainings since this was last asked."""
        return [Path(call[call.index("--work-dir") + 1]).name for call in self.new_calls()]


def _read_history(checkpoint: Path) -> History:
    content = json.loads(checkpoint.read_text(encoding="utf-8"))
    loss = np.linspace(2, 1, content["iterations"])
    return History(loss, content["seconds"], content["seconds"] / len(loss), 1234)


def _run_without_predicting(place: training.Place, command: list[Any], *arguments: Any, **options: Any) -> None:
    if "mmdist.apis.comparison.predict" in command:
        image = np.zeros((8, 8, 3), np.uint8)
        labels = {name: np.zeros((8, 8), np.uint8) for name in ("truth", "teacher", "plain", "distilled")}
        meta = {"task": "seg", "images": 200, "shown": [0], "classes": ["background", "0"], "palette": None}
        save(command[-1], meta, [{"image": image, **labels}])
    else:
        RUN(place, command, *arguments, **options)


RUN = training.Place.run


@pytest.fixture
def demo_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoCheckout:
    """A fake checkout in a temporary folder, which is the current one."""
    monkeypatch.setattr(training, "read_history", _read_history)
    monkeypatch.setattr(training.Place, "run", _run_without_predicting)
    monkeypatch.setattr(demo_main.signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    return DemoCheckout(tmp_path)
