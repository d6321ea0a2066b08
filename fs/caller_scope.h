// CallerScope: within it, this thread creates files as the caller would: owner, group and umask are
// the caller's, so that the host's filesystem applies setgid directories and default ACLs itself,
// atomically. Capabilities and supplementary groups stay the daemon's.
//
// Invariant: outside of a scope a thread's fsuid and fsgid are its own, those that the daemon runs
// with; nothing but a scope changes them, and scopes do not nest. So a scope has to set only what
// differs from the thread's own, and to put back only what it set: a caller whose identity is the
// daemon's costs no system call, and no thread acts as a former caller. Putting one's own back
// needs no privilege. The umask stays the last caller's between scopes, as long as it takes nothing
// from the owner: what threads make outside of them has modes of 0700 and less.
#pragma once

#include "fs/types.h"

namespace veneer::fs {

class CallerScope {
 public:
  explicit CallerScope(const Caller& caller);
  ~CallerScope();
  CallerScope(const CallerScope&) = delete;
  CallerScope& operator=(const CallerScope&) = delete;

  // A new thread shares the umask of the one that started it: to be called before it makes files,
  // if it is not within a scope then.
  static void OwnUmask();

 private:
  const uid_t own_uid_;
  const gid_t own_gid_;
  const bool other_uid_;
  const bool other_gid_;
};

}  // namespace veneer::fs
