"""What a run of the corpus shows: a line for each case and builder, the table, the sums."""

import collections

TITLES = {"veneer": "Veneer", "buildkit": "BuildKit", "buildah": "buildah"}


def show(verdict, verbose):
    print(f"{verdict.case.full_name:<44} {verdict.builder:<9} {verdict.word}", flush=True)
    if verdict.word == "failed" or verbose:
        for line in verdict.lines:
            print(f"    {line}", flush=True)
    elif verdict.lines and verdict.word == "ok":
        print(f"    {verdict.lines[0]}", flush=True)


def table(verdicts):
    """Markdown: which cases came out otherwise or could not be built, and why."""
    rows = collections.defaultdict(list)
    for verdict in verdicts:
        if verdict.word in ("differs", "unsupported"):
            rows[verdict.builder, verdict.word, verdict.lines[0]].append(verdict.case.full_name)
    lines = ["| cases | with | |", "|---|---|---|"]
    for (builder, word, reason), names in sorted(rows.items()):
        told = ", ".join(f"`{name}`" for name in sorted(names))
        lines.append(
            f"| {told} | {TITLES[builder]}{', not built' if word == 'unsupported' else ''} | {reason} |"
        )
    return "\n".join(lines)


def summary(verdicts, still_mounted):
    """Prints the sums; the exit status."""
    for builder in TITLES:
        words = collections.Counter(v.word for v in verdicts if v.builder == builder)
        if words:
            print(f"{builder}: " + ", ".join(f"{count} {word}" for word, count in sorted(words.items())))
    for target in still_mounted:
        print(f"left mounted: {target}")
    failed = [v for v in verdicts if v.word == "failed"]
    mounts = [target for target in still_mounted if "/veneer/" in target]
    print(f"{len(verdicts) - len(failed)} passed, {len(failed) + len(mounts)} failed")
    return 1 if failed or mounts else 0
