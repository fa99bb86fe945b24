"""One cell of the grid: the activations of a model, in one weight format, on one prompt file."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version

from conceptdepth.activations.request import Wanted, WorkRequest
from conceptdepth.activations.store import new_activations
from conceptdepth.datasets.rows import read_prompts
from conceptdepth.models.loaded import LoadedModel
from conceptdepth.models.sites import blocks, site_of
from conceptdepth.models.weights import read_description
from conceptdepth.provenance.record import PREFIX

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "tokenizers", "bitsandbytes", "accelerate", "numpy", "h5py")
"""Libraries whose versions an activation file records."""


@dataclass(frozen=True, kw_only=True)
class Cell(WorkRequest):
    """What is extracted, and how."""

    sites: list[str]
    """Sites, of `conceptdepth.models.sites.SITES`."""
    record: str
    """Id of the job's record."""

    def work(self, model: LoadedModel, wanted: Wanted) -> float:
        """Extract the cell and write its activation file; see `WorkRequest.work`."""
        from conceptdepth.activations.extraction import extract, shape

        rows = read_prompts(self.prompts)
        tokens = model.tokens([row["prompt"] for row in rows], self.chat, rendering=self.rendering)
        n_tokens = [len(prompt) for prompt in tokens]
        body, test = model.body, self.tested(model, tokens, self.sites)
        n_layers, d_model = shape(body, self.name)
        ready = time.perf_counter()
        with (
            model.passes(),
            new_activations(
                self.destination, sites=self.sites, n_layers=n_layers, d_model=d_model, prompts=rows, n_tokens=n_tokens
            ) as file,
        ):
            work = extract(
                body,
                tokens,
                into=file.into,
                batch_tokens=self.tokens_of_a_pass(model),
                layout=test.layout,
                fixed=self.fixed_batch_tokens,
                name=self.name,
                wanted=wanted,
            )
            seconds = time.perf_counter() - ready
            file.attrs.update({
                "record": PREFIX + self.record,
                "model": self.name,
                "model_source": json.dumps(read_description(self.model)["source"]),
                "quantization": self.quantization,
                "dtype": str(body.dtype).removeprefix("torch."),
                "weights": model.real_format,
                "sites": json.dumps({site: site_of(blocks(body, self.name)[0], site).words for site in self.sites}),
                "self_test": json.dumps(test.facts(self.sites)),
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
