"""Tokens and passwords reach the server that they are for, and no file."""

import json
import logging
import sys

import pytest
from conceptdepth.commands.main import main
from conceptdepth.datasets.download import download
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.secrets import public
from conceptdepth.models.fetch import fetch_model
from conceptdepth.provenance.job import log, logging_to
from conceptdepth.provenance.record import JobRecord
from stub_hub import StubHub
from tiny_model import save_tiny_model

TOKEN = "hf_SentinelThatNobodyMaySee"
A = "a" * 40


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("see https://a.org/b@c and me@a.org", None),
        ("http://user:word@a.org/x", "http://***@a.org/x"),
        ("https://user:w@rd@a.org:8/x, https://t0ken@b.org", "https://***@a.org:8/x, https://***@b.org"),
        (f"Bearer {TOKEN}.", "Bearer ***."),
    ],
)
def test_what_is_told_of_a_text(text, told):
    assert public(text) == (told or text)


def test_a_word_that_is_no_token_is_left(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a")
    assert public("a banana") == "a banana"


def test_a_log_has_no_secret_not_even_in_a_traceback(tmp_path):
    with logging_to(tmp_path / "log", "DEBUG"):
        logging.getLogger("some.library").warning("with %s at %s", TOKEN, "https://user:word@a.org/x")
        try:
            raise OSError(f"https://user:word@a.org refused {TOKEN}")
        except OSError:
            log.exception("Error")
    text = (tmp_path / "log").read_text()
    assert text.count("://***@a.org") == 3
    assert "Traceback" in text
    assert not [secret for secret in ("user", "word", TOKEN) if secret in text]


def test_a_message_of_a_command_has_no_secret(monkeypatch, capsys):
    def fail(**_):
        raise UserError(f"https://user:word@a.org refused {TOKEN}.")

    monkeypatch.setattr("conceptdepth.commands.main.app", fail)
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "Error: https://***@a.org refused ***.\n"


def test_what_libraries_print_into_a_log_has_no_secrets_either(tmp_path):
    """huggingface_hub has a handler of its own, on standard error."""
    with logging_to(tmp_path / "log", "INFO"):
        print("HEAD https://user:word@a.org")
        logging.StreamHandler(sys.stderr).emit(logging.makeLogRecord({"msg": "GET https://user:word@b.org"}))
    said = (tmp_path / "log").read_text()
    assert said == "HEAD https://***@a.org\nGET https://***@b.org\n"


@pytest.mark.parametrize("gated", [False, True])
def test_a_model_is_fetched_with_a_token_that_stands_nowhere(monkeypatch, tmp_path, gated):
    hub = StubHub()
    hub.use(monkeypatch, tmp_path / "cache")
    hub.gated = gated
    folder = save_tiny_model(tmp_path / "tiny")
    hub.commits[A] = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.chdir(tmp_path)
    said = ""
    with logging_to(tmp_path / "log", "DEBUG"):
        record = JobRecord(rule="fetch_model", script="fetch_model.py", wildcards={}, params={}, software={}, inputs=[])
        try:
            fetch_model("x", {"hf": "owner/open", "revision": A}, tmp_path / "model.json", None)
            record.write(["model.json"], "record.json")
        except UserError as error:
            log.error("Error: %s", error)
            said = str(error)
    hub.close()
    assert f"Bearer {TOKEN}" in hub.tokens
    assert bool(said) == gated
    assert TOKEN not in said
    assert (tmp_path / "record.json").exists() != gated
    if not gated:
        assert json.loads((tmp_path / "record.json").read_text())["outputs"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_the_password_of_a_proxy_is_not_told(monkeypatch, tmp_path):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:{TOKEN}@127.0.0.1:9")
    monkeypatch.delenv("HF_TOKEN")
    for url in ("http://a.invalid/x", "https://a.invalid/x"):
        with logging_to(tmp_path / "log", "DEBUG"), pytest.raises(UserError, match="cannot download") as error:
            download("datasets.x.source.url", url, tmp_path / "x")
        assert TOKEN not in (tmp_path / "log").read_text() + public(str(error.value))
