"""What docs/rudp.md shows of the cells of bench_rudp.py: a picture and a table."""
import math
import statistics

# contender: (name, colour by day, by night, shape)
SHOWN = {
    "kcp": ("KCP", "#6e6e6e", "#b0b0b0", "circle"),
    "kcp_go": ("kcp-go", "#1f6f78", "#5fc9d4", "circle"),
    "enet": ("ENet", "#a3762b", "#d9a95b", "square"),
    "tcp": ("TCP", "#8c2d4f", "#ff9ab8", "circle"),
    "replay": ("KCP with replay", "#8a4fb0", "#c792ea", "square"),
    "rudp_economy": ("RUDP economy", "#3a7d44", "#7cc587", "diamond"),
    "rudp_balanced": ("RUDP balanced", "#0b62c4", "#69b1ff", "diamond"),
    "rudp_urgent": ("RUDP urgent", "#c4320b", "#ff8a65", "diamond"),
}
PANELS = {
    "loss1": "1 % loss", "loss5": "5 % loss", "loss10": "10 % loss",
    "burst5": "5 % loss in bursts of 3, 5 ms jitter", "rtt120_loss5": "RTT 120 ms, 5 % loss, 5 ms jitter",
    "rate64k": "64 kbit/s, no loss",
}
QUANTILES = ("p50", "p99", "p999")
WIDTH, HEIGHT, ACROSS = 300, 210, 3
LEFT, TOP, GAP_X, GAP_Y = 52, 92, 44, 74
BYTES, MS = (1, 7), (25, 1600)
FAR = 6.6  # Where what costs more than BYTES stands, with its figure beside it.


def median(results, cell, contender, figure):
    """Of KCP the better of its behaviours."""
    names = ("kcp", "kcp_first") if contender == "kcp" else (contender,)
    return min(statistics.median(one[figure] for one in results[cell, name]) for name in names)


def mark(shape, x, y, size, css):
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" class="{css}"/>'
    if shape == "square":
        return f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size}" height="{2 * size}" class="{css}"/>'
    size *= 1.3
    return f'<path d="M{x:.1f} {y - size:.1f}l{size:.1f} {size:.1f} {-size:.1f} {size:.1f} {-size:.1f} {-size:.1f}z" class="{css}"/>'


def panel(results, cell, title, left, top):
    def x_of(bytes_):
        return left + (bytes_ - BYTES[0]) / (BYTES[1] - BYTES[0]) * WIDTH

    def y_of(ms):
        share = math.log(max(ms, MS[0]) / MS[0]) / math.log(MS[1] / MS[0])
        return top + HEIGHT - min(share, 1) * HEIGHT
    out = [f'<text x="{left}" y="{top - 10}" class="title">{title}</text>']
    for ms in (30, 60, 120, 250, 500, 1000):
        out.append(f'<path d="M{left} {y_of(ms):.1f}h{WIDTH}" class="grid"/>'
                   f'<text x="{left - 6}" y="{y_of(ms) + 4:.1f}" class="tick" text-anchor="end">{ms}</text>')
    for times in range(BYTES[0], BYTES[1]):
        out.append(f'<path d="M{x_of(times):.1f} {top + HEIGHT}v4" class="axis"/>'
                   f'<text x="{x_of(times):.1f}" y="{top + HEIGHT + 18}" class="tick" text-anchor="middle">{times}</text>')
    out.append(f'<path d="M{left} {top + HEIGHT}h{WIDTH}" class="axis"/>')
    for index, (contender, (_, _, _, shape)) in enumerate(SHOWN.items()):
        if (cell, contender) not in results:
            continue
        bytes_ = median(results, cell, contender, "bytes")
        low, middle, high = (median(results, cell, contender, figure) for figure in QUANTILES)
        x = x_of(FAR if bytes_ > FAR else bytes_)
        out.append(f'<path d="M{x:.1f} {y_of(low):.1f}V{y_of(high):.1f}" class="c{index} stem"/>')
        out.append(f'<path d="M{x - 4:.1f} {y_of(low):.1f}h8" class="c{index} stem"/>')
        out.append(f'<circle cx="{x:.1f}" cy="{y_of(high):.1f}" r="3" class="c{index} ring"/>')
        out.append(mark(shape, x, y_of(middle), 5, f"c{index}"))
        if bytes_ > FAR:
            out.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 18}" class="tick" text-anchor="middle">{bytes_:.0f} ▸</text>')
    return out


def picture(results):
    rows = -(-len(PANELS) // ACROSS)
    width = LEFT + ACROSS * (WIDTH + GAP_X)
    height = TOP + rows * (HEIGHT + GAP_Y)
    day = " ".join(f".c{i} {{ fill: {one[1]}; stroke: {one[1]}; }}" for i, one in enumerate(SHOWN.values()))
    night = " ".join(f".c{i} {{ fill: {one[2]}; stroke: {one[2]}; }}" for i, one in enumerate(SHOWN.values()))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
           '<title>Latency against bytes of RUDP, KCP and ENet over lossy links</title>',
           "<style>text { font: 13px sans-serif; fill: #24292f; } .title { font-weight: 600; } .tick { font-size: 11px; fill: #57606a; }"
           " .grid { stroke: #d0d7de; stroke-width: 0.7; fill: none; } .axis { stroke: #57606a; fill: none; } .paper { fill: #ffffff; }"
           f" {day} .stem {{ fill: none; stroke-width: 1.6; }} .ring {{ fill: #ffffff; stroke-width: 1.6; }}"
           " @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .tick { fill: #9da7b1; } .grid { stroke: #30363d; }"
           f" .axis {{ stroke: #9da7b1; }} .paper {{ fill: #0d1117; }} {night} .stem {{ fill: none; }} .ring {{ fill: #0d1117; }} }}</style>",
           f'<rect width="{width}" height="{height}" class="paper"/>',
           f'<text x="{LEFT}" y="24">One-way latency in ms (up) against bytes on the wire for each byte of payload (right): 64 B, 30 a second, '
           'both ways, RTT 60 ms.</text>']
    x = LEFT - 14
    for index, (contender, (name, _, _, shape)) in enumerate(SHOWN.items()):
        if any((cell, contender) in results for cell in PANELS):
            out += [mark(shape, x + 6, 46, 5, f"c{index}"), f'<text x="{x + 17}" y="51">{name}</text>']
            x += 34 + 7.4 * len(name)
    out += [f'<path d="M{x + 6} 52v-12M{x + 2} 52h8" class="axis"/><circle cx="{x + 6}" cy="40" r="3" class="axis"/>',
            f'<text x="{x + 17}" y="51">bar p50, mark p99, ring p99.9</text>']
    for index, (cell, title) in enumerate(PANELS.items()):
        out += panel(results, cell, title, LEFT + index % ACROSS * (WIDTH + GAP_X), TOP + index // ACROSS * (HEIGHT + GAP_Y))
    return "\n".join([*out, "</svg>", ""])


def table(results, cells):
    """p99 / p99.9 in ms and, behind, bytes on the wire for each of payload."""
    shown = {contender: one[0] for contender, one in SHOWN.items() if any((cell, contender) in results for cell in cells)}
    out = ["| link | " + " | ".join(shown.values()) + " |", "|---|" + "---|" * len(shown)]
    for cell, (traffic, *links) in cells.items():
        texts = []
        for contender in shown:
            names = ("kcp", "kcp_first") if contender == "kcp" else (contender,)
            if not any((cell, name) in results for name in names):
                texts.append("")
                continue
            if cell == "overload":
                texts.append(f"{max(statistics.median(one['goodput'] for one in results[cell, name]) for name in names):.2f} of the rate")
                continue
            if not any(all(one["delivered"] == one["sent"] and not one["failure"] for one in results[cell, name]) for name in names):
                texts.append("fails")
                continue
            p99, p999, bytes_ = (median(results, cell, contender, figure) for figure in ("p99", "p999", "bytes"))
            texts.append(f"{p99:.0f} / {p999:.0f} · {bytes_:.2f}")
        out.append(f"| {traffic} `{'` and `'.join(links)}` | " + " | ".join(texts) + " |")
    return "\n".join(out) + "\n"


def write(root, results, cells):
    (root / "docs" / "rudp_latency.svg").write_text(picture(results))
    page = root / "docs" / "rudp.md"
    begin, end = "<!-- cells -->\n", "<!-- end of cells -->\n"
    text = page.read_text()
    head, rest = text.split(begin, 1)
    page.write_text(head + begin + table(results, cells) + end + rest.split(end, 1)[1])
