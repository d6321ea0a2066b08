#include "fs/host_namespace.h"

#include <sys/stat.h>

namespace veneer::fs {

namespace {

// The first namespaces' inode numbers in nsfs; those of others begin at 0xF0000000
// (linux/nsfs.h: MNT_NS_INIT_INO is from Linux 6.18 on, PID_NS_INIT_INO older than namespaces'
// files).
constexpr ino_t kFirstMountNamespace = 0xEFFFFFF8U;
constexpr ino_t kFirstProcessNamespace = 0xEFFFFFFCU;

}  // namespace

bool IsHostsMountNamespace(const std::string& space) {
  struct stat own = {}, processes = {}, first = {};
  if (stat(space.c_str(), &own) != 0) return false;
  if (own.st_ino == kFirstMountNamespace) return true;
  // In the first process namespace, process 1 is the host's.
  return stat("/proc/self/ns/pid", &processes) == 0 && processes.st_ino == kFirstProcessNamespace &&
         stat("/proc/1/ns/mnt", &first) == 0 && own.st_ino == first.st_ino &&
         own.st_dev == first.st_dev;
}

}  // namespace veneer::fs
