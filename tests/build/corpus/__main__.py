"""Builds the cases of the corpus with Veneer, with Docker's BuildKit and with buildah, and compares
what comes out with what is expected: all files with their attributes, the config, the history.

    python3 tests/build/corpus [--builder veneer|buildkit|buildah]... [--case REGEX]... [OPTION]...

Expected is what BuildKit gave, recorded in expected/*.json by --record, and what a case says itself.
Exit status 1: something is not as expected, and no case says why.
"""

import argparse
import concurrent.futures
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile

import base_image
import builders
import layer_tree
import report
import result
from case import CASES
from services import Services
from verdict import Runner

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
EXPECTED = os.path.join(HERE, "expected")


def options():
    parser = argparse.ArgumentParser(
        prog="corpus", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--builder", action="append", choices=["veneer", "buildkit", "buildah"])
    parser.add_argument("--case", action="append", metavar="REGEX", help="only cases whose names match")
    parser.add_argument("--sample", type=int, metavar="N", help="only every Nth case")
    parser.add_argument("--list", action="store_true", help="names the cases")
    parser.add_argument("--record", action="store_true", help="BuildKit's results become the expected ones")
    parser.add_argument("--table", action="store_true", help="prints the differences as Markdown")
    parser.add_argument("--keep", action="store_true", help="leaves the folder that all happens in")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--veneer", default=default_veneer(), metavar="PROGRAM")
    parser.add_argument("--buildah", default="buildah", metavar="PROGRAM")
    parser.add_argument("--dockerd", default="dockerd", metavar="PROGRAM")
    parser.add_argument("--docker", metavar="PROGRAM", help="one that speaks BuildKit")
    parser.add_argument("-v", "--verbose", action="store_true", help="shows what is different, if known")
    return parser.parse_args()


def default_veneer():
    return os.path.join(os.environ.get("VENEER_BIN", os.path.join(SOURCE, "build", "bin")), "veneer")


def load_cases(given):
    for name in sorted(os.listdir(os.path.join(HERE, "cases"))):
        if name.endswith(".py"):
            importlib.import_module(f"cases.{name[:-3]}")
    chosen = [
        case
        for case in CASES
        if not given.case or any(re.search(pattern, case.full_name) for pattern in given.case)
    ]
    return chosen[:: given.sample] if given.sample else chosen


def load_expected():
    expected = {}
    for name in os.listdir(EXPECTED):
        if name.endswith(".json"):
            with open(os.path.join(EXPECTED, name), encoding="utf-8") as file:
                for case, told in json.load(file).items():
                    expected[f"{name[:-5]}.{case}"] = told
    return expected


def store_expected(verdicts):
    """Adds what was recorded; what is no case any more goes."""
    expected = load_expected()
    for verdict in verdicts:
        if verdict.word == "recorded":
            expected[verdict.case.full_name] = verdict.result.recorded()
    known = {case.full_name: case for case in CASES}
    topics = {case.topic: {} for case in CASES}
    for name, told in sorted(expected.items()):
        case = known.get(name)
        if case and not case.fails and "buildkit" not in case.differs:
            topics[case.topic][case.name] = told
    for topic, cases in topics.items():
        path = os.path.join(EXPECTED, topic + ".json")
        if cases:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(cases, file, indent=1, ensure_ascii=False, sort_keys=True)
                file.write("\n")
        elif os.path.exists(path):
            os.unlink(path)


def make_builders(given, folder):
    """Those asked for."""
    for name in given.builder or ["veneer", "buildkit", "buildah"]:
        if name == "veneer":
            yield builders.Veneer(folder, given.veneer)
        elif name == "buildah":
            yield builders.Buildah(folder, given.buildah)
        else:
            yield builders.BuildKit(folder, given.dockerd, given.docker or builders.buildkit_client())


def run_all(given, cases, folder):
    archive = os.path.join(folder, "base.tar")
    base_image.make(SOURCE, archive)
    layers = layer_tree.Layers()
    base = result.Image.read(archive, layers)
    verdicts = []
    with Services(os.path.join(folder, "services")) as services:
        runner = Runner(folder, base, layers, services.values(), load_expected(), given.record, given.keep)
        for builder in make_builders(given, folder):
            try:
                builder.start()
                builder.load(archive)
                with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
                    # pylint: disable=cell-var-from-loop  # used up before the loop goes on
                    for verdict in pool.map(lambda case: runner.run(case, builder), cases):
                        report.show(verdict, given.verbose)
                        verdicts.append(verdict)
            finally:
                builder.stop()
    return verdicts


def main():
    given = options()
    cases = load_cases(given)
    if given.list:
        print("\n".join(case.full_name for case in cases))
        return 0
    if not cases:
        sys.exit("corpus: no case has such a name")
    # Sockets in it must fit sun_path.
    where = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="corpus.", dir=where if len(where) < 40 else "/tmp")
    try:
        verdicts = run_all(given, cases, folder)
    finally:
        left = builders.unmount_below(folder)
        if given.keep:
            print(f"all is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if given.record:
        store_expected(verdicts)
    if given.table:
        print(report.table(verdicts))
    return report.summary(verdicts, left)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an interrupt: all is cleaned up
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"corpus: {error}")
