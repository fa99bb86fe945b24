"""One cell of the grid: the activations of a model, in one weight format, on one prompt file."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

from conceptdepth.activations.request import Wanted, WorkRequest
from conceptdepth.activations.store import new_activations
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.ground.names import LAST
from conceptdepth.models.loaded import LoadedModel
from conceptdepth.models.positions import BY_CHARACTERS, Probed, Row, probed
from conceptdepth.models.tokens import Tokenized, check_characters
from conceptdepth.models.weights import read_description
from conceptdepth.provenance.record import PREFIX

if TYPE_CHECKING:
    from conceptdepth.activations.extraction import Work
    from conceptdepth.activations.leaving import Destination
    from conceptdepth.activations.self_test import SelfTest

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "tokenizers", "bitsandbytes", "accelerate", "numpy", "h5py")
"""Libraries whose versions an activation file records."""


@dataclass(frozen=True)
class Prepared:
    """The prompts of a cell, ready to be read by a model."""

    tokens: list[list[int]]
    """Token ids of each prompt."""
    probed: Probed
    """Which tokens are read."""
    test: "SelfTest"
    """What the model's self-test said."""
    n_layers: int
    d_model: int

    @property
    def n_tokens(self) -> list[int]:
        """Tokens of each prompt."""
        return [len(prompt) for prompt in self.tokens]


@dataclass(frozen=True, kw_only=True)
class Cell(WorkRequest):
    """What is extracted, and how."""

    sites: list[str]
    """Sites, of `conceptdepth.models.sites.SITES`."""
    positions: list[str] = field(default_factory=lambda: [LAST])
    """Positions, of `conceptdepth.models.positions.POSITIONS`."""
    record: str
    """Id of the job's record."""

    def work(self, model: LoadedModel, wanted: Wanted) -> float:
        """Extract the cell and write its activation file; see `WorkRequest.work`."""
        from conceptdepth.models.places import places_of, words_of

        rows = read_prompts(self.prompts)
        prepared = self.prepared(model, rows)
        body, n_tokens = model.body, prepared.n_tokens
        places = places_of(body, self.sites, self.name)
        ready = time.perf_counter()
        with (
            model.passes(),
            new_activations(
                self.destination,
                sites=self.sites,
                places=prepared.probed.extents,
                same=prepared.probed.first_alike,
                n_layers=prepared.n_layers,
                d_model=prepared.d_model,
                prompts=rows,
                n_tokens=n_tokens,
            ) as file,
        ):
            work = self.extract(model, prepared, file.into, wanted)
            seconds = time.perf_counter() - ready
            file.attrs.update({
                "record": PREFIX + self.record,
                "model": self.name,
                "model_source": json.dumps(read_description(self.model)["source"]),
                "quantization": self.quantization,
                "dtype": str(body.dtype).removeprefix("torch."),
                "weights": model.real_format,
                "sites": json.dumps({site: words_of(places, site) for site in self.sites}),
                "self_test": json.dumps(prepared.test.facts(self.sites)),
                "tokenizer": type(model.tokenizer).__name__,
                "device": str(body.device),
                "attention": body.config.get_text_config()._attn_implementation,
                "tokens_in_prompts": sum(n_tokens),
                **asdict(work),
                "versions": json.dumps({library: version(library) for library in LIBRARIES}),
            })  # fmt: skip
        log.info(
            "%d prompts: %d tokens, of which %d computed, in %d passes of at most %d, in %.1f s",
            *(len(rows), sum(n_tokens), work.tokens_computed, work.passes, work.batch_tokens),
            seconds,
        )
        return seconds

    def prepared(self, model: LoadedModel, rows: Sequence[Row]) -> "Prepared":
        """Return what is to be read of a model's prompts, which has passed its self-test."""
        from conceptdepth.activations.extraction import shape

        prompts = model.tokenized([row["prompt"] for row in rows], self.chat, rendering=self.rendering)
        tokens, read = [prompt.ids for prompt in prompts], self._probed(model, prompts, rows)
        test = self.tested(model, tokens, self.sites, self.positions)
        return Prepared(tokens, read, test, *shape(model.body, self.name))

    def extract(
        self, model: LoadedModel, prepared: "Prepared", into: "Mapping[str, Destination]", wanted: Wanted
    ) -> "Work":
        """Put the vectors into a destination for each spot; see `conceptdepth.activations.extraction.extract`."""
        from conceptdepth.activations.extraction import extract

        probed = prepared.probed
        return extract(
            model.body,
            prepared.tokens,
            into=into,
            positions={position: probed.tokens[position] for position in probed.first_alike.values()},
            batch_tokens=self.tokens_of_a_pass(model),
            layout=prepared.test.layout,
            fixed=self.fixed_batch_tokens,
            name=self.name,
            wanted=wanted,
        )

    def _probed(self, model: LoadedModel, prompts: Sequence[Tokenized], rows: Sequence[Row]) -> Probed:
        from conceptdepth.activations.tested import TEXTS

        if BY_CHARACTERS.intersection(self.positions):
            with model.tokenizing() as tokenizer:
                check_characters(tokenizer, TEXTS, self.name)
        return probed(self.positions, prompts, rows)
