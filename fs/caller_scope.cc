#include "fs/caller_scope.h"

#include <linux/securebits.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace veneer::fs {

namespace {

// What a thread needs once: a umask of its own, and capabilities that survive setfsuid.
struct ThreadIdentity {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  bool own_umask = false;
  mode_t umask = 0;

  ThreadIdentity() {
    int bits = prctl(PR_GET_SECUREBITS);
    if (bits >= 0) {
      prctl(PR_SET_SECUREBITS, static_cast<unsigned long>(bits) | SECBIT_NO_SETUID_FIXUP);
    }
    own_umask = unshare(CLONE_FS) == 0;
    if (own_umask) ::umask(0);
  }
};

ThreadIdentity& Self() {
  thread_local ThreadIdentity self;
  return self;
}

}  // namespace

CallerScope::CallerScope(const Caller& caller) : uid_(Self().uid), gid_(Self().gid) {
  ThreadIdentity& self = Self();
  if (self.own_umask && self.umask != caller.umask) {
    ::umask(caller.umask);
    self.umask = caller.umask;
  }
  // The group first: without capabilities, changing the user could take away the right to change
  // it.
  if (caller.gid != gid_) setfsgid(caller.gid);
  if (caller.uid != uid_) setfsuid(caller.uid);
}

CallerScope::~CallerScope() {
  setfsuid(uid_);
  setfsgid(gid_);
}

}  // namespace veneer::fs
