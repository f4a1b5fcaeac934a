"""Draws the pictures of the glossary and of the first page: python docs/drawings.py --write.

Each is a small SVG on a light ground of its own, so that it reads alike in light and dark, here and elsewhere.
Colours are those of Okabe and Ito, which the colour-blind tell apart; no meaning is in the colour alone.
"""

import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images" / "drawings"
INK, GROUND, PALE, GREY = "#222222", "#fbfbf8", "#e4e4de", "#767676"
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"


def drawing(width: int, height: int, title: str, *parts: str) -> str:
    """An SVG on a light ground.

    Args:
        width: of the picture, in pixels at its natural size.
        height: likewise.
        title: what a screen reader says.
        parts: elements, the first at the bottom.
    """
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="Helvetica, Arial, sans-serif" fill="{INK}">'
    )
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="11" markerHeight="11" '
        'markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>'
    )
    ground = f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>'
    return "\n".join((head, f"<title>{title}</title>", marker, ground, *parts, "</svg>", ""))


def text(
    x: float, y: float, words: str, size: int = 13, anchor: str = "middle", fill: str = INK, bold: bool = False
) -> str:
    """Words whose base line is at y; entities such as &gt; stand as they are."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{weight}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str = "white", stroke: str = INK, dash: str = "") -> str:
    """A rectangle with round corners; without a stroke where that is "none"."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    shape = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"'
    return f'<rect {shape} fill="{fill}" stroke="{stroke}" stroke-width="1.3"{dashes}/>'


def dot(x: float, y: float, radius: float = 5, fill: str = BLUE) -> str:
    """A filled circle."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"/>'


def line(
    *points: tuple[float, float], stroke: str = INK, width: float = 1.6, arrow: bool = False, dash: str = ""
) -> str:
    """A line through points, perhaps with an arrow at its end."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    end = ' marker-end="url(#tip)"' if arrow else ""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"{end}{dashes}/>'


def bell(x: float, y: float, width: float, height: float, fill: str = SKY) -> str:
    """A normal density that stands on y with its middle at x."""
    half = width / 2
    curve = (
        f"M{x - half:g} {y:g}C{x - half * 0.45:g} {y:g} {x - half * 0.4:g} {y - height:g} {x:g} {y - height:g}"
        f"S{x + half * 0.45:g} {y:g} {x + half:g} {y:g}z"
    )
    return f'<path d="{curve}" fill="{fill}" fill-opacity="0.55" stroke="{BLUE}" stroke-width="1.3"/>'


def steps(x: float, y: float, count: int, chosen: range = range(0), fill: str = ORANGE) -> list[str]:
    """An episode, one square a step; the chosen ones are filled."""
    squares = range(count)
    return [box(x + 18 * k, y, 15, 15, fill if k in chosen else "white", INK if k in chosen else GREY) for k in squares]


def person(x: float, y: float, fill: str = GREEN) -> list[str]:
    """A head and shoulders, with the neck at (x, y)."""
    shoulders = f"M{x - 15:g} {y + 24:g}C{x - 15:g} {y + 2:g} {x + 15:g} {y + 2:g} {x + 15:g} {y + 24:g}z"
    return [dot(x, y - 6, 9, fill), f'<path d="{shoulders}" fill="{fill}"/>']


def grid(x: float, y: float, size: float, values: list[list[float]]) -> list[str]:
    """Rewards of cells: blue where positive and orange where negative, the larger the surer."""
    parts = []
    for row, line_of_values in enumerate(values):
        for column, value in enumerate(line_of_values):
            inset = size * (0.5 - 0.46 * abs(value))
            fill = BLUE if value > 0 else VERMILION
            left, top = x + column * size, y + row * size
            parts.append(
                f'<rect x="{left:g}" y="{top:g}" width="{size:g}" height="{size:g}" fill="white" stroke="{PALE}"/>'
            )
            side = size - 2 * inset
            parts.append(
                f'<rect x="{left + inset:g}" y="{top + inset:g}" width="{side:g}" height="{side:g}" fill="{fill}"/>'
            )
    return parts


REWARDS = [[0.15, 0.2, -0.9, 0.2], [0.25, 0.3, -0.9, 0.3], [0.2, 0.4, 0.35, 0.45], [-0.3, 0.25, 0.4, 0.95]]


def group(x: float, y: float, *parts: str) -> str:
    """Elements moved to the right and down."""
    return f'<g transform="translate({x:g} {y:g})">{"".join(parts)}</g>'


def _said() -> list[str]:
    """The four kinds of feedback, 232 x 220."""
    kinds = (("preference", "this rather than that"), ("demonstration", "I would do it so"),
             ("rating", "4 of 5"), ("stop", "stop it here"))  # fmt: skip
    parts: list[str] = []
    for row, (name, words) in enumerate(kinds):
        top = 58 * row
        parts += [box(0, top, 232, 46), text(58, top + 21, name, 14, "start", bold=True)]
        parts.append(text(58, top + 38, words, 13, "start", GREY))
    parts += [box(12, 11, 12, 24, ORANGE), text(30, 28, "&gt;", 14), box(37, 11, 12, 24, PALE)]
    parts += [line((12, 96), (24, 86), (34, 89), (48, 70), stroke=BLUE, width=2.6, arrow=True)]
    parts += [dot(12 + 9 * k, 139, 3.7, ORANGE if k < 4 else PALE) for k in range(5)]
    return [*parts, line((10, 197), (32, 197), stroke=BLUE, width=2.6), box(34, 187, 15, 20, VERMILION, "none")]


def _learned() -> list[str]:
    """The reward of each cell of a grid, 152 x 190."""
    legend = (text(76, 170, "small: not sure", fill=GREY), text(76, 189, "orange: bad, blue: good", fill=GREY))
    return [*grid(0, 0, 38, REWARDS), *legend]


def _acts() -> list[str]:
    """The way of a policy through the same grid, 152 x 152."""
    way = [(19, 19), (19, 87), (133, 87), (133, 125)]
    lines = [line((38 * k, 0), (38 * k, 152), stroke=PALE) for k in (1, 2, 3)]
    lines += [line((0, 38 * k), (152, 38 * k), stroke=PALE) for k in (1, 2, 3)]
    return [box(0, 0, 152, 152, "white", GREY), *lines, line(*way, stroke=BLUE, width=3, arrow=True), dot(19, 19, 6)]


def _judged() -> list[str]:
    """What it is judged by, 148 x 76."""
    words = ("how good is it under", "the true reward, or", "held-out labels?")
    return [box(0, 0, 148, 76), *(text(74, 26 + 19 * k, each) for k, each in enumerate(words))]


_TITLES = ("what people say", "one reward, with doubt", "a policy acts on it", "it is judged")
_SENTENCE = "Feedback of four kinds tells one reward function with its uncertainty; a policy acts on it and is judged"


def idea() -> str:
    """From feedback of all kinds over one reward to a policy and its worth."""
    titles = [text(x, 40, each, 16, bold=True) for x, each in zip((140, 422, 647, 870), _TITLES, strict=True)]
    arrows = [line((262, 85 + 58 * row), (330, 148 + 14 * row), arrow=True) for row in range(4)]
    arrows += [line((512, 168), (562, 168), arrow=True), line((737, 168), (783, 168), arrow=True)]
    parts = (
        group(24, 62, *_said()),
        group(346, 92, *_learned()),
        group(571, 92, *_acts()),
        group(796, 130, *_judged()),
    )
    return drawing(968, 300, _SENTENCE, *titles, *arrows, *parts)


def idea_narrow() -> str:
    """The same from top to bottom, for narrow windows."""
    tops = (30, 322, 576, 792)
    titles = [text(180, top, each, 16, bold=True) for top, each in zip(tops, _TITLES, strict=True)]
    arrows = [line((180, top - 40), (180, top - 18), arrow=True) for top in tops[1:]]
    places = zip((64, 104, 104, 106), tops, (_said(), _learned(), _acts(), _judged()), strict=True)
    return drawing(360, 900, _SENTENCE, *titles, *arrows, *(group(x, top + 16, *parts) for x, top, parts in places))


def replicate() -> str:
    """One setting, several seeds, trained at once."""
    parts: list[str] = []
    for k, level in enumerate((38, 30, 44)):
        x = 70 + 110 * k
        parts += [box(x - 42, 20, 84, 84), text(x, 39, f"seed {7 + k}", 13), bell(x, 92, 60, level)]
    parts += [text(180, 127, "own data, own first weights; a result is the mean", 13, fill=GREY)]
    return drawing(360, 142, "Three replicates: the same setting with seeds 7, 8 and 9", *parts)


def member() -> str:
    """Models on the same data, which differ where there are none."""
    shapes = ((ORANGE, -26), (BLUE, 0), (GREEN, 24))
    parts = [
        box(40, 96, 130, 12, PALE, "none"),
        text(105, 127, "data", 13, fill=GREY),
        text(260, 127, "no data: they differ", 13, fill=GREY),
    ]
    for fill, rise in shapes:
        curve = f"M40 {76 - rise / 8:g}C90 {40 - rise / 8:g} 130 66 175 58S270 {56 - rise:g} 325 {50 - rise:g}"
        parts.append(f'<path d="{curve}" fill="none" stroke="{fill}" stroke-width="2.2"/>')
    parts.append(text(40, 22, "reward", 13, "start", GREY))
    return drawing(360, 142, "Three members agree where there are data and differ where there are none", *parts)


def setting() -> str:
    """Everything that the command line fixes but the seed."""
    rows = ("env=grid_trap", "modality=pdrs", "optim.lr=0.01")
    parts = [box(24, 20, 150, 92), *(text(38, 45 + 25 * k, row, 13, "start") for k, row in enumerate(rows))]
    parts += [line((184, 66), (226, 66), arrow=True)]
    parts += [box(238, 26 + 30 * k, 96, 24, SKY if k == 0 else "white") for k in range(3)]
    parts += [text(286, 43 + 30 * k, f"seed {k}", 13) for k in range(3)]
    parts.append(text(180, 131, "one setting, as many runs as seeds", 13, fill=GREY))
    return drawing(360, 142, "A setting and its runs, which differ in the seed alone", *parts)


def segment() -> str:
    """A piece of an episode."""
    parts = [*steps(26, 48, 17, range(5, 11)), text(26, 38, "episode 3", 13, "start")]
    parts += [line((116, 74), (116, 82), (221, 82), (221, 74)), text(168, 100, "start 5, stop 11", 13)]
    parts.append(text(180, 127, "6 steps of one episode, in a row", 13, fill=GREY))
    return drawing(360, 142, "A segment is steps 5 to 11 of an episode", *parts)


def query() -> str:
    """What is asked about: candidates in, questions out."""
    parts: list[str] = []
    for row in range(4):
        asked = row == 2
        parts += steps(34, 18 + 24 * row, 4, range(4) if asked else range(0), ORANGE)
    parts += [line((122, 56), (160, 56), arrow=True), box(168, 34, 62, 44), text(199, 61, "query", 13, bold=True)]
    parts += [line((236, 56), (262, 56), arrow=True), *steps(270, 48, 4, range(4), ORANGE)]
    parts += [text(70, 131, "candidates", 13, fill=GREY), text(305, 92, "asked about", 13, fill=GREY)]
    return drawing(360, 142, "A query chooses one of four candidates", *parts)


def teacher() -> str:
    """Who answers: a person, a folder, or a likelihood with the true reward."""
    parts = [*steps(24, 40, 4, range(4), ORANGE), text(112, 53, "or", 13), *steps(24, 66, 4, range(4), SKY)]
    parts += [text(58, 104, "question", 13, fill=GREY), line((130, 60), (164, 60), arrow=True), *person(195, 50)]
    parts += [
        line((226, 60), (260, 60), arrow=True),
        box(268, 44, 66, 32),
        text(301, 65, "the first", 13),
        text(301, 104, "answer", 13, fill=GREY),
    ]
    parts.append(text(195, 104, "teacher", 13, bold=True))
    parts.append(text(180, 130, "a person, a folder, or a simulation", 13, fill=GREY))
    return drawing(360, 142, "A teacher answers which of two segments is better", *parts)


def study() -> str:
    """Trials, each a division of the budget with settings; the best is confirmed."""
    shares = ((30, 14, 10, 6), (12, 20, 18, 10), (40, 8, 8, 4))
    parts: list[str] = []
    for row, share in enumerate(shares):
        left, top = 84, 20 + 30 * row
        parts.append(text(74, top + 15, f"trial {row}", 13, "end"))
        for letter, part, fill in zip("pdrs", share, (SKY, ORANGE, PALE, PURPLE), strict=True):
            parts.append(box(left, top, part * 2.6, 20, fill, "white"))
            if part > 5:
                parts.append(text(left + part * 1.3, top + 15, letter, 13))
            left += part * 2.6
        parts.append(text(258, top + 15, ("0.44", "0.52", "0.41")[row], 13, bold=row == 2))
    parts += [
        text(304, 95, "best", 13, fill=BLUE, bold=True),
        text(180, 131, "how is one budget best divided?", 13, fill=GREY),
    ]
    return drawing(360, 142, "A study tries divisions of one budget of feedback; trial 2 is the best", *parts)


def cell() -> str:
    """One place in the table: an environment with a subset of feedback."""
    columns, rows = ("p", "d", "pd", "pdrs"), ("trap", "cliff", "sparse")
    parts = [text(135 + 58 * c, 26, name, 13) for c, name in enumerate(columns)]
    for r, name in enumerate(rows):
        parts.append(text(94, 51 + 27 * r, name, 13, "end"))
        parts += [
            box(108 + 58 * c, 34 + 27 * r, 54, 24, ORANGE if (r, c) == (1, 2) else "white", GREY) for c in range(4)
        ]
    parts.append(text(180, 133, "cliff, with preferences and demonstrations", 13, fill=GREY))
    return drawing(360, 142, "A cell is one environment with one subset of feedback", *parts)


DRAWINGS = (idea, idea_narrow, replicate, member, setting, segment, query, teacher, study, cell)


def drawn() -> dict[str, str]:
    """Name of the file, and what is in it."""
    return {f"{draw.__name__}.svg": draw() for draw in DRAWINGS}


if __name__ == "__main__":
    for name, picture in drawn().items():
        if "--write" in sys.argv:
            IMAGES.mkdir(parents=True, exist_ok=True)
            (IMAGES / name).write_text(picture, encoding="utf-8")
        print(name, len(picture))
