"""A configuration is printed as YAML that reads back, and each value has the origin that it is from."""

import yaml
from conceptdepth.commands.config import WIDEST, selected, text
from conceptdepth.configuration.origins import COMMAND_LINE, DEFAULT, Layer, Layers
from conceptdepth.configuration.schema import defaults, ordered
from snakemake.utils import update_config
from whole_configuration import FILES, configuration, read

OVERLAY = {
    "probes": {"C": [0.00001, 2], "split": "stratified"},
    "activations": {"fixed_batch_tokens": {"nf4": 64}},
    "execution": {"max_memory": {"0": "20GiB"}},
    "answers": {"cue": "In short:\n# the answer is"},
    "datasets": {"cities": {"max_per_class": None}},
}


def layered(*layers):
    config = {}
    for layer in layers:
        update_config(config, layer.content)
    return Layers(config, layers)


FOUND = layered(
    Layer(DEFAULT, defaults()),
    *(Layer(f"config/{name}.yaml", read(name)) for name in FILES),
    Layer("mine.yaml", OVERLAY),
    Layer(COMMAND_LINE, {"probes": {"C": 3}}),
)


def origins(printed):
    """Path -> origin, as printed, from lines and their indentation alone."""
    found, path = {}, []
    for line in printed.splitlines():
        key, _, rest = line.strip().partition(":")
        path = [*path[: (len(line) - len(line.lstrip())) // 2], key]
        if rest:
            found[".".join(path)] = rest.rpartition("  # ")[2]
    return found


def test_it_reads_back_to_the_whole_configuration():
    assert yaml.safe_load(text(FOUND, FOUND.config)) == FOUND.config == configuration(OVERLAY, {"probes": {"C": 3}})


def test_each_value_has_the_origin_of_the_last_that_set_it():
    found = origins(text(FOUND, FOUND.config))
    assert found["probes.C"] == "--config"
    assert found["probes.split"] == found["datasets.cities.max_per_class"] == found["answers.cue"] == "mine.yaml"
    assert found["probes.seeds"] == found["run.models"] == "config/config.yaml"
    assert found["probes.max_iter"] == found["ablation.switches.one_split.probes.seeds"] == "default"
    assert found["activations.fixed_batch_tokens.int8"] == "default"
    assert found["activations.fixed_batch_tokens.nf4"] == found["execution.max_memory.'0'"] == "mine.yaml"
    assert found["datasets.cities.label"] == "config/datasets.yaml"
    assert set(found.values()) == {layer.origin for layer in FOUND.layers}


def test_of_the_registries_stands_what_is_selected():
    config = selected(FOUND.config)
    assert list(config["datasets"]) == ["cities", "coin_flips", "movie_snippets"]
    assert list(config["models"]) == ["smollm2-135m"]
    assert yaml.safe_load(text(FOUND, config)) == config
    assert FOUND.config.items() >= {key: config[key] for key in set(config) - {"models", "datasets"}}.items()


def test_origins_stand_in_one_column():
    lines = text(FOUND, FOUND.config).splitlines()
    columns = {line.rindex("  # ") for line in lines if "  # " in line}
    assert min(columns) <= WIDEST + 2
    assert [column for column in columns if column <= WIDEST] == [min(columns)]


def test_keys_are_printed_in_the_order_of_the_schema():
    mixed = {
        "probes": {"C": 1, "split": "grouped"},
        "run": {},
        "perturbations": {"z": {}, "a": {"seed": 1, "prepend": []}},
    }
    found = ordered(mixed)
    assert found == mixed
    assert [list(found), list(found["probes"])] == [["run", "perturbations", "probes"], ["split", "C"]]
    assert list(found["perturbations"]) == ["z", "a"], "names stay as the user has them"
