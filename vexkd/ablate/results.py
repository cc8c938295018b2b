"""From records to what a report shows: per task and sensor, every row's figures and differences to the baseline."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from vexkd.ablate.records import figures
from vexkd.ablate.statistics import Difference, mean_of, paired_difference
from vexkd.ablate.suites import Suite

Record = dict[str, Any]


def summarise(suite: Suite, records: Sequence[Record]) -> list[dict[str, Any]]:
    """One JSON-ready group per task and sensor; groups in the order of the records, rows in that of the suite."""
    places = dict.fromkeys((record["task"], record["sensor"]) for record in records)
    groups = []
    for task, sensor in places:
        here = [record for record in records if (record["task"], record["sensor"]) == (task, sensor)]
        by_row = {row.name: [record for record in here if record["row"] == row.name] for row in suite.rows}
        base = by_row[suite.baseline]
        groups.append(
            {
                "task": task,
                "sensor": sensor,
                "baseline": suite.baseline,
                "rows": [_row(found, base, suite.baseline) for found in by_row.values() if found],
            }
        )
    return groups


def _row(records: Sequence[Record], base: Sequence[Record], baseline: str) -> dict[str, Any]:
    first = records[0]
    own, other = _by_figure(records), _by_figure(base)
    taught = [record["distillation"] for record in records if record["distillation"] is not None]
    ratios = [report["kd_ratio"] for report in taught if report["kd_ratio"] is not None]
    learned = [report for report in taught if "mask_epochs" in report]
    return {
        "row": first["row"],
        "description": first["description"],
        "seeds": [record["seed"] for record in records],
        "seconds": sum(record["seconds"] for record in records),
        "calibrated_weight": first["calibrated_weight"],
        "kd_ratio": median(ratios) if ratios else None,
        "mask_epochs": [report["mask_epochs"] for report in learned],
        "masks_settled": all(report["masks_settled"] for report in learned),
        "figures": {
            name: {
                "values": {str(seed): value for seed, value in values.items()},
                **asdict(mean_of(list(values.values()))),
                "difference": None
                if first["row"] == baseline
                else _difference(paired_difference(values, other.get(name, {}))),
            }
            for name, values in own.items()
        },
    }


def _by_figure(records: Sequence[Record]) -> dict[str, dict[int, float]]:
    """Figure's heading to the values by seed."""
    found: dict[str, dict[int, float]] = {}
    for record in records:
        for name, value in figures(record).items():
            found.setdefault(name, {})[record["seed"]] = value
    return found


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else {**asdict(difference), "significant": difference.significant}
