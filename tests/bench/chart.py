"""A bar chart of ratios as SVG, in the demo picture's style."""

STYLE = """<style>
svg{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px}.title{font-size:17px;font-weight:600}
.ground{fill:#ffffff}text{fill:#1d232b}text.soft{fill:#5c6773}.grid{stroke:#e3e7eb}.one{stroke:#c62828}
.a0{fill:#9aa6b2}.a1{fill:#d9a441}.a2{fill:#8c6bb1}.a3{fill:#4aa98f}.a4{fill:#1f6fb2}
@media (prefers-color-scheme:dark){.ground{fill:#14181d}text{fill:#e6eaee}text.soft{fill:#9aa6b2}
.grid{stroke:#2b323a}.one{stroke:#ff6b6b}}
</style>"""
LEFT, TOP, BAR, GAP, WIDTH, MOST = 110, 84, 9, 14, 900, 3.0


def draw(title, names, rows):
    """rows: (label, {name: ratio or None}); a ratio of 1 is the red line, bars end at MOST."""
    group = BAR * len(names) + GAP
    height = TOP + group * len(rows) + 30
    scale = (WIDTH - LEFT - 60) / MOST
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">', STYLE,
             f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
             f'<text class="title" x="16" y="28">{title}</text>']
    for i, name in enumerate(names):
        x = 16 + 120 * i
        parts.append(f'<rect class="a{i}" x="{x}" y="44" width="12" height="12"/>'
                     f'<text x="{x + 18}" y="54">{name}</text>')
    for tick in range(int(MOST * 2) + 1):
        x = LEFT + tick / 2 * scale
        parts.append(f'<line class="{"one" if tick == 2 else "grid"}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" '
                     f'y2="{height - 24}"/><text class="soft" x="{x:.1f}" y="{height - 8}" '
                     f'text-anchor="middle">{tick / 2:g}</text>')
    for k, (label, ratios) in enumerate(rows):
        top = TOP + k * group
        parts.append(f'<text x="{LEFT - 8}" y="{top + group / 2 - 2:.1f}" text-anchor="end">{label}</text>')
        for i, name in enumerate(names):
            ratio = ratios.get(name)
            if ratio is None:
                continue
            y = top + i * BAR
            length = min(ratio, MOST) * scale
            parts.append(f'<rect class="a{i}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 1}"/>')
            parts.append(f'<text class="soft" x="{LEFT + length + 4:.1f}" y="{y + BAR - 1}" font-size="9">'
                         f'{ratio:.2f}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)
