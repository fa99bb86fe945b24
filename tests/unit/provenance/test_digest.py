"""The code digest follows imports and changes with meaning, not with layout."""

import pytest
from conceptdepth.provenance import digest


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A script that imports a module of one package, which imports one of another, and a module that nothing imports."""
    monkeypatch.setattr(digest, "SCRIPTS", tmp_path)
    monkeypatch.setattr(digest, "REMEMBERED", tmp_path / "results/.syntax")
    (tmp_path / "results").mkdir()
    files = {
        "script.py": '"""Doc."""\n\nfrom conceptdepth.upper import first\n\nfirst.run()\n',
        "conceptdepth/__init__.py": "",
        "conceptdepth/upper/__init__.py": '"""A room."""\n',
        "conceptdepth/upper/first.py": "def run():\n    from conceptdepth.lower.second import VALUE\n    return VALUE\n",
        "conceptdepth/upper/other.py": "VALUE = 1\n",
        "conceptdepth/lower/__init__.py": "",
        "conceptdepth/lower/second.py": "VALUE = 1\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def fresh_digest() -> str:
    for cached in (digest._read, digest.imported_files):
        cached.cache_clear()
    return digest.code_digest("script.py")


BEHIND = [
    "conceptdepth/__init__.py",
    "conceptdepth/lower/__init__.py",
    "conceptdepth/lower/second.py",
    "conceptdepth/upper/__init__.py",
    "conceptdepth/upper/first.py",
    "script.py",
]


def test_imports_are_followed_into_packages(code):
    assert [path.relative_to(code).as_posix() for path in digest.code_files("script.py")] == BEHIND


@pytest.mark.parametrize("file", BEHIND)
def test_a_real_change_changes_the_digest(code, file):
    before = fresh_digest()
    with (code / file).open("a") as stream:
        stream.write("EXTRA = 2\n")
    assert fresh_digest() != before


@pytest.mark.parametrize(
    "edit",
    [
        ("script.py", '"""Doc."""', '"""Another docstring."""'),
        ("script.py", "first.run()", "first.run()  # a comment"),
        ("conceptdepth/upper/first.py", "    return VALUE", "    return (\n        VALUE\n    )"),
        ("conceptdepth/upper/first.py", "def run():\n", 'def run():\n    """Docstring."""\n'),
        ("conceptdepth/lower/second.py", "VALUE = 1", '"""New."""\nVALUE = 1\n"""What it is."""'),
        ("conceptdepth/upper/__init__.py", "A room", "Another room"),
        ("conceptdepth/upper/other.py", "VALUE = 1", "VALUE = 2"),
    ],
)
def test_layout_comments_docstrings_and_other_modules_do_not(code, edit):
    file, old, new = edit
    before = fresh_digest()
    content = (code / file).read_text()
    assert old in content
    (code / file).write_text(content.replace(old, new))
    assert fresh_digest() == before


def test_the_digest_of_a_real_script_names_the_modules_behind_it():
    names = {f"{path.parent.name}/{path.name}" for path in digest.code_files("train_probes.py")}
    assert {
        "workflow_scripts/train_probes.py",
        "probes/training.py",
        "activations/store.py",
        "ground/errors.py",
    } <= names
    assert "activations/extraction.py" not in names


def test_what_is_remembered_is_what_parsing_says(code, monkeypatch):
    parsed = fresh_digest()
    monkeypatch.setattr(digest, "_parsed", lambda source: pytest.fail("parsed again"))
    assert fresh_digest() == parsed
    monkeypatch.undo()


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"sha256": "0"', b'{"other": 1}', b"\xff"])
def test_what_cannot_be_read_of_it_is_parsed_again(code, content):
    parsed = fresh_digest()
    for file in digest.REMEMBERED.iterdir():
        file.write_bytes(content)
    assert fresh_digest() == parsed
    assert {file.read_bytes() for file in digest.REMEMBERED.iterdir()}.isdisjoint({content})


def test_nothing_is_remembered_where_there_are_no_results(code):
    (code / "results").rmdir()
    fresh_digest()
    assert not (code / "results").exists()


def test_another_way_to_write_syntax_does_not_read_what_is_remembered(code, monkeypatch):
    fresh_digest()
    before = set(digest.REMEMBERED.iterdir())
    monkeypatch.setattr(digest, "_own_source", lambda: b"another")
    fresh_digest()
    assert set(digest.REMEMBERED.iterdir()) > before
