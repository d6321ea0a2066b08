#include "store/stale_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <climits>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "store/base/beneath.h"

namespace veneer {
namespace {

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// mountinfo writes space, tab, newline and backslash as octal (proc(5)).
std::string Unescape(const std::string& field) {
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size() && IsOctal(field[i + 1]) &&
        IsOctal(field[i + 2]) && IsOctal(field[i + 3])) {
      out += static_cast<char>((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
                               (field[i + 3] - '0'));
      i += 3;
    } else {
      out += field[i];
    }
  }
  return out;
}

// Where something is mounted, in the order of /proc/self/mountinfo: a mount comes after the one it
// is in.
Result<std::vector<std::string>> MountPoints() {
  std::ifstream file("/proc/self/mountinfo");
  if (!file) return Fail(EIO, "read /proc/self/mountinfo");
  std::vector<std::string> points;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    points.push_back(Unescape(field));
  }
  return points;
}

// By the directory that it is in: whoever may still be at work there leads us nowhere else by a
// symlink on the way.
Result<> Detach(int dirfd, const std::string& point) {
  const size_t slash = point.rfind('/');
  const std::string above = slash == std::string::npos ? "." : point.substr(0, slash);
  TRY_ASSIGN(const UniqueFd parent, OpenBeneath(dirfd, above, O_PATH | O_DIRECTORY, false));
  const std::string path = FdPath(parent.get(), point.substr(slash + 1));  // npos + 1 == 0
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return Errno("unmount " + point);
  return {};
}

}  // namespace

Result<> DetachMountsBelow(int dirfd) {
  char buffer[PATH_MAX];
  ssize_t n = readlink(FdPath(dirfd).c_str(), buffer, sizeof buffer);
  if (n < 0) return Errno("path of a directory");
  if (n == static_cast<ssize_t>(sizeof buffer)) return Fail(ENAMETOOLONG, "path of a directory");
  const std::string below = std::string(buffer, static_cast<size_t>(n)) + "/";
  auto points_below = [&]() -> Result<std::vector<std::string>> {
    TRY_ASSIGN(auto points, MountPoints());
    std::erase_if(points, [&](const std::string& point) { return !point.starts_with(below); });
    return points;
  };
  TRY_ASSIGN(auto points, points_below());
  Result<> detached;
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    Result<> gone = Detach(dirfd, point->substr(below.size()));
    if (!gone && detached) detached = std::move(gone);
  }
  if (detached) return {};
  // One that the way to leads through a dead mount goes with that one.
  TRY_ASSIGN(points, points_below());
  if (points.empty()) return {};
  return detached;
}

}  // namespace veneer
