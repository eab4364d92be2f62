"""Labels that do not cover each other."""

import math


def literal(text):
    """Matplotlib would take a pair of dollar signs for a formula."""
    return text.replace("$", r"\$")


def place(axes, points, texts, colors, size=8.0, obstacles=()):
    """Writes each text near its point (in data coordinates): the nearest free place, with a line to it where far.

    `obstacles`: further points that no label may cover.
    """
    figure = axes.figure
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    pixels = [tuple(axes.transData.transform(point)) for point in points]
    taken = [_around(x, y, 6) for x, y in pixels]
    taken += [_around(*axes.transData.transform(point), 4) for point in obstacles]
    scale = figure.dpi / 72
    # The points with the most neighbours choose first: they have the least room.
    order = sorted(range(len(points)), key=lambda i: -_crowding(pixels, i))
    for i in order:
        probe = axes.text(0, 0, literal(texts[i]), fontsize=size, transform=None)
        extent = probe.get_window_extent(renderer)
        probe.remove()
        box = _free_box(pixels[i], extent.width, extent.height, frame, taken, scale)
        taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        end = _nearest_on(box, pixels[i])
        if math.dist(end, pixels[i]) > 9 * scale:
            line = axes.transData.inverted().transform([pixels[i], end])
            axes.plot(line[:, 0], line[:, 1], color=colors[i], linewidth=0.6, alpha=0.7, zorder=1.5)
        axes.text(*axes.transData.inverted().transform(middle), literal(texts[i]), fontsize=size, color=colors[i],
                  ha="center", va="center", zorder=4)


def spread(positions, gap, low, high):
    """Moves positions apart to at least `gap`, in order and as little as possible (least squares), within [low, high]."""
    count = len(positions)
    if count < 2:
        return list(positions)
    gap = min(gap, (high - low) / (count - 1))
    order = sorted(range(count), key=lambda i: positions[i])
    # Without the gaps, "at least `gap` apart" reads "not falling": pool adjacent violators.
    pools = []  # mean, count
    for place, i in enumerate(order):
        pools.append((positions[i] - place * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools.pop(-2), pools.pop(-1)
            pools.append(((a * m + b * n) / (m + n), m + n))
    means = [mean for mean, size in pools for _ in range(size)]
    result = [0.0] * count
    for place, i in enumerate(order):
        result[i] = min(max(means[place], low), high - (count - 1) * gap) + place * gap
    return result


def _around(x, y, radius):
    return (x - radius, y - radius, x + radius, y + radius)


def _crowding(pixels, i):
    return sum(1 / (20 + math.dist(pixels[i], other)) for other in pixels)


def _nearest_on(box, point):
    return (min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3]))


def _overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _free_box(point, width, height, frame, taken, scale):
    best = None
    for radius in range(7, 150, 6):
        for turn in range(24):
            angle = 2 * math.pi * turn / 24
            x = point[0] + math.cos(angle) * (radius * scale + width / 2)
            y = point[1] + math.sin(angle) * (radius * scale + height / 2)
            box = (x - width / 2 - 2, y - height / 2 - 1, x + width / 2 + 2, y + height / 2 + 1)
            if box[0] < frame.x0 + 3 or box[2] > frame.x1 - 3 or box[1] < frame.y0 + 3 or box[3] > frame.y1 - 3:
                continue
            covered = sum(_overlap(box, other) for other in taken)
            cost = covered * 20 + math.dist(_nearest_on(box, point), point)
            if best is None or cost < best[0]:
                best = (cost, box)
        if best is not None and best[0] < radius * scale * 1.5:
            return best[1]
    if best is None:
        return _around(*point, 1)
    return best[1]
