// What comes from elsewhere: files by HTTP, and git repositories, for ADD and as build contexts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/result.h"
#include "tools/build/copy/copy_step.h"

namespace veneer::build {

struct FetchOptions {
  std::string checksum;  // "sha256:…" of a file, a (beginning of a) commit; empty: any
  std::function<bool()> cancelled;
};

// Fetches `url` (http, https; redirects are followed) into a new file in `directory`. Errors are
// sentences that name the URL: "failed to load http://… : 404", a checksum that differs
// ("digest mismatch sha256:…: sha256:…"); ECANCELED.
Result<FetchedFile> FetchFile(const std::string& url, const std::string& directory,
                              const FetchOptions& options);

// A repository's URL, as ADD and `build` take it: URL#ref:folder, or URL?ref=…&subdir=….
struct GitSource {
  std::string url;
  std::string ref;        // empty: HEAD
  std::string directory;  // in it, clean; empty: all
  std::optional<bool> keep_git_dir;
  std::string checksum;
};
// `keep_git_dir` is for a URL that does not say. EINVAL: a query with other keys.
Result<GitSource> ParseGitSource(std::string_view text, std::optional<bool> keep_git_dir = {});

// Checks the repository out into `directory` (an empty one) with its submodules, by the program
// git; the path of what was asked for. `.git` stays only with keep_git_dir. Errors are sentences;
// ECANCELED.
Result<std::string> FetchGit(const GitSource& source, const std::string& directory,
                             const FetchOptions& options);

}  // namespace veneer::build
