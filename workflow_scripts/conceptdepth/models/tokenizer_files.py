"""Whether the files of a checkpoint hold a tokenizer that can be opened here."""

from collections.abc import Sequence
from importlib.util import find_spec

from conceptdepth.ground.errors import UserError

ALONE = ({"tokenizer.json"}, {"vocab.json", "merges.txt"}, {"vocab.txt"})
"""Files that transformers opens as they are: each set is enough."""

NEEDED = {".model": "sentencepiece", ".tiktoken": "tiktoken", "tekken.json": "mistral_common"}
"""How the name of a tokenizer of another kind ends, and the package that opens it."""


def check_tokenizer(where: str, files: Sequence[str]) -> None:
    """Raise `UserError` unless there is a tokenizer among files that can be opened with what is installed."""
    if any(names <= set(files) for names in ALONE):
        return
    others = {
        file: package for end, package in NEEDED.items() for file in files if file.endswith(end) and "/" not in file
    }
    if not others:
        raise UserError(
            f"{where}: there is no file of a tokenizer (tokenizer.json, vocab.json with merges.txt, or vocab.txt); "
            "save the model's tokenizer beside it with `save_pretrained`."
        )
    if not any(find_spec(package) for package in others.values()):
        file, package = next(iter(others.items()))
        raise UserError(
            f"{where}: its tokenizer is {file} alone, which takes the package {package}, and that is not installed; "
            "install it, or save the tokenizer as tokenizer.json with `save_pretrained`."
        )
