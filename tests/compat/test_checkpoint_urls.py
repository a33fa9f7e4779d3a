"""Fix 4, over the network: a local server stands for it."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
import time
import types
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from mmdist.compat import _checkpoint_download as web
from mmdist.compat import _checkpoint_urls as urls
from mmdist.compat import checkpoint as safe
from mmdist.compat._checkpoint_hash import name_hash
from mmdist.errors import CheckpointError


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, without a word; and does badly what a path asks for."""

    def do_GET(self) -> None:
        kind, _, rest = self.path.strip("/").partition("/")
        odd = getattr(self, f"answer_{kind}", None)
        if odd is None:
            super().do_GET()
            return
        with contextlib.suppress(OSError):  # a client that has gone
            odd(rest)
        self.close_connection = True

    def head(self, status: int = 200, **fields: object) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def answer_silent(self, _: str) -> None:
        time.sleep(3)

    def answer_stalled(self, _: str) -> None:
        self.head(Content_Length=10_000)
        self.wfile.write(b"PK")
        time.sleep(3)

    def answer_trickle(self, _: str) -> None:
        self.head()
        for _ in range(60):
            self.wfile.write(b"a")
            time.sleep(0.05)

    def answer_slowly(self, _: str) -> None:
        for letter in b"HTTP/1.1 200 OK" + b" " * 45:
            self.wfile.write(bytes([letter]))
            time.sleep(0.05)

    def answer_short(self, name: str) -> None:
        content = Path(self.directory, name).read_bytes()
        self.head(Content_Length=len(content) + 1)
        self.wfile.write(content)

    def answer_huge(self, _: str) -> None:
        self.head(Content_Length=10**18)

    def answer_garbage(self, _: str) -> None:
        self.wfile.write(b"garbage\r\n")

    def answer_to(self, target: str) -> None:
        self.head(302, Location=target, Content_Length=0)

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
    assert urls.load_from_http(f"{address}/model.pth")["w"].tolist() == [1, 1]
    assert cached(tmp_path) == [web.cached_name(f"{address}/model.pth")]
    (folder / "model.pth").unlink()
    assert urls.load_from_http(f"{address}/model.pth")["w"].tolist() == [1, 1]


@pytest.mark.parametrize("other", ["b/model.pth", "a/model.pth?v=2", "a/model.pth?v=1&v=2"])
def test_each_url_has_a_file_of_its_own(server: tuple[str, Path], other: str) -> None:
    address, folder = server
    for name, value in (("a", 1.0), ("b", 2.0)):
        (folder / name).mkdir()
        torch.save({"w": torch.tensor(value)}, folder / name / "model.pth")
    assert urls.load_from_http(f"{address}/a/model.pth")["w"] == 1
    torch.save({"w": torch.tensor(2.0)}, folder / "a" / "model.pth")
    assert urls.load_from_http(f"{address}/{other}")["w"] == 2
    assert urls.load_from_http(f"{address}/a/model.pth#part")["w"] == 1


def publish(folder: Path, value: float, digits: int = 8) -> str:
    """A file whose name carries the start of its hash."""
    torch.save({"w": torch.tensor(value)}, folder / "new.pth")
    name = f"net_20210831-{hashlib.sha256((folder / 'new.pth').read_bytes()).hexdigest()[:digits]}.pth"
    (folder / "new.pth").rename(folder / name)
    return name


@pytest.mark.parametrize("digits", [8, 16, 64])
def test_the_hash_in_a_name_is_that_of_the_file(server: tuple[str, Path], tmp_path: Path, digits: int) -> None:
    address, folder = server
    name = publish(folder, 1.0, digits)
    assert urls.load_from_http(f"{address}/{name}")["w"] == 1
    assert cached(tmp_path) == [name]  # as torch.hub and mmengine name it
    (folder / name).rename(folder / "moved.pth")
    assert urls.load_from_http(f"{address}/elsewhere/{name}")["w"] == 1


def test_another_file_than_the_name_says_is_refused_and_not_kept(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    name = publish(folder, 1.0)
    torch.save({"w": torch.tensor(2.0)}, folder / name)
    with pytest.raises(CheckpointError, match=rf"cannot download .*{name}: it is another file than its name says"):
        urls.load_from_http(f"{address}/{name}")
    assert cached(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    name = publish(folder, 1.0)
    urls.load_from_http(f"{address}/{name}")
    torch.save({"w": torch.tensor(3.0)}, tmp_path / "hub" / "checkpoints" / name)
    assert urls.load_from_http(f"{address}/{name}")["w"] == 1


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("net_20200605_003338-2966598c.pth", "2966598c"),
        ("net-20220101.pth", ""),  # a date
        ("net-00040000.pth", ""),  # an iteration
        ("net-0676ba6.pth", ""),  # too short to tell from a word
        ("net-deadbeefs.pth", ""),
        ("net-0676BA61.pth", ""),
        ("0676ba61.pth", ""),
    ],
)
def test_what_counts_as_a_hash_in_a_name(name: str, start: str) -> None:
    assert name_hash(name) == start
    assert (web.cached_name(f"https://a.org/{name}") == name) is bool(start)


@pytest.mark.parametrize("path", ["", "/", "/..", "/a/", "/%2e%2e%2fx", "/.hidden", "/" + "a" * 400 + ".pth", "/a\\b"])
def test_a_url_names_no_file_outside_the_cache(path: str) -> None:
    name = web.cached_name(f"https://a.org{path}")
    assert name not in ("", ".", "..") and not name.startswith(".") and len(name) < 200
    assert not set(name) & set("/\\\0")


@pytest.mark.parametrize("kind", ["silent", "stalled", "trickle", "slowly"])
def test_a_server_that_stalls_is_given_up(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("MMDIST_DOWNLOAD_TIMEOUT", "0.3")
    began = time.monotonic()
    with pytest.raises(CheckpointError, match=r"brought nothing for 0\.3 s \(MMDIST_DOWNLOAD_TIMEOUT"):
        urls.load_from_http(f"{server[0]}/{kind}/a.pth")
    assert time.monotonic() - began < 2.5
    assert cached(tmp_path) == []


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "inf"])
def test_a_timeout_that_is_none_is_named(server, monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("MMDIST_DOWNLOAD_TIMEOUT", seconds)
    with pytest.raises(CheckpointError, match=r"MMDIST_DOWNLOAD_TIMEOUT.*a number of seconds above 0"):
        urls.load_from_http(f"{server[0]}/a.pth")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("short/whole.pth", r"cut short \(\d+ of \d+ bytes\)"),
        ("huge/a.pth", "1000000000000000000 bytes, and .* has room"),
        ("garbage/a.pth", "the answer is none"),
        ("to/file:///etc/hostname", "'file:///etc/hostname' is not allowed"),
        ("to/ftp://127.0.0.1/a.pth", "sends on to 'ftp:"),
        ("to/data:text/plain,a", "'data:text/plain,a' is not allowed"),
    ],
)
def test_what_is_no_whole_file_of_the_web_is_refused(server, tmp_path: Path, path: str, reason: str) -> None:
    address, folder = server
    torch.save({"w": torch.ones(2)}, folder / "whole.pth")
    with pytest.raises(CheckpointError, match=rf"cannot download {address}.*{reason}"):
        urls.load_from_http(f"{address}/{path}")
    assert cached(tmp_path) == []


def test_a_server_may_send_on_to_another_address_of_the_web(server: tuple[str, Path]) -> None:
    address, folder = server
    torch.save({"w": torch.ones(2)}, folder / "whole.pth")
    assert urls.load_from_http(f"{address}/to/{address}/whole.pth")["w"].tolist() == [1, 1]


def test_an_encrypted_address_sends_on_to_no_open_one() -> None:
    request = web.urllib.request.Request("https://a.org/x.pth")
    with pytest.raises(CheckpointError, match="not followed"):
        web._Redirects().redirect_request(request, None, 302, "", {}, "http://a.org/x.pth")


@pytest.fixture
def schemes(monkeypatch: pytest.MonkeyPatch) -> type:
    """mmengine's table of loaders as a process finds it, with one that a later mmengine and one that a user added."""
    module = pytest.importorskip("mmengine.runner.checkpoint")
    loader = types.new_class("Loader", (module.CheckpointLoader,))
    later = types.FunctionType(module.load_from_local.__code__, vars(module), "load_from_later")
    users = dict(loader._schemes) | {"later://": later, "users://": lambda *_: {"from": "user"}}
    later.__module__ = module.__name__
    monkeypatch.setattr(loader, "_schemes", users)
    urls.register(loader)
    return loader


def test_every_scheme_has_a_loader_of_ours_but_a_users_own(schemes: type) -> None:
    others = {prefix for prefix, known in schemes._schemes.items() if not known.__module__.startswith("mmdist.")}
    assert others == {"users://"}
    assert schemes.load_checkpoint("users://a", logger="silent") == {"from": "user"}
    with pytest.raises(CheckpointError, match="cannot load safely"):
        schemes.load_checkpoint("later://a", logger="silent")


class Hostile:
    """Makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("address", ["s3://b/a.pth", "petrel://b/a.pth", "cluster:s3://b/a.pth", "pavi://a"])
def test_other_storage_is_loaded_as_safely(schemes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address) -> None:
    import mmengine.fileio

    served = tmp_path / "served.pth"
    backend = types.SimpleNamespace(get=lambda _: served.read_bytes())
    monkeypatch.setattr(mmengine.fileio, "get_file_backend", lambda *_, **__: backend)
    model = types.SimpleNamespace(download=lambda path: Path(path).write_bytes(served.read_bytes()))
    pavi = types.ModuleType("pavi")
    pavi.modelcloud = types.SimpleNamespace(get=lambda _: model)
    pavi.__spec__ = types.SimpleNamespace(name="pavi")
    monkeypatch.setitem(sys.modules, "pavi", pavi)
    torch.save({"w": torch.ones(2)}, served)
    assert schemes.load_checkpoint(address, logger="silent")["w"].tolist() == [1, 1]
    torch.save({"w": Hostile(tmp_path / "ran")}, served)
    with pytest.raises(CheckpointError, match=f"{address} was not loaded.*could run code"):
        schemes.load_checkpoint(address, logger="silent")
    assert not (tmp_path / "ran").exists()
    served.unlink()
    with pytest.raises(CheckpointError, match=f"cannot load {address}"):
        schemes.load_checkpoint(address, logger="silent")


def test_a_fork_of_mmengine_gets_the_loaders_too(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.13.0", "onedl-mmengine": "0.10.12"}
    monkeypatch.setattr(safe.versions, "installed", lambda *names: next(filter(None, map(versions.get, names)), None))
    assert safe.needed()


def test_a_hostile_download_is_refused_and_the_file_named(server: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = server
    torch.save({"x": threading.Thread}, folder / "hostile.pth")
    with pytest.raises(CheckpointError, match=r"hub/checkpoints/hostile_url_\w+\.pth was not.*threading\.Thread"):
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
