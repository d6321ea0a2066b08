"""Runs workloads on subjects in turns, and keeps the figures.

For each group of workloads, each round goes through all subjects, beginning with another one each time; so what else the
machine does falls on all of them alike. A workload that fails on a subject is noted, and the rest goes on.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

from .host import Dead


class Figures:
    """values[workload][subject]: a figure for each round; failures: (workload, subject, why)."""

    def __init__(self):
        self.values = {}
        self.units = {}
        self.wanted = {}
        self.at_most = {}
        self.trips = set()
        self.failures = []

    def add(self, workload, subject, figure):
        figures = figure if isinstance(figure, dict) else {workload.name: figure}
        for name, value in figures.items():
            unit = workload.unit
            if isinstance(value, tuple):
                value, unit = value
            self.units[name] = unit
            self.wanted[name] = list(workload.wanted) if name == workload.name else []
            if name in workload.at_most:
                self.at_most[name] = workload.at_most[name]
            if workload.trips:
                self.trips.add(name)
            self.values.setdefault(name, {}).setdefault(subject, []).append(value)

    def fail(self, workload, subject, why):
        why = " ".join(str(why).split())[:300]
        self.failures.append((workload, subject, why))
        print(f"FAILED  {workload}, on {subject}: {why}", file=sys.stderr, flush=True)


def groups(workloads):
    """Lists of those that share a filesystem."""
    made = {}
    for workload in workloads:
        made.setdefault(workload.group(), []).append(workload)
    return list(made.values())


class Profile:
    """perf on a subject's daemon while a workload is measured: FOLDER/WORKLOAD.SUBJECT.perf"""

    def __init__(self, folder, workload, subject):
        self.perf = None
        daemon = subject.daemon_pid()
        if folder and daemon:
            os.makedirs(folder, exist_ok=True)
            name = f"{workload.name}.{subject.name}.perf".replace("/", "-").replace(" ", "-")
            self.perf = subprocess.Popen(
                ["perf", "record", "-q", "-F", "2000", "-g", "-o", os.path.join(folder, name), "-p", str(daemon)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(0.5)

    def end(self):
        if self.perf is not None:
            self.perf.send_signal(signal.SIGINT)
            self.perf.wait()


class Rounds:
    def __init__(self, images, subjects, options, keep):
        self.images = images
        self.keep = keep  # called with the figures so far, after each group
        self.subjects = subjects  # {name: how to make it in a folder}
        self.options = options
        self.figures = Figures()
        self.said = set()

    def run(self, workloads):
        for group in groups(workloads):
            started = time.monotonic()
            rounds = max(1, round(self.options.rounds * group[0].rounds))
            names = list(self.subjects)
            broken = set()
            for number in range(rounds):
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    if name not in broken and not self.visit(group, name):
                        broken.add(name)
            self.say(group, time.monotonic() - started)
            self.keep(self.figures)

    def visit(self, group, name):
        """One round of a group on one subject; false when there is no sense in another."""
        with tempfile.TemporaryDirectory(prefix="veneer-bench.", ignore_cleanup_errors=True) as folder:
            os.chmod(folder, 0o755)
            subject = self.subjects[name](name, os.path.join(folder, "s"))
            suited = [w for w in group if subject.kind in w.kinds and (w.suits is None or w.suits(subject))]
            if subject.mode == "no_open" and not group[0].read_only:
                return True  # writable mounts do without it
            if not suited:
                return True
            os.mkdir(subject.folder)
            good = True
            try:
                first = group[0]
                subject.start(self.images[first.image], first.read_only, first.in_place)
                for workload in suited:
                    good = self.measure(workload, subject) and good
            except (Dead, OSError, subprocess.SubprocessError) as error:
                self.figures.fail(", ".join(w.name for w in suited[:2]), name, error)
                subject.abandon()
                good = False
            finally:
                try:
                    subject.stop()
                except (Dead, OSError, subprocess.SubprocessError) as error:
                    self.figures.fail(group[0].name, name, f"at its end: {error}")
                    good = False
            return good

    def measure(self, workload, subject):
        try:
            if workload.prepare:
                workload.prepare(subject)
            profile = Profile(self.options.perf, workload, subject)
            try:
                figure = workload.measure(subject)
            finally:
                profile.end()
            self.figures.add(workload, subject.name, figure)
            return True
        except (Dead, OSError, ValueError, subprocess.SubprocessError) as error:
            self.figures.fail(workload.name, subject.name, error)
            return False

    def say(self, group, seconds):
        """One line for each row that is complete."""
        from .report import base_of, cell_text  # pylint: disable=import-outside-toplevel

        for row_name, row in self.figures.values.items():
            if row_name in self.said:
                continue
            self.said.add(row_name)
            base = base_of(row_name, row)
            unit = self.figures.units[row_name]
            cells = [f"{name} {cell_text(row[name], unit, base)}" for name in self.subjects if name in row]
            print(f"{row_name:44} " + "; ".join(cells), flush=True)
        print(f"    ({seconds:.0f} s, {len(group)} workloads)", flush=True)
