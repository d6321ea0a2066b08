// The flags of an instruction: --name, --name=value.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

enum class FlagKind { kBool, kString, kStrings };  // only the last may come twice

class InstructionFlags {
 public:
  // Checks `words` against what the instruction knows. Errors (EINVAL) are BuildKit's: "unknown
  // flag: --x (did you mean y?)", "duplicate flag specified: --x", "missing a value on flag: --x",
  // "expecting boolean value for flag --x, not: y".
  static Result<InstructionFlags> Parse(std::span<const std::string> words,
                                        const std::map<std::string, FlagKind>& known);

  std::string String(const std::string& name) const;                // empty if not given
  std::vector<std::string> Strings(const std::string& name) const;  // in order
  std::optional<bool> Bool(const std::string& name) const;          // nothing if not given
  bool IsTrue(const std::string& name) const { return Bool(name).value_or(false); }

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

}  // namespace veneer::build
