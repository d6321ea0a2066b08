"""Stages, and what COPY brings from them; --link, --parents, --exclude."""

from case import Dir, case

STAGE = """
    FROM veneer/corpus AS one
    RUN mkdir /made && echo made >/made/file && chown 7:8 /made/file && chmod 6755 /made/file \\
      && ln /made/file /made/hard && ln -s file /made/soft && touch -d @1400000000 /made/file && mkfifo /made/pipe
"""

case(
    "from_stage_by_name",
    STAGE + "    FROM veneer/corpus\n    COPY --from=one /made /new\n",
    differs={"buildkit-20": "20.10 copies no FIFOs"},
)
case("from_stage_by_number", STAGE + "    FROM veneer/corpus\n    COPY --from=0 /made/file /new\n")
case(
    "from_stage_owner_is_kept",
    STAGE + "    FROM veneer/corpus\n    COPY --from=one /made/file /odd/capable /data/other /new/\n",
)
case(
    "from_stage_chown",
    STAGE + "    FROM veneer/corpus\n    COPY --from=one --chown=app:staff /made /new\n",
    differs={"buildkit-20": "20.10 copies no FIFOs"},
)
case("from_stage_relative_source", STAGE + "    FROM scratch\n    COPY --from=one made/file /new\n")
case(
    "from_stage_whole",
    """
    FROM veneer/corpus AS one
    FROM scratch
    COPY --from=one /data /links /odd /
    """,
    differs={"buildkit-20": "20.10 copies no FIFOs"},
)
case(
    "from_stage_everything",
    """
    FROM veneer/corpus AS one
    RUN rm -r /data /odd
    FROM scratch
    COPY --from=one / /
    """,
)
case(
    "from_stage_symlink_source",
    """
    FROM veneer/corpus AS one
    FROM scratch
    COPY --from=one /links/absolute /links/file /links/escaping /new/
    """,
)
case(
    "from_stage_dangling_source",
    """
    FROM veneer/corpus AS one
    FROM scratch
    COPY --from=one /links/dangling /new
    """,
    fails="(?i)not found",
)
case(
    "from_stage_glob",
    """
    FROM veneer/corpus AS one
    FROM scratch
    COPY --from=one /odd/set* /odd/[ot]?[eo] /new/
    """,
)
case(
    "from_stage_with_deletions",
    """
    FROM veneer/corpus AS one
    RUN rm /data/file /data/sub/deep/file && rmdir /data/empty
    FROM scratch
    COPY --from=one /data /new
    """,
)
case(
    "from_image",
    """
    FROM scratch
    COPY --from=veneer/corpus /data/file /new
    """,
)
case(
    "from_image_of_argument_is_refused",
    """
    ARG I=veneer/corpus
    FROM scratch
    ARG I
    COPY --from=$I /data/file /new
    """,
    fails="(?i)variable expansion|invalid|not supported|parse|undefined|failed",
    differs={"buildah": "variables count in --from"},
)
case(
    "from_later_stage",
    """
    FROM veneer/corpus
    COPY --from=two /x /y
    FROM veneer/corpus AS two
    RUN touch /x
    """,
    flags=["--target", "0"],
    fails=".",
)
case(
    "from_number_out_of_range",
    """
    FROM veneer/corpus
    COPY --from=5 /x /y
    """,
    fails="(?i)invalid|index|pull access|not found|failed",
)
case(
    "from_own_stage",
    """
    FROM veneer/corpus AS me
    COPY --from=me /x /y
    """,
    fails="(?i)circular|invalid|itself|own|not found|failed|self",
)
case(
    "from_stage_on_stage",
    """
    FROM veneer/corpus AS a
    RUN echo a >/a
    FROM a AS b
    RUN echo b >/b
    FROM scratch
    COPY --from=b /a /b /
    """,
)
case(
    "stage_name_hides_image",
    """
    FROM veneer/corpus AS veneer
    RUN echo stage >/x
    FROM veneer
    COPY --from=veneer /x /y
    """,
)
case(
    "stage_names_twice_last_counts",
    """
    FROM veneer/corpus AS a
    RUN echo 1 >/x
    FROM veneer/corpus AS a
    RUN echo 2 >/x
    FROM scratch
    COPY --from=a /x /x
    """,
)
case(
    "unused_stage_is_not_built",
    """
    FROM veneer/corpus AS broken
    RUN false
    FROM veneer/corpus
    ENV A=1
    """,
)
case(
    "target",
    """
    FROM veneer/corpus AS a
    ENV A=1
    FROM a AS b
    ENV B=1
    FROM b AS c
    RUN false
    """,
    flags=["--target", "b"],
)
case(
    "target_by_number",
    """
    FROM veneer/corpus
    ENV A=1
    FROM veneer/corpus
    ENV B=1
    """,
    flags=["--target", "0"],
    fails="could not be found",
    differs={"buildah": "it takes the number of a stage, too"},
)
case(
    "target_in_any_case",
    """
    FROM veneer/corpus AS Mixed
    ENV A=1
    FROM veneer/corpus
    """,
    flags=["--target", "mIXED"],
    differs={"buildah": "stages' names have their case"},
)
case(
    "target_unknown",
    "FROM veneer/corpus AS a\n",
    flags=["--target", "nothing"],
    fails="(?i)target stage .*nothing.* could not be found|failed to reach build target|no stage",
)
case(
    "stage_config_is_inherited",
    'FROM veneer/corpus AS a\nENV A=1\nWORKDIR /w\nUSER app\nCMD ["x"]\nEXPOSE 1\nLABEL l=1\nFROM a\nENV B=1\n',
    differs={"buildah": "the directory of WORKDIR is made when something runs"},
)
case(
    "stage_config_is_not_copied",
    """
    FROM veneer/corpus AS a
    ENV A=1
    EXPOSE 1
    FROM veneer/corpus
    COPY --from=a /data/file /x
    """,
)
case(
    "diamond",
    """
    FROM veneer/corpus AS base
    RUN echo 0 >/0
    FROM base AS l
    RUN echo l >/l
    FROM base AS r
    RUN echo r >/r
    FROM base
    COPY --from=l /l /
    COPY --from=r /r /
    """,
)
case(
    "copy_twice_into_one_place",
    """
    FROM veneer/corpus AS a
    RUN mkdir /d && echo 1 >/d/x
    FROM veneer/corpus
    COPY --from=a /d /d
    COPY d /d
    """,
    {"d/x": "2", "d/y": "3"},
)

case(
    "from_named_context",
    """
    FROM veneer/corpus
    COPY --from=other file /new
    """,
    flags=["--build-context", "other=%FILES%/o"],
    files={"o/file": "other", "o/.dockerignore": "x"},
    since="1.4",
    tree={"/new": 'f 644 0:0 "other" @1600000000'},
)
case(
    "from_named_context_with_ignore_file",
    """
    FROM veneer/corpus
    COPY --from=other / /new/
    """,
    flags=["--build-context", "other=%FILES%/o"],
    files={"o/kept": "1", "o/skipped": "2", "o/.dockerignore": ".dockerignore\nskipped\n"},
    unsupported={"buildkit": "not recorded", "buildah": "not tried"},
    tree={"/new": "d 755 0:0", "/new/kept": 'f 644 0:0 "1" @1600000000'},
)
case(
    "named_context_replaces_stage",
    """
    FROM veneer/corpus AS one
    RUN false
    FROM veneer/corpus
    COPY --from=one file /new
    """,
    flags=["--build-context", "one=%FILES%/o"],
    files={"o/file": "other"},
    since="1.4",
    tree={"/new": 'f 644 0:0 "other" @1600000000'},
)

OLD = {"buildah": "it does not know the flag"}
case(
    "link",
    """
    FROM veneer/corpus
    COPY --link file /data/new
    COPY --link dir /made/
    """,
    {"file": "A", "dir/b": "B"},
    since="1.4",
    unsupported=OLD,
    tree={
        "/data/new": 'f 644 0:0 "A" @1600000000',
        "/made": "d 755 0:0",
        "/made/b": 'f 644 0:0 "B" @1600000000',
    },
)
case(
    "link_from_stage",
    STAGE + "    FROM veneer/corpus\n    COPY --link --from=one /made/file /deep/er/\n",
    since="1.4",
    unsupported=OLD,
    differs={"buildkit": "dockerd ignores --link with a store of its own"},
    tree={"/deep": "d 755 0:0", "/deep/er": "d 755 0:0", "/deep/er/file": 'f 6755 7:8 "made\\n" @1400000000'},
)
case(
    "link_replaces_symlink",
    """
    FROM veneer/corpus
    COPY --link file /links/absolute/new
    """,
    {"file": "A"},
    since="1.4",
    unsupported=OLD,
    differs={"buildkit": "dockerd ignores --link with a store of its own"},
    tree={"/links/absolute": "d 755 0:0", "/links/absolute/new": 'f 644 0:0 "A" @1600000000'},
)
case(
    "link_chown_number",
    """
    FROM veneer/corpus
    COPY --link --chown=1000:50 file /new/dir/
    """,
    {"file": "A"},
    since="1.4",
    unsupported=OLD,
)
case(
    "link_false",
    """
    FROM veneer/corpus
    COPY --link=false file /links/absolute/new
    """,
    {"file": "A"},
    since="1.4",
    unsupported=OLD,
)

PARENTS = {"p/q/a": "A", "p/q/b": "B", "p/r/c": "C", "p": Dir(mode=0o750), "top": "T"}
case(
    "parents",
    """
    FROM veneer/corpus
    COPY --parents p/q/a top /new/
    """,
    PARENTS,
    since="1.20",
    unsupported=OLD,
    tree={
        "/new": "d 755 0:0",
        "/new/p": "d 750 0:0 @1600000000",
        "/new/p/q": "d 755 0:0 @1600000000",
        "/new/p/q/a": 'f 644 0:0 "A" @1600000000',
        "/new/top": 'f 644 0:0 "T" @1600000000',
    },
)
case(
    "parents_glob",
    """
    FROM veneer/corpus
    COPY --parents p/**/[ac] /new/
    """,
    PARENTS,
    since="1.20",
    unsupported=OLD,
    tree={
        "/new": "d 755 0:0",
        "/new/p": "d 750 0:0 @1600000000",
        "/new/p/q": "d 755 0:0 @1600000000",
        "/new/p/q/a": 'f 644 0:0 "A" @1600000000',
        "/new/p/r": "d 755 0:0 @1600000000",
        "/new/p/r/c": 'f 644 0:0 "C" @1600000000',
    },
)
case(
    "parents_pivot",
    """
    FROM veneer/corpus
    COPY --parents p/./q/a p/./r /new/
    """,
    PARENTS,
    since="1.20",
    unsupported=OLD,
    tree={
        "/new": "d 755 0:0",
        "/new/q": "d 755 0:0 @1600000000",
        "/new/q/a": 'f 644 0:0 "A" @1600000000',
        "/new/r": "d 755 0:0 @1600000000",
        "/new/r/c": 'f 644 0:0 "C" @1600000000',
    },
)
case(
    "exclude",
    """
    FROM veneer/corpus
    COPY --exclude=*.o --exclude=sub/** src /new/
    """,
    {"src/a.c": "A", "src/a.o": "O", "src/sub/x": "X", "src/deep/b.o": "B", "src/deep/b.c": "C"},
    since="1.19",
    unsupported=OLD,
)
case(
    "exclude_exception",
    """
    FROM veneer/corpus
    COPY --exclude=**/*.o --exclude=!deep/keep.o src /new/
    """,
    {"src/a.c": "A", "src/a.o": "O", "src/deep/keep.o": "K", "src/deep/b.o": "B"},
    since="1.19",
    unsupported=OLD,
)
