"""What a run was: the configuration after all overlays.

reads   the configuration
writes  results/tables/configuration.yaml
"""


localrules:
    record_configuration,


rule record_configuration:
    """Write down the configuration that the tables and figures belong to."""
    output:
        report(
            "results/tables/configuration.yaml",
            caption="../report/configuration.rst",
            category="Configuration",
            labels={"configuration": "All settings of this run"},
        ),
    log:
        "results/logs/record_configuration.log",
    conda:
        "../envs/provenance.yaml"
    params:
        code=code_digest("record_configuration.py"),
        configuration=settings.selected_configuration(config),
    script:
        "../workflow_scripts/record_configuration.py"
