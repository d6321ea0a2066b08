// Collects warnings about a Dockerfile, but for those it was told to skip.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/build/language/error.h"
#include "tools/build/language/lint_rule.h"

namespace veneer::build {

// What `# check=skip=A,B;error=true;experimental=all` says.
struct LintOptions {
  bool skip_all = false;
  std::set<std::string, std::less<>> skip;
  bool experimental_all = false;
  std::set<std::string, std::less<>> experimental;
  bool error = false;  // warnings make the build fail

  // Errors (EINVAL) are BuildKit's: `invalid check option "x"`.
  static Result<LintOptions> Parse(std::string_view text);

  bool Allows(const LintRule& rule) const;
};

struct LintWarning {
  LintRule rule;
  std::string message;
  Lines lines;
};

// Not for several threads.
class Linter {
 public:
  explicit Linter(LintOptions options) : options_(std::move(options)) {}

  // `comments` are those before the instruction in question: one of the form check=skip=A adds to
  // the options for it.
  void Warn(const LintRule& rule, Lines lines, std::string message,
            std::span<const std::string> comments = {});

  // By line; of one line, in the order they came.
  std::vector<LintWarning> Sorted() const;

  // "lint violation found for rules: A, B", if the options make warnings errors and there are any.
  Result<> Verdict() const;

 private:
  LintOptions options_;
  std::vector<LintWarning> warnings_;
};

}  // namespace veneer::build
