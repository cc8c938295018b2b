"""A pinhole camera: ground from its raster, cuboids by ray casting with exact occlusion, sun, shadows, haze, noise."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vexkd.data.synth.ground import Ground
from vexkd.data.synth.paint import paint
from vexkd.data.synth.rays import cast
from vexkd.data.synth.scene import Scene

Floats = NDArray[np.floating]

FAR = 110.0
"""Objects beyond this are not drawn, metres."""
HAZE = 160.0
"""Distance at which haze hides 63 % of a surface's colour, metres."""
_NEAR = 0.1
_HORIZON = np.array([196, 206, 214], np.float32)
_ZENITH = np.array([104, 148, 200], np.float32)
_SHADOW = 0.5
_SHADOW_FAR = 60.0


@dataclass(frozen=True)
class Picture:
    """What a camera saw.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        actor: (h, w) int32 index of the actor seen at each pixel, -1 for ground and sky.
        visible: (A,) pixels that show each actor.
        alone: (A,) pixels that would show it if nothing stood before it.
    """

    image: NDArray[np.uint8]
    actor: NDArray[np.int32]
    visible: NDArray[np.int64]
    alone: NDArray[np.int64]


def photograph(
    rng: np.random.Generator,
    scene: Scene,
    ground: Ground,
    t: float,
    camera_to_global: Floats,
    intrinsics: Floats,
    size: tuple[int, int],
) -> Picture:
    """A picture at t seconds.

    Args:
        rng: source of the sensor's noise.
        scene: the world.
        ground: its ground.
        t: seconds since the scene began.
        camera_to_global: (4, 4), camera axes right, down, forward.
        intrinsics: (3, 3); pixel i's centre has coordinate i.
        size: (height, width).
    """
    rays = _rays(camera_to_global, intrinsics, size)
    origin = camera_to_global[:3, 3]
    poses, present = scene.fleet.poses(t)
    with np.errstate(divide="ignore"):
        limit = np.where(rays[2] < -1e-6, -np.float32(origin[2]) / rays[2], np.float32(np.inf))
    global_to_camera = np.linalg.inv(camera_to_global)
    windows = _windows(scene, poses, present, global_to_camera, intrinsics, size)
    hits = cast(origin, rays, limit.astype(np.float32), scene.cuboids, poses, windows)

    image = _sky(rays)
    length = np.sqrt((rays**2).sum(axis=0))
    rows, columns = np.nonzero((hits.part < 0) & np.isfinite(hits.t))
    image[rows, columns] = _ground_colour(
        ground, rays[:, rows, columns], origin, hits.t[rows, columns], float(intrinsics[0, 0])
    )
    shadow = _shadows(scene, poses, present, global_to_camera, intrinsics, size)
    shaded = shadow[rows, columns]
    image[rows, columns] *= (1.0 - (1.0 - _SHADOW) * shaded)[:, None]

    solid_rows, solid_columns = np.nonzero(hits.part >= 0)
    parts = hits.part[solid_rows, solid_columns]
    points = origin + (rays[:, solid_rows, solid_columns] * hits.t[solid_rows, solid_columns]).T
    image[solid_rows, solid_columns] = _surface_colour(scene, poses, parts, points)

    distance = np.where(np.isfinite(hits.t), hits.t, 0.0) * length
    haze = np.exp(-((distance / HAZE) ** 2))[..., None]
    seen = np.isfinite(hits.t)[..., None]
    image = np.where(seen, image * haze + _HORIZON * (1.0 - haze), image)
    actor = np.where(hits.part >= 0, scene.cuboids.actor[np.maximum(hits.part, 0)], -1).astype(np.int32)
    visible = np.bincount(actor[actor >= 0], minlength=len(scene.actors))
    return Picture(_develop(rng, image, scene.brightness), actor, visible, hits.alone)


def _rays(camera_to_global: Floats, intrinsics: Floats, size: tuple[int, int]) -> NDArray[np.float32]:
    """Ray directions (3, h, w) in global with unit depth, so that the ray parameter is the depth in metres."""
    inverse = camera_to_global[:3, :3] @ np.linalg.inv(intrinsics)
    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    return np.stack([row[0] * u + row[1] * v + row[2] for row in inverse]).astype(np.float32)


def _windows(
    scene: Scene,
    poses: Floats,
    present: NDArray[np.bool_],
    global_to_camera: Floats,
    intrinsics: Floats,
    size: tuple[int, int],
) -> list[tuple[int, slice, slice]]:
    """The rectangle of pixels around each actor in view, nearest actors first."""
    sizes = np.array([actor.size for actor in scene.actors])
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
    local = signs[None] * sizes[:, None]
    cos, sin = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
    corners = np.stack(
        [
            cos * local[..., 0] - sin * local[..., 1] + poses[:, :1],
            sin * local[..., 0] + cos * local[..., 1] + poses[:, 1:2],
            local[..., 2],
        ],
        axis=-1,
    )
    seen = corners @ global_to_camera[:3, :3].T + global_to_camera[:3, 3]
    depth = seen[..., 2]
    windows = []
    nearest = np.linalg.norm(seen.mean(axis=1), axis=-1)
    for actor in np.argsort(nearest, kind="stable"):
        if not present[actor] or nearest[actor] > FAR or depth[actor].max() < _NEAR:
            continue
        low, high = np.array([0, 0]), np.array([size[1], size[0]])
        if depth[actor].min() > _NEAR:
            pixels = seen[actor] @ intrinsics.T
            pixels = pixels[:, :2] / pixels[:, 2:]
            low = np.clip(np.floor(pixels.min(axis=0)).astype(int), low, high)
            high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, 0, high)
        else:
            # Part of it lies behind the camera, where projection is no bound: every pixel is tested, unless the whole
            # object lies beyond one side of the view.
            ahead = seen[actor]
            left = (size[1] - intrinsics[0, 2]) / intrinsics[0, 0]
            right = intrinsics[0, 2] / intrinsics[0, 0]
            if (ahead[:, 0] > left * ahead[:, 2]).all() or (ahead[:, 0] < -right * ahead[:, 2]).all():
                continue
        if (low < high).all():
            windows.append((int(actor), slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))))
    return windows


def _sky(rays: NDArray[np.float32]) -> NDArray[np.float32]:
    up = np.clip(rays[2] / np.sqrt((rays**2).sum(axis=0)) * 2.5, 0.0, 1.0)[..., None]
    return np.asarray(_HORIZON + (_ZENITH - _HORIZON) * up, np.float32)


def _ground_colour(
    ground: Ground, rays: NDArray[np.float32], origin: Floats, depth: NDArray[np.float32], focal: float
) -> Floats:
    x = origin[0] + rays[0].astype(np.float64) * depth
    y = origin[1] + rays[1].astype(np.float64) * depth
    # A pixel's footprint: across it is depth / focal, along the view it is stretched by the flat angle; blur half-way.
    across = depth / np.float32(focal)
    stretch = np.sqrt(np.sqrt((rays[:2] ** 2).sum(axis=0)) / np.maximum(-rays[2], 1e-3))
    local_x, local_y = (x - ground.corner[0]).astype(np.float32), (y - ground.corner[1]).astype(np.float32)
    return ground.colour_at(local_x, local_y, np.maximum(across * stretch, 1e-3).astype(np.float32))


def _surface_colour(scene: Scene, poses: Floats, parts: NDArray[np.int32], points: Floats) -> Floats:
    cuboids = scene.cuboids
    pose = poses[cuboids.actor[parts]]
    cos, sin = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    offset = points[:, :2] - pose[:, :2]
    local = np.stack(
        [cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0], points[:, 2]], 1
    )
    half = (cuboids.high[parts] - cuboids.low[parts]) / 2
    abc = (local - (cuboids.high[parts] + cuboids.low[parts]) / 2) / half
    axis = np.abs(abc).argmax(axis=1)
    sign = np.take_along_axis(abc, axis[:, None], axis=1)[:, 0]
    face = 2 * axis + (sign < 0)
    colour = paint(
        cuboids.style[parts], face, np.clip(abc, -1, 1).astype(np.float32), half.astype(np.float32),
        cuboids.colour[parts].astype(np.float32),
    )  # fmt: skip
    along = (scene.sun[0] * cos + scene.sun[1] * sin, scene.sun[1] * cos - scene.sun[0] * sin, scene.sun[2])
    towards = np.choose(axis, along) * np.where(sign < 0, -1.0, 1.0)
    light = 0.55 + 0.15 * (face == 4) + 0.45 * np.maximum(towards, 0.0)
    return np.asarray(colour * light[:, None].astype(np.float32))


def _shadows(
    scene: Scene,
    poses: Floats,
    present: NDArray[np.bool_],
    global_to_camera: Floats,
    intrinsics: Floats,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """How dark the ground is, (h, w) in 0..1: each object's outline, its roof's, and between them, cast by the sun."""
    mask = np.zeros(size, np.uint8)
    reach = -scene.sun[:2] / scene.sun[2]
    annotated = np.array([actor.name is not None for actor in scene.actors])
    depth = poses[:, :2] @ global_to_camera[2, :2] + global_to_camera[2, 3]
    for index in np.flatnonzero(annotated & present & (depth > -8.0) & (depth < _SHADOW_FAR)):
        length, width, height = scene.actors[index].size
        cos, sin = np.cos(poses[index, 2]), np.sin(poses[index, 2])
        forward, left = length / 2 * np.array([cos, sin]), width / 2 * np.array([-sin, cos])
        outline = np.stack([forward + left, left - forward, -forward - left, forward - left])
        ground = np.concatenate([outline, outline + reach * height * 0.9]).astype(np.float32)
        hull = cv2.convexHull(ground)[:, 0].astype(np.float64) + poses[index, :2]
        polygon = np.concatenate([hull, np.zeros((len(hull), 1))], axis=1)
        clipped = _clip(polygon @ global_to_camera[:3, :3].T + global_to_camera[:3, 3])
        if len(clipped) >= 3:
            pixels = clipped @ intrinsics.T
            pixels = np.clip(pixels[:, :2] / pixels[:, 2:], -20000, 20000)
            cv2.fillPoly(mask, [np.rint(pixels * 16).astype(np.int32)], (255,), cv2.LINE_AA, shift=4)
    return np.asarray(mask.astype(np.float32) / 255.0)


def _clip(polygon: Floats, near: float = 0.3) -> Floats:
    """The part of a planar polygon (k, 3) in front of z = near."""
    kept = []
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if start[2] >= near:
            kept.append(start)
        if (start[2] >= near) != (end[2] >= near):
            kept.append(start + (end - start) * (near - start[2]) / (end[2] - start[2]))
    return np.array(kept).reshape(-1, 3)


def _develop(rng: np.random.Generator, image: Floats, brightness: float) -> NDArray[np.uint8]:
    """Exposure, noise of 2.5 grey levels, rounding."""
    noise = rng.standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(np.rint(image * brightness + 2.5 * noise), 0, 255), np.uint8)
