"""What a checkpoint is, and whether it can be read right, is decided from its config and the names of its files."""

import json
import subprocess
import sys

import pytest
from conceptdepth.configuration.check import check_config
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import SCRIPTS
from conceptdepth.models.checkpoint import INDEX, check_checkpoint, check_folder, chosen_files, parts, stored_format
from whole_configuration import configuration

LLAMA = {"model_type": "llama"}
FILES = ["config.json", "model.safetensors", "tokenizer.json"]
PHI3 = {
    "model_type": "phi3",
    "auto_map": {
        "AutoConfig": "configuration_phi3.Phi3Config",
        "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
    },
}
OWN = {"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "modeling_own.OwnModel"}}
NEW = {"model_type": "new_kind", "auto_map": {"AutoConfig": "new.NewConfig", "AutoModelForCausalLM": "new.NewModel"}}
TWO = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"}}
PARTS = ["config.json", "tokenizer.json", INDEX, "model-2.safetensors"]


def check(config=LLAMA, files=FILES, *, formats=("fp32",), trust_remote_code=False, index=None):
    check_checkpoint("x", config, files, formats=formats, trust_remote_code=trust_remote_code, index=index)


def without(*names, more=()):
    return [file for file in [*FILES, *more] if file not in names]


@pytest.mark.parametrize(
    ("quantization", "stored"),
    [
        ({"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nf4"),
        ({"_load_in_4bit": True, "load_in_4bit": True}, "fp4"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors"),
        ({"bits": 4}, "unknown"),
        ({}, None),
        (None, None),
    ],
)
def test_the_format_that_weights_are_stored_in_is_read_off_the_config(quantization, stored):
    assert stored_format({**LLAMA, "quantization_config": quantization}) == stored
    assert stored_format({**LLAMA, "text_config": {"quantization_config": quantization}}) == stored
    assert stored_format({**LLAMA, "compression_config": quantization}) == stored


def test_a_quantized_checkpoint_is_taken_as_it_is_or_not_at_all():
    config = {**LLAMA, "quantization_config": {"quant_method": "awq"}}
    check(config, formats=["native"])
    with pytest.raises(
        UserError,
        match=r"^models\.x: the checkpoint is stored as awq, but run\.quantizations asks for bf16, nf4; select `native`, "
        r"or name the model's unquantized checkpoint\.$",
    ):
        check(config, formats=["bf16", "native", "nf4"])
    check(formats=["bf16", "native", "nf4"])


def test_quantization_that_only_a_file_beside_the_config_tells_of_is_found():
    with pytest.raises(UserError, match="the checkpoint is stored as gptq, but"):
        check(files=[*FILES, "quantize_config.json"])


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            [*FILES, "adapter_config.json", "adapter_model.safetensors"],
            r"adapter_config\.json says that this is an adapter beside a model, which would change the weights unseen; "
            r"merge the adapter into its base model and save that\.",
        ),
        (
            ["adapter_config.json", "adapter_model.safetensors"],
            r"says that this is an adapter without its model, which",
        ),
        (
            without("config.json"),
            r"there is no config\.json, which says what model this is; name a checkpoint as transformers saves it\.",
        ),
        (
            without("model.safetensors", more=["pytorch_model.bin"]),
            r"the weights are pickled \(pytorch_model\.bin\), and opening pickles may run code of strangers; "
            r"save them as \*\.safetensors, or name a revision that has them so\.",
        ),
        (
            without("model.safetensors", more=["consolidated.00.pth"]),
            r"the weights are pickled \(consolidated\.00\.pth\)",
        ),
        (
            without("model.safetensors", more=["consolidated.safetensors", "original/model.safetensors"]),
            r"there are no weights, model\.safetensors or model\.safetensors\.index\.json with its parts\.",
        ),
        (
            without("tokenizer.json", more=["tokenizer_config.json", "original/tokenizer.model"]),
            r"there is no file of a tokenizer \(tokenizer\.json, vocab\.json with merges\.txt, or vocab\.txt\); "
            r"save the model's tokenizer beside it with `save_pretrained`\.",
        ),
        (
            without("model.safetensors", more=["weights.safetensors"]),
            r"weights\.safetensors has another name than transformers looks for, model\.safetensors or "
            r"model\.safetensors\.index\.json\.",
        ),
    ],
)
def test_names_of_files_that_are_refused(files, sentence):
    with pytest.raises(UserError, match=rf"^models\.x\.source: .*{sentence}"):
        check(files=files)


@pytest.mark.parametrize("tokenizer", [["vocab.json", "merges.txt"], ["vocab.txt"]])
def test_tokenizers_that_transformers_opens_are_enough(tokenizer):
    check(files=without("tokenizer.json", more=tokenizer))


OTHERS = {"tokenizer.model": "sentencepiece", "tekken.json": "mistral_common", "qwen.tiktoken": "tiktoken"}


@pytest.mark.parametrize(("tokenizer", "package"), OTHERS.items())
def test_a_tokenizer_whose_package_is_not_installed_is_refused_before_weights_come(tokenizer, package, monkeypatch):
    files = without("tokenizer.json", more=[tokenizer])
    monkeypatch.setattr("conceptdepth.models.tokenizer_files.find_spec", lambda name: None)
    said = (
        f"its tokenizer is {tokenizer} alone, which takes the package {package}, and that is not installed; install it"
    )
    with pytest.raises(UserError, match=said):
        check(files=files)
    monkeypatch.setattr("conceptdepth.models.tokenizer_files.find_spec", lambda name: name == package)
    check(files=files)


def test_parts_that_the_index_names_are_all_there():
    with pytest.raises(
        UserError, match=r"names model-1\.safetensors and 1 more that are not there; complete the checkpoint\.$"
    ):
        check(files=PARTS, index=TWO)
    with pytest.raises(UserError, match=r"names model-3\.safetensors, which is not there"):
        check(files=[*PARTS, "model-1.safetensors"], index=TWO)
    check(files=[*PARTS, "model-1.safetensors", "model-3.safetensors"], index=TWO)
    check(files=[*PARTS, "model.safetensors"], index=TWO)  # Which is what transformers opens.
    with pytest.raises(UserError, match=r"model\.safetensors\.index\.json has no `weight_map`"):
        check(files=PARTS, index={})


def test_an_architecture_that_cannot_be_read_is_named():
    with pytest.raises(UserError, match=r"^models\.x: the architecture 'new_kind' is not known to transformers 5"):
        check({"model_type": "new_kind"})
    with pytest.raises(UserError, match=r"^models\.x: the architecture 't5' is no causal language model"):
        check({"model_type": "t5", "is_encoder_decoder": True})
    with pytest.raises(UserError, match=r"config\.json has no `model_type`, which says what architecture this is\.$"):
        check({})


def test_code_that_transformers_has_taken_in_is_not_needed_from_the_checkpoint():
    check(PHI3)
    check({"model_type": "falcon", "auto_map": {"AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM"}})
    check({**LLAMA, "auto_map": {"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]}})


@pytest.mark.parametrize("config", [OWN, NEW])
def test_code_of_a_checkpoints_own_runs_only_where_that_is_asked_for(config):
    code = config["auto_map"]["AutoModelForCausalLM"]
    with pytest.raises(
        UserError,
        match=rf"^models\.x: the model needs code of its own \({code}, says auto_map in config\.json\); "
        r"set models\.x\.trust_remote_code to run it, which is running code of strangers\.$",
    ):
        check(config)
    check(config, [*FILES, f"{code.partition('.')[0]}.py"], trust_remote_code=True)


def test_code_that_is_to_run_is_there():
    with pytest.raises(
        UserError,
        match=r"config\.json needs configuration_phi3\.py, which is not there; name a checkpoint that has it, or put it "
        r"beside the weights\.$",
    ):
        check(PHI3, trust_remote_code=True)
    elsewhere = {**LLAMA, "auto_map": {"AutoModelForCausalLM": "owner/code--modeling_own.OwnModel"}}
    with pytest.raises(UserError, match=r"takes modeling_own\.py from owner/code, of which nothing is fetched;"):
        check(elsewhere, [*FILES, "modeling_own.py"], trust_remote_code=True)


def test_one_copy_of_the_weights_is_chosen_and_code_only_if_it_may_run():
    files = [*FILES, "consolidated.safetensors", "model_own.py", "README.md", "onnx/config.json", "pytorch_model.bin"]
    assert chosen_files(files, None, trust_remote_code=False) == FILES
    assert chosen_files(files, None, trust_remote_code=True) == [*FILES[:2], "model_own.py", FILES[2]]
    both = [*FILES, INDEX, *parts(TWO)]
    assert not set(chosen_files(both, TWO, trust_remote_code=False)) & set(parts(TWO))
    split = ["config.json", INDEX, *parts(TWO), "merges.txt", "old.safetensors", "spiece.model", "chat_template.jinja"]
    assert set(split) - set(chosen_files(split, TWO, trust_remote_code=False)) == {"old.safetensors"}


@pytest.fixture
def folder(tmp_path):
    """A folder with a llama, as far as names go."""
    for file in FILES:
        (tmp_path / file).write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    return tmp_path


def test_a_config_that_is_cut_off_or_is_no_mapping_is_named(folder):
    check_folder("x", folder, formats=["fp32"], trust_remote_code=False)
    for content, why in (("{", r"cannot be read as JSON \(Exp.*\)"), ("[]", "holds no mapping of keys to values")):
        (folder / "config.json").write_text(content)
        with pytest.raises(UserError, match=rf"^models\.x\.source: {folder}/config\.json {why}; fetch it again\.$"):
            check_folder("x", folder, formats=["fp32"], trust_remote_code=False)


def a_run(path, **entry):
    """The configuration of a run of one local model."""
    model = {"label": "X", "family": "none", "parameters": 1, "licence": "none", "source": {"path": str(path)}, **entry}
    return configuration({"models": {"x": model}, "run": {"models": ["x"]}})


def test_a_dry_run_checks_the_local_models_of_the_run(folder):
    check_config(a_run(folder))
    (folder / "tokenizer.json").unlink()
    (folder / "config.json").write_text(json.dumps(OWN))
    with pytest.raises(UserError, match=r"models\.x\.source: there is no file of a tokenizer"):
        check_config(a_run(folder))
    (folder / "vocab.txt").touch()
    with pytest.raises(UserError, match=r"set models\.x\.trust_remote_code to run it"):
        check_config(a_run(folder))
    (folder / "modeling_own.py").touch()
    check_config(a_run(folder, trust_remote_code=True))
    others = a_run(folder)
    others["run"]["models"] = ["smollm2-135m"]
    others["models"]["x"]["source"] = {"path": "nowhere"}
    check_config(others)


def test_a_dry_run_says_that_a_local_model_is_nowhere(tmp_path):
    path = tmp_path / "model.gguf"
    with pytest.raises(UserError, match=rf"^models\.x\.source\.path: there is no folder or file '{path}'\.$"):
        check_config(a_run(path))
    path.touch()
    check_config(a_run(path))


def test_a_dry_run_without_local_models_imports_no_library_of_models():
    code = "import sys; import conceptdepth.configuration.check; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
