#include "tools/build/copy/source_match.h"

#include <algorithm>
#include <utility>

#include "tools/build/language/glob_tokens.h"
#include "tools/build/language/go_glob.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr int kMaxLinks = 255;

std::string Below(const std::string& directory, std::string_view name) {
  std::string path = directory;
  if (!path.empty() && !name.empty()) path += '/';
  return path += name;
}

std::string LastPart(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 == 0
}

bool IsMissing(const Error& error) { return error.code() == ENOENT || error.code() == ENOTDIR; }

// Walks below `base` for paths that the pattern matches.
class WildcardSearch {
 public:
  WildcardSearch(const SourceTree& tree, std::string base, std::vector<GlobToken> tokens)
      : tree_(tree), base_(std::move(base)), tokens_(std::move(tokens)) {
    // Only a class stands for a "/" that the pattern does not show.
    for (const GlobToken& token : tokens_) {
      if (token.kind == GlobToken::Kind::kClass ||
          (token.kind == GlobToken::Kind::kRune && token.rune == '/'))
        ++max_depth_;
    }
  }

  Result<> Search(const std::string& relative, size_t depth) {
    TRY_ASSIGN(const std::vector<std::string> names, tree_.List(Below(base_, relative)));
    for (const std::string& name : names) {
      std::string child = Below(relative, name);
      if (MatchGlob(tokens_, child, true)) {
        matches_.push_back(std::move(child));
        continue;
      }
      if (depth >= max_depth_) continue;
      TRY_ASSIGN(const SourceEntry entry, tree_.Stat(Below(base_, child)));
      if (S_ISDIR(entry.attr.mode)) TRY(Search(child, depth + 1));
    }
    return {};
  }

  std::vector<std::string> TakeMatches() { return std::move(matches_); }

 private:
  const SourceTree& tree_;
  const std::string base_;
  const std::vector<GlobToken> tokens_;
  size_t max_depth_ = 1;
  std::vector<std::string> matches_;
};

Result<SourceMatch> Followed(const SourceTree& tree, const std::string& path,
                             std::string relative) {
  auto followed = FollowLinks(tree, path);
  if (!followed) {
    if (IsMissing(followed.error())) return SourceNotFound(path);
    return std::unexpected(followed.error());
  }
  return SourceMatch{
      .name = LastPart(path), .relative = std::move(relative), .path = std::move(*followed)};
}

}  // namespace

std::unexpected<Error> SourceNotFound(std::string_view path) {
  return Invalid("\"/" + std::string(path) + "\": not found", ENOENT);
}

std::string SourcePath(std::string_view source) {
  return CleanPath("/" + std::string(source)).substr(1);
}

Result<std::string> FollowLinks(const SourceTree& tree, std::string_view path) {
  std::vector<std::string> parts;  // of the path so far: directories, and what stands at its end
  std::vector<std::string> ahead = Split(path, '/');
  std::ranges::reverse(ahead);
  int links = 0;
  while (!ahead.empty()) {
    std::string name = std::move(ahead.back());
    ahead.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.push_back(std::move(name));
    TRY_ASSIGN(const SourceEntry entry, tree.Stat(Join(parts, "/")));
    if (!S_ISLNK(entry.attr.mode)) continue;
    if (++links > kMaxLinks) return Invalid("too many links", ELOOP);
    parts.pop_back();
    if (entry.link_target.starts_with('/')) parts.clear();
    std::vector<std::string> target = Split(entry.link_target, '/');
    ahead.insert(ahead.end(), std::make_move_iterator(target.rbegin()),
                 std::make_move_iterator(target.rend()));
  }
  return Join(parts, "/");
}

Result<std::vector<SourceMatch>> NamedSource(const SourceTree& tree, const std::string& source) {
  TRY_ASSIGN(SourceMatch match, Followed(tree, source, LastPart(source)));
  return std::vector<SourceMatch>{std::move(match)};
}

Result<std::vector<SourceMatch>> MatchSource(const SourceTree& tree, const std::string& source) {
  std::vector<SourceMatch> matches;
  const std::vector<std::string> parts = Split(source, '/');
  const auto first_wild = std::ranges::find_if(parts, HasWildcards);
  if (first_wild == parts.end()) return NamedSource(tree, source);
  const std::string fixed = Join({parts.begin(), first_wild}, "/");
  const std::string pattern = Join({first_wild, parts.end()}, "/");
  TRY_ASSIGN(std::vector<GlobToken> tokens, ParseGlob(pattern, false));
  auto base = FollowLinks(tree, fixed);
  if (!base) {
    if (IsMissing(base.error()))
      return Invalid("lstat /" + fixed + ": no such file or directory", ENOENT);
    return std::unexpected(base.error());
  }
  TRY_ASSIGN(const SourceEntry entry, tree.Stat(*base));
  if (!S_ISDIR(entry.attr.mode)) return matches;
  WildcardSearch search(tree, *base, std::move(tokens));
  TRY(search.Search("", 1));
  for (std::string& relative : search.TakeMatches()) {
    const std::string path = Below(*base, relative);
    TRY_ASSIGN(SourceMatch match, Followed(tree, path, std::move(relative)));
    matches.push_back(std::move(match));
  }
  return matches;
}

}  // namespace veneer::build
