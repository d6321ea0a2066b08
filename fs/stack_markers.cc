#include "fs/stack_markers.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "store/markers.h"

namespace veneer::fs {
namespace {

constexpr std::string_view kPrefixes[] = {markers::kTrustedPrefix, markers::kUserPrefix,
                                          markers::kFuseOverlayfsPrefix};

bool Exists(int dirfd, const std::string& name) {
  struct stat st;
  return fstatat(dirfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

StackMarkers::StackMarkers(FileAt file) : file_(std::move(file)) {
  auto listed = ListXattr(file_);
  if (!listed) {
    unlisted_ = true;
    return;
  }
  for (std::string& name : *listed) {
    if (!markers::OverlayPrefixOf(name).empty()) names_.push_back(std::move(name));
  }
}

std::optional<std::string> StackMarkers::Find(std::string_view marker) const {
  for (std::string_view prefix : kPrefixes) {
    std::string name = std::string(prefix) + std::string(marker);
    if (!unlisted_ && std::ranges::find(names_, name) == names_.end()) continue;
    auto value = FindXattr(file_, name);
    if (value && *value) return std::move(*value);
  }
  return std::nullopt;
}

std::optional<std::string> StackMarkers::Redirect() const {
  auto value = Find(markers::kRedirect);
  if (value && value->empty()) return std::nullopt;
  return value;
}

bool StackMarkers::IsOpaque(int dirfd, const std::string& name) const {
  std::string aufs = name.empty() ? "" : name + "/";
  return Find(markers::kOpaque) == "y" || Exists(dirfd, aufs + std::string(markers::kAufsOpaque));
}

bool IsStackWhiteout(int dirfd, const std::string& name, const struct stat& st) {
  if (markers::IsWhiteoutDevice(st.st_mode, st.st_rdev)) return true;
  if (!S_ISREG(st.st_mode) || st.st_size != 0) return false;
  return StackMarkers(FileAt(dirfd, name)).Find(markers::kWhiteout).has_value();
}

bool HidesBelow(int dirfd, const std::string& name) {
  return Exists(dirfd, std::string(markers::kAufsPrefix) + name);
}

}  // namespace veneer::fs
