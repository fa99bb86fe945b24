"""What is known of architectures by name: facts that neither a config nor the modules tell.

Everything else is found by rule (`conceptdepth.models.sites`) and held by the self-test of each load
(`conceptdepth.activations.self_test`). Names are model types of transformers 5.23.
"""

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

SEVERAL_STREAMS = frozenset({
    "deepseek_v4", "hy_v4",  # Hyper-connections: four streams that every sub-block mixes anew.
    "qwen4_exp", "qwen4_exp_text",  # The same.
    "gemma3n", "gemma3n_text",  # AltUp: four streams, of which each block computes one and predicts the others.
    "longcat_flash",  # Two attentions and two MLPs a layer, and experts that take a short cut past both.
})  # fmt: skip
"""Types whose blocks hand on more than one residual stream, or have no one state between attention and MLP."""

READ_BOTH_WAYS = frozenset({
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "rembert",
    "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm", "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip
"""Types of encoders, which are causal only if their config says ``is_decoder``."""

LOCAL_BY_PLACE = frozenset(
    {
        "gpt_neo",  # Its local layers count places in the pass, not positions in the prompt.
    }
)
"""Types whose attention must not be given trees, although short prompts would not show it."""


BESIDE_TEXT = {
    "llama4": ("vision_model.", "multi_modal_projector."),  # Opened as its text tower, and says nothing of the rest.
}
"""By type: how the names of weights for images alone begin, where transformers does not say that text needs none."""


def why_refused(config: Mapping[str, Any]) -> str | None:
    """Return what stands against a model, by its ``config.json``, as the end of a sentence; None if nothing does."""
    kind = config["model_type"]
    if kind in SEVERAL_STREAMS:
        return "keeps several residual streams, of which none is what `residual` means"
    if config.get("is_encoder_decoder") or (kind in READ_BOTH_WAYS and not config.get("is_decoder")):
        return "is no causal language model: its layers see what comes after a token, or another text"
    return _unknown(kind)


def _unknown(kind: str) -> str | None:
    if causal_class(kind) is not None:
        return None
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if kind in CONFIG_MAPPING_NAMES:
        return "is no causal language model of transformers"
    return f"is not known to transformers {transformers.__version__}"


def causal_class(kind: str) -> str | None:
    """Return the name of the class of transformers that speaks for a model type, None if it has none.

    Wrappers of text and images speak too (`speaks_through_wrapper`); their text towers are what is read.
    """
    found = {**_table("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"), **_table(CAUSAL)}.get(kind)
    return found if found is None or isinstance(found, str) else found[0]


def speaks_through_wrapper(kind: str) -> bool:
    """Tell whether a model type is opened as a model of text and images."""
    return kind not in _table(CAUSAL) and causal_class(kind) is not None


CAUSAL = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"
"""Table of transformers: model type -> class with a head that tells the next token."""


@cache
def _table(name: str) -> dict[str, Any]:
    """Return a table of transformers from its source: importing it takes torch and seconds, which a dry run has not."""
    package = importlib.util.find_spec("transformers")
    folder = Path(str(package and package.origin)).parent
    source = (folder / "models/auto/modeling_auto.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return dict(ast.literal_eval(node.value.args[0]))  # type: ignore[attr-defined]  # OrderedDict([...])
    raise LookupError(name)
