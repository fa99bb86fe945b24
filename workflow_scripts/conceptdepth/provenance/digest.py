"""Content digests of scripts, so that only stale outputs recompute.

Snakemake compares the time stamp of a script and does not look at the modules it imports. These digests
go into ``params`` instead: they follow first-party imports and ignore comments, docstrings and layout.
"""

import ast
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from conceptdepth.ground.files import SCRIPTS, complete_file


def code_digest(script: str) -> str:
    """Return the digest of a script and of every ``conceptdepth`` module that it imports, transitively.

    ``script`` is a path from ``workflow_scripts/``. Two versions share a digest exactly when their
    parsed syntax, docstrings aside, is the same.
    """
    lines = [f"{name} {digest}" for name, digest in code_hashes(script).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def script_of(rule: str) -> str:
    """Return the script of a rule: the one with its name, up to two underscores.

    ``use rule train_probes as train_probes__ablated`` runs the script of ``train_probes`` on other files.
    """
    return f"{rule.partition('__')[0]}.py"


def code_hashes(script: str) -> dict[str, str]:
    """Return the SHA-256 of the syntax of each file behind a script, by path from the repository's root."""
    return {path.relative_to(SCRIPTS.parent).as_posix(): syntax_sha256(path) for path in code_files(script)}


def code_files(script: str) -> list[Path]:
    """Return the script and the library modules behind it, sorted by path."""
    found: set[Path] = set()
    waiting = [SCRIPTS / script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(imported_files(path))
    return sorted(found)


@cache
def imported_files(path: Path) -> list[Path]:
    """Return the first-party modules that a file imports directly, wherever in it the import stands."""
    candidates = [candidate for name in _read(path).imported for candidate in _files_of(name)]
    return [candidate for candidate in candidates if candidate.is_file()]


def _files_of(name: str) -> list[Path]:
    """Return where a module of the library may lie, and its packages: importing a module runs those around it too."""
    first, *inner = parts = name.split(".")
    if first != "conceptdepth":
        return []
    packages = [SCRIPTS.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [*packages, SCRIPTS.joinpath(first, *inner).with_suffix(".py")] if inner else packages


def syntax_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's parsed syntax, without docstrings, comments and positions."""
    return _read(path).sha256


REMEMBERED = Path("results/.syntax")
"""Folder in which the syntax of a file of code is remembered, by its bytes: parsing a hundred files takes longer than
all else that a dry run does of its own.
"""


@dataclass(frozen=True)
class _Code:
    """What a file of code is known by. One walk through its syntax gives both."""

    sha256: str
    imported: list[str]
    """Modules that it may import, and names in them, with dots."""


@cache
def _read(path: Path) -> _Code:
    source = path.read_bytes()
    remembered = REMEMBERED / hashlib.sha256(_own_source() + source).hexdigest()
    with suppress(OSError, ValueError, TypeError):  # It is not there, or is nothing that was written here.
        return _Code(**json.loads(remembered.read_bytes()))
    code = _parsed(source)
    if REMEMBERED.parent.is_dir():
        with suppress(OSError), complete_file(remembered) as part:  # Results may be read-only.
            part.write_text(json.dumps(asdict(code)), encoding="utf-8")
    return code


@cache
def _own_source() -> bytes:
    """Return the code of this module, which decides what is remembered."""
    return Path(__file__).read_bytes()


def _parsed(source: bytes) -> _Code:
    imported: set[str] = set()
    text = _text(ast.parse(source), imported)
    return _Code(hashlib.sha256(text.encode()).hexdigest(), sorted(imported))


_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _text(node: object, imported: set[str]) -> str:
    """Write syntax as text and note what is imported. Not `ast.dump`, whose text differs between Pythons."""
    if isinstance(node, list):
        return f"[{','.join([_text(item, imported) for item in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Import):
        imported.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        imported.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    elif isinstance(node, _WITH_DOCSTRING):
        node.body = [line for line in node.body if not _is_bare_string(line)]
    fields = [(name, getattr(node, name, None)) for name in node._fields]
    written = [f"{name}={_text(value, imported)}" for name, value in fields if value is not None and value != []]
    return f"{type(node).__name__}({','.join(written)})"


def _is_bare_string(line: ast.stmt) -> bool:
    """Docstrings, those under a dataclass field included, are statements made of a string alone."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


GONE = "gone"
"""Stands in the place of the hash of code that is not there."""


def syntax_found(path: Path) -> str | None:
    """Return the hash of the syntax of a file, None if it cannot be parsed, or `GONE`."""
    try:
        return syntax_sha256(path)
    except SyntaxError:
        return None
    except (OSError, ValueError):  # Of a name that no file can have, too.
        return GONE
