#include "tools/build/language/heredoc.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>

#include "tools/shell_word.h"
#include "tools/utf8.h"

namespace veneer::build {
namespace {

std::optional<std::string> NothingSet(std::string_view /*name*/) { return std::nullopt; }

Result<tools::ShellWord> Words(std::string_view text, bool keep_quotes, bool keep_escapes) {
  tools::ShellWordOptions options;
  options.keep_quotes = keep_quotes;
  options.keep_escapes = keep_escapes;
  options.keep_unset = true;
  return tools::ExpandShellWord(text, NothingSet, options);
}

size_t CountQuotes(const std::string& word) {
  return static_cast<size_t>(
      std::ranges::count_if(word, [](char c) { return c == '\'' || c == '"'; }));
}

}  // namespace

Result<std::optional<Heredoc>> ParseHeredoc(std::string_view word) {
  Heredoc heredoc;
  const size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
  const std::string_view number = word.substr(0, digits);
  word.remove_prefix(digits);
  if (!word.starts_with("<<")) return std::nullopt;
  word.remove_prefix(2);
  heredoc.chomp = word.starts_with('-');
  if (heredoc.chomp) word.remove_prefix(1);
  word.remove_prefix(std::min(word.find_first_not_of("\t\n\f\r "), word.size()));
  if (word.empty() || word.contains('<')) return std::nullopt;
  if (std::from_chars(number.data(), number.data() + number.size(), heredoc.file_descriptor).ec ==
      std::errc::result_out_of_range)
    heredoc.file_descriptor = std::numeric_limits<uint64_t>::max();

  TRY_ASSIGN(const tools::ShellWord bare, Words(word, false, false));
  if (bare.words.size() != 1) return std::nullopt;
  TRY_ASSIGN(const tools::ShellWord quoted, Words(word, true, false));
  if (quoted.words.size() != 1) return std::nullopt;
  heredoc.name = bare.words.front();
  heredoc.expand = CountQuotes(bare.words.front()) == CountQuotes(quoted.words.front());
  return heredoc;
}

std::optional<Heredoc> HeredocOf(std::string_view word) {
  return ParseHeredoc(word).value_or(std::nullopt);
}

Result<std::vector<Heredoc>> HeredocsOf(std::string_view line) {
  std::vector<Heredoc> heredocs;
  // A line that is no shell words (a quote of its own language, perhaps) has no heredocs.
  const Result<tools::ShellWord> words = Words(line, true, true);
  if (!words && words.error().code() == E2BIG)
    return Invalid("too long, or nested too deeply, to look for heredocs", E2BIG);
  if (!words) return heredocs;
  for (const std::string& word : words->words) {
    TRY_ASSIGN(std::optional<Heredoc> heredoc, ParseHeredoc(word));
    if (heredoc) heredocs.push_back(std::move(*heredoc));
  }
  return heredocs;
}

std::string Chomp(std::string_view content) {
  std::string out;
  bool at_start = true;
  for (const char c : content) {
    if (at_start && c == '\t') continue;
    out += c;
    at_start = c == '\n';
  }
  return out;
}

}  // namespace veneer::build
