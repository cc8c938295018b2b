"""What a recipe's stages cost, by formulas written out by hand: the oracle of the counts from graphs.

Multiply-adds of convolutions and products, doubled, and of the rest what is more than a hundredth of its stage.
H x W are the grid's cells; biases, ReLUs and residual sums are left out.
"""

from vexkd.config import CameraConfig, Config, HeadConfig, LidarConfig, ModelConfig

CAMERAS = 6
CODES = 10
MAP_CELLS = 200 * 200
MAP_CLASSES = 6
POINT_FEATURES = 11

# ResNet-50: residual layers, inner width and output width of each stage, whose first layer halves (but in stage 1).
RESNET50 = ((3, 64, 256), (4, 128, 512), (6, 256, 1024), (3, 512, 2048))


def hand_count(config: Config) -> dict[str, float]:
    """GFLOPs by stage."""
    model = config.model
    cells = model.grid.height * model.grid.width
    stages: dict[str, float] = {}
    low = 0
    if model.lidar is not None:
        stages["pillars"] = pillars(model.lidar, config.data.max_points)
        stages["LiDAR stages"] = 2 * lidar_macs(model.lidar, model)
        low = model.lidar.channels
    if model.camera is not None:
        stages |= camera(model.camera, cells)
        low = model.camera.channels
    if model.fusion is not None:
        stages["fusion"] = fusion(model, cells)
        low = model.fusion.channels
    stages["BEV encoder"] = 2 * encoder_macs(model, low, cells)
    width = model.encoder.out_channels
    detection = config.task == "detection"
    stages["head"] = 2 * (centre_macs(model.head, width, cells) if detection else map_macs(model.head, width))
    return {stage: count / 1e9 for stage, count in stages.items()}


def conv(inputs: int, outputs: int, kernel: int, positions: int) -> int:
    return inputs * outputs * kernel * kernel * positions


def resnet50_macs(height: int, width: int) -> int:
    """Of one image, without the classifier: 4.09e9 at 224 x 224, as published."""
    positions = height * width // 4
    macs, inputs = conv(3, 64, 7, positions), 64
    positions //= 4
    for number, (layers, inner, outputs) in enumerate(RESNET50):
        smaller = positions if number == 0 else positions // 4
        for layer in range(layers):
            # The first 1x1 still sees the size before the 3x3's stride; the first layer has a 1x1 beside it.
            macs += conv(inputs, inner, 1, positions if layer == 0 else smaller)
            macs += conv(inner, inner, 3, smaller) + conv(inner, outputs, 1, smaller)
            macs += conv(inputs, outputs, 1, smaller) if layer == 0 else 0
            inputs = outputs
        positions = smaller
    return macs


def camera(config: CameraConfig, cells: int) -> dict[str, float]:
    height, width = config.image_size
    assert config.backbone == "resnet50"
    pixels = CAMERAS * (height // config.stride) * (width // config.stride)
    first, end, step = config.depth
    bins = round((end - first) / step)
    neck = config.neck_channels
    levels = {16: ((1024, 1), (2048, 4)), 8: ((512, 1), (1024, 4), (2048, 16))}[config.stride]
    lateral = sum(conv(inputs, neck, 1, pixels // smaller) for inputs, smaller in levels)
    project, smooth = conv(neck, bins + config.channels, 1, pixels), conv(config.channels, config.channels, 3, cells)
    return {
        "image backbone": 2 * CAMERAS * resnet50_macs(height, width),
        "neck": 2 * (lateral + conv(neck, neck, 3, pixels)),
        # Every frustum point adds a product per channel; a softmax is 5 operations per bin.
        "view transform": 2 * (project + smooth) + pixels * bins * (2 * config.channels + 5),
    }


def pillars(config: LidarConfig, points: int) -> float:
    """40 operations to describe a point, its scale, the linear layer, ReLU and maximum."""
    return points * (40 + POINT_FEATURES + 2 * POINT_FEATURES * config.point_channels + 2 * config.point_channels)


def lidar_macs(config: LidarConfig, model: ModelConfig) -> int:
    """One stage per halving from pillars to cells, and one at the cells."""
    cells = model.grid.height * model.grid.width
    factor = round(model.grid.cell / config.pillar)
    macs, inputs, width = 0, config.point_channels, config.point_channels
    while factor > 1:
        factor //= 2
        width = min(width, config.channels)
        macs += conv(inputs, width, 3, cells * factor**2) + (config.layers - 1) * conv(
            width, width, 3, cells * factor**2
        )
        inputs, width = width, 2 * width
    last = config.channels
    return macs + conv(inputs, last, 3, cells) + (config.layers - 1) * conv(last, last, 3, cells)


def fusion(model: ModelConfig, cells: int) -> float:
    config = model.fusion
    assert config is not None and config.kind == "mgfm" and model.camera is not None and model.lidar is not None
    width, samples = config.channels, config.heads * config.keys
    attention = 2 * width * width  # value and output
    cross, own = 2 * (attention + 2 * width * 3 * samples), attention + width * 3 * samples
    feed = 2 * width * 2 * width
    # A bilinear sample is 11 operations, its weight and sum 2; three layer normalisations of 8 per value.
    rest = 3 * config.keys * width * 13 + 3 * 8 * width
    project = (model.camera.channels + model.lidar.channels) * width
    return cells * (config.blocks * (2 * (cross + own + feed) + rest) + 2 * project) + 2 * conv(width, width, 3, cells)


def encoder_macs(model: ModelConfig, inputs: int, cells: int) -> int:
    config, macs = model.encoder, 0
    share = config.out_channels // len(config.channels)
    for number, width in enumerate(config.channels):
        positions = cells // 4**number
        macs += conv(inputs, width, 3, positions) + config.layers * conv(width, width, 3, positions)
        macs += conv(width, share, 1, positions)
        inputs = width
    return macs


def centre_macs(config: HeadConfig, inputs: int, cells: int) -> int:
    groups, classes, width = len(config.groups), sum(map(len, config.groups)), config.channels
    towers = 2 * conv(width, groups * width, 3, cells)
    last = conv(groups * width, classes + groups * CODES, 1, cells)
    return conv(inputs, width, 3, cells) + towers + last


def map_macs(config: HeadConfig, inputs: int) -> int:
    width = config.channels
    layers = conv(inputs, width, 3, MAP_CELLS) + conv(width, width, 3, MAP_CELLS)
    return layers + conv(width, MAP_CLASSES, 1, MAP_CELLS)
