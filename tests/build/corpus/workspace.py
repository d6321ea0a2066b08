"""A case on disk for one builder: its contexts, with what is filled in, and the builds' arguments."""

import dataclasses
import os
import re
import shutil

from case import File, write_context

BLANK = re.compile(r"%([A-Z][A-Z0-9_]*)%")


class Workspace:
    """The folder of one case and one builder; gone after the `with` unless `keep`."""

    def __init__(self, folder, case, values, keep):
        self.folder = os.path.join(folder, case.full_name)
        self.case = case
        self.keep = keep
        self.tag = f"corpus/{case.full_name}"
        self.values = dict(values)
        self.values["NAME"] = case.full_name
        self.values["FILES"] = os.path.join(self.folder, "files")
        for number in range(len(case.before)):
            self.values[f"BASE{number + 1 if number else ''}"] = self.base_tag(number)

    def __enter__(self):
        os.makedirs(self.folder)
        files = self.values["FILES"]
        os.makedirs(files)
        write_context(files, self.filled_entries(self.case.files))
        return self

    def __exit__(self, *_):
        if not self.keep:
            shutil.rmtree(self.folder)

    def base_tag(self, number):
        return f"{self.tag}-base{number + 1}"

    def archive(self):
        return os.path.join(self.folder, "image.tar")

    def fill(self, text):
        return BLANK.sub(lambda blank: self.values.get(blank[1], blank[0]), text)

    def unfill(self, text):
        """What is different in every run, put back."""
        for name in ("GIT", "HTTP", "FILES"):
            if self.values.get(name):
                text = text.replace(self.values[name], f"%{name}%")
        return text

    def filled_entries(self, entries):
        filled = {}
        for path, entry in entries.items():
            if isinstance(entry, str):
                entry = self.fill(entry)
            elif isinstance(entry, File) and isinstance(entry.content, str):
                entry = dataclasses.replace(entry, content=self.fill(entry.content))
            filled[path] = entry
        return filled

    def arguments(self, build, name):
        """Makes the context; what a builder's build() is given, but for the tag."""
        # Docker's client keeps what it sent of directories by their last name, and sends what has another size or time.
        context = os.path.join(self.folder, f"{self.case.full_name}-{name}")
        os.makedirs(context)
        write_context(context, self.filled_entries(build.entries()))
        where = {**self.values, "CONTEXT": context}
        flags = [BLANK.sub(lambda blank: where.get(blank[1], blank[0]), flag) for flag in build.flags]
        stdin = None if build.stdin is None else self.fill(build.stdin).encode()
        filled = dataclasses.replace(
            build, stdin=stdin, env={key: self.fill(value) for key, value in build.env.items()}
        )
        # A flag may name another context: "%CONTEXT%…" as the last word, a URL, or "-".
        if flags and flags[-1].startswith("context="):
            context = flags.pop().removeprefix("context=")
        elif stdin is not None:
            context = "-"
        return filled, flags, context
