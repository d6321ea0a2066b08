#include "fs/link_index.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>

#include "fs/dir_stream.h"
#include "fs/log.h"
#include "fs/origin.h"
#include "store/base/beneath.h"

namespace veneer::fs {

namespace {

std::string LinkName(uint64_t ino) {
  char text[17];
  std::snprintf(text, sizeof text, "%016lx", ino);
  return text;
}

std::optional<uint64_t> ParseLinkName(std::string_view name) {
  uint64_t ino = 0;
  if (name.size() != 16) return std::nullopt;
  auto parsed = std::from_chars(name.data(), name.data() + name.size(), ino, 16);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) return std::nullopt;
  return ino;
}

// `nlink`, as written: relative to the upper file's links ('U'), to the lower's ('L'), or all
// ('=').
struct Count {
  char base = 0;
  int value = 0;
};

std::optional<Count> ParseCount(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  Count count{.base = text[0], .value = 0};
  bool relative = count.base == 'U' || count.base == 'L';
  if (!relative && count.base != '=') return std::nullopt;
  text.remove_prefix(relative && text[1] == '+' ? 2 : 1);
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), count.value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return count;
}

std::string Signed(int n) { return (n < 0 ? "" : "+") + std::to_string(n); }

}  // namespace

Result<std::unique_ptr<LinkIndex>> LinkIndex::Open(Upper& upper, Lower& lower) {
  std::unique_ptr<LinkIndex> index(new LinkIndex(upper, lower));
  TRY_ASSIGN(index->links_, upper.OpenWorkFolder(markers::kWorkLinks));
  TRY(index->Load(index->links_));
  TRY(index->OpenKernelForm());
  if (index->index_) TRY(index->Load(index->index_));
  return index;
}

// The kernel wants to know of the index which upper it belongs to, and of the upper which lower it
// is over; it refuses a mount where these differ, and we leave them for it to judge.
Result<> LinkIndex::OpenKernelForm() {
  if (!upper_.trusted()) return {};
  TRY_ASSIGN(LowerRef lower_root, lower_.Root());
  auto origin = lower_.Origin(lower_root);
  auto uuid = FilesystemUuid(upper_.root());
  if (!origin || !uuid) return {};
  auto upper_origin = EncodeOrigin(upper_.root(), "", *uuid, /*upper=*/true);
  if (!upper_origin) return {};
  TRY_ASSIGN(index_, upper_.OpenWorkFolder(markers::kWorkIndex));
  auto mark = [&](int dirfd, std::string_view marker, const std::string& value) -> Result<> {
    const FileAt at(dirfd);
    TRY_ASSIGN(auto old, upper_.ReadMark(at, marker));
    if (!old) return upper_.SetMark(at, marker, value);
    if (*old != value) {
      Log(LogLevel::kWarning,
          "upper {}: its files or the lower's were copied since marker {} was set", upper_.path(),
          marker);
    }
    return {};
  };
  TRY(mark(upper_.root(), markers::kOrigin, *origin));
  return mark(index_->get(), markers::kUpperOrigin, *upper_origin);
}

Result<> LinkIndex::Load(const SharedFd& dir) {
  TRY_ASSIGN(auto names, DirStream::Names(dir->get()));
  for (const std::string& name : names) TRY(LoadEntry({dir, name}));
  any_ = !entries_.empty();
  return {};
}

Result<> LinkIndex::LoadEntry(const Place& place) {
  const int dirfd = place.dir->get();
  struct stat st = {};
  if (fstatat(dirfd, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("index");
  if (place.name.starts_with('#'))
    return RemoveTree(dirfd, place.name);  // a copy-up of the kernel's
  // The kernel's nfs_export has more: directories, and whiteouts of removed files.
  if (S_ISDIR(st.st_mode) || markers::IsWhiteoutDevice(st.st_mode, st.st_rdev)) return {};

  const FileAt at(dirfd, place.name);
  std::optional<OriginFile> file;  // the lower's
  std::optional<uint64_t> ino = ParseLinkName(place.name);
  if (place.dir == index_) {
    auto origin = ParseIndexName(place.name);
    if (!origin) return {};
    TRY_ASSIGN(auto mark, upper_.ReadMark(at, markers::kIno));
    if (mark) ino = markers::ParseIno(*mark);
    if (!mark) file = lower_.FromOrigin(*origin);
    if (file) ino = file->ino;
  }
  if (!ino) return {};

  TRY_ASSIGN(auto mark, upper_.ReadMark(at, markers::kNlink));
  auto count = mark ? ParseCount(*mark) : std::nullopt;
  int links = static_cast<int>(st.st_nlink);
  int names = links - 1;  // where nothing is said
  if (count && count->base == 'U') {
    names = links + count->value;
  } else if (count && count->base == '=') {
    names = count->value;
  } else if (count) {
    if (auto origin = ParseIndexName(place.name); origin && !file)
      file = lower_.FromOrigin(*origin);
    if (file) names = static_cast<int>(file->nlink) + count->value;
  }
  if (links == 1 && names <= 0) {
    if (unlinkat(dirfd, place.name.c_str(), 0) != 0) return Errno("index");
    return {};
  }
  if (!count || count->base != 'U') {
    TRY(upper_.SetMark(at, markers::kNlink, CountMark(names - links)));
  }
  entries_[*ino] = place;
  return {};
}

bool LinkIndex::Has(uint64_t ino) const {
  if (!any_) return false;
  std::shared_lock lock(mu_);
  return entries_.contains(ino);
}

LinkIndex::Place LinkIndex::PlaceOf(uint64_t ino) const {
  std::shared_lock lock(mu_);
  auto it = entries_.find(ino);
  return it == entries_.end() ? Place{links_, LinkName(ino)} : it->second;
}

Result<LinkIndex::Entry> LinkIndex::Read(uint64_t ino) const {
  Entry entry;
  entry.place = PlaceOf(ino);
  struct stat st = {};
  int dirfd = entry.place.dir->get();
  if (fstatat(dirfd, entry.place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return Errno("index");
  }
  entry.upper_ino = st.st_ino;
  const FileAt at(dirfd, entry.place.name);
  TRY_ASSIGN(auto mark, upper_.ReadMark(at, markers::kNlink));
  auto count = mark ? ParseCount(*mark) : std::nullopt;
  if (count && count->base == 'U') entry.delta = count->value;
  if (S_ISREG(st.st_mode)) {
    TRY_ASSIGN(auto stub, upper_.ReadMark(at, markers::kMetacopy));
    entry.stub = stub.has_value();
    TRY_ASSIGN(auto pending, upper_.ReadMark(at, markers::kPending));
    entry.pending = pending.has_value();
  }
  return entry;
}

bool LinkIndex::IsOf(uint64_t ino, const LowerRef& ref) const {
  Place place = PlaceOf(ino);
  if (place.dir != index_) return true;
  auto entry = ParseIndexName(place.name);
  auto origin = lower_.Origin(ref);
  return entry && origin && SameHandle(*entry, *origin);
}

LinkIndex::Place LinkIndex::PlaceFor(const LowerRef& ref) const {
  if (index_) {
    if (auto origin = lower_.Origin(ref)) return {index_, IndexName(*origin)};
  }
  return {links_, LinkName(ref.ino)};
}

void LinkIndex::Add(uint64_t ino, Place place) {
  std::unique_lock lock(mu_);
  entries_[ino] = std::move(place);
  any_ = true;
}

Result<> LinkIndex::Remove(uint64_t ino) {
  Place place = PlaceOf(ino);
  {
    std::unique_lock lock(mu_);
    entries_.erase(ino);
  }
  if (unlinkat(place.dir->get(), place.name.c_str(), 0) != 0) return Errno("index");
  return {};
}

std::string LinkIndex::CountMark(int delta) { return "U" + Signed(delta); }

std::string LinkIndex::CountMarkInTransit(const Place& place, int names, nlink_t lower_nlink) {
  // Only the kernel's form leads back to the lower's count.
  if (ParseIndexName(place.name)) return "L" + Signed(names - static_cast<int>(lower_nlink));
  return "=" + std::to_string(names);
}

}  // namespace veneer::fs
