"""What a case is: a Dockerfile, a context, flags, and what is known of the result.

A module of `cases/` is a topic: it calls case() once for each of its cases. README.md tells how to
write one.
"""

import dataclasses
import os
import sys
import textwrap

# The time of every file and directory of a context that names none.
TIME = 1_600_000_000


@dataclasses.dataclass(frozen=True)
class File:
    content: bytes | str = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = TIME
    xattrs: dict = dataclasses.field(default_factory=dict)

    def make(self, path):
        content = self.content.encode() if isinstance(self.content, str) else self.content
        with open(path, "wb") as file:
            file.write(content)


@dataclasses.dataclass(frozen=True)
class Sparse(File):
    """A file with `size` bytes of which only the last ones, the content, are written."""

    size: int = 1 << 24

    def make(self, path):
        with open(path, "wb") as file:
            file.seek(self.size - len(self.content))
            file.write(self.content)


@dataclasses.dataclass(frozen=True)
class Dir:
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = TIME
    xattrs: dict = dataclasses.field(default_factory=dict)

    def make(self, path):
        os.makedirs(path, exist_ok=True)


@dataclasses.dataclass(frozen=True)
class Symlink:
    target: str
    uid: int = 0
    gid: int = 0
    mtime: int = TIME

    def make(self, path):
        os.symlink(self.target, path)


@dataclasses.dataclass(frozen=True)
class Link:
    """Another name of the file at `path`, which stands before it."""

    path: str


@dataclasses.dataclass(frozen=True)
class Fifo:
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = TIME
    xattrs: dict = dataclasses.field(default_factory=dict)

    def make(self, path):
        os.mkfifo(path)


def write_context(folder, entries):
    """Makes the tree `entries` (path: entry; a text is a File) in the empty directory `folder`."""
    entries = {
        path: File(entry) if isinstance(entry, (str, bytes)) else entry
        for path, entry in entries.items()
        if entry is not None
    }
    for path in list(entries):
        parent = os.path.dirname(path)
        while parent:
            entries.setdefault(parent, Dir())
            parent = os.path.dirname(parent)
    directories = {path: entry for path, entry in entries.items() if isinstance(entry, Dir)}
    for path in sorted(directories):
        os.makedirs(os.path.join(folder, path), exist_ok=True)
    for path, entry in entries.items():
        full = os.path.join(folder, path)
        if isinstance(entry, Link):
            os.link(os.path.join(folder, entry.path), full)
        elif not isinstance(entry, Dir):
            entry.make(full)
            _set_attributes(full, entry)
    for path in sorted(directories, reverse=True):
        _set_attributes(os.path.join(folder, path), directories[path])
    os.utime(folder, (TIME, TIME))


def _set_attributes(path, entry):
    os.lchown(path, entry.uid, entry.gid)
    if not isinstance(entry, Symlink):
        os.chmod(path, entry.mode)
        for name, value in entry.xattrs.items():
            os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)


@dataclasses.dataclass
class Build:
    """One run of a builder. In texts and flags, %NAME% are filled in: see README.md."""

    dockerfile: str | None = None
    context: dict = dataclasses.field(default_factory=dict)
    flags: list = dataclasses.field(default_factory=list)
    env: dict = dataclasses.field(default_factory=dict)
    stdin: str | None = None  # then the context's argument is "-"

    def entries(self):
        """The context with its Dockerfile."""
        entries = dict(self.context)
        if self.dockerfile is not None:
            entries.setdefault("Dockerfile", self.dockerfile)
        return entries


@dataclasses.dataclass
class Case:
    name: str
    topic: str
    builds: list  # of Build, of one name: what the last gives counts
    before: list  # of Build: %BASE%, %BASE2%…
    files: dict  # what is beside the context: %FILES%
    fails: str | None
    said: str | None
    same_image: bool
    tree: dict | None
    config: dict | None
    since: tuple
    unsupported: dict
    differs: dict
    privileged: bool

    @property
    def full_name(self):
        return f"{self.topic}.{self.name}"


CASES = []


def case(
    name,
    dockerfile=None,
    context=None,
    flags=(),
    env=None,
    *,
    stdin=None,
    before=(),
    then=(),
    files=None,
    fails=None,
    said=None,
    same_image=False,
    tree=None,
    config=None,
    since="1.2",
    unsupported=None,
    differs=None,
    privileged=False,
):
    """Adds a case. The arguments are explained in README.md."""
    topic = sys._getframe(1).f_globals["__name__"].rpartition(".")[2]
    first = build(dockerfile, context, flags, env, stdin=stdin)
    builds = [first]
    for change in then:
        last = builds[-1]
        entries = dict(last.context)
        entries.update(change.context)
        builds.append(
            Build(
                dockerfile=last.dockerfile if change.dockerfile is None else change.dockerfile,
                context=entries,
                flags=[*last.flags, *change.flags],
                env={**last.env, **change.env},
            )
        )
    added = Case(
        name=name,
        topic=topic,
        builds=builds,
        before=list(before),
        files=files or {},
        fails=fails,
        said=said,
        same_image=same_image,
        tree=tree,
        config=config,
        since=tuple(int(part) for part in since.split(".")),
        unsupported=unsupported or {},
        differs=differs or {},
        privileged=privileged,
    )
    if any(other.full_name == added.full_name for other in CASES):
        sys.exit(f"two cases are called {added.full_name}")
    CASES.append(added)


def build(dockerfile=None, context=None, flags=(), env=None, *, stdin=None):
    """A Build: what comes before a case, or after it (there, what is not given stays)."""
    text = None if dockerfile is None else textwrap.dedent(dockerfile).lstrip("\n")
    return Build(text, dict(context or {}), list(flags), dict(env or {}), stdin)


def executable(text):
    return File(textwrap.dedent(text).lstrip("\n"), mode=0o755)
