"""Tokens end with the text's own last one, and are those of the checkpoint's own file."""

import json

import pytest
import transformers as hf
from conceptdepth.ground.errors import UserError
from conceptdepth.models.loading import load_tokenizer
from conceptdepth.models.tokens import check_last_tokens, check_rules, own_rules, tokenize
from tiny_model import save_tiny_model
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

PROMPTS = ["the city of oslo is in norway .", "the coin is heads up ."]


@pytest.fixture
def tiny(tmp_path):
    return save_tiny_model(tmp_path / "tiny")


def test_the_last_token_is_the_texts_own(tiny):
    """A tokenizer that ends each prompt with a special token must not have that token probed."""
    tokenizer = load_tokenizer(tiny)
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    (ids,) = tokenize(tokenizer, [PROMPTS[0]])
    assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", *PROMPTS[0].split()]
    check_last_tokens(tokenizer, [PROMPTS[0]], [ids], "tiny")


def test_a_prompt_without_tokens_is_an_error(tiny):
    with pytest.raises(UserError, match="'' has no tokens"):
        tokenize(load_tokenizer(tiny), ["the city", ""])


def test_a_token_behind_the_text_that_is_not_marked_as_special_is_found(tiny):
    tokenizer = load_tokenizer(tiny)
    tokenizer.add_tokens([AddedToken("<end>", special=False)])
    end = tokenizer.convert_tokens_to_ids("<end>")
    tokens = [[*ids, end] for ids in tokenize(tokenizer, PROMPTS)]
    with pytest.raises(UserError, match=r"the last token of 'the city of oslo is in norway \.' is '<end>', which is"):
        check_last_tokens(tokenizer, PROMPTS, tokens, "tiny")


def test_the_end_of_a_word_in_pieces_is_the_end_of_the_text():
    """WordPiece, as some Chinese GPT-2 models have it."""
    pieces = models.WordPiece({"[UNK]": 0, "os": 1, "##lo": 2}, unk_token="[UNK]")
    made = Tokenizer(pieces)
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece()
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")
    check_last_tokens(tokenizer, ["Oslo"], tokenize(tokenizer, ["Oslo"]), "tiny")


@pytest.fixture
def byte_level(tmp_path):
    """A function that saves a byte-level tokenizer which splits numbers into digits, under the name of a class."""
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\d"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the city of oslo is in norway since 1048"] * 20, trainer)

    def save(tokenizer_class: str, **settings):
        hf.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
        ).save_pretrained(tmp_path)
        file = tmp_path / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": tokenizer_class, **settings}))
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
        return tmp_path

    return save


TEXTS = ["the city of oslo", "since 1048"]


@pytest.mark.parametrize("named", ["TokenizersBackend", "PreTrainedTokenizerFast", "LlamaTokenizer"])
def test_a_class_that_keeps_the_files_rules_passes(byte_level, named):
    folder = byte_level(named)
    check_rules(load_tokenizer(folder), own_rules(folder), TEXTS, "tiny")


def test_a_class_that_has_rules_of_its_own_is_found_and_the_file_can_be_chosen(byte_level):
    folder = byte_level("GemmaTokenizer")
    with pytest.raises(UserError) as told:
        check_rules(load_tokenizer(folder), own_rules(folder), TEXTS, "tiny")
    assert str(told.value).startswith(
        "models.tiny: GemmaTokenizer, the class that the checkpoint names, makes other tokens than its tokenizer.json: of "
        '"the city of oslo" ['
    )
    assert str(told.value).endswith("; set models.tiny.tokenizer to `file` to go by the file.")
    by_file = load_tokenizer(folder, rules="file")
    check_rules(by_file, own_rules(folder), TEXTS, "tiny")
    assert by_file(TEXTS)["input_ids"] == [own_rules(folder).encode(text).ids for text in TEXTS]


def test_special_tokens_may_differ_where_the_checkpoint_says_so(byte_level):
    """A file without the token that begins a text, beside a configuration that adds it."""
    folder = byte_level("TokenizersBackend")
    tokenizer = load_tokenizer(folder)
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    with pytest.raises(UserError, match=r"makes other tokens than its tokenizer.json: of \"the city of oslo\" \[1, "):
        check_rules(tokenizer, own_rules(folder), TEXTS, "tiny")
    tokenizer.init_kwargs["add_bos_token"] = True
    check_rules(tokenizer, own_rules(folder), TEXTS, "tiny")


def test_truncation_in_the_file_is_not_a_rule_of_tokens(byte_level):
    folder = byte_level("TokenizersBackend")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=10)
    tokenizer.save(str(folder / "tokenizer.json"))
    check_rules(load_tokenizer(folder), own_rules(folder), TEXTS, "tiny")


def test_a_checkpoint_without_the_file_is_not_compared(tmp_path):
    assert own_rules(tmp_path) is None
    check_rules(None, None, TEXTS, "tiny")
