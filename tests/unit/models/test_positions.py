"""Positions: the tokens that are read are those that stand for the characters of the text, whatever the tokenizer."""

from types import SimpleNamespace

import pytest
import transformers as hf
from conceptdepth.ground.errors import UserError
from conceptdepth.models.positions import BY_CHARACTERS, POSITIONS, probed
from conceptdepth.models.tokens import Tokenized, check_characters, special_ids, tokenized
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

BEFORE, TEXT, AFTER = "Judge: ", "Zürich is a city in the Netherlands.", " True or false?"
SPAN = "Zürich"
ROW = {
    "prompt": BEFORE + TEXT + AFTER,
    "text_at": [len(BEFORE), len(BEFORE + TEXT)],
    "span_at": [len(BEFORE), len(BEFORE + SPAN)],
}
CORPUS = [ROW["prompt"], "Oslo is a city in Norway.", "A city and its land."] * 20
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
MARKS = list(SPECIAL.values())


def byte_level():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=MARKS, initial_alphabet=alphabet)
    )
    return made


def sentence_piece():
    """As that of Llama 2: spaces are letters, and one is put before the text."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=90, special_tokens=MARKS))
    return made


def unigram():
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    made.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=60, special_tokens=MARKS, unk_token="<unk>"))
    return made


def word_piece():
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=70, special_tokens=MARKS))
    return made


@pytest.fixture(params=[byte_level, sentence_piece, unigram, word_piece], ids=lambda make: make.__name__)
def tokenizer(request):
    made = request.param()
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    ids = {mark: made.token_to_id(mark) for mark in ("<s>", "</s>")}
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=list(ids.items()))
    return hf.PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)


def read(tokenizer, position, row=ROW):
    """Return the text of the tokens that are read."""
    (prompt,) = tokenized(tokenizer, [row["prompt"]])
    (places,) = probed([position], [prompt], [row]).tokens[position]
    return plain(tokenizer.decode([prompt.ids[place] for place in places]))


def plain(text):
    """Return a text as all of the tokenizers give it back."""
    return "".join(text.casefold().replace("ü", "u").replace("##", "").split())


def test_tokens_that_are_read_spell_what_they_are_named_for(tokenizer):
    assert read(tokenizer, "text_mean") == plain(TEXT)
    assert read(tokenizer, "span_mean") == plain(SPAN)
    assert read(tokenizer, "prompt_mean") == plain(ROW["prompt"])
    for position, whole in {"last": ROW["prompt"], "text_last": TEXT, "span_last": SPAN}.items():
        (token,) = [read(tokenizer, position)]
        assert token
        assert plain(whole).endswith(token)


def test_last_ones_are_one_token_and_the_last_of_their_mean(tokenizer):
    (prompt,) = tokenized(tokenizer, [ROW["prompt"]])
    found = {position: places[0] for position, places in probed(list(POSITIONS), [prompt], [ROW]).tokens.items()}
    for part in ("text", "span"):
        assert found[f"{part}_last"].tolist() == [found[f"{part}_mean"][-1]]
    assert found["last"].tolist() == [len(prompt.ids) - 1]
    assert set(found["span_mean"]) < set(found["text_mean"]) < set(found["prompt_mean"])


def test_special_tokens_stand_for_no_text(tokenizer):
    (prompt,) = tokenized(tokenizer, [ROW["prompt"]])
    assert prompt.special.tolist() == [True] + [False] * (len(prompt.ids) - 1)
    (places,) = probed(["prompt_mean"], [prompt], [ROW]).tokens["prompt_mean"]
    assert places.tolist() == list(range(1, len(prompt.ids)))


def test_marks_within_a_prompt_are_no_text_either(tokenizer):
    tokenizer.add_tokens([AddedToken("<|im_end|>", special=True)])
    (prompt,) = tokenized(tokenizer, ["Oslo <|im_end|> Lima"])
    mark = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert mark in special_ids(tokenizer)
    assert [token for token, special in zip(prompt.ids, prompt.special) if special] == [prompt.ids[0], mark]


def test_an_unknown_word_is_text_unless_its_token_is_a_mark_too(tokenizer):
    """As in GPT-2 and its kin, where one token begins texts, ends them and stands for what is not known."""
    unknown = tokenizer.unk_token_id
    assert unknown not in special_ids(tokenizer)
    tokenizer.bos_token = tokenizer.unk_token
    assert unknown in special_ids(tokenizer)


def test_a_mark_that_takes_white_space_with_it_is_not_read(tokenizer):
    tokenizer.add_tokens([AddedToken("<|user|>", special=True, rstrip=True)])
    (prompt,) = tokenized(tokenizer, ["<|user|>  Oslo is a city"])
    mark = prompt.ids.index(tokenizer.convert_tokens_to_ids("<|user|>"))
    assert mark not in prompt.standing_for(8, 14)


def test_characters_are_held_against_what_tokens_decode_to(tokenizer):
    check_characters(tokenizer, ["Judge: the city is in Norway.", "Oslo is a city in Norway."], "tiny")


def test_characters_that_are_wrong_are_found(tokenizer, monkeypatch):
    right = Tokenized.characters.func
    monkeypatch.setattr(Tokenized, "characters", property(lambda prompt: right(prompt) + 1))
    with pytest.raises(UserError, match=r"the tokenizer of tiny says of its token .* that it stands for .*; leave out"):
        check_characters(tokenizer, ["Oslo is a city in Norway."], "tiny")


class Slow:
    """Stands for a tokenizer that does not say which characters its tokens stand for."""

    is_fast = False


def test_a_tokenizer_that_does_not_say_which_characters_is_an_error():
    with pytest.raises(UserError, match="Slow, the tokenizer of tiny, does not say which characters a token stands"):
        check_characters(Slow(), ["Oslo"], "tiny")
    assert set(POSITIONS) - {"last", "prompt_mean"} == BY_CHARACTERS


def made_up(characters, special=None):
    n = len(characters)
    return Tokenized(list(range(n)), special or [0] * n, frozenset(), SimpleNamespace(offsets=characters))


def test_a_token_that_reaches_beyond_the_text_belongs_to_it():
    prompt = made_up([(0, 3), (3, 8), (8, 8), (8, 12)])
    assert prompt.standing_for(4, 8).tolist() == [1], "from the middle of one, and not one that stands for nothing"
    assert prompt.standing_for(2, 9).tolist() == [0, 1, 3]
    assert prompt.standing_for(12, 15).tolist() == []


def test_a_prompt_with_nothing_at_a_position_is_an_error():
    with pytest.raises(UserError, match=r"activations.positions: the prompt 'Oslo' has no token at span_last\."):
        probed(["span_last"], [made_up([(0, 2)])], [{"prompt": "Oslo", "span_at": [2, 4]}])


def test_extents_are_first_and_past_the_last():
    prompts = [made_up([(0, 2), (2, 4), (4, 6)]), made_up([(0, 3), (3, 6)])]
    rows = [{"prompt": "Osloer", "text_at": [2, 6]}, {"prompt": "Osloer", "text_at": [0, 3]}]
    found = probed(["last", "text_mean"], prompts, rows)
    assert {position: extents.tolist() for position, extents in found.extents.items()} == {
        "last": [[2, 3], [1, 2]],
        "text_mean": [[1, 3], [0, 1]],
    }


def test_positions_are_alike_if_they_read_the_same_of_every_prompt():
    prompts = [made_up([(0, 2), (2, 4)]), made_up([(0, 2), (2, 4)])]
    row = {"prompt": "Oslo", "text_at": [0, 4], "span_at": [2, 4]}
    positions = ["last", "text_last", "text_mean", "prompt_mean", "span_mean"]
    assert probed(positions, prompts, [row, row]).first_alike == {
        "last": "last", "text_last": "last", "text_mean": "text_mean", "prompt_mean": "text_mean", "span_mean": "last",
    }  # fmt: skip
    other = row | {"text_at": [0, 1]}
    assert probed(positions, prompts, [row, other]).first_alike["text_last"] == "text_last"
