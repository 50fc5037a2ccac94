"""A bar chart as SVG, in the demo picture's style."""

STYLE = """<style>
svg{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px}.title{font-size:17px;font-weight:600}
.ground{fill:#ffffff}text{fill:#1d232b}text.soft{fill:#5c6773}.grid{stroke:#e3e7eb}.one{stroke:#c62828}
.a0{fill:#9aa6b2}.a1{fill:#d9a441}.a2{fill:#8c6bb1}.a3{fill:#4aa98f}.a4{fill:#1f6fb2}.a5{fill:#c2577f}
@media (prefers-color-scheme:dark){.ground{fill:#14181d}text{fill:#e6eaee}text.soft{fill:#9aa6b2}
.grid{stroke:#2b323a}.one{stroke:#ff6b6b}}
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
