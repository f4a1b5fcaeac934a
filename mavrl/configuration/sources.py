"""The source of code outside of this package: what a result depends on besides its settings.

It is found and read without importing anything, so that a hash costs no import and runs nobody's code.
"""

import ast
import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

_KNOWN = {"mavrl", "gymnasium"}  # by RESULTS_VERSION, and by a version
_ENTRY_POINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # as Gymnasium's register() takes it


def source_digests(modules: Iterable[str]) -> dict[str, str]:
    """Digests of all that modules are made of, by top-level name; "missing" for one that is not there.

    A module counts with its whole package, because an environment's dynamics need not be in the file that registers it.
    So does what these files import, or name as an entry point, from beside them: modules that are neither installed nor
    Python's own. What an installed package imports is not followed.

    Args:
        modules: dotted names, such as my_package.maze; what follows a colon does not matter.
    """
    found: dict[str, str] = {}
    todo = [_top(name) for name in modules]
    while todo:
        name = todo.pop()
        if name in found or name in _KNOWN:
            continue
        facts = [_facts(str(path), *_stamp(path)) for path in _files(name)]
        text = " ".join(digest for digest, _ in facts)
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:12] if facts else "missing"
        todo += sorted({each for _, imported in facts for each in imported if _is_own(each)})
    return dict(sorted(found.items()))


def changed_code(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """Names of packages and modules that are others than they were; none where it was not recorded.

    Args:
        before: versions and digests of code as a run or an expert has recorded them.
        now: the present ones.
    """
    return [] if before is None else sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))


def _top(name: str) -> str:
    return re.split(r"[.:]", name, maxsplit=1)[0]


def _files(name: str) -> list[Path]:
    """The files of a top-level module, in a fixed order: its own, or all Python files of its package."""
    spec = _spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
    folders = [Path(folder) for folder in spec.submodule_search_locations]
    return [path for folder in folders for path in sorted(folder.rglob("*.py")) if not _is_hidden(path, folder)]


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") or part == "site-packages" for part in path.relative_to(folder).parts)


def _is_own(name: str) -> bool:
    """Whether a module is the user's: neither Python's, nor installed, nor a folder that only looks like one."""
    if name in sys.stdlib_module_names or name in _KNOWN:
        return False
    spec = _spec(name)
    if spec is None or spec.origin is None:
        return False
    return not any(Path(spec.origin).is_relative_to(place) for place in _installed_places())


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):  # __main__ has none
        return None


@cache
def _installed_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")})


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=4096)
def _facts(path: str, modified: int, size: int) -> tuple[str, frozenset[str]]:
    """Digest of a file, and the top-level names of what it imports or names as an entry point."""
    content = Path(path).read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # an extension module, or one that cannot be imported either
        tree = ast.Module([], [])
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _ENTRY_POINT.fullmatch(node.value):
            names.add(node.value)
    return hashlib.sha256(content).hexdigest(), frozenset(map(_top, names))
