"""The whole way, small: what ``make demo ARGS=--quick`` does."""

import json
from pathlib import Path

import pytest

from vexkd.cli.app import main
from vexkd.engines.bundle import read_bundle
from vexkd.engines.tensorrt_flavour import is_installed


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
def test_quick_demo_leaves_a_complete_report(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    with pytest.raises(SystemExit) as end:
        main(["demo", "--quick", "--out", str(out)])
    assert end.value.code == 0

    report = json.loads((out / "report.json").read_text())
    assert set(report["results"]["detection"]) == {"teacher", "lidar", "distill-lidar", "camera", "distill-camera"}
    for results in report["results"].values():
        for result in results.values():
            scores = [value for key, value in result["metrics"].items() if key in ("mAP", "NDS", "mIoU")]
            assert scores and all(0 <= score <= 1 for score in scores)
    for name in ("teacher", "distill-lidar", "distill-camera"):
        for precision in ("fp32", "fp16"):
            manifest = read_bundle(out / "bundles" / f"detection-{name}-{precision}.vexkd").manifest
            assert [engine.compute_capability for engine in manifest.engines] == ["8.9"]
            assert manifest.engines[0].plugin_layers == {"teacher": 5, "distill-lidar": 2, "distill-camera": 3}[name]
    students = {row["bundle"]: row for row in report["bench"]["detection"]["ratios"]}
    assert all(row["gflops"] > 1 for row in students.values())
    page = (out / "report.html").read_text()
    shown = [part.split('"')[0] for part in page.split('<img src="')[1:]]
    assert len(shown) >= 8 and all((out / path).is_file() for path in shown)


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(SystemExit) as end:
        main(["demo", "--quick", "--out", str(tmp_path)])
    assert end.value.code == 2
    assert "something else than an earlier demo" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "keep me"
