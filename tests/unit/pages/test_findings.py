"""Sentences say what tables say: every number in them is read again and held against the row that it is about."""

import re

import numpy as np
import pytest
from conceptdepth.depth.comparison import PRIMARY
from conceptdepth.pages.findings import (
    QUANTITIES,
    changes,
    found,
    headline,
    main_rows,
    of_claims,
    verdicts,
)
from run_tables import claims_of, depths_of, differences_of, names_of

NUMBER = r"[-+]?\d+\.\d+"
WITH_INTERVAL = rf"({NUMBER})(?: \(({NUMBER}) to ({NUMBER})\))?"


def own_rows(table, names):
    """Return the rows that sentences are about, by model and dataset, found in another way than they find them."""
    table = table.query(
        "quantization == 'fp32' and perturbation == 'clean' and site == 'mlp_input' and position == 'last' and "
        "probe == 'logistic_regression'"
    )
    return {(names.models[r["model"]], names.datasets[r["dataset"]]): r for r in table.to_dict("records")}


def numbers(pattern, text):
    (match,) = re.finditer(pattern, text)
    return [np.nan if group is None else float(group) for group in match.groups()]


def same(shown, expected, digits=2):
    np.testing.assert_allclose(shown, expected, atol=0.51 * 10.0**-digits)


def interval(row, quantity):
    return [row[quantity], row[f"{quantity}_low"], row[f"{quantity}_high"]]


ABOVE = {"some": lambda n: n % 3 != 1, "all": lambda n: True, "none": lambda n: False}


def test_the_quantities_are_those_that_are_tested():
    assert QUANTITIES.keys() == set(PRIMARY)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draws", [True, False])
@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize(("n_models", "n_datasets"), [(1, 1), (1, 3), (2, 3)])
def test_the_sentence_of_a_concept_is_its_row(n_models, n_datasets, above, draws, seed):
    names = names_of(n_models, n_datasets)
    table = depths_of(names, above=ABOVE[above], draws=draws, seed=seed)
    sentences, rows = found(main_rows(table), names), own_rows(table, names)
    assert len(sentences) == len(rows) == n_models * n_datasets
    for sentence in sentences:
        (concept,), (model,) = re.findall(r"\*\*(.+)\*\*", sentence), re.findall(r"Model \dB", sentence)
        row = rows.pop((model, concept))
        same(numbers(rf"an accuracy of {WITH_INTERVAL}, held out", sentence), interval(row, "held_out_peak_accuracy"))
        if draws:
            same(numbers(rf"best baseline \(text length\) one of ({NUMBER})", sentence), [row["baseline_accuracy"]])
        if not draws:
            assert "was not held against its baselines" in sentence
        elif row["above_baselines"]:
            layer, n_layers = numbers(r"from layer (\d+) of (\d+) on", sentence)
            assert n_layers == row["n_layers"]
            assert layer / row["n_layers"] == pytest.approx(row["first_above_baseline"])
            same(numbers(rf"centre of gain is {WITH_INTERVAL} of", sentence), interval(row, "gain_centre"))
        else:
            assert "is not above its baselines" in sentence
        assert ("centre of gain" in sentence) == (row["above_baselines"] is True)
    assert not rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("above", ABOVE)
def test_of_many_concepts_there_is_a_sentence_for_each_model(above, seed):
    names = names_of(9, 9)
    table = depths_of(names, above=ABOVE[above], seed=seed)
    rows = own_rows(table, names)
    sentences = found(main_rows(table), names)
    assert len(sentences) == 9
    for sentence, model in zip(sentences, names.models.values()):
        own = {concept: row for (name, concept), row in rows.items() if name == model}
        above_them = {concept: row for concept, row in own.items() if row["above_baselines"]}
        assert sentence.startswith(f"**{model}**: {len(above_them)} of 9 concepts are above their baselines")
        ends = re.findall(r"(earliest|latest) (Concept \d) from layer (\d+) of (\d+) on", sentence)
        depths = [row["first_above_baseline"] for row in above_them.values()]
        assert len(ends) == (2 if above_them else 0)
        for (end, concept, layer, n_layers), choose in zip(ends, (min, max)):
            assert end == {min: "earliest", max: "latest"}[choose]
            assert choose(depths) == own[concept]["first_above_baseline"] == pytest.approx(int(layer) / int(n_layers))
        without = re.findall(r"without a depth: ([^.]*)\.", sentence)
        assert (
            ", ".join(set(own) - set(above_them)) == ""
            if not without
            else set(without[0].split(", ")) == set(own) - set(above_them)
        )
        peaks = re.findall(rf"{WITH_INTERVAL} \((Concept \d)\)", sentence)
        assert len(peaks) == 2
        for (*shown, concept), choose in zip(peaks, (min, max)):
            same([float(number) for number in shown], interval(own[concept], "held_out_peak_accuracy"))
            accuracies = [row["held_out_peak_accuracy"] for row in own.values()]
            assert choose(accuracies) == own[concept]["held_out_peak_accuracy"]


def test_many_models_that_were_not_tested_have_no_depth():
    names = names_of(9, 9)
    for sentence in found(main_rows(depths_of(names, draws=False)), names):
        assert "none of 9 concepts was held against its baselines" in sentence
        assert "layer" not in sentence


@pytest.mark.parametrize(("n_models", "n_datasets"), [(1, 1), (1, 3), (1, 9), (2, 2), (9, 9)])
@pytest.mark.parametrize("above", ABOVE)
def test_the_headline_counts_and_names_the_earliest_and_the_latest(n_models, n_datasets, above):
    names = names_of(n_models, n_datasets)
    table = depths_of(names, above=ABOVE[above])
    rows = own_rows(table, names)
    text = headline(main_rows(table), names)
    held = {key: row["first_above_baseline"] for key, row in rows.items() if row["above_baselines"]}
    assert text.startswith(f"{len(held)} of {len(rows)} ")
    shown = re.findall(r"(\d+|\d\.\d+) \((Concept \d)(?: in (Model \dB))?\)", text)
    assert len(shown) == min(len(held), 3 if len(held) <= 3 else 2)
    depths = [held[model or "Model 0B", concept] for _, concept, model in shown]
    if n_models == 1:
        assert [int(layer) / 30 for layer, *_ in shown] == pytest.approx(depths)
        assert not held or text.endswith(" of 30")
    else:
        same([float(depth) for depth, *_ in shown], depths)
    if len(held) > 3:
        assert depths == [min(held.values()), max(held.values())]
    else:
        assert depths == sorted(held.values())


def test_without_tests_the_headline_says_so():
    names = names_of()
    assert headline(main_rows(depths_of(names, draws=False)), names).startswith("no concept was held against")


def own_differences(table, compared, quantity):
    held = {"perturbation": "quantization == 'fp32'", "quantization": "perturbation == 'clean'"}[compared]
    second = {"perturbation": "noise", "quantization": "int8"}[compared]
    return table.query(
        f"compared == {compared!r} and second == {second!r} and quantity == {quantity!r} and {held} and site == 'mlp_input'"
    )


DIFFER = {"nothing": lambda n: 0.06, "one": lambda n: 0.01 if n == 2 else 0.06, "all": lambda n: 0.05}


@pytest.mark.parametrize("p", DIFFER)
@pytest.mark.parametrize(("n_models", "n_datasets"), [(1, 3), (2, 3), (9, 9)])
def test_differences_are_those_of_their_rows(n_models, n_datasets, p):
    names = names_of(n_models, n_datasets)
    table = differences_of(names, p=DIFFER[p])
    sentences = changes(table, main_rows(depths_of(names)), names, 0.95)
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "**noise** in the place of clean", "**8-bit integer** in the place of 32-bit float",
    ]  # fmt: skip
    for sentence, compared in zip(sentences, ("perturbation", "quantization")):
        for part, (quantity, called) in zip(sentence.partition(": ")[2].split("; "), QUANTITIES.items(), strict=True):
            assert part.startswith(called)
            rows = own_differences(table, compared, quantity)
            assert len(rows) == n_models * n_datasets
            differ = rows[rows["p_adjusted"] <= 0.05]
            if differ.empty:
                same(numbers(rf"within ({NUMBER}) to ({NUMBER})", part), [rows["low"].min(), rows["high"].max()])
                continue
            assert f"differs in {len(differ)} of {len(rows)}: " in part
            if len(differ) > 3:
                assert (
                    f"lower in {(differ['difference'] < 0).sum()}, higher in {(differ['difference'] > 0).sum()}" in part
                )
                expected = [differ["difference"].min(), differ["difference"].max()]
                same(numbers(rf"by ({NUMBER}) to ({NUMBER})", part), expected, 3)
                continue
            for row in differ.to_dict("records"):
                shown = numbers(rf"{names.concept(row)} by ({NUMBER}) \(({NUMBER}) to ({NUMBER})\)", part)
                same(shown, [row["difference"], row["low"], row["high"]], 3)


def test_what_was_not_tested_is_not_said_to_be_alike():
    names = names_of()
    sentences = changes(differences_of(names, draws=False), main_rows(depths_of(names)), names, 0.95)
    assert [sentence.rpartition(": ")[2] for sentence in sentences] == ["no difference was tested."] * 2
    assert changes(differences_of(names).iloc[:0], main_rows(depths_of(names)), names, 0.95) == []


CLAIMED = [
    ("run", "none"), ("run", "supported"), ("run", "few"), ("run", "few"), ("run", "contradicted"), ("run", "open"), ("run", "alike"),
    ("published", "supported"), ("published", "none"),
]  # fmt: skip


def test_claims_are_counted_and_those_that_are_decided_are_named_with_their_numbers():
    table = claims_of(CLAIMED)
    run, supported, contradicted, published, of_paper = of_claims(table, 0.9)
    assert run == (
        "This run: 1 supported, 1 contradicted, 5 undecided (1 for want of cells to compare, 2 for too few datasets or models, "
        "1 since nothing varies)."
    )
    assert published.startswith("The paper's published numbers: 1 supported, 0 contradicted, 1 undecided (1 for want")
    for sentence, number, how in (
        (supported, 1, "Supported by this run"),
        (contradicted, 4, "Contradicted by this run"),
        (of_paper, 7, "Supported by the published numbers"),
    ):
        row = table.iloc[number]
        assert sentence.startswith(f"{how}: Claim {number} holds (centre of gain ")
        pattern = rf"gain ({NUMBER}), 90 % interval ({NUMBER}) to ({NUMBER}); (\d+) datasets, (\d+) models"
        same(numbers(pattern, sentence), row[["effect", "low", "high", "n_datasets", "n_models"]].astype(float), 3)


def test_the_short_count_of_claims_says_how_many_could_not_be_tested():
    rows = claims_of(CLAIMED[:7]).to_dict("records")
    assert verdicts(rows, briefly=True) == "1 supported, 1 contradicted, 5 undecided (4 for want of datasets or models)"
    assert verdicts([rows[1], rows[5]], briefly=True) == "1 supported, 0 contradicted, 1 undecided"
