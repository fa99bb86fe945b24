"""Jobs of these tests find what their environment files bring, and no more: one that lacks something fails."""


def test_a_job_fails_for_want_of_a_package_that_its_environment_does_not_bring(project):
    target = "results/tables/configuration.yaml"
    environment = project.folder / "envs/provenance.yaml"
    whole = environment.read_text()
    environment.write_text(whole.replace("      - pyyaml==6.0.3\n", "").replace("      - huggingface_hub==2.4.0\n", ""))
    result = project.snakemake(target)
    assert result.returncode == 1
    assert "No module named 'yaml'" in result.stdout + result.stderr
    environment.write_text(whole)
    result = project.snakemake(target)
    assert result.returncode == 0, result.stderr
