"""The code digest follows imports and changes with meaning, not with layout."""

import pytest
from conceptdepth import digest


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A script that imports one module, which imports another, and a module that nothing imports."""
    monkeypatch.setattr(digest, "SCRIPTS", tmp_path)
    (tmp_path / "conceptdepth").mkdir()
    (tmp_path / "script.py").write_text('"""Doc."""\n\nfrom conceptdepth import first\n\nfirst.run()\n')
    (tmp_path / "conceptdepth" / "__init__.py").write_text("")
    (tmp_path / "conceptdepth" / "first.py").write_text(
        "def run():\n    from conceptdepth.second import VALUE\n    return VALUE\n"
    )
    (tmp_path / "conceptdepth" / "second.py").write_text("VALUE = 1\n")
    (tmp_path / "conceptdepth" / "other.py").write_text("VALUE = 1\n")
    return tmp_path


def fresh_digest() -> str:
    for cached in (digest._parse, digest.imported_files, digest.syntax_sha256):
        cached.cache_clear()
    return digest.code_digest("script.py")


def test_imports_are_followed(code):
    files = [path.relative_to(code).as_posix() for path in digest.code_files("script.py")]
    assert files == ["conceptdepth/first.py", "conceptdepth/second.py", "script.py"]


@pytest.mark.parametrize("file", ["script.py", "conceptdepth/first.py", "conceptdepth/second.py"])
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
        ("conceptdepth/first.py", "    return VALUE", "    return (\n        VALUE\n    )"),
        ("conceptdepth/first.py", "def run():\n", 'def run():\n    """Docstring."""\n'),
        ("conceptdepth/second.py", "VALUE = 1", '"""New."""\nVALUE = 1\n"""What it is."""'),
        ("conceptdepth/other.py", "VALUE = 1", "VALUE = 2"),
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
    names = {path.name for path in digest.code_files("train_probes.py")}
    assert {"train_probes.py", "probes.py", "store.py", "job.py", "errors.py"} <= names
    assert "extraction.py" not in names
