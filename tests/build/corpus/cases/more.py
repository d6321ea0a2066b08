"""ONBUILD, the cache, and what else is a rule of building as a whole."""

from case import Dir, File, Symlink, build, case

# ---- ONBUILD -------------------------------------------------------------------------------------

TRIGGERS = "FROM veneer/corpus\nONBUILD COPY file /triggered\nONBUILD RUN echo run >/ran\nONBUILD ENV T=1\n"
case("onbuild_is_stored", TRIGGERS, config={"OnBuild": ["COPY file /triggered", "RUN echo run >/ran", "ENV T=1"]}, tree={})
case("onbuild_fires", "FROM %BASE%\nRUN echo $T >/after\n", {"file": "A"}, before=[build(TRIGGERS)], config={"OnBuild": None})
case("onbuild_does_not_fire_twice", "FROM %BASE2%\nRUN ls / | grep -c triggered >/out; true\n", before=[build("FROM veneer/corpus\nONBUILD RUN echo x >>/count\n"), build("FROM %BASE%\nRUN true\n")])
case("onbuild_of_a_stage", "FROM veneer/corpus AS one\nONBUILD RUN echo one >/fired\nFROM one\nRUN cat /fired >/out\n")
case("onbuild_copy_from", "FROM veneer/corpus AS src\nRUN echo src >/x\nFROM %BASE%\n", before=[build("FROM veneer/corpus\nONBUILD COPY --from=src /x /y\n")], since="1.7")
case("onbuild_in_order_with_several", "FROM %BASE%\nRUN echo 3 >>/o\n", before=[build("FROM veneer/corpus\nONBUILD RUN echo 1 >/o\nONBUILD RUN echo 2 >>/o\n")])
case("onbuild_workdir_user", "FROM %BASE%\nRUN id -un >who; pwd >where\n", before=[build("FROM veneer/corpus\nONBUILD WORKDIR /home/app\nONBUILD USER app\n")])
case("onbuild_from_is_refused", "FROM veneer/corpus\nONBUILD FROM x\n", fails="(?i)FROM isn't allowed as an ONBUILD trigger")
case("onbuild_missing_file", "FROM %BASE%\n", before=[build(TRIGGERS)], fails="(?i)not found|no such")

# ---- the cache -----------------------------------------------------------------------------------

COPIES = "FROM veneer/corpus\nCOPY d /d\nRUN cat /d/x >/out\n"
case("cache_all_the_same", COPIES, {"d/x": "1"}, then=[build()], same_image=True)
case("cache_a_time_does_not_count", COPIES, {"d/x": "1"}, then=[build(context={"d/x": File("1", mtime=1_600_000_001)})], same_image=True, differs={"buildah": "times count in its cache's keys"})
case("cache_content_counts", COPIES, {"d/x": "1"}, then=[build(context={"d/x": "2"})])
case("cache_mode_counts", COPIES, {"d/x": "1"}, then=[build(context={"d/x": File("1", mode=0o600)})])
case("cache_directory_mode_counts", COPIES, {"d/x": "1"}, then=[build(context={"d": Dir(mode=0o700)})])
case("cache_name_counts", COPIES, {"d/x": "1", "d/y": "2"}, then=[build(context={"d/y": None, "d/z": "2"})])
case("cache_of_others_files_does_not_count", COPIES, {"d/x": "1", "e": "1"}, then=[build(context={"e": "2"})], same_image=True)
case("cache_attribute_counts", COPIES, {"d/x": File("1", mode=0o755)}, then=[build(context={"d/x": File("1", mode=0o755, xattrs={"security.capability": bytes.fromhex("0100000200200000000000000000000000000000")})})])
case("cache_empty_directory_counts", COPIES, {"d/x": "1"}, then=[build(context={"d/new": Dir()})])
case("cache_chown_counts", COPIES, {"d/x": "1"}, then=[build("FROM veneer/corpus\nCOPY --chown=app d /d\nRUN cat /d/x >/out\n")])
case("cache_used_argument_counts", "FROM veneer/corpus\nARG A\nRUN echo $A >/out\n", flags=["--build-arg", "A=1"], then=[build(flags=["--build-arg", "A=2"])])
case("cache_argument_of_run_after_it_counts", "FROM veneer/corpus\nARG A\nRUN echo x >/out\n", flags=["--build-arg", "A=1"], then=[build(flags=["--build-arg", "A=2"])])
case("cache_argument_is_not_for_copy", "FROM veneer/corpus\nARG A\nCOPY d /d\n", {"d/x": "1"}, flags=["--build-arg", "A=1"], then=[build(flags=["--build-arg", "A=2"])])
case("cache_glob_set_counts", "FROM veneer/corpus\nCOPY *.c /src/\n", {"a.c": "1"}, then=[build(context={"b.c": "2"})])
case("cache_stage_change_counts", "FROM veneer/corpus AS one\nCOPY d /d\nFROM veneer/corpus\nCOPY --from=one /d/x /out\n", {"d/x": "1"}, then=[build(context={"d/x": "2"})])
case("cache_mount_content_counts", "FROM veneer/corpus\nRUN --mount=target=/ctx cat /ctx/x >/out\n", {"x": "1"}, then=[build(context={"x": "2"})])
case("cache_secret_does_not_count", "FROM veneer/corpus\nRUN --mount=type=secret,id=s cat /run/secrets/s >/out\n", flags=["--secret", "id=s,src=%FILES%/one"], files={"one": "1", "two": "2"}, then=[build(flags=["--secret", "id=s,src=%FILES%/two"])], differs={"buildah": "it looks for the file again"})
case("cache_step_after_a_change", "FROM veneer/corpus\nRUN echo 1 >/one\nRUN cat /one >/two\n", then=[build("FROM veneer/corpus\nRUN echo 2 >/one\nRUN cat /one >/two\n")])
case("cache_env_counts", "FROM veneer/corpus\nENV A=1\nRUN echo $A >/out\n", then=[build("FROM veneer/corpus\nENV A=2\nRUN echo $A >/out\n")])
case("cache_workdir_counts", "FROM veneer/corpus\nWORKDIR /a\nRUN pwd >/out\n", then=[build("FROM veneer/corpus\nWORKDIR /b\nRUN pwd >/out\n")])
case("cache_user_counts", "FROM veneer/corpus\nUSER app\nRUN id -un >/tmp/out\n", then=[build("FROM veneer/corpus\nUSER dev\nRUN id -un >/tmp/out\n")])
case("no_cache", "FROM veneer/corpus\nCOPY d /d\nRUN echo x >/out\n", {"d/x": "1"}, flags=["--no-cache"], then=[build()])

# ---- contexts ------------------------------------------------------------------------------------

case("context_of_git", None, flags=["context=%GIT%#main:sub"], tree={"/from-git": 'f 644 0:0 "sub\\n"'})
case("context_of_git_commit", None, flags=["context=%GIT%#%FIRST_COMMIT%:sub"], tree={"/from-git": 'f 644 0:0 "sub\\n"'})
case("context_is_missing", None, flags=["context=%FILES%/nothing"], fails="(?i)not found|no such file|unable to|does not exist|invalid")
case("context_is_a_symlink", None, flags=["context=%FILES%/way"], files={"d/Dockerfile": "FROM veneer/corpus\nCOPY file /out\n", "d/file": "A", "way": Symlink("d")})

# ---- failures ------------------------------------------------------------------------------------

case("base_is_missing", "FROM veneer/not-there-at-all\n", fails="(?i)not-there-at-all")
case("stage_fails_before_the_last", "FROM veneer/corpus AS one\nRUN exit 9\nFROM veneer/corpus\nCOPY --from=one /x /\n", fails="exit code: 9")
case("workdir_onto_a_file", "FROM veneer/corpus\nWORKDIR /data/file\n", fails="(?i)(not a directory|exist|mkdir|file)")
case("user_is_unknown", "FROM veneer/corpus\nUSER nobody-knows\nRUN true\n", fails="(?i)unable to find user nobody-knows")
case("user_is_unknown_but_unused", "FROM veneer/corpus\nUSER nobody-knows\n", config={"User": "nobody-knows"}, tree={})
case("group_is_unknown", "FROM veneer/corpus\nUSER app:nothing\nRUN true\n", fails="(?i)unable to find group nothing")
case("no_shell", "FROM scratch\nCOPY file /\nRUN true\n", {"file": ""}, fails="(?i)(not found|no such file)")
case("platform_is_another", "FROM --platform=linux/s390x veneer/corpus\n", fails=".")
case("error_tells_line", "FROM veneer/corpus\nENV A=1\n\nRUN exit 7\n", fails="Dockerfile:4")
