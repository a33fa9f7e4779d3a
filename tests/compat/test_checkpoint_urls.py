"""Fix 4, over the network: a local server stands for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from mmdist.compat import _checkpoint_urls as urls
from mmdist.errors import CheckpointError


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder it serves."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", folder
        http.shutdown()


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "hub" / "checkpoints").glob("*"))


def test_a_checkpoint_is_downloaded_once(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    torch.save({"w": torch.ones(2)}, folder / "model.pth")
    assert urls.load_from_http(f"{address}/model.pth?v=1")["w"].tolist() == [1, 1]
    assert cached(tmp_path) == ["model.pth"]
    (folder / "model.pth").unlink()
    assert urls.load_from_http(f"{address}/model.pth")["w"].tolist() == [1, 1]


def test_a_hostile_download_is_refused_and_the_file_named(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    torch.save({"x": threading.Thread}, folder / "hostile.pth")
    with pytest.raises(CheckpointError, match=r"hub/checkpoints/hostile\.pth was not loaded.*threading\.Thread"):
        urls.load_from_http(f"{address}/hostile.pth")


def test_a_download_that_went_wrong_leaves_nothing(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    torch.save({"w": torch.ones(200)}, folder / "whole.pth")
    (folder / "short.pth").write_bytes((folder / "whole.pth").read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"cannot download http.*/short\.pth: the answer is cut short"):
        urls.load_from_http(f"{address}/short.pth")
    with pytest.raises(CheckpointError, match=r"cannot download http.*/nothing\.pth: HTTP Error 404"):
        urls.load_from_http(f"{address}/nothing.pth")
    assert cached(tmp_path) == []


def test_a_server_that_does_not_answer_is_named(server: tuple[str, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"cannot download http://127\.0\.0\.1:9/a\.pth"):
        urls.load_from_http("http://127.0.0.1:9/a.pth")


def test_the_other_ranks_are_not_left_waiting_when_the_download_fails(monkeypatch, server) -> None:
    import torch.distributed as dist

    waited = []
    for name, value in {"is_initialized": True, "get_rank": 0, "get_world_size": 2}.items():
        monkeypatch.setattr(dist, name, lambda value=value: value)
    monkeypatch.setattr(dist, "barrier", lambda: waited.append(True))
    with pytest.raises(CheckpointError, match="404"):
        urls.load_from_http(f"{server[0]}/nothing.pth")
    assert waited == [True]


def test_the_names_of_published_models_lead_to_their_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = pytest.importorskip("mmengine.runner.checkpoint")
    asked = []
    monkeypatch.setattr(urls, "load_from_http", lambda url, _=None: asked.append(url) or {"state_dict": {}})
    urls.load_from_openmmlab("open-mmlab://resnet50_v1c")
    urls.load_from_mmcls("mmcls://vgg11")
    assert asked == [checkpoint.get_external_models()["resnet50_v1c"], checkpoint.get_mmcls_models()["vgg11"]]
    with pytest.raises(CheckpointError, match="knows no model 'resnet50_v1x': did you mean 'resnet50_v1"):
        urls.load_from_openmmlab("open-mmlab://resnet50_v1x")


def test_only_the_backbone_of_a_classifier_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mmengine.runner")
    weights = {"state_dict": {"backbone.conv.weight": 1, "head.fc.weight": 2}}
    monkeypatch.setattr(urls, "load_from_http", lambda *_: weights)
    assert urls.load_from_mmcls("mmcls://vgg11") == {"state_dict": {"conv.weight": 1}}
