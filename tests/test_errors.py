"""Messages: one line of characters that can be shown, whatever a file holds."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from helpers.tiny_students import build_algorithm
from torch import nn

from mmdist.errors import CheckpointError, ConfigError, MissingPackageError, MMDistError, printable
from mmdist.models.builder import first_keys, load_weights, unfit_keys

NASTY = ["\x1b[31m", "\n", "\r", "\x07", "\x9b", "\u2028", "\u202e", "\u2066", "\u200b", "\ufeff", "\u3164", "\ud800"]


@pytest.mark.parametrize("char", NASTY, ids=[f"U+{ord(char[0]):04X}" for char in NASTY])
def test_a_character_that_cannot_be_seen_is_escaped(char: str) -> None:
    shown = printable(f"a{char}b")
    assert shown.isprintable()
    assert char not in shown
    assert shown.encode().decode("unicode_escape").encode("utf-16", "surrogatepass") == f"a{char}b".encode(
        "utf-16", "surrogatepass"
    )
    for error in (
        MMDistError(f"a{char}b"),
        CheckpointError(f"a{char}b"),
        ConfigError(f"a{char}b", char, [char, "x"], char),
        MissingPackageError(char, char),
    ):
        assert str(error).isprintable()
        assert char not in str(error)


def test_words_of_any_language_stay_as_they_are() -> None:
    for text in ("backbone.layer1.0.conv1.weight", "自行车", "Fußgänger", "велосипед", "a\\x1b"):
        assert printable(text) == text


def test_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert len(printable("x" * 10**6)) == 200
    assert printable("x" * 10**6).endswith("(1,000,000 characters)")
    assert len(printable("\x1b" * 10**6)) <= 200
    assert len(str(CheckpointError("x" * 10**6))) <= 4000


def test_the_several_lines_of_another_librarys_message_become_one() -> None:
    assert str(MMDistError("Error(s) in loading:\n\tMissing key\n\n")) == "Error(s) in loading: Missing key"


def test_keys_of_a_file_are_escaped_where_they_are_listed() -> None:
    model = nn.Linear(2, 2)
    assert unfit_keys(model, {"weight": torch.zeros(3), "bias": torch.zeros(2)})
    assert first_keys(["a\x1b[2J", "b"]) == "a\\x1b[2J, b"


def test_a_warning_of_weights_that_do_not_fit_is_one_printable_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_algorithm("classifier").architecture
    said = []
    monkeypatch.setattr("mmdist.models.builder.print_log", lambda text, *rest: said.append((text, rest[-1])))
    state = {**model.state_dict(), "head.fc.bias": torch.zeros(7)}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    load_weights(model, str(tmp_path / "a.pth"), "model.student_ckpt", partly=True)
    assert said and said[0][0].isprintable() and said[0][1] == logging.WARNING
    torch.save({"state_dict": {**state, "a\x1b[2J": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="characters that cannot be shown") as refused:
        load_weights(model, str(tmp_path / "a.pth"), "model.student_ckpt", partly=True)
    assert str(refused.value).isprintable()
