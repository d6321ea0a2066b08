#include "tools/build/run/runtime_config.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "tools/build/language/text.h"
#include "tools/build/language/variables.h"
#include "tools/build/run/capabilities.h"
#include "tools/build/run/seccomp_profile.h"
#include "tools/utf8.h"

namespace veneer::build {
namespace {

using Json = nlohmann::ordered_json;

// Of Docker: what shows or changes the host through /proc and /sys.
constexpr const char* kMaskedPaths[] = {
    "/proc/acpi",       "/proc/asound",      "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr const char* kReadOnlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

constexpr std::string_view kLimits[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                        "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                        "rss",     "rtprio",   "rttime", "sigpending", "stack"};

constexpr int kLoopDevices = 8;
constexpr const char* kUnifiedCgroups = "/sys/fs/cgroup/cgroup.controllers";

Result<> CheckText(std::string_view what, std::string_view text) {
  if (text.find('\0') == text.npos) return {};
  return Invalid(std::string(what) + " with a NUL character");
}

Result<> CheckPath(const std::string& path) {
  TRY(CheckText("a path", path));
  for (size_t i = 0; i < path.size();) {
    const tools::Rune rune = tools::DecodeRune(path, i);
    if (!rune.valid) return Invalid("a path that is not UTF-8: " + path);
    i += rune.size;
  }
  return {};
}

bool Sets(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& variable) {
    return variable.starts_with(name) && variable.substr(name.size()).starts_with('=');
  });
}

Result<Json> RlimitsOf(const std::vector<Ulimit>& limits) {
  Json out = Json::array();
  for (const Ulimit& limit : limits) {
    if (std::find(std::begin(kLimits), std::end(kLimits), limit.name) == std::end(kLimits))
      return Invalid("invalid ulimit type: " + limit.name);
    // -1 is the largest number, which is RLIM_INFINITY.
    out.push_back(Json::object({{"type", "RLIMIT_" + ToUpper(limit.name)},
                                {"hard", static_cast<uint64_t>(limit.hard)},
                                {"soft", static_cast<uint64_t>(limit.soft)}}));
  }
  return out;
}

Result<Json> ProcessOf(const ConfigParts& parts) {
  const RunSpec& spec = *parts.spec;
  if (spec.words.empty()) return Invalid("RUN without a command");
  for (const std::string& word : spec.words) TRY(CheckText("a word of the command", word));
  std::vector<std::string> env = spec.env;
  if (!Sets(env, "PATH")) env.push_back("PATH=" + std::string(kDefaultPath));
  if (!Sets(env, "HOME")) env.push_back("HOME=" + parts.user.home);
  for (const std::string& variable : env) TRY(CheckText("an environment variable", variable));
  TRY(CheckPath(parts.working_dir));

  Json user = Json::object({{"uid", parts.user.uid}, {"gid", parts.user.gid}});
  if (parts.user_namespace.sets_groups) user["additionalGids"] = parts.user.groups;
  Json capabilities = Json::object();
  const std::vector<std::string> given = spec.insecure ? AllCapabilities() : DefaultCapabilities();
  for (const char* set : {"bounding", "effective", "permitted"}) capabilities[set] = given;

  Json out = Json::object();
  out["terminal"] = false;
  out["user"] = std::move(user);
  out["args"] = spec.words;
  out["env"] = env;
  out["cwd"] = parts.working_dir;
  out["capabilities"] = std::move(capabilities);
  if (!spec.ulimits.empty()) {
    TRY_ASSIGN(out["rlimits"], RlimitsOf(spec.ulimits));
  }
  out["noNewPrivileges"] = false;  // sudo and the like work in a build
  return out;
}

Result<Json> MountsOf(const std::vector<ContainerMount>& mounts) {
  Json out = Json::array();
  for (const ContainerMount& mount : mounts) {
    TRY(CheckPath(mount.source));
    TRY(CheckPath(mount.destination));
    out.push_back(Json::object({{"destination", mount.destination},
                                {"type", mount.type},
                                {"source", mount.source},
                                {"options", mount.options}}));
  }
  return out;
}

// What --security=insecure shows of the host's devices: those that images are made with.
Json LoopDevices() {
  Json out = Json::array();
  const auto add = [&](const std::string& path, const char* type) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) return;
    out.push_back(Json::object({{"path", path},
                                {"type", type},
                                {"major", major(st.st_rdev)},
                                {"minor", minor(st.st_rdev)},
                                {"fileMode", st.st_mode & 07777},
                                {"uid", 0},
                                {"gid", 0}}));
  };
  add("/dev/loop-control", "c");
  for (int i = 0; i < kLoopDevices; ++i) add("/dev/loop" + std::to_string(i), "b");
  return out;
}

Json LinuxOf(const ConfigParts& parts) {
  const RunSpec& spec = *parts.spec;
  const bool nested = parts.user_namespace.nested;
  Json namespaces = Json::array();
  const auto add = [&](const char* type) { namespaces.push_back(Json::object({{"type", type}})); };
  for (const char* type : {"pid", "ipc", "uts", "mount"}) add(type);
  if (spec.network == "none") add("network");
  // The older hierarchies show a container its own cgroup anyway.
  if (parts.mounts_cgroups && access(kUnifiedCgroups, F_OK) == 0) add("cgroup");

  Json out = Json::object();
  out["namespaces"] = std::move(namespaces);
  if (!nested && parts.manages_cgroups) {
    // In an insecure container every device may be used; otherwise the runtime's usual ones alone.
    out["resources"]["devices"] =
        Json::array({Json::object({{"allow", spec.insecure}, {"access", "rwm"}})});
  }
  if (spec.insecure) {
    if (!nested) out["devices"] = LoopDevices();
    return out;
  }
  for (const char* path : kMaskedPaths) out["maskedPaths"].push_back(path);
  for (const char* path : kReadOnlyPaths) out["readonlyPaths"].push_back(path);
  out["seccomp"] = DefaultSeccompProfile();
  return out;
}

}  // namespace

Result<std::string> RuntimeConfig(const ConfigParts& parts) {
  const RunSpec& spec = *parts.spec;
  TRY(CheckPath(parts.root));
  TRY(CheckText("a host name", spec.hostname));
  Json config = Json::object();
  config["ociVersion"] = "1.0.2";
  TRY_ASSIGN(config["process"], ProcessOf(parts));
  config["root"] = Json::object({{"path", parts.root}, {"readonly", false}});
  if (!spec.hostname.empty()) config["hostname"] = spec.hostname;
  TRY_ASSIGN(config["mounts"], MountsOf(parts.mounts));
  // crun changes no groups where it could not.
  if (!parts.user_namespace.sets_groups)
    config["annotations"]["run.oci.keep_original_groups"] = "1";
  if (!spec.insecure && !parts.seccomp_filter.empty())
    config["annotations"]["run.oci.seccomp_bpf_data"] = parts.seccomp_filter;
  config["linux"] = LinuxOf(parts);
  return config.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace veneer::build
