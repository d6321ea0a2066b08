// ioctls: the control channel on the root (control.h), and inode flags.
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "fs/fuse_request.h"

namespace veneer::fs {

namespace {

Result<> MayControl(fuse_req_t req) {
  uid_t uid = fuse_req_ctx(req)->uid;
  if (uid != 0 && uid != geteuid()) return Fail(EPERM, "control");
  return {};
}

Result<> Control(fuse_req_t req, unsigned request, std::string_view in) {
  Overlay& engine = EngineOf(req);
  TRY(MayControl(req));
  if (request == control::kSync) {
    TRY(engine.Sync());
  } else if (request == control::kComplete) {
    TRY(engine.Complete());
  } else if (request == control::kFreeze) {
    control::Freeze freeze = {};
    memcpy(&freeze, in.data(), std::min(in.size(), sizeof freeze));
    TRY(ServerOf(req).Freeze(fuse_req_ctx(req)->pid, std::chrono::milliseconds(freeze.timeout_ms)));
  } else if (request == control::kThaw) {
    TRY(engine.Thaw());
  } else if (request == control::kStats) {
    control::Stats stats = engine.Statistics();
    stats.passthrough = ServerOf(req).passed();
    stats.rings = ServerOf(req).rings();
    stats.mode_violations = ServerOf(req).mode_violations();
    Send(fuse_reply_ioctl, req, 0, &stats, sizeof stats);
    return {};
  } else if (request == control::kIdentify) {
    control::Identify identity = engine.Identity();
    Send(fuse_reply_ioctl, req, 0, &identity, sizeof identity);
    return {};
  } else {
    return Fail(ENOTTY, "control");
  }
  Send(fuse_reply_ioctl, req, 0, nullptr, 0);
  return {};
}

bool ChangesFile(unsigned request) {
  return request == FS_IOC_SETFLAGS || request == FS_IOC_FSSETXATTR;
}

void DoControl(fuse_req_t req, unsigned request, std::string_view in) {
  Answer(req, [&] { return Control(req, request, in); });
}

void SayTryAgain(fuse_req_t req) { Send(fuse_reply_err, req, EAGAIN); }

void OnControl(fuse_req_t req, unsigned request, std::string_view in) {
  switch (request) {
    case control::kSync:
      Answer(req, [&]() -> Result<> {
        TRY(MayControl(req));
        ServerOf(req).AfterWriteBackOfAll(req, KeepCall<DoControl>(req, request, in),
                                          KeepCall<SayTryAgain>(req));
        return {};
      });
      return;
    // These never wait: whatever else does, a thaw must not.
    case control::kThaw:
    case control::kStats:
    case control::kIdentify:
      return DoControl(req, request, in);
    default:
      TakesLong<DoControl>::Run(req, request, in);
  }
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
    Send(fuse_reply_ioctl, req, 0, argument, out_size);
    return {};
  });
}

void OnIoctl(fuse_req_t req, fuse_ino_t ino, unsigned request, void*, fuse_file_info*,
             unsigned flags, const void* in, size_t in_size, size_t out_size) {
  Answer(req, [&]() -> Result<> {
    if ((flags & FUSE_IOCTL_COMPAT) != 0) return Fail(ENOTTY, "32-bit ioctl");
    std::string_view argument(static_cast<const char*>(in), in == nullptr ? 0 : in_size);
    if (ino == FUSE_ROOT_ID && _IOC_TYPE(request) == control::kType) {
      OnControl(req, request, argument);
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

}  // namespace

void AddControlOperations(fuse_lowlevel_ops& operations) { operations.ioctl = OnIoctl; }

}  // namespace veneer::fs
