"""A strip under a picture that says which colour stands for what."""

from collections.abc import Mapping

from PIL import Image, ImageDraw

from vexkd.viz.colours import BACKGROUND, INK, Colour

LINE = 24
FONT = 14


def with_legend(picture: Image.Image, entries: Mapping[str, Colour]) -> Image.Image:
    """The picture with a swatch and a name for each entry below it, in as many lines as they need."""
    places, lines = _places(list(entries), picture.width)
    whole = Image.new("RGB", (picture.width, picture.height + lines * LINE + 4), BACKGROUND)
    whole.paste(picture, (0, 0))
    canvas = ImageDraw.Draw(whole)
    for (x, line), (name, colour) in zip(places, entries.items(), strict=True):
        middle = picture.height + line * LINE + LINE // 2 + 2
        canvas.rectangle((x, middle - 6, x + 12, middle + 6), fill=colour)
        canvas.text((x + 18, middle), name, fill=INK, font_size=FONT, anchor="lm")
    return whole


def _places(names: list[str], width: int) -> tuple[list[tuple[int, int]], int]:
    """Left edge and line of each entry, and the number of lines."""
    canvas = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    places: list[tuple[int, int]] = []
    x, line = 8, 0
    for name in names:
        needed = 36 + int(canvas.textlength(name, font_size=FONT))
        if places and x + needed > width:
            x, line = 8, line + 1
        places.append((x, line))
        x += needed
    return places, line + 1
