// Geometry of a marked region: a circle in pixels of the image, whose centres lie at whole numbers from 0.

/** Radius of a region that starts from the keyboard or from a click, as a share of the shorter side. */
const FIRST_RADIUS = 1 / 8;
/** A step of an arrow key, as a share of the longer side. */
const STEP = 1 / 100;

/** Return the region with whole numbers, its centre inside the image and its radius from 1 to the longer side. */
export function fitted({ x, y, radius }, { width, height }) {
  const between = (value, low, high) => Math.min(Math.max(Math.round(value), low), high);
  return {
    x: between(x, 0, width - 1),
    y: between(y, 0, height - 1),
    radius: between(radius, 1, Math.max(width, height)),
  };
}

/** Return a region in the middle of the image. */
export function first(size) {
  return around(size, { x: (size.width - 1) / 2, y: (size.height - 1) / 2 });
}

/** Return a region of the first radius with this centre. */
export function around(size, { x, y }) {
  return fitted({ x, y, radius: Math.min(size.width, size.height) * FIRST_RADIUS }, size);
}

/** Return the region after a key, or null if the key does nothing. With `fine`, steps are single pixels. */
export function afterKey(region, size, key, fine) {
  const step = fine ? 1 : Math.max(1, Math.round(Math.max(size.width, size.height) * STEP));
  const moves = {
    ArrowLeft: { x: region.x - step },
    ArrowRight: { x: region.x + step },
    ArrowUp: { y: region.y - step },
    ArrowDown: { y: region.y + step },
    "+": { radius: region.radius + 1 },
    "=": { radius: region.radius + 1 },
    "-": { radius: region.radius - 1 },
    PageUp: { radius: region.radius + step },
    PageDown: { radius: region.radius - step },
  };
  return key in moves ? fitted({ ...region, ...moves[key] }, size) : null;
}

/** Return the square that the network sees: left, top and side in pixels (edge_runtime.images.region.RegionCrop). */
export function square(region, crop) {
  const half = Math.max(crop.margin * region.radius, crop.least_half_px);
  return { left: toEven(region.x - half), top: toEven(region.y - half), side: toEven(2 * half) };
}

/** Return whether two regions are equal; null equals null. */
export function same(one, other) {
  return one?.x === other?.x && one?.y === other?.y && one?.radius === other?.radius;
}

function toEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : rounded;
}
