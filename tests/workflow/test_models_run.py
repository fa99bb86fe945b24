"""Models of other architectures and formats through the whole workflow, and refused ones: at the dry run, in words."""

import json

import h5py
import pandas as pd
import pytest
import torch
import transformers as hf
from architectures import built, configuration
from project import make_project
from test_reruns import with_run
from tiny_model import save_checkpoint

TABLES = ["results/tables/layer_scores.csv", "results/tables/concept_depth.csv"]
WEIGHTS = {"hybrid": "bf16", "bare": "fp16", "four": "nf4"}
"""What each model's own format is."""


def save_models(folder):
    """Save a hybrid, a model without norms before its MLPs, one that is quantized, and one under other names."""
    save_checkpoint(folder / "hybrid", built(configuration("qwen3_next")).to(torch.bfloat16))
    save_checkpoint(folder / "bare", built(configuration("olmo2")).to(torch.float16))
    wide = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    plain = save_checkpoint(folder / "plain", built(hf.LlamaConfig(vocab_size=32, max_position_embeddings=64, **wide)))
    four = hf.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model = hf.AutoModelForCausalLM.from_pretrained(plain, quantization_config=four, device_map={"": "cpu"})
    save_checkpoint(folder / "four", model)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with these models, which nothing has run in."""
    project = make_project(tmp_path_factory.mktemp("models") / "project")
    save_models(project.folder / "data")

    def chosen(config):
        of_tiny = config["models"]["tiny"]
        config["models"] |= {name: of_tiny | {"source": {"path": f"data/{name}"}} for name in WEIGHTS}

    project.overlay(chosen)
    with_run(models=list(WEIGHTS), quantizations=["native"], datasets=["claims"], perturbations=["clean"])(project)
    return project


@pytest.fixture(scope="module")
def ran(project, tmp_path_factory):
    """The project after a run. Tests must leave it as it is."""
    copied = project.copy(tmp_path_factory.mktemp("ran") / "project")
    result = copied.snakemake(*TABLES, *(f"results/activations/{name}/native/index.csv" for name in WEIGHTS))
    assert result.returncode == 0, result.stdout + result.stderr
    return copied


def test_tables_and_records_say_what_a_native_format_is(ran):
    results = ran.folder / "results"
    for table in TABLES:
        rows = pd.read_csv(ran.folder / table)
        assert rows.groupby("model")["weights"].unique().map(list).to_dict() == {k: [v] for k, v in WEIGHTS.items()}
        assert set(rows["quantization"]) == {"native"}
    for name, form in WEIGHTS.items():
        record = json.loads((results / f"provenance/extract_activations/{name}/native/claims.clean.json").read_text())
        assert record["environment"]["weights"] == form
        assert pd.read_csv(results / f"activations/{name}/native/index.csv")["weights"].tolist() == [form]


def test_each_file_has_its_self_test_and_each_log_how_prompts_were_laid_out(ran):
    layouts = {"hybrid": "prompts of equal length", "bare": "prefix trees", "four": "prefix trees"}
    for name, layout in layouts.items():
        with h5py.File(ran.folder / f"results/activations/{name}/native/claims.clean.h5") as file:
            facts = json.loads(file.attrs["self_test"])
            assert file.attrs["weights"] == WEIGHTS[name]
            n_layers = len(file["activations/mlp_input/last"])
        assert facts["layout"] == layout
        assert facts["tolerance"] == 0.1, "the arithmetic of all three has 16 bits"
        assert len(facts["largest_difference"]["mlp_input"]) == n_layers
        log = (ran.folder / f"results/logs/extract_activations/{name}/native/claims.clean.log").read_text()
        assert f"self-test of {name} passed: {layout}, differences up to" in log


def test_a_format_that_a_checkpoint_is_not_in_ends_the_dry_run(project, tmp_path):
    copied = project.copy(tmp_path / "project")
    with_run(quantizations=["fp32", "native"])(copied)
    result = copied.snakemake("--dry-run")
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert (
        "models.four: the checkpoint is stored as nf4, but run.quantizations asks for fp32; select `native`, or name the "
        "model's unquantized checkpoint."
    ) in said
    assert "Traceback" not in said


def test_check_model_prints_what_is_read_where_and_a_verdict(project):
    result = project.conceptdepth("check-model", "data/bare", "--format", "native", "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    said = " ".join(result.stdout.split())
    for words in (
        "model bare, Olmo2ForCausalLM (olmo2)",
        "weights fp16 on cpu",
        "layers 4 of width 32, model.layers.0 to model.layers.3",
        "prompts at most 64 tokens",
        "site mlp_input: input of model.layers.N.mlp",
        "site residual: output of model.layers.N",
        "site residual_mid: input of model.layers.N.mlp",
        "site attention_output: output of model.layers.N.post_attention_layernorm",
        "site mlp_output: output of model.layers.N.post_feedforward_layernorm",
        "probed . (token 7 of 7)",
        "passes prefix trees",
        "self-test 5 prompts of 1 to 14 tokens; largest difference from the plain model",
        "verdict supported: what is read is what the plain model computes",
    ):
        assert words in said


def test_check_model_takes_names_of_the_registry_and_what_a_run_has_fetched(project, ran, tmp_path):
    for where in (project, ran):
        result = where.conceptdepth("check-model", "hybrid", "--format", "bf16", "--configfile", "overlay.yaml")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "passes      prompts of equal length" in result.stdout
    copied = ran.copy(tmp_path / "project")
    with (copied.folder / "data/hybrid/model.safetensors").open("ab") as stream:
        stream.write(b" ")
    result = copied.conceptdepth("check-model", "hybrid", "--configfile", "overlay.yaml")
    assert "model.safetensors is not what was fetched; delete results/models/hybrid/model.json" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["data/four"], 1, "models.four: the checkpoint is stored as nf4, but run.quantizations asks for fp32; select"),
        (["nothing"], 2, "'nothing' is neither in the registry, which has smollm2-135m, "),
        (
            ["data/bare", "--format", "fp61"],
            2,
            "--format: 'fp61' does not exist; allowed are fp32, bf16, int8, nf4, native.",
        ),
    ],
)
def test_check_model_refuses_in_one_sentence(project, words, code, said):
    result = project.conceptdepth("check-model", *words)
    assert result.returncode == code
    assert result.stderr.startswith(f"Error: {said}")
    assert len(result.stderr.splitlines()) == 1
