"""Print for each dataset the first prompt, its tokens and those that are probed."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.disk import told
from conceptdepth.ground.errors import UserError
from conceptdepth.models.chat import Chat, read_texts, read_tokenized
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.positions import Places, probed
from conceptdepth.models.weights import model_folder


def show_prompts(
    prompt_files: Sequence[str], model: str, *, chats: Mapping[str, Chat], positions: Sequence[str]
) -> None:
    """Print a paragraph for each prompt file, with the tokens of one model; ``chats`` are by name of the rendering."""
    tokenizer, name = load_tokenizer(model_folder(model)), Path(model).parent.name
    print(f"Tokens of {name}, and which of them are probed.\n")
    for file in prompt_files:
        first = read_prompts(file)[0]
        rendering = Path(file).stem.rpartition(".")[2]
        chat = chats[rendering]
        read = read_texts(tokenizer, [first["prompt"]], chat, model=name, rendering=rendering)
        prompts = read_tokenized(tokenizer, read, whole=bool(chat))
        tokens = tokenizer.convert_ids_to_tokens(prompts[0].ids)
        print(f"{Path(file).stem}  (id {first['id']}, class {first['label']})")
        print(f"  prompt       {json.dumps(first['prompt'], ensure_ascii=False)}")
        if chat:
            print(f"  chat         {json.dumps(read[0].text, ensure_ascii=False)}")
        print(f"  tokens       {' | '.join(tokens)}")
        for position, (places,) in probed(positions, prompts, [first]).tokens.items():
            print(f"  {position:<11}  {in_words(places, tokens)}")
        print()


def in_words(places: Places, tokens: Sequence[str]) -> str:
    """Say which tokens are read: all of them, and where they stand, counted from 1."""
    shown = " | ".join(tokens[place] for place in places)
    first, last = places[0] + 1, places[-1] + 1
    if len(places) == 1:
        return f"{shown}  (token {first} of {len(tokens)})"
    left_out = last - first + 1 - len(places)
    without = f" without {left_out} special" if left_out else ""
    return f"{shown}  (mean of {first} to {last}{without} of {len(tokens)})"


if __name__ == "__main__":
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        show_prompts(
            snakemake.input.prompts,
            snakemake.input.model[0],
            chats=snakemake.params.chats,
            positions=snakemake.params.positions,
        )
    except (UserError, OSError) as error:
        raise SystemExit(f"Error: {told(error)}") from None
