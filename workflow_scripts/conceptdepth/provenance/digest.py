"""Content digests of scripts, so that only stale outputs recompute.

Snakemake compares the time stamp of a script and does not look at the modules it imports. These digests
go into ``params`` instead: they follow first-party imports and ignore comments, docstrings and layout.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from conceptdepth.ground.files import SCRIPTS


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
    names: set[str] = set()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    candidates = [path for name in sorted(names) for path in _files_of(name)]
    return [path for path in candidates if path.is_file()]


def _files_of(name: str) -> list[Path]:
    """Return where a module of the library may lie, and its packages: importing a module runs those around it too."""
    first, *inner = parts = name.split(".")
    if first != "conceptdepth":
        return []
    packages = [SCRIPTS.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [*packages, SCRIPTS.joinpath(first, *inner).with_suffix(".py")] if inner else packages


@cache
def syntax_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's parsed syntax, without docstrings, comments and positions."""
    tree = _parse(path)  # Shared with imported_files, to which docstrings do not matter.
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_bare_string(line)]
    return hashlib.sha256(_text(tree).encode()).hexdigest()


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _text(node: object) -> str:
    """Write syntax as text. Not `ast.dump`: what it writes for the same code differs between Pythons."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(f'{name}={_text(value)}' for name, value in fields)})"
    return f"[{','.join(map(_text, node))}]" if isinstance(node, list) else repr(node)


def _is_bare_string(line: ast.stmt) -> bool:
    """Docstrings, those under a dataclass field included, are statements made of a string alone."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
