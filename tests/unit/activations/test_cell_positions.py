"""A cell at all positions: its file has what each prompt gives alone, at tokens that are found by hand."""

import json

import numpy as np
import pytest
import transformers as hf
from conceptdepth.activations.cell import Cell
from conceptdepth.activations.store import open_activations, positions_of
from conceptdepth.ground.errors import UserError
from conceptdepth.models.loaded import LoadedModels
from conceptdepth.models.positions import POSITIONS
from plain_passes import plain_states, read_by_hand
from tiny_model import save_tiny_model

BEFORE, AFTER = "judge the statement . ", " true or false ?"
TEXTS = {
    "oslo is in norway": "oslo", "oslo is in peru": "oslo", "lima is in peru": "lima", "the city of paris is in france": "paris",
    "oslo is in": "oslo", "the coin heads up": "coin heads",
}  # fmt: skip
"""Texts and their spans: some share a beginning, and one is the beginning of another."""


@pytest.fixture
def model(tmp_path):
    save_tiny_model(tmp_path / "tiny")
    files = {path.name: {"sha256": ""} for path in (tmp_path / "tiny").iterdir()}
    description = {"source": {"path": "tiny"}, "where": {"folder": str(tmp_path / "tiny")}, "files": files}
    (tmp_path / "model.json").write_text(json.dumps(description))
    return hf.AutoModelForCausalLM.from_pretrained(tmp_path / "tiny").eval()


def write_prompts(path, before=BEFORE, after=AFTER):
    rows = []
    for number, (text, span) in enumerate(TEXTS.items()):
        start, place = len(before), len(before) + text.index(span)
        rows.append({
            "id": str(number), "prompt": before + text + after, "label": number % 2, "group": str(number),
            "text_at": [start, start + len(text)], "span_at": [place, place + len(span)],
        })  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def carry_out(tmp_path, monkeypatch, **changes):
    # What was fetched is not what is asked here.
    monkeypatch.setattr("conceptdepth.models.weights.file_sha256", lambda path: "")
    given = {
        "model": str(tmp_path / "model.json"), "name": "tiny", "quantization": "fp32", "prompts": str(tmp_path / "prompts.jsonl"),
        "sites": ["residual", "mlp_input"], "positions": list(POSITIONS), "batch_tokens": 9, "fixed_batch_tokens": False,
        "device": "cpu", "threads": 1, "destination": str(tmp_path / "out.h5"), "record": "f" * 64,
    }  # fmt: skip
    Cell(**given | changes).carry_out(LoadedModels())
    return tmp_path / "out.h5"


def words(row, start, end):
    """Return the numbers of the words of a prompt that stand from one character to before another: one token each."""
    first = len(row["prompt"][:start].split())
    return np.arange(first, first + len(row["prompt"][start:end].split()))


@pytest.mark.parametrize(("before", "after"), [(BEFORE, AFTER), ("", AFTER), (BEFORE, "")])
@pytest.mark.parametrize("batch_tokens", [1, 9, 1024])
def test_each_position_is_in_the_file(tmp_path, model, monkeypatch, before, after, batch_tokens):
    """Texts lie partly in what prompts share: of the instruction, of each other, in passes before."""
    rows = write_prompts(tmp_path / "prompts.jsonl", before, after)
    found = carry_out(tmp_path, monkeypatch, batch_tokens=batch_tokens)
    whole = [words(row, 0, len(row["prompt"])) for row in rows]
    texts, spans = ([words(row, *row[part]) for row in rows] for part in ("text_at", "span_at"))
    by_hand = {
        "last": [each[-1:] for each in whole], "text_last": [each[-1:] for each in texts], "text_mean": texts,
        "prompt_mean": whole, "span_last": [each[-1:] for each in spans], "span_mean": spans,
    }  # fmt: skip
    tokens = hf.AutoTokenizer.from_pretrained(tmp_path / "tiny")([row["prompt"] for row in rows])["input_ids"]
    assert [len(prompt) for prompt in tokens] == [len(each) for each in whole]
    with open_activations(found) as file:
        assert positions_of(file) == list(POSITIONS)
        for site in ("residual", "mlp_input"):
            states = plain_states(model.model, tokens, site)
            for position, places in by_hand.items():
                expected = read_by_hand(states, places)
                np.testing.assert_allclose(file["activations"][site][position], expected, atol=1e-5, rtol=1e-4)
        for position, places in by_hand.items():
            assert file["places"][position][:].tolist() == [[each[0], each[-1] + 1] for each in places]
            embedded = [model.model.embed_tokens.weight.detach().numpy()[None, prompt] for prompt in tokens]
            np.testing.assert_allclose(file["embedding"][position], read_by_hand(embedded, places), atol=1e-6)
        ends_with_text = file["activations/residual/last"] == file["activations/residual/text_last"]
        assert ends_with_text == (not after), "one dataset if they are the same token"


def test_one_position_alone(tmp_path, model, monkeypatch):
    write_prompts(tmp_path / "prompts.jsonl")
    with open_activations(carry_out(tmp_path, monkeypatch, positions=["text_mean"])) as file:
        assert list(file["activations/residual"]) == list(file["embedding"]) == ["text_mean"]


def test_a_position_where_nothing_stands_is_an_error(tmp_path, model, monkeypatch):
    rows = write_prompts(tmp_path / "prompts.jsonl")
    rows[2]["span_at"] = [len(BEFORE + "lima"), len(BEFORE + "lima ")]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="the prompt 'judge the statement . lima .*' has no token at span_last"):
        carry_out(tmp_path, monkeypatch)
    assert not (tmp_path / "out.h5").exists()
