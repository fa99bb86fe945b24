"""What cannot be known before a run, with a value for each that costs are computed from unless told otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumptions:
    """What cannot be known before a run."""

    characters_per_token: float = 3.9
    """Where no tokenizer is here. SmolLM2's on the prompts of the default run, clean and noisy."""
    teraflops_fp32: float = 19.5
    """Peak of the GPU for fp32, in 10^12 operations a second: that of an NVIDIA A100 without TF32."""
    teraflops: float = 312
    """Peak for the other formats, which multiply in bfloat16 on a GPU: that of an NVIDIA A100."""
    share: float = 0.3
    """Share of the peak that is reached."""
    read_gb_per_second: float = 1
    """How fast weights are read, in 10^9 bytes a second."""
