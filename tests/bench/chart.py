"""Charts as SVG, in the demo picture's style."""

STYLE = """<style>
svg{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px}.title{font-size:17px;font-weight:600}
.ground{fill:#ffffff}text{fill:#1d232b}text.soft{fill:#5c6773}.grid{stroke:#e3e7eb}.one{stroke:#c62828}
.a0{fill:#9aa6b2}.a1{fill:#d9a441}.a2{fill:#8c6bb1}.a3{fill:#4aa98f}.a4{fill:#1f6fb2}.a5{fill:#c2577f}
.area{fill:#c9d1d9}.over{fill:none;stroke:#1f6fb2;stroke-width:1.3;stroke-linejoin:round}
@media (prefers-color-scheme:dark){.ground{fill:#14181d}text{fill:#e6eaee}text.soft{fill:#9aa6b2}
.grid{stroke:#2b323a}.one{stroke:#ff6b6b}.area{fill:#3d4752}.over{stroke:#5aa9e6}}
</style>"""
LEFT, TOP, BAR, GAP, WIDTH = 110, 84, 9, 14, 900


def draw(title, names, rows, most=3.0, tick=0.5, line=1.0, digits=2):
    """rows: (label, {name: value or None}); bars end at most, a red line is drawn at line."""
    group = BAR * len(names) + GAP
    height = TOP + group * len(rows) + 30
    scale = (WIDTH - LEFT - 60) / most
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">', STYLE,
             f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
             f'<text class="title" x="16" y="28">{title}</text>']
    for i, name in enumerate(names):
        x = 16 + 120 * i
        parts.append(f'<rect class="a{i}" x="{x}" y="44" width="12" height="12"/>'
                     f'<text x="{x + 18}" y="54">{name}</text>')
    for value in (tick * k for k in range(int(most / tick) + 1)):
        x = LEFT + value * scale
        parts.append(f'<line class="{"one" if value == line else "grid"}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" '
                     f'y2="{height - 24}"/><text class="soft" x="{x:.1f}" y="{height - 8}" '
                     f'text-anchor="middle">{value:g}</text>')
    for k, (label, values) in enumerate(rows):
        top = TOP + k * group
        parts.append(f'<text x="{LEFT - 8}" y="{top + group / 2 - 2:.1f}" text-anchor="end">{label}</text>')
        for i, name in enumerate(names):
            value = values.get(name)
            if value is None:
                continue
            y = top + i * BAR
            length = min(value, most) * scale
            parts.append(f'<rect class="a{i}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 1}"/>')
            parts.append(f'<text class="soft" x="{LEFT + length + 4:.1f}" y="{y + BAR - 1}" font-size="9">'
                         f'{value:.{digits}f}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


ACROSS, PANEL_WIDTH, PANEL_HEIGHT, APART_X, APART_Y, MARGIN = 3, 270, 110, 24, 44, 44


def thinned(points, scale):
    """The highest of each half pixel."""
    columns = {}
    for x, y in points:
        column = int(x * scale * 2)
        columns[column] = max(y, columns.get(column, y))
    return [(column / 2, y) for column, y in columns.items()]


def panels(title, area, over, rows, tick_x=10, tick_y=100):
    """Small multiples of one scale; rows: (name, remark, points of an area, points of a line over it)."""
    points = [point for row in rows for points in row[2:] for point in points] or [(1, 1)]
    most_x = max(x for x, _ in points)
    most_y = tick_y * -(-max(y for _, y in points) // tick_y)
    scale_x, scale_y = PANEL_WIDTH / most_x, PANEL_HEIGHT / most_y
    height = TOP + 20 + (PANEL_HEIGHT + APART_Y) * -(-len(rows) // ACROSS)
    width = MARGIN + (PANEL_WIDTH + APART_X) * ACROSS
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">', STYLE,
             f'<rect class="ground" width="{width}" height="{height}"/><text class="title" x="16" y="28">{title}</text>',
             f'<rect class="area" x="16" y="44" width="12" height="12"/><text x="34" y="54">{area}</text>',
             f'<path class="over" d="M216 50h14"/><text x="236" y="54">{over}</text>']
    for k, (name, remark, below, above) in enumerate(rows):
        x, y = MARGIN + k % ACROSS * (PANEL_WIDTH + APART_X), TOP + 16 + k // ACROSS * (PANEL_HEIGHT + APART_Y)
        bottom = y + PANEL_HEIGHT
        parts.append(f'<text x="{x}" y="{y - 6}" font-weight="600">{name}</text>'
                     f'<text class="soft" x="{x + PANEL_WIDTH}" y="{y - 6}" text-anchor="end">{remark}</text>')
        line = [f"{x + at:.1f} {bottom - value * scale_y:.1f}" for at, value in thinned(below, scale_x)]
        parts.append(f'<path class="area" d="M{x} {bottom}L{"L".join(line)}V{bottom}Z"/>')
        for value in range(0, int(most_y) + 1, tick_y):
            at = bottom - value * scale_y
            parts.append(f'<path class="grid" d="M{x} {at:.1f}h{PANEL_WIDTH}"/>')
            if k % ACROSS == 0:
                parts.append(f'<text class="soft" x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">{value}</text>')
        for value in range(0, int(most_x) + 1, tick_x):
            parts.append(f'<text class="soft" x="{x + value * scale_x:.1f}" y="{bottom + 14}" font-size="10" '
                         f'text-anchor="middle">{value}{" s" if value == 0 else ""}</text>')
        line = [f"{x + at:.1f} {bottom - value * scale_y:.1f}" for at, value in thinned(above, scale_x)]
        parts.append(f'<path class="over" d="M{"L".join(line)}"/>')
    parts.append("</svg>\n")
    return "\n".join(parts)
