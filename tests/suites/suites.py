"""What scripts/conformance runs on each target.

A suite is built once from a folder with its source (a copy of it: nothing is written there), fills
the lower by `populate`, and gives an outcome by `run`: {"passed": n, "of": n, "failed": [...]}.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import re
import random
import shutil
import signal
import stat
import subprocess
import threading

from targets import Dead

def build(source, product, folder, steps):
    """Where the suite is built: `source`, if it has the program `product`, else a copy in `folder`.
    Without a folder: `source`."""
    source = os.path.abspath(source)
    if folder is None or os.access(os.path.join(source, product), os.X_OK):
        return source
    built = os.path.join(folder, os.path.basename(source))
    shutil.copytree(source, built, symlinks=True)
    with open(built + ".log", "wb") as log:
        for step in steps:
            done = subprocess.run(
                step, cwd=built, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
            if done.returncode != 0:
                with open(log.name, encoding="utf-8", errors="replace") as text:
                    said = text.read()[-1000:]
                raise SystemExit(f"conformance: {' '.join(step)} fails in {source}: {said}")
    return built


def run_limited(command, seconds, **options):
    """(status, output) of a program; status None: it did not end in time, and was killed."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, **options,
    )  # fmt: skip
    try:
        output = child.communicate(timeout=seconds)[0]
        return child.returncode, output.decode(errors="replace")
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        # It may hang in the kernel until its filesystem is gone, and hold the pipe: no waiting.
        return None, "does not end"


@contextlib.contextmanager
def dropping_caches():
    done = threading.Event()

    def drop():
        while not done.wait(1):
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                file.write("2")

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Pjdfstest:
    """Each file of pjdfstest in a directory of the lower of its own."""

    title = "pjdfstest, files"

    def __init__(self, folder, jobs, drop_caches=False):
        self.folder = folder
        self.jobs = jobs
        self.drop_caches = drop_caches
        self.files = sorted(
            os.path.relpath(os.path.join(where, name), os.path.join(folder, "tests"))[:-2]
            for where, _, names in os.walk(os.path.join(folder, "tests"))
            for name in names
            if name.endswith(".t")
        )
        if drop_caches:
            self.title = "pjdfstest, caches dropped every second"

    def populate(self, lower):
        os.mkdir(os.path.join(lower, "pjd"))
        for name in self.files:
            directory = os.path.join(lower, "pjd", name.replace("/", "-"))
            os.mkdir(directory)
            with open(os.path.join(directory, "of-the-lower"), "w", encoding="ascii") as file:
                file.write("content\n")

    def run_file(self, target, name):
        directory = os.path.join(target.path, "pjd", name.replace("/", "-"))
        script = os.path.join(self.folder, "tests", name + ".t")
        status, output = run_limited(["sh", script], 300, cwd=directory)
        if status is None:
            return "does not end"
        planned = re.search(r"^1\.\.(\d+)", output, re.M)
        results = re.findall(r"^(not ok|ok) (\d+)(.*)$", output, re.M)
        bad = [n for verdict, n, rest in results if verdict == "not ok" and "# TODO" not in rest]
        if bad:
            return f"{len(bad)} of {len(results)}: " + ",".join(bad[:20])
        if planned is None or len(results) != int(planned.group(1)):
            return "ends early"
        return f"status {status}" if status != 0 else None

    def run(self, target):
        failed = {}
        with contextlib.ExitStack() as stack:
            if self.drop_caches:
                stack.enter_context(dropping_caches())
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(self.jobs))
            results = {name: pool.submit(self.run_file, target, name) for name in self.files}
            for name, result in results.items():
                try:
                    why = result.result()
                except OSError as error:  # the directory is not there
                    why = str(error)
                if why is not None:
                    failed[name] = why
        return {"passed": len(self.files) - len(failed), "of": len(self.files), "failed": failed}


class Fsx:
    """Operations of fsx, over four seeds; then the file is the same after a remount."""

    seeds = (1, 2, 3, 4)

    def __init__(self, program, title, operations, options):
        self.program = program
        self.title = f"fsx, {title}, {operations:,} operations"
        self.operations = operations
        self.options = options

    def populate(self, lower):
        os.mkdir(os.path.join(lower, "fsx"))
        for seed in self.seeds:
            with open(os.path.join(lower, "fsx", f"file{seed}"), "wb") as file:
                # fsx tries out calls on the first bytes after it has read them: only zeros stay.
                file.write(bytes(4096) + random.Random(seed).randbytes(262144 - 4096))

    def run(self, target):
        failed, sums = {}, {}
        each = self.operations // len(self.seeds)
        logs = target.folder
        for seed in self.seeds:
            file = os.path.join(target.path, "fsx", f"file{seed}")
            command = [self.program, "-q", "-S", str(seed), "-N", str(each), "-P", logs]
            status, output = run_limited([*command, *self.options, file], 3600)
            if status != 0:
                lines = [line for line in output.splitlines() if line.strip()]
                failed[f"seed {seed}"] = next(
                    (line for line in lines if re.search("BAD|error|: [A-Z]", line)), output[-200:]
                )
            else:
                sums[file] = content(file)
            if status is None:
                raise Dead("fsx does not end")
        target.remount()
        for file, before in sums.items():
            if content(file) != before:
                failed[f"{os.path.basename(file)} after a remount"] = "another content"
        return {"passed": len(self.seeds) - len(failed), "of": len(self.seeds), "failed": failed}


class Fsstress:
    """fsstress in directories of the lower, where an earlier fsstress left a tree, and new ones. The
    tree is then walked three times: at once, after dropping caches, and after a remount."""

    def __init__(self, program, processes, operations):
        self.program = program
        self.processes = processes
        self.operations = operations
        self.title = f"same tree after fsstress ({processes} × {operations:,}) and remount"

    def populate(self, lower):
        os.mkdir(os.path.join(lower, "stress"))
        # A 0/0 device would be a whiteout.
        self.stress(os.path.join(lower, "stress"), 1, self.operations // 10, "-f", "mknod=0")

    def stress(self, folder, seed, operations, *options):
        command = [self.program, "-d", folder, "-p", str(self.processes), "-n", str(operations)]
        status, output = run_limited([*command, "-s", str(seed), *options], 1800)
        if status is None:
            raise Dead("fsstress does not end")
        if status != 0:
            raise Dead(f"fsstress fails: {output[-300:]}")

    def run(self, target):
        folder = os.path.join(target.path, "stress")
        self.stress(folder, 2, self.operations)
        os.mkdir(os.path.join(target.path, "new"))
        self.stress(os.path.join(target.path, "new"), 3, self.operations)
        failed = {}
        first = tree(target.path)
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
        self.compare(first, tree(target.path), "after dropping caches", failed)
        target.remount()
        self.compare(first, tree(target.path), "after a remount", failed)
        last = first.keys() | failed.keys()
        return {"passed": len(last) - len(failed), "of": len(last), "failed": failed}

    @staticmethod
    def compare(first, second, when, failed):
        for path in sorted(first.keys() | second.keys()):
            if path not in second:
                failed[path] = f"gone {when}"
            elif path not in first:
                failed[path] = f"was not seen before, is there {when}"
            elif first[path] != second[path]:
                pairs = zip(FACTS, first[path], second[path])
                other = [f"{name}: {a} → {b}" for name, a, b in pairs if a != b]
                failed[path] = f"{when}: " + ", ".join(other)


FACTS = (
    "type and mode", "owner", "links", "size", "mtime", "device", "inode number",
    "target", "attributes", "content",
)  # fmt: skip


def content(path):
    """A digest of what is not zero: files with large holes are read quickly, and where a zero is
    stored, and where it is a hole, is the filesystem's business."""
    total = hashlib.blake2b()
    step = 1 << 16
    fd = os.open(path, os.O_RDONLY)
    try:
        offset, size = 0, os.fstat(fd).st_size
        while offset < size:
            try:
                data = os.lseek(fd, offset, os.SEEK_DATA)
            except OSError:  # ENXIO: holes to the end
                break
            end = os.lseek(fd, data, os.SEEK_HOLE)
            for offset in range(data - data % step, end, step):
                piece = os.pread(fd, step, offset)
                if piece.count(0) != len(piece):
                    total.update(offset.to_bytes(8, "little") + piece)
            offset = max(end, offset + step)
    finally:
        os.close(fd)
    return total.hexdigest()[:16]


def facts(path):
    st = os.lstat(path)
    is_dir = stat.S_ISDIR(st.st_mode)
    attributes = sorted(os.listxattr(path, follow_symlinks=False))
    values = [os.getxattr(path, name, follow_symlinks=False).hex() for name in attributes]
    return (
        stat.filemode(st.st_mode),
        f"{st.st_uid}:{st.st_gid}",
        st.st_nlink,
        0 if is_dir else st.st_size,
        st.st_mtime_ns,
        st.st_rdev,
        st.st_ino,
        os.readlink(path) if stat.S_ISLNK(st.st_mode) else "",
        list(zip(attributes, values)),
        content(path) if stat.S_ISREG(st.st_mode) else "",
    )


def tree(root):
    """Each name that readdir gives, and what is found there."""
    found = {}
    pending = ["."]
    while pending:
        directory = pending.pop()
        for name in os.listdir(os.path.join(root, directory)):
            path = os.path.join(directory, name)
            try:
                found[path] = facts(os.path.join(root, path))
                if found[path][0][0] == "d":
                    pending.append(path)
            except OSError as error:
                found[path] = (str(error.strerror),)
    return found
