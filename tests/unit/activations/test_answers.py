"""What a model says, from packed passes, equals what Hugging Face's causal model says one prompt at a time."""

import numpy as np
import pandas as pd
import pytest
import torch
import transformers as hf
from architectures import built, configuration
from collect_answers import rates
from conceptdepth.activations.answers import answer_tokens, score, variants
from conceptdepth.datasets.prompts import asked
from conceptdepth.ground.errors import UserError
from conceptdepth.models.head import Head, Lens
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.sites import decoder_of
from test_extraction import ARCHITECTURES, OPT, SMALL, SmallMemory, prompts
from tiny_model import save_tiny_model

TOLERANCE = 1e-4
"""Absolute, in float32, for logits of order ten."""

ANSWERS = [[11, 12, 13], [21, 22]]

MORE = {
    "gemma2_low_cap": lambda: hf.Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=1.5),
    "gemma3_capped": lambda: hf.Gemma3TextConfig(**SMALL, head_dim=8, final_logit_softcapping=1.5),
    "opt_projected": lambda: hf.OPTConfig(**{**OPT, "word_embed_proj_dim": 16}),
    "untied": lambda: hf.LlamaConfig(**SMALL, tie_word_embeddings=False),
}


@pytest.fixture(scope="module", params=[*ARCHITECTURES, *MORE])
def model(request):
    torch.manual_seed(0)
    found = hf.AutoModelForCausalLM.from_config((ARCHITECTURES | MORE)[request.param]())
    for parameter in found.parameters():  # Initial weights of 0.02 would make all tokens equally probable.
        parameter.data.normal_(std=0.2)
    return found.eval()


def probabilities(model, prompt):
    with torch.inference_mode():
        return model(torch.tensor([prompt]), use_cache=False).logits[0, -1].double().softmax(0).numpy()


@pytest.mark.parametrize("common", [0, 17])
def test_scores_equal_those_of_whole_forward_passes(model, common, monkeypatch):
    monkeypatch.setattr("conceptdepth.activations.answers.PROMPTS_AT_A_TIME", 4)
    expected = np.stack([probabilities(model, prompt) for prompt in prompts(common)])
    class_0, class_1 = (expected[:, tokens].sum(1) for tokens in ANSWERS)
    found = score(model, prompts(common), ANSWERS, batch_tokens=70, name="tiny")
    np.testing.assert_allclose(found.log_odds, np.log(class_1 / class_0), atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(found.mass, class_0 + class_1, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(found.confidence, expected.max(1), atol=TOLERANCE, rtol=0)
    first = expected.argmax(1)
    assert found.answered.tolist() == np.isin(first, [*ANSWERS[0], *ANSWERS[1]]).tolist()
    assert score(model, prompts(common), [[first[0]], [96]], batch_tokens=70, name="tiny").answered[0]


def answer_after_each_block(model, prompt):
    """Log-odds by layer, by hand: hidden states as transformers gives them, final norm, rows of the head, soft cap."""
    with torch.inference_mode():
        found = model(torch.tensor([prompt]), use_cache=False, output_hidden_states=True)
        states, body = torch.stack([layer[0, -1] for layer in found.hidden_states[1:-1]]), decoder_of(model, "tiny")
        for part in ("norm", "ln_f", "final_layer_norm", "project_out"):
            module = getattr(body, part, None)
            states = states if module is None else module(states)
        no, yes = (states @ model.get_output_embeddings().weight[tokens].T for tokens in ANSWERS)
    cap = getattr(model.config, "final_logit_softcapping", None)
    no, yes = ((cap * (logits / cap).tanh() if cap else logits).double().logsumexp(1) for logits in (no, yes))
    return (yes - no).numpy()


@pytest.mark.parametrize("common", [0, 17])
def test_the_lens_is_final_norm_and_rows_of_the_head_on_hidden_states_and_ends_in_the_own_answer(model, common):
    found = score(model, prompts(common), ANSWERS, batch_tokens=70, name="tiny")
    expected = np.stack([answer_after_each_block(model, prompt) for prompt in prompts(common)], axis=1)
    np.testing.assert_allclose(found.lens[:-1], expected, atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_array_equal(found.lens[-1], found.log_odds)


@pytest.mark.parametrize("kind", ["llama", "gemma2_low_cap", "opt_projected"])
def test_the_lens_in_16_bits_is_as_near_as_rounding_and_ends_in_the_own_answer(kind):
    torch.manual_seed(0)
    wide = hf.AutoModelForCausalLM.from_config((ARCHITECTURES | MORE)[kind]()).eval()
    narrow = hf.AutoModelForCausalLM.from_config(wide.config, dtype=torch.bfloat16).eval()
    narrow.load_state_dict(wide.state_dict())
    wide.load_state_dict(narrow.state_dict())  # The same weights, rounded.
    found, expected = (score(model, prompts(), ANSWERS, batch_tokens=70, name="tiny") for model in (narrow, wide))
    np.testing.assert_array_equal(found.lens[-1], found.log_odds)
    np.testing.assert_allclose(found.lens, expected.lens, atol=0.05 * np.abs(expected.lens).max())


def test_the_lens_of_a_head_whose_rows_are_not_at_hand_is_the_same(model, monkeypatch):
    """Quantized, or kept on a disk: then the whole head is asked."""
    expected = score(model, prompts(), ANSWERS, batch_tokens=70, name="tiny").lens
    monkeypatch.setattr("conceptdepth.models.head._rows", lambda head, tokens: None)
    found = score(model, prompts(), ANSWERS, batch_tokens=70, name="tiny").lens
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_a_lens_that_does_not_find_the_own_answer_at_the_last_layer_is_refused(monkeypatch):
    """One that forgets the model's scale of logits."""
    model = built(configuration("cohere"))
    right = Lens.logits
    monkeypatch.setattr(Lens, "logits", lambda lens, states: 16 * right(lens, states))
    with pytest.raises(
        UserError, match="models.tiny: its answers cannot be read at each layer, because at the last one the final norm"
    ):
        score(model, prompts(), ANSWERS, batch_tokens=70, name="tiny")


def test_when_memory_runs_out_passes_are_halved_and_nothing_is_lost(model):
    whole = score(model, prompts(), ANSWERS, batch_tokens=100, name="tiny")
    with SmallMemory(model.base_model, 40):
        halved = score(model, prompts(), ANSWERS, batch_tokens=100, name="tiny")
    np.testing.assert_allclose(halved.log_odds, whole.log_odds, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(halved.lens, whole.lens, atol=TOLERANCE, rtol=TOLERANCE)


def test_logits_that_are_not_the_models_are_not_read(monkeypatch):
    """A head that forgets the model's scale of logits: the log odds would be sixteen times too large."""
    model = built(configuration("cohere"))
    model.logit_scale = 1 / 16
    score(model, prompts(), ANSWERS, batch_tokens=70, name="tiny")
    right = Head.logits
    monkeypatch.setattr(Head, "logits", lambda head, states: 16 * right(head, states))
    with pytest.raises(
        UserError, match="models.tiny: its answers cannot be read, because logits differ by 15 of their"
    ):
        score(model, prompts(), ANSWERS, batch_tokens=70, name="tiny")


def test_a_word_has_all_casings_with_and_without_a_space():
    assert variants("True") == ["True", "true", "TRUE", " True", " true", " TRUE"]
    assert variants("iPad") == ["iPad", "ipad", "IPAD", "Ipad", " iPad", " ipad", " IPAD", " Ipad"]


def test_the_cue_stands_on_a_line_of_its_own():
    assert asked("Judge this.", "Answer:") == "Judge this.\nAnswer:"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """Words of lower case that are one token each; all else is the unknown token, which is a special one."""
    return load_tokenizer(save_tiny_model(tmp_path_factory.mktemp("tiny")))


def test_only_variants_of_one_token_that_is_not_special_count(tokenizer):
    found = answer_tokens(tokenizer, ["True", "FALSE"], cue="the coin is", dataset="claims", model="tiny")
    assert [tokenizer.convert_ids_to_tokens(tokens) for tokens in found] == [["true"], ["false"]]


def byte_level(*merges):
    """A tokenizer like GPT-2's with these merges; Ġ is a space."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(merge) for merge in merges)]
    inner = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, list(merges)))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner)


def test_a_space_and_a_casing_are_other_tokens(tokenizer):
    own = byte_level(("N", "o"), ("n", "o"), ("Ġ", "no"), ("Y", "es"), ("e", "s"), ("Ġ", "Y"))
    found = answer_tokens(own, ["No", "s"], cue="Answer:", dataset="claims", model="tiny")
    assert sorted(own.convert_ids_to_tokens(found[0])) == ["No", "no", "Ġno"]
    assert sorted(own.convert_ids_to_tokens(found[1])) == ["S", "s"]


def test_a_word_of_several_tokens_names_dataset_class_and_model(tokenizer):
    with pytest.raises(
        UserError, match=r"datasets.claims.classes\[1\].answer: 'no hate' is not a single token of tiny"
    ):
        answer_tokens(tokenizer, ["true", "no hate"], cue="is", dataset="claims", model="tiny")


def test_answers_that_share_a_token_are_refused(tokenizer):
    with pytest.raises(UserError, match="datasets.claims.classes: the answers 'true' and 'True' share a token of tiny"):
        answer_tokens(tokenizer, ["true", "True"], cue="is", dataset="claims", model="tiny")


def test_rates_are_shares_of_the_class_that_the_error_can_happen_to():
    """By hand: of two statements of class 0 one is called 1; of eight of class 1 two are called 0, one of them at 0."""
    cell = pd.DataFrame({
        "label": [0, 0] + [1] * 8,
        "log_odds": [-2.0, 0.5, 1, 1, 1, 1, 1, 1, -1, 0],
        "answered": [True] * 4 + [False] * 6,
        "mass": [0.5] * 5 + [0.1] * 5,
    })  # fmt: skip
    assert rates(cell) == pytest.approx({
        "n": 10,
        "majority": 0.8,
        "accuracy": 0.7,
        "auc": (8 + 6) / 16,  # Of the 16 pairs, all with the first of class 0 and six with the second are in order.
        "false_positive_rate": 1 / 2,
        "false_negative_rate": 2 / 8,
        "answered": 0.4,
        "mass": 0.3,
    })  # fmt: skip
