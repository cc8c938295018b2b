"""Exported bundles, made once: each kind of model, both tasks, both precisions."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_bundles import make_run
from tiny_models import RAW_SIZE

from vexkd.engines.tensorrt_flavour import is_installed
from vexkd.export.export import Precision, export_run
from vexkd.plugins.library import has_cuda

Exporter = Callable[[str, str, Precision], tuple[Path, Path]]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    """Run folder and bundle of a kind, task and precision; with an engine where one can be built."""
    folder = tmp_path_factory.mktemp("export")
    targets = ["rtx4090"] if is_installed("tensorrt_rtx") else []

    def export(kind: str, task: str, precision: Precision) -> tuple[Path, Path]:
        run, bundle = folder / f"{kind}-{task}", folder / f"{kind}-{task}-{precision}.vexkd"
        if not run.exists():
            make_run(run, kind, task)
        if not bundle.exists():
            export_run(run, bundle, precision, targets, RAW_SIZE, cpu_only=not has_cuda())
        return run, bundle

    return export
