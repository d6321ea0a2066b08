// The FUSE session of a mount: its start, what it agrees on with the kernel, its files' modes, its
// end. The requests themselves are handled in fuse_names.cc and its like.
#include "fs/fuse_server.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "fs/end_watch.h"
#include "fs/fuse_request.h"

namespace veneer::fs {

namespace {

constexpr uint32_t kMaxWrite = 1 << 20;
// A ring's buffers are memory from the start: one per CPU and request under way.
constexpr uint32_t kRingMaxWrite = 1 << 17;
constexpr unsigned kRingBuffers = 128;  // in all, as long as every CPU has its fair number
constexpr unsigned kFewestPerRing = 8;
constexpr unsigned kMostPerRing = 16;
// Threads come as requests do and those beyond a few go when idle; their buffers are memory only
// once they are used.
constexpr unsigned kMaxThreads = 256;
constexpr unsigned kMaxWaiting = kMaxThreads - 16;
constexpr unsigned kMaxWriteBacks = 8;  // of those 16
// Requests that nobody waits for by itself: pages read ahead, and written back, which may have to
// wait for the gate without keeping others from being read.
constexpr unsigned kMaxBackground = kMaxThreads;
// How often, and for how long each time, who wants to write waits for the kernel to release a
// shared program.
constexpr int kReleaseLooks = 50;
constexpr useconds_t kReleaseLookUs = 1000;
constexpr unsigned kMinorOf6_12 = 41;  // of the protocol
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
[[maybe_unused]] unsigned RingDepth() {
  auto cpus = static_cast<unsigned>(std::max(1L, sysconf(_SC_NPROCESSORS_CONF)));
  return std::clamp(kRingBuffers / cpus, kFewestPerRing, kMostPerRing);
}
[[maybe_unused]] unsigned RingWriteBacks() { return RingDepth() / 4; }

// As root, or else as who mounted it.
void Detach(const std::string& mountpoint) {
  if (umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;
  std::string path = mountpoint;
  char* argv[] = {const_cast<char*>("fusermount3"), const_cast<char*>("-uzq"),
                  const_cast<char*>("--"), path.data(), nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, argv[0], nullptr, nullptr, argv, environ) == 0) {
    waitpid(child, nullptr, 0);
  }
}

void OnInit(void* userdata, fuse_conn_info* conn) { static_cast<Server*>(userdata)->Init(conn); }

fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops operations = {};
  operations.init = OnInit;
  AddNameOperations(operations);
  AddAttributeOperations(operations);
  AddFileOperations(operations);
  AddDirectoryOperations(operations);
  AddControlOperations(operations);
  return operations;
}

}  // namespace

Server::Server(Overlay& overlay, Config config)
    : overlay_(overlay),
      config_(std::move(config)),
      waiting_(kMaxWaiting),
      prompt_wakes_(config_.prompt_wakes ? std::make_unique<PromptWakes>() : nullptr),
      workers_(std::make_unique<Workers>([this] {
        // A thaw must not wait for those who wait for it.
        if (overlay_.Thaw()) Log(LogLevel::kWarning, "thawed: no more threads can be started");
      })),
      write_backs_(kMaxWriteBacks, *workers_),
      privileged_(geteuid() == 0 && InInitialUserNamespace()) {}

// libfuse cancels its rings' threads at the end, wherever they are; they end by themselves too.
// When one has ended libfuse frees its requests: so it does not until those that workers have from
// it are answered.
void Server::MeetRing() {
  struct Ring {
    explicit Ring(Server& met) : server(met) {
      pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
      ++server.rings_;
    }
    ~Ring() {
      server.overlay_.ThawForGood();  // nobody is left who could
      server.workers_->Drain();
    }
    Server& server;
  };
  if (!Workers::IsWorker()) thread_local const Ring ring(*this);
}

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
  opens_directories_ = (conn->capable_ext & FUSE_CAP_NO_OPENDIR_SUPPORT) == 0;
  if (config_.passthrough && fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH)) {
    passthrough_ = true;
    conn->max_backing_stack_depth = 1;
    // Before Linux 6.12, an answer that was under way could overrule what a passthrough write did
    // to the size.
    sees_writes_ = conn->proto_minor >= kMinorOf6_12;
  } else {
    overlay_.StopSharing();
  }
  conn->max_write = std::min(kMaxWrite, config_.max_write);
#ifdef VENEER_FUSE_URING
  if (config_.uring && (conn->capable_ext & FUSE_CAP_OVER_IO_URING) != 0) {
    conn->max_write = std::min(kRingMaxWrite, config_.max_write);
    // A waiting request keeps its buffer: the last ones are for who thaws.
    overlay_.LimitWaiting(RingDepth() - RingWriteBacks() - 2);
    write_backs_.Limit(RingWriteBacks());
  }
#endif
  conn->time_gran = 1;
  conn->max_background = kMaxBackground;
  if (config_.ready) config_.ready();
}

Access Server::AccessOf(const fuse_file_info* fi) const {
  int mode = fi->flags & O_ACCMODE;
  if (mode == O_RDONLY) return Access::kRead;
  return mode == O_WRONLY && sees_writes_ ? Access::kWrite : Access::kMapToWrite;
}

void Server::FinishOpen(fuse_req_t req, NodeId node, HandleId handle, fuse_file_info* fi, bool made,
                        const std::function<int()>& reply) {
  // A mapping of a passthrough file changes its times without anybody being told, also after it is
  // closed; of new files, those that may be mapped to write are not worth that.
  bool may_pass = passthrough_ && !(made && (fi->flags & O_ACCMODE) == O_RDWR);
  SharedFd data = may_pass ? overlay_.FinalData(handle) : nullptr;
  SharedFd shared;
  const auto share = [&] {
    if (may_pass) shared = overlay_.SharedData(handle);
    return shared ? shared->get() : -1;
  };
  OpenModes::Opened opened = modes_.Open(
      node, AccessOf(fi), made, {.final_fd = data ? data->get() : -1, .share = share}, [&](int fd) {
        int id = fuse_passthrough_open(req, fd);
        if (id > 0) return id;
        if (shared) {  // says nothing of the upper's files
          if (overlay_.StopSharing()) {
            Log(LogLevel::kWarning, "programs of this lower cannot be shared: going on without");
          }
        } else if (passthrough_.exchange(false)) {
          overlay_.StopSharing();
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
  } else if (opened.drop_attributes) {
    ForgetAttributes(node);
  }
}

Result<> Server::BeginChange(NodeId node, std::optional<OpenModes::Changing>& changing) {
  if (!overlay_.shares_programs()) return {};
  changing.emplace(modes_, node);
  // close(2) does not wait until we hear of it: who has just closed the file may come first.
  for (int i = 0; i < kReleaseLooks && !changing->held(); ++i) {
    TRY(RequirePatience("a shared program"));
    usleep(kReleaseLookUs);
    changing.emplace(modes_, node);
  }
  if (!changing->held()) return Fail(ETXTBSY, "a shared program");
  return {};
}

void Server::Close(NodeId node, const fuse_file_info* fi) {
  OpenModes::Closed closed = modes_.Close(node, AccessOf(fi), IsPassthrough(fi));
  if (closed.backing_id > 0) {
    // As fuse_passthrough_close() does, which wants a request: here there may be none any more.
    auto id = static_cast<uint32_t>(closed.backing_id);
    if (ioctl(fuse_session_fd(session_), FUSE_DEV_IOC_BACKING_CLOSE, &id) != 0) {
      Log(LogLevel::kError, "backing file {}: {}", id, strerror(errno));
    }
  }
  overlay_.Release(HandleOf(fi));
  if (closed.drop_attributes) ForgetAttributes(node);
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
  fuse_lowlevel_ops operations = Operations();
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
  if (HasUnwritten(node)) ForgetPages(node);
}

void Server::ForgetPages(NodeId node) {
  int rc = fuse_lowlevel_notify_inval_inode(session_, static_cast<fuse_ino_t>(node), 0, 0);
  if (rc != 0 && rc != -ENOENT) Log(LogLevel::kWarning, "giving pages up: {}", strerror(-rc));
}

void Server::AfterWriteBack(fuse_req_t req, NodeId node, Call then, Call instead) {
  write_backs_.Run({.write = [this, node] { WriteBack(node); },
                    .then = std::move(then),
                    .instead = std::move(instead)},
                   IsOnRing(req) ? WriteBacks::Where::kOnRing : WriteBacks::Where::kOffRing);
}

void Server::AfterWriteBackOfAll(fuse_req_t req, Call then, Call instead) {
  write_backs_.Run({.write = [this] { WriteBack(); },
                    .then = std::move(then),
                    .instead = std::move(instead),
                    .may_be_last = true},
                   IsOnRing(req) ? WriteBacks::Where::kOnRing : WriteBacks::Where::kOffRing);
}

Result<> Server::Freeze(pid_t asking, std::chrono::milliseconds timeout) {
  TRY_ASSIGN(uint64_t freeze, overlay_.Freeze(timeout));
  auto watch = std::make_unique<ProcessWatch>(asking, [this, freeze] { overlay_.ThawIf(freeze); });
  MutexLock lock(freezer_mu_);
  if (freeze < freezer_of_) return {};  // that one is over
  freezer_of_ = freeze;
  freezer_.swap(watch);
  return {};
}

Result<> Server::Serve() {
  fuse_loop_config* loop = fuse_loop_cfg_create();
  if (loop == nullptr) return Fail(ENOMEM, "FUSE loop");
  fuse_loop_cfg_set_clone_fd(loop, 1);
  fuse_loop_cfg_set_max_threads(loop, kMaxThreads);
  fuse_loop_cfg_set_idle_threads(loop, 8);
  int rc = 0;
  {
    // Once the loop has ended nobody writes any more, and who waits for it would for ever.
    EndWatch watch(overlay_, [this] {
      WriteBack();
      write_backs_.End();
    });
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
  if (mounted_ && MountedNow() == mount_id_) {
    fuse_session_unmount(session_);
    // It leaves alone what the kernel has given up, as it does when a ring's thread ends.
    if (MountedNow() == mount_id_) Detach(config_.mountpoint);
  }
  if (handlers_) fuse_remove_signal_handlers(session_);
  overlay_.ThawForGood();
  workers_->Drain();  // they have requests of the session
  fuse_session_destroy(session_);
}

Result<std::unique_ptr<FuseServer>> FuseServer::Mount(Overlay& overlay, Config config) {
  auto server = std::make_unique<Server>(overlay, std::move(config));
  TRY(server->Start());
  return server;
}

}  // namespace veneer::fs
