"""The plots of docs/performance.md, drawn by hand as SVG: no library has to be there. Colours follow the reader's
light or dark scheme; series differ by marks too, for those who see no colours."""

import math
import re
from xml.sax.saxutils import escape

from .report import BASE, base_of, median_of, quantity

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 78, 24, 56, 96

# Of the page, its words, its lines; then of the series.
LIGHT = ("#ffffff", "#1f2328", "#59636e", "#d1d9e0",
         "#6e7781", "#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0e7490")  # fmt: skip
DARK = ("#0d1117", "#f0f6fc", "#9198a1", "#2b3138",
        "#9198a1", "#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#f778ba", "#d29922", "#39c5cf")  # fmt: skip


def colours(scheme):
    page, ink, soft, grid, *series = scheme
    rules = [
        f".page {{ fill: {page} }} .ink {{ fill: {ink} }} .soft {{ fill: {soft} }}",
        f".grid {{ stroke: {grid} }} .axis, .limit {{ stroke: {soft} }}",
    ]
    rules += [f".s{n} .line {{ stroke: {c} }} .s{n} .dot {{ fill: {c} }}" for n, c in enumerate(series)]
    return "\n".join(rules)


# No variables: not everything that draws SVG knows them.
STYLE = f"""
text {{ font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }}
.title {{ font-size: 15px; font-weight: 600 }}
.grid {{ stroke-width: 1 }} .axis {{ stroke-width: 1.2 }} .limit {{ stroke-width: 1.2; stroke-dasharray: 5 4 }}
.line {{ fill: none; stroke-width: 2; stroke-linejoin: round }}
{colours(LIGHT)}
@media (prefers-color-scheme: dark) {{
{colours(DARK)}
}}
"""


class Canvas:
    def __init__(self, title, width=WIDTH, height=HEIGHT):
        self.width, self.height = width, height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        ]
        self.text(20, 28, title, "ink title", "start")

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, words, kind="soft", anchor="middle", more=""):
        self.add(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.add(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def mark(self, x, y, number):
        shapes = (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="dot"/>',
            f'<rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2" class="dot"/>',
            f'<path d="M{x:.1f} {y - 5:.1f}l5 8.6h-10z" class="dot"/>',
            f'<path d="M{x:.1f} {y - 5.2:.1f}l5.2 5.2l-5.2 5.2l-5.2 -5.2z" class="dot"/>',
            f'<path d="M{x:.1f} {y + 5:.1f}l5 -8.6h-10z" class="dot"/>',
        )
        self.add(f'<g class="s{number % 8}">{shapes[number % len(shapes)]}</g>')

    def legend(self, names, y, marks=True):
        x = LEFT
        for number, name in enumerate(names):
            room = 26 + 7.2 * len(name)
            if x + room > self.width - RIGHT:
                x, y = LEFT, y + 18
            if marks:
                self.mark(x, y - 4, number)
            else:
                self.bar(x - 6, y - 10, 12, 12, number)
            self.text(x + 10, y, name, "ink", "start")
            x += room

    def bar(self, x, y, width, height, number):
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}"'
        self.add(f'<g class="s{number % 8}"><rect class="dot" {place} rx="2"/></g>')

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([*self.parts, "</svg>"]) + "\n")


class LogAxis:
    """Of what is spread over powers of a base; `low` and `high` are rounded to these."""

    def __init__(self, low, high, start, end, base):
        self.base = base
        self.low = math.floor(math.log(low, base) + 1e-9)
        self.high = max(self.low + 1, math.ceil(math.log(high, base) - 1e-9))
        self.start, self.end = start, end

    def at(self, value):
        part = (math.log(value, self.base) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        return [self.base**power for power in range(self.low, self.high + 1)]


def curves(path, title, series, x_title, y_title, x_ticks, y_name):
    """`series`: {name: {x: y}}; both axes are logarithmic. `x_ticks`: {x: name}."""
    canvas = Canvas(title)
    points = [(x, y) for line in series.values() for x, y in line.items()]
    across = LogAxis(min(x_ticks), max(x_ticks), LEFT, WIDTH - RIGHT, 2)
    up = LogAxis(min(y for _, y in points), max(y for _, y in points), HEIGHT - BOTTOM, TOP, 10)
    for value in up.ticks():
        canvas.line(LEFT, up.at(value), WIDTH - RIGHT, up.at(value), "grid")
        canvas.text(LEFT - 8, up.at(value) + 4, y_name(value), anchor="end")
    for value, name in x_ticks.items():
        canvas.line(across.at(value), HEIGHT - BOTTOM, across.at(value), HEIGHT - BOTTOM + 5, "axis")
        canvas.text(across.at(value), HEIGHT - BOTTOM + 19, name)
    canvas.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")
    canvas.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "axis")
    canvas.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 40, x_title)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    canvas.text(18, middle, y_title, more=f' transform="rotate(-90 18 {middle})"')
    for number, line in enumerate(series.values()):
        places = [(across.at(x), up.at(y)) for x, y in sorted(line.items())]
        path_data = " ".join(f"{'ML'[i > 0]}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(places))
        canvas.add(f'<g class="s{number % 8}"><path class="line" d="{path_data}"/></g>')
        for x, y in places:
            canvas.mark(x, y, number)
    canvas.legend(series, HEIGHT - 34)
    canvas.write(path)


def bars(path, title, rows, names):
    """`rows`: {title: {name: times the base's throughput}}; longer is faster, 1 is the base's."""
    row_height, bar = 14 * len(names) + 16, 12
    left, top = 290, 62
    height = top + row_height * len(rows) + 66
    canvas = Canvas(title, WIDTH, height)
    most = min(4.0, max(1.5, *(v for row in rows.values() for v in row.values())))
    scale = (WIDTH - left - 80) / most
    bottom = top + row_height * len(rows)
    for step in range(int(most * 2) + 1):
        x = left + step / 2 * scale
        canvas.line(x, top - 6, x, bottom, "limit" if step == 2 else "grid")
        canvas.text(x, bottom + 16, f"{step / 2:g}")
    canvas.text(left + most * scale / 2, bottom + 34, "throughput, kernel overlayfs = 1 (longer is faster)")
    for index, (name, row) in enumerate(rows.items()):
        y = top + index * row_height
        canvas.text(left - 10, y + row_height / 2, name, "ink", "end")
        for number, column in enumerate(names):
            if column in row:
                length = min(row[column], most) * scale
                place = y + 2 + number * 14
                canvas.bar(left, place, max(1, length), bar, number)
                more = "→ " if row[column] > most else ""  # it goes on
                canvas.text(left + length + 5, place + 10, f"{more}{row[column]:.2f}", "soft", "start")
    canvas.legend(names, height - 12, marks=False)
    canvas.write(path)


UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SERIES = ("ext4", BASE, "fuse-overlayfs", "veneerfs-store", "veneerfs-stack")
BARS = (
    r"^walk, cold", r"^walk, warm", r"^read everything, (cold|warm)", r"^negative lookup of", r"^exec.*150, warm",
    r"^sequential read of a lower file, [^r].*(cold|warm)", r"^sequential read of an upper file.*(cold|warm)",
    r"^sequential write", r"^40,000 random", r"^untar", r"^create", r"^rm -rf", r"^append", r"^chown",
)  # fmt: skip


def collect(rows, pattern):
    """{target: {x: median}} of the rows whose name has a number there."""
    series = {}
    for name, row in rows.items():
        match = re.match(pattern, name)
        if match:
            x = int(match.group(1)) * UNITS[match.groupdict().get("unit") or ""]
            for target, values in row["values"].items():
                if target in SERIES:
                    series.setdefault(target, {})[x] = median_of(values)
    return {name: series[name] for name in SERIES if name in series}


def draw(data, folder):
    """What there are figures for."""
    rows = data["rows"]

    def seconds(value):
        return quantity(value, "s").replace(".00", "").replace(".0", "")

    sizes = collect(rows, r"first write to a lower file of (\d+)(?P<unit>[KMG]?)iB$")
    if sizes:
        found = sorted({x for line in sizes.values() for x in line})
        names = {x: size_label(x) for x in found}
        curves(f"{folder}/copy-up.svg", "First write to a file of the lower", sizes,
               "size of the file", "time from open to close", names, seconds)  # fmt: skip
    for kind in ("lookup", "negative lookup"):
        depths = collect(rows, kind + r" in (\d+) layers?$")
        if depths:
            found = sorted({x for line in depths.values() for x in line})
            name = kind.replace(" ", "-") + ".svg"
            curves(f"{folder}/{name}", f"One {kind}, by number of layers", depths, "layers", f"time of a {kind}",
                   {x: str(x) for x in found}, seconds)  # fmt: skip
    speed = {}
    for pattern in BARS:
        for name, row in rows.items():
            base = base_of(name, row["values"])
            if base and re.match(pattern, name):
                speed[name] = {t: base / median_of(row["values"][t]) for t in SERIES if t in row["values"]}
    if speed:
        bars(f"{folder}/throughput.svg", "Throughput beside the kernel's overlayfs", speed, SERIES)


def size_label(size):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} TiB"
