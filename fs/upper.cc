#include "fs/upper.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include <cstdio>
#include <fstream>
#include <utility>

#include "fs/adopt.h"
#include "fs/log.h"
#include "store/base/beneath.h"
#include "store/base/fault.h"

namespace veneer::fs {

namespace {

// Whose lock it is that `fd` cannot be given (flock(2)), for the message only: as /proc/locks says,
// "1: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE 0 EOF", with the numbers of the device in hex.
std::string Holder(int fd) {
  struct stat st = {};
  if (fstat(fd, &st) != 0) return "another process";
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    unsigned major = 0, minor = 0;
    unsigned long long inode = 0;
    int pid = 0;
    // The device may be another than stat's, on btrfs for one: the inode has to do.
    if (sscanf(line.c_str(), "%*s FLOCK %*s %*s %d %x:%x:%llu", &pid, &major, &minor, &inode) !=
            4 ||
        inode != st.st_ino || pid <= 0) {
      continue;
    }
    std::string name;
    std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> name;
    return (name.empty() ? "" : name + ", ") + "process " + std::to_string(pid);
  }
  return "another process";
}

bool HolderIsEnding(int workfd) {
  auto text = ReadFileAt(workfd, markers::kWorkLock, 64);
  return text && text->ends_with(markers::kLockEnding);
}

// Who only looks whether it is locked holds it for an instant; a daemon, after umount(2) has
// returned, until it has noticed: on a busy machine a second.
constexpr int kLockTries = 200;
// One that says it is ending makes durable what is not: an hour's pause would be a fault.
constexpr int kEndingTries = 360'000;
constexpr useconds_t kLockPauseUs = 10'000;

Result<UniqueFd> OpenWorkDir(int workfd, const char* name) {
  TRY(EnsureDir(workfd, name, 0700));
  TRY_ASSIGN(UniqueFd dir, OpenAt(workfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // A default ACL on workdir must not reach what is made here and moved to the upper.
  for (const char* acl : {"system.posix_acl_default", "system.posix_acl_access"}) {
    if (fremovexattr(dir.get(), acl) != 0 && errno != ENODATA && errno != ENOTSUP)
      return Errno("work directory");
  }
  return dir;
}

}  // namespace

Result<std::unique_ptr<Upper>> Upper::Open(const Options& options) {
  std::unique_ptr<Upper> upper(new Upper());
  upper->path_ = options.upperdir;
  upper->volatile_ = options.is_volatile;
  auto root = OpenAt(AT_FDCWD, options.upperdir, O_RDONLY | O_DIRECTORY);
  if (!root) return std::unexpected(root.error().Within("upper directory " + options.upperdir));
  upper->root_ = std::move(*root);
  auto work = OpenAt(AT_FDCWD, options.workdir, O_RDONLY | O_DIRECTORY);
  if (!work) return std::unexpected(work.error().Within("work directory " + options.workdir));
  upper->work_ = std::move(*work);
  struct stat a = {};
  struct stat b = {};
  if (fstat(upper->root_.get(), &a) != 0 || fstat(upper->work_.get(), &b) != 0) {
    return Errno("upper directory");
  }
  if (a.st_dev != b.st_dev) {
    return Invalid("upperdir and workdir must be on one filesystem", EXDEV);
  }
  if (a.st_ino == b.st_ino) return Invalid("upperdir and workdir must be different directories");
  TRY(upper->Lock());

  if (auto removed = RemoveTree(upper->work_.get(), markers::kWorkTemporary); !removed) {
    return std::unexpected(removed.error().Within("work directory " + options.workdir));
  }
  TRY_ASSIGN(upper->temporary_, OpenWorkDir(upper->work_.get(), markers::kWorkTemporary));
  TRY_ASSIGN(upper->stand_in_dir_, OpenWorkDir(upper->work_.get(), markers::kWorkStandIns));
  TRY(upper->stand_ins_.Load(upper->stand_in_dir_.get(), upper->temporary_.get()));
  TRY(upper->Probe());
  TRY(upper->ProbeOverride(options.stat_override));

  const FileAt top(upper->root_.get());
  std::string mark = std::to_string(markers::kUpperVersion) + " " + options.identity;
  TRY_ASSIGN(auto old, upper->ReadMark(top, markers::kUpper));
  if (old && *old != mark) {
    return Invalid("upperdir " + options.upperdir + " is an upper of '" + *old + "', not of '" +
                   mark + "'");
  }
  if (!old) {
    TRY(AdoptUpper(*upper));
    TRY(upper->SetMark(top, markers::kUpper, mark));
  }
  return upper;
}

Upper::~Upper() { Unlock(); }

void Upper::Unlock() {
  if (!lock_) return;
  {
    MutexLock lock(whiteout_mu_);
    if (!shared_whiteout_.empty()) Discard(std::exchange(shared_whiteout_, ""));
  }
  unlinkat(work_.get(), markers::kWorkLock, 0);
  lock_.Reset();
  for (int fd : {root_.get(), work_.get()}) flock(fd, LOCK_UN);
}

Result<> Upper::Lock() {
  for (int fd : {root_.get(), work_.get()}) {
    int taken = -1;
    bool was_ending = false;
    for (int i = 0; i < kEndingTries; ++i) {
      taken = flock(fd, LOCK_EX | LOCK_NB);
      if (taken == 0) break;
      if (errno != EWOULDBLOCK) return Errno("locking the upper directory");
      // The text goes a moment before the lock does.
      bool ending = HolderIsEnding(work_.get());
      if (i >= kLockTries && !ending && !was_ending) break;
      was_ending = ending;
      usleep(kLockPauseUs);
    }
    if (taken == 0) continue;
    const char* what = fd == root_.get() ? "upperdir " : "workdir of upperdir ";
    return Invalid(what + path_ + " is in use by " + Holder(fd), EBUSY);
  }
  TRY_ASSIGN(UniqueFd file,
             OpenAt(work_.get(), markers::kWorkLock, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  TRY(WriteAll(file.get(), std::to_string(getpid()) + "\n"));
  lock_ = std::move(file);
  return {};
}

void Upper::SayEnding() {
  if (lock_)
    (void)PwriteAll(lock_.get(), std::to_string(getpid()) + std::string(markers::kLockEnding), 0);
}

Result<> Upper::NotePending() {
  TRY(OpenAt(work_.get(), markers::kWorkPending, O_WRONLY | O_CREAT, 0600));
  return SyncDir(work_.get());
}

Result<bool> Upper::HasPendingNote() const {
  if (faccessat(work_.get(), markers::kWorkPending, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != ENOENT) return Errno("work directory");
  return false;
}

Result<> Upper::RemovePendingNote() {
  if (unlinkat(work_.get(), markers::kWorkPending, 0) != 0 && errno != ENOENT) {
    return Errno("work directory");
  }
  return {};
}

// What the host's filesystem and the process's privileges allow.
Result<> Upper::Probe() {
  Temporary file(*this);
  TRY_ASSIGN(UniqueFd fd, OpenAt(temporary_.get(), file.name(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  for (std::string_view prefix : {markers::kTrustedPrefix, markers::kUserPrefix}) {
    prefix_ = prefix;
    if (!SetMark(FileAt(fd.get()), markers::kIno, "1")) continue;
    trusted_ = prefix == markers::kTrustedPrefix;
    break;
  }
  if (!ReadMark(FileAt(fd.get()), markers::kIno).value_or(std::nullopt)) {
    return Invalid("upperdir " + path_ + ": the filesystem has no extended attributes", ENOTSUP);
  }
  // Others may not take attributes from files that they may not write to.
  can_wait_ = !volatile_ && (trusted_ || geteuid() == 0);
  Temporary whiteout(*this);
  device_whiteouts_ =
      mknodat(temporary_.get(), whiteout.name().c_str(), S_IFCHR, makedev(0, 0)) == 0;
  Temporary linked(*this);
  bool may_link = device_whiteouts_ && linkat(temporary_.get(), whiteout.name().c_str(),
                                              temporary_.get(), linked.name().c_str(), 0) == 0;
  Temporary moved(*this);
  rename_whiteout_ =
      device_whiteouts_ && renameat2(temporary_.get(), file.name().c_str(), temporary_.get(),
                                     moved.name().c_str(), RENAME_WHITEOUT) == 0;
  const char* from = rename_whiteout_ ? moved.name().c_str() : file.name().c_str();
  Temporary target(*this);
  TRY(MakeWhiteout(temporary_.get(), target.name()));
  if (renameat2(temporary_.get(), from, temporary_.get(), target.name().c_str(), RENAME_EXCHANGE) !=
      0) {
    return Invalid("upperdir " + path_ + ": the filesystem cannot exchange names", ENOTSUP);
  }
  share_whiteouts_ = may_link;
  return {};
}

Result<> Upper::ProbeOverride(StatOverride::Form wanted) {
  if (wanted == StatOverride::Form::kNone) {
    wanted = StatOverride::FormOf(root_.get());
  } else if (wanted == StatOverride::Form::kContainers &&
             StatOverride::FormOf(root_.get()) == StatOverride::Form::kUser) {
    wanted = StatOverride::Form::kUser;  // as fuse-overlayfs has it
  }
  override_ = StatOverride(wanted);
  if (!override_.active()) return {};
  struct stat st = {};
  if (fstat(root_.get(), &st) != 0) return Errno("upper directory");
  backing_mode_ = (st.st_mode & 0777) | 0700;
  Temporary file(*this);
  TRY_ASSIGN(UniqueFd fd, OpenAt(temporary_.get(), file.name(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  auto written = override_.Write(FileAt(fd.get()), st);
  if (!written) {
    return Invalid("upperdir " + path_ +
                       ": owners cannot be kept in an attribute here: " + written.error().Message(),
                   written.error().code());
  }
  return {};
}

bool Upper::StatAt(int dirfd, const std::string& name, struct stat& st) const {
  if (fstatat(dirfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (override_.active()) ApplyOverride(FileAt(dirfd, name), st);
  return true;
}

void Upper::ForgetFormer(int dirfd, const std::string& name) {
  struct stat st = {};
  if (!stand_ins_.any() || fstatat(dirfd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  stand_ins_.Erase(st.st_ino);
}

bool Upper::StatFd(int fd, struct stat& st) const {
  if (fstat(fd, &st) != 0) return false;
  if (override_.active()) ApplyOverride(FileAt(fd), st);
  return true;
}

void Upper::ApplyOverride(const FileAt& file, struct stat& st) const {
  auto stand_in = S_ISLNK(st.st_mode) ? stand_ins_.Find(file) : std::nullopt;
  if (stand_in) {
    override_.Apply(*stand_in, st);
  } else {
    override_.Apply(file, st);
  }
}

Result<> Upper::WriteOverride(const FileAt& file, const struct stat& st) {
  auto written = override_.Write(file, st);
  if (written || written.error().code() != EPERM) return written;
  TRY_ASSIGN(FileAt stand_in, stand_ins_.Make(file));
  return override_.Write(stand_in, st);
}

Result<SharedFd> Upper::FindWorkFolder(const char* name) const {
  auto dir = OpenAt(work_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir && dir.error().code() == ENOENT) return SharedFd();
  if (!dir) return std::unexpected(std::move(dir).error());
  return std::make_shared<const UniqueFd>(std::move(*dir));
}

Result<SharedFd> Upper::OpenWorkFolder(const char* name) const {
  TRY_ASSIGN(UniqueFd dir, OpenWorkDir(work_.get(), name));
  return std::make_shared<const UniqueFd>(std::move(dir));
}

std::string Upper::NewName() {
  return "#" + std::to_string(next_name_.fetch_add(1, std::memory_order_relaxed));
}

Result<> Upper::SetMark(const FileAt& file, std::string_view marker, std::string_view value) {
  auto set = SetXattr(file, MarkName(marker), value);
  if (set || trusted_ || set.error().code() != EPERM) return set;
  TRY_ASSIGN(FileAt stand_in, stand_ins_.Make(file));
  return SetXattr(stand_in, MarkName(marker), value);
}

Result<> Upper::RemoveMark(const FileAt& file, std::string_view marker) const {
  auto removed = RemoveXattr(file, MarkName(marker));
  if (!removed && removed.error().code() == ENODATA) return {};
  return removed;
}

Result<std::optional<std::string>> Upper::ReadMark(const FileAt& file,
                                                   std::string_view marker) const {
  TRY_ASSIGN(auto value, FindXattr(file, MarkName(marker)));
  if (value || trusted_) return value;
  auto stand_in = stand_ins_.Find(file);
  return stand_in ? FindXattr(*stand_in, MarkName(marker)) : value;
}

Result<Marks> Upper::ReadMarks(const FileAt& file) const {
  // Every file takes trusted attributes itself; its stand-in is for others.
  if (auto stand_in = trusted_ ? std::nullopt : stand_ins_.Find(file)) {
    return ReadMarks(*stand_in);
  }
  TRY_ASSIGN(auto names, ListXattr(file));
  Marks marks;
  bool has_origin = false;
  for (std::string_view name : names) {
    if (name == "system.posix_acl_default") marks.default_acl = true;
    if (!name.starts_with(prefix_)) continue;
    std::string_view marker = name.substr(prefix_.size());
    if (marker == markers::kPending) marks.pending = true;
    if (marker != markers::kOpaque && marker != markers::kImpure && marker != markers::kRedirect &&
        marker != markers::kIno && marker != markers::kMetacopy) {
      has_origin = has_origin || marker == markers::kOrigin;
      continue;
    }
    TRY_ASSIGN(auto value, ReadMark(file, marker));
    if (!value) continue;
    if (marker == markers::kOpaque) {
      marks.opaque = *value == "y";
      marks.file_whiteouts = *value == "x";
    } else if (marker == markers::kImpure) {
      marks.impure = true;
    } else if (marker == markers::kRedirect) {
      marks.redirect = std::move(value);
    } else if (marker == markers::kIno) {
      marks.ino = markers::ParseIno(*value);
    } else {
      marks.metacopy = std::move(value);
    }
  }
  if (has_origin && !marks.ino) {
    TRY_ASSIGN(marks.origin, ReadMark(file, markers::kOrigin));
  }
  return marks;
}

bool Upper::IsWhiteout(int dirfd, const std::string& name, const struct stat& st) const {
  if (markers::IsWhiteoutDevice(st.st_mode, st.st_rdev)) return true;
  if (device_whiteouts_ || !S_ISREG(st.st_mode) || st.st_size != 0) return false;
  auto value = ReadMark(FileAt(dirfd, name), markers::kWhiteout);
  return value && value->has_value();
}

std::string Upper::SharedWhiteout() {
  if (!share_whiteouts_) return "";
  MutexLock lock(whiteout_mu_);
  if (shared_whiteout_.empty()) {
    std::string name = NewName();
    if (mknodat(temporary_.get(), name.c_str(), S_IFCHR, makedev(0, 0)) == 0) {
      shared_whiteout_ = std::move(name);
    }
  }
  return shared_whiteout_;
}

void Upper::DropSharedWhiteout(const std::string& name) {
  {
    MutexLock lock(whiteout_mu_);
    if (shared_whiteout_ != name) return;  // another thread was first
    shared_whiteout_.clear();
  }
  Discard(name);
}

// Making an inode costs the host several times what a link does, and so does removing it. Whatever
// keeps this one from being a link (too many links, another project's directory), it can be an
// inode of its own.
Result<> Upper::MakeDeviceWhiteout(int dirfd, const std::string& name) {
  if (std::string shared = SharedWhiteout(); !shared.empty()) {
    auto linked = [&]() -> Result<> {
      TRY(FaultPoint("whiteout.before_link"));
      if (linkat(temporary_.get(), shared.c_str(), dirfd, name.c_str(), 0) != 0) {
        return Errno("whiteout");
      }
      return {};
    }();
    if (linked || linked.error().code() == EEXIST) return linked;
    // Full, or taken away by somebody.
    if (linked.error().code() == EMLINK || linked.error().code() == ENOENT) {
      DropSharedWhiteout(shared);
    }
  }
  if (mknodat(dirfd, name.c_str(), S_IFCHR, makedev(0, 0)) != 0) return Errno("whiteout");
  return {};
}

Result<> Upper::MakeWhiteout(int dirfd, const std::string& name) {
  if (device_whiteouts_) return MakeDeviceWhiteout(dirfd, name);
  // Two steps: callers that need the name to be right at once make it in work and rename it.
  TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
  return SetMark(FileAt(fd.get()), markers::kWhiteout, "y");
}

Result<> Upper::ReplaceByWhiteout(int dirfd, const std::string& name) {
  Temporary whiteout(*this);
  TRY(MakeWhiteout(whiteout.dir(), whiteout.name()));
  if (renameat(whiteout.dir(), whiteout.name().c_str(), dirfd, name.c_str()) != 0) {
    return Errno("whiteout");
  }
  whiteout.Commit();
  return {};
}

void Upper::Discard(const std::string& name) {
  if (unlinkat(temporary_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (auto removed = RemoveTree(temporary_.get(), name); !removed) {
    Log(LogLevel::kWarning, "work/{}/{}: {}", markers::kWorkTemporary, name,
        removed.error().Message());
  }
}

Result<> Upper::SyncDir(int dirfd) const {
  if (volatile_) return {};
  TRY_ASSIGN(UniqueFd fd, OpenAt(dirfd, ".", O_RDONLY | O_DIRECTORY));  // dirfd may be O_PATH
  if (fsync(fd.get()) != 0) return Errno("fsync");
  return {};
}

Result<struct statvfs> Upper::StatFs() const {
  struct statvfs st = {};
  if (fstatvfs(root_.get(), &st) != 0) return Errno("statvfs");
  return st;
}

Result<> Upper::SyncAll() const {
  if (syncfs(root_.get()) != 0) return Errno("syncfs");
  return {};
}

}  // namespace veneer::fs
