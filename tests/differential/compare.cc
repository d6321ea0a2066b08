#include "tests/differential/compare.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "store/base/unique_fd.h"

namespace veneer::differential {

namespace {

// Times before this were set by somebody; the sample tree's are all such.
constexpr int64_t kExplicitBefore = 1500000000;
// Both sides do each operation at about the same time.
constexpr int64_t kApart = 20;

std::string TimeText(const FileStat& st) {
  return fmt::format("{}.{:09}", st.mtime_sec, st.mtime_nsec);
}

constexpr std::string_view kCapability = "security.capability";

struct Xattr {
  std::string name;
  std::string value;
  bool operator==(const Xattr&) const = default;
};

std::vector<Xattr> XattrsOf(const std::string& path) {
  char list[4096];
  ssize_t n = llistxattr(path.c_str(), list, sizeof list);
  std::vector<Xattr> found;
  if (n < 0) found.push_back({"error", strerror(errno)});
  for (ssize_t at = 0; at < n;) {
    Xattr xattr = {list + at, std::string(4096, '\0')};
    at += static_cast<ssize_t>(xattr.name.size()) + 1;
    ssize_t size = lgetxattr(path.c_str(), xattr.name.c_str(), xattr.value.data(), 4096);
    if (size < 0) xattr.value = strerror(errno);
    if (size >= 0) xattr.value.resize(static_cast<size_t>(size));
    found.push_back(std::move(xattr));
  }
  std::sort(found.begin(), found.end(),
            [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  return found;
}

std::string NamesOf(const std::vector<Xattr>& xattrs) {
  std::string text;
  for (const Xattr& xattr : xattrs) text += fmt::format(" {}({})", xattr.name, xattr.value.size());
  return text;
}

std::string ErrorText(int error) {
  if (error == 0) return "success";
  if (error == Reply::kNotZeros) return "holes that are not zeros";
  if (error > Reply::kSignal) return fmt::format("signal {}", error - Reply::kSignal);
  const char* name = strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

// A file that is read in chunks from its start.
class Content {
 public:
  static constexpr size_t kChunk = 256 << 10;

  explicit Content(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)), error_(fd_ ? 0 : errno) {}
  int error() const { return error_; }
  // The next chunk; shorter than kChunk at the end, or where reading failed.
  std::string_view Next(char* into) {
    size_t done = 0;
    while (error_ == 0 && done < kChunk) {
      ssize_t n = read(fd_.get(), into + done, kChunk - done);
      if (n < 0) error_ = errno;
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    return {into, done};
  }

 private:
  UniqueFd fd_;
  int error_;
};

std::optional<std::string> ContentDifference(const std::string& plain, const std::string& mount) {
  static thread_local std::array<char, 2 * Content::kChunk> buffer;
  Content contents[2] = {Content(plain), Content(mount)};
  for (size_t at = 0;; at += Content::kChunk) {
    std::string_view one = contents[0].Next(buffer.data());
    std::string_view other = contents[1].Next(buffer.data() + Content::kChunk);
    if (contents[0].error() != contents[1].error()) {
      return fmt::format("content: {} {}", ErrorText(contents[0].error()),
                         ErrorText(contents[1].error()));
    }
    if (one != other) {
      auto where = std::mismatch(one.begin(), one.end(), other.begin(), other.end());
      return fmt::format("content: from byte {}",
                         at + static_cast<size_t>(where.first - one.begin()));
    }
    if (one.size() < Content::kChunk) return std::nullopt;
  }
}

bool Holds(const std::vector<Xattr>& xattrs, std::string_view name) {
  return std::any_of(xattrs.begin(), xattrs.end(),
                     [&](const Xattr& xattr) { return xattr.name == name; });
}

struct Listed {
  std::string name;
  unsigned char type;
  uint64_t ino;
};

std::vector<Listed> ListOf(const std::string& path) {
  std::vector<Listed> listed;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
  if (!dir) return listed;
  while (const struct dirent* entry = readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..")
      listed.push_back({std::move(name), entry->d_type, entry->d_ino});
  }
  std::sort(listed.begin(), listed.end(),
            [](const Listed& a, const Listed& b) { return a.name < b.name; });
  return listed;
}

}  // namespace

struct Comparison::Walk {
  std::vector<std::string> names;  // all that were found
  std::unordered_map<uint64_t, uint64_t> plain_of;
  bool all = false;
};

Comparison::Difference Comparison::Stats(const FileStat& plain, const FileStat& mount) const {
  if (plain.known != mount.known) return fmt::format("stat: {} {}", plain.known, mount.known);
  if (!plain.known) return std::nullopt;
  if (plain.mode != mount.mode) return fmt::format("mode: {:o} {:o}", plain.mode, mount.mode);
  if (plain.uid != mount.uid || plain.gid != mount.gid) {
    return fmt::format("owner: {}:{} {}:{}", plain.uid, plain.gid, mount.uid, mount.gid);
  }
  bool dir = S_ISDIR(plain.mode);
  bool unknown_links = dir && merged_dirs_ && mount.nlink == 1;
  if (plain.nlink != mount.nlink && !unknown_links) {
    return fmt::format("nlink: {} {}", plain.nlink, mount.nlink);
  }
  if (!dir && plain.size != mount.size) {
    return fmt::format("size: {} {}", plain.size, mount.size);
  }
  if (plain.rdev != mount.rdev) return fmt::format("rdev: {} {}", plain.rdev, mount.rdev);
  bool same = plain.mtime_sec == mount.mtime_sec && plain.mtime_nsec == mount.mtime_nsec;
  bool both_now = plain.mtime_sec >= kExplicitBefore && mount.mtime_sec >= kExplicitBefore &&
                  std::abs(plain.mtime_sec - mount.mtime_sec) <= kApart;
  // What goes through a FIFO changes its times on the plain side alone (docs/conformance).
  bool fifo = S_ISFIFO(plain.mode) && plain.mtime_sec >= kExplicitBefore;
  if (!same && !both_now && !fifo && !unsure_.contains(plain.ino)) {
    return fmt::format("mtime: {} {}", TimeText(plain), TimeText(mount));
  }
  return std::nullopt;
}

Comparison::Difference Comparison::Numbers(const FileStat& plain, const FileStat& mount,
                                           bool created) {
  if (!plain.known || !mount.known) return std::nullopt;
  if (mount_dev_ == 0) mount_dev_ = mount.dev;
  if (mount_dev_ != mount.dev) return fmt::format("st_dev: {} {}", mount_dev_, mount.dev);
  if (created) {
    numbers_[plain.ino] = mount.ino;
    unsure_.erase(plain.ino);
    mapped_writes_.erase(plain.ino);
    return std::nullopt;
  }
  auto [it, fresh] = numbers_.emplace(plain.ino, mount.ino);
  if (!fresh && it->second != mount.ino) {
    return fmt::format("st_ino: was {:#x} and is {:#x}", it->second, mount.ino);
  }
  return std::nullopt;
}

bool Comparison::MayLoseCapability(uint64_t plain_ino) const {
  return mapped_writes_.contains(plain_ino);
}

bool Comparison::ShowsLostCapability(const Op& op, const Node* target, const Reply& plain,
                                     const Reply& mount) const {
  if (target == nullptr || !MayLoseCapability(target->ino)) return false;
  switch (op.kind) {
    case OpKind::kGetXattr:
    case OpKind::kRemoveXattr:
      return op.name == kCapability && plain.error == 0 && mount.error == ENODATA;
    case OpKind::kSetXattr:
      return op.name == kCapability && ((plain.error == EEXIST && mount.error == 0) ||
                                        (plain.error == 0 && mount.error == ENODATA));
    case OpKind::kListXattr: {
      std::string without = plain.payload;
      size_t found = without.find(kCapability);
      if (plain.error != 0 || mount.error != 0 || found == without.npos) return false;
      without.erase(found, kCapability.size() + 1);
      return without == mount.payload;
    }
    default:
      return false;
  }
}

Comparison::Difference Comparison::AfterOp(const Op& op, const Node* target,
                                           const Model::Applied& applied, const Reply& plain,
                                           const Reply& mount) {
  if (applied.node) Touched(applied.node->ino);
  // What became of a position when the directory is gone is the host's own choice.
  if (op.kind == OpKind::kSeekdir) return std::nullopt;
  if (ShowsLostCapability(op, target, plain, mount)) return std::nullopt;
  if (plain.error != mount.error) {
    return fmt::format("error: {} {}", ErrorText(plain.error), ErrorText(mount.error));
  }
  // Their own checks: listings.h.
  bool listing = op.kind == OpKind::kReaddir;
  if (!listing && plain.value != mount.value) {
    return fmt::format("result: {} {}", plain.value, mount.value);
  }
  if (plain.hash != mount.hash) return "data: differs";
  if (!listing && plain.payload != mount.payload) {
    return fmt::format("text: '{}' '{}'", plain.payload, mount.payload);
  }
  if (auto difference = Numbers(plain.st, mount.st, applied.created)) return difference;
  return Stats(plain.st, mount.st);
}

Comparison::Difference Comparison::Entry(Walk& walk, const std::string& relative,
                                         const FileStat& plain) {
  std::string paths[kSides] = {plain_ + relative, mount_ + relative};
  struct stat st = {};
  if (lstat(paths[kMount].c_str(), &st) != 0) {
    return fmt::format("lstat: mount side {}", strerror(errno));
  }
  FileStat mount = StatOf(st);
  if (auto difference = Numbers(plain, mount, false)) return difference;
  if (auto difference = Stats(plain, mount)) return difference;
  auto [it, fresh] = walk.plain_of.emplace(mount.ino, plain.ino);
  if (!fresh) return it->second == plain.ino ? std::nullopt : Difference("st_ino: of two files");

  auto xattrs = XattrsOf(paths[kPlain]);
  auto mount_xattrs = XattrsOf(paths[kMount]);
  if (MayLoseCapability(plain.ino) && !Holds(mount_xattrs, kCapability)) {
    std::erase_if(xattrs, [](const Xattr& xattr) { return xattr.name == kCapability; });
  }
  if (xattrs != mount_xattrs) {
    return fmt::format("xattrs:{} --{}", NamesOf(xattrs), NamesOf(mount_xattrs));
  }
  return S_ISREG(plain.mode) ? ContentDifference(paths[kPlain], paths[kMount]) : std::nullopt;
}

Comparison::Difference Comparison::Below(Walk& walk, const std::string& relative) {
  auto at = [&](const std::string& difference) {
    size_t colon = difference.find(':');
    return Difference(fmt::format("tree {}: {}{}", difference.substr(0, colon),
                                  relative.empty() ? "(root)" : relative,
                                  difference.substr(colon)));
  };
  struct stat st = {};
  if (lstat((plain_ + relative).c_str(), &st) != 0) {
    return at(fmt::format("lstat: plain side {}", strerror(errno)));
  }
  bool compared = walk.all || touched_.contains(st.st_ino);
  if (compared) {
    if (auto difference = Entry(walk, relative, StatOf(st))) return at(*difference);
  }
  if (!S_ISDIR(st.st_mode)) return std::nullopt;
  auto list = ListOf(plain_ + relative);
  auto mount_list = compared ? ListOf(mount_ + relative) : std::vector<Listed>();
  for (size_t i = 0; compared && i < std::max(list.size(), mount_list.size()); ++i) {
    if (i >= mount_list.size()) return at("names: no " + list[i].name);
    if (i >= list.size()) return at("names: also " + mount_list[i].name);
    if (list[i].name != mount_list[i].name) {
      return at(fmt::format("names: {} {}", list[i].name, mount_list[i].name));
    }
    if (list[i].type != mount_list[i].type) {
      return at(fmt::format("d_type: {} {} {}", list[i].name, list[i].type, mount_list[i].type));
    }
  }
  for (size_t i = 0; i < list.size(); ++i) {
    std::string below = relative + "/" + list[i].name;
    walk.names.push_back(below.substr(1));
    if (auto difference = Below(walk, below)) return difference;
    auto number = numbers_.find(list[i].ino);  // stat's has just been noted, or was before
    if (compared && number != numbers_.end() && number->second != mount_list[i].ino) {
      return at(
          fmt::format("d_ino: {} {:#x} {:#x}", list[i].name, number->second, mount_list[i].ino));
    }
  }
  return std::nullopt;
}

Comparison::Difference Comparison::Trees(const Model& model, bool all) {
  Walk walk;
  walk.all = all;
  if (auto difference = Below(walk, "")) return difference;
  touched_.clear();
  std::sort(walk.names.begin(), walk.names.end());
  std::vector<std::string> expected = model.Listing();
  if (walk.names != expected) {
    auto where =
        std::mismatch(walk.names.begin(), walk.names.end(), expected.begin(), expected.end());
    return fmt::format("model: there is {}, it says {}",
                       where.first == walk.names.end() ? "nothing" : *where.first,
                       where.second == expected.end() ? "nothing" : *where.second);
  }
  return std::nullopt;
}

}  // namespace veneer::differential
