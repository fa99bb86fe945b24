"""Content digests of scripts and files, so that only stale outputs recompute.

Snakemake compares the time stamp of a script and does not look at the modules it imports. These digests
go into ``params`` instead: they follow first-party imports and ignore comments, docstrings and layout.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
"""Folder of the scripts and of this package."""


def code_digest(script: str) -> str:
    """Return the digest of a script and of every ``conceptdepth`` module that it imports, transitively.

    ``script`` is a file name inside ``workflow_scripts/``. Two versions share a digest exactly when their
    parsed syntax, docstrings aside, is the same.
    """
    digest = hashlib.sha256()
    for path in code_files(script):
        digest.update(path.relative_to(SCRIPTS).as_posix().encode())
        digest.update(syntax(path).encode())
    return digest.hexdigest()[:16]


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
    names: set[str] = set()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    candidates = (SCRIPTS / (name.replace(".", "/") + ".py") for name in names if name.startswith("conceptdepth."))
    return [candidate for candidate in candidates if candidate.is_file()]


@cache
def syntax(path: Path) -> str:
    """Return the parsed syntax of a file as text, without docstrings, comments and positions."""
    tree = _parse(path)  # Shared with imported_files, to which docstrings do not matter.
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_bare_string(line)]
    return ast.dump(tree)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _is_bare_string(line: ast.stmt) -> bool:
    """Docstrings, those under a dataclass field included, are statements made of a string alone."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
