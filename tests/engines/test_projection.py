"""Projections: arithmetic by hand, and beside what others measured."""

import pytest

from benchmarks.published import NETWORKS, PUBLISHED, cost_of, projected, share_of_peak
from vexkd.engines.cards import CARDS, Card, find_card, known_card
from vexkd.engines.manifest import Cost, StageCost, Tensor
from vexkd.engines.projection import COPY, Efficiencies, Interval, project
from vexkd.plugins.errors import UserError

CARD = Card(
    "test", {"float32": 10.0, "float16": 100.0}, vector_tflops=10.0, memory_gbs=1000.0, l2_mb=10.0, link_gbs=10.0
)
EFFICIENCIES = Efficiencies(products=(0.25, 0.5), arithmetic=(0.25, 0.5), memory=(0.5, 1.0), launch=(10.0, 1.0))


def stage(**changes: object) -> StageCost:
    """100 GFLOPs of products in FP16, 100 MB."""
    values = {
        "stage": "head",
        "gflops": 100.0,
        "gmacs": {"float16": 50.0},
        "parameters": 1,
        "megabytes": 100.0,
        "weight_megabytes": 20.0,
        "kernel_megabytes": (5.0,) * 20,
        "launches": 10,
    }
    return StageCost.model_validate(values | changes)


def cost(*stages: StageCost) -> Cost:
    return Cost(gflops=sum(s.gflops for s in stages), gflops_by_operator={}, parameters=1, stages=stages)


def test_each_roof_by_hand() -> None:
    found = project(cost(stage()), (), CARD, EFFICIENCIES).stages[1]
    # 100 GFLOPs at 50 % of 100 TFLOPS; at 25 %, and ten launches of 10 us on top.
    assert found.roof == "products"
    assert (found.milliseconds.low, found.milliseconds.high) == pytest.approx((2.0, 4.0 + 0.1))
    # In FP32 at a tenth of that rate.
    found = project(cost(stage(gmacs={"float32": 50.0})), (), CARD, EFFICIENCIES).stages[1]
    assert found.milliseconds.low == pytest.approx(20.0)
    # No products: 100 GFLOPs at 50 % and 25 % of 10 TFLOPS.
    found = project(cost(stage(gmacs={})), (), CARD, EFFICIENCIES).stages[1]
    assert found.roof == "arithmetic"
    assert (found.milliseconds.low, found.milliseconds.high) == pytest.approx((20.0, 40.1))
    # 100 GB in all, each kernel too wide for the cache.
    wide = stage(megabytes=1e5, weight_megabytes=0.0, kernel_megabytes=(1e3,) * 100)
    found = project(cost(wide), (), CARD, EFFICIENCIES).stages[1]
    assert found.roof == "memory"
    assert (found.milliseconds.low, found.milliseconds.high) == pytest.approx((100.0, 200.1))
    # In the cache only weights come from DRAM, at the fast end; the one wide kernel moves all it has.
    cached = stage(megabytes=3e4, weight_megabytes=1e4, kernel_megabytes=(5e3, *(10.0,) * 2500))
    found = project(cost(cached), (), CARD, EFFICIENCIES).stages[1]
    assert (found.milliseconds.low, found.milliseconds.high) == pytest.approx((15.0, 60.1))
    many = stage(launches=5000)
    found = project(cost(many), (), CARD, EFFICIENCIES).stages[1]
    assert found.roof == "launches"
    assert (found.milliseconds.low, found.milliseconds.high) == pytest.approx((5.0, 4.0 + 50.0))


def test_totals_and_the_copy() -> None:
    image = Tensor(name="images", shape=(1000, 1000, 10), dtype="uint8", unit="")
    found = project(cost(stage(), stage(stage="decode")), (image,), CARD, EFFICIENCIES)
    copy = found.stages[0]
    assert copy.stage == COPY and (copy.milliseconds.low, copy.milliseconds.high) == pytest.approx((1.0, 2.0))
    assert found.network_ms.low == pytest.approx(4.0) and found.network_ms.high == pytest.approx(8.2)
    assert found.total_ms.high == pytest.approx(10.2)
    assert (found.fps.low, found.fps.high) == pytest.approx((1000 / 10.2, 1000 / 5.0))
    assert "not measured" in found.line()
    assert any("10.0 MB of inputs" in line for line in found.assumptions)


def test_an_interval_tells_how_far_a_measurement_lies_outside() -> None:
    interval = Interval(low=2.0, high=4.0)
    assert interval.holds(2.0) and interval.holds(3.0) and not interval.holds(5.0)
    assert [interval.error(value) for value in (1.0, 3.0, 5.0)] == pytest.approx([-0.5, 0.0, 0.25])


def test_cards_are_found_as_people_and_drivers_name_them() -> None:
    for name in ("RTX 4090", "rtx4090", "NVIDIA GeForce RTX 4090"):
        assert find_card(name).name == "RTX 4090"
    assert find_card("NVIDIA H100 80GB HBM3").name == "H100"
    assert find_card("NVIDIA A100-SXM4-40GB").name == "A100"
    for name in ("NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D", "RTX 3090 Ti", "RTX 4080", ""):
        assert known_card(name) is None
    with pytest.raises(UserError, match=r"no peaks are on record for 'RTX 2080'; known are: RTX 3090, RTX 4090"):
        find_card("RTX 2080")


def test_cards_are_plausible() -> None:
    assert len({card.name for card in CARDS}) == len(CARDS)
    for card in CARDS:
        peaks = card.product_tops
        assert card.vector_tflops <= peaks["float32"] < peaks["float16"]
        # INT8 runs at twice FP16's rate on every tensor core of these.
        assert peaks["int8"] == pytest.approx(2 * peaks["float16"], rel=0.01)


def test_published_networks_by_hand() -> None:
    # ResNet-50 at 256 x 704 is 3.592 times its size at 224 x 224, for six cameras: 88 GMACs of 176.
    gmacs = cost_of(NETWORKS["BEVDet-R50"], "float16").gflops / 2
    assert gmacs == pytest.approx(88.1 + 13.3 + 0.3 + 49.4 + 24.9, rel=0.01)


def test_published_measurements_beside_their_projections() -> None:
    calibration = [row for row in PUBLISHED if row.calibration]
    assert [share_of_peak(row) for row in calibration] == pytest.approx([Efficiencies().products[0], 0.8], abs=0.02)
    assert all(projected(row).holds(row.milliseconds) for row in calibration)
    tests = [row for row in PUBLISHED if not row.calibration]
    errors = [projected(row).error(row.milliseconds) for row in tests]
    assert sum(error == 0 for error in errors) == 10 and len(tests) == 13
    # What lies outside is the image stage on Orin, which is slower than at the slow end.
    outside = [(row.card, error) for row, error in zip(tests, errors, strict=True) if error]
    assert {card for card, _ in outside} == {"Orin"} and all(0 < error < 1 / 3 for _, error in outside)
    # An interval that holds everything says nothing.
    assert all(projected(row).high < 3 * projected(row).low for row in tests)


def test_precision_and_card_order_as_published() -> None:
    times = {(row.card, row.kind): row.milliseconds for row in PUBLISHED if row.network == "BEVDet-R50"}
    order = sorted(times, key=lambda key: times[key])
    middle = {(row.card, row.kind): projected(row).low for row in PUBLISHED if row.network == "BEVDet-R50"}
    assert sorted(middle, key=lambda key: middle[key]) == order
