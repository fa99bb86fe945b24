"""The nine datasets of the paper are, text by text, what the released code reads, and so are their prompts.

They may not lie in this repository: these tests need a mirror of their files, ``../shared/sources``, and
``../shared/DATASETS.md`` beside it, which says what the code declares.
"""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conceptdepth.configuration.costs import expected_statements
from conceptdepth.datasets.sources import fetch_file
from conceptdepth.datasets.statements import load_statements, names_spans

ROOT = Path(__file__).parents[3]
MIRROR = ROOT / "../shared/sources"
FACTS = ROOT / "../shared/DATASETS.md"
REGISTRY = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())["datasets"]

needs_mirror = pytest.mark.skipif(not MIRROR.is_dir(), reason="the paper's datasets are not in ../shared/sources")
needs_facts = pytest.mark.skipif(not FACTS.is_file(), reason="there is no ../shared/DATASETS.md")

IMDB_ROWS = MIRROR / "imdb_test_first1000_per_class.jsonl"
"""The rows of IMDb's test split that the released code takes, in the order of the hub's file."""

LOADED = {
    "strategyqa": (1071, 1219, "5bc45c1530b2f955ac53c46f27f6804006b45e8f868230064c9be4a8c5968b96"),
    "coinflip": (253, 247, "dd0c11b0c17136dedb2dc38caf27cf1ba6d1ae4600d2a1b89f0079fb306533ce"),
    "geometry_cities": (748, 748, "3d763ac93a7fe57b89b095853e93c97e75fdd2595f2f6c54dff0cd796175ae22"),
    "commonclaim": (3000, 3000, "69bfe04ddc5451ff7ab8e3c61a6683f9acb9c9783eafc9901130c2aab655c8f5"),
    "counterfact": (2000, 2000, "bcc23eb0c94ea8340e32ab1cc94992a551d099a386687bb10fc308ad2bb5d955"),
    "hateeval": (3000, 3000, "7f49a093ac9083a9a5f8b172dc7a9813f6aaebbc9dcecc752ff01e66a687160a"),
    "stsa": (3310, 3610, "2cbc269e0a69313b4152518421fcae677632fa114eb08adf28fc7a4cfd00cf47"),
    "imdb": (1000, 1000, "7fe2d37f7d7613fc05d4359847e55f2a2a793dc4dec471a1baa85ca5b48f63d7"),
    "sarcasm": (3000, 3000, "9392947f425b9faec95fba21161b90d0671592bbea92f6f5639e37785a71e2b0"),
}
"""What the reference's loaders return: rows of class 0 and of class 1, and the digest of `reference_form`."""


def reference_form(statements) -> bytes:
    """Class 0, then class 1, each in the order of its file; a JSON object a line."""
    rows = [{"text": s["text"], "y": s["label"]} for label in (0, 1) for s in statements if s["label"] == label]
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Give the statements of a dataset: fetched from the mirror as a run would, IMDb's rows from a local file."""
    folder = tmp_path_factory.mktemp("sources")
    found = {}

    def prepare(name: str):
        if name not in found:
            entry = REGISTRY[name]
            if name == "imdb":
                entry = entry | {"source": {"path": str(IMDB_ROWS)}, "table": {"format": "jsonl"}}
            fetch_file(f"datasets.{name}", entry["source"], folder / name, str(MIRROR))
            found[name] = load_statements(name, entry, folder / name)
        return found[name]

    return prepare


@needs_mirror
@pytest.mark.parametrize("name", LOADED)
def test_statements_are_those_of_the_released_code(prepared, name):
    zeros, ones, sha256 = LOADED[name]
    labels = [statement["label"] for statement in prepared(name)]
    assert (labels.count(0), labels.count(1)) == (zeros, ones)
    assert hashlib.sha256(reference_form(prepared(name))).hexdigest() == sha256


@needs_mirror
@pytest.mark.parametrize("name", LOADED)
def test_the_registry_says_what_size_to_expect(prepared, name):
    lengths = [len(statement["text"]) for statement in prepared(name)]
    assert expected_statements(REGISTRY[name]) == len(lengths)
    assert REGISTRY[name]["size"]["characters"] == round(sum(lengths) / len(lengths), 1)


@needs_mirror
@pytest.mark.parametrize("name", LOADED)
def test_no_text_stands_in_two_groups(prepared, name):
    groups: dict[str, set[str]] = {}
    for statement in prepared(name):
        groups.setdefault(statement["text"], set()).add(statement["group"])
    assert {len(found) for found in groups.values()} == {1}


@needs_mirror
@pytest.mark.parametrize(("name", "groups"), [("geometry_cities", 748), ("counterfact", 1995), ("strategyqa", 2289)])
def test_statements_about_one_thing_are_a_group(prepared, name, groups):
    assert len({statement["group"] for statement in prepared(name)}) == groups


@needs_mirror
@pytest.mark.parametrize("name", LOADED)
def test_spans_are_where_the_registry_says(prepared, name):
    assert {"span" in statement for statement in prepared(name)} == {names_spans(REGISTRY[name])}
    assert names_spans(REGISTRY[name]) == (name in ("geometry_cities", "counterfact", "strategyqa"))


@needs_mirror
def test_the_first_occurrence_of_a_subject_is_that_of_its_relation(prepared):
    """Also where both are the same, as in "Florence is a twin city of Florence."."""
    for statement in prepared("counterfact"):
        before = statement["group"].partition("{}")[0]
        assert statement["text"].startswith(before + statement["span"])
        assert statement["text"].index(statement["span"]) == len(before)


@needs_mirror
def test_imdb_reads_the_same_from_parquet(prepared, tmp_path):
    rows = [
        {"text": row["text"], "label": row["label"]}
        for row in map(json.loads, IMDB_ROWS.read_text("utf-8").rstrip("\n").split("\n"))
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "test.parquet", engine="pyarrow")
    assert load_statements("imdb", REGISTRY["imdb"], tmp_path / "test.parquet") == prepared("imdb")


@needs_mirror
@pytest.mark.parametrize("name", [name for name in LOADED if name != "imdb"])  # Its whole file is not in the mirror.
def test_a_cap_can_be_lifted_and_the_registry_says_what_there_is_without(name, tmp_path):
    entry = REGISTRY[name] | {"max_per_class": None}
    fetch_file(f"datasets.{name}", entry["source"], tmp_path / name, str(MIRROR))
    labels = [statement["label"] for statement in load_statements(name, entry, tmp_path / name)]
    assert [labels.count(0), labels.count(1)] == entry["size"]["statements"]


# --- Prompts ----------------------------------------------------------------------------------------------

LAYOUTS = {
    'prompt + `" "` + text': "prompt_first",
    'text + `" "` + prompt': "text_first",
    'prompt + text + `" "` + cot': "text_between",
}
NAMES = {
    "cities": "geometry_cities",
    "common": "commonclaim",
    "STSA": "stsa",
    "IMDb": "imdb",
    "StrategyQA": "strategyqa",
}


def declared() -> dict[str, dict[str, str]]:
    """The templates that ``dataset.py`` of the released code declares, from the table in DATASETS.md."""
    table = FACTS.read_text().partition("| declared prompt |")[2].partition("\n\n")[0]
    templates = {}
    for row in re.findall(r"^\| ([\w, ]+) \| `(.*?)`.*? \| (.*?) \| (?:`(.*)`|none) \|$", table, re.MULTILINE):
        names, prompt, layout, cue = row
        layout = LAYOUTS[layout.partition(" (")[0]]
        template = {"layout": layout, "prompt": prompt.replace("\\n", "\n")} | ({"cue": cue} if cue else {})
        templates |= {NAMES.get(name, name): template for name in names.split(", ")}
    return templates


@needs_facts
def test_templates_are_those_that_the_released_code_declares():
    assert declared() == {name: REGISTRY[name]["template"] for name in LOADED}
