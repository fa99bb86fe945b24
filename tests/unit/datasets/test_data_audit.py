"""Each check of a dataset finds what it is named after, and nothing in a dataset without it."""

import numpy as np
import pandas as pd
import pytest
from audit_data import audit_dataset, data_of
from conceptdepth.datasets.audit import FACTS, LIMITED, audit_data
from conceptdepth.datasets.prompts import render
from conceptdepth.datasets.too_long import TooLong, write_too_long
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.jsonl import write_jsonl
from conceptdepth.probes.splits import SplitSettings

LIMITS = dict.fromkeys(LIMITED, 0.6) | {"repeated_texts": 0.02, "contradictory_texts": 0, "partner_in_training": 0}
LIMITS |= {"near_duplicate_in_training": 0.1, "answer_in_text": 0.05, "dropped_too_long": 0}
GROUPED = SplitSettings(split="stratified", test_share=0.4, seeds=[1, 2])
WORDS = [f"w{i}" for i in range(400)]
ENTRY = {
    "table": {"format": "jsonl"},
    "columns": {"id": "id", "text": "text", "label": "label", "group": "group"},
    "classes": [{"name": "no", "values": [0]}, {"name": "yes", "values": [1]}],
}


def statements(n=200, seed=0, text=lambda words, label: words):
    """Return statements of random words, in pairs of both labels; ``text`` may put a label into them."""
    draw = np.random.default_rng(seed)
    return [
        {
            "id": f"{seed}-{i}",
            "text": text(" ".join(draw.choice(WORDS, 8)), i % 2),
            "label": i % 2,
            "group": str(i // 2),
        }
        for i in range(n)
    ]


TEXT_LAST = {"layout": "prompt_first", "prompt": "True or false?"}
CLEAN = {"prepend": []}


def rendered(rows, template=TEXT_LAST, perturbations=(CLEAN,)):
    """Return the prompts of statements under each perturbation."""
    return [[render(row, template, perturbation) for row in rows] for perturbation in perturbations]


def found(kept, every=(), answers=("no", "yes"), settings=GROUPED, dropped=None, prompts=None):
    data = data_of(
        kept,
        [*kept, *(dropped or ()), *every],
        prompts=prompts or rendered(kept),
        dropped=dropped,
        answers=answers,
        split=settings,
    )
    return {finding.check: finding for finding in audit_data(data, LIMITS)}


def warnings_of(findings):
    return [name for name, finding in findings.items() if finding.verdict == "warning"]


def warnings(*arguments, **options):
    return warnings_of(found(*arguments, **options))


def test_a_clean_dataset_has_no_warning_and_every_check():
    findings = found(statements(), statements(seed=1), dropped=[])
    assert set(findings) == {*LIMITED, *FACTS}
    assert {finding.verdict for name, finding in findings.items() if name in LIMITED} == {"ok"}
    assert {findings[name].verdict for name in FACTS} == {"fact"}
    assert (findings["groups"].value, findings["opposites"].value) == (100, 1)


def test_a_class_that_a_part_lacks_is_said_with_the_dataset(tmp_path):
    kept = [row for row in statements(40) if row["label"] or row["group"] == "0"]
    write_jsonl(tmp_path / "kept.jsonl", kept)
    settings = {"limits": LIMITS, "policy": "warn"}
    with pytest.raises(
        UserError, match="datasets.mine: probes: the .* part of split . holds one class only, of 1 statement"
    ):
        audit_dataset(
            "mine", statements=tmp_path / "kept.jsonl", prompts=prompt_files(tmp_path, kept),
            entry=ENTRY | {"source": {}}, source=tmp_path / "kept.jsonl", answers=("no", "yes"), split=GROUPED, settings=settings, destination=tmp_path / "found.csv",
        )  # fmt: skip


def test_classes_of_different_size():
    kept = [row for row in statements() if row["label"] or int(row["group"]) % 4 == 0]
    findings = found(kept)
    assert warnings_of(findings) == ["larger_class"]
    assert findings["larger_class"].value == pytest.approx(100 / 125)


def test_repeated_and_contradictory_texts():
    kept = statements()
    for number in range(0, 20, 2):
        kept[number + 1] |= {"text": kept[number]["text"].upper() + " "}
    findings = found(kept)
    assert findings["repeated_texts"].value == findings["contradictory_texts"].value == 20 / 200
    assert findings["repeated_texts"].verdict == findings["contradictory_texts"].verdict == "warning"


def test_partners_in_training_are_those_that_a_count_finds():
    kept = statements()
    reference = SplitSettings(split="reference", test_share=0.4, seeds=[42])
    data = data_of(kept, kept, prompts=rendered(kept), answers=("no", "yes"), split=reference)
    finding = {one.check: one for one in audit_data(data, LIMITS)}["partner_in_training"]
    _, train, test = data.splits[0]
    in_training = {kept[i]["group"] for i in train}
    assert finding.value == pytest.approx(np.mean([kept[i]["group"] in in_training for i in test]))
    assert finding.verdict == "warning"
    assert f"{finding.value:.0%} one of the other label" in finding.finding, "each group is a pair of opposites"
    assert found(kept)["partner_in_training"].value == 0


def test_texts_that_differ_in_one_of_many_words():
    kept = statements(text=lambda words, label: "same " * 3 + " ".join(f"s{i}" for i in range(30)) + " " + words[:3])
    assert "near_duplicate_in_training" in warnings(kept)


def test_length():
    findings = found(statements(text=lambda words, label: words if label else words[:11]))
    assert "text_length" in warnings_of(findings)
    assert "'yes' is longer" in findings["text_length"].finding


def test_words():
    assert warnings(statements(text=lambda words, label: f"so it is {'good' if label else 'bad'} {words}")) == [
        "bag_of_words"
    ]


def test_what_tells_the_label_at_an_end_is_named():
    findings = found(statements(80, text=lambda words, label: f"{words}. "[: -label or None]))
    said = "reach a balanced accuracy of 1.00; most unequal is ' ', in 100% of 'no' and 0% of 'yes'"
    assert findings["text_end"].finding == f"the ends of texts {said}"
    assert findings["prompt_end"].finding == f"the ends of prompts, which probes read, {said}"
    assert findings["text_end"].verdict == findings["prompt_end"].verdict == "warning"
    assert findings["text_start"].verdict == "ok"


@pytest.mark.parametrize("template", [
    {"layout": "text_first", "prompt": "True or false?"},
    {"layout": "text_between", "prompt": "Text: ", "cue": "True or false?"},
])  # fmt: skip
def test_what_follows_the_text_keeps_its_end_from_the_prompts_end_but_not_from_the_model(template):
    kept = statements(80, text=lambda words, label: words + ".?"[label])
    findings = found(kept, prompts=rendered(kept, template))
    assert findings["text_end"].verdict == "warning"
    assert findings["prompt_end"].value == 0.5
    assert findings["prompt_end"].verdict == "ok"


def test_the_perturbation_that_tells_most_counts():
    kept = statements(80)
    prompts = rendered(kept, perturbations=(CLEAN, CLEAN, CLEAN))
    for row in prompts[1]:
        row["prompt"] += ".?"[row["label"]]
    findings = found(kept, prompts=prompts)
    assert findings["prompt_end"].value == 1
    assert "'.', in 100% of 'no' and 0% of 'yes'" in findings["prompt_end"].finding
    assert findings["text_end"].verdict == "ok"


@pytest.mark.parametrize(("check", "text"), [("text_end", "{text} pair{group}"), ("bag_of_words", "pair{group}")])
def test_accuracies_below_chance(check, text):
    # Each pair has a word of its own, at its end or alone: what is learnt of one is wrong of the other.
    kept = [row | {"text": text.format(**row)} for row in statements()]
    reference = SplitSettings(split="reference", test_share=0.4, seeds=[42])
    finding = found(kept, settings=reference)[check]
    assert finding.value < 0.4
    assert finding.verdict == "warning"


def test_partners_on_both_sides_of_the_cap_do_not_tell_first_rows():
    """Each pair shares the words of its city and is cut by the cap: folds that part it would tell one by the other."""
    draw = np.random.default_rng(0)
    found_apart = []
    for _ in range(3):
        every = []
        for pair in range(150):
            city = " ".join(draw.choice(WORDS, 3)) + f" city{pair}"
            every += [{"id": f"{pair}-{label}", "text": city, "label": label, "group": str(pair)} for label in (0, 1)]
        kept = [row for row in every if int(row["group"]) % 3 == 0 or (int(row["group"]) % 3 == 1 and row["label"])]
        kept += [row for row in every if int(row["group"]) % 3 == 2 and not row["label"]]
        ids = {row["id"] for row in kept}
        rest = [row for row in every if row["id"] not in ids]
        found_apart.append(found(kept, rest)["first_rows"].value)
    assert abs(np.mean(found_apart) - 0.5) < 0.1


def test_rows_of_one_group_beyond_the_cap_cannot_be_told_from_the_first():
    rest = [row | {"group": "z"} for row in statements(60, seed=1)]
    check = found(statements(), rest)["first_rows"]
    assert np.isnan(check.value)
    assert "too few groups" in check.finding


def test_first_rows_that_are_unlike_the_rest():
    other = statements(seed=1, text=lambda words, label: words + " later")
    assert warnings(statements(), other) == ["first_rows"]
    assert np.isnan(found(statements())["first_rows"].value), "no cap"


def test_statements_with_too_long_prompts_are_counted_and_are_not_those_that_the_cap_leaves_out():
    every = statements(210)
    kept, dropped = every[:200], [row for row in every[200:] if row["label"]]
    findings = found(kept, dropped=dropped)
    assert findings["dropped_too_long"].value == pytest.approx(5 / 205)
    assert findings["dropped_too_long"].verdict == "warning"
    assert findings["dropped_too_long"].finding == (
        "5 of 205 statements are left out as too long for a model: 0 of class 0 and 5 of class 1"
    )
    assert np.isnan(findings["first_rows"].value), "no cap"
    assert found(kept, statements(seed=1), dropped=dropped)["first_rows"].finding.startswith(
        "words tell the first rows from the 200 that the cap leaves out"
    )
    assert found(kept, dropped=[])["dropped_too_long"].verdict == "ok"
    assert "dropped_too_long" not in found(kept), "too long prompts are refused"


def test_rows_of_a_class_that_is_cut_off_alone_are_compared_with_their_own():
    # Else the word of that class would tell them apart.
    kept = statements(text=lambda words, label: f"{words} {'good' if label else 'bad'}")
    other = [row for row in statements(seed=1, text=lambda words, label: f"{words} good") if row["label"]]
    assert found(kept, other)["first_rows"].verdict == "ok"


def test_the_answer_in_the_text():
    finding = found(statements(text=lambda words, label: f"{words}. {'Yes' if label else 'No'}!"))["answer_in_text"]
    assert finding.value == 1
    assert finding.verdict == "warning"
    assert found(statements(text=lambda words, label: f"{words} noyes"))["answer_in_text"].value == 0, "whole words"


def prompt_files(folder, rows):
    """Write the prompts of statements, and return their paths."""
    paths = []
    for number, prompts in enumerate(rendered(rows, perturbations=(CLEAN, {"prepend": ["aaa", "bbb"]}))):
        paths.append(str(folder / f"prompts{number}.jsonl"))
        write_jsonl(paths[-1], prompts)
    return paths


def test_the_policy_to_stop_says_what_it_found(tmp_path):
    path = tmp_path / "statements.jsonl"
    source = tmp_path / "rows.jsonl"
    rows = statements(text=lambda words, label: f"so it is {'good' if label else 'bad'} {words}")
    write_jsonl(path, rows)
    write_jsonl(source, rows)
    options = {
        "statements": str(path),
        "prompts": prompt_files(tmp_path, rows),
        "entry": ENTRY | {"source": {"path": str(source)}},
        "source": str(source),
        "answers": ["no", "yes"],
        "split": GROUPED,
    }
    audit_dataset("d", **options, settings={"policy": "warn", "limits": LIMITS}, destination=str(tmp_path / "warn.csv"))
    assert (tmp_path / "warn.csv").is_file()
    with pytest.raises(UserError, match=r"^datasets.d: words alone reach a balanced accuracy of 1.00\. Change the"):
        audit_dataset(
            "d", **options, settings={"policy": "stop", "limits": LIMITS}, destination=str(tmp_path / "stop.csv")
        )
    assert not (tmp_path / "stop.csv").exists()


def test_a_dataset_is_audited_without_the_statements_that_are_left_out(tmp_path):
    rows = statements(210)
    for name in ("statements", "rows"):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    write_too_long(tmp_path / "table.csv", [TooLong(row["id"], "tiny", "clean", 9, 8) for row in rows[200:]])
    audit_dataset(
        "d",
        statements=str(tmp_path / "statements.jsonl"),
        prompts=prompt_files(tmp_path, rows[:200]),
        entry=ENTRY | {"source": {"path": str(tmp_path / "rows.jsonl")}},
        source=str(tmp_path / "rows.jsonl"),
        answers=["no", "yes"],
        split=GROUPED,
        settings={"policy": "warn", "limits": LIMITS},
        too_long=str(tmp_path / "table.csv"),
        destination=str(tmp_path / "audit.csv"),
    )
    table = pd.read_csv(tmp_path / "audit.csv", index_col="check")
    assert table.loc["larger_class", "finding"] == "classes have 100 and 100 statements"
    assert table.loc["dropped_too_long", "value"] == pytest.approx(10 / 210)
    assert table.loc["first_rows", "finding"] == "no cap leaves statements out"
