// Heredocs of a Dockerfile: <<EOF, <<-EOF, <<"EOF", 3<<EOF.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/result.h"

namespace veneer::build {

struct Heredoc {
  std::string name;  // the word that ends it, without quotes
  uint64_t file_descriptor = 0;
  bool expand = true;   // no part of the word was quoted
  bool chomp = false;   // <<-: tabs at the start of its lines do not count
  std::string content;  // with all tabs
};

// The heredoc a word announces; nothing if it announces none. Errors (EINVAL): a quote without its
// match.
Result<std::optional<Heredoc>> ParseHeredoc(std::string_view word);

// The same, where a bad word is none.
std::optional<Heredoc> HeredocOf(std::string_view word);

// All that an instruction's line announces, in order.
Result<std::vector<Heredoc>> HeredocsOf(std::string_view line);

// `content` without tabs at the start of its lines.
std::string Chomp(std::string_view content);

}  // namespace veneer::build
