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

void CallerScope::OwnUmask() { Self(); }

CallerScope::CallerScope(const Caller& caller)
    : own_uid_(Self().uid),
      own_gid_(Self().gid),
      other_uid_(caller.uid != own_uid_),
      other_gid_(caller.gid != own_gid_) {
  ThreadIdentity& self = Self();
  if (self.own_umask && self.umask != caller.umask) {
    ::umask(caller.umask);
    self.umask = caller.umask;
  }
  // The group first: without capabilities, changing the user could take away the right to change
  // it.
  if (other_gid_) setfsgid(caller.gid);
  if (other_uid_) setfsuid(caller.uid);
}

CallerScope::~CallerScope() {
  if (other_uid_) setfsuid(own_uid_);
  if (other_gid_) setfsgid(own_gid_);
  ThreadIdentity& self = Self();
  if (self.own_umask && (self.umask & S_IRWXU) != 0) {
    ::umask(0);
    self.umask = 0;
  }
}

}  // namespace veneer::fs
