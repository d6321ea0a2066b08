"""Figures as JSON, as a table for people, and in docs/performance.md."""

import json
import os
import re
import statistics

BEGIN = "<!-- begin: written by scripts/bench -->"
END = "<!-- end -->"
BASE = "overlayfs"


def median_of(values):
    return statistics.median(values) if values else None


def quantity(value, unit):
    """With three digits that count."""
    if unit == "s":
        for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
            if value * factor >= 1 or name == "µs":
                value, unit = value * factor, name
                break
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def ratio(value, base):
    return f"{value / base:.3f}" if value < 0.1 * base else f"{value / base:.2f}"


def base_of(title, row):
    """What others are divided by: the kernel's overlayfs, or the fastest of veneer's peers."""
    if title.startswith("tool: "):
        peers = [median_of(values) for name, values in row.items() if name != "veneer"]
        return min(peers, default=None)
    return median_of(row.get(BASE))


def peer_of(subject):
    """What a mode is to be compared with: programs in the same position, where there are any."""
    _, _, mode = subject.partition("/")
    return {"unprivileged": "fuse-overlayfs/unprivileged", "no_passthrough+no_uring": "fuse-overlayfs"}.get(mode, BASE)


def cell_text(values, unit, base):
    value = median_of(values)
    said = quantity(value, unit)
    return f"{said} ({ratio(value, base)})" if base else said


def save(figures, about, path):
    """Adds to what is there: a run of some rows leaves the others as they are."""
    data = {"about": {}, "rows": {}}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    data["about"].update(about)
    for name, row in figures.values.items():
        there = data["rows"].setdefault(name, {"values": {}})
        there["unit"], there["wanted"] = figures.units[name], figures.wanted[name]
        beside = there.setdefault("beside", {})
        # The usual columns of a row are of one run. One of other modes has peers of its own to be divided by.
        usual = not there["values"] or any("/" not in s and s.startswith("veneer") for s in row)
        for subject, values in row.items():
            if "/" in subject:
                beside[subject] = median_of(row.get(peer_of(subject)))
            if usual or "/" in subject:
                there["values"][subject] = [round(v, 9) for v in values]
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, ensure_ascii=False)
        file.write("\n")
    os.replace(path + ".part", path)
    return data


def load(figures, about):
    """The same of one run, without a file."""
    rows = {
        name: {
            "unit": figures.units[name],
            "wanted": figures.wanted[name],
            "values": row,
            "beside": {s: median_of(row.get(peer_of(s))) for s in row if "/" in s},
        }
        for name, row in figures.values.items()
    }
    return {"about": about, "rows": rows}


def columns(rows):
    seen = []
    for row in rows.values():
        seen += [name for name in row["values"] if name not in seen]
    return sorted(seen, key=lambda name: "/" in name)  # modes last; otherwise as they came


def verdict(title, row):
    """The wanted ratios (of store and stack), and whether they are met."""
    base = base_of(title, row["values"])
    said = []
    names = ("veneer",) if title.startswith("tool: ") else ("veneerfs-store", "veneerfs-stack")
    for limit, name in zip(row["wanted"], names):
        value = median_of(row["values"].get(name))
        if base and value is not None:
            said.append(f"{'✓' if value <= limit * base else '✗'} {limit}")
        else:
            said.append(f"{limit}")
    return " / ".join(said)


def table(rows, names):
    """With a column of what is wanted, where these are the targets that it is wanted of."""
    lines = [["", *names, "wanted"]]
    for title, row in rows.items():
        base = base_of(title, row["values"])
        modes = any("/" in name for name in names)
        bases = {n: row.get("beside", {}).get(n) if "/" in n else base for n in names}
        cells = [cell_text(row["values"][n], row["unit"], bases[n]) if n in row["values"] else "–" for n in names]
        lines.append([title, *cells, "" if modes else verdict(title, row)])
    if not any(line[-1] for line in lines[1:]):
        lines = [line[:-1] for line in lines]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sections(data):
    """[(title, rows, columns)]: in the order of the rows."""
    made = {}
    for name, row in data["rows"].items():
        kind = "Tools" if name.startswith("tool: ") else "Layers" if re.search(r" in \d+ layers$", name) else "Filesystem"
        made.setdefault(kind, {})[name] = row
    for kind, rows in made.items():
        names = columns(rows)
        plain = [name for name in names if "/" not in name]
        yield kind, rows, plain
        if len(plain) < len(names):
            yield kind + ", in other modes", rows, [n for n in names if "/" in n]


def markdown(data):
    about = "; ".join(f"{what} {is_}" for what, is_ in sorted(data["about"].items()))
    parts = [about + "."]
    for title, rows, names in sections(data):
        rows = {n: row for n, row in rows.items() if any(name in row["values"] for name in names)}
        if rows and names:
            parts += [f"### {title}", table(rows, names)]
    return "\n\n".join(parts)


def write_into(document, text):
    """Replaces what stands between the marks."""
    with open(document, encoding="utf-8") as file:
        whole = file.read()
    head, begin, rest = whole.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"bench: {document} has no place for the tables")
    with open(document, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n{text}\n{END}{tail}")
