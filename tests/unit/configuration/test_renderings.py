"""Ways to present statements: what each decides, and no more; and what is wrong with some, in one sentence."""

import json
from pathlib import Path

import pytest
from conceptdepth.configuration.check import check_chats, check_config
from conceptdepth.configuration.costs import expected_texts, rendered_texts
from conceptdepth.configuration.renderings import (
    all_renderings,
    chat_settings,
    instruction_settings,
    known_chat_template,
    prompt_settings,
    template_settings,
    text_settings,
)
from conceptdepth.configuration.settings import published_cells
from conceptdepth.configuration.switches import STAGES, touched
from conceptdepth.datasets.prompts import presented, render
from conceptdepth.ground.errors import UserError
from conceptdepth.models.fetch import fetch_model
from tiny_model import save_tiny_model
from whole_configuration import configuration

RENDERINGS = {
    "empty": {},
    "question": {"template": {"layout": "text_first", "prompt": "Is that so?"}},
    "own": {"templates": {"cities": {"prompt": "Is that where it is?"}, "coin_flips": {"prompt": "Heads?"}}},
    "both": {"template": {"prompt": "So?"}, "templates": {"cities": {"layout": "text_first"}}},
    "chat": {"chat": True},
    "careful": {"chat": True, "system": "Be careful.", "prefill": "It is"},
    "noisy_chat": {"prepend": ["aaa"], "seed": 3, "chat": True, "template": {"prompt": "So?"}},
    "no_chat": {"chat": False},
}


@pytest.fixture
def config():
    found = configuration({"perturbations": RENDERINGS})
    found["run"] |= {"datasets": ["cities", "coin_flips"], "perturbations": ["clean", "noise"]}
    return found


def selecting(config, *names):
    config["run"]["perturbations"] = list(names)
    return config


def test_all_ways_are_right(config):
    check_config(selecting(config, *(name for name in RENDERINGS if name != "no_chat")))
    check_config(selecting(config, "no_chat"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"system": "x"}, r"perturbations.x: 'system' needs 'chat' beside it\."),
        ({"prefill": "x"}, r"perturbations.x: 'prefill' needs 'chat' beside it\."),
        ({"chat": False, "system": "x"}, r"perturbations.x.system: there is no chat for it; set `chat: true` beside it, or"),
        ({"chat": "yes"}, r"perturbations.x.chat: 'yes' is not of type boolean"),
        ({"chat": True, "prefill": ""}, r"perturbations.x.prefill: '' does not match .* It does not end with white"),
        ({"chat": True, "prefill": "Yes, "}, r"perturbations.x.prefill: 'Yes, ' does not match .* which some templates"),
        ({"template": {}}, r"perturbations.x.template: {} should be non-empty"),
        ({"templates": {}}, r"perturbations.x.templates: {} should be non-empty"),
        ({"templates": {"cities": {}}}, r"perturbations.x.templates.cities: {} should be non-empty"),
        ({"template": {"layout": "last"}}, r"perturbations.x.template.layout: 'last' does not exist; allowed are prompt_first, text_first"),
        ({"template": {"promt": "x"}}, r"perturbations.x.template: unknown key 'promt' \(did you mean 'prompt'\?\); allowed are layout"),
        ({"templates": {"city": {"prompt": "x"}}}, r"perturbations.x.templates: 'city' does not exist.*; datasets has cities, coin_flips"),
        ({"wording": "x"}, r"perturbations.x: unknown key 'wording'; allowed are prepend, seed, template, templates, chat"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("selected", [False, True], ids=["in the registry", "of the run"])
def test_each_mistake_has_its_sentence(config, entry, message, selected):
    config["perturbations"]["x"] = entry
    if selected:
        selecting(config, "clean", "x")
    with pytest.raises(UserError, match=message) as told:
        check_config(config)
    assert "\n" not in str(told.value), "one mistake, one sentence"


def test_a_wording_for_some_datasets_of_the_run_alone_is_a_mistake_if_nothing_else_changes_the_others(config):
    config["run"]["datasets"] = ["cities", "coin_flips", "movie_snippets"]
    check_config(config), "an entry that the run does not select"
    with pytest.raises(UserError) as told:
        check_config(selecting(config, "own"))
    assert str(told.value) == (
        "perturbations.own.templates: nothing for datasets.movie_snippets, so that its prompts would be those of the "
        "dataset's own template; add it there, or set a `template` for all datasets."
    )
    for more in ({"chat": True}, {"prepend": ["a"]}, {"template": {"prompt": "?"}}):
        config["perturbations"]["own"] = RENDERINGS["own"] | more
        if "chat" not in more:
            check_config(config)


@pytest.mark.parametrize("same", ["empty", "no_chat", "unheard"])
def test_two_entries_that_present_all_datasets_in_the_same_way_are_one_under_two_names(config, same):
    config["perturbations"]["unheard"] = {"template": {"cue": "So:"}, "seed": 4}  # Of which no layout makes anything.
    check_config(config), "entries that the run does not select"
    with pytest.raises(UserError) as told:
        check_config(selecting(config, "clean", same))
    assert str(told.value) == (
        f"perturbations.{same}: it presents every dataset of the run as clean does; change it, or leave it out of "
        "run.perturbations."
    )


def test_two_entries_may_present_one_dataset_in_the_same_way(config):
    config["perturbations"]["some"] = {"templates": {"cities": {"prompt": "So?"}}, "template": {"cue": "So:"}}
    check_config(selecting(config, "clean", "some"))


@pytest.mark.parametrize(
    ("template", "lacking"),
    [({"layout": "text_between"}, "cue"), ({"prompt": ""}, "prompt"), ({"prompt": " "}, "prompt")],
)
def test_a_layout_has_the_words_that_it_puts_beside_texts(config, template, lacking):
    config["perturbations"]["x"] = {"template": template}
    with pytest.raises(
        UserError, match=f"perturbations.x: the `{lacking}` that `.*` puts beside the texts of datasets"
    ):
        check_config(selecting(config, "clean", "x"))
    config["perturbations"]["x"] = {"template": template | {lacking: "So:"}}
    check_config(selecting(config, "clean", "x"))


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"template": {"promt": "x"}}, r"^ablation.switches.s.perturbations.noise.template: unknown key 'promt'"),
        ({"templates": {"city": {"prompt": "x"}}}, r"^ablation.switches.s.perturbations.noise.templates: 'city' does not exist"),
        ({"chat": False, "system": "x"}, r"^ablation.switches.s.perturbations.noise.system: there is no chat"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_switch_names_the_switch(config, switch, message):
    config["ablation"] = {"run": ["s"], "switches": {"s": {"perturbations": {"noise": switch}}}}
    with pytest.raises(UserError, match=message):
        check_config(config)


def settings_of(config, perturbation, dataset="cities"):
    return [*prompt_settings(config, dataset, perturbation), chat_settings(config, perturbation)]


def test_a_rendering_decides_what_it_says_and_nothing_else(config):
    own = config["datasets"]["cities"]["template"]
    declared = {"instruction": "declared"}
    assert settings_of(config, "clean") == settings_of(config, "empty") == settings_of(config, "no_chat")
    assert settings_of(config, "clean") == [{"template": own}, declared, {}, {}]
    assert settings_of(config, "noise") == [{"template": own}, declared, {"prepend": ["aaa", "bbb"], "seed": 0}, {}]
    assert settings_of(config, "chat") == [{"template": own}, declared, {}, {"chat": True}]
    rest = {key: value for key, value in own.items() if key not in ("layout", "prompt")}
    assert settings_of(config, "question") == [
        {"template": rest},
        {},
        {"template": RENDERINGS["question"]["template"]},
        {},
    ]
    assert settings_of(config, "both")[2] == {"template": {"layout": "text_first", "prompt": "So?"}}
    assert settings_of(config, "both", "coin_flips")[2] == {"template": {"prompt": "So?"}}
    assert settings_of(config, "careful")[3] == {"chat": True, "prefill": "It is", "system": "Be careful."}
    assert settings_of(config, "careful")[:3] == settings_of(config, "clean")[:3]


def edited(config, *path_and_value):
    *path, key, value = path_and_value
    changed = json.loads(json.dumps(config))
    place = changed
    for part in path:
        place = place[part]
    place[key] = value
    return changed


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (("perturbations", "own", "templates", "coin_flips", "prompt", "Tails?"), {("own", "coin_flips")}),
        (("perturbations", "own", "templates", "movie_snippets", {"prompt": "Good?"}), set()),
        (("perturbations", "question", "template", "prompt", "Really?"), {("question", "cities"), ("question", "coin_flips")}),
        (("perturbations", "careful", "system", "Be quick."), set()),
        (("perturbations", "noisy_chat", "seed", 4), {("noisy_chat", "cities"), ("noisy_chat", "coin_flips")}),
        (("perturbations", "clean", "seed", 4), set()),
        (("perturbations", "clean", {}), set()),
        (
            ("datasets", "cities", "template", "prompt", "Where?"),
            {(name, "cities") for name in ("clean", "noise", "empty", "chat", "careful", "no_chat")},
        ),
        (
            ("prompts", "instruction", "released_code"),
            {(name, dataset) for name in ("clean", "noise", "empty", "chat", "careful", "no_chat") for dataset in ("cities", "coin_flips")},
        ),
    ],
)  # fmt: skip
def test_an_edit_changes_the_params_of_exactly_the_prompts_that_it_changes(config, path, changes):
    """And what it leaves in the params makes the same prompts, what it changes others."""
    statement = {"id": "1", "text": "Oslo is in Norway.", "label": 0, "group": "1"}

    def prompt(config, name, dataset):
        template, instruction, text = prompt_settings(config, dataset, name)
        used = presented(template["template"], instruction.get("instruction", "declared"), text.get("template", {}))
        return render(statement, used, text)["prompt"]

    after = edited(config, *path)
    for name in config["perturbations"]:
        for dataset in ("cities", "coin_flips"):
            differ = prompt_settings(config, dataset, name) != prompt_settings(after, dataset, name)
            assert differ == ((name, dataset) in changes)
            if not differ or "seed" not in path:
                assert differ == (prompt(config, name, dataset) != prompt(after, name, dataset))
    is_chat = "careful" in path
    assert [name for name in config["perturbations"] if chat_settings(config, name) != chat_settings(after, name)] == (
        ["careful"] if is_chat else []
    )


def test_prompts_that_are_counted_depend_on_all_renderings_of_the_run(config):
    found = all_renderings(selecting(config, "clean", "both", "careful", "noisy_chat"), "cities")
    assert found == {
        "clean": {},
        "both": {"template": {"layout": "text_first", "prompt": "So?"}},
        "careful": {"chat": True, "prefill": "It is", "system": "Be careful."},
        "noisy_chat": {"chat": True, "prepend": ["aaa"], "seed": 3, "template": {"prompt": "So?"}},
    }


def test_order_of_keys_is_nothing(config):
    config["perturbations"]["careful"] = dict(reversed(RENDERINGS["careful"].items()))
    assert list(chat_settings(config, "careful")) == ["chat", "prefill", "system"]
    assert list(text_settings(config, "cities", "question")["template"]) == ["layout", "prompt"]
    assert list(template_settings(config, "cities", "clean")["template"]) == sorted(
        config["datasets"]["cities"]["template"]
    )
    assert instruction_settings(config, "cities", "both") == {}


@pytest.mark.parametrize(
    ("switch", "cell", "first"),
    [
        ({"noise": {"template": {"prompt": "?"}}}, ("cities", "noise"), "prompts"),
        ({"noise": {"templates": {"coin_flips": {"prompt": "?"}}}}, ("cities", "noise"), None),
        ({"noise": {"templates": {"coin_flips": {"prompt": "?"}}}}, ("coin_flips", "noise"), "prompts"),
        ({"noise": {"chat": True}}, ("cities", "noise"), "activations"),
        ({"careful": {"system": "Be quick."}}, ("cities", "careful"), "activations"),
        ({"careful": {"system": "Be quick."}}, ("cities", "noise"), None),
    ],
)
def test_a_switch_touches_the_stages_that_it_changes(config, switch, cell, first):
    config["ablation"] = {"run": ["s"], "switches": {"s": {"perturbations": switch}}}
    names = {
        "switch": "s",
        "model": "smollm2-135m",
        "quantization": "fp32",
        "dataset": cell[0],
        "perturbation": cell[1],
    }
    again = [stage for stage in STAGES if touched(config, names, stage)]
    assert again == (list(STAGES[STAGES.index(first) :]) if first else [])


def test_a_switch_of_the_instruction_touches_no_rendering_with_one_of_its_own(config):
    names = {"switch": "emotion_prompt", "model": "smollm2-135m", "quantization": "fp32", "dataset": "cities"}
    assert touched(config, names | {"perturbation": "chat"}, "prompts")
    assert not touched(config, names | {"perturbation": "question"}, "probes")


def test_only_texts_that_are_left_as_they_are_have_published_numbers(config):
    config["models"]["smollm2-135m"]["published"] = "Gemma-7B"
    config["datasets"]["cities"]["published"] = "Cities"
    found = published_cells(selecting(config, "clean", "noise", *RENDERINGS))
    assert list(found["perturbations"]) == ["clean", "empty", "no_chat"]


def test_the_wording_of_a_rendering_counts_in_what_to_expect(config):
    dataset = {
        "size": {"statements": [1, 1], "characters": 6},
        "template": {"layout": "prompt_first", "prompt": "Judge."},
    }
    texts = ["Oslo. ", "Lima. "]
    for name, entry in RENDERINGS.items():
        used = presented(dataset["template"], "declared", text_settings(config, "cities", name).get("template", {}))
        rows = [{"id": str(n), "text": text, "label": 0, "group": "1"} for n, text in enumerate(texts)]
        prompts = [render(row, used, entry)["prompt"] for row in rows]
        assert expected_texts(dataset, entry, "cities").characters == rendered_texts(prompts).characters


@pytest.fixture
def tuned(config, tmp_path, monkeypatch):
    """A run of a local model; a function writes its chat template, or takes it away."""
    monkeypatch.chdir(tmp_path)
    folder = save_tiny_model(tmp_path / "tiny")
    config["models"]["tiny"] = {
        "label": "T",
        "family": "t",
        "parameters": 1,
        "licence": "none",
        "source": {"path": str(folder)},
    }
    config["run"]["models"] = ["tiny"]

    def set_template(there: bool):
        (folder / "chat_template.jinja").write_text("{{ messages[0].content }}") if there else None
        if not there:
            (folder / "chat_template.jinja").unlink(missing_ok=True)

    return set_template


NONE = (
    "models.tiny has no chat template, which perturbations.chat asks for; leave chat out of run.perturbations, or use a "
    "model that was tuned for chat."
)


def test_a_local_model_without_a_chat_template_stops_before_anything_runs(config, tuned):
    check_chats(config)
    with pytest.raises(UserError) as told:
        check_chats(selecting(config, "clean", "chat"))
    assert str(told.value) == NONE
    tuned(True)
    check_chats(config)
    tuned(False)
    with pytest.raises(UserError) as told:
        check_chats(selecting(config, "chat", "careful"))
    assert str(told.value).splitlines() == [
        NONE,
        NONE.replace("chat asks", "careful asks").replace("leave chat", "leave careful"),
    ]


@pytest.mark.parametrize("there", [False, True])
def test_a_model_that_was_fetched_is_known_until_its_source_changes(config, tuned, there):
    """As of the hub: what is known of it is in its description."""
    tuned(there)
    source = config["models"]["tiny"]["source"]
    description = Path("results/models/tiny/model.json")
    description.parent.mkdir(parents=True)
    fetch_model("tiny", source, description, None)
    content = json.loads(description.read_text())
    config["models"]["tiny"]["source"] = {"hf": "a/b", "revision": "0" * 40}
    assert known_chat_template(config, "tiny") is None, "it was fetched from elsewhere"
    description.write_text(json.dumps(content | {"source": {"revision": "0" * 40, "hf": "a/b"}}))
    assert known_chat_template(config, "tiny") is there
    selecting(config, "chat")
    if there:
        check_chats(config)
    else:
        with pytest.raises(UserError, match=r"^models.tiny has no chat template"):
            check_chats(config)
    del content["chat_template"]
    description.write_text(json.dumps(content | {"source": {"revision": "0" * 40, "hf": "a/b"}}))
    assert known_chat_template(config, "tiny") is None, "of an earlier version"
    description.write_text("{")
    assert known_chat_template(config, "tiny") is None
    check_chats(config)
