"""Whatever is wrong with a configuration is said in one sentence that names the key and what is allowed."""

import csv
from pathlib import Path

import pytest
import yaml
from conceptdepth.configuration.causal import LINEAR
from conceptdepth.configuration.check import check_config
from conceptdepth.configuration.costs import BYTES_PER_PARAMETER
from conceptdepth.configuration.settings import (
    answer_settings,
    chosen_grid,
    chosen_keys,
    compared,
    compares,
    extraction_settings,
    figure_labels,
    grid,
    in_order,
    pinned,
    selected_configuration,
    weight_format,
)
from conceptdepth.datasets.audit import LIMITED
from conceptdepth.datasets.generators import GENERATORS
from conceptdepth.datasets.parsers import PARSERS
from conceptdepth.datasets.prompts import INSTRUCTIONS
from conceptdepth.depth.claims import ACCURACIES, EXPECTED, OF_USE
from conceptdepth.depth.definitions import describe_curve
from conceptdepth.depth.interventions import METHODS
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import CONTROL_FORMATS, RANDOM, RERUN
from conceptdepth.models.formats import QUANTIZATIONS
from conceptdepth.models.positions import POSITIONS
from conceptdepth.models.sites import SITES
from conceptdepth.probes.baselines import FEATURES
from conceptdepth.probes.estimators import KINDS
from conceptdepth.probes.nuisances import NUISANCES
from conceptdepth.probes.splits import SPLITS
from conceptdepth.probes.tasks import CONTROLS
from snakemake.utils import update_config
from whole_configuration import configuration, read

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config():
    return configuration()


def change(config, path, value):
    *parents, key = path
    for parent in parents:
        config = config[parent]
    config[key] = value


def test_the_shipped_configuration_is_right(config):
    check_config(config)


def test_the_papers_grid_is_right_and_is_what_its_published_numbers_are_about(config):
    update_config(config, read("paper"))
    check_config(config)
    with (ROOT / "resources/published/site_peak_converge.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for registry in ("models", "datasets"):
        named = [config[registry][name]["published"] for name in config["run"][registry]]
        assert sorted(named) == sorted({row[registry.removesuffix("s")] for row in rows})


def test_the_rigorous_preset_leaves_the_papers_in_these_settings_and_no_others(config):
    update_config(config, read("paper"))
    paper = dict(flat(config))
    update_config(config, read("rigorous"))
    check_config(config)
    rigorous = dict(flat(config))
    assert {key: (paper[key], value) for key, value in rigorous.items() if paper[key] != value} == {
        "prompts.instruction": ("released_code", "declared"),
        "probes.split": ("reference", "stratified"),
        "probes.seeds": ([42], [42, 43, 44, 45, 46]),
        "probes.kinds": (["logistic_regression"], ["logistic_regression", "mass_mean"]),
        "probes.standardize": (False, True),
        "probes.solver": ("lbfgs", "newton"),
        "probes.C": (1.0, [0.00001, 0.0001, 0.001, 0.01, 0.1]),
        "probes.max_iter": (100, 1000),
        "controls.partial_out": ([], ["length", "words", "norm"]),
        "controls.targets": ([], ["shuffled_labels", "control_task"]),
        "controls.baselines": ([], ["bag_of_words", "tf_idf", "text_length"]),
        "controls.embedding_layer": (False, True),
        "controls.random_weights": (False, True),
        "data_audit.policy": ("off", "warn"),
        "intervals.draws": (0, 5000),
        "intervals.permutations": (0, 10000),
        "intervals.correction": ("bh", "by"),
        "drift.measured": (False, True),
        "drift.rerun": (False, True),
        "simulation.repetitions": (0, 60),
        "transfer.measured": (False, True),
        "causal.statements": (16, 64),
        "causal.random_directions": (20, 99),
        "datasets.strategyqa.parser.rationale": (True, False),
    }


def flat(value, where=""):
    """Yield the path of every value that is no mapping, and the value."""
    for key, content in value.items():
        if isinstance(content, dict) and content:
            yield from flat(content, f"{where}{key}.")
        else:
            yield f"{where}{key}", content


def test_a_model_may_have_dots_in_its_name(config):
    config["models"]["qwen1.5-0.5b"] = config["models"]["smollm2-135m"]
    check_config(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["probs"], {}, r"configuration: unknown key 'probs' \(did you mean 'probes'\?\); allowed are run, source_mirror"),
        (["probes", "max_itr"], 9, r"probes: unknown key 'max_itr' \(did you mean 'max_iter'\?\); allowed are split"),
        (["run", "models"], ["smollm"], r"run.models: 'smollm' does not exist \(did you mean 'smollm2-135m'\?\)"),
        (["run", "datasets"], ["city"], r"run.datasets: 'city' does not exist.*datasets has cities, coin_flips"),
        (["run", "perturbations"], ["typos"], r"run.perturbations: 'typos' does not exist; perturbations has clean, noise"),
        (["run", "quantizations"], ["fp61"], r"run.quantizations\[0\]: 'fp61' does not exist.*allowed are fp32, bf16, int8, nf4"),
        (["prompts", "instruction"], "released", r"prompts.instruction: 'released' does not exist.*allowed are declared, released_code"),
        (
            ["claims", "mine"],
            {"statement": "?", "quantities": ["peak_depth"], "compare": "domain", "expected": "higher", "of": "factual"},
            r"claims.mine: 'than' is missing",
        ),
        (["drift", "outlier"], 0, r"drift.outlier: 0 is less than or equal to the minimum of 0"),
        (["simulation", "pairs"], 5, r"simulation.pairs: 5 is less than the minimum of 20"),
        (["ablation", "run"], ["pair_split"], r"ablation.run: 'pair_split' does not exist \(did you mean 'pairs_split'\?\)"),
        (["ablation", "switches", "x"], {"probes": {"splt": 1}}, r"ablation.switches.x.probes: unknown key 'splt' \(did you mean"),
        (["ablation", "switches", "x"], {"depth": {}}, r"ablation.switches.x: unknown key 'depth'; allowed are perturb"),
        (["ablation", "switches", "x"], {"perturbations": {"nose": {"seed": 2}}}, r"x.perturbations: 'nose' does not exist"),
        (
            ["ablation", "switches", "x"],
            {"datasets": {"strategyqa": {"parser": {"rational": True}}}},
            r"ablation.switches.x.datasets.strategyqa.parser: unknown key 'rational' \(did you mean 'rationale'\?\)",
        ),
        (["ablation", "switches", "all"], {"probes": {"C": 2}}, r"ablation.switches: 'all' should not be valid"),
        (["run", "quantizations"], [], r"run.quantizations: \[\] should be non-empty"),
        (["perturbations", "a.b"], {"prepend": []}, r"perturbations: 'a.b' does not match"),
        (["execution", "batch_tokens"], "all", r"execution.batch_tokens: 'all' does not match '\^auto\$'"),
        (["execution", "batch_tokens"], 0, r"execution.batch_tokens: 0 is less than"),
        (["execution", "max_memory"], {"gpu": "1GiB"}, r"execution.max_memory: 'gpu' does not match"),
        (["execution", "max_memory"], {"0": "1 GB"}, r"execution.max_memory.0: '1 GB' does not match"),
        (["controls", "partial_out"], ["lenght"], r"controls.partial_out\[0\]: 'lenght' does not exist \(did you mean 'length'\?\); allowed are length"),
        (["probes", "split"], "random", r"probes.split: 'random' does not exist; allowed are grouped, reference"),
        (["probes", "seeds"], "42", r"probes.seeds: '42' is not of type array"),
        (["probes", "test_share"], 1.5, r"probes.test_share: 1.5 is greater than"),
        (["datasets", "movie_snippets", "columns"], {"text": "text"}, r"datasets.movie_snippets.columns: 'label' is missing"),
        (["datasets", "cities", "source"], {"ftp": "x"}, r"datasets.cities.source: one of these keys is needed: url; hf; pypi; path; generator"),
        (["datasets", "cities", "parser"], {"name": "cities", "population": 1, "pop": 1, "seed": 0}, r"datasets.cities.parser: unknown key 'pop'"),
        (["datasets", "coin_flips", "source"], {"generator": "coin_flips", "groups": 2, "seed": 0}, r"datasets.coin_flips.source: 'people' is missing"),
        (["models", "smollm2-135m", "source"], {"hf": "a/b", "revision": "main"}, r"models.smollm2-135m.source.revision: 'main' does not match"),
        (["models", "smollm2-135m", "published"], "Gemma7B", r"models.smollm2-135m.published: 'Gemma7B' does not exist \(did you mean 'Gemma-7B'\?\)"),
        (["datasets", "cities", "published"], "Towns", r"datasets.cities.published: 'Towns' does not exist; allowed are Cities, Common"),
        (["models", "smollm2-135m", "source"], {"pypi": "x==1"}, r"models.smollm2-135m.source: 'sha256', 'member' is missing"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_sentence(config, path, value, message):
    change(config, path, value)
    with pytest.raises(UserError, match=message) as error:
        check_config(config)
    assert "\n" not in str(error.value), "one mistake, one sentence"


def test_a_dataset_without_table_or_parser(config):
    del config["datasets"]["cities"]["parser"]
    with pytest.raises(UserError, match="datasets.cities: one of these keys is needed: table and columns; parser"):
        check_config(config)


def own_dataset(config, tmp_path, content):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    config["datasets"]["mine"] = {
        "label": "Mine",
        "domain": "factual",
        "about": "A test.",
        "licence": "mine",
        "source": {"path": str(path)},
        "table": {"format": "csv"},
        "columns": {"id": "id", "text": "text", "label": "label"},
        "classes": [{"name": "no", "values": [0]}, {"name": "yes", "answer": "Yes", "values": [1]}],
        "template": {"layout": "prompt_first", "prompt": "Judge."},
    }
    config["run"]["datasets"] = ["mine"]
    return config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\na,A\nb,B\n", "datasets.mine: columns.label: .*mine.csv has no column 'label'"),
        ("id,text,label\na,A,0\na,B,1\n", "datasets.mine: the id 'a' stands 2 times"),
        ("id,text,label\na,A,0\nb,B,0\n", r"datasets.mine: no row is in class 1 \(yes\)"),
        ("id,text,label\na,A,0\nb,B,1,\n", "datasets.mine: .*mine.csv, line 3 has 4 fields, but the header has 3"),
        ("", "datasets.mine: .*mine.csv has no rows"),
    ],
)
def test_a_local_table_is_read_before_anything_runs(config, tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        check_config(own_dataset(config, tmp_path, content))


def test_a_right_local_table_passes(config, tmp_path):
    rows = "".join(f"{n},Text {n},{n % 2}\n" for n in range(20))
    check_config(own_dataset(config, tmp_path, f"id,text,label\n{rows}"))


@pytest.fixture
def read_at(config):
    """A function that checks the configuration with these datasets where vectors are read at some positions."""

    def check_positions(positions, datasets, switches=()):
        config["activations"]["positions"] = positions
        config["run"]["datasets"] = datasets
        config["ablation"]["switches"] |= switches
        check_config(config)

    return check_positions


def test_a_span_is_read_only_where_datasets_name_one(read_at):
    read_at(["last", "span_last", "span_mean"], ["coin_flips", "transitive_order", "cities", "counterfact"])
    read_at(["last", "text_mean"], ["stsa", "coinflip"])


@pytest.mark.parametrize(
    ("positions", "datasets", "said"),
    [
        (
            ["last", "span_last"],
            ["cities", "commonclaim", "counterfact"],
            ["activations.positions: span_last needs a span of each text, and datasets.commonclaim names none; add "
             "`columns: {span: ...}` (`span: examples` is the whole text), or leave span_last out."],
        ),
        (
            ["span_last", "text_last", "span_mean"],
            ["stsa", "coinflip"],
            ["activations.positions: span_last and span_mean need a span of each text, and datasets.stsa names none; leave "
             "span_last and span_mean out, or stsa out of `run.datasets`.",
             "activations.positions: span_last and span_mean need a span of each text, and datasets.coinflip names none; add "
             "`columns: {span: ...}` (`span: question` is the whole text), or leave span_last and span_mean out."],
        ),
    ],
)  # fmt: skip
def test_a_dataset_without_spans_is_said_before_anything_runs(read_at, positions, datasets, said):
    with pytest.raises(UserError) as error:
        read_at(positions, datasets)
    assert str(error.value).split("\n") == said


def test_a_switch_that_reads_at_a_span_is_checked_as_well(read_at):
    switches = {"at_span": {"activations": {"positions": ["span_mean"]}}}
    read_at(["last"], ["cities"], switches)
    with pytest.raises(
        UserError, match=r"^ablation.switches.at_span.activations.positions: span_mean needs .* add `col"
    ):
        read_at(["last"], ["cities", "sarcasm"], switches)


def test_an_answer_is_a_word_of_its_own_or_the_name_of_the_class_and_makes_no_statement(config):
    classes = [{"name": "no", "values": [0]}, {"name": "yes", "answer": "Sure", "values": [1]}]
    config["datasets"]["cities"]["classes"] = classes
    found = answer_settings(config, "cities", "fp32")
    assert found == {"cue": "Answer:", "words": ["no", "Sure"], "fixed_batch_tokens": None}
    assert answer_settings(config, "cities", "int8")["fixed_batch_tokens"] == 4096
    assert chosen_keys(config["datasets"]["cities"], ["classes"]) == {"classes": [{"values": [0]}, {"values": [1]}]}


def test_every_schema_key_is_described():
    def undescribed(schema, where):
        for key, value in schema.get("properties", {}).items():
            if "description" not in value and set(value) != {"$ref"}:
                yield f"{where}.{key}"
            yield from undescribed(value, f"{where}.{key}")
        for inner in ("additionalProperties", "items"):
            if "properties" in (entries := schema.get(inner) or {}) and "switches" not in where:
                yield from undescribed(entries, f"{where}.<name>")

    for path in (ROOT / "config" / "schemas").glob("*.yaml"):
        schema = yaml.safe_load(path.read_text())
        assert list(undescribed(schema, path.name)) == []
        assert schema["additionalProperties"] is False


MEASURES = ["mean_accuracy", "held_out_peak_accuracy", "held_out_peak_above_baseline", "first_above_baseline"]


def test_what_the_schemas_allow_is_what_the_code_knows():
    schema = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())["properties"]
    datasets = yaml.safe_load((ROOT / "config/schemas/datasets.schema.yaml").read_text())
    formats = schema["run"]["properties"]["quantizations"]["items"]["enum"]
    assert formats == list(QUANTIZATIONS)
    assert [*QUANTIZATIONS, RANDOM] == list(BYTES_PER_PARAMETER)
    assert schema["activations"]["properties"]["fixed_batch_tokens"]["propertyNames"]["enum"] == formats
    assert schema["activations"]["properties"]["sites"]["items"]["enum"] == list(SITES)
    assert schema["activations"]["properties"]["positions"]["items"]["enum"] == list(POSITIONS)
    assert sorted(schema["probes"]["properties"]["split"]["enum"]) == sorted(SPLITS)
    assert schema["probes"]["properties"]["kinds"]["items"]["enum"] == list(KINDS)
    assert schema["controls"]["properties"]["targets"]["items"]["enum"] == list(CONTROLS)
    assert schema["controls"]["properties"]["partial_out"]["items"]["enum"] == list(NUISANCES)
    assert schema["controls"]["properties"]["baselines"]["items"]["enum"] == list(FEATURES)
    assert list(schema["data_audit"]["properties"]["limits"]["properties"]) == list(LIMITED)
    assert schema["causal"]["properties"]["methods"]["items"]["enum"] == list(METHODS)
    assert schema["causal"]["properties"]["position"]["enum"] == list(POSITIONS)
    assert schema["causal"]["properties"]["probe"]["enum"] == [*LINEAR, None]
    assert {*LINEAR} < {*KINDS}
    claim = schema["claims"]["additionalProperties"]["properties"]
    assert claim["expected"]["enum"] == list(EXPECTED)
    described = describe_curve([0.5, 0.9], jump_ratio=1.1, plateau_band=0.03, peak_share=0.95, standard_error=[0, 0])
    # The published rule counts from 1 and two layers on: models of different depth are not compared by it.
    comparable = [name for name in described if name != "converging_point_published"]
    assert sorted(claim["quantities"]["items"]["enum"]) == sorted([*comparable, *MEASURES, *OF_USE])
    assert {*ACCURACIES} <= {*claim["quantities"]["items"]["enum"]}
    assert schema["prompts"]["properties"]["instruction"]["enum"] == list(INSTRUCTIONS)
    assert datasets["$defs"]["generator"]["properties"]["generator"]["enum"] == list(GENERATORS)
    assert datasets["properties"]["parser"]["properties"]["name"]["enum"] == list(PARSERS)


def test_controls_stand_among_the_weight_formats_and_are_none(config):
    assert grid(config) == chosen_grid(config)
    config["drift"]["rerun"] = config["controls"]["random_weights"] = True
    assert grid(config)["quantization"] == ["fp32", RERUN, "int8", RANDOM]
    assert compared(config)["quantization"] == ["fp32", RERUN, "int8"]
    assert set(grid(config)["quantization"]) - set(chosen_grid(config)["quantization"]) == set(CONTROL_FORMATS)


def test_it_takes_two_of_a_kind_to_compare(config):
    assert compares(config)
    config["run"] |= {"quantizations": ["fp32"], "perturbations": ["clean"]}
    assert not compares(config)
    config["controls"]["random_weights"] = True
    assert not compares(config), "random weights are like nothing else"
    config["drift"]["rerun"] = True
    assert compares(config)
    config["drift"]["measured"] = False
    assert not compares(config)


def test_a_rerun_is_the_first_format_with_other_tokens_in_a_pass(config):
    first, again = (extraction_settings(config, name) for name in ("fp32", RERUN))
    assert (first["fixed_batch_tokens"], again["fixed_batch_tokens"]) == (None, 64)
    assert first | {"fixed_batch_tokens": 64} == again
    config["run"]["quantizations"].reverse()
    first, again = (extraction_settings(config, name) for name in ("int8", RERUN))
    assert (first["fixed_batch_tokens"], again["fixed_batch_tokens"]) == (4096, 64)
    assert again["weights"] == weight_format(config, RERUN) == "int8"
    assert extraction_settings(config, RANDOM)["weights"] == RANDOM


def test_a_cap_of_null_is_none_at_all(config):
    config["datasets"]["cities"]["max_per_class"] = None
    check_config(config)
    assert "max_per_class" not in chosen_keys(config["datasets"]["cities"], ["parser", "max_per_class"])


def test_settings_of_jobs_have_a_fixed_order():
    assert repr(in_order({"b": 1, "a": {"d": 2, "c": 3}})) == "{'a': {'c': 3, 'd': 2}, 'b': 1}"


def test_a_local_source_is_pinned_by_its_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = pinned({"path": str(path)})
    path.write_bytes(b"two")
    assert pinned({"path": str(path)})["sha256"] != first["sha256"]


def test_the_recorded_configuration_holds_what_the_run_selects_and_nothing_more(config):
    chosen = selected_configuration(config)
    assert list(chosen["datasets"]) == sorted(config["run"]["datasets"])
    assert "execution" not in chosen
    assert chosen["probes"] == config["probes"]


def test_figures_name_what_the_run_selects_in_its_order(config):
    config["run"]["datasets"] = ["movie_snippets", "cities"]
    assert figure_labels(config)["datasets"] == {
        "movie_snippets": {"domain": "emotional", "label": "Movie snippets"},
        "cities": {"domain": "factual", "label": "Cities"},
    }
