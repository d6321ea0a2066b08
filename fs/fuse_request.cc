#include "fs/fuse_request.h"

#include <algorithm>
#include <vector>

#include "fs/caller_scope.h"

namespace veneer::fs {

bool IsOnRing([[maybe_unused]] fuse_req_t req) {
#ifdef VENEER_FUSE_URING
  return fuse_req_is_uring(req);
#else
  return false;
#endif
}

Server& ServerOf(fuse_req_t req) {
  CallerScope::OwnUmask();
  auto& server = *static_cast<Server*>(fuse_req_userdata(req));
  if (IsOnRing(req)) server.MeetRing();
  return server;
}

Caller CallerOf(fuse_req_t req) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  return {.uid = ctx->uid, .gid = ctx->gid, .umask = ctx->umask};
}

bool InGroup(fuse_req_t req, gid_t group) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  if (ctx->uid == 0 || ctx->gid == group) return true;
  std::vector<gid_t> groups(64);
  int n = fuse_req_getgroups(req, static_cast<int>(groups.size()), groups.data());
  if (n > static_cast<int>(groups.size())) {
    groups.resize(static_cast<size_t>(n));
    n = fuse_req_getgroups(req, n, groups.data());
  }
  if (n < 0) return false;  // as for a stranger
  groups.resize(std::min(groups.size(), static_cast<size_t>(n)));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

KillSuid KillSuidOf(fuse_req_t req, bool kill) {
  if (!kill) return nullptr;
  return [req](gid_t group) { return InGroup(req, group); };
}

char* ThreadBuffer(size_t size) {
  thread_local std::vector<char> buffer;
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

fuse_entry_param ParamOf(Server& server, const Entry& entry, double attr_timeout) {
  fuse_entry_param param = {};
  param.ino = static_cast<fuse_ino_t>(entry.node);
  param.attr = entry.attr;
  param.attr_timeout = attr_timeout;
  param.entry_timeout = server.timeout();
  return param;
}

void ReplyEntry(fuse_req_t req, const Entry& entry) {
  Server& server = ServerOf(req);
  fuse_entry_param param = ParamOf(server, entry, server.TellAttributes(entry.node));
  // An interrupted caller never learns of the node.
  if (Send(fuse_reply_entry, req, &param) != 0) server.Forget(entry.node, 1);
}

}  // namespace veneer::fs
