#include "tools/build/run/root_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <deque>

#include "store/base/beneath.h"

namespace veneer::build {
namespace {

constexpr int kMaxLinks = 255;  // more than the kernel follows (path_resolution(7): 40)

std::deque<std::string> Components(std::string_view path) {
  std::deque<std::string> out;
  while (!path.empty()) {
    const size_t end = path.find('/');
    if (end != 0) out.emplace_back(path.substr(0, end));
    path.remove_prefix(end == path.npos ? path.size() : end + 1);
  }
  return out;
}

std::string Joined(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

enum class What { kMissing, kLink, kOther };

// What the name is, and where it leads if it is a symlink.
Result<What> Look(int root_fd, const std::string& path, std::string* target) {
  auto directory = OpenDirectoryOf(root_fd, path);
  if (!directory) {
    const int code = directory.error().code();
    if (code == ENOENT || code == ENOTDIR) return What::kMissing;
    return std::unexpected(directory.error());
  }
  const std::string name(NameOf(path));
  char buffer[PATH_MAX];
  const ssize_t n = readlinkat(directory->get(), name.c_str(), buffer, sizeof buffer);
  if (n >= 0) {
    target->assign(buffer, static_cast<size_t>(n));
    return What::kLink;
  }
  if (errno == EINVAL) return What::kOther;
  if (errno == ENOENT) return What::kMissing;
  return Errno("read the link " + path);
}

}  // namespace

Result<UniqueFd> OpenInRoot(int root_fd, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd;
  do {
    fd = syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
  } while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  if (fd < 0) return Errno("open " + path);
  return UniqueFd(static_cast<int>(fd));
}

Result<std::string> ReadFileInRoot(int root_fd, const std::string& path, size_t limit) {
  // Nobody may be at the other end of a FIFO.
  TRY_ASSIGN(UniqueFd fd, OpenInRoot(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return Errno("stat " + path);
  if (!S_ISREG(st.st_mode)) return Invalid(path + " is not a regular file");
  if (static_cast<uint64_t>(st.st_size) > limit) return Fail(EFBIG, "read " + path);
  std::string text(static_cast<size_t>(st.st_size), '\0');
  TRY_ASSIGN(const size_t n, ReadUpTo(fd.get(), text.data(), text.size()));
  text.resize(n);
  return text;
}

Result<RootPath> ResolveInRoot(int root_fd, std::string_view path,
                               const std::function<bool(const std::string&)>& covered) {
  RootPath out{.path = "", .exists = true};
  std::deque<std::string> rest = Components(path);
  bool as_written = false;
  int links = 0;
  while (!rest.empty()) {
    const std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      out.path = std::string(DirectoryOf(out.path));
      as_written = false;
      out.exists = true;
      if (!out.path.empty()) {
        std::string target;
        TRY_ASSIGN(const What what, Look(root_fd, out.path, &target));
        out.exists = what != What::kMissing;
      }
      continue;
    }
    if (name.size() > NAME_MAX) return Fail(ENAMETOOLONG, "resolve " + std::string(path));
    const std::string next = Joined(out.path, name);
    if (next.size() >= PATH_MAX) return Fail(ENAMETOOLONG, "resolve " + std::string(path));
    if (as_written) {
      out.path = next;
      continue;
    }
    std::string target;
    TRY_ASSIGN(const What what, Look(root_fd, next, &target));
    if (what == What::kLink) {
      if (++links > kMaxLinks) return Fail(ELOOP, "resolve " + std::string(path));
      std::deque<std::string> through = Components(target);
      rest.insert(rest.begin(), through.begin(), through.end());
      if (target.starts_with('/')) out.path.clear();
      continue;
    }
    out.exists = what != What::kMissing;
    out.path = next;
    if (covered && covered(next)) as_written = true;
  }
  return out;
}

std::string_view DirectoryOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

Result<UniqueFd> OpenDirectoryOf(int root_fd, const std::string& path) {
  const std::string directory(DirectoryOf(path));
  return OpenBeneath(root_fd, directory.empty() ? "." : directory, O_PATH | O_DIRECTORY,
                     /*follow=*/false);
}

}  // namespace veneer::build
