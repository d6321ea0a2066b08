// Requests about attributes: stat, changes of it, extended attributes, access.
#include <sys/sysmacros.h>

#include <cstring>

#include "fs/fuse_request.h"

namespace veneer::fs {

namespace {

void OnGetAttr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    const double timeout = ServerOf(req).TellAttributes(Node(ino));
    TRY_ASSIGN(struct stat st, EngineOf(req).GetAttr(Node(ino)));
    Send(fuse_reply_attr, req, &st, timeout);
    return {};
  });
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
// Asked only when somebody wants what stat(2) does not tell.
void OnStatx(fuse_req_t req, fuse_ino_t ino, int, int, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    Overlay& engine = EngineOf(req);
    const double timeout = ServerOf(req).TellAttributes(Node(ino));
    TRY_ASSIGN(struct stat st, engine.GetAttr(Node(ino)));
    TRY_ASSIGN(auto born, engine.BirthTime(Node(ino)));
    auto time_of = [](const timespec& t) {
      statx_timestamp out = {};
      out.tv_sec = t.tv_sec;
      out.tv_nsec = static_cast<uint32_t>(t.tv_nsec);
      return out;
    };
    struct statx stx = {};
    stx.stx_mask = STATX_BASIC_STATS;
    stx.stx_blksize = static_cast<uint32_t>(st.st_blksize);
    stx.stx_nlink = static_cast<uint32_t>(st.st_nlink);
    stx.stx_uid = st.st_uid;
    stx.stx_gid = st.st_gid;
    stx.stx_mode = static_cast<uint16_t>(st.st_mode);
    stx.stx_ino = st.st_ino;
    stx.stx_size = static_cast<uint64_t>(st.st_size);
    stx.stx_blocks = static_cast<uint64_t>(st.st_blocks);
    stx.stx_atime = time_of(st.st_atim);
    stx.stx_mtime = time_of(st.st_mtim);
    stx.stx_ctime = time_of(st.st_ctim);
    stx.stx_rdev_major = major(st.st_rdev);
    stx.stx_rdev_minor = minor(st.st_rdev);
    if (born) {
      stx.stx_mask |= STATX_BTIME;
      stx.stx_btime = time_of(*born);
    }
    Send(fuse_reply_statx, req, 0, &stx, timeout);
    return {};
  });
}
#endif

void OnSetAttr(fuse_req_t req, fuse_ino_t ino, struct stat* attr, int valid, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    AttrChange change;
    if ((valid & FUSE_SET_ATTR_MODE) != 0) change.mode = attr->st_mode;
    if ((valid & FUSE_SET_ATTR_UID) != 0) change.uid = attr->st_uid;
    if ((valid & FUSE_SET_ATTR_GID) != 0) change.gid = attr->st_gid;
    if ((valid & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<uint64_t>(attr->st_size);
    if ((valid & FUSE_SET_ATTR_ATIME) != 0) change.atime = attr->st_atim;
    if ((valid & FUSE_SET_ATTR_MTIME) != 0) change.mtime = attr->st_mtim;
    if ((valid & FUSE_SET_ATTR_ATIME_NOW) != 0) change.atime = timespec{0, UTIME_NOW};
    if ((valid & FUSE_SET_ATTR_MTIME_NOW) != 0) change.mtime = timespec{0, UTIME_NOW};
    // A request that changes nothing is the kernel's way to say that somebody without CAP_FSETID
    // writes by other means (fallocate, copy_file_range), or that chown(-1, -1) was called.
    constexpr int kAnyChange = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
                               FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
                               FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
    change.kill_suidgid =
        KillSuidOf(req, (valid & (FUSE_SET_ATTR_KILL_SUID | FUSE_SET_ATTR_KILL_SGID)) != 0 ||
                            (valid & kAnyChange) == 0);
    // Root's comes before a write to a file with capabilities, too.
    change.may_keep_suid = (valid & kAnyChange) == 0 && fuse_req_ctx(req)->uid == 0;
    std::optional<OpenModes::Changing> changing;
    if (change.size) TRY(ServerOf(req).BeginChange(Node(ino), changing));
    const double timeout = ServerOf(req).TellAttributes(Node(ino));
    TRY_ASSIGN(struct stat st, EngineOf(req).SetAttr(Node(ino), change));
    Send(fuse_reply_attr, req, &st, timeout);
    return {};
  });
}

void OnStatFs(fuse_req_t req, fuse_ino_t) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(struct statvfs st, EngineOf(req).StatFs());
    Send(fuse_reply_statfs, req, &st);
    return {};
  });
}

// The answer to getxattr and listxattr: the value, its size where none fits in nothing, or ERANGE.
void ReplySized(fuse_req_t req, const std::string& value, size_t size) {
  if (size == 0) {
    Send(fuse_reply_xattr, req, value.size());
  } else if (value.size() > size) {
    Send(fuse_reply_err, req, ERANGE);
  } else {
    Send(fuse_reply_buf, req, value.data(), value.size());
  }
}

void OnGetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(std::string value, EngineOf(req).GetXattr(Node(ino), name));
    ReplySized(req, value, size);
    return {};
  });
}

void OnListXattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(auto names, EngineOf(req).ListXattr(Node(ino)));
    bool trusted = ServerOf(req).privileged() && fuse_req_ctx(req)->uid == 0;
    std::string list;
    for (const std::string& name : names) {
      // Local filesystems do not list what only CAP_SYS_ADMIN may read.
      if (trusted || !name.starts_with("trusted.")) list += name + '\0';
    }
    ReplySized(req, list, size);
    return {};
  });
}

// An ACL is a change of mode, which takes setgid from files of a group that the caller is not in.
// The kernel says so only by an extension of the protocol that libfuse keeps to itself.
void DoSetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, std::string_view value,
                int flags) {
  AnswerDone(req, [&]() -> Result<> {
    Overlay& engine = EngineOf(req);
    TRY(engine.SetXattr(Node(ino), name, value, flags));
    if (strcmp(name, "system.posix_acl_access") != 0) return {};
    TRY_ASSIGN(struct stat st, engine.GetAttr(Node(ino)));
    if ((st.st_mode & S_ISGID) == 0 || InGroup(req, st.st_gid)) return {};
    AttrChange change;
    change.mode = st.st_mode & 07777 & ~static_cast<mode_t>(S_ISGID);
    TRY(engine.SetAttr(Node(ino), change));
    return {};
  });
}

void OnSetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size,
                int flags) {
  // Two changes, of which the second must not be put off once the first is made.
  if (strcmp(name, "system.posix_acl_access") == 0) {
    TakesLongAndMayWait<DoSetXattr>::Run(req, ino, name, {value, size}, flags);
  } else {
    MayWait<DoSetXattr>::Run(req, ino, name, {value, size}, flags);
  }
}

void OnRemoveXattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  AnswerDone(req, [&] { return EngineOf(req).RemoveXattr(Node(ino), name); });
}

void OnAccess(fuse_req_t req, fuse_ino_t ino, int mask) {
  AnswerDone(req, [&] { return EngineOf(req).Access(Node(ino), mask, CallerOf(req)); });
}

}  // namespace

void AddAttributeOperations(fuse_lowlevel_ops& operations) {
  operations.getattr = OnGetAttr;
  operations.setattr = MayWait<OnSetAttr>::Run;
  operations.statfs = OnStatFs;
  operations.setxattr = OnSetXattr;
  operations.getxattr = OnGetXattr;
  operations.listxattr = OnListXattr;
  operations.removexattr = MayWait<OnRemoveXattr>::Run;
  operations.access = OnAccess;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
  operations.statx = OnStatx;
#endif
}

}  // namespace veneer::fs
