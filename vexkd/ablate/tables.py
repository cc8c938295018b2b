"""The cells of a report's tables, the same on screen, in Markdown and in HTML."""

from typing import Any

SENSORS = {"lidar": "LiDAR", "camera": "camera", "lidar+camera": "LiDAR + camera"}


def title(group: dict[str, Any]) -> str:
    """Which task and sensor a table is about."""
    return f"{group['task']}, {SENSORS[group['sensor']]}"


def headers(group: dict[str, Any]) -> list[str]:
    """Columns of a group's table."""
    figures = [part for name in _figures(group) for part in (name, f"{name} difference")]
    return ["row", "seeds", *figures, *_extras(group)]


def cells(group: dict[str, Any]) -> list[list[str]]:
    """Rows of a group's table."""
    return [
        [
            row["row"],
            str(len(row["seeds"])),
            *(part for name in _figures(group) for part in _figure(row["figures"].get(name), row, group)),
            *(_further(row)[name] for name in _extras(group)),
        ]
        for row in group["rows"]
    ]


def legend(group: dict[str, Any]) -> list[str]:
    """How to read the table, and what each row is."""
    told = (
        f"Mean ± standard deviation over seeds. Differences are to {group['baseline']!r}, in pairs of equal seeds, "
        "with the 95 % interval by Student's t; * marks an interval that leaves out 0, all others are not significant."
    )
    if any(row["calibrated_weight"] is not None for row in group["rows"]):
        told += " KD weights were chosen so that each loss's gradient is as large as that of the recipe's own."
    return [told, *(f"{row['row']}: {row['description']}." for row in group["rows"])]


def _figures(group: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for row in group["rows"] for name in row["figures"]))


def _extras(group: dict[str, Any]) -> list[str]:
    """Headings of the further columns that some row of the group fills."""
    rows = [_further(row) for row in group["rows"]]
    return [name for name in rows[0] if any(row[name] for row in rows)]


def _further(row: dict[str, Any]) -> dict[str, str]:
    """What only some rows have, by heading."""
    weight, ratio, epochs = row["calibrated_weight"], row["kd_ratio"], row["mask_epochs"]
    settled = "" if row["masks_settled"] else " (not settled)"
    return {
        "KD weight": "" if weight is None else f"{weight:g}",
        "KD / task gradient": "" if ratio is None else f"{ratio:.2g}",
        "mask epochs": f"{sum(epochs) / len(epochs):.1f}{settled}" if epochs else "",
    }


def _figure(figure: dict[str, Any] | None, row: dict[str, Any], group: dict[str, Any]) -> tuple[str, str]:
    if figure is None:
        return "", ""
    mean = f"{figure['mean']:.3f}"
    if figure["deviation"] is not None:
        mean += f" ± {figure['deviation']:.3f}"
    return mean, "baseline" if row["row"] == group["baseline"] else _difference(figure["difference"])


def _difference(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    mean = f"{difference['mean']:+.3f}"
    if difference["interval"] is None:
        return f"{mean} (one seed)"
    low, high = difference["interval"]
    return f"{mean} [{low:+.3f}, {high:+.3f}]" + (" *" if difference["significant"] else " not significant")
