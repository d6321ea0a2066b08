#include "tools/build/language/instruction_flags.h"

#include "tools/build/language/text.h"

namespace veneer::build {

Result<InstructionFlags> InstructionFlags::Parse(std::span<const std::string> words,
                                                 const std::map<std::string, FlagKind>& known) {
  InstructionFlags flags;
  for (const std::string& word : words) {
    if (word == "--") break;
    if (!word.starts_with("--")) return Invalid("arg should start with -- : " + word);
    const size_t equals = word.find('=');
    const std::string flag = word.substr(0, equals);
    const std::string name = flag.substr(2);
    const bool has_value = equals != std::string::npos;
    std::string value = has_value ? word.substr(equals + 1) : "";
    const auto found = known.find(name);
    if (found == known.end()) {
      std::vector<std::string> names;
      names.reserve(known.size());
      for (const auto& [known_name, kind] : known) names.push_back(known_name);
      return Invalid("unknown flag: " + flag + DidYouMean(name, names, true));
    }
    if (found->second != FlagKind::kStrings && flags.values_.contains(name))
      return Invalid("duplicate flag specified: " + flag);
    if (found->second == FlagKind::kBool) {
      if (has_value && value.empty()) return Invalid("missing a value on flag: " + flag);
      const std::string lower = has_value ? ToLower(value) : "true";
      if (lower != "true" && lower != "false")
        return Invalid("expecting boolean value for flag " + flag + ", not: " + value);
      value = lower;
    } else if (!has_value) {
      return Invalid("missing a value on flag: " + flag);
    }
    flags.values_[name].push_back(std::move(value));
  }
  return flags;
}

std::string InstructionFlags::String(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? "" : found->second.back();
}

std::vector<std::string> InstructionFlags::Strings(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::optional<bool> InstructionFlags::Bool(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second.back() == "true";
}

}  // namespace veneer::build
