"""Words and units of the table of costs."""

import pytest
from conceptdepth.commands.costs_table import amount, count, show, size
from conceptdepth.configuration.assumptions import Assumptions
from conceptdepth.configuration.costs import Texts, Tokens, cost


def test_words_for_what_is_known_in_part():
    assert amount("5", known=True, at_least=False) == "5"
    assert amount("5", known=True, at_least=True) == "5 or more"
    assert amount("0", known=False, at_least=True) == "unknown"
    assert (count(123_456, exact=True), count(123_456, exact=False)) == ("123,456", "~123,000")
    assert [size(number) for number in (1_500_000, 2.5e9, 3e12)] == ["1.5 MB", "2.5 GB", "3.0 TB"]


@pytest.mark.parametrize(
    ("device", "words", "others"),
    [
        ("auto", {"weights", "memory", "Weights:", "Memory:"}, {"GPU memory", "host memory"}),
        ("cuda", {"GPU memory", "host memory", "GPU memory:", "Host memory:"}, {"Weights:", " Memory:"}),
    ],
)
def test_memory_of_gpus_and_of_their_host_are_told_apart(capsys, monkeypatch, device, words, others):
    monkeypatch.setenv("COLUMNS", "200")
    config = {
        "models": {"big": {"parameters": 10**9, "layers": 10, "d_model": 100}},
        "run": {"quantizations": ["nf4"]},
        "activations": {"sites": ["mlp_input"], "positions": ["last"]},
        "execution": {"device": device, "keep_model_loaded": True},
    }
    rows = [cost(config, "big", "nf4", [(Texts(50, 4000, 3000), Tokens(1000, 800, exact=True))], Assumptions())]
    show(rows, Assumptions(), whole_grid=True)
    said = capsys.readouterr().out
    assert all(word in said for word in words)
    assert not any(word in said for word in others)
    assert "Activations: bytes a statement, all sites and positions: 4,400 of big;" in said
    assert f" {size(rows[0].memory_mb * 1e6)} " in said
