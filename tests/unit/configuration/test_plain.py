"""Numbers that are none, keys that are no text, and what YAML takes in silence: each is refused with the key in a sentence."""

import copy
import datetime
import math
import os
from pathlib import Path

import pytest
from conceptdepth.configuration.check import check_config
from conceptdepth.configuration.schema import MAIN, schemas
from conceptdepth.configuration.written import check_files
from conceptdepth.ground.errors import UserError
from whole_configuration import configuration

CONFIG = configuration()
for registry, known in (("models", ["smollm2-135m"]), ("datasets", ["cities", "coin_flips"])):
    CONFIG[registry] = {name: CONFIG[registry][name] for name in known}  # To be quick.

ENTRIES = {
    "models": "smollm2-135m",
    "datasets": "cities",
    "perturbations": "noise",
    "claims": "inferential_is_deeper_than_factual",
}
"""An entry of each mapping that has names for keys."""

HUGE = 10**30


def numeric(schema, of=MAIN, path=()):
    """Yield the path of every number and the schema that it has; names that a user chooses are ``*``, items are 0."""
    if "$ref" in schema:
        file, _, name = schema["$ref"].partition("#/$defs/")
        of = file or of
        found = schemas()[of]["$defs"][name] if name else schemas()[of]
        yield from numeric({key: value for key, value in schema.items() if key != "$ref"} | found, of, path)
        return
    kinds = schema.get("type", ())
    if {"number", "integer"} & ({kinds} if isinstance(kinds, str) else {*kinds}):
        yield path, schema
    inner = {**schema.get("properties", {})}
    inner |= {key: schema[way] for key, way in (("*", "additionalProperties"), (0, "items")) if way in schema}
    for key, content in inner.items():
        if isinstance(content, dict) and key != "switches":
            yield from numeric(content, of, (*path, key))
    for way in schema.get("allOf", ()):
        yield from numeric(way["then"], of, path)


NUMBERS = dict(numeric(schemas()[MAIN]))


def with_number(path, value):
    """Return the configuration with a number at a path, and the path with names for ``*``."""
    config = here = copy.deepcopy(CONFIG)
    entries = ENTRIES | ({"datasets": "coin_flips"} if "source" in path else {})
    named = [entries.get(path[i - 1], "int8") if key == "*" else key for i, key in enumerate(path)]
    for key, after in zip(named, named[1:]):
        if isinstance(here, dict) and (key not in here or (after == 0 and not isinstance(here[key], list))):
            here[key] = [1, 2] if after == 0 else {}
        here = here[key]
    here[named[-1]] = value
    return config, named


def test_the_numbers_of_the_schema_are_found():
    for path in (
        ("probes", "C"), ("probes", "C", 0), ("probes", "seeds", 0), ("models", "*", "parameters"), ("claims", "*", "margin"),
        ("datasets", "*", "classes", 0, "at_most"), ("datasets", "*", "source", "people"), ("intervals", "seed"),
    ):  # fmt: skip
        assert path in NUMBERS
    assert len(NUMBERS) > 45


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_what_is_no_number_or_a_huge_one_is_refused_by_its_key(path):
    for value in (math.nan, math.inf, -math.inf, HUGE, -HUGE, 10**400, 1e308, True):
        config, named = with_number(path, value)
        with pytest.raises(UserError) as refused:
            check_config(config)
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in named).lstrip(".")
        assert str(refused.value).startswith(f"{where}: "), value
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_every_number_has_both_ends(path):
    schema = NUMBERS[path]
    assert {"minimum", "exclusiveMinimum"} & schema.keys()
    assert {"maximum", "exclusiveMaximum"} & schema.keys()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("probes", "seeds", 0), 2**40, "is greater than the maximum of 4294967295"),
        (("probes", "seeds", 0), 1.0, "1.0 is not of type integer"),
        (("probes", "max_iter"), 1e3, "1000.0 is not of type integer"),
        (("probes", "max_iter"), "1e3", "'1e3' is not of type integer; it is text: .* write the number out"),
        (("probes", "C"), "1", "'1' is not of type number or array; .* nested in --config is always text"),
        (("intervals", "seed"), "0o17", "'0o17' is not of type integer"),
        (("probes", "test_share"), 0, "0 is less than or equal to the minimum of 0"),
        (("intervals", "level"), 1, "1 is greater than or equal to the maximum of 1"),
        (("intervals", "draws"), 10**12, "is greater than the maximum of 100000"),
        (("intervals", "draws"), None, "null is not of type integer"),
        (
            ("run", "quantizations"),
            "fp32",
            r"run.quantizations: 'fp32' is not of type array; for a list write \['fp32'\]",
        ),
        (("run", "models"), ["smollm2-135m", None], r"run.models\[1\]: null is not of type string"),
        (
            ("models", "smollm2-135m", "licence"),
            datetime.date(2024, 1, 1),
            "YAML reads 2024-01-01 as a date; put it in quotes",
        ),
        (("datasets", "cities", "drop"), [math.nan], r"datasets.cities.drop\[0\]: .nan is no number"),
        (
            ("ablation", "switches"),
            {"x": {"probes": {"C": math.inf}}},
            "ablation.switches.x.probes.C: .inf is no number",
        ),
        (("claims",), {1: None}, "claims: the key 1 is no text; put it in quotes"),
        (("perturbations",), {True: {"prepend": []}}, "perturbations: the key true is no text"),
        (("probes",), {None: 1}, "probes: the key null is no text"),
        (("datasets", "cities", "columns"), {1.5: "a"}, "datasets.cities.columns: the key 1.5 is no text"),
        (("claims",), {"a\n": None}, r"claims: the key 'a\\n' is empty or has line ends"),
        (("claims",), {"": None}, "claims: the key '' is empty"),
        (("datasets", "cities", "label"), "a\0b", r"datasets.cities.label: 'a\\x00b' has a NUL in it"),
        (("datasets", "cities", "label"), "a\ud800", "datasets.cities.label: .* has half of a surrogate pair in it"),
        (("probes", "C"), "x" * 10_000, "is not of type number"),
    ],
)
def test_each_oddity_has_its_sentence(path, value, message):
    config, _ = with_number(path, value)
    with pytest.raises(UserError, match=message) as refused:
        check_config(config)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("registry", ["models", "datasets", "perturbations"])
@pytest.mark.parametrize("name", ["a/b", "a" * 101, "a b", "-a", "ä"])
def test_a_name_that_is_no_file_name_is_refused(registry, name):
    config = copy.deepcopy(CONFIG)
    config[registry][name] = config[registry][ENTRIES[registry]]
    with pytest.raises(UserError, match=f"^{registry}: .* (does not match|is too long)"):
        check_config(config)


def test_the_end_of_a_pattern_is_the_end_of_the_text():
    config = copy.deepcopy(CONFIG)
    config["datasets"]["cities"]["source"]["sha256"] += "\n"
    with pytest.raises(UserError, match=r"datasets.cities.source.sha256: .* does not match"):
        check_config(config)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("probes: {C: 1}\nprobes: {C: 2}\n", ["line 2: the key 'probes' stands in line 1 too; only one of them would count."]),
        ("probes:\n  C: 1\n\n  C: 2\n", ["line 4: the key 'C' stands in line 2 too; only one of them would count."]),
        ("a: [{b: 1, b: 1}]\n", ["line 1: the key 'b' stands in line 1 too; only one of them would count."]),
        ("intervals:\n  seed: 017\n", ["line 2: YAML reads 017 as 15; write that, or put it in quotes."]),
        ("a: 1:30\n", ["line 1: YAML reads 1:30 as 90; write that, or put it in quotes."]),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}\ne: [0, -7, 1_000, 0x1F, 0.5, 1.0e-3, '017', 12:30am]\n", []),
        ('{"a": {"b": 1}, "c": [1, 2]}', []),
    ],
)  # fmt: skip
def test_what_yaml_takes_in_silence_is_refused_by_its_line(tmp_path, text, problems):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    if not problems:
        check_files([path])
        return
    with pytest.raises(UserError) as refused:
        check_files([path])
    assert str(refused.value).splitlines() == [f"{path}, {problem}" for problem in problems]


@pytest.mark.parametrize("closed", ["", "model.safetensors"])
def test_a_model_that_may_not_be_read_is_told_before_work(tmp_path, monkeypatch, closed):
    (tmp_path / "model.safetensors").write_bytes(b"")
    config = copy.deepcopy(CONFIG)
    config["models"]["smollm2-135m"]["source"] = {"path": str(tmp_path)}
    config["run"]["datasets"], config["ablation"]["run"], config["ablation"]["switches"] = (
        ["cities"],
        ["x"],
        {"x": {"probes": {"C": 2}}},
    )
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / closed)
    with pytest.raises(
        UserError, match=f"models.smollm2-135m.source.path: you are not allowed to read {tmp_path / closed};"
    ):
        check_config(config)
