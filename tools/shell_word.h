// Word expansion of Dockerfile instructions: quotes, escapes and $variables, without running
// anything.
//
// Follows BuildKit's shell lexer: '…' keeps everything, "…" and bare text expand $name and ${name}
// with the modifiers :- - :+ + :? ? # ## % %% / //. The escape character takes the next one as it
// is. Stateless; threads may share everything here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::tools {

struct ShellWordOptions {
  char escape = '\\';
  bool keep_quotes = false;   // quotes stay in the result
  bool keep_escapes = false;  // escape characters stay in the result
  bool plain_quotes = false;  // quotes are characters like any other
  bool keep_unset = false;    // $name stays as it is where name is not set
  bool patterns = true;       // # ## % %% / // are known
};

struct ShellWord {
  std::string text;
  // The text split at white space that is neither quoted nor escaped; what variables bring is
  // split, too. Empty words are dropped.
  std::vector<std::string> words;
  // Names of the variables that were looked up, each once, in the order of their first use.
  std::vector<std::string> matched;
  std::vector<std::string> unmatched;
};

// The value of a variable; nothing if it is not set.
using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

// Errors (EINVAL) are BuildKit's: `failed to process "${b": syntax error: missing '}'`; also for
// substitutions nested more than 100 deep, and results of more than 1 MiB (which a few lines of
// ENV a=$a$a could ask for).
Result<ShellWord> ExpandShellWord(std::string_view word, const VariableLookup& variables,
                                  const ShellWordOptions& options = {});

// For dockerd's own changes (commit -c), without patterns. `env` holds NAME=value strings; of two
// with one name, the first counts. Errors: as ExpandShellWord.
Result<std::string> ExpandWord(std::string_view word, const std::vector<std::string>& env);
Result<std::vector<std::string>> ExpandWords(std::string_view word,
                                             const std::vector<std::string>& env);

}  // namespace veneer::tools
