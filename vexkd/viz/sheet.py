"""Titled pictures in rows and columns."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from vexkd.viz.colours import BACKGROUND, INK

TITLE = 24
GAP = 6


def sheet(rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> Image.Image:
    """One picture of titled pictures; each column is as wide and each row as high as its largest picture."""
    columns = max(len(row) for row in rows)
    widths = [max((row[i][1].width for row in rows if i < len(row)), default=0) + GAP for i in range(columns)]
    heights = [max(picture.height for _, picture in row) + TITLE + GAP for row in rows]
    whole = Image.new("RGB", (sum(widths), sum(heights)), BACKGROUND)
    canvas = ImageDraw.Draw(whole)
    for y, row in enumerate(rows):
        for x, (title, picture) in enumerate(row):
            corner = (sum(widths[:x]), sum(heights[:y]))
            canvas.text((corner[0] + 4, corner[1] + 5), title, fill=INK, font_size=15)
            whole.paste(picture, (corner[0], corner[1] + TITLE))
    return whole
