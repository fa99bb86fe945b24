"""Where the weights of a fetched model lie, on this machine and without the network."""

import fcntl
import glob
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import file_sha256
from conceptdepth.ground.shapes import json_of_shape

SHAPE = {
    "source": dict,
    "where": ({"hf": str, "revision": str}, {"folder": str}),
    "files": {str: {"sha256": str}},
}
"""What readers of a ``model.json`` rely on."""


def read_description(model_json: str | Path) -> dict[str, Any]:
    """Read a ``model.json``. Raises `UserError` if it is damaged."""
    description = json_of_shape(model_json, SHAPE)
    if description is None:
        raise UserError(f"{model_json} is not a readable description of a model; delete it and run again.")
    return description


def weight_files(model_json: str | Path, folder: str | Path) -> list[tuple[Path, str]]:
    """Return path and recorded SHA-256 of every file of a model; see `model_folder`."""
    weights = model_folder(model_json, folder)
    return [(weights / name, facts["sha256"]) for name, facts in read_description(model_json)["files"].items()]


@contextmanager
def checked_weights(model_json: str | Path, copy: Path | None = None) -> Iterator[None]:
    """Compare every file of a model, or of a copy of it, with ``model.json``, the weights while the block reads them.

    Raises `UserError` if one is not what was fetched, also if the block fails, over such a file or over anything else;
    what the block has read may be used only behind it. Files that are no weights, and could be code, come before it.
    """
    source = model_folder(model_json)
    files = weight_files(model_json, ".")
    wanted = {copy / path.relative_to(source) if copy else path: sha256 for path, sha256 in files}

    def check(path: Path) -> None:
        with suppress(OSError):  # It may be gone.
            if _sha256(path) == wanted[path]:
                return
        raise UserError(f"{path} is not what was fetched; delete {copy or model_json} and run again.")

    weights = [path for path in wanted if path.suffix == ".safetensors"]
    for path in wanted:
        if path not in weights:
            check(path)
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:  # Hashing and reading files need no lock of Python's.
        checks = [pool.submit(check, path) for path in weights]
        try:
            yield
        finally:
            for done in checks:
                done.result()


HASHED_AT_ONCE = 4
"""Files that are hashed at once: as many as transformers reads tensors at once."""


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file, computed once in a process, unless the file has changed meanwhile."""
    real = path.resolve()
    now = real.stat()
    return _remembered_sha256(real, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@cache
def _remembered_sha256(path: Path, *_: int) -> str:
    return file_sha256(path)


def staged(model_json: str | Path, scratch: str) -> Path:
    """Return the folder of a copy of a model on this machine's own disk; the first job that asks makes the copy.

    Environment variables in ``scratch`` are filled in. Raises `UserError` if there is no such folder, or if it
    cannot hold the copy.
    """
    root = Path(os.path.expandvars(scratch))
    if not root.is_dir():
        raise UserError(f"execution.scratch: {scratch} is not a folder on {platform.node()}.")
    digest = hashlib.sha256(Path(model_json).read_bytes()).hexdigest()[:16]
    place = root / f"conceptdepth-{os.getuid()}-{digest}"
    with open(root / f"{place.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Others wait for the copy.
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=root, prefix="conceptdepth-part-") as part:
                _copy(model_json, Path(part) / "model", scratch)
                os.replace(Path(part) / "model", place)
    return place


def _copy(model_json: str | Path, place: Path, scratch: str) -> None:
    weights = model_folder(model_json)
    try:
        for path, _ in weight_files(model_json, "."):
            copied = place / path.relative_to(weights)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
    except OSError as error:
        raise UserError(f"execution.scratch: {path} cannot be copied to {scratch} ({error.strerror}).") from None


def model_folder(model_json: str | Path, folder: str | Path = ".") -> Path:
    """Return the folder of weights that ``model.json`` points to, without touching the network.

    Relative paths start at ``folder``, the one that Snakemake works in.
    Raises `UserError` if the weights are gone.
    """
    description = read_description(model_json)
    where = description["where"]
    if "hf" in where:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            # The client knows all files of the repository, and would miss those that were not fetched.
            fetched = [glob.escape(file) for file in description["files"]]
            return Path(
                snapshot_download(
                    where["hf"], revision=where["revision"], allow_patterns=fetched, local_files_only=True
                )
            )
        except (LocalEntryNotFoundError, HFValidationError):
            raise UserError(
                f"{where['hf']} is no longer in the Hugging Face cache; delete {model_json} and run again."
            ) from None
    weights = Path(folder) / where["folder"]
    with suppress(OSError):  # Over a name that no folder can have.
        if weights.is_dir():
            return weights
    raise UserError(f"the weights in {where['folder']} are gone; delete {model_json} and run again.")
