"""What a job wants of a model: the worker does it, or the job itself without one."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.names import LAST
from conceptdepth.models.checkpoint import NATIVE
from conceptdepth.models.devices import device_name, tokens_of_a_pass
from conceptdepth.models.loaded import LoadedModel, LoadedModels, ModelRequest
from conceptdepth.provenance.environment import begin_peak_memory, linear_algebra, peak_memory_mb

if TYPE_CHECKING:
    from conceptdepth.activations.self_test import SelfTest

Wanted = Callable[[], bool]
"""Tells whether somebody still waits for the work."""


def always() -> bool:
    """Tell that the work is wanted: a job that does it itself waits for nobody else."""
    return True


@dataclass(frozen=True, kw_only=True)
class WorkRequest(ModelRequest, ABC):
    """What all work with a model has in common. Fields are plain values: a request travels to the worker as JSON."""

    WRITTEN: ClassVar[tuple[str, ...]] = ("destination",)
    """Fields that are paths of files which the work writes."""

    prompts: str
    """Path of the prompts, JSON Lines."""
    chat: dict[str, Any] | None = None
    """How they are put into the model's chat template (`conceptdepth.models.chat.Chat`); nothing leaves them plain."""
    rendering: str = ""
    """Name of the rendering, an entry of ``perturbations``."""
    batch_tokens: int | None
    """Most tokens of one forward pass; None finds out what fits."""
    fixed_batch_tokens: bool
    """Whether results depend on the tokens of a pass."""
    compile: bool | None = None
    """Whether the model's blocks run compiled; None finds out whether that pays."""
    threads: int
    """Threads on the CPU."""
    destination: str
    """Path of the file that is written."""

    @abstractmethod
    def work(self, model: LoadedModel, wanted: Wanted) -> float:
        """Write the destination and return the seconds in forward passes. Raises `NotWanted` once nobody waits."""

    def carry_out(self, models: LoadedModels, wanted: Wanted = always) -> dict[str, Any]:
        """Load the model if needed, do the work and return facts about the process for the job's record."""
        import torch

        torch.set_num_threads(self.threads)  # Of this thread alone.
        begin_peak_memory()
        started = time.perf_counter()
        with models.use(self) as model:
            load_seconds = time.perf_counter() - started
            self.check_passes(model)
            forward_seconds = self.work(model, wanted)
            device, weights = device_name(model.causal.device), model.real_format
        return {
            "peak_memory_mb": peak_memory_mb(),
            "measured": {"seconds_load": round(load_seconds, 3), "seconds_forward": round(forward_seconds, 3)},
            "environment": {"device": device, "weights": weights, "blas": linear_algebra()},
        }

    def tested(
        self,
        model: LoadedModel,
        tokens: Sequence[list[int]],
        sites: Sequence[str],
        positions: Sequence[str] = (LAST,),
    ) -> "SelfTest":
        """Return the self-test of the model for prompts, which says how they are laid out in passes."""
        from conceptdepth.activations.layouts import EqualLengths, Trees
        from conceptdepth.activations.tested import self_tested, tested_otherwise
        from conceptdepth.activations.trees import distinct_tokens
        from conceptdepth.models.fused import pays
        from conceptdepth.models.places import lie_deep

        wanted: dict[str, Any] = {
            "sites": sites,
            "positions": positions,
            "batch_tokens": self.tokens_of_a_pass(model),
        }
        result = self_tested(model, tokens, **wanted)
        if self.batch_tokens == 1:  # Nothing shares a pass: whole prompts, as the released code runs them.
            return tested_otherwise(model, result, tokens, **wanted, layouts=[EqualLengths()])
        compiled = pays(model.body, distinct_tokens(tokens)) if self.compile is None else self.compile
        # Only flat passes run compiled, and nothing can be read inside of what is compiled.
        if compiled and isinstance(result.layout, Trees) and not lie_deep(model.body, sites, self.name):
            layouts = [replace(result.layout, compiled=True), result.layout]
            return tested_otherwise(model, result, tokens, **wanted, layouts=layouts)
        return result

    def tokens_of_a_pass(self, model: LoadedModel) -> int:
        """Return the most tokens of a forward pass."""
        return self.batch_tokens or tokens_of_a_pass(model.body)

    def check_passes(self, model: LoadedModel) -> None:
        """Refuse a checkpoint that turns out to be LLM.int8() without the tokens of a pass, on which results depend."""
        if self.quantization == NATIVE and model.real_format == "int8" and not self.fixed_batch_tokens:
            raise UserError(
                f"models.{self.name}: the checkpoint is stored as int8, whose results depend on the tokens of a pass; "
                "set `activations.fixed_batch_tokens: {native: 4096}`."
            )


def common_fields(snakemake: Any, *, fixed: int | None) -> dict[str, Any]:
    """Return the fields of `WorkRequest` from a job, but for weight format and destination.

    ``fixed`` are the tokens of a pass where results depend on them.
    """
    execution = snakemake.config["execution"]
    return {
        "model": snakemake.input.model,
        "name": snakemake.wildcards.model,
        "prompts": snakemake.input.prompts,
        "chat": dict(snakemake.params.perturbation),
        "rendering": snakemake.wildcards.perturbation,
        "batch_tokens": fixed or (None if execution["batch_tokens"] == "auto" else execution["batch_tokens"]),
        "fixed_batch_tokens": fixed is not None,
        "compile": None if execution["compile"] == "auto" else execution["compile"],
        "device": execution["device"],
        "max_memory": execution.get("max_memory"),
        "scratch": execution["scratch"],
        "threads": snakemake.threads,
        **snakemake.params.model,
    }
