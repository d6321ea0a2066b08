#include "tools/build/build_options.h"

#include <algorithm>
#include <cstdlib>

#include "tools/build/language/csv_fields.h"
#include "tools/build/language/go_number.h"
#include "tools/build/language/platform.h"
#include "tools/build/language/text.h"

namespace veneer::build {

namespace {

// In the form in which ARGs show it. What is asked for twice is asked for once.
Result<std::optional<Platform>> ReadPlatform(const BuildFlags& flags) {
  std::vector<std::string> texts = flags.platforms;
  const char* const preset = std::getenv("DOCKER_DEFAULT_PLATFORM");
  if (texts.empty() && preset != nullptr) texts.emplace_back(preset);
  std::optional<Platform> platform;
  for (const std::string& text : texts) {
    for (const std::string& name : Split(text, ',')) {
      const std::string_view trimmed = TrimSpace(name);
      if (trimmed.empty()) continue;
      Platform wanted = HostPlatform();
      if (trimmed != "local") {
        TRY_ASSIGN(wanted, ParsePlatform(trimmed));
        wanted = Normalize(wanted);
      }
      if (platform && *platform != wanted) {
        return Invalid("--platform: one platform can be built at a time, not " + Format(*platform) +
                       " and " + Format(wanted));
      }
      platform = std::move(wanted);
    }
  }
  return platform;
}

}  // namespace

Result<BuildOptions> ReadBuildOptions(const BuildFlags& flags) {
  BuildOptions options;
  options.target = flags.target;
  options.build_args = NamedValues("--build-arg", flags.build_args, true);
  options.labels = NamedValues("--label", flags.labels, false);
  for (const auto& [name, value] : ContextValues(flags.contexts)) options.contexts.insert(name);
  TRY_ASSIGN(options.platform, ReadPlatform(flags));
  return options;
}

bool KeepsGitDir(const BuildOptions& options) {
  const auto given = options.build_args.find("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
  return given != options.build_args.end() && ParseBool(given->second).value_or(false);
}

Result<BuildSettings> ReadSettings(const BuildFlags& flags, const BuildOptions& options) {
  BuildSettings settings;
  for (const std::string& text : flags.secrets) {
    if (text.empty()) continue;
    TRY_ASSIGN(auto secret, ParseSecret(text));
    settings.secrets.insert_or_assign(std::move(secret.first), std::move(secret.second));
  }
  for (const std::string& text : flags.add_hosts) {
    if (text.empty()) continue;
    TRY_ASSIGN(const std::vector<std::string> hosts, CsvFields(text));
    for (const std::string& one : hosts) {
      TRY_ASSIGN(std::string host, ParseExtraHost(one));
      settings.extra_hosts.push_back(std::move(host));
    }
  }
  for (const std::string& text : flags.ulimits) {
    TRY_ASSIGN(Ulimit limit, ParseUlimit(text));
    settings.ulimits.push_back(std::move(limit));
  }
  if (!flags.shm_size.empty()) {
    const auto size = ParseMemorySize(flags.shm_size);
    if (!size || *size < 0) return Invalid("--shm-size: invalid size: '" + flags.shm_size + "'");
    settings.shm_size = static_cast<uint64_t>(*size);
  }
  if (!flags.network.empty()) settings.network = flags.network;
  if (settings.network != "default" && settings.network != "none" && settings.network != "host")
    return Invalid("network mode \"" + settings.network +
                   "\" is not known; there are default, none and host");
  for (const std::string& what : flags.allow) {
    if (what != "network.host" && what != "security.insecure")
      return Invalid("--allow " + what +
                     " is not supported by veneer build; there are network.host and "
                     "security.insecure");
  }
  settings.allow_insecure =
      std::ranges::find(flags.allow, "security.insecure") != flags.allow.end();
  settings.no_cache = flags.no_cache;
  for (const std::string& text : flags.no_cache_filter) {
    for (const std::string& stage : Split(text, ','))
      if (!stage.empty()) settings.no_cache_stages.insert(ToLower(stage));
  }
  if (settings.no_cache && !settings.no_cache_stages.empty())
    return Invalid("--no-cache and --no-cache-filter cannot currently be used together");
  settings.proxy_env = ProxyVariables(options.build_args);
  if (const auto name = options.build_args.find("BUILDKIT_SANDBOX_HOSTNAME");
      name != options.build_args.end()) {
    settings.hostname = name->second;
  }
  if (const auto name = options.build_args.find("BUILDKIT_CACHE_MOUNT_NS");
      name != options.build_args.end()) {
    settings.cache_namespace = name->second;
  }
  TRY_ASSIGN(settings.epoch, SourceDateEpoch(options.build_args));
  return settings;
}

}  // namespace veneer::build
