"""What finds a step in the cache, and what does not: the last build's result counts."""

from case import Dir, File, build, case

COPIES = "FROM veneer/corpus\nCOPY d /d\nRUN cat /d/x >/out\n"
case("cache_all_the_same", COPIES, {"d/x": "1"}, then=[build()], same_image=True)
case(
    "cache_a_time_does_not_count",
    COPIES,
    {"d/x": "1"},
    then=[build(context={"d/x": File("1", mtime=1_600_000_001)})],
    same_image=True,
    differs={"buildah": "times count in its cache's keys"},
)
case("cache_content_counts", COPIES, {"d/x": "1"}, then=[build(context={"d/x": "2"})])
case("cache_mode_counts", COPIES, {"d/x": "1"}, then=[build(context={"d/x": File("1", mode=0o600)})])
case("cache_directory_mode_counts", COPIES, {"d/x": "1"}, then=[build(context={"d": Dir(mode=0o700)})])
case("cache_name_counts", COPIES, {"d/x": "1", "d/y": "2"}, then=[build(context={"d/y": None, "d/z": "2"})])
case(
    "cache_of_others_files_does_not_count",
    COPIES,
    {"d/x": "1", "e": "1"},
    then=[build(context={"e": "2"})],
    same_image=True,
)
case(
    "cache_attribute_counts",
    COPIES,
    {"d/x": File("1", mode=0o755)},
    then=[
        build(
            context={
                "d/x": File(
                    "1",
                    mode=0o755,
                    xattrs={"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")},
                )
            }
        )
    ],
    tree={
        "/d": "d 755 0:0 @1600000000",
        "/d/x": 'f 755 0:0 "1" @1600000000 security.capability=0x0100000200200000000000000000000000000000',
        "/out": 'f 644 0:0 "1"',
    },
    differs={"buildkit": "what it receives of a context loses capabilities: the owner is set after them"},
)
case("cache_empty_directory_counts", COPIES, {"d/x": "1"}, then=[build(context={"d/new": Dir()})])
case(
    "cache_chown_counts",
    COPIES,
    {"d/x": "1"},
    then=[
        build(
            """
    FROM veneer/corpus
    COPY --chown=app d /d
    RUN cat /d/x >/out
    """
        )
    ],
)
case(
    "cache_used_argument_counts",
    """
    FROM veneer/corpus
    ARG A
    RUN echo $A >/out
    """,
    flags=["--build-arg", "A=1"],
    then=[build(flags=["--build-arg", "A=2"])],
)
case(
    "cache_argument_of_run_after_it_counts",
    """
    FROM veneer/corpus
    ARG A
    RUN echo x >/out
    """,
    flags=["--build-arg", "A=1"],
    then=[build(flags=["--build-arg", "A=2"])],
)
case(
    "cache_argument_is_not_for_copy",
    """
    FROM veneer/corpus
    ARG A
    COPY d /d
    """,
    {"d/x": "1"},
    flags=["--build-arg", "A=1"],
    then=[build(flags=["--build-arg", "A=2"])],
)
case(
    "cache_glob_set_counts",
    """
    FROM veneer/corpus
    COPY *.c /src/
    """,
    {"a.c": "1"},
    then=[build(context={"b.c": "2"})],
)
case(
    "cache_stage_change_counts",
    """
    FROM veneer/corpus AS one
    COPY d /d
    FROM veneer/corpus
    COPY --from=one /d/x /out
    """,
    {"d/x": "1"},
    then=[build(context={"d/x": "2"})],
)
case(
    "cache_mount_content_counts",
    """
    FROM veneer/corpus
    RUN --mount=target=/ctx cat /ctx/x >/out
    """,
    {"x": "1"},
    then=[build(context={"x": "2"})],
    differs={
        "buildah": "the content of a bind mount does not count in its cache's keys: the old result is used",
        "buildkit-20": "20.10 leaves in the layer what it made to mount on",
    },
)
case(
    "cache_secret_does_not_count",
    """
    FROM veneer/corpus
    RUN --mount=type=secret,id=s cat /run/secrets/s >/out
    """,
    flags=["--secret", "id=s,src=%FILES%/one"],
    files={"one": "1", "two": "2"},
    then=[build(flags=["--secret", "id=s,src=%FILES%/two"])],
    differs={
        "buildah": "it looks for the file again",
        "buildkit-20": "20.10 leaves in the layer what it made to mount on",
    },
)
case(
    "cache_step_after_a_change",
    """
    FROM veneer/corpus
    RUN echo 1 >/one
    RUN cat /one >/two
    """,
    then=[
        build(
            """
    FROM veneer/corpus
    RUN echo 2 >/one
    RUN cat /one >/two
    """
        )
    ],
)
case(
    "cache_env_counts",
    """
    FROM veneer/corpus
    ENV A=1
    RUN echo $A >/out
    """,
    then=[
        build(
            """
    FROM veneer/corpus
    ENV A=2
    RUN echo $A >/out
    """
        )
    ],
)
case(
    "cache_workdir_counts",
    """
    FROM veneer/corpus
    WORKDIR /a
    RUN pwd >/out
    """,
    then=[
        build(
            """
    FROM veneer/corpus
    WORKDIR /b
    RUN pwd >/out
    """
        )
    ],
)
case(
    "cache_user_counts",
    """
    FROM veneer/corpus
    USER app
    RUN id -un >/tmp/out
    """,
    then=[
        build(
            """
    FROM veneer/corpus
    USER dev
    RUN id -un >/tmp/out
    """
        )
    ],
)
case(
    "no_cache",
    """
    FROM veneer/corpus
    COPY d /d
    RUN echo x >/out
    """,
    {"d/x": "1"},
    flags=["--no-cache"],
    then=[build()],
)
