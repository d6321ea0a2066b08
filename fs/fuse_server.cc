// The low-level FUSE operations, each one a call of the engine. The only file that knows libfuse.
#include "fs/fuse_server.h"

#include <dirent.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "fs/end_watch.h"
#include "fs/kept_call.h"
#include "fs/log.h"
#include "fs/open_mode.h"
#include "fs/patience.h"
#include "fs/waiting_room.h"
#include "fs/workers.h"

namespace veneer::fs {

namespace {

// A mapping of a passthrough file changes its times without anybody being told.
constexpr double kWhileMapped = 0.0;
constexpr uint32_t kMaxWrite = 1 << 20;
// A ring's buffers are memory from the start: one per CPU and request under way.
constexpr uint32_t kRingMaxWrite = 1 << 17;
constexpr size_t kQuickWrite = 1 << 15;
constexpr unsigned kRingBuffers = 128;  // in all, as long as every CPU has its fair number
constexpr unsigned kFewestPerRing = 8;
constexpr unsigned kMostPerRing = 16;
// Threads come as requests do and those beyond a few go when idle; their buffers are memory only
// once they are used.
constexpr unsigned kMaxThreads = 256;
constexpr unsigned kMaxWaiting = kMaxThreads - 16;
#ifndef FUSE_DEV_IOC_BACKING_CLOSE
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)  // of linux/fuse.h, from 6.9 on
#endif

// There every identifier is mapped to itself.
bool InInitialUserNamespace() {
  uint64_t inside = 1, outside = 1, count = 0;
  std::ifstream map("/proc/self/uid_map");
  map >> inside >> outside >> count;
  return inside == 0 && outside == 0 && count >= UINT32_MAX;
}

class Server : public FuseServer {
 public:
  Server(Overlay& overlay, Config config) : overlay_(overlay), config_(std::move(config)) {}
  ~Server() override;
  Result<> Start();
  Result<> Serve() override;

  Overlay& overlay() { return overlay_; }
  void Init(fuse_conn_info* conn);
  double timeout() const { return config_.timeout; }
  // How long attributes of `node` stay true.
  double TimeoutOf(NodeId node) {
    return passthrough_ && modes_.ChangesUnseen(node) ? kWhileMapped : timeout();
  }
  // The engine has opened the file: decides its mode, fills `fi` in, replies. `open` replies, and
  // returns 0 when the kernel has taken the handle.
  void FinishOpen(fuse_req_t req, NodeId node, HandleId handle, fuse_file_info* fi, bool may_pass,
                  const std::function<int()>& reply);
  void Close(NodeId node, const fuse_file_info* fi);
  void Forget(NodeId node, uint64_t count) {
    if (overlay_.Forget(node, count)) modes_.Forget(node);
  }
  // What mappings of open files changed, and only the kernel has, comes to the engine; returns when
  // it is there.
  void WriteBack();
  // The kernel asks again for what it knows of the node's attributes.
  void ForgetAttributes(NodeId node) {
    fuse_lowlevel_notify_inval_inode(session_, static_cast<fuse_ino_t>(node), -1, 0);
  }
  void WriteBack(NodeId node);                                             // of one file
  bool HasUnwritten(NodeId node) { return modes_.HasCachedWriter(node); }  // possibly
  uint64_t passed() const { return passed_; }
  // True where user 0 of the mount is the host's root.
  bool privileged() const { return privileged_; }
  // A request came from a ring, or is answered for one.
  void MeetRing();
  uint64_t rings() const { return rings_; }
  uint64_t mode_violations() const { return modes_.violations(); }
  WaitingRoom& waiting() { return waiting_; }
  Workers& workers() { return *workers_; }

 private:
  // The ID of the mount on the mount point, from /proc/self/mountinfo; empty where there is none.
  std::string MountedNow() const;

  Overlay& overlay_;
  const Config config_;
  OpenModes modes_;
  WaitingRoom waiting_{kMaxWaiting};
  std::unique_ptr<Workers> workers_ = std::make_unique<Workers>();
  std::atomic<bool> passthrough_{false};  // agreed with the kernel, and not failed yet
  std::atomic<uint64_t> passed_{0};
  std::atomic<uint64_t> rings_{0};
  fuse_session* session_ = nullptr;
  const bool privileged_ = geteuid() == 0 && InInitialUserNamespace();
  bool handlers_ = false;
  bool mounted_ = false;
  std::string mount_id_;
};

bool IsOnRing([[maybe_unused]] fuse_req_t req) {
#ifdef VENEER_FUSE_URING
  return fuse_req_is_uring(req);
#else
  return false;
#endif
}

Server& ServerOf(fuse_req_t req) {
  auto& server = *static_cast<Server*>(fuse_req_userdata(req));
  if (IsOnRing(req)) server.MeetRing();
  return server;
}
Overlay& EngineOf(fuse_req_t req) { return ServerOf(req).overlay(); }
NodeId Node(fuse_ino_t ino) { return NodeId(ino); }
// What the kernel keeps with an open file: the handle, and whether it is passthrough.
HandleId HandleOf(const fuse_file_info* fi) { return HandleId(fi->fh >> 1); }
bool IsPassthrough(const fuse_file_info* fi) { return (fi->fh & 1) != 0; }
uint64_t PackHandle(HandleId handle, bool passthrough) {
  return static_cast<uint64_t>(handle) << 1 | (passthrough ? 1 : 0);
}

Caller CallerOf(fuse_req_t req) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  return {.uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask};
}

// Set when the request at hand, on a ring's thread, would have to wait and was not answered.
thread_local bool postponed = false;

// Nothing where the request clears no setuid and setgid bits.
KillSuid KillSuidOf(fuse_req_t req, bool kill) {
  if (!kill) return nullptr;
  return [req](gid_t group) {
    const fuse_ctx* ctx = fuse_req_ctx(req);
    if (ctx->uid == 0 || ctx->gid == group) return true;
    std::vector<gid_t> groups(64);
    int n = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
    if (n > static_cast<int>(groups.size())) {
      groups.resize(static_cast<size_t>(n));
      n = fuse_req_getgroups(req, n, groups.data());
    }
    if (n < 0) return false;  // the kernel would clear the bit of a stranger
    groups.resize(std::min(groups.size(), static_cast<size_t>(n)));
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  };
}

// Runs `body`, which replies, and replies itself when memory runs out or an error comes back.
template <typename Body>
void Answer(fuse_req_t req, Body body) {
  int code = 0;
  try {
    Result<> done = body();
    if (!done) {
      code = done.error().code();
      if (code == kWouldWait && Impatient::Now()) {
        postponed = true;
        return;
      }
      Log(LogLevel::kDebug, "{}", done.error().Message());
    }
  } catch (const std::bad_alloc&) {
    code = ENOMEM;
  }
  if (code != 0) fuse_reply_err(req, code);
}

// Where a request is handled that may take long. /dev/fuse has many threads, of which only so many
// may wait for the gate or a copy-up; a ring has one, which may do neither that nor I/O.
enum class OffRing { kHere, kWaitingRoom };
enum class OnRing { kTryHere, kWorker };

template <auto kOperation, OffRing kOff, OnRing kOn>
struct Through;
template <typename... Args, void (*kOperation)(fuse_req_t, Args...), OffRing kOff, OnRing kOn>
struct Through<kOperation, kOff, kOn> {
  static void Run(fuse_req_t req, Args... args) {
    Server& server = ServerOf(req);
    auto keep = [&] { return KeepCall<kOperation>(req, args...); };
    if (!IsOnRing(req)) {
      if constexpr (kOff == OffRing::kHere) return kOperation(req, args...);
      Answer(req, [&]() -> Result<> {
        server.waiting().Run([&] { kOperation(req, args...); }, keep);
        return {};
      });
      return;
    }
    if constexpr (kOn == OnRing::kTryHere) {
      postponed = false;
      {
        Impatient scope;
        kOperation(req, args...);
      }
      if (!postponed) return;
    }
    Answer(req, [&]() -> Result<> {
      server.workers().Run(keep());
      return {};
    });
  }
};
template <auto kOperation>
using MayWait = Through<kOperation, OffRing::kWaitingRoom, OnRing::kTryHere>;
template <auto kOperation>
using MayRead = Through<kOperation, OffRing::kHere, OnRing::kTryHere>;
template <auto kOperation>
using TakesLong = Through<kOperation, OffRing::kHere, OnRing::kWorker>;
template <auto kOperation>
using TakesLongAndMayWait = Through<kOperation, OffRing::kWaitingRoom, OnRing::kWorker>;

fuse_entry_param ParamOf(Server& server, const Entry& entry) {
  fuse_entry_param param = {};
  param.ino = static_cast<fuse_ino_t>(entry.node);
  param.attr = entry.attr;
  param.attr_timeout = server.TimeoutOf(entry.node);
  param.entry_timeout = server.timeout();
  return param;
}

void ReplyEntry(fuse_req_t req, const Entry& entry) {
  Server& server = ServerOf(req);
  fuse_entry_param param = ParamOf(server, entry);
  // An interrupted caller never learns of the node.
  if (fuse_reply_entry(req, &param) != 0) server.Forget(entry.node, 1);
}

void OnInit(void* userdata, fuse_conn_info* conn) { static_cast<Server*>(userdata)->Init(conn); }

void OnLookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Answer(req, [&]() -> Result<> {
    auto entry = EngineOf(req).Lookup(Node(parent), name);
    if (!entry && entry.error().code() == ENOENT) {
      fuse_entry_param missing = {};
      missing.entry_timeout = ServerOf(req).timeout();
      fuse_reply_entry(req, &missing);
      return {};
    }
    if (!entry) return std::unexpected(std::move(entry).error());
    ReplyEntry(req, *entry);
    return {};
  });
}

void OnForget(fuse_req_t req, fuse_ino_t ino, uint64_t count) {
  ServerOf(req).Forget(Node(ino), count);
  fuse_reply_none(req);
}

void OnForgetMulti(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) {
    ServerOf(req).Forget(Node(forgets[i].ino), forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void OnGetAttr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(struct stat st, EngineOf(req).GetAttr(Node(ino)));
    fuse_reply_attr(req, &st, ServerOf(req).TimeoutOf(Node(ino)));
    return {};
  });
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
// Asked only when somebody wants what stat(2) does not tell.
void OnStatx(fuse_req_t req, fuse_ino_t ino, int, int, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    Overlay& engine = EngineOf(req);
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
    fuse_reply_statx(req, 0, &stx, ServerOf(req).TimeoutOf(Node(ino)));
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
    TRY_ASSIGN(struct stat st, EngineOf(req).SetAttr(Node(ino), change));
    fuse_reply_attr(req, &st, ServerOf(req).TimeoutOf(Node(ino)));
    return {};
  });
}

void OnReadLink(fuse_req_t req, fuse_ino_t ino) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(std::string target, EngineOf(req).ReadLink(Node(ino)));
    fuse_reply_readlink(req, target.c_str());
    return {};
  });
}

void OnMknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(Entry entry, EngineOf(req).MakeNode(Node(parent), name, mode, rdev, CallerOf(req)));
    ReplyEntry(req, entry);
    return {};
  });
}

void OnMkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(Entry entry, EngineOf(req).MakeDir(Node(parent), name, mode, CallerOf(req)));
    ReplyEntry(req, entry);
    return {};
  });
}

void OnSymlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(Entry entry, EngineOf(req).MakeSymlink(Node(parent), name, target, CallerOf(req)));
    ReplyEntry(req, entry);
    return {};
  });
}

void OnLink(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(Entry entry, EngineOf(req).Link(Node(ino), Node(parent), name));
    ReplyEntry(req, entry);
    return {};
  });
}

// Operations that answer with nothing but success.
template <typename Body>
void AnswerDone(fuse_req_t req, Body body) {
  Answer(req, [&]() -> Result<> {
    TRY(body());
    fuse_reply_err(req, 0);
    return {};
  });
}

void OnUnlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  AnswerDone(req, [&] { return EngineOf(req).Unlink(Node(parent), name); });
}

void OnRmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
  AnswerDone(req, [&] { return EngineOf(req).RemoveDir(Node(parent), name); });
}

void OnRename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
              const char* new_name, unsigned flags) {
  AnswerDone(req, [&] {
    return EngineOf(req).Rename(Node(parent), name, Node(new_parent), new_name, flags);
  });
}

void DoOpen(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(HandleId handle,
               EngineOf(req).Open(Node(ino), fi->flags, KillSuidOf(req, fi->kill_suidgid != 0)));
    ServerOf(req).FinishOpen(req, Node(ino), handle, fi, true,
                             [&] { return fuse_reply_open(req, fi); });
    return {};
  });
}

void OnOpen(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  bool changes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0;
  changes ? MayWait<DoOpen>::Run(req, ino, fi) : DoOpen(req, ino, fi);
}

// Registering a backing file costs more than most new files are worth: they start cached.
void ReplyCreated(fuse_req_t req, const std::pair<Entry, HandleId>& made, fuse_file_info* fi) {
  Server& server = ServerOf(req);
  fuse_entry_param param = ParamOf(server, made.first);
  server.FinishOpen(req, made.first.node, made.second, fi, false, [&] {
    int rc = fuse_reply_create(req, &param, fi);
    if (rc != 0) server.Forget(made.first.node, 1);
    return rc;
  });
}

void OnCreate(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
              fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(auto made, EngineOf(req).Create(Node(parent), name, mode, fi->flags, CallerOf(req)));
    ReplyCreated(req, made, fi);
    return {};
  });
}

void OnTmpFile(fuse_req_t req, fuse_ino_t parent, mode_t mode, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(auto made, EngineOf(req).TmpFile(Node(parent), mode, fi->flags, CallerOf(req)));
    ReplyCreated(req, made, fi);
    return {};
  });
}

// Reused by each thread: reads are frequent, and a fresh megabyte each time is a page fault per
// page.
char* ThreadBuffer(size_t size) {
  thread_local std::vector<char> buffer;
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

void OnRead(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    char* buffer = ThreadBuffer(size);
    TRY_ASSIGN(size_t n,
               EngineOf(req).Read(HandleOf(fi), buffer, size, static_cast<uint64_t>(offset)));
    fuse_reply_buf(req, buffer, n);
    return {};
  });
}

void DoWrite(fuse_req_t req, std::string_view data, off_t offset, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(size_t n, EngineOf(req).Write(HandleOf(fi), data, static_cast<uint64_t>(offset),
                                             KillSuidOf(req, fi->kill_suidgid != 0)));
    fuse_reply_write(req, n);
    return {};
  });
}

void OnWrite(fuse_req_t req, fuse_ino_t, const char* data, size_t size, off_t offset,
             fuse_file_info* fi) {
  // Much at once may be held up by the host, which writes back first.
  if (size > kQuickWrite) {
    TakesLongAndMayWait<DoWrite>::Run(req, {data, size}, offset, fi);
  } else {
    MayWait<DoWrite>::Run(req, {data, size}, offset, fi);
  }
}

void OnRelease(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  ServerOf(req).Close(Node(ino), fi);
  fuse_reply_err(req, 0);
}

void OnReleaseDir(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  EngineOf(req).Release(HandleOf(fi));
  fuse_reply_err(req, 0);
}

void OnFsync(fuse_req_t req, fuse_ino_t, int data_only, fuse_file_info* fi) {
  AnswerDone(req, [&] { return EngineOf(req).Fsync(HandleOf(fi), data_only != 0); });
}

void OnFallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length,
                 fuse_file_info* fi) {
  AnswerDone(req, [&] {
    return EngineOf(req).Fallocate(HandleOf(fi), mode, static_cast<uint64_t>(offset),
                                   static_cast<uint64_t>(length));
  });
}

void DoSeek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    // The kernel does not do this for us: what a mapping wrote into a hole would be passed over.
    ServerOf(req).WriteBack(Node(ino));
    TRY_ASSIGN(uint64_t found,
               EngineOf(req).Seek(HandleOf(fi), static_cast<uint64_t>(offset), whence));
    fuse_reply_lseek(req, static_cast<off_t>(found));
    return {};
  });
}

void OnSeek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, fuse_file_info* fi) {
  if (ServerOf(req).HasUnwritten(Node(ino))) {
    TakesLong<DoSeek>::Run(req, ino, offset, whence, fi);
  } else {
    DoSeek(req, ino, offset, whence, fi);
  }
}

void OnCopyFileRange(fuse_req_t req, fuse_ino_t ino, off_t offset_in, fuse_file_info* in,
                     fuse_ino_t, off_t offset_out, fuse_file_info* out, size_t length, int) {
  Answer(req, [&]() -> Result<> {
    ServerOf(req).WriteBack(Node(ino));  // nor this
    // The reply counts in 32 bits; a caller asks again for the rest.
    length = std::min<size_t>(length, size_t{1} << 30);
    TRY_ASSIGN(size_t n, EngineOf(req).CopyFileRange(HandleOf(in), static_cast<uint64_t>(offset_in),
                                                     HandleOf(out),
                                                     static_cast<uint64_t>(offset_out), length));
    fuse_reply_write(req, n);
    return {};
  });
}

void OnOpenDir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    Overlay& engine = EngineOf(req);
    TRY_ASSIGN(HandleId handle, engine.OpenDir(Node(ino)));
    fi->fh = PackHandle(handle, false);
    // Listings that the kernel caches are read by position; only in a read-only mount do all
    // handles have the same.
    fi->cache_readdir = fi->keep_cache = engine.read_only() ? 1 : 0;
    if (fuse_reply_open(req, fi) != 0) engine.Release(handle);
    return {};
  });
}

void OnReadDir(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    char* buffer = ThreadBuffer(size);
    size_t used = 0;
    TRY(EngineOf(req).ReadDir(
        HandleOf(fi), static_cast<uint64_t>(offset), [&](const DirItem& item, uint64_t next) {
          struct stat st = {};
          st.st_ino = item.ino;
          st.st_mode = DTTOIF(item.type);
          size_t need = fuse_add_direntry(req, buffer + used, size - used, item.name.c_str(), &st,
                                          static_cast<off_t>(next));
          if (need > size - used) return false;
          used += need;
          return true;
        }));
    fuse_reply_buf(req, buffer, used);
    return {};
  });
}

void OnReadDirPlus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    Server& server = ServerOf(req);
    Overlay& engine = server.overlay();
    char* buffer = ThreadBuffer(size);
    size_t used = 0;
    std::vector<NodeId> held;
    TRY(engine.ReadDir(
        HandleOf(fi), static_cast<uint64_t>(offset), [&](const DirItem& item, uint64_t next) {
          const char* name = item.name.c_str();
          if (fuse_add_direntry_plus(req, nullptr, 0, name, nullptr, 0) > size - used) return false;
          fuse_entry_param param = {};
          if (item.name != "." && item.name != "..") {
            auto entry = engine.Lookup(Node(ino), item.name);
            if (entry) {
              param = ParamOf(server, *entry);
              held.push_back(entry->node);
            }
          }
          if (param.ino == 0) {  // a name without attributes
            param.attr.st_ino = item.ino;
            param.attr.st_mode = DTTOIF(item.type);
          }
          used += fuse_add_direntry_plus(req, buffer + used, size - used, name, &param,
                                         static_cast<off_t>(next));
          return true;
        }));
    if (fuse_reply_buf(req, buffer, used) != 0) {
      for (NodeId node : held) server.Forget(node, 1);
    }
    return {};
  });
}

void OnFsyncDir(fuse_req_t req, fuse_ino_t, int, fuse_file_info* fi) {
  AnswerDone(req, [&] { return EngineOf(req).FsyncDir(HandleOf(fi)); });
}

void OnStatFs(fuse_req_t req, fuse_ino_t) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(struct statvfs st, EngineOf(req).StatFs());
    fuse_reply_statfs(req, &st);
    return {};
  });
}

// The answer to getxattr and listxattr: the value, its size where none fits in nothing, or ERANGE.
void ReplySized(fuse_req_t req, const std::string& value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(req, ERANGE);
  } else {
    fuse_reply_buf(req, value.data(), value.size());
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
bool MayKeepSetgid(fuse_req_t req, gid_t gid) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  if (ctx->uid == 0 || ctx->gid == gid) return true;
  std::vector<gid_t> groups(NGROUPS_MAX);
  int count = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
  if (count < 0) return false;
  groups.resize(std::min(groups.size(), static_cast<size_t>(count)));
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

void DoSetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, std::string_view value,
                int flags) {
  AnswerDone(req, [&]() -> Result<> {
    Overlay& engine = EngineOf(req);
    TRY(engine.SetXattr(Node(ino), name, value, flags));
    if (strcmp(name, "system.posix_acl_access") != 0) return {};
    TRY_ASSIGN(struct stat st, engine.GetAttr(Node(ino)));
    if ((st.st_mode & S_ISGID) == 0 || MayKeepSetgid(req, st.st_gid)) return {};
    AttrChange change;
    change.mode = st.st_mode & 07777 & ~static_cast<mode_t>(S_ISGID);
    TRY(engine.SetAttr(Node(ino), change));
    return {};
  });
}

void OnSetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size,
                int flags) {
  MayWait<DoSetXattr>::Run(req, ino, name, {value, size}, flags);
}

void OnRemoveXattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  AnswerDone(req, [&] { return EngineOf(req).RemoveXattr(Node(ino), name); });
}

void OnAccess(fuse_req_t req, fuse_ino_t ino, int mask) {
  AnswerDone(req, [&] { return EngineOf(req).Access(Node(ino), mask, CallerOf(req)); });
}

Result<> Control(fuse_req_t req, unsigned request, const fuse_file_info* fi, std::string_view in) {
  Overlay& engine = EngineOf(req);
  uid_t uid = fuse_req_ctx(req)->uid;
  if (uid != 0 && uid != geteuid()) return Fail(EPERM, "control");
  if (request == control::kSync) {
    ServerOf(req).WriteBack();
    TRY(engine.Sync());
  } else if (request == control::kComplete) {
    TRY(engine.Complete());
  } else if (request == control::kFreeze) {
    control::Freeze freeze = {};
    memcpy(&freeze, in.data(), std::min(in.size(), sizeof freeze));
    TRY(engine.Freeze(HandleOf(fi), std::chrono::milliseconds(freeze.timeout_ms)));
  } else if (request == control::kThaw) {
    TRY(engine.Thaw());
  } else if (request == control::kStats) {
    control::Stats stats = engine.Statistics();
    stats.passthrough = ServerOf(req).passed();
    stats.rings = ServerOf(req).rings();
    stats.mode_violations = ServerOf(req).mode_violations();
    fuse_reply_ioctl(req, 0, &stats, sizeof stats);
    return {};
  } else if (request == control::kIdentify) {
    control::Identify identity = engine.Identity();
    fuse_reply_ioctl(req, 0, &identity, sizeof identity);
    return {};
  } else {
    return Fail(ENOTTY, "control");
  }
  fuse_reply_ioctl(req, 0, nullptr, 0);
  return {};
}

bool ChangesFile(unsigned request) {
  return request == FS_IOC_SETFLAGS || request == FS_IOC_FSSETXATTR;
}

void DoControl(fuse_req_t req, unsigned request, fuse_file_info* fi, std::string_view in) {
  Answer(req, [&] { return Control(req, request, fi, in); });
}

void DoFileIoctl(fuse_req_t req, fuse_ino_t ino, unsigned request, std::string_view in,
                 size_t out_size) {
  Answer(req, [&]() -> Result<> {
    // Large enough for every request the engine knows, whatever sizes the kernel names.
    alignas(8) char argument[128] = {};
    if (in.size() > sizeof argument || out_size > sizeof argument) return Fail(ENOTTY, "ioctl");
    in.copy(argument, sizeof argument);
    TRY(EngineOf(req).FileIoctl(Node(ino), request, argument));
    if (ChangesFile(request)) ServerOf(req).ForgetAttributes(Node(ino));
    fuse_reply_ioctl(req, 0, argument, out_size);
    return {};
  });
}

void OnIoctl(fuse_req_t req, fuse_ino_t ino, unsigned request, void*, fuse_file_info* fi,
             unsigned flags, const void* in, size_t in_size, size_t out_size) {
  Answer(req, [&]() -> Result<> {
    if ((flags & FUSE_IOCTL_COMPAT) != 0) return Fail(ENOTTY, "32-bit ioctl");
    std::string_view argument(static_cast<const char*>(in), in == nullptr ? 0 : in_size);
    if (ino == FUSE_ROOT_ID && _IOC_TYPE(request) == control::kType) {
      TakesLong<DoControl>::Run(req, request, fi, argument);
      return {};
    }
    if (ChangesFile(request)) {
      MayWait<DoFileIoctl>::Run(req, ino, request, argument, out_size);
    } else {
      DoFileIoctl(req, ino, request, argument, out_size);
    }
    return {};
  });
}

const fuse_lowlevel_ops kOperations = {
    .init = OnInit,
    .lookup = OnLookup,
    .forget = OnForget,
    .getattr = OnGetAttr,
    .setattr = MayWait<OnSetAttr>::Run,
    .readlink = OnReadLink,
    .mknod = MayWait<OnMknod>::Run,
    .mkdir = MayWait<OnMkdir>::Run,
    .unlink = MayWait<OnUnlink>::Run,
    .rmdir = MayWait<OnRmdir>::Run,
    .symlink = MayWait<OnSymlink>::Run,
    .rename = MayWait<OnRename>::Run,
    .link = MayWait<OnLink>::Run,
    .open = OnOpen,
    .read = MayRead<OnRead>::Run,
    .write = OnWrite,
    .release = OnRelease,
    .fsync = TakesLong<OnFsync>::Run,
    .opendir = OnOpenDir,
    .readdir = OnReadDir,
    .releasedir = OnReleaseDir,
    .fsyncdir = TakesLong<OnFsyncDir>::Run,
    .statfs = OnStatFs,
    .setxattr = OnSetXattr,
    .getxattr = OnGetXattr,
    .listxattr = OnListXattr,
    .removexattr = MayWait<OnRemoveXattr>::Run,
    .access = OnAccess,
    .create = MayWait<OnCreate>::Run,
    .ioctl = OnIoctl,
    .forget_multi = OnForgetMulti,
    .fallocate = TakesLongAndMayWait<OnFallocate>::Run,
    .readdirplus = OnReadDirPlus,
    .copy_file_range = TakesLongAndMayWait<OnCopyFileRange>::Run,
    .lseek = OnSeek,
    .tmpfile = MayWait<OnTmpFile>::Run,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
    .statx = OnStatx,
#endif
};

// libfuse cancels its rings' threads at the end, wherever they are; they end by themselves too.
void Server::MeetRing() {
  thread_local bool met = false;
  if (met) return;
  met = true;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  if (!Workers::IsWorker()) ++rings_;
}

#ifdef VENEER_FUSE_URING
unsigned RingDepth() {
  auto cpus = static_cast<unsigned>(std::max(1L, sysconf(_SC_NPROCESSORS_CONF)));
  return std::clamp(kRingBuffers / cpus, kFewestPerRing, kMostPerRing);
}
#endif

void Server::Init(fuse_conn_info* conn) {
  auto want = [&](uint64_t flag, bool wanted) {
    if (wanted) {
      fuse_set_feature_flag(conn, flag);
    } else {
      fuse_unset_feature_flag(conn, flag);
    }
  };
  want(FUSE_CAP_DONT_MASK, true);
  want(FUSE_CAP_POSIX_ACL, config_.acl);
  want(FUSE_CAP_HANDLE_KILLPRIV, false);
  want(FUSE_CAP_HANDLE_KILLPRIV_V2, true);
  want(FUSE_CAP_PARALLEL_DIROPS, true);
  want(FUSE_CAP_READDIRPLUS, true);
  want(FUSE_CAP_READDIRPLUS_AUTO, true);
  want(FUSE_CAP_CACHE_SYMLINKS, true);
  want(FUSE_CAP_IOCTL_DIR, true);
  want(FUSE_CAP_ATOMIC_O_TRUNC, true);
  want(FUSE_CAP_ASYNC_DIO, true);
  // Nobody changes files behind the kernel's back, so its pages need no checking against mtime.
  want(FUSE_CAP_AUTO_INVAL_DATA, false);
  want(FUSE_CAP_EXPLICIT_INVAL_DATA, true);
  want(FUSE_CAP_WRITEBACK_CACHE, false);
  want(FUSE_CAP_NO_EXPORT_SUPPORT, true);
  if (config_.passthrough && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
    passthrough_ = true;
    conn->max_backing_stack_depth = 1;
  }
  conn->max_write = std::min(kMaxWrite, config_.max_write);
#ifdef VENEER_FUSE_URING
  if (config_.uring && (conn->capable_ext & FUSE_CAP_OVER_IO_URING) != 0) {
    conn->max_write = std::min(kRingMaxWrite, config_.max_write);
    // A waiting request keeps its buffer: the last ones are for who thaws.
    overlay_.LimitWaiting(RingDepth() - 2);
  }
#endif
  conn->time_gran = 1;
  if (config_.ready) config_.ready();
}

void Server::FinishOpen(fuse_req_t req, NodeId node, HandleId handle, fuse_file_info* fi,
                        bool may_pass, const std::function<int()>& reply) {
  bool writable = (fi->flags & O_ACCMODE) != O_RDONLY;
  SharedFd data = may_pass && passthrough_ ? overlay_.FinalData(handle) : nullptr;
  OpenModes::Opened opened = modes_.Open(node, writable, data ? data->get() : -1, [&](int fd) {
    int id = fuse_passthrough_open(req, fd);
    if (id <= 0 && passthrough_.exchange(false)) {
      Log(LogLevel::kWarning, "passthrough is not possible here: going on without");
    }
    return id;
  });
  bool passes = opened.backing_id > 0;
  fi->fh = PackHandle(handle, passes);
  fi->backing_id = opened.backing_id;
  // The kernel's pages stay right over closing: only this mount changes the file.
  fi->keep_cache = !passes && opened.keep_pages ? 1 : 0;
  fi->noflush = 1;
  if (passes) passed_.fetch_add(1, std::memory_order_relaxed);
  if (reply() != 0) {
    Close(node, fi);  // `req` is gone
  } else if (opened.first_writer) {
    ForgetAttributes(node);
  }
}

void Server::Close(NodeId node, const fuse_file_info* fi) {
  bool writable = (fi->flags & O_ACCMODE) != O_RDONLY;
  OpenModes::Closed closed = modes_.Close(node, writable, IsPassthrough(fi));
  if (closed.backing_id > 0) {
    // As fuse_passthrough_close() does, which wants a request: here there may be none any more.
    auto id = static_cast<uint32_t>(closed.backing_id);
    if (ioctl(fuse_session_fd(session_), FUSE_DEV_IOC_BACKING_CLOSE, &id) != 0) {
      Log(LogLevel::kError, "backing file {}: {}", id, strerror(errno));
    }
  }
  overlay_.Release(HandleOf(fi));
  if (closed.last_writer) {
    ForgetAttributes(node);
  }
}

std::string Server::MountedNow() const {
  std::string top;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    // "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT ...", blanks in names as \040; the last one is on top.
    std::vector<std::string> fields;
    for (size_t at = 0; fields.size() < 5 && at < line.size();) {
      size_t end = std::min(line.find(' ', at), line.size());
      fields.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    if (fields.size() < 5) continue;
    std::string path;
    for (size_t i = 0; i < fields[4].size(); ++i) {
      if (fields[4][i] == '\\' && i + 3 < fields[4].size()) {
        path += static_cast<char>(std::stoi(fields[4].substr(i + 1, 3), nullptr, 8));
        i += 3;
      } else {
        path += fields[4][i];
      }
    }
    if (path == config_.mountpoint) top = fields[0];
  }
  return top;
}

Result<> Server::Start() {
  std::string options = "fsname=" + config_.fsname + ",subtype=veneerfs";
  if (config_.allow_other) options += ",allow_other";
  if (config_.default_permissions) options += ",default_permissions";
  if (config_.read_only) options += ",ro";
  for (const std::string& option : config_.mount_options) options += "," + option;
#ifdef VENEER_FUSE_URING
  if (config_.uring) options += ",io_uring,io_uring_q_depth=" + std::to_string(RingDepth());
#endif
  std::vector<std::string> words = {"veneerfs", "-o", options};
  if (config_.debug) words.emplace_back("-d");
  std::vector<char*> argv;
  argv.reserve(words.size());
  for (std::string& word : words) argv.push_back(word.data());
  fuse_args args = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
  fuse_lowlevel_ops operations = kOperations;
  if (!config_.xattrs) {  // libfuse says ENOSYS, and the kernel asks no more
    operations.getxattr = nullptr;
    operations.setxattr = nullptr;
    operations.listxattr = nullptr;
    operations.removexattr = nullptr;
  }
  session_ = fuse_session_new(&args, &operations, sizeof operations, this);
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return Invalid("FUSE does not accept the mount options " + options);
  if (fuse_set_signal_handlers(session_) != 0) return Errno("signal handlers");
  handlers_ = true;
  if (fuse_session_mount(session_, config_.mountpoint.c_str()) != 0) {
    return Invalid("cannot mount on " + config_.mountpoint);
  }
  mounted_ = true;
  mount_id_ = MountedNow();
  return {};
}

// Dropping a file's pages writes the changed ones first, and waits for that; syncfs(2) of a FUSE
// mount does not wait.
void Server::WriteBack() {
  for (NodeId node : modes_.CachedWriters()) WriteBack(node);
}

void Server::WriteBack(NodeId node) {
  if (!HasUnwritten(node)) return;
  int rc = fuse_lowlevel_notify_inval_inode(session_, static_cast<fuse_ino_t>(node), 0, 0);
  if (rc != 0 && rc != -ENOENT) Log(LogLevel::kWarning, "writing pages back: {}", strerror(-rc));
}

Result<> Server::Serve() {
  fuse_loop_config* loop = fuse_loop_cfg_create();
  if (loop == nullptr) return Fail(ENOMEM, "FUSE loop");
  fuse_loop_cfg_set_clone_fd(loop, 1);
  fuse_loop_cfg_set_max_threads(loop, kMaxThreads);
  fuse_loop_cfg_set_idle_threads(loop, 8);
  int rc = 0;
  {
    EndWatch watch(overlay_, [this] { WriteBack(); });
    rc = fuse_session_loop_mt(session_, loop);
  }
  fuse_loop_cfg_destroy(loop);
  // Positive: a signal asked to end.
  if (rc < 0) return Fail(-rc, "serving " + config_.mountpoint);
  return {};
}

Server::~Server() {
  if (session_ == nullptr) return;
  // Whatever was mounted over, or in place of, our mount since is not ours to unmount.
  if (mounted_ && MountedNow() == mount_id_) fuse_session_unmount(session_);
  if (handlers_) fuse_remove_signal_handlers(session_);
  (void)overlay_.Thaw();  // nobody is left who could
  workers_.reset();
  fuse_session_destroy(session_);
}

}  // namespace

Result<std::unique_ptr<FuseServer>> FuseServer::Mount(Overlay& overlay, Config config) {
  auto server = std::make_unique<Server>(overlay, std::move(config));
  TRY(server->Start());
  return server;
}

}  // namespace veneer::fs
