"""COPY with --from, --link, --parents, --exclude, and between stages."""

from case import Dir, Symlink, case

STAGE = """
    FROM veneer/corpus AS one
    RUN mkdir /made && echo made >/made/file && chown 7:8 /made/file && chmod 6755 /made/file \\
      && ln /made/file /made/hard && ln -s file /made/soft && touch -d @1400000000 /made/file && mkfifo /made/pipe
"""

case("from_stage_by_name", STAGE + "    FROM veneer/corpus\n    COPY --from=one /made /new\n")
case("from_stage_by_number", STAGE + "    FROM veneer/corpus\n    COPY --from=0 /made/file /new\n")
case("from_stage_owner_is_kept", STAGE + "    FROM veneer/corpus\n    COPY --from=one /made/file /odd/capable /data/other /new/\n")
case("from_stage_chown", STAGE + "    FROM veneer/corpus\n    COPY --from=one --chown=app:staff /made /new\n")
case("from_stage_relative_source", STAGE + "    FROM scratch\n    COPY --from=one made/file /new\n")
case("from_stage_whole", "FROM veneer/corpus AS one\nFROM scratch\nCOPY --from=one /data /links /odd /\n")
case("from_stage_everything", "FROM veneer/corpus AS one\nRUN rm -r /data /odd\nFROM scratch\nCOPY --from=one / /\n")
case("from_stage_symlink_source", "FROM veneer/corpus AS one\nFROM scratch\nCOPY --from=one /links/absolute /links/file /links/escaping /new/\n")
case("from_stage_dangling_source", "FROM veneer/corpus AS one\nFROM scratch\nCOPY --from=one /links/dangling /new\n", fails="(?i)not found")
case("from_stage_glob", "FROM veneer/corpus AS one\nFROM scratch\nCOPY --from=one /odd/set* /odd/[ot]?[eo] /new/\n")
case("from_stage_with_deletions", "FROM veneer/corpus AS one\nRUN rm /data/file /data/sub/deep/file && rmdir /data/empty\nFROM scratch\nCOPY --from=one /data /new\n")
case("from_image", "FROM scratch\nCOPY --from=veneer/corpus /data/file /new\n")
case("from_image_of_argument_is_refused", "ARG I=veneer/corpus\nFROM scratch\nARG I\nCOPY --from=$I /data/file /new\n", fails="(?i)variable expansion|invalid|not supported|parse|undefined|failed")
case("from_later_stage", "FROM veneer/corpus\nCOPY --from=two /x /y\nFROM veneer/corpus AS two\nRUN touch /x\n", flags=["--target", "0"], fails=".")
case("from_number_out_of_range", "FROM veneer/corpus\nCOPY --from=5 /x /y\n", fails="(?i)invalid|index|pull access|not found|failed")
case("from_own_stage", "FROM veneer/corpus AS me\nCOPY --from=me /x /y\n", fails="(?i)circular|invalid|itself|own|not found|failed|self")
case("from_stage_on_stage", "FROM veneer/corpus AS a\nRUN echo a >/a\nFROM a AS b\nRUN echo b >/b\nFROM scratch\nCOPY --from=b /a /b /\n")
case("stage_name_hides_image", "FROM veneer/corpus AS veneer\nRUN echo stage >/x\nFROM veneer\nCOPY --from=veneer /x /y\n")
case("stage_names_twice_last_counts", "FROM veneer/corpus AS a\nRUN echo 1 >/x\nFROM veneer/corpus AS a\nRUN echo 2 >/x\nFROM scratch\nCOPY --from=a /x /x\n")
case("unused_stage_is_not_built", "FROM veneer/corpus AS broken\nRUN false\nFROM veneer/corpus\nENV A=1\n")
case("target", "FROM veneer/corpus AS a\nENV A=1\nFROM a AS b\nENV B=1\nFROM b AS c\nRUN false\n", flags=["--target", "b"])
case("target_by_number", "FROM veneer/corpus\nENV A=1\nFROM veneer/corpus\nENV B=1\n", flags=["--target", "0"])
case("target_in_any_case", "FROM veneer/corpus AS Mixed\nENV A=1\nFROM veneer/corpus\n", flags=["--target", "mIXED"])
case("target_unknown", "FROM veneer/corpus AS a\n", flags=["--target", "nothing"], fails="(?i)target stage .*nothing.* could not be found|failed to reach build target|no stage")
case("stage_config_is_inherited", 'FROM veneer/corpus AS a\nENV A=1\nWORKDIR /w\nUSER app\nCMD ["x"]\nEXPOSE 1\nLABEL l=1\nFROM a\nENV B=1\n')
case("stage_config_is_not_copied", "FROM veneer/corpus AS a\nENV A=1\nEXPOSE 1\nFROM veneer/corpus\nCOPY --from=a /data/file /x\n")
case("diamond", "FROM veneer/corpus AS base\nRUN echo 0 >/0\nFROM base AS l\nRUN echo l >/l\nFROM base AS r\nRUN echo r >/r\nFROM base\nCOPY --from=l /l /\nCOPY --from=r /r /\n")
case("copy_twice_into_one_place", "FROM veneer/corpus AS a\nRUN mkdir /d && echo 1 >/d/x\nFROM veneer/corpus\nCOPY --from=a /d /d\nCOPY d /d\n", {"d/x": "2", "d/y": "3"})

case(
    "from_named_context",
    "FROM veneer/corpus\nCOPY --from=other file /new\n",
    flags=["--build-context", "other=%FILES%/o"],
    files={"o/file": "other", "o/.dockerignore": "x"},
    since="1.4",
    unsupported={"buildkit": "the command of Docker without buildx has no --build-context"},
    tree={"/new": 'f 644 0:0 "other" @1600000000'},
)
case(
    "named_context_replaces_stage",
    "FROM veneer/corpus AS one\nRUN false\nFROM veneer/corpus\nCOPY --from=one file /new\n",
    flags=["--build-context", "one=%FILES%/o"],
    files={"o/file": "other"},
    since="1.4",
    unsupported={"buildkit": "the command of Docker without buildx has no --build-context"},
    tree={"/new": 'f 644 0:0 "other" @1600000000'},
)

OLD = {"buildah": "it does not know the flag"}
case("link", "FROM veneer/corpus\nCOPY --link file /data/new\nCOPY --link dir /made/\n", {"file": "A", "dir/b": "B"}, since="1.4", unsupported=OLD, tree={"/data/new": 'f 644 0:0 "A" @1600000000', "/made": "d 755 0:0", "/made/b": 'f 644 0:0 "B" @1600000000'})
case("link_from_stage", STAGE + "    FROM veneer/corpus\n    COPY --link --from=one /made/file /deep/er/\n", since="1.4", unsupported=OLD)
case("link_replaces_symlink", "FROM veneer/corpus\nCOPY --link file /links/absolute/new\n", {"file": "A"}, since="1.4", unsupported=OLD)
case("link_chown_number", "FROM veneer/corpus\nCOPY --link --chown=1000:50 file /new/dir/\n", {"file": "A"}, since="1.4", unsupported=OLD)
case("link_false", "FROM veneer/corpus\nCOPY --link=false file /links/absolute/new\n", {"file": "A"}, since="1.4", unsupported=OLD)

PARENTS = {"p/q/a": "A", "p/q/b": "B", "p/r/c": "C", "p": Dir(mode=0o750), "top": "T"}
case(
    "parents",
    "FROM veneer/corpus\nCOPY --parents p/q/a top /new/\n",
    PARENTS,
    since="1.20",
    unsupported=OLD,
    tree={"/new": "d 755 0:0", "/new/p": "d 750 0:0 @1600000000", "/new/p/q": "d 755 0:0 @1600000000", "/new/p/q/a": 'f 644 0:0 "A" @1600000000', "/new/top": 'f 644 0:0 "T" @1600000000'},
)
case(
    "parents_glob",
    "FROM veneer/corpus\nCOPY --parents p/**/[ac] /new/\n",
    PARENTS,
    since="1.20",
    unsupported=OLD,
    tree={"/new": "d 755 0:0", "/new/p": "d 750 0:0 @1600000000", "/new/p/q": "d 755 0:0 @1600000000", "/new/p/q/a": 'f 644 0:0 "A" @1600000000', "/new/p/r": "d 755 0:0 @1600000000", "/new/p/r/c": 'f 644 0:0 "C" @1600000000'},
)
case(
    "parents_pivot",
    "FROM veneer/corpus\nCOPY --parents p/./q/a p/./r /new/\n",
    PARENTS,
    since="1.20",
    unsupported=OLD,
    tree={"/new": "d 755 0:0", "/new/q": "d 755 0:0 @1600000000", "/new/q/a": 'f 644 0:0 "A" @1600000000', "/new/r": "d 755 0:0 @1600000000", "/new/r/c": 'f 644 0:0 "C" @1600000000'},
)
case(
    "exclude",
    "FROM veneer/corpus\nCOPY --exclude=*.o --exclude=sub/** src /new/\n",
    {"src/a.c": "A", "src/a.o": "O", "src/sub/x": "X", "src/deep/b.o": "B", "src/deep/b.c": "C"},
    since="1.19",
    unsupported=OLD,
)
case(
    "exclude_exception",
    "FROM veneer/corpus\nCOPY --exclude=**/*.o --exclude=!deep/keep.o src /new/\n",
    {"src/a.c": "A", "src/a.o": "O", "src/deep/keep.o": "K", "src/deep/b.o": "B"},
    since="1.19",
    unsupported=OLD,
)

# ---- Go's globs ----------------------------------------------------------------------------------

GLOB = {"a.txt": "1", "b.txt": "2", "ab.txt": "3", ".hidden.txt": "4", "d/a.txt": "5", "d/e/f.txt": "6", "x[1].txt": "7", "A.TXT": "8", "dd/g": "9"}
case("glob_star", "FROM veneer/corpus\nCOPY *.txt /new/\n", GLOB)
case("glob_question", "FROM veneer/corpus\nCOPY ?.txt /new/\n", GLOB)
case("glob_class", "FROM veneer/corpus\nCOPY [a-b].txt [^a]b.txt* /new/\n", GLOB, fails="(?i)not found|no match|no source|no such|no items")
case("glob_class_range", "FROM veneer/corpus\nCOPY [a-b]*.txt /new/\n", GLOB)
case("glob_negated_class", "FROM veneer/corpus\nCOPY [^.A-Z]*.txt /new/\n", GLOB)
case("glob_escaped", "FROM veneer/corpus\nCOPY x[[]1].txt /new/\n", GLOB)
case("glob_in_directory", "FROM veneer/corpus\nCOPY */*.txt /new/\n", GLOB)
case("glob_matches_directory", "FROM veneer/corpus\nCOPY d* /new/\n", GLOB)
case("glob_star_does_not_cross", "FROM veneer/corpus\nCOPY d/*.txt /new/\n", GLOB)
case("glob_double_star", "FROM veneer/corpus\nCOPY d/**/*.txt /new/\n", GLOB, differs={"buildah": "** crosses directories there, as in .dockerignore"})
case("glob_nothing", "FROM veneer/corpus\nCOPY *.none /new/\n", GLOB, fails="(?i)not found|no match|no such|no source|no items|no files")
case("glob_one_file_to_name", "FROM veneer/corpus\nCOPY a*.txt /new\n", {"a.txt": "1"})
case("glob_several_to_name", "FROM veneer/corpus\nCOPY *.txt /new\n", GLOB, fails=".")
case("glob_of_symlinks", "FROM veneer/corpus\nCOPY l* /new/\n", {"l1": Symlink("t"), "l2": Symlink("dir"), "t": "T", "dir/x": "X"})

