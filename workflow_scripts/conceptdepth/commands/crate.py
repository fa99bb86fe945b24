"""What an RO-Crate says of a run: its profiles, who wrote the workflow, its steps, and each job of each step.

It follows Provenance Run Crate, https://w3id.org/ro/wfrun/provenance/0.6: each rule is a step of the workflow, and each
of its jobs an action whose tool is the rule's script, with the inputs, outputs and times of the job's record. Files
that the archive leaves out (texts, weights, what is large) are named with their hashes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from conceptdepth.ground.files import ROOT
from conceptdepth.provenance.chain import machine_and_code, stages
from conceptdepth.provenance.digest import script_of
from conceptdepth.provenance.findings import Audit
from conceptdepth.provenance.record import RECORDS, RecordContent

CRATE_VERSION, PROFILE_VERSION = "1.3", "0.6"
"""Versions that belong together: rocrate adds the third, that of Workflow RO-Crate."""

PROFILES = {"process": "Process Run Crate", "workflow": "Workflow Run Crate", "provenance": "Provenance Run Crate"}
"""Names of the profiles by the word in their addresses."""

WORKFLOW, SCRIPT = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"], ["File", "SoftwareSourceCode"]
"""Types of the Snakefile and of the scripts that rules run."""

ENGINE = "https://snakemake.github.io"

PYTHON = "https://www.python.org"


def start_crate(snakefile: Mapping[str, str]) -> ROCrate:
    """Return a crate of the workflow and nothing else. ``snakefile`` is what the crate is to say of that file."""
    crate = ROCrate(version=CRATE_VERSION)
    crate.metadata.extra_contexts.append("https://w3id.org/ro/terms/workflow-run/context")
    known = {**snakefile, "@type": WORKFLOW}
    crate.add_workflow(ROOT / "Snakefile", "Snakefile", main=True, lang="snakemake", properties=known)
    facts = {"@type": ["CreativeWork", "Profile"], "version": PROFILE_VERSION}
    for word, name in PROFILES.items():
        profile = add(crate, f"https://w3id.org/ro/wfrun/{word}/{PROFILE_VERSION}", facts | {"name": name})
        crate.root_dataset.append_to("conformsTo", profile)
    _add_citation(crate)
    return crate


def add_run(crate: ROCrate, audit: Audit, *, configuration: Sequence[Entity], made: Sequence[Entity]) -> None:
    """Describe the run of the crate's main entity, and that of each job.

    ``configuration`` and ``made`` are the files of the crate that the run read and wrote. The scripts lie in it, too.
    """
    _add_parameters(crate, "input", {"configuration": configuration})
    _add_parameters(crate, "output", _by_kind(made))
    facts = _times(audit.records.values()) | {
        "name": "The run of the workflow that made these results",
        "description": "; ".join(f"{key}: {fact}" for key, fact in machine_and_code(audit).items()),
    }
    run = _add_action(crate, "#run", facts, crate.mainEntity, of=configuration, to=made)
    records = dict(sorted(audit.records.items(), key=lambda item: (item[1]["started"], item[0])))
    _add_steps(crate, audit, records.values())
    orders = [_add_job(crate, path, record) for path, record in records.items()]
    facts = {"@type": "SoftwareApplication", "name": "Snakemake", "url": ENGINE, "version": version("snakemake")}
    engine = add(crate, ENGINE, facts | {"description": "In the version that was installed when this was archived."})
    crate.mainEntity["programmingLanguage"]["version"] = engine["version"]
    facts = _times(audit.records.values()) | {"@type": "OrganizeAction", "name": "What Snakemake did in this run"}
    _add_action(crate, "#orchestration", facts, engine, of=orders, to=[run])


def add(crate: ROCrate, identifier: str, facts: Mapping[str, Any]) -> Entity:
    """Add an entity that is no file, or return the one that is there."""
    return crate.get(identifier) or crate.add(ContextEntity(crate, identifier, dict(facts)))


def _add_citation(crate: ROCrate) -> None:
    """Say of the crate's main entity what CITATION.cff says."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    workflow, licence = crate.mainEntity, citation["license"]
    workflow["name"], workflow["version"] = citation["title"], citation["version"]
    facts = {"@type": "CreativeWork", "name": licence, "description": "Its words are in the file LICENSE."}
    workflow["license"] = crate.root_dataset["license"] = add(crate, f"https://spdx.org/licenses/{licence}", facts)
    workflow["creator"] = _one_or_all([_author(crate, author) for author in citation["authors"]])
    workflow["conformsTo"] = {"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"}


def script_path(record: RecordContent) -> str:
    """Return the path of a job's script from the root of the workflow. Records of earlier versions do not name it."""
    return f"workflow_scripts/{record['code'].get('script') or script_of(record['rule'])}"


def _author(crate: ROCrate, author: Mapping[str, str]) -> Entity:
    """Add an author of CITATION.cff: an organization has a name, a person two."""
    if "name" in author:
        kind, name = "Organization", author["name"]
    else:
        kind, name = "Person", f"{author['given-names']} {author['family-names']}"
    return add(crate, author.get("orcid", f"#author/{quote(name)}"), {"@type": kind, "name": name})


def _by_kind(made: Iterable[Entity]) -> dict[str, list[Entity]]:
    """Sort files by the folder of ``results/`` that they lie in; pages lie in none."""
    kinds: dict[str, list[Entity]] = {}
    for file in made:
        _, folder, *rest = Path(file.id).parts
        kinds.setdefault(folder if rest else "pages", []).append(file)
    return kinds


def _add_parameters(crate: ROCrate, side: str, kinds: Mapping[str, Sequence[Entity]]) -> None:
    """Add what the workflow takes or gives: a formal parameter for each kind of files."""
    for kind, files in kinds.items():
        parameter = crate.add_formal_parameter(kind, "File", identifier=f"#{side}/{kind}", valueRequired=True)
        parameter["workExample"] = _one_or_all(files)
        crate.mainEntity.append_to(side, parameter, compact=True)
        for file in files:
            file["exampleOfWork"] = parameter


def _times(records: Iterable[RecordContent]) -> dict[str, Any]:
    """Return when the first of some jobs began and the last ended."""
    started, ended = zip(*((record["started"], record["ended"]) for record in records))
    return {"startTime": min(started), "endTime": max(ended)}


def _add_action(
    crate: ROCrate, identifier: str, facts: dict[str, Any], by: Entity, *, of: Sequence[Entity], to: Sequence[Entity]
) -> Entity:
    """Add something that was done, and succeeded, by an entity, and mention it."""
    done = facts | {"actionStatus": "http://schema.org/CompletedActionStatus"}
    action = crate.add_action(
        by, identifier=identifier, object=_one_or_all(of), result=_one_or_all(to), properties=done
    )
    crate.root_dataset.append_to("mentions", action)
    return action


def _one_or_all(entities: Sequence[Entity]) -> Entity | list[Entity]:
    """Return what JSON-LD in its short form has: a list only of several."""
    return entities[0] if len(entities) == 1 else list(entities)


def _add_steps(crate: ROCrate, audit: Audit, records: Collection[RecordContent]) -> None:
    """Add a step for each rule, in the order in which their first jobs began, and describe the script that it runs."""
    deeds = {stage.rule: stage.deed for stage in stages(audit)}
    pythons = sorted({record["environment"]["python"] for record in records})
    facts = {"@type": "ComputerLanguage", "name": "Python", "url": PYTHON, "version": ", ".join(pythons)}
    language = add(crate, PYTHON, facts)
    workflow = crate.mainEntity
    for position, record in enumerate({record["rule"]: record for record in records}.values(), start=1):
        tool = _tool(crate, record)
        if "description" not in tool:  # Of two rules with one script, the second finds it described.
            tool["programmingLanguage"], tool["version"] = language, workflow["version"]
            tool["description"] = deeds[record["rule"]]
            workflow.append_to("hasPart", tool)
        facts = {"@type": "HowToStep", "name": record["rule"], "position": str(position)}
        step = add(crate, _step(record), facts | {"description": tool["description"]})
        step["workExample"] = tool
        workflow.append_to("step", step)


def _step(record: RecordContent) -> str:
    return f"#step/{record['rule']}"


def _tool(crate: ROCrate, record: RecordContent) -> Entity:
    return crate.get(script_path(record))


def _add_job(crate: ROCrate, path: str, record: RecordContent) -> Entity:
    """Add the run of a script, and Snakemake's order to run it, which is returned."""
    tool, step = _tool(crate, record), crate.get(_step(record))
    word = quote(Path(path).relative_to(RECORDS).with_suffix("").as_posix())
    name = " ".join([record["rule"], *record["wildcards"].values()])
    facts = _times([record]) | {"name": f"Run of {name}", "description": tool["description"]}
    inputs, outputs = ([_file(crate, file) for file in record[side]] for side in ("inputs", "outputs"))
    job = _add_action(crate, f"#job/{word}", facts, tool, of=inputs, to=[*outputs, crate.get(path)])
    order = add(crate, f"#order/{word}", {"@type": "ControlAction", "name": f"Order to run {name}"})
    order["instrument"], order["object"] = step, job
    return order


def _file(crate: ROCrate, file: Mapping[str, Any]) -> Entity:
    """Return a file of a record: the crate's, or what is known of one that it leaves out."""
    facts = {"@type": "CreativeWork", "name": file["path"], "sha256": file["sha256"], "contentSize": str(file["bytes"])}
    about = {"description": "A file of the run that is not in this archive under its name."}
    return crate.get(file["path"]) or add(crate, f"#left-out/{quote(file['path'])}", facts | about)
