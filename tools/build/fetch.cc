#include "tools/build/fetch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <vector>

#include "store/base/beneath.h"
#include "store/base/digest.h"
#include "store/base/unique_fd.h"
#include "tools/build/language/text.h"
#include "tools/build/run/program.h"

namespace veneer::build {
namespace {

constexpr const char* kUnnamed = "__unnamed__";  // as BuildKit
constexpr long kMaxRedirects = 10;
constexpr long kConnectSeconds = 30;
constexpr long kSlowestBytes = 1, kSlowestSeconds = 60;  // slower than that for so long: given up

struct Download {
  int fd = -1;
  Sha256 hash;
  Result<> written;
  const std::function<bool()>* cancelled = nullptr;
};

size_t OnData(const char* data, size_t size, size_t count, void* user) {
  auto* download = static_cast<Download*>(user);
  const std::string_view bytes(data, size * count);
  download->written = WriteAll(download->fd, bytes);
  if (!download->written) return 0;
  download->hash.Update(bytes);
  return bytes.size();
}

int OnProgress(void* user, curl_off_t /*total*/, curl_off_t /*now*/, curl_off_t /*up_total*/,
               curl_off_t /*up_now*/) {
  const auto* download = static_cast<Download*>(user);
  return *download->cancelled && (*download->cancelled)() ? 1 : 0;
}

// The last part of the URL's path, decoded.
std::string NameOf(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  char* decoded = nullptr;
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_PATH, &decoded, CURLU_URLDECODE) != CURLUE_OK) {
    return kUnnamed;
  }
  std::string path = decoded;
  curl_free(decoded);
  while (path.ends_with('/')) path.pop_back();
  path.erase(0, path.rfind('/') + 1);  // npos + 1 == 0
  return path.empty() || path == "." || path == ".." ? kUnnamed : path;
}

}  // namespace

Result<FetchedFile> FetchFile(const std::string& url, const std::string& directory,
                              const FetchOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  if (!curl) return Fail(ENOMEM, "fetch " + url);
  FetchedFile file;
  file.path = directory + "/XXXXXX";
  const UniqueFd fd(mkostemp(file.path.data(), O_CLOEXEC));
  if (!fd) return Errno("make a file in " + directory);

  Download download;
  download.fd = fd.get();
  download.cancelled = &options.cancelled;
  char why[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, kSlowestBytes);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, kSlowestSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FILETIME, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "veneer/" VENEER_VERSION);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, OnData);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &download);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &download);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_ABORTED_BY_CALLBACK) return Fail(ECANCELED, "fetch " + url);
  if (!download.written) return std::unexpected(download.written.error().Within("fetch " + url));
  if (code != CURLE_OK) {
    return Invalid(
        fmt::format("failed to load {}: {}", url, *why != 0 ? why : curl_easy_strerror(code)), EIO);
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status >= 300)
    return Invalid(fmt::format("invalid response status {} of {}", status, url), EIO);
  curl_off_t changed = -1;
  if (curl_easy_getinfo(curl.get(), CURLINFO_FILETIME_T, &changed) == CURLE_OK && changed > 0)
    file.mtime = changed;
  const std::string digest = download.hash.Finish().ToString();
  if (!options.checksum.empty() && options.checksum != digest)
    return Invalid(fmt::format("digest mismatch {}: {}", digest, options.checksum), EBADMSG);
  file.name = NameOf(url);
  return file;
}

Result<GitSource> ParseGitSource(std::string_view text, std::optional<bool> keep_git_dir) {
  GitSource source;
  source.keep_git_dir = keep_git_dir;
  source.url = text;
  if (const size_t hash = source.url.find('#'); hash != std::string::npos) {
    const std::string fragment = source.url.substr(hash + 1);
    source.url.resize(hash);
    const size_t colon = fragment.find(':');
    source.ref = fragment.substr(0, colon);
    if (colon != std::string::npos) source.directory = fragment.substr(colon + 1);
  } else if (const size_t query = source.url.find('?'); query != std::string::npos) {
    for (const std::string& pair : Split(std::string_view(source.url).substr(query + 1), '&')) {
      const size_t equals = pair.find('=');
      const std::string key = pair.substr(0, equals);
      const std::string value = equals == std::string::npos ? "" : pair.substr(equals + 1);
      if (key == "ref" || key == "branch" || key == "tag") {
        source.ref = value;
      } else if (key == "subdir") {
        source.directory = value;
      } else if (key == "keep-git-dir") {
        source.keep_git_dir = value.empty() || value == "1" || value == "true";
      } else if (key == "checksum" || key == "commit") {
        source.checksum = value;
      } else {
        return Invalid("unexpected query \"" + key + "\" in git source " + std::string(text));
      }
    }
    source.url.resize(query);
  }
  if (!source.directory.empty()) source.directory = CleanPath("/" + source.directory).substr(1);
  if (source.ref.starts_with('-')) return Invalid("invalid git ref " + source.ref);
  return source;
}

Result<std::string> FetchGit(const GitSource& source, const std::string& directory,
                             const FetchOptions& options) {
  ProgramOptions run;
  run.directory = directory;
  // Not GIT_DIR and its like: a hook that builds would have its own repository changed. And no
  // configuration, which runs programs and changes contents.
  run.env_without = "GIT_";
  run.env = {"GIT_TERMINAL_PROMPT=0", "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
             "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C"};
  run.cancelled = options.cancelled;
  const auto git = [&](std::vector<std::string> words) -> Result<> {
    words.insert(words.begin(), "git");
    const Result<> done = RunQuietly(words, run);
    if (done || done.error().code() == ECANCELED) return done;
    return Invalid("failed to fetch " + source.url + ": " + done.error().Message(),
                   done.error().code());
  };
  TRY(git({"init", "-q", "."}));
  const std::string ref = source.ref.empty() ? "HEAD" : source.ref;
  Result<> fetched = git({"fetch", "-q", "--depth", "1", "--", source.url, ref});
  if (fetched) {
    TRY(git({"checkout", "-q", "--detach", "FETCH_HEAD"}));
  } else {
    // Not all servers give a commit by its digest alone.
    if (fetched.error().code() == ECANCELED ||
        ref.find_first_not_of("0123456789abcdef") != ref.npos)
      return std::unexpected(fetched.error());
    TRY(git({"fetch", "-q", "--tags", "--", source.url, "+refs/heads/*:refs/remotes/origin/*"}));
    TRY(git({"checkout", "-q", "--detach", ref}));
  }
  TRY_ASSIGN(std::string commit, ReadFileAt(AT_FDCWD, directory + "/.git/HEAD", 4096));
  commit = TrimSpace(commit);
  const std::string& checksum = options.checksum.empty() ? source.checksum : options.checksum;
  if (!checksum.empty() && !commit.starts_with(checksum))
    return Invalid(fmt::format("expected checksum to match {}, got {}", checksum, commit), EBADMSG);
  if (access((directory + "/.gitmodules").c_str(), F_OK) == 0)
    TRY(git({"submodule", "-q", "update", "--init", "--recursive", "--depth", "1"}));
  if (source.keep_git_dir.value_or(false)) {
    // The same commit gives the same files: no times of this checkout.
    for (const char* file : {"/.git/index", "/.git/logs"})
      TRY(RemoveTree(AT_FDCWD, directory + file));
    TRY(git({"read-tree", "HEAD"}));
  } else {
    TRY(RemoveTree(AT_FDCWD, directory + "/.git"));
  }
  if (source.directory.empty()) return directory;
  TRY_ASSIGN(const UniqueFd root, OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  const auto inner = OpenBeneath(root.get(), source.directory, O_RDONLY | O_DIRECTORY);
  if (!inner) {
    return Invalid(fmt::format("{} has no directory {}", source.url, source.directory), ENOENT);
  }
  // A real path, so that nothing leads out of it later.
  std::string real(PATH_MAX, '\0');
  const ssize_t n = readlink(FdPath(inner->get()).c_str(), real.data(), real.size());
  if (n <= 0) return Errno("read the path of " + source.directory);
  real.resize(static_cast<size_t>(n));
  return real;
}

}  // namespace veneer::build
