r"""Expansion, quotes, and where an ARG is seen."""

from case import build, case

case(
    "default_if_unset_or_empty",
    """
    FROM veneer/corpus
    ARG SET=value
    ARG EMPTY=
    ENV A=${SET:-x} B=${EMPTY:-x} C=${UNSET:-x} D=${UNSET:-} E="${UNSET:-a b}"
    """,
)

case(
    "a_space_in_a_default_ends_the_word",
    """
    FROM veneer/corpus
    ENV A=${UNSET:-a b}
    """,
    fails="(?i)syntax error|Syntax|can't find = in",
)

case(
    "replacement_if_set",
    """
    FROM veneer/corpus
    ARG SET=value
    ARG EMPTY=
    ENV A=${SET:+x} B=${EMPTY:+x} C=${UNSET:+x}
    """,
)

case(
    "default_if_unset",
    """
    FROM veneer/corpus
    ARG SET=value
    ARG EMPTY=
    ENV A=${SET-x} B=${EMPTY-x} C=${UNSET-x} D=${SET+x} E=${EMPTY+x} F=${UNSET+x}
    """,
    since="1.5",
    unsupported={"buildah": "it knows :- and :+ alone"},
)

case(
    "required_is_set",
    """
    FROM veneer/corpus
    ARG SET=value
    ENV A=${SET:?needed} B=${SET?needed}
    """,
    since="1.5",
    unsupported={"buildah": "it knows :- and :+ alone"},
)

case(
    "required_is_missing",
    """
    FROM veneer/corpus
    ENV A="${UNSET:?it is needed}"
    """,
    fails="UNSET: it is needed",
)

case(
    "prefix_and_suffix",
    """
    FROM veneer/corpus
    ARG P=/usr/local/lib/libfoo.so.1.2
    ENV A=${P#*/} B=${P##*/} C=${P%.*} D=${P%%.*} E=${P#/usr/} F=${P%x}
    """,
    since="1.7",
    unsupported={"buildah": "it knows :- and :+ alone"},
    tree={},
    config={
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "BASE=from the base",
            "A=usr/local/lib/libfoo.so.1.2",
            "B=libfoo.so.1.2",
            "C=/usr/local/lib/libfoo.so.1",
            "D=/usr/local/lib/libfoo",
            "E=local/lib/libfoo.so.1.2",
            "F=/usr/local/lib/libfoo.so.1.2",
        ]
    },
)

case(
    "substitution",
    r"""
    FROM veneer/corpus
    ARG P=one/two/two
    ENV A=${P/two/2} B=${P//two/2} C=${P/t?o/x} D=${P//o*/x} E=${P/nothing/x} F=${P//\//-}
    """,
    since="1.7",
    unsupported={"buildah": "it knows :- and :+ alone"},
    tree={},
)

case(
    "nested",
    """
    FROM veneer/corpus
    ARG INNER=deep
    ENV A=${UNSET:-${INNER}} B=${UNSET:-${ALSO:-$INNER}x}
    """,
)

case(
    "quotes_and_escapes",
    r"""
    FROM veneer/corpus
    ENV V=v
    ENV A=\$V B='$V' C="$V" D="\$V" E=\\$V F="a\"b" G='a"b' H=$V$V I=${V}x J="$V"'$V'
    """,
)

case(
    "unset_is_empty",
    """
    FROM veneer/corpus
    ENV A=$UNSET B=x${UNSET}y C=$ D=${BASE}
    """,
)

case(
    "where_they_are_expanded",
    """
    FROM veneer/corpus
    ENV D=dir F=file N=1000 S=SIGINT K=key
    COPY $F /$D/${F}-copied
    COPY --chown=$N:$N $F /owned
    LABEL $K=$F
    EXPOSE $N
    VOLUME /$D
    STOPSIGNAL $S
    USER $N
    WORKDIR /home/app/$D
    CMD ["$D"]
    ENTRYPOINT ["$D"]
    """,
    {"file": "A"},
    differs={"buildah": "the directory of WORKDIR is made when something runs"},
)

case(
    "positional_and_special",
    """
    FROM veneer/corpus
    ENV A=$1 B=$@ C=$* D=$# E=$?
    """,
    differs={"buildah": "special parameters stay as they are"},
)

case(
    "bad_substitution",
    """
    FROM veneer/corpus
    ENV A=${BASE
    """,
    fails="(?i)(syntax error: missing|unexpected end of statement).*",
)

case(
    "unsupported_modifier",
    """
    FROM veneer/corpus
    ENV A=${BASE:=x}
    """,
    fails="(?i)unsupported modifier",
)

# ---- ARG ----------------------------------------------------------------------------------------

case(
    "arg_default_and_override",
    """
    FROM veneer/corpus
    ARG A=default
    ARG B=default
    ARG C
    RUN echo "$A $B $C" >/out
    """,
    flags=["--build-arg", "B=given", "--build-arg", "C=too"],
)

case(
    "arg_does_not_stay",
    """
    FROM veneer/corpus
    ARG A=default
    """,
    tree={},
    config={},
)

case(
    "arg_global_is_for_from_alone",
    """
    ARG NAME=veneer/corpus
    ARG SEEN=global
    FROM ${NAME}
    RUN echo "before: $SEEN" >/out
    ARG SEEN
    RUN echo "after: $SEEN" >>/out
    """,
)

case(
    "arg_global_given",
    """
    ARG NAME=none
    FROM ${NAME:-x}
    ARG NAME=local
    RUN echo $NAME >/out
    """,
    flags=["--build-arg", "NAME=veneer/corpus"],
)

case(
    "arg_ends_with_its_stage",
    """
    FROM veneer/corpus AS one
    ARG A=one
    RUN echo "$A" >/one
    FROM veneer/corpus
    RUN echo "($A)" >/two
    COPY --from=one /one /
    """,
)

case(
    "arg_is_inherited_by_a_stage_on_it",
    """
    FROM veneer/corpus AS one
    ARG A=one
    FROM one
    RUN echo "($A)" >/two
    """,
    differs={"buildah": "an ARG ends with its stage"},
)

case(
    "arg_after_use",
    """
    FROM veneer/corpus
    RUN echo "($A)" >/out
    ARG A=late
    RUN echo "($A)" >>/out
    """,
    flags=["--build-arg", "A=given"],
)

case(
    "env_wins_over_arg",
    """
    FROM veneer/corpus
    ARG A=arg
    ENV A=env
    ARG A=again
    RUN echo "$A" >/out
    """,
    flags=["--build-arg", "A=given"],
    differs={"buildah": "ENV wins over a later ARG"},
)

case(
    "env_from_arg",
    """
    FROM veneer/corpus
    ARG VERSION
    ENV VERSION=${VERSION:-1.0}
    """,
    flags=["--build-arg", "VERSION=2.0"],
)

case(
    "arg_redeclared",
    """
    FROM veneer/corpus
    ARG A=one
    RUN echo $A >/out
    ARG A=two
    RUN echo $A >>/out
    ARG A
    RUN echo "($A)" >>/out
    """,
)

case(
    "arg_several_in_a_line",
    """
    FROM veneer/corpus
    ARG A=1 B=$A C="a b"
    RUN echo "$A-$B-$C" >/out
    """,
    differs={
        "buildah": "an ARG does not see the earlier ones of its line",
        "buildkit-20": "in 20.10 an ARG does not see the earlier ones of its line",
    },
)

case(
    "arg_uses_earlier_arg",
    """
    ARG ONE=1
    ARG TWO=${ONE}2
    FROM veneer/corpus
    ARG TWO
    ARG THREE=${TWO}3
    RUN echo $THREE >/out
    """,
)

case(
    "arg_predefined_proxies",
    """
    FROM veneer/corpus
    RUN echo "$HTTP_PROXY $no_proxy" >/out
    """,
    flags=["--build-arg", "HTTP_PROXY=http://127.0.0.1:1", "--build-arg", "no_proxy=localhost"],
)

case(
    "arg_from_the_environment",
    """
    FROM veneer/corpus
    ARG FROM_ENV=default
    RUN echo $FROM_ENV >/out
    """,
    flags=["--build-arg", "FROM_ENV"],
    env={"FROM_ENV": "outside"},
)

case(
    "arg_platform",
    """
    FROM --platform=$BUILDPLATFORM veneer/corpus
    ARG TARGETPLATFORM
    ARG TARGETOS
    ARG TARGETARCH
    ARG BUILDPLATFORM
    ARG TARGETVARIANT
    RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH $BUILDPLATFORM ($TARGETVARIANT)" >/out
    """,
)

case(
    "arg_platform_needs_its_line",
    """
    FROM veneer/corpus
    RUN echo "($TARGETARCH)" >/out
    """,
)

case(
    "arg_quotes",
    r"""
    FROM veneer/corpus
    ARG A="two words"
    ARG B='single $A'
    ARG C=esc\ aped
    RUN echo "$A|$B|$C" >/out
    """,
)

case(
    "arg_in_onbuild",
    """
    FROM %BASE%
    RUN echo "$LATER" >/out
    """,
    before=[
        build(
            """
    FROM veneer/corpus
    ONBUILD ARG LATER=default
    """
        )
    ],
    flags=["--build-arg", "LATER=given"],
)

case(
    "arg_unused_is_no_error",
    "FROM veneer/corpus\n",
    flags=["--build-arg", "NOBODY=knows"],
    tree={},
)

case(
    "arg_in_copy_from",
    """
    FROM veneer/corpus AS one
    RUN echo 1 >/file
    FROM veneer/corpus AS two
    RUN echo 2 >/file
    FROM veneer/corpus
    ARG N=1
    COPY file /out
    ENV N=$N
    """,
    {"file": "A"},
)

case(
    "arg_chooses_the_stage",
    """
    ARG KIND=release
    FROM veneer/corpus AS build-debug
    RUN echo debug >/kind
    FROM veneer/corpus AS build-release
    RUN echo release >/kind
    FROM build-${KIND}
    """,
    flags=["--build-arg", "KIND=debug"],
)

case(
    "arg_secret_of_a_line_is_in_the_history",
    """
    FROM veneer/corpus
    ARG A=1
    ARG B=2
    RUN echo "$B" >/out
    ENV C=3
    """,
    flags=["--build-arg", "A=x y"],
)
