"""Small multiples as SVG: a panel for each trace, what is in use and what each policy keeps resident."""

STYLE = """<style>
svg{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:11px}.title{font-size:17px;font-weight:600}
.name{font-size:13px;font-weight:600}.ground{fill:#ffffff}text{fill:#1d232b}text.soft{fill:#5c6773}
.grid{stroke:#e3e7eb}polyline{fill:none;stroke-width:1.4;stroke-linejoin:round}.use{fill:#e7ebef;stroke:none}
.p0{stroke:#c62828;stroke-width:1.9}.p1{stroke:#9aa6b2}.p2{stroke:#d9a441}.p3{stroke:#8c6bb1}
.p4{stroke:#4aa98f}.p5{stroke:#1f6fb2}
</style>"""
COLUMNS, WIDTH, HEIGHT = 3, 400, 190
LEFT, RIGHT, TOP, BOTTOM, HEAD = 44, 12, 26, 28, 74
POINTS = WIDTH - LEFT - RIGHT
STEPS = [1, 2, 5, 10]


def read(path):
    """(second, MiB in use, MiB resident) of each line."""
    with open(path) as lines:
        return [tuple(map(float, line.split())) for line in lines]


def means(samples, column, seconds):
    """One value a point of the panel's width, (point, mean over it), where there are samples."""
    sums = {}
    for sample in samples:
        point = min(int(sample[0] / seconds * POINTS), POINTS - 1)
        total, count = sums.get(point, (0, 0))
        sums[point] = total + sample[column], count + 1
    return [(point, total / count) for point, (total, count) in sorted(sums.items())]


def tick(most):
    """A round number of which two to five fit."""
    power = 10.0 ** (len(str(int(most))) - 1) / 10
    return next((power * step for step in STEPS if power * step * 5 >= most), power * 20)


def duration(seconds):
    for unit, name in (3600, "h"), (60, "min"):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def grid(most):
    parts, step = [], tick(most)
    for k in range(int(most / step) + 1):
        y = HEIGHT - BOTTOM - k * step / most * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text class="soft" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{k * step:g}</text>')
    return parts


def points(series, most):
    scale = (HEIGHT - TOP - BOTTOM) / most
    return " ".join(f"{LEFT + point},{HEIGHT - BOTTOM - value * scale:.1f}" for point, value in series)


def panel(name, policies, samples):
    seconds = max((rows[-1][0] for rows in samples.values() if rows), default=1) or 1
    used = means(next((rows for rows in samples.values() if rows), []), 1, seconds)
    kept = {policy: means(rows, 2, seconds) for policy, rows in samples.items()}
    most = max((value for series in [used, *kept.values()] for _, value in series), default=1) * 1.05 or 1
    parts = [f'<text class="name" x="{LEFT}" y="16">{name}</text>',
             f'<text class="soft" x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">{duration(seconds)}</text>',
             f'<text class="soft" x="{LEFT}" y="{HEIGHT - 10}">0</text>', *grid(most)]
    if used:
        ground = HEIGHT - BOTTOM
        parts.append(f'<polygon class="use" points="{LEFT + used[0][0]},{ground} {points(used, most)} '
                     f'{LEFT + used[-1][0]},{ground}"/>')
    # The first policy is on top of the others.
    for k, policy in reversed(list(enumerate(policies))):
        if kept.get(policy):
            parts.append(f'<polyline class="p{k}" points="{points(kept[policy], most)}"/>')
    return parts


def draw(title, policies, traces):
    """traces: (name, {policy: samples})."""
    columns = min(COLUMNS, max(len(traces), 1))
    width, height = WIDTH * columns, HEAD + HEIGHT * -(-len(traces) // columns)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">', STYLE,
             f'<rect class="ground" width="{width}" height="{height}"/>',
             f'<text class="title" x="16" y="28">{title}, MiB</text>',
             '<rect class="use" x="16" y="46" width="18" height="12"/><text x="40" y="56">in use</text>']
    for k, policy in enumerate(policies):
        x = 100 + 90 * k
        parts.append(f'<line class="p{k}" x1="{x}" x2="{x + 18}" y1="52" y2="52" stroke-width="2"/>'
                     f'<text x="{x + 24}" y="56">{policy}</text>')
    for k, (name, samples) in enumerate(traces):
        parts.append(f'<g transform="translate({WIDTH * (k % columns)} {HEAD + HEIGHT * (k // columns)})">')
        parts += panel(name, policies, samples) + ["</g>"]
    parts.append("</svg>\n")
    return "\n".join(parts)
