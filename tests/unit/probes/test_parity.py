"""Under the paper's settings the workflow computes what the released code computes.

`released_code` is a second implementation of it that shares no line with the workflow. The paper's files and the
embedded model may not lie in this repository: without them these tests are skipped.
"""

from functools import partial

import numpy as np
import parity
import pytest
import released_code
import torch
import transformers as hf
from conceptdepth.models.loading import load_model, load_tokenizer
from sklearn.linear_model import LogisticRegression

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
    return load_model(parity.WEIGHTS, quantization="fp32", device=torch.device("cpu")).base_model, load_tokenizer(
        parity.WEIGHTS
    )


QUICK = ["coinflip", "geometry_cities"]
"""Datasets of short prompts; the others take minutes one prompt at a time, and are for `make test-long`."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.long) for name in parity.DATASETS],
)
def both(request, one_by_one, packed):
    """Rows, in the workflow's order, and the vectors of both sides, in the released code's."""
    prompts = released_code.prompts(request.param, parity.SOURCES, FIRST)
    p, n = (released_code.hidden_states(*one_by_one, part) for part in prompts)
    config = parity.paper_configuration()
    rows = parity.prompt_rows(config, request.param, parity.SOURCES, FIRST)
    ours = parity.activations(config, *packed, rows, "fp32")
    return rows, (p, n), ours[:, parity.by_class(rows)]


def assert_same_scores(config, rows, classes, ours):
    """Compare the released code's scores of its vectors, by class, with the workflow's of its own."""
    expected = released_code.scores(*classes)
    assert expected["accuracy"].nunique() > 3, "layers differ, so that equality says something"
    in_rows = ours[:, np.argsort(parity.by_class(rows))]
    found = parity.scores(config, in_rows, rows)
    assert found["accuracy"].tolist() == expected["accuracy"].tolist()
    assert found["f1"].tolist() == expected["f1"].tolist()
    np.testing.assert_allclose(found["auc"], expected["auc"], atol=1e-6, rtol=0)


@needs_model
def test_activations_are_the_released_codes(both):
    _, classes, ours = both
    np.testing.assert_allclose(ours, np.concatenate(classes, axis=1), atol=1e-5, rtol=0)


@needs_model
def test_scores_of_the_same_vectors_are_the_released_codes(config, both):
    rows, classes, _ = both
    assert_same_scores(config, rows, classes, np.concatenate(classes, axis=1))


@needs_model
def test_probes_solved_to_the_end_score_the_same_from_prompt_to_score(config, both, monkeypatch):
    """Each side from its own vectors. Not so at scikit-learn's tolerance in float32: docs/parity.md says why."""
    rows, classes, ours = both
    monkeypatch.setattr(released_code, "LogisticRegression", partial(LogisticRegression, tol=1e-8, max_iter=10_000))
    monkeypatch.setattr("conceptdepth.probes.estimators.LogisticRegression", partial(LogisticRegression, tol=1e-8))
    config["probes"]["max_iter"] = 10_000
    p, n = (part.astype(np.float64) for part in classes)
    assert_same_scores(config, rows, (p, n), ours.astype(np.float64))
