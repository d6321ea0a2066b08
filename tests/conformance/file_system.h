// FileSystem: what a case of the conformance suite may do, whoever does it: the kernel on a
// directory, or the engine in process. Values in, values out; errors are errno values as POSIX
// names them for the system call behind.
//
// Paths are relative to the root, "" is the root itself, and their last component is never followed
// when it is a symlink (in between, cases use none). One thread at a time, but for open files.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/control.h"
#include "fs/types.h"
#include "store/base/result.h"

namespace veneer::fs::conformance {

// 0, or the error's number.
template <typename T>
int Code(const Result<T>& result) {
  return result ? 0 : result.error().code();
}

// An open file; closes itself.
class File {
 public:
  virtual ~File() = default;
  // Less than `size` only at the end of the file.
  virtual Result<std::string> Read(size_t size, uint64_t offset) = 0;
  // At the end where the file was opened with O_APPEND.
  virtual Result<size_t> Write(std::string_view data, uint64_t offset) = 0;
  virtual Result<struct stat> Stat() = 0;
  virtual Result<> Chmod(mode_t mode) = 0;
  virtual Result<> Chown(uid_t uid, gid_t gid) = 0;
  virtual Result<> Truncate(uint64_t size) = 0;
  virtual Result<> Sync(bool data_only) = 0;
  virtual Result<> Allocate(int mode, uint64_t offset, uint64_t length) = 0;
  // SEEK_DATA or SEEK_HOLE.
  virtual Result<uint64_t> Seek(uint64_t offset, int whence) = 0;
  // copy_file_range(2), to a file of the same file system.
  virtual Result<size_t> CopyTo(File& to, uint64_t offset, uint64_t offset_to, size_t length) = 0;
  // Gives the file a (further) name.
  virtual Result<> Link(const std::string& path) = 0;
};
using FilePtr = std::unique_ptr<File>;

// An open directory; closes itself.
class Directory {
 public:
  virtual ~Directory() = default;
  // None at the end. "." and ".." come too.
  virtual Result<std::optional<DirItem>> Next() = 0;
  // The position behind the last one; Seek() goes back to it, as telldir and seekdir.
  virtual uint64_t Tell() = 0;
  virtual void Seek(uint64_t position) = 0;
  virtual void Rewind() = 0;
  virtual Result<struct stat> Stat() = 0;
  virtual Result<> Sync() = 0;
  // Creates an empty file in it.
  virtual Result<> Create(const std::string& name) = 0;
};
using DirectoryPtr = std::unique_ptr<Directory>;

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Who acts from here on, by file system IDs and umask; at first root, 022. One who is not uid 0
  // has none of root's rights over files.
  virtual void Become(const Caller& caller) = 0;

  virtual Result<struct stat> Stat(const std::string& path) = 0;
  virtual Result<FilePtr> Open(const std::string& path, int flags, mode_t mode = 0644) = 0;
  virtual Result<FilePtr> TmpFile(const std::string& dir, mode_t mode = 0600) = 0;
  virtual Result<DirectoryPtr> OpenDir(const std::string& path) = 0;

  virtual Result<> MakeDir(const std::string& path, mode_t mode = 0755) = 0;
  virtual Result<> MakeNode(const std::string& path, mode_t mode, dev_t device = 0) = 0;
  virtual Result<> MakeSymlink(const std::string& target, const std::string& path) = 0;
  virtual Result<> Link(const std::string& from, const std::string& to) = 0;
  virtual Result<> Unlink(const std::string& path) = 0;
  virtual Result<> RemoveDir(const std::string& path) = 0;
  // Flags as renameat2(2).
  virtual Result<> Rename(const std::string& from, const std::string& to, unsigned flags = 0) = 0;
  virtual Result<std::string> ReadLink(const std::string& path) = 0;

  virtual Result<> Chmod(const std::string& path, mode_t mode) = 0;
  // -1: as it is.
  virtual Result<> Chown(const std::string& path, uid_t uid, gid_t gid) = 0;
  virtual Result<> Truncate(const std::string& path, uint64_t size) = 0;
  // tv_nsec may be UTIME_NOW or UTIME_OMIT.
  virtual Result<> SetTimes(const std::string& path, timespec atime, timespec mtime) = 0;

  virtual Result<std::string> GetXattr(const std::string& path, const std::string& name) = 0;
  virtual Result<std::vector<std::string>> ListXattr(const std::string& path) = 0;
  virtual Result<> SetXattr(const std::string& path, const std::string& name,
                            std::string_view value, int flags = 0) = 0;
  virtual Result<> RemoveXattr(const std::string& path, const std::string& name) = 0;
  virtual Result<struct statvfs> StatFs() = 0;

  // Ends it and begins anew on what it left behind. REQUIRES: nothing is open.
  virtual Result<> Remount() = 0;
  // ENOTTY where there is no engine.
  virtual Result<control::Stats> Statistics() = 0;
};

}  // namespace veneer::fs::conformance
