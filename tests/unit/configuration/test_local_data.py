"""Datasets that are known before anything runs are read then, and split, so that no model runs for nothing."""

import json

import numpy as np
import pytest
from conceptdepth.configuration.check import check_config
from conceptdepth.configuration.local_data import NEGLIGIBLE, lacking
from conceptdepth.ground.errors import UserError
from conceptdepth.probes import splits
from conceptdepth.probes.splits import SplitSettings, splits_of
from whole_configuration import configuration


def rows(*groups):
    """Rows of one or two classes for each group: ``0``, ``1`` or ``01``."""
    return [
        {"text": f"Text {number} {label}", "label": int(label), "group": f"g{number}"}
        for number, labels in enumerate(groups)
        for label in labels
    ]


@pytest.fixture
def checked(tmp_path):
    """Check a configuration whose one dataset has such rows."""

    def check(found, table="jsonl", columns=None, **probes):
        config = configuration()
        path = tmp_path / "mine"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in found))
        config["datasets"]["mine"] = {
            "label": "Mine", "domain": "factual", "about": "A test.", "licence": "mine", "source": {"path": str(path)},
            "table": {"format": table}, "columns": {"text": "text", "label": "label", "group": "group"} | (columns or {}),
            "classes": [{"name": "no", "values": [0]}, {"name": "yes", "values": [1]}],
            "template": {"layout": "prompt_first", "prompt": "Judge."},
        }  # fmt: skip
        config["run"]["datasets"] = ["mine"]
        config["probes"] |= {"C": 1.0, "split": "grouped"} | probes
        config["data_audit"]["policy"] = "off"
        config["controls"]["baselines"] = []
        check_config(config)

    return check


LACKS = {
    "a class in one group": (rows(*"0" * 9, "1"), {}, "one class only, of 9 statements of class 0 in 9 groups and 1 "),
    "one group": (rows("01" * 20), {}, "a grouped split cannot hold out 0.4 of 20 statements of class 0 in 1 group and"),
    "a group for each class": (rows("0" * 20, "1" * 20), {}, "one class only, of 20 statements of class 0 in 1 group"),
    "one statement of a class": (rows(*"0" * 9, "1"), {"split": "reference"}, "9 groups and 1 statement of class 1 in 1 group"),
    "few groups, stratified": (rows("01", "01"), {"split": "stratified"}, "needs at least 5 groups"),
    "few statements, stratified": (rows(*"000111"), {"split": "stratified"}, "a stratified split cannot hold out 0.4 of 3 "),
    "no folds": (rows(*"0000011"), {"C": [0.1, 1.0], "seeds": [1]}, "training part of split 1 has too few groups"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LACKS)
def test_a_class_that_a_part_or_a_fold_lacks_is_said_with_what_there_is(checked, kind):
    found, probes, said = LACKS[kind]
    with pytest.raises(UserError) as error:
        checked(found, **probes)
    assert str(error.value).startswith("datasets.mine: probes")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_where_nothing_is_chosen_no_folds_are_needed(checked):
    few = rows(*"0000011")
    checked(few, seeds=[1])
    with pytest.raises(UserError, match="too few groups"):
        checked(few, seeds=[1], C=[0.1, 1.0])


def test_large_datasets_are_not_split_here(checked, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("scikit-learn was imported for nothing")

    monkeypatch.setattr(splits, "check_splits", never)
    checked(rows(*["0", "1"] * 200))
    checked(rows(*["01"] * 5))


def test_a_wrong_row_is_said_before_anything_runs(checked):
    with pytest.raises(UserError, match=r"datasets.mine: .*mine, line 3, column text: the text is missing"):
        checked([*rows("0", "1"), {"label": 1, "group": "g"}])


def test_a_wrong_span_is_said_before_anything_runs(checked):
    found = [row | {"number": row["text"].split()[1]} for row in rows(*["01"] * 10)]
    checked(found, columns={"span": "number"})
    found[1]["number"] = "none"
    with pytest.raises(
        UserError,
        match=r"datasets.mine: .*mine, line 2, column number: the span 'none' does not stand in the text 'Text 0 1'\.$",
    ):
        checked(found, columns={"span": "number"})


def test_datasets_of_a_generator_are_tried_too():
    config = configuration()
    config["datasets"]["coin_flips"]["source"]["groups"] = 1
    with pytest.raises(UserError, match="datasets.coin_flips: probes: a grouped split cannot hold out 0.4"):
        check_config(config)


@pytest.mark.parametrize(("zeros", "ones", "share"), [(12, 3, 0.4), (5, 5, 0.3), (20, 2, 0.5)])
def test_parts_lack_a_class_no_more_often_than_the_bound_says(zeros, ones, share):
    found = rows(*"0" * zeros, *"1" * ones)
    labels, groups = (np.array([row[key] for row in found]) for key in ("label", "group"))
    lacked = 0
    for seed in range(300):
        try:
            list(splits_of(labels, groups.astype(object), SplitSettings("grouped", share, [seed])))
        except UserError:
            lacked += 1
    assert NEGLIGIBLE < lacked / 300 <= 2 * lacking(found, share)


def test_a_rule_for_missing_groups_without_groups_is_refused():
    config = configuration()
    config["datasets"]["coin_flips"]["missing_group"] = "refuse"
    with pytest.raises(UserError, match="coin_flips.missing_group: no column is named in `columns.group`"):
        check_config(config)
