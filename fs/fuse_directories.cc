// Requests about open directories.
#include <dirent.h>

#include <vector>

#include "fs/fuse_request.h"

namespace veneer::fs {

namespace {

// The kernel then opens directories by itself, and caches listings: it starts a cache anew when it
// has changed the directory, and asks for a position that a cache has not. Nobody else changes it.
void OnOpenDir(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
  if (ServerOf(req).opens_directories()) {
    fi->cache_readdir = fi->keep_cache = 1;
    Send(fuse_reply_open, req, fi);
  } else {
    Send(fuse_reply_err, req, ENOSYS);
  }
}

void SendListing(fuse_req_t req, fuse_ino_t ino, bool forget, const char* buffer, size_t used,
                 const std::vector<NodeId>& held = {}) {
  Server& server = ServerOf(req);
  if (forget) server.ForgetPages(Node(ino));
  if (Send(fuse_reply_buf, req, buffer, used) == 0) return;
  for (NodeId node : held) server.Forget(node, 1);
}

void OnReadDir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    char* buffer = ThreadBuffer(size);
    size_t used = 0;
    TRY_ASSIGN(bool forget, EngineOf(req).ReadDir(Node(ino), static_cast<uint64_t>(offset),
                                                  [&](const DirItem& item, uint64_t next) {
                                                    struct stat st = {};
                                                    st.st_ino = item.ino;
                                                    st.st_mode = DTTOIF(item.type);
                                                    size_t need = fuse_add_direntry(
                                                        req, buffer + used, size - used,
                                                        item.name.c_str(), &st,
                                                        static_cast<off_t>(next));
                                                    if (need > size - used) return false;
                                                    used += need;
                                                    return true;
                                                  }));
    SendListing(req, ino, forget, buffer, used);
    return {};
  });
}

void OnReadDirPlus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  Answer(req, [&]() -> Result<> {
    Server& server = ServerOf(req);
    Overlay& engine = server.overlay();
    char* buffer = ThreadBuffer(size);
    size_t used = 0;
    std::vector<NodeId> held;
    TRY_ASSIGN(
        bool forget,
        engine.ReadDir(
            Node(ino), static_cast<uint64_t>(offset), [&](const DirItem& item, uint64_t next) {
              const char* name = item.name.c_str();
              if (fuse_add_direntry_plus(req, nullptr, 0, name, nullptr, 0) > size - used)
                return false;
              fuse_entry_param param = {};
              if (item.name != "." && item.name != "..") {
                auto entry = engine.Lookup(Node(ino), item.name);
                if (entry) {
                  param = ParamOf(server, *entry, server.TellAttributes(entry->node));
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
    SendListing(req, ino, forget, buffer, used, held);
    return {};
  });
}

void OnFsyncDir(fuse_req_t req, fuse_ino_t ino, int, fuse_file_info*) {
  AnswerDone(req, [&] { return EngineOf(req).FsyncDir(Node(ino)); });
}

}  // namespace

void AddDirectoryOperations(fuse_lowlevel_ops& operations) {
  operations.opendir = OnOpenDir;
  operations.readdir = OnReadDir;
  operations.readdirplus = OnReadDirPlus;
  operations.fsyncdir = TakesLong<OnFsyncDir>::Run;
}

}  // namespace veneer::fs
