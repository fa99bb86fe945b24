"""The same statements in other words and as a chat, in a real run: what is read, and what an edit makes stale."""

import json
import re

import h5py
import pytest
from conceptdepth.datasets.rows import read_prompts
from test_reruns import Row, all_of, nothing, plan, setting, with_run

RENDERINGS = {
    "question": {"templates": {"claims": {"layout": "text_first", "prompt": "true or false ?"}}},
    "chat": {"chat": True, "system": "judge .", "prefill": "the statement is"},
}
CELLS = ["claims.clean", "claims.question", "claims.chat"]
TARGETS = [*(f"results/activations/tiny/fp32/{cell}.h5" for cell in CELLS), "results/answers/tiny/fp32/claims.chat.csv"]

change = all_of(
    with_run(models=["tiny"], quantizations=["fp32"], datasets=["claims"], perturbations=["clean", "question", "chat"]),
    setting("perturbations", RENDERINGS),
    setting("execution", "extraction_threads", 2),  # Both cores: one job with a model at a time.
    lambda project: project.overlay(
        lambda config: [cls.update(answer=cls["name"]) for cls in config["datasets"]["claims"]["classes"]]
    ),
)


@pytest.fixture(scope="module")
def presented(finished, tmp_path_factory):
    """The finished project after a run of these ways. Tests must leave it as it is."""
    project = finished.copy(tmp_path_factory.mktemp("renderings") / "project")
    change(project)
    result = project.snakemake(*TARGETS)
    assert result.returncode == 0, result.stderr
    return project


def prompts(project, cell):
    return [row["prompt"] for row in read_prompts(project.folder / f"results/prompts/{cell}.jsonl")]


def test_a_wording_is_in_the_prompts_and_a_chat_is_not(presented):
    plain, question, chat = (prompts(presented, cell) for cell in CELLS)
    assert plain == chat
    judge = "judge the statement true or false . "
    assert question == [f"{prompt.removeprefix(judge)} true or false ?" for prompt in plain]


def test_the_model_reads_the_chat(presented):
    lengths = {}
    for cell in CELLS:
        with h5py.File(presented.folder / f"results/activations/tiny/fp32/{cell}.h5") as file:
            lengths[cell] = file["n_tokens"][:].tolist()
            assert len(lengths[cell]) == len(prompts(presented, cell))
    assert lengths["claims.chat"] == [n + len("<s> judge . the statement is".split()) for n in lengths["claims.clean"]]


def test_show_prompts_shows_what_the_model_reads(presented):
    result = presented.snakemake("show_prompts")
    assert result.returncode == 0, result.stderr
    said = result.stdout[result.stdout.index("claims.chat") :]
    (first, *_) = prompts(presented, "claims.chat")
    assert json.dumps(f"<s> judge . {first} the statement is") in said
    assert re.search(r"last         is  \(token (\d+) of \1\)", said)
    assert result.stdout.count("  chat         ") == 1


def test_costs_count_the_tokens_of_the_chat(presented, tmp_path):
    project = presented.copy(tmp_path / "project")
    result = project.conceptdepth("costs", "--whole-grid", "--json", "--configfile", "overlay.yaml")
    assert result.returncode == 0, result.stderr
    (costs,) = json.loads(result.stdout)["costs"]
    tokens = 0
    for cell in CELLS:
        with h5py.File(project.folder / f"results/activations/tiny/fp32/{cell}.h5") as file:
            tokens += sum(file["n_tokens"][:].tolist())
    assert costs["tokens_exact"]
    assert costs["tokens_in_prompts"] == tokens


PROMPTS = "render_prompts/claims"
CHAT = {"extract_activations/tiny/fp32/claims.chat", "score_answers/tiny/fp32/claims.chat"}
EXTRACT = "extract_activations/tiny/fp32/claims"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (nothing, set()),
        (setting("perturbations", "chat", "system", "true ?"), CHAT),
        (setting("perturbations", "chat", "prefill", "it is"), CHAT),
        (setting("perturbations", "chat", "seed", 3), set()),
        (setting("perturbations", "chat", "template", {"prompt": "true ?"}), {f"{PROMPTS}.chat", *CHAT}),
        (setting("perturbations", "question", "templates", "claims", "prompt", "?"), {f"{PROMPTS}.question", f"{EXTRACT}.question"}),
        (setting("perturbations", "question", "templates", "coins", {"prompt": "?"}), set()),
        (
            setting("datasets", "claims", "template", "prompt", "true ?"),
            {f"{PROMPTS}.clean", f"{PROMPTS}.chat", f"{EXTRACT}.clean", *CHAT},
        ),
        (setting("prompts", "instruction", "released_code"), {f"{PROMPTS}.clean", f"{PROMPTS}.chat", f"{EXTRACT}.clean", *CHAT}),
        (
            setting("prompts", "too_long", "drop"),
            {"find_long_statements/claims", *(f"{PROMPTS}.{name}" for name in ("clean", "question", "chat")),
             f"{EXTRACT}.clean", f"{EXTRACT}.question", *CHAT},
        ),
    ],
    ids="nothing system prefill seed template wording another own instruction drop".split(),
)  # fmt: skip
def test_only_what_an_edit_changes_is_made_anew(presented, tmp_path, edit, expected):
    assert plan(presented.copy(tmp_path / "project"), Row(edit, set(), tuple(TARGETS))) == expected


def test_why_names_the_key(presented, tmp_path):
    project = presented.copy(tmp_path / "project")
    setting("perturbations", "chat", "system", "true ?")(project)
    result = project.conceptdepth("why", TARGETS[2], "--configfile", "overlay.yaml")
    assert "`perturbations.chat.system` changed from judge . to true ?" in result.stdout + result.stderr


def test_a_model_without_a_chat_template_stops_before_anything_runs(presented, tmp_path):
    project = presented.copy(tmp_path / "project")
    (project.folder / "data/tiny/chat_template.jinja").unlink()
    said = plan(project, Row(nothing, set(), tuple(TARGETS)))
    assert (
        "models.tiny has no chat template, which perturbations.chat asks for; leave chat out of run.perturbations"
        in said
    )


def test_a_template_that_refuses_a_system_message_stops_its_job_with_a_sentence(presented, tmp_path):
    project = presented.copy(tmp_path / "project")
    template = project.folder / "data/tiny/chat_template.jinja"
    template.write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + template.read_text()
    )
    setting("prompts", "too_long", "drop")(project)
    for target in ("results/datasets/claims.too_long.csv", None):
        if target is None:
            setting("prompts", "too_long", "refuse")(project)
        result = project.snakemake(target or TARGETS[2])
        said = result.stdout + result.stderr
        assert result.returncode == 1
        assert (
            "Error: models.tiny: its chat template does not take perturbations.chat, because it says: System role not "
            "supported; leave out its `system` and `prefill`, or leave chat out of run.perturbations."
        ) in said
        assert "Traceback" not in said
