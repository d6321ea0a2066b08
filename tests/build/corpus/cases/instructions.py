"""What each instruction does to the config."""

from case import build, case

case("from_alone", "FROM veneer/corpus\n", tree={}, config={})

case(
    "from_scratch",
    """
    FROM scratch
    COPY file /
    """,
    {"file": "A"},
    tree={"/file": 'f 644 0:0 "A" @1600000000'},
)

case(
    "from_scratch_config_alone",
    """
    FROM veneer/corpus AS unused
    FROM scratch
    LABEL only=this
    CMD ["/x"]
    """,
    unsupported={"buildkit": "docker saves no image without layers"},
    tree={},
    config={"Cmd": ["/x"], "Labels": {"only": "this"}},
)

case(
    "cmd_exec",
    """
    FROM veneer/corpus
    CMD ["echo", "a b", "$HOME"]
    """,
    config={"Cmd": ["echo", "a b", "$HOME"]},
)

case(
    "cmd_shell",
    """
    FROM veneer/corpus
    CMD echo "a b" $HOME
    """,
    config={"Cmd": ["/bin/sh", "-c", 'echo "a b" $HOME']},
)

case(
    "cmd_last_counts",
    """
    FROM veneer/corpus
    CMD ["first"]
    CMD ["second"]
    """,
)

case(
    "cmd_empty_list",
    """
    FROM veneer/corpus
    CMD []
    """,
)

case(
    "cmd_bad_json_is_shell",
    """
    FROM veneer/corpus
    CMD ['echo', 'single']
    """,
)

case(
    "cmd_json_of_other_types",
    """
    FROM veneer/corpus
    CMD ["echo", 1]
    """,
    fails="arrays must be comprised of strings only",
)

case(
    "entrypoint_resets_cmd_of_base",
    """
    FROM veneer/corpus
    ENTRYPOINT ["/entry"]
    """,
    config={"Cmd": None, "Entrypoint": ["/entry"]},
)

case(
    "entrypoint_keeps_cmd_of_file",
    """
    FROM veneer/corpus
    CMD ["mine"]
    ENTRYPOINT ["/entry"]
    """,
    config={"Cmd": ["mine"], "Entrypoint": ["/entry"]},
)

case(
    "entrypoint_shell_form",
    """
    FROM veneer/corpus
    ENTRYPOINT exec top -b
    CMD ["x"]
    """,
)

case(
    "entrypoint_empty_list",
    """
    FROM %BASE%
    ENTRYPOINT []
    """,
    before=[build('FROM veneer/corpus\nENTRYPOINT ["/entry"]\nCMD ["x"]\n')],
)

case(
    "cmd_keeps_entrypoint_of_base",
    """
    FROM %BASE%
    CMD ["y"]
    """,
    before=[build('FROM veneer/corpus\nENTRYPOINT ["/entry"]\nCMD ["x"]\n')],
)

case(
    "env_forms",
    r"""
    FROM veneer/corpus
    ENV OLD one two   three
    ENV A=1 B="two words" C=three\ words D='$A' E="$A"
    ENV BASE=changed EMPTY=
    """,
    differs={"buildah": "a variable sees the earlier ones of its own line, and the order is another"},
)

case(
    "env_of_one_line_sees_earlier_lines",
    """
    FROM veneer/corpus
    ENV A=1
    ENV A=2 B=$A C=${A}x
    """,
    config={
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "BASE=from the base",
            "A=2",
            "B=1",
            "C=1x",
        ]
    },
)

case(
    "env_path_is_extended",
    """
    FROM veneer/corpus
    ENV PATH=/opt/bin:$PATH
    RUN echo "$PATH" >/path
    """,
    differs={"buildah": "a variable that is set again comes last"},
)

case(
    "label_merges",
    r"""
    FROM veneer/corpus
    LABEL kept="mine now" a=b "quoted key"="quoted value" multi="line one \
    line two"
    LABEL a=c single='$BASE' double="$BASE"
    """,
)

case(
    "label_old_form",
    """
    FROM veneer/corpus
    LABEL name some value
    """,
)

case(
    "label_flag_comes_last",
    """
    FROM veneer/corpus
    LABEL a=file b=file
    """,
    flags=["--label", "a=flag", "--label", "c=flag"],
)

case(
    "maintainer",
    """
    FROM veneer/corpus
    MAINTAINER Somebody <some@example.com>
    """,
    config={"author": "Somebody <some@example.com>"},
)

case(
    "expose",
    """
    FROM veneer/corpus
    ARG PORT=9000
    EXPOSE 80 443/tcp 53/udp 8000-8003 $PORT
    """,
    differs={"buildah": "a range of ports stays a range"},
)

case(
    "expose_joins_base",
    """
    FROM %BASE%
    EXPOSE 2
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    EXPOSE 1 3/udp
    VOLUME /one
    """
        )
    ],
)

case(
    "volume_forms",
    """
    FROM veneer/corpus
    VOLUME /a /b
    VOLUME ["/c", "/d e"]
    """,
)

case(
    "volume_keeps_what_run_writes",
    """
    FROM veneer/corpus
    VOLUME /data
    RUN echo after >/data/after
    """,
    differs={"buildah": "RUN's changes below a VOLUME are thrown away, as the classic builder did"},
)

case(
    "stopsignal",
    """
    FROM veneer/corpus
    ARG SIG=SIGUSR1
    STOPSIGNAL $SIG
    """,
    config={"StopSignal": "SIGUSR1"},
)

case(
    "healthcheck_shell",
    """
    FROM veneer/corpus
    HEALTHCHECK --interval=30s --timeout=1m30s --start-period=2s --retries=5 CMD wget -q localhost || exit 1
    """,
)

case(
    "healthcheck_exec",
    """
    FROM veneer/corpus
    HEALTHCHECK CMD ["true", "x"]
    """,
)

case(
    "healthcheck_none",
    """
    FROM %BASE%
    HEALTHCHECK NONE
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    HEALTHCHECK CMD true
    """
        )
    ],
)

case(
    "healthcheck_start_interval",
    """
    FROM veneer/corpus
    HEALTHCHECK --start-period=10s --start-interval=1s CMD true
    """,
    since="1.6",
    config={
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "StartPeriod": 10_000_000_000,
            "StartInterval": 1_000_000_000,
        }
    },
    tree={},
    unsupported={"buildah": "it does not know --start-interval"},
)

case(
    "shell_changes_the_shell_form",
    """
    FROM veneer/corpus
    SHELL ["/bin/sh", "-e", "-c"]
    RUN echo "$-" | tr -dc e >/flags
    CMD echo cmd
    ENTRYPOINT echo entry
    HEALTHCHECK CMD true
    """,
    differs={"buildah": "CMD and ENTRYPOINT are for /bin/sh whatever SHELL says"},
)

case(
    "shell_is_inherited",
    """
    FROM %BASE%
    RUN echo $0 >/shell
    CMD x
    """,
    before=[build('FROM veneer/corpus\nSHELL ["/bin/ash", "-c"]\n')],
    differs={"buildah": "CMD and ENTRYPOINT are for /bin/sh whatever SHELL says"},
)

case(
    "user_names_and_ids",
    """
    FROM veneer/corpus
    USER app
    RUN id -u >/tmp/uid; id -g >/tmp/gid; echo $HOME >/tmp/home; id -G >/tmp/groups
    """,
)

case(
    "user_by_number_has_its_groups",
    """
    FROM veneer/corpus
    USER 1000
    RUN id -u >/tmp/uid; id -g >/tmp/gid; echo $HOME >/tmp/home; id -G >/tmp/groups
    """,
)

case(
    "user_with_group",
    """
    FROM veneer/corpus
    USER app:files
    RUN id -u >/tmp/uid; id -g >/tmp/gid; id -G >/tmp/groups
    """,
)

case(
    "user_number_unknown",
    """
    FROM veneer/corpus
    USER 4321:8765
    RUN id -u >/tmp/uid; id -g >/tmp/gid; echo $HOME >/tmp/home
    """,
)

case(
    "user_number_unknown_without_group",
    """
    FROM veneer/corpus
    USER 4321
    RUN id -u >/tmp/uid; id -g >/tmp/gid
    """,
)

case(
    "user_from_argument",
    """
    FROM veneer/corpus
    ARG WHO=dev
    USER $WHO
    RUN echo x >/tmp/mine
    """,
)

case(
    "user_made_by_run",
    """
    FROM veneer/corpus
    RUN echo late:x:3000:3001::/late:/bin/sh >>/etc/passwd
    USER late
    RUN touch /tmp/mine; echo $HOME >/tmp/home
    """,
)

case(
    "workdir_absolute_and_relative",
    """
    FROM veneer/corpus
    WORKDIR /one
    WORKDIR two
    WORKDIR ../three/./four
    RUN pwd >here
    """,
    differs={"buildah": "the directory of WORKDIR is made when something runs"},
)

case(
    "workdir_with_variables",
    """
    FROM veneer/corpus
    ENV DIR=/from/env
    ARG SUB=arg
    WORKDIR $DIR/${SUB}
    RUN pwd >here
    """,
)

case(
    "workdir_exists",
    """
    FROM veneer/corpus
    WORKDIR /data/sub
    RUN echo $PWD >here
    """,
)

case(
    "workdir_is_made_as_root",
    """
    FROM veneer/corpus
    USER app
    WORKDIR /made/here
    """,
    differs={"buildah": "the directory is root's whatever USER says"},
)

case(
    "workdir_of_base_is_the_start",
    """
    FROM %BASE%
    WORKDIR sub
    COPY file .
    """,
    {"file": "A"},
    before=[
        build(
            """
    FROM veneer/corpus
    WORKDIR /base/dir
    """
        )
    ],
)

case(
    "workdir_through_symlink",
    """
    FROM veneer/corpus
    WORKDIR /links/absolute/new
    RUN pwd -P >/where
    """,
)

case(
    "workdir_root",
    """
    FROM veneer/corpus
    WORKDIR /
    WORKDIR .
    """,
)

case(
    "instructions_in_any_case",
    """
    from veneer/corpus as Base
    run echo lower >/lower
    FROM base
    Run echo mixed >/mixed
    copy --from=BASE /lower /copied
    """,
    differs={"buildah": "stages' names have their case"},
)

case(
    "everything_at_once",
    """
    FROM veneer/corpus
    LABEL org.example.one=1
    ENV ONE=1
    EXPOSE 1234
    VOLUME /volume
    USER app
    WORKDIR /home/app/work
    COPY --chown=app:staff file .
    RUN cat file >twice; cat file >>twice
    ENTRYPOINT ["/bin/sh", "-c"]
    CMD ["cat twice"]
    STOPSIGNAL 9
    HEALTHCHECK --retries=3 CMD ["true"]
    """,
    {"file": "A\n"},
    differs={"buildah": "volumes' directories are made, and those of WORKDIR by other rules"},
)
