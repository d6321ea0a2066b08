// Text as BuildKit's parser cuts it: Go's notion of white space, letter case and paths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace veneer::build {

// strings.TrimSpace and its left half: white space is Unicode's.
std::string_view TrimSpace(std::string_view text);
std::string_view TrimLeftSpace(std::string_view text);

// Letters of ASCII only: names of instructions, stages and flags have no others.
std::string ToLower(std::string_view text);
std::string ToUpper(std::string_view text);
bool EqualFold(std::string_view a, std::string_view b);

// Fields between runs of tabs, spaces and the like (not newlines), at most `limit` of them (0: no
// limit), the last being all the rest. As regexp.Split does, a separator at an end of the text has
// an empty field there, and the empty text is one empty field.
std::vector<std::string> SplitBlank(std::string_view text, size_t limit = 0);

std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);

// The nearest of `options` to a mistyped `word`, at most two edits away; empty if there is none, or
// if the word is among them. Ignoring case, the option comes in the word's own case.
std::string Suggestion(std::string_view word, const std::vector<std::string>& options,
                       bool match_case);
// " (did you mean X?)", or nothing.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& options,
                       bool match_case);

// path.Clean: the shortest equivalent path; "." for the empty one.
std::string CleanPath(std::string_view path);

}  // namespace veneer::build
