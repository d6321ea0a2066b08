// Requests about open files.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "fs/fuse_request.h"

namespace veneer::fs {

namespace {

// More than this may be held up by the host, which writes back first.
constexpr size_t kQuickWrite = 1 << 15;

bool Changes(const fuse_file_info* fi) {
  return (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0;
}

void DoOpen(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    std::optional<OpenModes::Changing> changing;
    if (Changes(fi)) TRY(ServerOf(req).BeginChange(Node(ino), changing));
    TRY_ASSIGN(HandleId handle,
               EngineOf(req).Open(Node(ino), fi->flags, KillSuidOf(req, fi->kill_suidgid != 0)));
    ServerOf(req).FinishOpen(req, Node(ino), handle, fi, false,
                             [&] { return Send(fuse_reply_open, req, fi); });
    return {};
  });
}

void OnOpen(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  if (!ServerOf(req).opens_files()) {  // and it asks no more; pages stay valid for ever
    Send(fuse_reply_err, req, ENOSYS);
    return;
  }
  Changes(fi) ? MayWait<DoOpen>::Run(req, ino, fi) : MayRead<DoOpen>::Run(req, ino, fi);
}

void ReplyCreated(fuse_req_t req, const std::pair<Entry, HandleId>& made, fuse_file_info* fi) {
  Server& server = ServerOf(req);
  server.FinishOpen(req, made.first.node, made.second, fi, true, [&] {
    fuse_entry_param param = ParamOf(server, made.first, server.TellMade(made.first.node));
    int rc = Send(fuse_reply_create, req, &param, fi);
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

void OnRead(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    char* buffer = ThreadBuffer(size);
    auto from = static_cast<uint64_t>(offset);
    TRY_ASSIGN(size_t n, ServerOf(req).opens_files()
                             ? EngineOf(req).Read(HandleOf(fi), buffer, size, from)
                             : EngineOf(req).ReadUnopened(Node(ino), buffer, size, from));
    Send(fuse_reply_buf, req, buffer, n);
    return {};
  });
}

void DoWrite(fuse_req_t req, std::string_view data, off_t offset, fuse_file_info* fi) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(size_t n, EngineOf(req).Write(HandleOf(fi), data, static_cast<uint64_t>(offset),
                                             KillSuidOf(req, fi->kill_suidgid != 0)));
    Send(fuse_reply_write, req, n);
    return {};
  });
}

void OnWrite(fuse_req_t req, fuse_ino_t, const char* data, size_t size, off_t offset,
             fuse_file_info* fi) {
  if (size > kQuickWrite) {
    TakesLongAndMayWait<DoWrite>::Run(req, {data, size}, offset, fi);
  } else {
    MayWait<DoWrite>::Run(req, {data, size}, offset, fi);
  }
}

void OnRelease(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) {
  ServerOf(req).Close(Node(ino), fi);
  Send(fuse_reply_err, req, 0);
}

void OnFsync(fuse_req_t req, fuse_ino_t ino, int data_only, fuse_file_info* fi) {
  AnswerDone(req, [&] {
    Result<> done = EngineOf(req).Fsync(HandleOf(fi), data_only != 0);
    // The host has found places for its data, so it may have other blocks.
    ServerOf(req).ForgetAttributes(Node(ino));
    return done;
  });
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
    auto from = static_cast<uint64_t>(offset);
    TRY_ASSIGN(uint64_t found, ServerOf(req).opens_files()
                                   ? EngineOf(req).Seek(HandleOf(fi), from, whence)
                                   : EngineOf(req).SeekUnopened(Node(ino), from, whence));
    Send(fuse_reply_lseek, req, static_cast<off_t>(found));
    return {};
  });
}

// What may always be said: that a file has no holes but the one behind its end.
void SeekWithoutHoles(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(struct stat st, EngineOf(req).GetAttr(Node(ino)));
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return Fail(EINVAL, "lseek");
    if (offset < 0 || offset >= st.st_size) return Fail(ENXIO, "lseek");
    Send(fuse_reply_lseek, req, whence == SEEK_DATA ? offset : st.st_size);
    return {};
  });
}

void OnSeek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, fuse_file_info* fi) {
  Server& server = ServerOf(req);
  if (!server.HasUnwritten(Node(ino))) return DoSeek(req, ino, offset, whence, fi);
  // The kernel does not do this for us: what a mapping wrote into a hole would be passed over.
  Answer(req, [&]() -> Result<> {
    server.AfterWriteBack(req, Node(ino), KeepCall<DoSeek>(req, ino, offset, whence, fi),
                          KeepCall<SeekWithoutHoles>(req, ino, offset, whence, fi));
    return {};
  });
}

void DoCopyFileRange(fuse_req_t req, off_t offset_in, fuse_file_info* in, off_t offset_out,
                     fuse_file_info* out, size_t length) {
  Answer(req, [&]() -> Result<> {
    // The reply counts in 32 bits; a caller asks again for the rest.
    length = std::min<size_t>(length, size_t{1} << 30);
    TRY_ASSIGN(size_t n, EngineOf(req).CopyFileRange(HandleOf(in), static_cast<uint64_t>(offset_in),
                                                     HandleOf(out),
                                                     static_cast<uint64_t>(offset_out), length));
    Send(fuse_reply_write, req, n);
    return {};
  });
}

// The kernel then copies by reading and writing pages, and has those that are changed.
void LeaveCopyToKernel(fuse_req_t req) { Send(fuse_reply_err, req, EOPNOTSUPP); }

void OnCopyFileRange(fuse_req_t req, fuse_ino_t ino, off_t offset_in, fuse_file_info* in,
                     fuse_ino_t, off_t offset_out, fuse_file_info* out, size_t length, int) {
  using Copy = TakesLongAndMayWait<DoCopyFileRange>;
  Server& server = ServerOf(req);
  if (!server.HasUnwritten(Node(ino))) {
    return Copy::Run(req, offset_in, in, offset_out, out, length);
  }
  Answer(req, [&]() -> Result<> {  // as for seeking
    server.AfterWriteBack(req, Node(ino),
                          KeepCall<Copy::Run>(req, offset_in, in, offset_out, out, length),
                          KeepCall<LeaveCopyToKernel>(req));
    return {};
  });
}

}  // namespace

void AddFileOperations(fuse_lowlevel_ops& operations) {
  operations.open = OnOpen;
  operations.create = MayWait<OnCreate>::Run;
  operations.tmpfile = MayWait<OnTmpFile>::Run;
  operations.read = MayRead<OnRead>::Run;
  operations.write = OnWrite;
  operations.release = OnRelease;
  operations.fsync = TakesLongAndMayWait<OnFsync>::Run;
  operations.fallocate = TakesLongAndMayWait<OnFallocate>::Run;
  operations.lseek = OnSeek;
  operations.copy_file_range = OnCopyFileRange;
}

}  // namespace veneer::fs
