"""Valid manifests of every task and sensor, as JSON, and bundles made of them; for tests of what readers refuse."""

import hashlib
import json
from pathlib import Path
from typing import Any

from vexkd.engines.manifest import MANIFEST, MODEL, NO_DIGEST, PLUGIN_LIBRARY

FILES = {MODEL: b"model" * 100, PLUGIN_LIBRARY: b"library" * 100, "rtx4090.engine": b"engine" * 100}
DETECTION, SEGMENTATION = "detection", "segmentation"
SENSORS = (("camera",), ("lidar",), ("camera", "lidar"))

Content = dict[str, Any]


def tensor(name: str, dtype: str, *shape: int) -> Content:
    return {"name": name, "shape": list(shape), "dtype": dtype, "unit": "metres"}


def content(task: str = DETECTION, sensors: tuple[str, ...] = ("camera", "lidar")) -> Content:
    """A manifest with an engine, two classes, two cameras."""
    camera, lidar, detection = "camera" in sensors, "lidar" in sensors, task == DETECTION
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    inputs = [
        *(
            (
                tensor("images", "uint8", 2, 48, 80, 3),
                tensor("rays", "float32", 2, 3, 3),
                tensor("origins", "float32", 2, 3),
            )
            if camera
            else ()
        ),
        *((tensor("points", "float32", 512, 5), tensor("count", "int32", 1)) if lidar else ()),
    ]
    boxes = [tensor("boxes", "float32", 4, 9), tensor("scores", "float32", 4), tensor("labels", "int32", 4)]
    return {
        "schema_version": 4,
        "task": task,
        "sensors": list(sensors),
        "precision": "fp16",
        "grid": {"x": [-8.0, 8.0], "y": [-4, 4], "z": [-3.0, 3.0], "cell": 1.0, "height": 8, "width": 16},
        "classes": ["car", "pedestrian"],
        "inputs": inputs,
        "outputs": boxes if detection else [tensor("logits", "float32", 2, 20, 30)],
        "camera": {
            "cameras": ["FRONT", "BACK"],
            "raw_size": [48, 80],
            "image_size": [32, 64],
            "feature_size": [4, 8],
            "stride": 8,
            "depths": [1.0, 2.5, 4.0],
            "z": [-10.0, 10.0],
        }
        if camera
        else None,
        "points": {
            "capacity": 512,
            "sweeps": 9,
            "own_vehicle": 1.0,
            "columns": ["x", "y", "z", "intensity", "age"],
        }
        if lidar
        else None,
        "selection": {
            "score_threshold": 0.1,
            "classes": [
                {"group": 0, "suppression": "scaled", "limit": 0.2, "scale": 4.5},
                {"group": -1, "suppression": "circle", "limit": 0.5, "scale": 1.0},
            ],
        }
        if detection
        else None,
        "source": {
            "run": "runs/by-hand",
            "weights_sha256": "1" * 64,
            "git_commit": None,
            "vexkd": "0.1.0",
            "torch": "2.13.0",
            "onnx": "1.23",
            "stage": "student",
        },
        "parity": {
            "inputs": "seeded random",
            "runtime": "none",
            "outputs": {"scores": {"max_abs": 0.0, "max_rel": 1e-7}},
            "boxes": {"count": 3, "ties": 1, "unmatched": 0, "max_centre": 0.01, "max_score": 0.0}
            if detection
            else None,
        },
        "accuracy": {
            "split": "val",
            "frames": 20,
            "available": 81,
            "runtime": "none",
            "metrics": {"mAP" if detection else "mIoU": {"reference": 0.5, "bundle": 0.499, "limit": 0.005}},
            "passed": True,
            "accepted": False,
        },
        "nodes": {"fp16": {"Conv": 2}},
        "cost": {
            "gflops": 2.0,
            "gflops_by_operator": {"Mul": 2.0},
            "parameters": 10,
            "stages": [
                {
                    "stage": "head",
                    "gflops": 2.0,
                    "gmacs": {"float16": 1.0},
                    "parameters": 10,
                    "megabytes": 3.0,
                    "weight_megabytes": 1.0,
                    "kernel_megabytes": [2.0, 1.0],
                    "launches": 1,
                }
            ],
        },
        "engines": [
            {
                "target": "rtx4090",
                "file": "rtx4090.engine",
                "flavour": "tensorrt_rtx",
                "version": "1.7.1",
                "compute_capability": "8.9",
                "plugin_library_sha256": digests[PLUGIN_LIBRARY],
                "gpu_code": True,
                "plugin_layers": 3,
                "layers": {"fp16": {"correlation": 2}, "fp32": {"kgen": 1}},
                "size": 600,
                "activation_bytes": 4096,
                "weight_bytes": None,
            }
        ],
        "files": digests,
        "sha256": NO_DIGEST,
    }


def signed(manifest: Content | str) -> bytes:
    """Text of a manifest with its own digest, which stands as zeros in it so far."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    raw = text.encode()
    field = b'"sha256": "%s"'
    return raw.replace(field % NO_DIGEST.encode(), field % hashlib.sha256(raw).hexdigest().encode())


def write_bundle(folder: Path, manifest: Content | None = None) -> Path:
    """A bundle whose files are no model and no engine, only their digests are right."""
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / MANIFEST).write_bytes(signed(content() if manifest is None else manifest))
    return folder
