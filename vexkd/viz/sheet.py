"""Titled pictures in rows and columns."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from vexkd.viz.colours import BACKGROUND, INK

LINE = 20
GAP = 6
Titled = tuple[str, Image.Image]
"""A title, of one or more lines, and the picture below it."""


def sheet(rows: Sequence[Sequence[Titled]]) -> Image.Image:
    """One picture of titled pictures; each column is as wide and each row as high as its largest picture."""
    columns = max(len(row) for row in rows)
    widths = [max((row[i][1].width for row in rows if i < len(row)), default=0) + GAP for i in range(columns)]
    bands = [LINE * max(title.count("\n") + 1 for title, _ in row) + 4 for row in rows]
    heights = [band + max(picture.height for _, picture in row) + GAP for band, row in zip(bands, rows, strict=True)]
    whole = Image.new("RGB", (sum(widths), sum(heights)), BACKGROUND)
    canvas = ImageDraw.Draw(whole)
    for y, row in enumerate(rows):
        for x, (title, picture) in enumerate(row):
            left, top = sum(widths[:x]), sum(heights[:y])
            canvas.text((left + 4, top + 3), title, fill=INK, font_size=15)
            whole.paste(picture, (left, top + bands[y]))
    return whole
