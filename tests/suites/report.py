"""The results as JSON, which runs add to, and as tables in Markdown."""

import json
import os

BEGIN = "<!-- begin: written by scripts/conformance -->"
END = "<!-- end -->"
MOST_FAILED = 40


class Results:
    """{"about": {...}, "cells": {row: {target: outcome}}}; an outcome as a suite's `run` gives it."""

    def __init__(self, path):
        self.path = path
        self.data = {"about": {}, "cells": {}}
        self.read()

    def read(self):
        if self.path and os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.data = json.load(file)

    def add(self, row, target, outcome, about):
        self.read()  # another run may have added to it
        failed = list(outcome.get("failed", {}).items())
        if len(failed) > MOST_FAILED:  # thousands of names, say
            more = ("", f"and {len(failed) - MOST_FAILED} more")
            outcome = {**outcome, "failed": dict([*failed[:MOST_FAILED], more])}
        self.data["about"].update(about)
        self.data["cells"].setdefault(row, {})[target] = outcome
        if self.path is None:
            return
        with open(self.path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.data, file, indent=1, ensure_ascii=False, sort_keys=False)
            file.write("\n")
        os.replace(self.path + ".part", self.path)

    def targets(self):
        seen = []
        for cells in self.data["cells"].values():
            seen += [target for target in cells if target not in seen]
        order = ["ext4", "overlayfs", "fuse-overlayfs"]
        is_ours = [target for target in seen if target.startswith("veneerfs")]
        others = [target for target in seen if target not in order and target not in is_ours]
        first = [target for target in order if target in seen]
        return first + sorted(others), sorted(is_ours, key=lambda t: ("/" in t, t))

    def markdown(self):
        peers, ours = self.targets()
        plain = [target for target in ours if "/" not in target]
        tables = [self.table(peers + plain)]
        if len(plain) < len(ours):
            tables.append("veneerfs in its modes:\n\n" + self.table(ours, by_mode=True))
        about = "; ".join(f"{what} {is_}" for what, is_ in sorted(self.data["about"].items()))
        return f"{about}.\n\n" + "\n\n".join(tables)

    def table(self, targets, by_mode=False):
        def cell(row, target):
            outcome = self.data["cells"][row].get(target)
            if outcome is None or "not_run" in outcome:
                return "–"
            if "dead" in outcome:
                return f"fails: {outcome['dead']}"
            return f"{outcome['passed']} / {outcome['of']}"

        rows = list(self.data["cells"])
        if by_mode:  # modes are many, suites are few
            lines = [["", *rows]]
            lines += [[target, *(cell(row, target) for row in rows)] for target in targets]
        else:
            lines = [["", *targets]]
            lines += [[row, *(cell(row, target) for target in targets)] for row in rows]
        lines.insert(1, ["---"] * len(lines[0]))
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def write_into(self, document):
        """Replaces what stands between the marks."""
        with open(document, encoding="utf-8") as file:
            text = file.read()
        head, begin, rest = text.partition(BEGIN)
        _, end, tail = rest.partition(END)
        if not begin or not end:
            raise SystemExit(f"conformance: {document} has no place for the tables")
        with open(document, "w", encoding="utf-8") as file:
            file.write(f"{head}{BEGIN}\n{self.markdown()}\n{END}{tail}")
