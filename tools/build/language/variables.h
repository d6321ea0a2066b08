// Variables of a stage or of a whole file, in the order they were first set.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/shell_word.h"

namespace veneer::build {

// PATH of a stage whose base sets none, as in Docker.
inline constexpr const char* kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class Variables {
 public:
  void Set(const std::string& name, std::string value) {
    const auto [entry, added] = values_.insert_or_assign(name, std::move(value));
    if (added) names_.push_back(name);
  }
  std::optional<std::string> Get(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }
  const std::vector<std::string>& names() const { return names_; }

  // Bytes of all names and values: what the kernel would have to pass on.
  size_t Size() const {
    size_t size = 0;
    for (const auto& [name, value] : values_) size += name.size() + value.size() + 2;
    return size;
  }

  // Valid as long as these variables are.
  tools::VariableLookup Lookup() const {
    return [this](std::string_view name) { return Get(name); };
  }

 private:
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> names_;
};

}  // namespace veneer::build
