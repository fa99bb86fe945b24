"""A model that is opened once and used again and again, loaded and tested as a job of the workflow does it."""

import gc
import json
import re
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from conceptdepth.ground.errors import UserError, one_of
from conceptdepth.ground.files import complete_file
from conceptdepth.ground.names import RANDOM
from conceptdepth.interface.extras import needed
from conceptdepth.models.checkpoint import NATIVE
from conceptdepth.models.formats import QUANTIZATIONS
from conceptdepth.models.loaded import LoadedModel, ModelRequest
from conceptdepth.models.weights import read_description

if TYPE_CHECKING:
    from conceptdepth.activations.cell import Cell

DESCRIPTION = "model.json"
"""What the workflow writes of a model that it has fetched."""

FIXED_BATCH_TOKENS = {"int8": 4096}
"""Tokens of a pass where results depend on them: the default of ``activations.fixed_batch_tokens``."""

FORMATS = (*QUANTIZATIONS, RANDOM)

DEVICES = ("auto", "cpu", "cuda")

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""A repository of the hub, owner/name."""


@dataclass(eq=False)
class OpenedModel:
    """A loaded model. Use it as often as you like; `close`, the end of a ``with`` block or the last use frees it."""

    request: ModelRequest
    """What was asked for."""
    batch_tokens: int | None
    """Most tokens of one forward pass; None finds out what fits."""
    fixed: bool
    """Whether vectors depend on the tokens of a pass."""
    files: dict[str, str]
    """SHA-256 of each file of the model, by name."""
    n_layers: int = 0
    d_model: int = 0
    _model: LoadedModel | None = field(default=None, repr=False)
    _folder: "tempfile.TemporaryDirectory[str] | None" = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What errors call the model."""
        return self.request.name

    @property
    def weights(self) -> str:
        """Weight format that it was asked for in."""
        return self.request.quantization

    @property
    def loaded(self) -> LoadedModel:
        """The tokenizer and the model. Raises `UserError` if it was closed."""
        if self._model is None:
            raise UserError(f"{self.name} was closed; open it again with open_model.")
        return self._model

    def cell(self, **what: Any) -> "Cell":
        """Return what a job of the workflow would do with this model, but for its files."""
        import torch

        from conceptdepth.activations.cell import Cell

        no_files = dict.fromkeys(("prompts", "destination", "record"), "")
        passes = {"batch_tokens": self.batch_tokens, "fixed_batch_tokens": self.fixed}
        fields: dict[str, Any] = asdict(self.request) | no_files | passes | what
        return Cell(**fields, threads=torch.get_num_threads())

    def close(self) -> None:
        """Free the memory of the model, and what was written to open it."""
        self._model = None
        gc.collect()
        if self._folder:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_model(
    source: str | Path,
    *,
    weights: str = "fp32",
    device: str = "auto",
    revision: str | None = None,
    batch_tokens: int | None = None,
    fixed_batch_tokens: int | None = None,
    tokenizer: str = "class",
    trust_remote_code: bool = False,
    max_memory: dict[str, str] | None = None,
) -> OpenedModel:
    """Load a model and test that it is read right.

    ``source`` is the folder of a model of a run (``results/models/<name>``), a folder of safetensors, a GGUF file, or
    the id of a repository of the hub, at the branch, tag or commit ``revision`` (None: ``main``). ``weights`` is one of
    `FORMATS`, ``device`` one of `DEVICES`, ``batch_tokens`` the most tokens of one forward pass (None: what fits).
    ``fixed_batch_tokens`` is that number where vectors depend on it: in int8 that of a run's default unless given, and
    needed for a checkpoint that is stored as int8 and opened as ``native``. ``tokenizer``, ``trust_remote_code`` and
    ``max_memory`` are the keys of these names of a model's entry and of ``execution``. A GGUF is converted once into a
    temporary folder, which goes with the model. Raises `UserError` for whatever the workflow refuses, in the same
    words.
    """
    for library in ("torch", "transformers"):
        needed(library, "models")
    for name, value, allowed in (("weights", weights, FORMATS), ("device", device, DEVICES)):
        if value not in allowed:
            raise UserError(f"{name}: {value!r} does not exist; allowed are {one_of(allowed)}.")
    for name, tokens in (("batch_tokens", batch_tokens), ("fixed_batch_tokens", fixed_batch_tokens)):
        if tokens is not None and (not isinstance(tokens, int) or tokens < 1):
            raise UserError(f"{name}: {tokens!r} is no number of tokens; give 1 or more, or leave it out.")
    fixed = fixed_batch_tokens or FIXED_BATCH_TOKENS.get(weights)
    folder = tempfile.TemporaryDirectory(prefix="conceptdepth-model-")
    description = Path(folder.name) / DESCRIPTION
    said = _describe(source, revision, description, weights, trust_remote_code=trust_remote_code)
    opened = OpenedModel(
        request=ModelRequest(
            model=str(description),
            name=_name(source),
            quantization=weights,
            device=device,
            max_memory=max_memory,
            trust_remote_code=trust_remote_code,
            tokenizer=tokenizer,
        ),
        batch_tokens=fixed_batch_tokens or batch_tokens or fixed,
        fixed=bool(fixed),
        files={name: facts["sha256"] for name, facts in read_description(description)["files"].items()},
        _model=LoadedModel(),
        _folder=folder,
    )
    try:
        _load(opened)
    except UserError as error:  # What a person can delete is the run's own description, and not the copy of it.
        raise UserError(str(error).replace(str(description), str(said))) from None
    return opened


def _load(opened: OpenedModel) -> None:
    from conceptdepth.activations.extraction import shape
    from conceptdepth.activations.tested import fixed_prompts

    opened.loaded.load(opened.request)
    cell = opened.cell(sites=[])
    if opened.weights == NATIVE and opened.loaded.real_format == "int8" and not opened.fixed:
        raise UserError(
            f"{opened.name}: the checkpoint is stored as int8, whose vectors depend on the tokens of a pass; give "
            f"open_model fixed_batch_tokens={FIXED_BATCH_TOKENS['int8']}, or what the run had."
        )
    cell.tested(opened.loaded, fixed_prompts(opened.loaded), [])
    opened.n_layers, opened.d_model = shape(opened.loaded.body, opened.name)


def _describe(
    source: str | Path, revision: str | None, destination: Path, weights: str, *, trust_remote_code: bool
) -> Path:
    """Write the description of a model, that of a run or one of its own, and return which one it is."""
    from conceptdepth.models.fetch import fetch_model

    path = Path(source)
    made = path if path.name == DESCRIPTION else path / DESCRIPTION
    if made.is_file():
        _copy_description(made, destination)
        return made
    entry: dict[str, str] = {"path": str(path.absolute())} if path.exists() else _of_the_hub(str(source), revision)
    formats = [] if weights == RANDOM else [weights]
    fetch_model(_name(source), entry, destination, None, formats=formats, trust_remote_code=trust_remote_code)
    return destination


def _copy_description(made: Path, destination: Path) -> None:
    """Copy a run's description.

    Paths in it start where Snakemake worked, above ``results/models/<name>``; if ``results`` was renamed or moved, the
    weights are still beside the description.
    """
    description = read_description(made)
    where = description["where"]
    if "folder" in where:
        folder = Path(*made.absolute().parts[:-4]) / where["folder"]
        beside = made.absolute().parent / folder.name
        where["folder"] = str(beside if not folder.is_dir() and beside.is_dir() else folder)
    with complete_file(destination) as part:
        part.write_text(json.dumps(description), encoding="utf-8")


def _of_the_hub(source: str, revision: str | None) -> dict[str, str]:
    if not HUB_ID.fullmatch(source):
        raise UserError(
            f"{source!r} is neither a folder of a model, nor a GGUF file, nor a repository of the hub, owner/name."
        )
    return {"hf": source} | ({"revision": revision} if revision else {})


def _name(source: str | Path) -> str:
    """Return what errors call a model: the last part of where it is from."""
    path = Path(source)
    return (path.parent if path.name == DESCRIPTION else path).absolute().name
