"""Deciding on a checkpoint from its ``config.json`` and the names of its files, before any weights are read.

What is refused here would otherwise cost gigabytes of download, end in a traceback, or give wrong numbers without
a word. Nothing here opens weights or imports torch, so that a dry run can ask about local folders.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.models.tokenizer_files import check_tokenizer

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Names that transformers looks for: the second before the third."""

ADAPTER = "adapter_config.json"

NATIVE = "native"
"""The weight format that takes a checkpoint as it is."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
"""How files of pickled weights end."""

FETCHED = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""How files end that are fetched besides weights: configuration and tokenizer."""

STORED_BESIDE = {"quantize_config.json": "gptq", "quant_config.json": "awq", "hf_quant_config.json": "modelopt"}
"""Files in which older tools say that they quantized a checkpoint, and often nowhere else."""


def stored_format(config: Mapping[str, Any]) -> str | None:
    """Return the name of the format that a checkpoint is quantized in, by its ``config.json``; None if it is not."""
    text = config.get("text_config")
    for place in (config, text if isinstance(text, Mapping) else {}):
        for key in ("quantization_config", "compression_config"):
            if isinstance(place.get(key), Mapping) and place[key]:
                return _format(place[key])
    return None


def _format(quantization: Mapping[str, Any]) -> str:
    # As transformers decides: the flags of bitsandbytes come before any name.
    if quantization.get("load_in_4bit"):
        return str(quantization.get("bnb_4bit_quant_type") or "fp4")
    if quantization.get("load_in_8bit"):
        return "int8"
    return str(quantization.get("quant_method") or "unknown")


def check_checkpoint(
    name: str,
    config: Mapping[str, Any],
    files: Sequence[str],
    *,
    formats: Sequence[str],
    trust_remote_code: bool,
    index: Mapping[str, Any] | None = None,
) -> None:
    """Raise `UserError` if a checkpoint cannot be read right in the weight formats asked for.

    ``files`` are its names, ``index`` is the content of ``model.safetensors.index.json`` if there is one.
    """
    check_names(name, files)
    _check_code(name, config, files, trust_remote_code=trust_remote_code)
    _check_format(name, config, files, formats)
    _check_weights(name, config, files, index)


def check_names(name: str, files: Sequence[str]) -> None:
    """Raise `UserError` if the names of its files already say that a checkpoint cannot be read."""
    where = f"models.{name}.source"
    weights = [file for file in files if _is_weights(file)]
    if ADAPTER in files:
        held = "an adapter beside a model" if weights and CONFIG in files else "an adapter without its model"
        raise UserError(
            f"{where}: {ADAPTER} says that this is {held}, which would change the weights unseen; "
            "merge the adapter into its base model and save that."
        )
    if CONFIG not in files:
        raise UserError(
            f"{where}: there is no {CONFIG}, which says what model this is; name a checkpoint as transformers saves it."
        )
    if not weights:
        raise UserError(f"{where}: {_no_weights(files)}")
    check_tokenizer(where, files)


def _no_weights(files: Iterable[str]) -> str:
    pickled = [file for file in files if file.endswith(PICKLES) and "/" not in file]
    if not pickled:
        return f"there are no weights, {WEIGHTS} or {INDEX} with its parts."
    return (
        f"the weights are pickled ({pickled[0]}), and opening pickles may run code of strangers; "
        "save them as *.safetensors, or name a revision that has them so."
    )


def _is_weights(file: str) -> bool:
    """Tell whether a file may be weights of the model: not a second copy in another layout, not an adapter."""
    return file.endswith(".safetensors") and "/" not in file and not file.startswith(("consolidated", "adapter"))


def _check_code(name: str, config: Mapping[str, Any], files: Sequence[str], *, trust_remote_code: bool) -> None:
    """Check that the model has code that may run: that of transformers, or its own if it is trusted and there."""
    from conceptdepth.models.architectures import why_refused

    if _needs_own_code(config):
        code = _code_of(config)["AutoModelForCausalLM"]
        if not trust_remote_code:
            raise UserError(
                f"models.{name}: the model needs code of its own ({code}, says auto_map in {CONFIG}); "
                f"set models.{name}.trust_remote_code to run it, which is running code of strangers."
            )
    elif not isinstance(config.get("model_type"), str):
        raise UserError(f"models.{name}.source: {CONFIG} has no `model_type`, which says what architecture this is.")
    elif reason := why_refused(config):
        raise UserError(f"models.{name}: the architecture {config['model_type']!r} {reason}.")
    if trust_remote_code:
        _check_code_files(name, config, files)


def _needs_own_code(config: Mapping[str, Any]) -> bool:
    """Tell whether a model needs other code than that of transformers.

    Models that transformers took in later often still name the code that they came with, by the same name.
    """
    from conceptdepth.models.architectures import causal_class

    own = _code_of(config).get("AutoModelForCausalLM")
    if own is None:
        return False
    kind = config.get("model_type")
    known = causal_class(kind) if isinstance(kind, str) else None
    return known is None or known.lower() != own.rpartition(".")[2].lower()


def _code_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the classes of a checkpoint's own code, ``file.Class``, by what transformers takes them for."""
    named = config.get("auto_map")
    if not isinstance(named, Mapping):
        return {}
    return {key: named[key] for key in ("AutoConfig", "AutoModelForCausalLM") if isinstance(named.get(key), str)}


def _check_code_files(name: str, config: Mapping[str, Any], files: Sequence[str]) -> None:
    for reference in _code_of(config).values():
        repository, elsewhere, inside = reference.rpartition("--")
        file = f"{inside.rpartition('.')[0]}.py"
        if elsewhere:
            raise UserError(
                f"models.{name}.source: {CONFIG} takes {file} from {repository}, of which nothing is fetched; "
                "put a copy of both into a folder, and name the file there in auto_map."
            )
        if file not in files:
            raise UserError(
                f"models.{name}.source: {CONFIG} needs {file}, which is not there; "
                "name a checkpoint that has it, or put it beside the weights."
            )


def _check_format(name: str, config: Mapping[str, Any], files: Sequence[str], formats: Sequence[str]) -> None:
    stored = stored_format(config) or next((STORED_BESIDE[file] for file in files if file in STORED_BESIDE), None)
    others = [chosen for chosen in formats if chosen != NATIVE]
    if stored is not None and others:
        raise UserError(
            f"models.{name}: the checkpoint is stored as {stored}, but run.quantizations asks for {one_of(others)}; "
            f"select `{NATIVE}`, or name the model's unquantized checkpoint."
        )


def _check_weights(name: str, config: Mapping[str, Any], files: Sequence[str], index: Mapping[str, Any] | None) -> None:
    where = f"models.{name}.source"
    if WEIGHTS in files or config.get("transformers_weights"):  # The key names another file.
        return
    if INDEX not in files:
        found = next(file for file in files if _is_weights(file))
        raise UserError(f"{where}: {found} has another name than transformers looks for, {WEIGHTS} or {INDEX}.")
    if index is not None and not parts(index):
        raise UserError(f"{where}: {INDEX} has no `weight_map`, which says where the weights are; complete it.")
    missing = [part for part in parts(index or {}) if part not in files]
    if missing:
        more = f" and {len(missing) - 1} more that are" if missing[1:] else ", which is"
        raise UserError(f"{where}: {INDEX} names {missing[0]}{more} not there; complete the checkpoint.")


def parts(index: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that an index of weights names, each once."""
    named = index.get("weight_map")
    return sorted(set(map(str, named.values()))) if isinstance(named, Mapping) else []


def chosen_files(files: Iterable[str], index: Mapping[str, Any] | None, *, trust_remote_code: bool) -> list[str]:
    """Return which files of a repository are fetched: configuration, tokenizer, one copy of the weights.

    Code comes only with ``trust_remote_code``. Weights are those that transformers would open; folders in a
    repository hold the model in other layouts.
    """
    files = sorted(files)
    weights = {WEIGHTS} if WEIGHTS in files else set(parts(index or {}))
    weights = weights or {file for file in files if _is_weights(file)}
    return [
        file
        for file in files
        if file in weights
        or (file.endswith(FETCHED) and "/" not in file)
        or (trust_remote_code and file.endswith(".py"))
    ]


def read_json(name: str, path: Path) -> dict[str, Any]:
    """Read a file of a checkpoint that holds a mapping. Raises `UserError` if it does not."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"models.{name}.source: {path} cannot be read as JSON ({error}); fetch it again.") from None
    if not isinstance(content, dict):
        raise UserError(f"models.{name}.source: {path} holds no mapping of keys to values; fetch it again.")
    return content


def check_folder(name: str, folder: Path, *, formats: Sequence[str], trust_remote_code: bool) -> None:
    """Check the checkpoint in a local folder; see `check_checkpoint`."""
    files = names_in(folder)
    check_names(name, files)
    config = read_json(name, folder / CONFIG)
    index = read_json(name, folder / INDEX) if INDEX in files else None
    check_checkpoint(name, config, files, formats=formats, trust_remote_code=trust_remote_code, index=index)


def names_in(folder: Path) -> list[str]:
    """Return the names of all files in a folder, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
