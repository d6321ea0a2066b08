#include "tools/build/language/run_mount.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tools/build/language/csv_fields.h"
#include "tools/build/language/go_number.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

const std::vector<std::string> kTypes = {"bind", "cache", "tmpfs", "secret", "ssh"};
const std::vector<std::string> kSharing = {"shared", "private", "locked"};
const std::vector<std::string> kKeys = {
    "type", "from", "source", "target", "readonly",    "id", "sharing", "required",  "size", "mode",
    "uid",  "gid",  "src",    "dst",    "destination", "ro", "rw",      "readwrite", "env"};

// One key after the other, in the order they are written: "required" looks at the type so far.
class MountReader {
 public:
  explicit MountReader(const WordExpander& expander) : expander_(expander) {}

  Result<RunMount> Read(std::string_view text) {
    const Result<std::vector<std::string>> fields = CsvFields(text);
    if (!fields) return Invalid("failed to parse csv mounts: " + fields.error().Message());
    for (const std::string& field : *fields) {
      const size_t equals = field.find('=');
      const std::string key = ToLower(std::string_view(field).substr(0, equals));
      if (equals == std::string::npos) {
        if (expander_) TRY(ReadBare(key, field));
        continue;
      }
      std::string value = field.substr(equals + 1);
      if (expander_) {
        TRY_ASSIGN(value, expander_(value));
        TRY(ReadPair(key, value, field));
      } else if (key == "from") {
        const size_t dollar = value.find('$');
        if (dollar != std::string::npos && dollar + 1 != value.size())
          return Invalid("'from' doesn't support variable expansion, define alias stage instead");
        mount_.from = value;
      }
    }
    TRY(Finish());
    return std::move(mount_);
  }

 private:
  const std::string& TypeName() const { return kTypes[static_cast<size_t>(mount_.type)]; }

  std::unexpected<Error> Unexpected(const std::string& key) const {
    return Invalid(fmt::format("unexpected key '{}' for mount type '{}'", key, TypeName()));
  }

  void SetReadOnly(bool value) {
    mount_.read_only = value;
    read_only_given_ = true;
  }

  bool MayBeRequired() const {
    return mount_.type == MountType::kSecret || mount_.type == MountType::kSsh;
  }

  Result<> ReadBare(const std::string& key, const std::string& field) {
    if (key == "readonly" || key == "ro") {
      SetReadOnly(true);
    } else if (key == "readwrite" || key == "rw") {
      SetReadOnly(false);
    } else if (key == "required") {
      if (!MayBeRequired()) return Unexpected(key);
      mount_.required = true;
    } else {
      return Invalid(fmt::format("invalid field '{}' must be a key=value pair", field));
    }
    return {};
  }

  static Result<bool> ReadBool(const std::string& key, const std::string& value) {
    const std::optional<bool> parsed = ParseBool(value);
    if (!parsed) return Invalid(fmt::format("invalid value for {}: {}", key, value));
    return *parsed;
  }

  static Result<uint32_t> ReadNumber(const std::string& key, const std::string& value, int base) {
    const std::optional<uint32_t> parsed = ParseUint32(value, base);
    if (!parsed) return Invalid(fmt::format("invalid value {} for {}", value, key));
    return *parsed;
  }

  static Result<size_t> ReadChoice(const char* what, const std::string& value,
                                   const std::vector<std::string>& choices) {
    const auto found = std::ranges::find(choices, ToLower(value));
    if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
    return Invalid(fmt::format("unsupported {} {}{}", what, tools::GoQuote(value),
                               DidYouMean(value, choices, true)));
  }

  Result<> ReadPair(const std::string& key, const std::string& value, const std::string& field) {
    if (key == "type") {
      TRY_ASSIGN(const size_t type, ReadChoice("mount type", value, kTypes));
      mount_.type = static_cast<MountType>(type);
    } else if (key == "from") {
      mount_.from = value;
    } else if (key == "source" || key == "src") {
      mount_.source = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_.target = value;
    } else if (key == "readonly" || key == "ro") {
      TRY_ASSIGN(const bool read_only, ReadBool(key, value));
      SetReadOnly(read_only);
    } else if (key == "readwrite" || key == "rw") {
      TRY_ASSIGN(const bool read_write, ReadBool(key, value));
      SetReadOnly(!read_write);
    } else if (key == "required") {
      if (!MayBeRequired()) return Unexpected(key);
      TRY_ASSIGN(mount_.required, ReadBool(key, value));
    } else if (key == "size") {
      if (mount_.type != MountType::kTmpfs) return Unexpected(key);
      const std::optional<int64_t> size = ParseMemorySize(value);
      if (!size) return Invalid("invalid value for size: " + value);
      mount_.size_limit = *size;
    } else if (key == "id") {
      mount_.id = value;
    } else if (key == "sharing") {
      TRY_ASSIGN(const size_t sharing, ReadChoice("sharing value", value, kSharing));
      mount_.sharing = static_cast<CacheSharing>(sharing);
    } else if (key == "mode") {
      TRY_ASSIGN(mount_.mode, ReadNumber(key, value, 8));
    } else if (key == "uid") {
      TRY_ASSIGN(mount_.uid, ReadNumber(key, value, 10));
    } else if (key == "gid") {
      TRY_ASSIGN(mount_.gid, ReadNumber(key, value, 10));
    } else if (key == "env") {
      mount_.env = value;
    } else {
      return Invalid(
          fmt::format("unexpected key '{}' in '{}'{}", key, field, DidYouMean(key, kKeys, true)));
    }
    return {};
  }

  // What the keys say together.
  Result<> Finish() {
    const bool bind_or_tmpfs = mount_.type == MountType::kBind || mount_.type == MountType::kTmpfs;
    const std::array<std::pair<const char*, const std::optional<uint32_t>*>, 3> owner = {
        {{"mode", &mount_.mode}, {"uid", &mount_.uid}, {"gid", &mount_.gid}}};
    for (const auto& [name, value] : owner) {
      if (bind_or_tmpfs && *value)
        return Invalid(fmt::format("{} not allowed for \"{}\" type mounts", name, TypeName()));
    }
    if (!read_only_given_) {
      mount_.read_only = mount_.type != MountType::kCache && mount_.type != MountType::kTmpfs;
    }
    if (mount_.type == MountType::kSecret) {
      if (!mount_.from.empty()) return Invalid("secret mount should not have a from");
      if (mount_.sharing) return Invalid("secret mount should not define sharing");
      if (mount_.source.empty() && mount_.target.empty() && mount_.id.empty())
        return Invalid("invalid secret mount. one of source, target required");
      if (!mount_.source.empty() && !mount_.id.empty())
        return Invalid("both source and id can't be set");
    }
    if (mount_.sharing && mount_.type != MountType::kCache)
      return Invalid("invalid cache sharing set for " + TypeName() + " mount");
    return {};
  }

  const WordExpander& expander_;
  RunMount mount_;
  bool read_only_given_ = false;
};

}  // namespace

Result<RunMount> ParseRunMount(std::string_view text, const WordExpander& expander) {
  return MountReader(expander).Read(text);
}

}  // namespace veneer::build
