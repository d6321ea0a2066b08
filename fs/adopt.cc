#include "fs/adopt.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "fs/dir_stream.h"
#include "fs/keep_times.h"
#include "fs/log.h"
#include "fs/upper.h"
#include "store/base/beneath.h"
#include "store/markers.h"

namespace veneer::fs {

namespace {

// The marker under a prefix that is not this upper's.
std::optional<std::string> ForeignMark(const Upper& upper, const FileAt& file,
                                       std::string_view marker) {
  for (std::string_view prefix :
       {markers::kTrustedPrefix, markers::kUserPrefix, markers::kFuseOverlayfsPrefix}) {
    std::string name = std::string(prefix) + std::string(marker);
    if (name == upper.MarkName(marker)) continue;
    auto value = FindXattr(file, name);
    if (value && *value) return std::move(*value);
  }
  return std::nullopt;
}

Result<> PutWhiteout(Upper& upper, int dirfd, const std::string& name) {
  const FileAt at(dirfd);
  if (upper.file_whiteouts()) {
    TRY_ASSIGN(auto opaque, upper.ReadMark(at, markers::kOpaque));
    if (!opaque) TRY(upper.SetMark(at, markers::kOpaque, "x"));
  }
  return upper.ReplaceByWhiteout(dirfd, name);
}

// The directory's own markers.
Result<> AdoptMarks(Upper& upper, int dirfd) {
  const FileAt at(dirfd);
  for (std::string_view marker : {markers::kOpaque, markers::kRedirect}) {
    TRY_ASSIGN(auto own, upper.ReadMark(at, marker));
    auto foreign = own ? std::nullopt : ForeignMark(upper, at, marker);
    // Another value of `opaque` speaks of whiteouts, which get this upper's form.
    if (!foreign || (marker == markers::kOpaque && *foreign != "y")) continue;
    TRY(upper.SetMark(at, marker, *foreign));
  }
  return {};
}

// `name` is ".wh.TARGET" in the directory.
Result<> AdoptAufsName(Upper& upper, int dirfd, const std::string& name) {
  std::string target = name.substr(markers::kAufsPrefix.size());
  if (name == markers::kAufsOpaque) {
    TRY(upper.SetMark(FileAt(dirfd), markers::kOpaque, "y"));
  } else if (target.empty() || target.starts_with(markers::kAufsPrefix)) {
    return {};  // AUFS' own files
  } else {
    struct stat st = {};
    if (fstatat(dirfd, target.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return Errno("stat");
      TRY(PutWhiteout(upper, dirfd, target));
    } else if (S_ISDIR(st.st_mode)) {  // made anew after the removal
      TRY(upper.SetMark(FileAt(dirfd, target), markers::kOpaque, "y"));
    }
  }
  if (unlinkat(dirfd, name.c_str(), 0) != 0) return Errno("unlink");
  return {};
}

}  // namespace

Result<> AdoptUpper(Upper& upper) {
  std::vector<std::string> pending = {"."};
  uint64_t adopted = 0;
  while (!pending.empty()) {
    std::string path = std::move(pending.back());
    pending.pop_back();
    TRY_ASSIGN(UniqueFd dir,
               OpenBeneath(upper.root(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, false));
    KeepTimes keep(dir.get());
    TRY(AdoptMarks(upper, dir.get()));
    TRY_ASSIGN(auto names, DirStream::Names(dir.get()));
    for (const std::string& name : names) {
      struct stat st = {};
      if (fstatat(dir.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (S_ISDIR(st.st_mode)) {
        pending.push_back(path + "/" + name);
      } else if (name.starts_with(markers::kAufsPrefix)) {
        TRY(AdoptAufsName(upper, dir.get(), name));
        ++adopted;
      } else if (S_ISREG(st.st_mode) && st.st_size == 0 && !upper.IsWhiteout(dir.get(), name, st) &&
                 (ForeignMark(upper, FileAt(dir.get(), name), markers::kWhiteout) ||
                  FindXattr(FileAt(dir.get(), name), upper.MarkName(markers::kWhiteout))
                      .value_or(std::nullopt))) {
        TRY(PutWhiteout(upper, dir.get(), name));
        ++adopted;
      }
    }
  }
  if (adopted > 0) {
    Log(LogLevel::kInfo, "upper {}: {} whiteouts of another form are in its own now", upper.path(),
        adopted);
  }
  return {};
}

}  // namespace veneer::fs
