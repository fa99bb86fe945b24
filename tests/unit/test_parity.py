"""Under the paper's settings the workflow computes what the released code computes.

`released_code` is a second implementation of it that shares no line with the workflow. The paper's files and the
embedded model may not lie in this repository: without them these tests are skipped.
"""

import numpy as np
import parity
import pytest
import released_code
import torch
import transformers as hf
from conceptdepth.models import load_body, load_tokenizer

pytestmark = pytest.mark.skipif(not parity.SOURCES.is_dir(), reason="the paper's datasets are not in ../shared/sources")

FIRST = 24
"""Statements of each class that go through the model: 20 of 48 are tested."""


@pytest.fixture
def config():
    return parity.paper_configuration()


@pytest.mark.parametrize("name", released_code.LOADERS)
def test_prompts_and_test_items_are_the_released_codes(config, name):
    """Of whole datasets, in the order in which each side has them."""
    rows = parity.prompt_rows(config, name, parity.SOURCES)
    prompts = np.array([row["prompt"] for row in rows], dtype=object)
    p, n = released_code.prompts(name, parity.SOURCES)
    assert prompts[parity.by_class(rows)].tolist() == p + n
    ((seed, train, test),) = parity.splits(config, rows)
    parts = released_code.split(p, n)
    for found, expected in zip(
        (prompts[train], prompts[test], parity.labels(rows)[train], parity.labels(rows)[test]), parts
    ):
        assert found.tolist() == expected.tolist()
    assert seed == 42


@pytest.mark.parametrize(
    ("name", "path", "value", "same_prompts", "same_items"),
    [
        ("geometry_cities", ["prompts", "instruction"], "declared", False, True),
        ("geometry_cities", ["probes", "split"], "grouped", True, False),
        ("geometry_cities", ["probes", "seeds"], [43], True, False),
        ("geometry_cities", ["probes", "test_share"], 0.2, True, False),
        ("commonclaim", ["datasets", "commonclaim", "max_per_class"], None, False, False),
        ("strategyqa", ["datasets", "strategyqa", "parser", "rationale"], False, False, True),
    ],
)
def test_each_switch_leaves_the_released_code(config, name, path, value, same_prompts, same_items):
    """Otherwise the test above would not tell whether a switch is set; docs/parity.md lists them."""

    def prompts_and_test_items():
        rows = parity.prompt_rows(config, name, parity.SOURCES)
        ((_, _, test),) = parity.splits(config, rows)
        return [row["prompt"] for row in rows], [rows[index]["id"] for index in test]

    prompts, items = prompts_and_test_items()
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    other_prompts, other_items = prompts_and_test_items()
    assert (other_prompts == prompts, other_items == items) == (same_prompts, same_items)


# --- With the model ---------------------------------------------------------------------------------------

needs_model = pytest.mark.skipif(
    not parity.WEIGHTS.is_dir(), reason="no run has fetched the embedded model yet (make run)"
)


@pytest.fixture(scope="module")
def one_by_one():
    """Model and tokenizer as the released code opens them."""
    model = hf.AutoModelForCausalLM.from_pretrained(parity.WEIGHTS, dtype=torch.float32)
    return model, hf.AutoTokenizer.from_pretrained(parity.WEIGHTS)


@pytest.fixture(scope="module")
def packed():
    """Model and tokenizer as the workflow opens them."""
    return load_body(parity.WEIGHTS, quantization="fp32", device=torch.device("cpu")), load_tokenizer(parity.WEIGHTS)


@needs_model
@pytest.mark.parametrize("name", parity.DATASETS)
def test_activations_and_scores_are_the_released_codes(config, one_by_one, packed, name):
    p, n = (
        released_code.hidden_states(*one_by_one, prompts)
        for prompts in released_code.prompts(name, parity.SOURCES, FIRST)
    )
    expected = released_code.scores(p, n)
    assert expected["accuracy"].nunique() > 3, "layers differ, so that equality says something"

    rows = parity.prompt_rows(config, name, parity.SOURCES, FIRST)
    vectors = parity.activations(config, *packed, rows, "fp32")
    np.testing.assert_allclose(vectors[:, parity.by_class(rows)], np.concatenate([p, n], axis=1), atol=1e-4, rtol=0)
    found = parity.scores(config, vectors, rows)
    assert found["accuracy"].tolist() == expected["accuracy"].tolist()
    assert found["f1"].tolist() == expected["f1"].tolist()
    np.testing.assert_allclose(found["auc"], expected["auc"], atol=1e-6, rtol=0)
