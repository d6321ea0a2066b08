// The *at calls Veneer uses, as Results, and name resolution that cannot leave a directory.
//
// OpenBeneath resolves with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS): ".." and symlinks may
// not lead out (EXDEV). Everything here retries EINTR; nothing here logs.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "store/base/unique_fd.h"

namespace veneer {

// openat(2); O_CLOEXEC is always added. `mode` is used with O_CREAT and O_TMPFILE.
Result<UniqueFd> OpenAt(int dirfd, const std::string& path, int flags, mode_t mode = 0);

// openat2(2) beneath `dirfd`. With `follow` false no component may be a symlink
// (RESOLVE_NO_SYMLINKS, ELOOP).
Result<UniqueFd> OpenBeneath(int dirfd, const std::string& path, int flags, bool follow = true,
                             mode_t mode = 0);

// mkdirat(2) where an existing directory is success.
Result<> EnsureDir(int dirfd, const std::string& path, mode_t mode);

// read(2)/pread(2)/write(2)/pwrite(2) until all is done. ReadUpTo stops early only at end of file;
// returns bytes read.
Result<size_t> ReadUpTo(int fd, void* buffer, size_t size);
Result<size_t> PreadUpTo(int fd, void* buffer, size_t size, uint64_t offset);
Result<> WriteAll(int fd, std::string_view data);
Result<> PwriteAll(int fd, std::string_view data, uint64_t offset);

// The whole of a file of at most `limit` bytes; EFBIG when it is larger.
Result<std::string> ReadFileAt(int dirfd, const std::string& path, size_t limit);

// Removes `path` and all below it, without following symlinks or crossing into other mounts (EXDEV
// there); directories whose modes forbid it to their owner are given others. Missing is success,
// and so is what somebody else removes at the same time.
Result<> RemoveTree(int dirfd, const std::string& path);

Result<struct stat> StatAt(int dirfd, const std::string& path, int flags);  // fstatat(2)
// statx(2) without following symlinks; an empty `path` is `dirfd` itself. nullopt: the filesystem
// does not keep it.
Result<std::optional<timespec>> BirthTimeAt(int dirfd, const std::string& path);
Result<> FsyncDir(int dirfd, const std::string& path);  // opens and fsyncs a directory

// "/proc/self/fd/<fd>" and "/proc/self/fd/<fd>/<name>": a path for calls that take no descriptor
// (l*xattr on a name in an O_PATH directory). REQUIRES: /proc is mounted.
std::string FdPath(int fd);
std::string FdPath(int fd, std::string_view name);

}  // namespace veneer
