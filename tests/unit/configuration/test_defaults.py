"""Defaults are those that config/config.yaml once set, lie below every file, and are right by their own schema."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from conceptdepth.configuration.check import check_config
from conceptdepth.configuration.schema import MAIN, defaults, filled, schemas, validator
from conceptdepth.ground.errors import UserError
from snakemake.utils import update_config
from whole_configuration import configuration, configured, read

DEFAULT_RUN = yaml.safe_load(Path(__file__).with_name("default_run.yaml").read_text(encoding="utf-8"))

OVERLAYS = {
    "none": [],
    "paper": ["paper"],
    "rigorous": ["rigorous"],
    "paper, then rigorous": ["paper", "rigorous"],
    "nine datasets": ["nine_datasets"],
    "positions": ["positions"],
    "more of a default mapping": [{"activations": {"fixed_batch_tokens": {"nf4": 64}}}],
    "other in a default mapping": [{"activations": {"fixed_batch_tokens": {"int8": 1}}}],
    "a switch more": [{"ablation": {"run": ["mine"], "switches": {"mine": {"probes": {"C": 2}}}}}],
    "a limit and a perturbation": [
        {"data_audit": {"limits": {"text_length": 0.9}}, "perturbations": {"noise": {"seed": 7}, "caps": {"prepend": ["A"]}}}
    ],
    "an empty mapping and an empty list": [{"ablation": {"switches": {}}, "controls": {"baselines": []}}],
    "nulls": [{"source_mirror": "there", "execution": {"scratch": "here"}}, {"source_mirror": None, "execution": {"scratch": None}}],
    "a section without anything": [{"probes": None}],
    "a claim left out": [{"claims": {"sentiment_is_shallow": None}}],
}  # fmt: skip


@pytest.mark.parametrize("overlays", OVERLAYS.values(), ids=OVERLAYS)
def test_files_and_overlays_make_the_configuration_that_they_made_when_config_yaml_set_everything(overlays):
    as_before = {}
    for content in ("models", "datasets", DEFAULT_RUN, "claims", *overlays):
        update_config(as_before, read(content) if isinstance(content, str) else content)
    assert configuration(*overlays) == as_before


def test_what_is_filled_in_is_nobodys_but_the_callers():
    first = configuration()
    first["ablation"]["switches"].clear()
    first["controls"]["baselines"].clear()
    assert configuration()["ablation"]["switches"]
    assert configuration()["controls"]["baselines"]
    given = configured("paper")
    filled(given)
    assert given == configured("paper")


def keys(schema, where=()):
    """Give the path and the schema of every key of a section and of the sections in it."""
    for key, content in schema.get("properties", {}).items():
        yield (*where, key), content
        yield from keys(content, (*where, key))


KEYS = dict(keys(schemas()[MAIN]))


@pytest.mark.parametrize("path", [path for path, schema in KEYS.items() if "default" in schema], ids=".".join)
def test_a_default_is_right_by_its_own_schema(path):
    schema, value = KEYS[path], defaults()
    for key in path:
        value = value[key]
    assert value == schema["default"]
    validator().evolve(schema=schema | {"$defs": schemas()[MAIN]["$defs"]}).validate(value)


def test_a_key_is_set_in_config_yaml_or_has_a_default_and_never_both():
    said = configured()
    open_keys = {"execution.max_memory"}  # Without it the GPUs take what fits.
    for path, schema in KEYS.items():
        section, value = "properties" in schema, said
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if not section and ".".join(path) not in open_keys:
            assert ("default" in schema) != (value is not None), path


def test_a_key_with_a_default_may_be_missing_and_another_may_not():
    for schema in (schemas()[MAIN], *schemas()[MAIN]["properties"].values()):
        required = schema.get("required", [])
        assert not [key for key in required if "default" in schema["properties"][key]]
    config = configuration()
    del config["probes"]["split"]
    with pytest.raises(UserError, match="probes: 'split' is missing"):
        check_config(config)


def test_registries_have_no_defaults():
    """Entries are partial overlays of others: what is not said of a dataset, a model or a switch stays unsaid."""
    own = [*(content for name, content in schemas().items() if name != MAIN)]
    own += [KEYS[(key,)] for key in ("models", "datasets", "perturbations", "claims")]
    own.append(KEYS[("ablation", "switches")]["additionalProperties"])
    assert "default" not in set(names(own))
    assert set(names(KEYS[("probes",)])) >= {"default", "split"}


def names(value):
    """Give every key of nested mappings and lists."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from names(inner)


def test_the_schemas_are_schemas():
    for schema in schemas().values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_config_yaml_is_a_selection():
    lines = (Path(__file__).parents[3] / "config/config.yaml").read_text().splitlines()
    assert len(lines) < 60
