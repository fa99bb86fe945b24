"""Where the weights of a fetched model lie, on this machine and without the network."""

import json
from pathlib import Path

from conceptdepth.errors import UserError
from conceptdepth.files import file_sha256


def weight_files(model_json: str | Path, folder: str | Path) -> list[tuple[Path, str]]:
    """Return path and recorded SHA-256 of every file of a model; see `model_folder`."""
    weights = model_folder(model_json, folder)
    files = json.loads(Path(model_json).read_text(encoding="utf-8"))["files"]
    return [(weights / name, facts["sha256"]) for name, facts in files.items()]


def check_weights(model_json: str | Path, folder: str | Path) -> None:
    """Compare every file of a model with ``model.json``. Raises `UserError` if one is not what was fetched."""
    for path, sha256 in weight_files(model_json, folder):
        if not path.is_file() or file_sha256(path) != sha256:
            raise UserError(f"{path} is not what was fetched; delete {model_json} and run again.")


def model_folder(model_json: str | Path, folder: str | Path = ".") -> Path:
    """Return the folder of weights that ``model.json`` points to, without touching the network.

    Relative paths start at ``folder``, the one that Snakemake works in.
    Raises `UserError` if the weights are gone.
    """
    where = json.loads(Path(model_json).read_text(encoding="utf-8"))["where"]
    if "hf" in where:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return Path(snapshot_download(where["hf"], revision=where["revision"], local_files_only=True))
        except LocalEntryNotFoundError:
            raise UserError(
                f"{where['hf']} is no longer in the Hugging Face cache; delete {model_json} and run again."
            ) from None
    weights = Path(folder) / where["folder"]
    if not weights.is_dir():
        raise UserError(f"the weights in {where['folder']} are gone; delete {model_json} and run again.")
    return weights
