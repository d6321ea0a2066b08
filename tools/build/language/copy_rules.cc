#include "tools/build/language/copy_rules.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>

#include "tools/build/language/go_number.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

// clause[,clause]…: whose bits, then an operator and bits, once or more.
bool IsSymbolicMode(std::string_view mode) {
  const auto skip = [&mode](std::string_view set) {
    mode.remove_prefix(std::min(mode.find_first_not_of(set), mode.size()));
  };
  while (true) {
    skip("ugoa");
    if (mode.empty()) return false;
    while (!mode.empty() && mode.front() != ',') {
      if (!std::string_view("+-=").contains(mode.front())) return false;
      mode.remove_prefix(1);
      skip("rwxXstugo");
    }
    if (mode.empty()) return true;
    mode.remove_prefix(1);
  }
}

}  // namespace

bool IsHttpSource(std::string_view source) {
  return source.starts_with("http://") || source.starts_with("https://");
}

bool IsGitSource(std::string_view source) {
  if (source.starts_with("./") || source.starts_with("../")) return false;
  if (source.starts_with("git://") || source.starts_with("ssh://")) return true;
  if (IsHttpSource(source)) return source.substr(0, source.find_first_of("#?")).ends_with(".git");
  // user@host:path
  const size_t at = source.find('@');
  const size_t colon = source.find(':');
  if (at == 0 || at == std::string_view::npos || colon == std::string_view::npos ||
      colon <= at + 1 || colon + 1 == source.size())
    return false;
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_.-").contains(c);
  };
  return std::ranges::all_of(source.substr(0, at), plain) &&
         std::ranges::all_of(source.substr(at + 1, colon - at - 1), plain);
}

Result<> CheckChmod(std::string_view mode) {
  constexpr uint32_t kMaxMode = 07777;
  const std::optional<uint32_t> octal = ParseUint32(mode, 8);
  if (octal && *octal <= kMaxMode) return {};
  const bool numeric = !mode.empty() && std::isdigit(static_cast<unsigned char>(mode.front())) != 0;
  if (octal || numeric) {
    return Invalid("invalid chmod parameter: '" + std::string(mode) +
                   "'. it should be octal string and between 0 and 07777");
  }
  if (!IsSymbolicMode(mode)) return Invalid("invalid syntax");
  return {};
}

Result<> CheckAdd(const AddInstruction& add) {
  if (!add.chmod.empty()) TRY(CheckChmod(add.chmod));
  if (add.checksum.empty()) return {};
  if (add.sources.size() != 1) return Invalid("checksum can't be specified for multiple sources");
  if (!IsHttpSource(add.sources[0]) && !IsGitSource(add.sources[0]))
    return Invalid("checksum requires HTTP(S) or Git sources");
  return {};
}

Result<> CheckCopy(const CopyInstruction& copy) {
  if (!copy.chmod.empty()) TRY(CheckChmod(copy.chmod));
  for (const std::string& source : copy.sources) {
    if (IsGitSource(source)) return Invalid("source can't be a git ref for COPY");
    if (IsHttpSource(source)) return Invalid("source can't be a URL for COPY");
  }
  return {};
}

}  // namespace veneer::build
