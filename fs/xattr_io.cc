#include "fs/xattr_io.h"

#include <sys/xattr.h>

namespace veneer::fs {

namespace {

// Calls `read(buffer, size)` with a buffer large enough for what it returns.
template <typename Read>
Result<std::string> ReadGrowing(Read read, const char* what) {
  char small[256];
  ssize_t n = read(small, sizeof small);
  if (n >= 0) return std::string(small, static_cast<size_t>(n));
  while (errno == ERANGE) {
    n = read(nullptr, 0);
    if (n < 0) break;
    std::string value(static_cast<size_t>(n), '\0');
    n = read(value.data(), value.size());
    if (n >= 0) {
      value.resize(static_cast<size_t>(n));
      return value;
    }
  }
  return Errno(what);
}

}  // namespace

Result<std::string> GetXattr(const std::string& path, const std::string& name, XattrPath how) {
  return ReadGrowing(
      [&](char* buffer, size_t size) {
        return how == XattrPath::kMagicLink ? getxattr(path.c_str(), name.c_str(), buffer, size)
                                            : lgetxattr(path.c_str(), name.c_str(), buffer, size);
      },
      "getxattr");
}

Result<std::optional<std::string>> FindXattr(const std::string& path, const std::string& name,
                                             XattrPath how) {
  auto value = GetXattr(path, name, how);
  if (value) return std::optional(std::move(*value));
  int code = value.error().code();
  if (code == ENODATA || code == EOPNOTSUPP || code == EPERM) return std::nullopt;
  return std::unexpected(std::move(value).error());
}

Result<std::vector<std::string>> ListXattr(const std::string& path, XattrPath how) {
  auto list = ReadGrowing(
      [&](char* buffer, size_t size) {
        return how == XattrPath::kMagicLink ? listxattr(path.c_str(), buffer, size)
                                            : llistxattr(path.c_str(), buffer, size);
      },
      "listxattr");
  std::vector<std::string> names;
  if (!list) {
    if (list.error().code() == EOPNOTSUPP) return names;
    return std::unexpected(std::move(list).error());
  }
  std::string_view rest = *list;
  while (!rest.empty()) {
    std::string_view name = rest.substr(0, rest.find('\0'));
    names.emplace_back(name);
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
  }
  return names;
}

Result<> SetXattr(const std::string& path, const std::string& name, std::string_view value,
                  int flags, XattrPath how) {
  int rc = how == XattrPath::kMagicLink
               ? setxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags)
               : lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags);
  if (rc != 0) return Errno("setxattr");
  return {};
}

Result<> RemoveXattr(const std::string& path, const std::string& name, XattrPath how) {
  int rc = how == XattrPath::kMagicLink ? removexattr(path.c_str(), name.c_str())
                                        : lremovexattr(path.c_str(), name.c_str());
  if (rc != 0) return Errno("removexattr");
  return {};
}

Result<> KeepingXattr(const std::string& path, const std::string& name, XattrPath how,
                      const std::function<Result<>()>& change) {
  TRY_ASSIGN(auto value, FindXattr(path, name, how));
  Result<> changed = change();
  if (value) TRY(SetXattr(path, name, *value, 0, how));
  return changed;
}

}  // namespace veneer::fs
