"""What a run was: the configuration after all overlays.

reads   the configuration
writes  results/tables/configuration.yaml
"""


localrules:
    record_configuration,


def selected_configuration():
    """Return the configuration without what the run does not select and what does not change results."""
    chosen = {key: value for key, value in config.items() if key != "execution"}
    for registry in ("models", "datasets", "perturbations"):
        chosen[registry] = {name: config[registry][name] for name in config["run"][registry]}
    return in_order(chosen)


rule record_configuration:
    """Write down the configuration that the tables and figures belong to."""
    output:
        report(
            "results/tables/configuration.yaml",
            caption="../report/configuration.rst",
            category="Configuration",
            labels={"configuration": "All settings of this run"},
        ),
    params:
        code=code_digest("record_configuration.py"),
        configuration=selected_configuration(),
    log:
        "results/logs/record_configuration.log",
    conda:
        "../envs/provenance.yaml"
    script:
        "../workflow_scripts/record_configuration.py"
