"""Anti-aliased shapes from signed distance functions, with a bevel, a rim and a soft shadow, drawn in numpy.

A figure is a list of parts; a part is a distance function of unit coordinates (the figure fills about [-1, 1]²) and a
colour, None for the object's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Distance = Callable[[Array, Array], Array]
Part = tuple[Distance, tuple[int, int, int] | None]


# === Distances: negative inside, in units of the figure's radius ===
def disc(x: float = 0.0, y: float = 0.0, radius: float = 1.0) -> Distance:
    """Distance to a disc."""
    return lambda u, v: np.hypot(u - x, v - y) - radius


def block(x: float, y: float, half_width: float, half_height: float, corner: float = 0.08) -> Distance:
    """Distance to a rectangle with round corners."""

    def distance(u: Array, v: Array) -> Array:
        across, down = np.abs(u - x) - half_width + corner, np.abs(v - y) - half_height + corner
        outside = np.hypot(np.maximum(across, 0.0), np.maximum(down, 0.0))
        return outside + np.minimum(np.maximum(across, down), 0.0) - corner

    return distance


def polygon(points: Sequence[tuple[float, float]]) -> Distance:
    """Distance to a simple polygon (Quilez, "2D distance functions")."""
    corners = np.asarray(points, np.float32)

    def distance(u: Array, v: Array) -> Array:
        nearest = np.full(u.shape, 1e9, np.float32)
        inside = np.zeros(u.shape, bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            ex, ey, wx, wy = bx - ax, by - ay, u - ax, v - ay
            along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0.0, 1.0)
            dx, dy = wx - ex * along, wy - ey * along
            nearest = np.minimum(nearest, dx * dx + dy * dy)
            if ay != by:
                inside ^= ((ay > v) != (by > v)) & (wx < ex * wy / ey)
        return np.where(inside, -1.0, 1.0) * np.sqrt(nearest)

    return distance


def either(*parts: Distance) -> Distance:
    """Union."""
    return lambda u, v: np.minimum.reduce([part(u, v) for part in parts])


def without(part: Distance, hole: Distance) -> Distance:
    """Difference."""
    return lambda u, v: np.maximum(part(u, v), -hole(u, v))


def _star_points() -> list[tuple[float, float]]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.05, 0.47)
    return [(float(r * np.cos(a)), float(r * np.sin(a))) for a, r in zip(angles, radii, strict=True)]


def _heart(u: Array, v: Array) -> Array:
    lobes = either(disc(-0.42, -0.3, 0.5), disc(0.42, -0.3, 0.5))
    tip = polygon([(-0.84, -0.05), (0.0, -0.42), (0.84, -0.05), (0.0, 0.95)])
    return np.minimum(lobes(u, v), tip(u, v))


_LIGHT, _DARK = (255, 252, 240), (40, 40, 48)
FIGURES: dict[str, list[Part]] = {
    "ball": [(disc(radius=0.95), None), (block(0.0, 0.0, 0.93, 0.16), _LIGHT)],
    "box": [(block(0.0, 0.0, 0.82, 0.82), None), (block(0.0, 0.0, 0.82, 0.12, 0.02), _LIGHT)],
    "star": [(polygon(_star_points()), None)],
    "ring": [(without(disc(radius=1.0), disc(radius=0.5)), None), (disc(0.75, 0.0, 0.17), _LIGHT)],
    "heart": [(_heart, None)],
    "moon": [(without(disc(radius=0.98), disc(0.5, -0.16, 0.76)), None)],
    "triangle": [(polygon([(0.0, -0.98), (0.98, 0.76), (-0.98, 0.76)]), None)],
    "car": [
        (either(block(0.0, 0.16, 1.05, 0.34, 0.12), block(-0.05, -0.28, 0.58, 0.36, 0.14)), None),
        (either(block(-0.3, -0.26, 0.2, 0.2, 0.05), block(0.22, -0.26, 0.2, 0.2, 0.05)), (205, 232, 248)),
        (either(disc(-0.55, 0.52, 0.27), disc(0.55, 0.52, 0.27)), _DARK),
    ],
    # === Things, in colours of their own ===
    "tree": [
        (block(0.0, 0.72, 0.13, 0.34), (112, 72, 40)),
        (either(disc(0.0, -0.45, 0.52), disc(-0.42, 0.05, 0.46), disc(0.42, 0.05, 0.46)), (30, 118, 52)),
    ],
    "house": [
        (block(0.0, 0.35, 0.74, 0.62, 0.03), (238, 214, 170)),
        (polygon([(0.0, -1.0), (0.98, -0.2), (-0.98, -0.2)]), (168, 60, 44)),
        (block(0.05, 0.6, 0.17, 0.36, 0.03), (96, 62, 40)),
        (block(-0.42, 0.2, 0.16, 0.16, 0.02), (120, 190, 232)),
    ],
    "rock": [
        (polygon([(-0.98, 0.8), (-0.8, 0.05), (-0.2, -0.45), (0.5, -0.3), (0.9, 0.25), (1.0, 0.8)]), (126, 124, 122)),
        (polygon([(-0.55, 0.3), (-0.15, -0.2), (0.25, 0.05), (-0.1, 0.4)]), (156, 154, 150)),
    ],
    "mushroom": [
        (block(0.0, 0.5, 0.26, 0.5, 0.16), (240, 228, 204)),
        (without(disc(0.0, 0.05, 0.95), block(0.0, 0.75, 1.2, 0.6, 0.0)), (196, 40, 44)),
        (either(disc(-0.42, -0.25, 0.15), disc(0.1, -0.52, 0.17), disc(0.5, -0.12, 0.13)), _LIGHT),
    ],
    "lamp": [
        (either(block(0.0, 0.3, 0.08, 0.7), block(0.0, 0.94, 0.32, 0.08)), (58, 60, 70)),
        (disc(0.0, -0.6, 0.38), (255, 232, 130)),
    ],
}


def draw_figure(
    canvas: Array,
    name: str,
    colour: tuple[int, int, int] | None,
    place: tuple[float, float],
    radius: float,
    angle: float = 0.0,
    opacity: float = 1.0,
) -> tuple[float, float, float, float] | None:
    """Draws one figure on `canvas`.

    Args:
        canvas: float32 (H, W, 3), 0..255; changed in place.
        name: a key of `FIGURES`.
        colour: RGB of the parts without a colour of their own.
        place: centre x, y in pixels.
        radius: pixels.
        angle: radians, clockwise.
        opacity: 0..1.

    Returns:
        The box x0, y0, x1, y1 of its visible pixels; None when it cannot be seen.
    """
    height, width = canvas.shape[:2]
    reach = radius * 1.25 + 1.5
    left, right = max(0, int(place[0] - reach)), min(width, int(place[0] + reach) + 2)
    top, bottom = max(0, int(place[1] - reach)), min(height, int(place[1] + reach) + 2)
    if left >= right or top >= bottom or opacity <= 0.02 or radius < 0.5:
        return None
    dx = ((np.arange(left, right, dtype=np.float32) - place[0]) / radius)[None, :]
    dy = ((np.arange(top, bottom, dtype=np.float32) - place[1]) / radius)[:, None]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = dx * cosine + dy * sine, dy * cosine - dx * sine
    light = np.clip(1.0 - 0.2 * (dx + dy), 0.72, 1.3)[..., None]  # from the upper left, whatever the angle
    patch = canvas[top:bottom, left:right]
    silhouette = np.zeros(u.shape, np.float32)
    for distance, own in FIGURES[name]:
        depth = distance(u, v) * np.float32(radius)  # pixels
        cover = np.clip(0.5 - depth, 0.0, 1.0)
        rim = 0.58 + 0.42 * np.clip(-depth / 1.6, 0.0, 1.0)
        paint = np.minimum(np.asarray(own or colour, np.float32) * light * rim[..., None], 255.0)
        patch += (cover * np.float32(opacity))[..., None] * (paint - patch)
        silhouette = np.maximum(silhouette, cover)
    rows, columns = np.flatnonzero((silhouette > 0.5).any(1)), np.flatnonzero((silhouette > 0.5).any(0))
    if not rows.size or opacity < 0.3:
        return None
    return float(left + columns[0]), float(top + rows[0]), float(left + columns[-1] + 1), float(top + rows[-1] + 1)


def draw_shadow(canvas: Array, x: float, ground: float, radius: float, strength: float) -> None:
    """Darkens a soft ellipse on the ground below a figure.

    Args:
        canvas: float32 (H, W, 3), changed in place.
        x: centre in pixels.
        ground: y of the ground in pixels.
        radius: of the figure, pixels.
        strength: 0..1.
    """
    height, width = canvas.shape[:2]
    left, right = max(0, int(x - 1.4 * radius)), min(width, int(x + 1.4 * radius) + 1)
    top, bottom = max(0, int(ground - 0.5 * radius)), min(height, int(ground + 0.5 * radius) + 1)
    if left >= right or top >= bottom or strength <= 0.0 or radius < 0.5:
        return
    dx = (np.arange(left, right, dtype=np.float32) - x) / (1.2 * radius)
    dy = (np.arange(top, bottom, dtype=np.float32) - ground) / (0.38 * radius)
    soft = np.clip(1.0 - (dx[None, :] ** 2 + dy[:, None] ** 2), 0.0, 1.0)
    canvas[top:bottom, left:right] *= (1.0 - np.float32(strength) * soft)[..., None]
