"""COPY from the context: what is taken, where it goes, and with which attributes."""

from case import Dir, Fifo, File, Link, Sparse, Symlink, case

TREE = {
    "dir": Dir(mode=0o750, mtime=1_500_000_001),
    "dir/a": File("A", mode=0o640, mtime=1_500_000_002),
    "dir/sub": Dir(mode=0o700, mtime=1_500_000_003),
    "dir/sub/b": File("B", mode=0o755, mtime=1_500_000_004),
    "dir/link": Symlink("sub/b", mtime=1_500_000_005),
    "file": File("F", mtime=1_500_000_006),
}

case(
    "file_to_name",
    """
    FROM veneer/corpus
    COPY file /new
    """,
    TREE,
)
case(
    "file_to_directory",
    """
    FROM veneer/corpus
    COPY file /data/
    """,
    TREE,
)
case(
    "file_to_existing_directory_without_slash",
    """
    FROM veneer/corpus
    COPY file /data
    """,
    TREE,
)
case(
    "file_to_new_directory",
    """
    FROM veneer/corpus
    COPY file /new/dir/
    """,
    TREE,
)
case(
    "file_to_new_name_below_new_directories",
    """
    FROM veneer/corpus
    COPY file /new/dir/name
    """,
    TREE,
)
case(
    "file_over_file",
    """
    FROM veneer/corpus
    COPY file /data/file
    """,
    TREE,
)
case(
    "file_over_linked_file",
    """
    FROM veneer/corpus
    COPY file /odd/one
    """,
    TREE,
)
case(
    "file_over_setuid_file",
    """
    FROM veneer/corpus
    COPY file /odd/setuid
    """,
    TREE,
)
case(
    "several_to_directory",
    """
    FROM veneer/corpus
    COPY file dir/a /new/
    """,
    TREE,
)
case(
    "dot_to_relative",
    """
    FROM veneer/corpus
    WORKDIR /new
    COPY . .
    """,
    TREE,
)
case(
    "dot_slash_name",
    """
    FROM veneer/corpus
    COPY ./file ./dir/../file /new/
    """,
    TREE,
)
case(
    "leading_slash_is_the_context",
    """
    FROM veneer/corpus
    COPY /file /new
    """,
    TREE,
)
case(
    "dots_stay_in_the_context",
    """
    FROM veneer/corpus
    COPY ../../file /new
    """,
    TREE,
)
case(
    "directory_gives_its_content",
    """
    FROM veneer/corpus
    COPY dir /new
    """,
    TREE,
)
case(
    "directory_with_slash",
    """
    FROM veneer/corpus
    COPY dir/ /new/
    """,
    TREE,
)
case(
    "directory_to_existing",
    """
    FROM veneer/corpus
    COPY dir /data
    """,
    TREE,
)
case(
    "directory_onto_root",
    """
    FROM veneer/corpus
    COPY dir /
    """,
    TREE,
)
case(
    "directories_are_joined",
    """
    FROM veneer/corpus
    COPY dir other /new/
    """,
    {**TREE, "other/a": "other A", "other/c": "C"},
)
case(
    "directory_over_existing_attributes",
    """
    FROM veneer/corpus
    COPY tree /data
    """,
    {"tree/sub": Dir(mode=0o711), "tree/sub/deep": Dir(mode=0o700), "tree/sub/new": "N"},
)
case(
    "empty_directory",
    """
    FROM veneer/corpus
    COPY empty /new
    """,
    {"empty": Dir(mode=0o711)},
)
case(
    "directory_in_directory",
    """
    FROM veneer/corpus
    COPY outer /new
    """,
    {"outer/empty": Dir(mode=0o500)},
)
case(
    "destination_with_dots",
    """
    FROM veneer/corpus
    COPY file /a/../b/./c/
    """,
    TREE,
)
case(
    "destination_is_dot",
    """
    FROM veneer/corpus
    WORKDIR /data/sub
    COPY file .
    """,
    TREE,
)
case(
    "empty_file",
    """
    FROM veneer/corpus
    COPY e /e
    """,
    {"e": ""},
)
case(
    "big_file",
    """
    FROM veneer/corpus
    COPY big /big
    """,
    {"big": b"0123456789abcdef" * (5 << 16)},
)
case(
    "sparse_file",
    """
    FROM veneer/corpus
    COPY s /s
    """,
    {"s": Sparse(b"end", size=3 << 20)},
)
case(
    "many_files",
    """
    FROM veneer/corpus
    COPY many /many
    """,
    {f"many/{n % 10}/{n}": str(n) for n in range(400)},
)
case(
    "unicode_and_odd_names",
    """
    FROM veneer/corpus
    COPY names /names
    COPY names/ünï /one
    """,
    {
        "names/ünï": "1",
        "names/a b": "2",
        "names/☃": "3",
        "names/quo\"te'": "4",
        "names/back\\slash": "5",
        "names/new\nline": "6",
    },
)
case(
    "long_names",
    f"""
    FROM veneer/corpus
    COPY l /l
    COPY l/{'x' * 250} /{'y' * 255}
    """,
    {f"l/{'x' * 250}": "1", "l/" + "/".join(["d" * 60] * 8): "2", f"l/link-{'z' * 200}": Symlink("t" * 300)},
)
case(
    "times_are_kept",
    """
    FROM veneer/corpus
    COPY t /t
    """,
    {"t/old": File("1", mtime=1), "t/young": File("2", mtime=1_500_000_000), "t/d": Dir(mtime=1_400_000_000)},
)
case(
    "modes_are_kept",
    """
    FROM veneer/corpus
    COPY m /m
    """,
    {
        "m/setuid": File("1", mode=0o4755),
        "m/setgid": File("2", mode=0o2711),
        "m/sticky": Dir(mode=0o1777),
        "m/setgid-dir": Dir(mode=0o2755),
        "m/none": File("3", mode=0o000),
        "m/all": File("4", mode=0o777),
    },
    differs={"buildah": "setuid and setgid bits of the context are dropped"},
)
case(
    "owners_are_not_kept",
    """
    FROM veneer/corpus
    COPY f /f
    """,
    {"f": File("1", uid=1000, gid=50)},
)
case(
    "copy_is_roots_whatever_user",
    """
    FROM veneer/corpus
    USER app
    COPY file /tmp/
    """,
    TREE,
)
case(
    "symlink_named_as_source_is_followed",
    """
    FROM veneer/corpus
    COPY to-file /one
    COPY to-dir /two
    COPY to-file /dir/
    """,
    {"to-file": Symlink("dir/a"), "to-dir": Symlink("dir"), **TREE},
)
case(
    "symlinks_inside_are_kept",
    """
    FROM veneer/corpus
    COPY l /l
    """,
    {
        "l/rel": Symlink("x"),
        "l/abs": Symlink("/etc/passwd"),
        "l/up": Symlink("../../.."),
        "l/loop": Symlink("loop"),
        "l/x": "X",
    },
)
case(
    "symlink_of_the_context_cannot_leave_it",
    """
    FROM veneer/corpus
    COPY out /x
    """,
    {"out": Symlink("../../../../../etc/hostname")},
    fails="(?i)not found",
)
case(
    "symlink_absolute_is_below_the_context",
    """
    FROM veneer/corpus
    COPY out /x
    """,
    {"out": Symlink("/file"), **TREE},
)
case(
    "symlink_parent_of_source",
    """
    FROM veneer/corpus
    COPY way/a /x
    """,
    {"way": Symlink("dir"), **TREE},
)
case(
    "symlink_dangling_source",
    """
    FROM veneer/corpus
    COPY out /x
    """,
    {"out": Symlink("nowhere")},
    fails="(?i)not found",
)
case(
    "symlink_loop_as_source",
    """
    FROM veneer/corpus
    COPY loop /x
    """,
    {"loop": Symlink("loop")},
    fails=".",
)
case(
    "hard_links",
    """
    FROM veneer/corpus
    COPY h /h
    """,
    {"h/one": "1", "h/two": Link("h/one"), "h/sub/three": Link("h/one"), "h/other": "2"},
)
case(
    "hard_link_partly_outside",
    """
    FROM veneer/corpus
    COPY h /h
    """,
    {"h/one": "1", "outside": Link("h/one")},
)
case(
    "fifo",
    """
    FROM veneer/corpus
    COPY f /f
    """,
    {"f/pipe": Fifo(mode=0o640), "f/x": "X"},
    differs={"buildkit-20": "20.10 copies no FIFOs"},
)
case(
    "capability",
    """
    FROM veneer/corpus
    COPY c /c
    """,
    {
        "c": File(
            "C",
            mode=0o755,
            xattrs={"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")},
        )
    },
    tree={"/c": 'f 755 0:0 "C" @1600000000 security.capability=0x0100000200200000000000000000000000000000'},
    differs={"buildkit": "what it receives of a context loses capabilities: the owner is set after them"},
)
case(
    "capability_and_chown",
    """
    FROM veneer/corpus
    COPY --chown=app c /c
    """,
    {
        "c": File(
            "C",
            mode=0o755,
            xattrs={"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")},
        )
    },
    tree={
        "/c": 'f 755 1000:1000 "C" @1600000000 security.capability=0x0100000200200000000000000000000000000000'
    },
    differs={"buildkit": "what it receives of a context loses capabilities: the owner is set after them"},
)
case(
    "user_attributes",
    """
    FROM veneer/corpus
    COPY x /x
    """,
    {
        "x/f": File("X", xattrs={"user.note": b"kept", "user.binary": b"\0\xff"}),
        "x/d": Dir(xattrs={"user.dir": b"d"}),
    },
    tree={
        "/x": "d 755 0:0 @1600000000",
        "/x/d": 'd 755 0:0 @1600000000 user.dir="d"',
        "/x/f": 'f 644 0:0 "X" @1600000000 user.binary=0x00ff user.note="kept"',
    },
    differs={"buildkit": "dockerd exports no extended attributes but security.capability"},
)

case(
    "missing_source",
    """
    FROM veneer/corpus
    COPY nothing /x
    """,
    {"file": ""},
    fails='(?i)"?/nothing"?: not found|no such file',
)
case(
    "missing_among_others",
    """
    FROM veneer/corpus
    COPY file nothing /x/
    """,
    {"file": ""},
    fails="(?i)not found|no such file",
)
case(
    "several_to_a_file",
    """
    FROM veneer/corpus
    COPY a b /x
    """,
    {"a": "", "b": ""},
    differs={"buildah": "the destination of several sources is a directory"},
)
case(
    "file_onto_directory",
    """
    FROM veneer/corpus
    COPY d/x /data/
    """,
    {"d/x": Dir()},
)
case(
    "directory_onto_file",
    """
    FROM veneer/corpus
    COPY d /data/file
    """,
    {"d/x": "X"},
    fails="(?i)(cannot|not a directory|exist|cannot copy to non-directory|mkdir)",
)
case(
    "file_replaces_directory_of_that_name",
    """
    FROM veneer/corpus
    COPY data /
    """,
    {"data/sub": "now a file"},
)
case(
    "directory_replaces_file_of_that_name",
    """
    FROM veneer/corpus
    COPY data /data
    """,
    {"data/file/inner": "x"},
    fails="(?i)(cannot|not a directory|exists)",
    differs={"buildah": "the file is replaced by the directory"},
)
case(
    "symlink_over_file",
    """
    FROM veneer/corpus
    COPY data /data
    """,
    {"data/file": Symlink("other")},
)
case(
    "file_over_symlink_in_directory",
    """
    FROM veneer/corpus
    COPY links /links
    """,
    {"links/file": "replaces"},
)
case(
    "file_over_symlink_named",
    """
    FROM veneer/corpus
    COPY f /links/file
    """,
    {"f": "through"},
    differs={"buildah": "a symlink that is the last part of the destination is replaced, not followed"},
)
