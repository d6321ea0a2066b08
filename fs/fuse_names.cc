// Requests about names: looking up, making, linking, renaming, removing, forgetting.
#include <sys/stat.h>

#include <cstdio>

#include "fs/fuse_request.h"

namespace veneer::fs {

namespace {

void OnLookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Answer(req, [&]() -> Result<> {
    auto entry = EngineOf(req).Lookup(Node(parent), name);
    if (!entry && entry.error().code() == ENOENT) {
      fuse_entry_param missing = {};
      missing.entry_timeout = ServerOf(req).timeout();
      Send(fuse_reply_entry, req, &missing);
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

void OnReadLink(fuse_req_t req, fuse_ino_t ino) {
  Answer(req, [&]() -> Result<> {
    TRY_ASSIGN(std::string target, EngineOf(req).ReadLink(Node(ino)));
    Send(fuse_reply_readlink, req, target.c_str());
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

void OnUnlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  AnswerDone(req, [&] { return EngineOf(req).Unlink(Node(parent), name); });
}

void OnRmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
  AnswerDone(req, [&] { return EngineOf(req).RemoveDir(Node(parent), name); });
}

// A directory that has moved has another "..", which the kernel's copy of its listing does not
// know.
void ForgetListing(Server& server, fuse_ino_t parent, const char* name) {
  auto moved = server.overlay().Lookup(Node(parent), name);
  if (!moved) return;
  if (S_ISDIR(moved->attr.st_mode)) server.ForgetPages(moved->node);
  server.Forget(moved->node, 1);
}

void OnRename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
              const char* new_name, unsigned flags) {
  AnswerDone(req, [&]() -> Result<> {
    TRY(EngineOf(req).Rename(Node(parent), name, Node(new_parent), new_name, flags));
    if (parent == new_parent) return {};
    ForgetListing(ServerOf(req), new_parent, new_name);
    if ((flags & RENAME_EXCHANGE) != 0) ForgetListing(ServerOf(req), parent, name);
    return {};
  });
}

}  // namespace

void AddNameOperations(fuse_lowlevel_ops& operations) {
  operations.lookup = OnLookup;
  operations.forget = OnForget;
  operations.forget_multi = OnForgetMulti;
  operations.readlink = OnReadLink;
  operations.mknod = MayWait<OnMknod>::Run;
  operations.mkdir = MayWait<OnMkdir>::Run;
  operations.symlink = MayWait<OnSymlink>::Run;
  operations.link = MayWait<OnLink>::Run;
  operations.unlink = MayWait<OnUnlink>::Run;
  operations.rmdir = MayWait<OnRmdir>::Run;
  operations.rename = MayWait<OnRename>::Run;
}

}  // namespace veneer::fs
