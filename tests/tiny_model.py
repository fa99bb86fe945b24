"""A stand-in model for tests: a Llama of random weights with a word-level tokenizer."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = "the city of oslo lima paris is in norway peru france coin heads up judge statement true or false . ?".split()


def save_tiny_model(folder: Path, seed: int = 0, most_tokens: int = 128) -> Path:
    """Save a model and tokenizer to a folder, as safetensors, and return the folder."""
    return shutil.copytree(_made(seed, most_tokens).name, folder, dirs_exist_ok=True)


def save_checkpoint(folder: Path, model: hf.PreTrainedModel) -> Path:
    """Save a model with the tokenizer of the tiny one to a folder, and return the folder."""
    save_tiny_model(folder)
    for left in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / left).unlink()
    model.save_pretrained(folder)
    return folder


@cache
def _made(seed: int, most_tokens: int) -> "TemporaryDirectory[str]":
    """Make such a model once in a process; its folder goes when the process ends."""
    made = TemporaryDirectory(prefix="tiny-model-")
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(made.name)
    torch.manual_seed(seed)
    config = hf.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=most_tokens,
    )  # fmt: skip
    hf.LlamaForCausalLM(config).save_pretrained(made.name)
    return made
