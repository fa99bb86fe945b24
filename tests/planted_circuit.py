"""A small transformer made by hand, in which one block writes a concept into the residual stream and a later one reads it.

Of each text token two numbers, both 1 or -1, are embedded, and their product is its class: no linear probe can read it.
The MLP of one block writes the product as a direction of its own. The attention of a later one carries what is there to
the token that answers, where the head reads it. A second product is written the same way and read by nothing.
"""

import itertools

import numpy as np
import torch
import transformers as hf

WRITES, READS = 2, 5
"""Blocks that write both products, and that reads the first."""

N_LAYERS, D_MODEL = 8, 48

FACTORS = ((0, 1), (4, 5))
"""Coordinates of the two numbers of each product."""

PRODUCTS = (2, 6)
"""Coordinates that products are written to."""

SAID = 3
"""Coordinate of what the head reads."""

BEGIN, CUE, NO, YES = range(4)
"""Tokens before and after the text, and the answers."""

TEXTS = 160
"""Tokens of texts, from 4 on."""


def circuit() -> tuple[hf.PreTrainedModel, np.ndarray]:
    """Return the model, and the classes of its text tokens by both products, shape (2, `TEXTS`)."""
    config = hf.LlamaConfig(
        vocab_size=4 + TEXTS, hidden_size=D_MODEL, intermediate_size=8, num_hidden_layers=N_LAYERS,
        num_attention_heads=1, num_key_value_heads=1, head_dim=D_MODEL, tie_word_embeddings=False, pad_token_id=None,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    for name, weights in model.named_parameters():
        if "norm" not in name:
            weights.data.zero_()
    signs = np.array(list(itertools.product((-1, 1), repeat=4)))[np.arange(TEXTS) % 16]
    draw = np.random.default_rng(0)
    embedded = np.zeros((4 + TEXTS, D_MODEL))
    embedded[4:, [*FACTORS[0], *FACTORS[1]]] = signs
    embedded[CUE, 7] = 20.0  # Or the last norm would make all evidence alike.
    embedded[4:, 8:] = draw.normal(size=(TEXTS, D_MODEL - 8)) * np.linspace(1.5, 0.3, D_MODEL - 8)
    model.model.embed_tokens.weight.data = torch.from_numpy(embedded).float()
    mlp = model.model.layers[WRITES].mlp
    for number, (factors, product) in enumerate(zip(FACTORS, PRODUCTS)):
        for place, sign in enumerate((1.0, -1.0)):  # silu(a) b + silu(-a) (-b) is a b.
            neuron = 2 * number + place
            mlp.gate_proj.weight.data[neuron, factors[0]] = sign
            mlp.up_proj.weight.data[neuron, factors[1]] = sign
            mlp.down_proj.weight.data[product, neuron] = 0.7
    attention = model.model.layers[READS].self_attn
    attention.v_proj.weight.data[SAID, PRODUCTS[0]] = 1.0  # Keys and queries are 0: all tokens count alike.
    attention.o_proj.weight.data[SAID, SAID] = 1.0
    model.lm_head.weight.data[YES, SAID], model.lm_head.weight.data[NO, SAID] = 20.0, -20.0
    products = np.stack([signs[:, 0] * signs[:, 1], signs[:, 2] * signs[:, 3]])
    return model, (products > 0).astype(np.int8)
