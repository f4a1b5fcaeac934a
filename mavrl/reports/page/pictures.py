"""Pictures as data in a page, small where there are many."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from mavrl.reports.page.content import Picture

_CAPTIONS = {  # by the name of the file
    "rewards": "True and learned reward, or the learned reward of each recorded episode.",
    "value": "Value of each state under the true and under the learned reward.",
    "occupancy": "Where the data of each kind of feedback are.",
    "losses": "Loss and its terms while the reward was learned.",
    "reliability": "How often the more probable answer was given, against its predicted probability.",
    "coverage": "Share of the true rewards inside of the posterior's intervals, against the level of these.",
    "segment_returns": "Learned against true return of segments.",
    "training": "True return of the policies while they were trained.",
    "reward_slices": "Learned reward over the two most telling observations, for each action.",
    "held_out": "Gain over a constant on held-out labels, and how reliable predicted preferences are.",
    "rounds": "What was reached in each round of questions.",
    "history": "Value of each trial, and the best so far.",
    "allocation": "Samples of each kind of feedback in each trial.",
    "importances": "What sets the best trials apart.",
}
_FIRST = ("rewards", "reward_slices", "training")  # that says most about a run
_LARGEST = 1_500_000  # bytes of a picture that is shown as it is
_SMALL, _WIDE = 480, 1600  # pixels


def pictures_in(folder: Path, base: Path) -> list[Picture]:
    """The pictures of a folder, those first that say most. Damaged ones are left out.

    Args:
        folder: with PNG files; one that is missing has none.
        base: folder of the page, which links are relative to.
    """
    return [picture for path in _found(folder) if (picture := _picture(path, base, _WIDE)) is not None]


def main_picture(folder: Path, base: Path, title: str, link: str) -> Picture | None:
    """The picture of a folder that says most, small; None where there is none.

    Args:
        folder: as in `pictures_in`.
        base: folder of the page.
        title: below the picture.
        link: that it leads to.
    """
    for path in _found(folder):
        picture = _picture(path, base, _SMALL)
        if picture is not None:
            return Picture(picture.address, title, picture.caption, picture.width, picture.height, link)
    return None


def small_pictures(folders: Iterable[tuple[str, Path]], base: Path) -> list[Picture]:
    """All pictures of several folders, small, each with the name of its folder.

    Args:
        folders: names and folders.
        base: folder of the page.
    """
    found = []
    for name, folder in folders:
        for path in _found(folder):
            if (picture := _picture(path, base, _SMALL)) is not None:
                title = f"{name} {picture.title}".strip()
                found.append(
                    Picture(picture.address, title, picture.caption, picture.width, picture.height, picture.link)
                )
    return found


def _found(folder: Path) -> list[Path]:
    def order(path: Path) -> tuple[int, str]:
        return _FIRST.index(path.stem) if path.stem in _FIRST else len(_FIRST), path.stem

    return sorted((path for path in folder.glob("*.png") if path.is_file()), key=order)


def _picture(path: Path, base: Path, widest: int) -> Picture | None:
    from PIL import Image, UnidentifiedImageError

    from mavrl.reports.page.links import link_to

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            small = width > widest and (widest == _SMALL or len(content) > _LARGEST)
            if small:
                width, height = widest, max(1, round(height * widest / width))
                reduced = image.convert("RGBA").resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
                ground = Image.new("RGBA", reduced.size, "white")
                ground.alpha_composite(reduced)
                text = io.BytesIO()
                ground.convert("RGB").save(text, "WEBP", quality=85, method=1)
                content = text.getvalue()
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return None
    address = f"data:image/{'webp' if small else 'png'};base64,{base64.b64encode(content).decode()}"
    caption = _CAPTIONS.get(path.stem, "")
    return Picture(address, path.stem.replace("_", " "), caption, width, height, link_to(path, base))
