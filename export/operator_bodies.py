"""Function bodies of the operators in ONNX's own operators, written in onnxscript.

They follow ``vexkd.plugins.reference`` to the bit (``BevPool``: to float32 rounding), with two exceptions. A feature of
minus infinity counts as not there in ``PillarMax``. A value that is not finite in ``BevPool`` reaches all later cells.

No ``ScatterND`` with a reduction: ONNX Runtime splits its updates over threads, which race where two updates meet.
``ScatterElements`` along columns and running sums have no such flaw.
"""

# onnxscript reads these functions as text; their types are ONNX's.
# mypy: ignore-errors

from collections.abc import Sequence

import onnx
import onnxscript
from onnxscript import opset20 as op
from onnxscript.values import Opset

DOMAIN = "vexkd"
VERSION = 1
FIXED_POINT = float(2**30)

domain = Opset(DOMAIN, VERSION)


@onnxscript.script(domain, default_opset=op)
def Voxelize(points, count, range: Sequence[float], cell: Sequence[float]):
    """Points (N, 5), count (1) to features (N, 11) and cells (N), -1 for dropped points."""
    limits = op.Constant(value_floats=range)
    side = op.Constant(value_floats=cell)
    low_xy = op.Slice(limits, [0], [2], [0])
    low_z = op.Slice(limits, [2], [3], [0])
    high_xy = op.Slice(limits, [3], [5], [0])
    high_z = op.Slice(limits, [5], [6], [0])
    size = op.Cast(op.Round(op.Div(op.Sub(high_xy, low_xy), side)), to=onnx.TensorProto.INT64)
    width = op.Slice(size, [0], [1], [0])
    height = op.Slice(size, [1], [2], [0])
    cells_of_grid = op.Mul(width, height)

    rows = op.Slice(op.Shape(points), [0], [1], [0])
    order = op.Range(op.Constant(value_int=0), op.Squeeze(rows), op.Constant(value_int=1))
    counted = op.Unsqueeze(op.Less(order, op.Cast(count, to=onnx.TensorProto.INT64)), [1])
    broken = op.Or(op.IsNaN(points), op.IsInf(points))
    bad = op.ReduceMax(op.Cast(broken, to=onnx.TensorProto.FLOAT), [1], keepdims=1)
    sound = op.And(counted, op.Less(bad, op.Constant(value_float=0.5)))
    clean = op.Where(sound, points, op.Constant(value_float=0.0))

    xy = op.Slice(clean, [0], [2], [1])
    z = op.Slice(clean, [2], [3], [1])
    index = op.Floor(op.Div(op.Sub(xy, low_xy), side))
    limit = op.Cast(size, to=onnx.TensorProto.FLOAT)
    inside_xy = op.And(op.GreaterOrEqual(index, op.Constant(value_float=0.0)), op.Less(index, limit))
    inside_x = op.Slice(inside_xy, [0], [1], [1])
    inside_y = op.Slice(inside_xy, [1], [2], [1])
    inside_z = op.And(op.GreaterOrEqual(z, low_z), op.Less(z, high_z))
    kept = op.And(op.And(sound, inside_z), op.And(inside_x, inside_y))

    safe = op.Where(kept, index, op.Constant(value_float=0.0))
    whole = op.Cast(safe, to=onnx.TensorProto.INT64)
    ix = op.Slice(whole, [0], [1], [1])
    iy = op.Slice(whole, [1], [2], [1])
    flat = op.Add(op.Mul(iy, width), ix)
    slot = op.Where(kept, flat, cells_of_grid)

    centre_xy = op.Add(op.Mul(op.Add(safe, op.Constant(value_float=0.5)), side), low_xy)
    centre_z = op.Mul(op.Add(low_z, high_z), op.Constant(value_float=0.5))
    offset_xy = op.Sub(xy, centre_xy)
    offset_z = op.Sub(z, centre_z)
    offset = op.Where(kept, op.Concat(offset_xy, offset_z, axis=1), op.Constant(value_float=0.0))

    # The mean as plugins/include/vexkd/voxelize.h defines it: whole numbers, whose sum has no order, scaled by 2^k
    # with k = 30 - p for extents e = f * 2^p, 0.5 <= f < 1. The fourth row counts the points.
    extent = op.Concat(side, op.Sub(high_z, low_z), axis=0)
    two = op.Constant(value_float=2.0)
    guess = op.Floor(op.Div(op.Log(extent), op.Log(two)))
    over = op.Cast(op.Greater(op.Pow(two, guess), extent), to=onnx.TensorProto.FLOAT)
    floor = op.Sub(guess, over)
    under = op.LessOrEqual(op.Pow(two, op.Add(floor, op.Constant(value_float=1.0))), extent)
    exponent = op.Sub(op.Constant(value_float=29.0), op.Add(floor, op.Cast(under, to=onnx.TensorProto.FLOAT)))
    scale = op.Pow(two, exponent)
    bound = op.Constant(value_float=FIXED_POINT)
    scaled = op.Round(op.Clip(op.Mul(offset, scale), op.Neg(bound), bound))
    terms = op.Concat(op.Cast(scaled, to=onnx.TensorProto.INT64), op.Cast(kept, to=onnx.TensorProto.INT64), axis=1)
    slots = op.Add(cells_of_grid, op.Constant(value_ints=[1]))
    four = op.Constant(value_ints=[4])
    where = op.Expand(op.Transpose(slot, perm=[1, 0]), op.Concat(four, rows, axis=0))
    zeros = op.Expand(op.Constant(value_int=0), op.Concat(four, slots, axis=0))
    sums = op.ScatterElements(zeros, where, op.Transpose(terms, perm=[1, 0]), axis=1, reduction="add")
    own = op.Cast(op.Transpose(op.GatherElements(sums, where, axis=1), perm=[1, 0]), to=onnx.TensorProto.FLOAT)
    members = op.Max(op.Slice(own, [3], [4], [1]), op.Constant(value_float=1.0))
    quotient = op.Div(op.Slice(own, [0], [3], [1]), members)
    mean = op.Mul(quotient, op.Pow(two, op.Neg(exponent)))

    described = op.Concat(clean, op.Sub(offset, mean), offset, axis=1)
    features = op.Where(kept, described, op.Constant(value_float=0.0))
    dropped = op.Where(kept, flat, op.Constant(value_ints=[-1]))
    cells = op.Cast(op.Squeeze(dropped, [1]), to=onnx.TensorProto.INT32)
    return features, cells


@onnxscript.script(domain, default_opset=op)
def PillarMax(features, cells, height: int, width: int):
    """Features (N, C), cells (N) to the channel maximum of every cell (1, C, H, W), 0 where a cell is empty."""
    h = op.Reshape(height, [1])
    w = op.Reshape(width, [1])
    cells_of_grid = op.Mul(h, w)
    rows = op.Slice(op.Shape(features), [0], [1], [0])
    channels = op.Slice(op.Shape(features), [1], [2], [0])
    values = op.Transpose(op.Cast(features, to=onnx.TensorProto.FLOAT), perm=[1, 0])
    lowest = op.Constant(value_float=float("-inf"))
    known = op.Where(op.IsNaN(values), lowest, values)
    whole = op.Cast(cells, to=onnx.TensorProto.INT64)
    kept = op.And(op.GreaterOrEqual(whole, op.Constant(value_ints=[0])), op.Less(whole, cells_of_grid))
    slot = op.Where(kept, cells, op.Cast(cells_of_grid, to=onnx.TensorProto.INT32))
    slots = op.Add(cells_of_grid, op.Constant(value_ints=[1]))
    where = op.Expand(slot, op.Concat(channels, rows, axis=0))
    empty = op.Expand(lowest, op.Concat(channels, slots, axis=0))
    highest = op.Slice(op.ScatterElements(empty, where, known, axis=1, reduction="max"), [0], cells_of_grid, [1])
    nothing = op.Constant(value_float=0.0)
    empty_or_zero = op.Or(op.Equal(highest, lowest), op.Equal(highest, nothing))
    filled = op.Where(empty_or_zero, nothing, highest)
    shape = op.Concat(op.Constant(value_ints=[1]), channels, h, w, axis=0)
    return op.CastLike(op.Reshape(filled, shape), features)


@onnxscript.script(domain, default_opset=op)
def BevPool(depth, context, points, starts, height: int, width: int):
    """Depth (V, D, h, w), context (V, C, h, w), sorted points (K), row starts (H*W+1) to sums (1, C, H, W)."""
    h = op.Reshape(height, [1])
    w = op.Reshape(width, [1])
    cells_of_grid = op.Mul(h, w)
    one = op.Constant(value_ints=[1])
    zero = op.Constant(value_ints=[0])
    bins = op.Slice(op.Shape(depth), [1], [2], [0])
    channels = op.Slice(op.Shape(context), [1], [2], [0])
    pixels = op.ReduceProd(op.Slice(op.Shape(depth), [2], [4], [0]), keepdims=1)

    wide_points = op.Cast(points, to=onnx.TensorProto.INT64)
    volume = op.ReduceProd(op.Shape(depth), keepdims=1)
    listed = op.And(op.GreaterOrEqual(wide_points, zero), op.Less(wide_points, volume))
    flat = op.Where(listed, wide_points, zero)
    view = op.Div(flat, op.Mul(bins, pixels))
    pixel = op.Add(op.Mul(view, pixels), op.Mod(flat, pixels))
    values = op.Transpose(op.Cast(context, to=onnx.TensorProto.FLOAT), perm=[0, 2, 3, 1])
    rows = op.Reshape(values, op.Concat(op.Constant(value_ints=[-1]), channels, axis=0))
    chances = op.Gather(op.Reshape(op.Cast(depth, to=onnx.TensorProto.FLOAT), [-1]), flat)
    weights = op.Unsqueeze(op.Where(listed, chances, op.Constant(value_float=0.0)), [1])
    terms = op.Mul(weights, op.Gather(rows, pixel))
    # The points are sorted by cell, so a cell's sum is a difference of running sums: in float64, 2 x 8 bytes per
    # frustum point and channel.
    padding = op.Expand(op.Constant(value_float=0.0), op.Concat(one, channels, axis=0))
    wide = op.Cast(op.Concat(terms, padding, axis=0), to=onnx.TensorProto.DOUBLE)
    running = op.CumSum(wide, op.Constant(value_int=0), exclusive=1)
    bounds = op.Clip(op.Cast(starts, to=onnx.TensorProto.INT64), op.Constant(value_int=0), op.Squeeze(op.Shape(points)))
    first = op.Slice(bounds, zero, cells_of_grid, zero)
    last = op.Slice(bounds, one, op.Add(cells_of_grid, one), zero)
    # Row starts that fall somewhere are no table: every cell is empty.
    falls = op.Less(op.ReduceMin(op.Sub(last, first), keepdims=0), op.Constant(value_int=0))
    last = op.Where(falls, first, last)
    sums = op.Sub(op.Gather(running, last), op.Gather(running, first))
    shape = op.Concat(one, channels, h, w, axis=0)
    return op.CastLike(op.Reshape(op.Transpose(op.Cast(sums, to=onnx.TensorProto.FLOAT), perm=[1, 0]), shape), context)


@onnxscript.script(domain, default_opset=op)
def PrepareImages(images, height: int, width: int, mean: Sequence[float], deviation: Sequence[float], dtype: int):
    """Images (V, H, W, 3) u8 to (V, 3, height, width) of the tensor type ``dtype``: resized, cropped, normalised.

    Only the pixels that the result is made of leave their bytes, never the whole images.
    """
    half = op.Constant(value_float=0.5)
    one = op.Constant(value_int=1)
    nothing = op.Constant(value_float=0.0)
    raw = op.Slice(op.Shape(images), [1], [3], [0])
    size = op.Concat(op.Reshape(height, [1]), op.Reshape(width, [1]), axis=0)
    wide = op.Cast(raw, to=onnx.TensorProto.DOUBLE)
    scale = op.ReduceMax(op.Div(op.Cast(size, to=onnx.TensorProto.DOUBLE), wide), keepdims=0)
    resized = op.Cast(op.Round(op.Mul(wide, scale)), to=onnx.TensorProto.INT64)
    # The crop keeps the bottom and the middle.
    first = op.Div(op.Sub(resized, size), op.Constant(value_ints=[1, 2]))
    step = op.Div(op.Cast(raw, to=onnx.TensorProto.FLOAT), op.Cast(resized, to=onnx.TensorProto.FLOAT))
    last = op.Sub(raw, one)

    # Rows of the raw images above and below each prepared row, and the weight of the one below; then the columns.
    rows = op.Cast(
        op.Add(op.Range(op.Constant(value_int=0), height, one), op.Gather(first, 0)), to=onnx.TensorProto.FLOAT
    )
    exact_row = op.Max(op.Sub(op.Mul(op.Add(rows, half), op.Gather(step, 0)), half), nothing)
    top = op.Min(op.Cast(exact_row, to=onnx.TensorProto.INT64), op.Gather(last, 0))
    bottom = op.Min(op.Add(top, one), op.Gather(last, 0))
    down = op.Unsqueeze(op.Sub(exact_row, op.Cast(top, to=onnx.TensorProto.FLOAT)), [1, 2])
    columns = op.Cast(
        op.Add(op.Range(op.Constant(value_int=0), width, one), op.Gather(first, 1)), to=onnx.TensorProto.FLOAT
    )
    exact_column = op.Max(op.Sub(op.Mul(op.Add(columns, half), op.Gather(step, 1)), half), nothing)
    left = op.Min(op.Cast(exact_column, to=onnx.TensorProto.INT64), op.Gather(last, 1))
    right = op.Min(op.Add(left, one), op.Gather(last, 1))
    across = op.Unsqueeze(op.Sub(exact_column, op.Cast(left, to=onnx.TensorProto.FLOAT)), [1])

    whole = op.Constant(value_float=1.0)
    upper = op.Gather(images, top, axis=1)
    lower = op.Gather(images, bottom, axis=1)
    upper_left = op.Mul(op.Cast(op.Gather(upper, left, axis=2), to=onnx.TensorProto.FLOAT), op.Sub(whole, across))
    upper_right = op.Mul(op.Cast(op.Gather(upper, right, axis=2), to=onnx.TensorProto.FLOAT), across)
    lower_left = op.Mul(op.Cast(op.Gather(lower, left, axis=2), to=onnx.TensorProto.FLOAT), op.Sub(whole, across))
    lower_right = op.Mul(op.Cast(op.Gather(lower, right, axis=2), to=onnx.TensorProto.FLOAT), across)
    above = op.Mul(op.Add(upper_left, upper_right), op.Sub(whole, down))
    below = op.Mul(op.Add(lower_left, lower_right), down)
    centred = op.Sub(op.Add(above, below), op.Constant(value_floats=mean))
    normal = op.Div(centred, op.Constant(value_floats=deviation))
    return op.Cast(op.Transpose(normal, perm=[0, 3, 1, 2]), to=dtype)
