"""Helpers of the rules that run a model: what a job asks for, of this machine or of a cluster."""

from conceptdepth.configuration.costs import extraction_memory_mb, extraction_time


def extraction_memory(wildcards, attempt):
    """Return the memory of an extraction job in MB; each attempt asks for more."""
    return attempt * extraction_memory_mb(config, **dict(wildcards.items()))


def extraction_minutes(wildcards, attempt):
    """Return the time that a cluster is asked for, for an extraction job; each attempt asks for more."""
    return attempt * extraction_time(config, **dict(wildcards.items()))


def gpus_of_model(wildcards):
    """Return the generic resource that a cluster is asked for: the GPUs of a model, or nothing for work on processors."""
    n_gpus = config["models"][wildcards.model].get("gpus", 1)
    return "" if config["execution"]["device"] == "cpu" else f"gpu:{n_gpus}"


def extraction_priority(wildcards):
    """Return a priority that keeps the cells of a model and weight format together."""
    return -settings.model_rank(config, wildcards.model, wildcards.quantization)
