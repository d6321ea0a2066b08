#include "fs/stat_override.h"

#include <sys/sysmacros.h>

#include <array>
#include <charconv>
#include <cstdio>

namespace veneer::fs {

namespace {

using Form = StatOverride::Form;

// Containers' own attributes, and before a name the user's that the host does not take.
constexpr std::string_view kEscape = "user.containers.override_";
constexpr std::string_view kSecurity = "security.";

constexpr std::string_view AttributeOf(Form form) {
  switch (form) {
    case Form::kPrivileged:
      return "security.fuseoverlayfs.override_stat";
    case Form::kContainers:
      return "user.containers.override_stat";
    case Form::kUser:
      return "user.fuseoverlayfs.override_stat";
    case Form::kNone:
      break;
  }
  return "";
}

std::optional<uint32_t> ParseNumber(std::string_view text, int base) {
  uint32_t number = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

struct TypeWord {
  std::string_view word;
  mode_t type;
};
constexpr std::array<TypeWord, 5> kTypes = {{{"file", S_IFREG},
                                             {"dir", S_IFDIR},
                                             {"symlink", S_IFLNK},
                                             {"pipe", S_IFIFO},
                                             {"socket", S_IFSOCK}}};

// "file", "char-1-3" and so on.
bool ParseType(std::string_view text, mode_t& type, dev_t& device) {
  for (const TypeWord& known : kTypes) {
    if (text != known.word) continue;
    type = known.type;
    return true;
  }
  bool block = text.starts_with("block-");
  if (!block && !text.starts_with("char-")) return false;
  text.remove_prefix(block ? 6 : 5);
  size_t dash = text.find('-');
  if (dash == text.npos) return false;
  auto major_number = ParseNumber(text.substr(0, dash), 10);
  auto minor_number = ParseNumber(text.substr(dash + 1), 10);
  if (!major_number || !minor_number) return false;
  type = block ? S_IFBLK : S_IFCHR;
  device = makedev(*major_number, *minor_number);
  return true;
}

}  // namespace

std::string_view StatOverride::attribute() const { return AttributeOf(form_); }

Form StatOverride::FormOf(int rootfd) {
  for (Form form : {Form::kPrivileged, Form::kContainers, Form::kUser}) {
    auto value = FindXattr(FileAt(rootfd), std::string(AttributeOf(form)));
    if (value && *value) return form;
  }
  return Form::kNone;
}

bool StatOverride::Parse(std::string_view value, struct stat& st) {
  std::array<std::string_view, 4> fields;
  size_t count = 0;
  for (std::string_view rest = value; count < fields.size();) {
    size_t colon = count + 1 < fields.size() ? rest.find(':') : rest.npos;
    fields[count++] = rest.substr(0, colon);
    if (colon == rest.npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (count < 3) return false;
  auto uid = ParseNumber(fields[0], 10);
  auto gid = ParseNumber(fields[1], 10);
  auto mode = ParseNumber(fields[2], 8);
  if (!uid || !gid || !mode) return false;
  mode_t type = st.st_mode & S_IFMT;
  dev_t device = st.st_rdev;
  if (count == 4 && !ParseType(fields[3], type, device)) return false;
  // A directory is one, and nothing else can be.
  if (S_ISDIR(type) != S_ISDIR(st.st_mode)) return false;
  st.st_uid = *uid;
  st.st_gid = *gid;
  st.st_mode = type | (*mode & 07777);
  st.st_rdev = device;
  return true;
}

std::string StatOverride::Format(const struct stat& st) {
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", st.st_mode & 07777);
  std::string value = std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid) + ":" + mode;
  for (const TypeWord& known : kTypes) {
    if ((st.st_mode & S_IFMT) == known.type) value += ":" + std::string(known.word);
  }
  if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)) {
    value += (S_ISBLK(st.st_mode) ? ":block-" : ":char-") + std::to_string(major(st.st_rdev)) +
             "-" + std::to_string(minor(st.st_rdev));
  }
  return value;
}

void StatOverride::Apply(const FileAt& file, struct stat& st) const {
  bool may_carry = S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode);
  if (!active() || !may_carry) return;
  auto value = FindXattr(file, std::string(attribute()));
  if (!value || !*value || !Parse(**value, st)) return;
  // A symlink's target is what the file has in it; these have nothing.
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
    st.st_size = 0;
  }
}

Result<> StatOverride::Write(const FileAt& file, const struct stat& st) const {
  return SetXattr(file, std::string(attribute()), Format(st));
}

std::string StatOverride::StoredName(std::string_view name) const {
  bool escaped = (form_ == Form::kContainers && name.starts_with(kSecurity)) ||
                 (active() && (name == attribute() || name.starts_with(kEscape)));
  return escaped ? std::string(kEscape) + std::string(name) : std::string(name);
}

std::optional<std::string> StatOverride::ShownName(std::string_view stored) const {
  if (!active()) return std::string(stored);
  if (stored == attribute()) return std::nullopt;
  // The host's own are not those of the file that is shown.
  if (form_ == Form::kContainers && stored.starts_with(kSecurity)) return std::nullopt;
  if (!stored.starts_with(kEscape)) return std::string(stored);
  std::string_view name = stored.substr(kEscape.size());
  if (StoredName(name) != stored) return std::nullopt;
  return std::string(name);
}

}  // namespace veneer::fs
