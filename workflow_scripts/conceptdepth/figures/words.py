"""What readers call what the configuration names, without what draws figures: pages say it, too."""

WORDS = {
    "fp32": "32-bit float",
    "bf16": "bfloat16",
    "int8": "8-bit integer",
    "nf4": "4-bit NormalFloat",
    "native": "as stored",
    "random": "random weights",
    "rerun": "first format, run again",
    "emotion_prompt": "prompt about emotions",
    "logistic_regression": "logistic regression",
    "mass_mean": "difference of means",
    "ridge": "ridge regression",
    "mlp": "network of one hidden layer",
    "mlp_input": "MLP input",
    "residual_mid": "stream between attention and MLP",
    "attention_output": "attention output",
    "mlp_output": "MLP output",
    "residual": "residual stream",
    "last": "last token",
    "text_last": "last token of the text",
    "text_mean": "mean over the text",
    "prompt_mean": "mean over the prompt",
    "span_last": "last token of the span",
    "span_mean": "mean over the span",
    "partial_out": "without confounds",
    "majority": "larger class",
    "tf_idf": "TF-IDF",
}
"""What readers call what the configuration names."""


def word(name: str) -> str:
    """Return a reader's name for a configured name."""
    return WORDS.get(name, name.replace("_", " "))
