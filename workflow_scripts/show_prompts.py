"""Print for each dataset the first prompt, its tokens and the token that is probed."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.disk import told
from conceptdepth.ground.errors import UserError
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.tokens import tokenize
from conceptdepth.models.weights import model_folder


def show_prompts(prompt_files: Sequence[str], model: str) -> None:
    """Print a paragraph for each prompt file, with the tokens of one model."""
    tokenizer = load_tokenizer(model_folder(model))
    print(f"Tokens of {Path(model).parent.name}; the probe reads the last one.\n")
    for file in prompt_files:
        first = read_prompts(file)[0]
        tokens = tokenizer.convert_ids_to_tokens(tokenize(tokenizer, [first["prompt"]])[0])
        print(f"{Path(file).stem}  (id {first['id']}, class {first['label']})")
        print(f"  prompt  {json.dumps(first['prompt'], ensure_ascii=False)}")
        print(f"  tokens  {' | '.join(tokens)}")
        print(f"  probed  {tokens[-1]}  (token {len(tokens)} of {len(tokens)})\n")


if __name__ == "__main__":
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        show_prompts(snakemake.input.prompts, snakemake.input.model[0])
    except (UserError, OSError) as error:
        raise SystemExit(f"Error: {told(error)}") from None
