// CallerScope: within it, this thread creates files as the caller would: owner, group and umask are
// the caller's, so that the host's filesystem applies setgid directories and default ACLs itself,
// atomically. Capabilities stay the daemon's.
#pragma once

#include "fs/types.h"

namespace veneer::fs {

class CallerScope {
 public:
  explicit CallerScope(const Caller& caller);
  ~CallerScope();
  CallerScope(const CallerScope&) = delete;
  CallerScope& operator=(const CallerScope&) = delete;

 private:
  uid_t uid_;
  gid_t gid_;
};

}  // namespace veneer::fs
