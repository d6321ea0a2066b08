// What the request handlers (fuse_names.cc, fuse_attributes.cc, fuse_files.cc, fuse_directories.cc,
// fuse_control.cc) share with the server they belong to: a request's caller, handle and answer, and
// where it is handled. The only file that includes libfuse, and for these alone.
#pragma once

#include <fuse_lowlevel.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "fs/fuse_server.h"
#include "fs/kept_call.h"
#include "fs/log.h"
#include "fs/memory_return.h"
#include "fs/open_mode.h"
#include "fs/patience.h"
#include "fs/process_watch.h"
#include "fs/prompt_wakes.h"
#include "fs/replier.h"
#include "fs/waiting_room.h"
#include "fs/workers.h"
#include "fs/write_backs.h"

namespace veneer::fs {

// The server of a mount. Thread-safe, but for its start and end.
class Server : public FuseServer {
 public:
  Server(Overlay& overlay, Config config);
  ~Server() override;
  Result<> Start();
  Result<> Serve() override;

  Overlay& overlay() { return overlay_; }
  void Init(fuse_conn_info* conn);
  double timeout() const { return config_.timeout; }
  // How long the kernel may keep attributes of `node` that it is about to be told. Asked before
  // they are read, where that can be: who opens the file meanwhile has the answer dropped.
  double TellAttributes(NodeId node) { return modes_.Tell(node) ? timeout() : 0.0; }
  // The same for a file that is being made: what comes after, the kernel sees.
  double TellMade(NodeId node) { return modes_.ChangesUnseen(node) ? 0.0 : timeout(); }
  // The engine has opened the file: decides its mode, fills `fi` in, replies. `reply` returns 0
  // when the kernel has taken the handle. `made`: the kernel does not know the file yet.
  void FinishOpen(fuse_req_t req, NodeId node, HandleId handle, fuse_file_info* fi, bool made,
                  const std::function<int()>& reply);
  void Close(NodeId node, const fuse_file_info* fi);
  void Forget(NodeId node, uint64_t count) {
    if (!overlay_.Forget(node, count)) return;
    modes_.Forget(node);
    memory_return_.Left(overlay_.inodes());
  }
  // To be held by who opens the node to write, until it is open, or cuts it: nothing where programs
  // are not shared. ETXTBSY: it is a program, and somebody has it open (exec(2) does the same).
  Result<> BeginChange(NodeId node, std::optional<OpenModes::Changing>& changing);
  // What mappings of open files changed, and only the kernel has, comes to the engine: of one file,
  // or of all. Then `then` is called, or, where that cannot be waited for, `instead`
  // (write_backs.h).
  using Call = std::function<void()>;
  void AfterWriteBack(fuse_req_t req, NodeId node, Call then, Call instead);
  void AfterWriteBackOfAll(fuse_req_t req, Call then, Call instead);
  // The kernel asks again for what it knows of the node's attributes.
  void ForgetAttributes(NodeId node) {
    fuse_lowlevel_notify_inval_inode(session_, static_cast<fuse_ino_t>(node), -1, 0);
  }
  // False: the kernel does that without us.
  bool opens_directories() const { return opens_directories_; }
  bool opens_files() const { return config_.opens; }
  // And for the pages it has of the node, of a directory's listing too; changed ones are written
  // before this returns.
  void ForgetPages(NodeId node);
  bool HasUnwritten(NodeId node) { return modes_.HasCachedWriter(node); }  // possibly
  uint64_t passed() const { return passed_; }
  // True where user 0 of the mount is the host's root.
  bool privileged() const { return privileged_; }
  // A request came from a ring, or is answered for one.
  void MeetRing();
  uint64_t rings() const { return rings_; }
  uint64_t mode_violations() const { return modes_.violations(); }
  void CountRequest() {
    if (prompt_wakes_) prompt_wakes_->Count();
  }
  // Until a thaw, the timeout, or the end of the process of thread `asking`.
  Result<> Freeze(pid_t asking, std::chrono::milliseconds timeout);
  WaitingRoom& waiting() { return waiting_; }
  Workers& workers() { return *workers_; }
  Replier& replier() { return *replier_; }

 private:
  // Return when it is written.
  void WriteBack();
  void WriteBack(NodeId node);
  // The ID of the mount on the mount point, from /proc/self/mountinfo; empty where there is none.
  std::string MountedNow() const;
  Access AccessOf(const fuse_file_info* fi) const;

  Overlay& overlay_;
  const Config config_;
  OpenModes modes_;
  MemoryReturn memory_return_;
  WaitingRoom waiting_;
  const std::unique_ptr<PromptWakes> prompt_wakes_;
  std::unique_ptr<Replier> replier_ = std::make_unique<Replier>();
  std::unique_ptr<Workers> workers_;
  WriteBacks write_backs_;
  Mutex freezer_mu_;
  std::unique_ptr<ProcessWatch> freezer_ GUARDED_BY(freezer_mu_);  // of who asked last
  uint64_t freezer_of_ GUARDED_BY(freezer_mu_) = 0;                // the freeze that is for
  std::atomic<bool> passthrough_{false};  // agreed with the kernel, and not failed yet
  bool opens_directories_ = true;
  bool sees_writes_ = true;  // the kernel knows the size of a file after a passthrough write
  std::atomic<uint64_t> passed_{0};
  std::atomic<uint64_t> rings_{0};
  fuse_session* session_ = nullptr;
  const bool privileged_;
  bool handlers_ = false;
  bool mounted_ = false;
  std::string mount_id_;
};
// --- What a request says

bool IsOnRing(fuse_req_t req);
Server& ServerOf(fuse_req_t req);
inline Overlay& EngineOf(fuse_req_t req) { return ServerOf(req).overlay(); }
inline NodeId Node(fuse_ino_t ino) { return NodeId(ino); }
// What the kernel keeps with an open file: the handle, and whether it is passthrough.
inline HandleId HandleOf(const fuse_file_info* fi) { return HandleId(fi->fh >> 1); }
inline bool IsPassthrough(const fuse_file_info* fi) { return (fi->fh & 1) != 0; }
inline uint64_t PackHandle(HandleId handle, bool passthrough) {
  return static_cast<uint64_t>(handle) << 1 | (passthrough ? 1 : 0);
}
Caller CallerOf(fuse_req_t req);
// Whether the caller is root or in `group`; false where that cannot be found out.
bool InGroup(fuse_req_t req, gid_t group);
// Nothing where the request clears no setuid and setgid bits.
KillSuid KillSuidOf(fuse_req_t req, bool kill);

// --- Answering

// Every answer goes through here: Send(fuse_reply_err, req, code). Returns what `reply` does.
template <typename... Params, typename... Args>
int Send(int (*reply)(fuse_req_t, Params...), fuse_req_t req, Args... args) {
  Server& server = ServerOf(req);
  server.CountRequest();
  if (!Workers::IsWorker() || !IsOnRing(req)) return reply(req, args...);
  return server.replier().Call([&] { return reply(req, args...); });
}

// A buffer of the calling thread, for one answer at a time: reads are frequent, and a fresh
// megabyte each time is a page fault per page.
char* ThreadBuffer(size_t size);
fuse_entry_param ParamOf(Server& server, const Entry& entry, double attr_timeout);
void ReplyEntry(fuse_req_t req, const Entry& entry);

// Set when the request at hand, on a ring's thread, would have to wait and was not answered.
inline thread_local bool postponed = false;

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
  if (code != 0) Send(fuse_reply_err, req, code);
}

// Operations that answer with nothing but success.
template <typename Body>
void AnswerDone(fuse_req_t req, Body body) {
  Answer(req, [&]() -> Result<> {
    TRY(body());
    Send(fuse_reply_err, req, 0);
    return {};
  });
}

// --- Where it is handled

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

// --- The handlers, by file

void AddNameOperations(fuse_lowlevel_ops& operations);
void AddAttributeOperations(fuse_lowlevel_ops& operations);
void AddFileOperations(fuse_lowlevel_ops& operations);
void AddDirectoryOperations(fuse_lowlevel_ops& operations);
void AddControlOperations(fuse_lowlevel_ops& operations);

}  // namespace veneer::fs
