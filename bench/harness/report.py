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
    if value < 0.0005 * base:
        return "<0.001"
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


def facts_of(name, row, figures, about):
    """A row but for its values."""
    return {
        "unit": figures.units[name],
        "wanted": figures.wanted[name],
        "at_most": figures.at_most.get(name),
        "trips": name in figures.trips,
        "beside": {s: median_of(row.get(peer_of(s))) for s in row if "/" in s},
        "of": about["Veneer"],
    }


def save(figures, about, path):
    """Adds to what is there: a run of some rows leaves the others as they are."""
    data = {"about": {}, "rows": {}}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    data["about"].update(about)
    for name, row in figures.values.items():
        there = data["rows"].setdefault(name, {"values": {}})
        beside = there.get("beside", {})
        of = there.get("of")
        there.update(facts_of(name, row, figures, about))
        there["beside"] = beside | there["beside"]
        # The usual columns of a row are of one run, that which had what they are divided by. One of other modes has
        # peers of its own for that; one of single targets adds them.
        whole = base_of(name, row) is not None and any("/" not in s and s.startswith("veneer") for s in row)
        if whole or not there["values"]:
            there["values"] = {s: values for s, values in there["values"].items() if "/" in s}
        else:
            there["of"] = of
        modes_alone = any("/" in s for s in row) and not whole and there["values"]
        for subject, values in row.items():
            if "/" in subject or not modes_alone:
                there["values"][subject] = [round(v, 9) for v in values]
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, ensure_ascii=False)
        file.write("\n")
    os.replace(path + ".part", path)
    return data


def load(figures, about):
    """The same of one run, without a file."""
    rows = {name: facts_of(name, row, figures, about) | {"values": row} for name, row in figures.values.items()}
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
    value = median_of(row["values"].get(names[0]))
    if row.get("at_most") is not None and value is not None:
        said.append(f"{'✓' if value <= row['at_most'] else '✗'} {quantity(row['at_most'], row['unit'])}")
    return " / ".join(said)


def limit_beside(subject, row):
    """What a mode may take of what fuse-overlayfs takes in the same position."""
    if not subject.startswith("veneer") or not peer_of(subject).startswith("fuse-overlayfs"):
        return None
    return 0.6 if row.get("trips") else 1.0


def cell(row, name, base):
    if name not in row["values"]:
        return "–"
    said = cell_text(row["values"][name], row["unit"], base)
    limit = limit_beside(name, row)
    missed = limit and base and median_of(row["values"][name]) > limit * base
    return said + (" ✗" if missed else "")


def table(rows, names):
    """With a column of what is wanted, where these are the targets that it is wanted of."""
    modes = any("/" in name for name in names)
    # What modes are divided by, in the run they are of.
    peers = sorted({peer_of(n) for n in names if "/" not in peer_of(n)}, key=len) if modes else []
    lines = [["", *peers, *names, "rounds", "wanted"]]
    for title, row in rows.items():
        base = base_of(title, row["values"])
        beside = row.get("beside", {})
        divided_by = [median_of([v for n, v in beside.items() if v and peer_of(n) == peer]) for peer in peers]
        cells = [quantity(v, row["unit"]) if v is not None else "–" for v in divided_by]
        cells += [cell(row, n, beside.get(n) if "/" in n else base) for n in names]
        rounds = max((len(row["values"][n]) for n in names if n in row["values"]), default=0)
        lines.append([title, *cells, str(rounds), "" if modes else verdict(title, row)])
    if not any(line[-1] for line in lines[1:]):
        lines = [line[:-1] for line in lines]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sections(data):
    """[(title, rows, columns)]: in the order of the rows."""
    made = {}
    for name, row in data["rows"].items():
        kind = "Tools" if name.startswith("tool: ") else "Layers" if re.search(r" in \d+ layers?$", name) else "Filesystem"
        made.setdefault(kind, {})[name] = row
    for kind, rows in made.items():
        names = columns(rows)
        plain = [name for name in names if "/" not in name]
        yield kind, rows, plain
        if len(plain) < len(names):
            yield kind + ", in other modes", rows, [n for n in names if "/" in n]


def origin(data):
    """What the figures are of: the commit of most rows, and which are of others."""
    by_commit = {}
    for name, row in data["rows"].items():
        by_commit.setdefault(row.get("of") or data["about"]["Veneer"], []).append(name)
    most = max(by_commit, key=lambda of: len(by_commit[of]))
    facts = "; ".join(f"{what} {is_}" for what, is_ in sorted((data["about"] | {"Veneer": most}).items()))
    return [facts + "."] + [f"Of {of}: {'; '.join(names)}." for of, names in by_commit.items() if of != most]


def markdown(data):
    parts = origin(data) if data["rows"] else []
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
