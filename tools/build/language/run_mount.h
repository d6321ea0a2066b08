// RUN --mount=type=bind|cache|tmpfs|secret|ssh,…
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"

namespace veneer::build {

enum class MountType { kBind, kCache, kTmpfs, kSecret, kSsh };
enum class CacheSharing { kShared, kPrivate, kLocked };  // the later, the stricter

struct RunMount {
  MountType type = MountType::kBind;
  std::string from;  // a stage, image or named context; empty: the build context
  std::string source;
  std::string target;
  bool read_only = true;
  int64_t size_limit = 0;  // bytes; 0: none
  std::string id;          // of a cache, secret or socket
  std::optional<CacheSharing> sharing;
  bool required = false;
  std::optional<std::string> env;  // a secret's variable; empty: named after the secret
  std::optional<uint32_t> mode;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
};

// Expands a word's variables; an error is the instruction's.
using WordExpander = std::function<Result<std::string>(std::string_view word)>;

// The mount that the value of --mount describes. Without an expander, only what no variable may
// change is looked at: `from`, which then is all there is in the result. Errors (EINVAL) are
// BuildKit's: "unexpected key 'x' in 'x=y'", "unsupported mount type \"x\"", …
Result<RunMount> ParseRunMount(std::string_view text, const WordExpander& expander);

}  // namespace veneer::build
