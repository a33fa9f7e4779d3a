"""The demo as a whole: with tools that take no time, and once for real."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.demo_checkout import CONFIG, DemoCheckout, demo_checkout  # noqa: F401
from helpers.tiny_run import ROOT, environment

ALL = ["teacher", "plain", "distilled", "plain_equal_time"]


@pytest.fixture
def checkout(demo_checkout: DemoCheckout) -> DemoCheckout:  # noqa: F811
    return demo_checkout


def options_of(call: list[str]) -> dict[str, str]:
    return dict(pair.split("=") for pair in call if "=" in pair)


def test_one_command_leads_from_data_to_table_and_report(checkout, capsys):
    assert checkout.run() == 0
    out = capsys.readouterr().out
    assert re.search(r"\| plain student +\| +1,234 \| +25\.0 \| +50\.0 \|", out)
    assert re.search(r"\| distilled student +\| +1,234 \| +25\.0 \| +25\.0 \| +3\.3 \|", out)
    assert "[1/7] digits data: made" in out and "[7/7] report: work/seg-digits/report.md" in out
    report = (checkout.folder / "report.md").read_text()
    assert "quick" not in report and "- seed: 0" in report and "torch 2." in report
    for name in re.findall(r"!\[.*\]\((.+)\)", report):
        assert (checkout.folder / name).read_bytes().startswith(b"\x89PNG")
    assert re.search(r"\| plain student +\| +1,234 \|", report) and report.count(".png") == 3


def test_all_trainings_share_the_seed_and_all_but_the_longest_the_schedule(checkout):
    assert checkout.run("--seed", "7") == 0
    calls = {Path(call[2]).name: call for call in checkout.new_calls()}
    assert list(calls) == ALL
    for name, call in calls.items():
        options = options_of(call)
        length = "200" if name == "plain_equal_time" else "100"
        assert options["randomness.seed"] == "7"
        assert options["train_cfg.max_iters"] == options["param_scheduler.0.end"] == length
    assert calls["distilled"][calls["distilled"].index("--teacher-ckpt") + 1] == str(
        checkout.folder / "teacher" / "iter_100.pth"
    )
    assert not any("--teacher-ckpt" in calls[name] for name in ALL if name != "distilled")


def test_the_results_are_there_for_programs(checkout):
    assert checkout.run() == 0
    results = json.loads((checkout.folder / "results.json").read_text())
    assert [results["models"][name]["metric"] for name in ALL] == [25.0, 25.0, 25.0, 50.0]
    assert [results["models"][name]["seconds"] for name in ALL] == [100, 100, 200, 200]
    assert [results["models"][name]["iterations"] for name in ALL] == [100, 100, 100, 200]
    assert results["models"]["plain"]["validations"] == {"50": 12.5, "100": 25.0}
    assert results["validation_images"] == 200 and results["seed"] == 0 and results["quick"] is False


def test_what_is_finished_is_not_done_again(checkout, capsys):
    assert checkout.run() == 0 and checkout.trained() == ALL
    first = capsys.readouterr().out.splitlines()
    assert checkout.run() == 0 and checkout.trained() == []
    second = capsys.readouterr().out.splitlines()
    assert sum("done before" in line for line in second) == 5
    assert first[-7:] == second[-7:]


def test_a_changed_config_is_trained_again_with_what_depends_on_it(checkout):
    assert checkout.run() == 0 and checkout.trained() == ALL
    checkout.write_config(checkout.demo.teacher, 64, CONFIG + "depth = 50")
    assert checkout.run() == 0
    # the fake teacher's checkpoint is the same as before, so that the student under it is too
    assert checkout.trained() == ["teacher"]
    checkout.write_config(checkout.demo.student, 16)
    assert checkout.run() == 0 and checkout.trained() == ["plain", "plain_equal_time"]
    assert checkout.run("--seed", "1") == 0 and checkout.trained() == ALL


def test_a_checkpoint_that_was_lost_or_changed_is_made_again_and_its_students_too(checkout):
    assert checkout.run() == 0 and checkout.trained() == ALL
    (checkout.folder / "plain" / "iter_100.pth").unlink()
    assert checkout.run() == 0 and checkout.trained() == ["plain"]
    teacher = checkout.folder / "teacher" / "iter_100.pth"
    teacher.write_text(teacher.read_text() + " ")
    assert checkout.run() == 0 and checkout.trained() == ["teacher"]


def test_a_stage_that_fails_shows_its_last_lines_and_its_log(checkout, capsys):
    checkout.trouble("plain", reached=0)
    assert checkout.run() == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-2] == "RuntimeError: no luck"
    assert error[-1] == (
        "error: plain student ended with exit status 1; all that it wrote: work/seg-digits/plain/log.txt"
    )
    assert "RuntimeError: no luck" in (checkout.folder / "plain" / "log.txt").read_text()
    assert not (checkout.folder / "report.md").exists() and not (checkout.folder / "plain" / "done.json").exists()
    checkout.no_trouble()
    checkout.new_calls()
    assert checkout.run() == 0 and checkout.trained() == ALL[1:]


def test_an_interrupted_training_goes_on_from_its_last_checkpoint(checkout, capsys):
    checkout.trouble("distilled", reached=40)
    assert checkout.run() == 1 and checkout.trained() == ALL[:3]
    checkout.no_trouble()
    assert checkout.run() == 0
    calls = checkout.new_calls()
    assert ["--resume" in call for call in calls] == [True, False]
    assert "distilled student: 100 iterations, resumed at 40, mIoU 25.0" in capsys.readouterr().out


def test_a_training_of_another_config_is_not_resumed(checkout):
    checkout.trouble("distilled", reached=40)
    assert checkout.run() == 1
    checkout.no_trouble()
    checkout.new_calls()
    checkout.write_config(checkout.demo.distilled, 99)
    assert checkout.run() == 0
    assert not any("--resume" in call for call in checkout.new_calls())
    assert not (checkout.folder / "distilled" / "iter_40.pth").exists()


def test_a_training_interrupted_before_its_last_validation_is_only_evaluated(checkout, capsys):
    checkout.trouble("teacher", reached=100)
    assert checkout.run() == 1 and checkout.trained() == ["teacher"]
    checkout.no_trouble()
    assert checkout.run() == 0
    calls = checkout.new_calls()
    assert calls[0][:2] == [f"configs/demo/{checkout.demo.teacher}", str(checkout.folder / "teacher" / "iter_100.pth")]
    assert "teacher: 100 iterations, resumed at 100, mIoU 12.5" in capsys.readouterr().out


def test_an_interruption_is_answered_with_what_make_was_called_with(checkout, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmdist.cli.demo.main.train", interrupted)
    monkeypatch.setenv("MMDIST_AGAIN", "make demo TASK=seg")
    assert checkout.run("--seed", "3") == 130
    error = capsys.readouterr().err.splitlines()
    assert error[0] == "interrupted"
    assert error[1].endswith(" go on from here with: make demo TASK=seg")


WAITING_CONVERTER = """
import json, os, sys, time
with open('calls.jsonl', 'a') as file:
    file.write(json.dumps([sys.argv[1:], os.environ.get('MMDIST_AGAIN')]) + '\\n')
print('at work', flush=True)
time.sleep(0 if os.path.exists('calm') else 60)
sys.exit('enough')
"""


def test_the_hint_after_an_interruption_works_as_it_is_printed(checkout, tmp_path):
    """The interpreter and the path of the script are those at hand, a folder with a space is quoted."""
    (checkout.root / "tools" / "misc").mkdir()
    shutil.copy(ROOT / "tools" / "misc" / "demo.py", checkout.root / "tools" / "misc")
    (checkout.root / "tools" / "dataset_converters" / "digit_scenes.py").write_text(WAITING_CONVERTER)
    calls, elsewhere, env = checkout.root / "calls.jsonl", tmp_path / "else where", environment()
    elsewhere.mkdir()
    env.pop("MMDIST_AGAIN", None)
    env["PATH"] = "/usr/bin:/bin"  # where `python` is another one, or none
    script = os.path.relpath(checkout.root / "tools" / "misc" / "demo.py", elsewhere)
    command = [sys.executable, script, "--quick", "--work-dir", "my work", "--seed", "3"]
    first = subprocess.Popen(command, cwd=elsewhere, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while first.poll() is None and not calls.is_file():
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    out, error = first.communicate(timeout=60)
    assert first.returncode == 130, out + error
    hint = error.splitlines()[-1].partition(" go on from here with: ")[2]
    (checkout.root / "calm").touch()
    second = subprocess.run(hint, shell=True, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=200)
    assert second.returncode == 1 and "making the data ended with" in second.stderr, second.stderr
    (whole, again) = map(json.loads, calls.read_text().splitlines())
    assert whole == again and str(elsewhere / "my work" / "seg-digits-quick" / "data" / "digit_scenes") in whole[0]


def test_the_report_and_the_tools_name_the_threads_that_were_used(checkout, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert checkout.run() == 0
    assert capsys.readouterr().out.count("CPU threads: ") == 1
    assert ", OMP_NUM_THREADS=2\n" in (checkout.folder / "report.md").read_text()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # nothing is trained now
    assert checkout.run() == 0
    assert ", OMP_NUM_THREADS=2\n" in (checkout.folder / "report.md").read_text()
    models = json.loads((checkout.folder / "results.json").read_text())["models"]
    assert all(shlex.split(model["command"])[0] == sys.executable for model in models.values())


def test_the_users_files_are_not_deleted(checkout, capsys):
    (checkout.folder / "teacher").mkdir(parents=True)
    (checkout.folder / "teacher" / "thesis.txt").write_text("years")
    assert checkout.run() == 2
    assert "holds something that no comparison has written" in capsys.readouterr().err
    assert (checkout.folder / "teacher" / "thesis.txt").read_text() == "years"


def test_schedules_of_different_lengths_are_refused(checkout, capsys):
    checkout.write_config(checkout.demo.distilled, 8, CONFIG.replace("=100", "=300"))
    assert checkout.run() == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {checkout.demo.distilled}: train_cfg.max_iters = 300: expected 100, as in")
    assert checkout.trained() == []


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--task", "cls", "--data", "trees"], "--data = 'trees': expected 'mnist' with --task cls; 'trees' goes with"),
        (["--task", "sge"], "--task = 'sge': did you mean 'seg'? Allowed: 'cls', 'det', 'seg'"),
        (["--data", "tree"], "--data = 'tree': did you mean 'trees'?"),
        (["--seed", "-1"], "--seed = -1: expected a number from 0"),
    ],
)
def test_a_wrong_argument_is_answered_in_one_line(checkout, capsys, arguments, answer):
    assert checkout.run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {answer}") and error.count("\n") == 1
    assert not (checkout.root / "work").exists()


def quick(folder: Path) -> list[str]:
    return [sys.executable, str(ROOT / "tools" / "misc" / "demo.py"), "--quick", "--work-dir", str(folder)]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quick_demo_survives_an_interruption_and_ends_with_a_report(tmp_path):
    folder = tmp_path / "seg-digits-quick"
    env = environment()
    first = subprocess.Popen(
        quick(tmp_path), cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while first.poll() is None and not (folder / "plain" / "last_checkpoint").is_file():
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    out, error = first.communicate(timeout=60)
    if "could not fetch" in error and os.environ.get("CI") is None:
        pytest.skip("the data cannot be fetched here")
    assert first.returncode == 130, out + error
    assert "teacher: 12 iterations" in out and f"go on from here with: {shlex.join(quick(tmp_path))}" in error
    assert not (folder / "plain" / "done.json").exists() and not (folder / "report.md").exists()

    second = subprocess.run(quick(tmp_path), cwd=tmp_path, env=env, capture_output=True, text=True, timeout=500)
    assert second.returncode == 0, second.stdout + second.stderr
    assert re.search(r"teacher: 12 iterations, mIoU [\d.]+, done before", second.stdout)
    assert re.search(r"\[3/7\] plain student: 12 iterations, resumed at \d+,", second.stdout)
    results = json.loads((folder / "results.json").read_text())
    models = results["models"]
    assert models["teacher"]["parameters"] > 2 * models["plain"]["parameters"] == 2 * models["distilled"]["parameters"]
    assert models["plain_equal_time"]["iterations"] >= 12 and results["validation_images"] == 16
    for model in models.values():
        assert 0 <= model["metric"] <= 100 and model["seconds"] > 0
        assert list(model["validations"])[-1] == str(model["iterations"])
    assert_every_iteration_counts_once(folder / models["plain"]["checkpoint"])
    table = second.stdout[second.stdout.index("| model") :].split("\n\n")[0]
    report = (folder / "report.md").read_text()
    assert table in report and "A quick run" in report
    assert all((folder / name).is_file() for name in re.findall(r"\]\((.+\.png)\)", report))


def assert_every_iteration_counts_once(checkpoint: Path) -> None:
    from mmdist.apis.comparison.history import read_history

    assert len(read_history(checkpoint).loss) == 12
