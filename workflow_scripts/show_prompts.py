"""Print for each dataset the first prompt, its tokens and the token that is probed."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.disk import told
from conceptdepth.ground.errors import UserError
from conceptdepth.models.chat import Chat, read_texts
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.tokens import tokenize
from conceptdepth.models.weights import model_folder


def show_prompts(prompt_files: Sequence[str], model: str, *, chats: Mapping[str, Chat]) -> None:
    """Print a paragraph for each prompt file, with the tokens of one model; ``chats`` are by name of the rendering."""
    tokenizer, name = load_tokenizer(model_folder(model)), Path(model).parent.name
    print(f"Tokens of {name}; the probe reads the last one.\n")
    for file in prompt_files:
        first = read_prompts(file)[0]
        rendering = Path(file).stem.rpartition(".")[2]
        chat = chats[rendering]
        read = read_texts(tokenizer, [first["prompt"]], chat, model=name, rendering=rendering)
        tokens = tokenizer.convert_ids_to_tokens(tokenize(tokenizer, read, whole=bool(chat))[0])
        print(f"{Path(file).stem}  (id {first['id']}, class {first['label']})")
        print(f"  prompt  {json.dumps(first['prompt'], ensure_ascii=False)}")
        if chat:
            print(f"  chat    {json.dumps(read[0], ensure_ascii=False)}")
        print(f"  tokens  {' | '.join(tokens)}")
        print(f"  probed  {tokens[-1]}  (token {len(tokens)} of {len(tokens)})\n")


if __name__ == "__main__":
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        show_prompts(snakemake.input.prompts, snakemake.input.model[0], chats=snakemake.params.chats)
    except (UserError, OSError) as error:
        raise SystemExit(f"Error: {told(error)}") from None
