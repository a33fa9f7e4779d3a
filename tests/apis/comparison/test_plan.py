"""Plans from words and from files; what cannot be is answered before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmdist.apis.comparison.plan_file import make_plan, read_plan
from mmdist.errors import ConfigError


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("s.py").write_text("model = dict(type='A')\n")
    Path("own.py").write_text("model = dict(type='B', teacher='t.py')\n")
    Path("taught.py").write_text("model = dict(type='B', teacher='t.py', teacher_ckpt='t.pth')\n")
    return tmp_path


def plan_of(folder: Path, text: str) -> Any:
    (folder / "plan.py").write_text(text)
    return read_plan("plan.py", folder)


def test_the_plain_student_comes_first_and_is_not_taught(configs: Path) -> None:
    plan = make_plan("s.py", configs, teacher="t.py", methods=["kd", "dist"], seeds=2)
    assert [arm.name for arm in plan.arms] == ["plain", "kd", "dist"]
    assert not plan.plain.taught and all(arm.taught for arm in plan.arms[1:]) and plan.seeds == (0, 1)


def test_arms_of_ones_own_get_the_teachers_weights_unless_they_name_some(configs: Path) -> None:
    plan = make_plan("s.py", configs, teacher="t.py", arms={"mine": "own.py", "theirs": "taught.py", "longer": "s.py"})
    assert {arm.name: arm.taught for arm in plan.arms[1:]} == {"mine": True, "theirs": False, "longer": False}


@pytest.mark.parametrize(
    ("search", "rates"), [("all", ["own", "own"]), ("plain", ["own", "plain"]), ("none", ["config", "config"])]
)
def test_whose_rate_is_searched(search: str, rates: list[str], configs: Path) -> None:
    plan = make_plan("s.py", configs, teacher="t.py", methods=["kd"], search_lr=search)
    assert [arm.rate for arm in plan.arms] == rates


def test_a_file_says_what_a_command_line_cannot(configs: Path) -> None:
    plan = plan_of(
        configs,
        "student = 's.py'\n"
        "teacher = dict(config='t.py', each_seed=True, options={'a.b': 'x_{seed}'})\n"
        "arms = dict(plain=dict(lengths=[0.5, 2]), few=dict(method='dist', unlabeled='images', weights=[0.5, 2.0]),\n"
        "            mine=dict(config='own.py', search_lr='plain'))\n"
        "seeds = [3, 5]\nrates = [1, 2, 4, 8, 16]\n"
        "choosing = {'val_dataloader.dataset.indices': [0, 1]}\njudging = {'val_dataloader.dataset.indices': [2, 3]}\n",
    )
    assert plan.teacher.each_seed and plan.teacher.checkpoint is None and plan.seeds == (3, 5)
    plain, few, mine = plan.arms
    assert plain.lengths == (0.5, 2) and plain.config == "s.py"
    assert few.method == "dist" and few.images == {"unlabeled": "images"} and few.weights == (0.5, 2.0)
    assert mine.rate == "plain" and mine.taught


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (dict(methods=["dits"]), "--methods"),
        (dict(methods=[]), "--methods"),
        (dict(methods=["kd", "kd"]), "--arms"),
        (dict(methods=["kd"], arms={"kd": "own.py"}), "--arms"),
        (dict(methods=["kd"], seeds=0), "--seeds"),
        (dict(methods=["kd"], seeds=True), "--seeds"),
        (dict(methods=["kd"], seeds=[1, 1]), "--seeds"),
        (dict(methods=["kd"], seeds=[-1, 2]), "--seeds"),
        (dict(methods=["kd"], seeds=[100, 2]), "search_seeds"),
        (dict(methods=["kd"], equal="epochs"), "--equal"),
        (dict(methods=["kd"], search_lr="some"), "--search-lr"),
        (dict(arms={"teacher": "own.py"}), "--arms"),
        (dict(arms={"../x": "own.py"}), "--arms"),
        (dict(arms={"-x": "own.py"}), "--arms"),
        (dict(arms={"a b": "own.py"}), "--arms"),
        (dict(arms={"ä": "own.py"}), "--arms"),
        (dict(arms={"x" * 65: "own.py"}), "--arms"),
        (dict(arms={"<script>": "own.py"}), "--arms"),
        (dict(arms={"x": "none.py"}), "--arms x"),
        (dict(methods=["kd"], teacher=None), "--teacher"),
        (dict(arms={"longer": "s.py"}, teacher=None, teacher_ckpt="t.pth"), "--teacher-ckpt"),
        (dict(arms={"mine": "own.py"}, images={"unlabeled": "images"}), "--unlabeled"),
        (dict(arms={"images": "own.py"}), "--arms"),
        (dict(arms={"report.md": "own.py"}), "--arms"),
        (dict(arms={"x": 3}), "--arms x"),
        (dict(arms={"mine": "own.py"}, teacher=None), "--teacher"),
    ],
)
def test_what_cannot_be_is_refused_with_the_option(arguments: dict, key: str, configs: Path) -> None:
    with pytest.raises(ConfigError) as error:
        make_plan("s.py", configs, **{"teacher": "t.py", **arguments})
    assert str(error.value).startswith(key)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("arm = 1", "arm"),
        ("arms = []", "arms"),
        ("arms = dict(kd=3)", "arms.kd"),
        ("arms = dict(kd=dict(lenghts=[1]))", "arms.kd.lenghts"),
        ("arms = dict(kd=dict(config='own.py', method='kd'))", "arms.kd"),
        ("arms = dict(kd=dict(weights=[0]))", "arms.kd.weights"),
        ("arms = dict(kd=dict(search_lr='all'))", "arms.kd.search_lr"),
        ("rates = [1, 2]", "rates"),
        ("rates = [1, 2, 4, 8, float('nan')]", "rates"),
        ("teacher = dict(ckpt='x')", "teacher.ckpt"),
        ("choosing = {'a': 1}", "choosing"),
        ("choosing = 'a'", "choosing"),
        ("rates = 2", "rates"),
        ("around = 0.5", "around"),
        ("search_seeds = 100", "search_seeds"),
        ("options = ['a']", "options"),
        ("metric = 3", "metric"),
        ("equal = ['time']", "equal"),
        ("teacher = dict(checkpoint='t.pth')", "teacher.config"),
        ("teacher = dict(config='t.py', rates=1)", "teacher.rates"),
        ("teacher = dict(config='t.py', each_seed='no')", "teacher.each_seed"),
        ("arms = dict(kd=dict(method=['kd']))", "arms.kd.method"),
        ("arms = dict(kd=dict(config=3))", "arms.kd.config"),
        ("arms = dict(kd=dict(lengths=2))", "arms.kd.lengths"),
        ("arms = dict(kd=dict(), plain=dict(method='kd'))", "arms.plain"),
        ("arms = dict(kd=dict(), plain=dict(unlabeled='images'))", "arms.plain"),
        ("student = None", "student"),
        ("search_lr = 'every'", "search_lr"),
    ],
)
def test_a_file_is_refused_with_the_key(line: str, key: str, configs: Path) -> None:
    text = f"student = 's.py'\nteacher = 't.py'\narms = dict(dist=dict())\n{line}\n"
    with pytest.raises(ConfigError) as error:
        plan_of(configs, text)
    assert str(error.value).startswith(key)


def test_a_misspelt_key_gets_the_nearest_one(configs: Path) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        plan_of(configs, "student = 's.py'\narms = dict(dist=dict())\nsedes = 3\n")
