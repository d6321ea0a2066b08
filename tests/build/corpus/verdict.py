"""Runs one case with one builder, and says what came of it."""

import dataclasses
import re
import time

from result import Image, Result, compare, compare_given
from workspace import Workspace


@dataclasses.dataclass
class Verdict:
    case: object
    builder: str
    word: str  # ok, failed, differs, unsupported, recorded
    lines: list  # why
    result: Result | None = None


class Runner:
    """What all cases need. Threads may share it. Made before any builder works: later times are of builds."""

    def __init__(self, folder, base, layers, values, expected, record, keep):
        self.started = time.time() - 2  # some filesystems' clocks are coarse
        self.folder, self.base, self.layers = folder, base, layers
        self.values, self.expected, self.record, self.keep = values, expected, record, keep

    def run(self, case, builder):
        why = builder.why_not(case)
        if why:
            return Verdict(case, builder.name, "unsupported", [why])
        try:
            with Workspace(f"{self.folder}/{builder.name}-cases", case, self.values, self.keep) as workspace:
                verdict = self.judge(case, builder, workspace)
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            verdict = Verdict(case, builder.name, "failed", [f"{type(error).__name__}: {error}"])
        reason = self.known_difference(case, builder)
        if reason and verdict.word == "failed":
            return dataclasses.replace(verdict, word="differs", lines=[reason, *verdict.lines])
        if reason and verdict.word == "ok":
            return dataclasses.replace(verdict, word="ok", lines=[f"it is said to differ: {reason}"])
        return verdict

    @staticmethod
    def known_difference(case, builder):
        version = getattr(builder, "version", "").partition(".")[0]
        return case.differs.get(f"{builder.name}-{version}") or case.differs.get(builder.name)

    def judge(self, case, builder, workspace):
        def failed(*lines):
            return Verdict(case, builder.name, "failed", list(lines))

        for number, before in enumerate(case.before):
            made = builder.build(*workspace.arguments(before, f"before{number}"), workspace.base_tag(number))
            if made.status != 0:
                return failed(f"build {number + 1} before it fails", *tail(made.output))
        images = []
        for number, build in enumerate(case.builds):
            last = number + 1 == len(case.builds)
            made = builder.build(*workspace.arguments(build, f"context{number}"), workspace.tag)
            if (
                case.said
                and last
                and builder.name != "buildah"
                and not re.search(case.said, made.output, re.M)
            ):
                return failed(f"it does not say {case.said!r}", *tail(made.output))
            if case.fails and last:
                return self.judge_failure(case, builder, made)
            if made.status != 0:
                return failed(f"exit status {made.status}", *tail(made.output))
            if last or case.same_image:
                builder.save(workspace.tag, workspace.archive())
                images.append(Image.read(workspace.archive(), self.layers))
        if case.same_image and images[0].config_text != images[-1].config_text:
            return failed("the image is another one")
        if not case.same_image and len(case.builds) > 1:
            images = images[-1:]
        made = Result.of(images[-1], self.base, self.started, workspace.unfill)
        return self.judge_result(case, builder, made)

    @staticmethod
    def judge_failure(case, builder, made):
        if made.status == 0:
            return Verdict(case, builder.name, "failed", ["it does not fail"])
        lines = []
        if made.status == 124:
            lines.append("it does not end")
        if builder.name == "veneer" and made.status != 1:
            lines.append(f"exit status {made.status}, not 1")
        if builder.name == "veneer" and not re.search(case.fails, made.output, re.M):
            lines.append(f"it does not say {case.fails!r}")
        if lines:
            return Verdict(case, builder.name, "failed", [*lines, *tail(made.output)])
        return Verdict(case, builder.name, "ok", [])

    def judge_result(self, case, builder, made):
        different = compare_given(made, case, builder)
        recorded = self.expected.get(case.full_name)
        recording = self.record and builder.name == "buildkit" and "buildkit" not in case.differs
        if recording:
            recorded = made.recorded()
        elif recorded is not None:
            different += compare(made, recorded, builder)
        elif case.tree is None:
            different.append("nothing is known of what is to come out")
        word = "failed" if different else "recorded" if recording else "ok"
        return Verdict(case, builder.name, word, sorted(set(different)), made)


def tail(output):
    return output.strip().splitlines()[-12:]
