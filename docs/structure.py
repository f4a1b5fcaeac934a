"""The rooms of the package and what they import, read off the code and drawn into docs/architecture.md.

    python docs/structure.py            print the picture
    python docs/structure.py --write    put it into the page

A room is a folder of mavrl/, or a file beside the folders; rooms on one level do not import one another.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- structure: python docs/structure.py --write -->", "<!-- end of structure -->"


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted((ROOT / "mavrl").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """Names of this package that a module imports, anywhere in it, also for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "mavrl":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "mavrl")


def module_graph() -> dict[str, set[str]]:
    """Which modules each module imports."""
    known = modules()

    def module_of(name: str) -> str:
        while name not in known:
            name = name.rpartition(".")[0]
        return name

    return {
        name: {target for target in map(module_of, imports(path)) if target not in (name, "mavrl")}
        for name, path in known.items()
        if name != "mavrl"
    }


def room_of(module: str) -> str:
    """The room that a module is in."""
    return module.split(".")[1]


def room_graph() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    rooms: dict[str, set[str]] = {}
    for module, targets in module_graph().items():
        room = rooms.setdefault(room_of(module), set())
        room |= {room_of(target) for target in targets} - {room_of(module)}
    return rooms


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A way along the arrows of a graph that comes back to where it began; empty where there is none."""
    finished: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in finished:
            return []
        for target in sorted(graph.get(node, ())):
            if found := walk(target, [*path, node]):
                return found
        finished.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def levels(graph: dict[str, set[str]]) -> list[list[str]]:
    """Rooms from the ground up: each imports rooms of lower levels only.

    Raises:
        ValueError: there is no such order.
    """
    if way := circle(graph):
        raise ValueError(f"rooms import one another in a circle: {' -> '.join(way)}")
    placed: dict[str, int] = {}
    while len(placed) < len(graph):
        for room, targets in graph.items():
            if room not in placed and targets <= placed.keys():
                placed[room] = max((placed[target] + 1 for target in targets), default=0)
    return [sorted(room for room, at in placed.items() if at == level) for level in range(max(placed.values()) + 1)]


def sizes() -> dict[str, int]:
    """Lines of each room."""
    found: dict[str, int] = {}
    for module, path in modules().items():
        if module != "mavrl":
            found[room_of(module)] = found.get(room_of(module), 0) + len(path.read_text(encoding="utf-8").splitlines())
    return found


def summary(room: str) -> str:
    """The first sentence of a room's own docstring."""
    path = ROOT / "mavrl" / room
    text = ast.get_docstring(
        ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))
    )
    return " ".join((text or "").split("\n\n")[0].split())


def picture() -> str:
    """Rooms by level, the ground last; each with its share of the lines, and the rooms that it imports."""
    graph, lines = room_graph(), sizes()
    total = sum(lines.values())
    rows = []
    for level in reversed(levels(graph)):
        rows += ["", *(_row(room, graph, lines[room] / total) for room in level)]
    return "\n".join(["```", *rows[1:], "```"])


def _row(room: str, graph: dict[str, set[str]], share: float) -> str:
    name = f"{room}/" if (ROOT / "mavrl" / room).is_dir() else f"{room}.py"
    direct = sorted(graph[room] - {below for target in graph[room] for below in reachable(graph, target)})
    return f"{name:<16}{100 * share:3.0f} %  {'-> ' + ' '.join(direct) if direct else ''}".rstrip()


def reachable(graph: dict[str, set[str]], room: str) -> set[str]:
    """The rooms that a room imports, and those that they import."""
    found: set[str] = set()
    todo = set(graph[room])
    while todo:
        target = todo.pop()
        found.add(target)
        todo |= graph[target] - found
    return found


def drawn(page: str) -> str:
    """A page with the present picture between its marks."""
    block = f"{BEGIN}\n{picture()}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda match: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(picture())
