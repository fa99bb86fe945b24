"""What jobs ask a cluster for comes from the registry and from how the work is done."""

import re


def asked(project, *arguments: str) -> dict[str, str]:
    """Return the resources that a dry run prints, by rule."""
    said = project.snakemake("--dry-run", *arguments).stdout
    return dict(re.findall(r"^ *(?:local)?rule (\w+):.*?\n +resources: (.*?)$", said, re.MULTILINE | re.DOTALL))


def test_gpus_are_those_of_the_models_entry_for_all_that_is_one_job(project):
    project.overlay(lambda config: config["run"].update(models=["tiny"]))
    assert "gres=gpu:1" in asked(project)["extract_activations"]
    project.overlay(lambda config: config["models"]["tiny"].update(gpus=2))
    resources = asked(project)
    assert "gres=gpu:2" in resources["extract_activations"]
    assert "gres=gpu:2" in resources["index_activations"]
    assert "gres" not in resources["train_probes"]


def test_work_on_processors_asks_for_no_gpu(project):
    project.overlay(lambda config: config.update(execution={"device": "cpu"}))
    assert "gpu" not in asked(project)["extract_activations"]


def test_on_a_cluster_models_run_on_gpus_and_ask_their_host_for_less(project):
    """A model of few parameters: the base is all that there is."""
    assert "mem_mb=1200," in asked(project)["extract_activations"]
    assert "mem_mb=2500," in asked(project, "--profile", "slurm")["extract_activations"]
    again = asked(project, "--profile", "slurm", "--config", "execution={device: cpu}")["extract_activations"]
    assert "mem_mb=1200," in again
    assert "gres=gpu" not in again
