// --chmod: what it makes of a mode: an octal number, or changes as chmod(1) takes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

// Immutable; threads may share it.
class ModeChange {
 public:
  // "755", "u=rwX,go+r", "g=u-w". Errors are CheckChmod's (copy_rules.h). X is search of
  // directories and execution of what somebody may execute already.
  static Result<ModeChange> Parse(std::string_view text);

  // `mode` (st_mode) with its permission bits changed; its type stays.
  uint32_t Apply(uint32_t mode) const;

  // The number, if it is one.
  std::optional<uint32_t> absolute() const { return absolute_; }

 private:
  // One operator with what follows it.
  struct Action {
    uint32_t who = 0;  // the bits that may change
    char op = '+';
    uint32_t bits = 0;
    bool search = false;     // X
    uint32_t copied = 0;     // rwx triads that are copied: 0700, 070, 07
    bool any_plain = false;  // something but copied classes was given
  };

  static void ReadAction(std::string_view& text, uint32_t who, std::vector<Action>& actions);

  std::optional<uint32_t> absolute_;
  std::vector<Action> actions_;
};

}  // namespace veneer::build
