#include "tools/build/image_draft.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "store/image_config.h"
#include "store/json.h"
#include "tools/build/history_text.h"
#include "tools/build/language/run_command.h"
#include "tools/build/language/variables.h"
#include "tools/units.h"

namespace veneer::build {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kHistoryComment = "buildkit.dockerfile.v0";

// The fields of `config` that images of BuildKit's have, in its order.
constexpr std::array kConfigFields = {
    "User",   "ExposedPorts", "Env",         "Entrypoint",  "Cmd",     "Volumes",     "WorkingDir",
    "Labels", "StopSignal",   "ArgsEscaped", "Healthcheck", "OnBuild", "StopTimeout", "Shell"};
constexpr std::array kOuterFields = {"architecture", "variant",     "os",
                                     "os.version",   "os.features", "author"};

std::string String(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// A member that is an object, made one where it is missing or null.
Json& Object(Json& parent, const char* key) {
  Json& member = parent[key];
  if (!member.is_object()) member = Json::object();
  return member;
}

std::string Rfc3339(int64_t seconds) { return tools::FormatRfc3339Nano({seconds, 0}); }

bool IsEmptyLayer(const Json& entry) {
  const auto flag = entry.find("empty_layer");
  return flag != entry.end() && flag->is_boolean() && flag->get<bool>();
}

}  // namespace

ImageDraft ImageDraft::Scratch(const Platform& platform) {
  ImageDraft draft;
  draft.outer_["architecture"] = platform.architecture;
  if (!platform.variant.empty()) draft.outer_["variant"] = platform.variant;
  draft.outer_["os"] = platform.os;
  draft.config_["Env"] = {std::string("PATH=") + kDefaultPath};
  draft.config_["WorkingDir"] = "/";
  return draft;
}

Result<ImageDraft> ImageDraft::From(std::string_view config) {
  TRY_ASSIGN(const ImageConfig parsed, ImageConfig::Parse(config));
  ImageDraft draft;
  for (const char* field : kOuterFields) {
    const auto found = parsed.json.find(field);
    if (found != parsed.json.end() && !found->is_null()) draft.outer_[field] = *found;
  }
  if (const auto inner = parsed.json.find("config"); inner != parsed.json.end()) {
    for (const char* field : kConfigFields) {
      const auto found = inner->find(field);
      if (found != inner->end() && !found->is_null()) draft.config_[field] = *found;
    }
  }
  draft.base_created_ = parsed.created();
  const std::vector<std::string> env = StringsAt(draft.config_, "Env");
  if (std::ranges::none_of(env, [](const std::string& e) { return e.starts_with("PATH="); }))
    draft.SetVariable("PATH", kDefaultPath);

  // As many layers as the history has entries that are not empty: others' tools leave some out.
  size_t layers = 0;
  if (const auto history = parsed.json.find("history");
      history != parsed.json.end() && history->is_array()) {
    for (const Json& entry : *history) {
      if (!entry.is_object()) continue;
      draft.history_.push_back({entry, !IsEmptyLayer(entry), false});
      layers += draft.history_.back().is_layer ? 1 : 0;
    }
  }
  for (Step& step : draft.history_) {
    if (layers <= parsed.diff_ids.size()) break;
    if (!std::exchange(step.is_layer, false)) continue;
    step.entry["empty_layer"] = true;
    --layers;
  }
  for (; layers < parsed.diff_ids.size(); ++layers) {
    Json entry = Json::object();
    if (!draft.base_created_.empty()) entry["created"] = draft.base_created_;
    draft.history_.push_back({entry, true, false});
  }
  return draft;
}

void ImageDraft::StartStage() {
  cmd_set_ = false;
  config_.erase("OnBuild");
}

void ImageDraft::Apply(const Instruction& instruction, std::span<const std::string> args) {
  args_ = args;
  std::visit([this](const auto& body) { On(body); }, instruction.body);
  args_ = {};
}

void ImageDraft::SetLabel(const std::string& name, const std::string& value) {
  Object(config_, "Labels")[name] = value;
}

Platform ImageDraft::platform() const {
  return {String(outer_, "os"), String(outer_, "architecture"), String(outer_, "variant")};
}

std::string ImageDraft::user() const { return String(config_, "User"); }
std::string ImageDraft::working_dir() const { return String(config_, "WorkingDir"); }
std::vector<std::string> ImageDraft::environment() const { return StringsAt(config_, "Env"); }

std::vector<std::string> ImageDraft::shell() const {
  std::vector<std::string> shell = StringsAt(config_, "Shell");
  if (shell.empty()) shell = {"/bin/sh", "-c"};
  return shell;
}

std::vector<std::string> ImageDraft::WordsOf(const CommandLine& command) const {
  return build::WordsOf(command, shell());
}

void ImageDraft::Note(std::string created_by, bool makes_layer, bool has_state) {
  Json entry = Json::object();
  entry["created_by"] = std::move(created_by) + (has_state ? " # buildkit" : "");
  entry["comment"] = kHistoryComment;
  if (!makes_layer) entry["empty_layer"] = true;
  history_.push_back({std::move(entry), makes_layer, true});
  own_layers_ += makes_layer ? 1 : 0;
}

void ImageDraft::SetVariable(const std::string& name, const std::string& value) {
  Json& env = config_["Env"];
  if (!env.is_array()) env = Json::array();
  for (Json& entry : env) {
    if (!entry.is_string()) continue;
    const std::string& text = entry.get_ref<const std::string&>();
    if (text == name || text.starts_with(name + "=")) {
      entry = name + "=" + value;
      return;
    }
  }
  env.push_back(name + "=" + value);
}

void ImageDraft::On(const AddInstruction& add) { Note(history::Text(add), true); }
void ImageDraft::On(const CopyInstruction& copy) { Note(history::Text(copy), true); }
void ImageDraft::On(const ArgInstruction& arg) { Note(history::Text(arg), false, false); }

void ImageDraft::On(const RunInstruction& run) {
  Note(history::RunText(CommandOf(run, shell()).words, args_), true);
}

void ImageDraft::On(const CmdInstruction& cmd) {
  const std::vector<std::string> words = WordsOf(cmd.command);
  config_["Cmd"] = words;
  config_["ArgsEscaped"] = true;
  cmd_set_ = true;
  Note(history::Quoted("CMD", words), false, false);
}

void ImageDraft::On(const EntrypointInstruction& entrypoint) {
  const std::vector<std::string> words = WordsOf(entrypoint.command);
  config_["Entrypoint"] = words;
  // The base's arguments were for the base's program.
  if (!cmd_set_) config_.erase("Cmd");
  Note(history::Quoted("ENTRYPOINT", words), false, false);
}

void ImageDraft::On(const EnvInstruction& env) {
  for (const NameValue& variable : env.variables) SetVariable(variable.name, variable.value);
  Note(history::Pairs("ENV", env.variables), false, false);
}

void ImageDraft::On(const ExposeInstruction& expose) {
  Json& ports = Object(config_, "ExposedPorts");
  for (const std::string& port : expose.ports) ports[port] = Json::object();
  Note(history::Text(expose), false, false);
}

void ImageDraft::On(const HealthcheckInstruction& healthcheck) {
  Json check = Json::object();
  check["Test"] = healthcheck.test;
  const auto add = [&](const char* name, std::chrono::nanoseconds value) {
    if (value.count() != 0) check[name] = value.count();
  };
  add("Interval", healthcheck.interval);
  add("Timeout", healthcheck.timeout);
  add("StartPeriod", healthcheck.start_period);
  add("StartInterval", healthcheck.start_interval);
  if (healthcheck.retries != 0) check["Retries"] = healthcheck.retries;
  config_["Healthcheck"] = std::move(check);
  Note(history::Text(healthcheck), false, false);
}

void ImageDraft::On(const LabelInstruction& label) {
  for (const NameValue& pair : label.labels) SetLabel(pair.name, pair.value);
  Note(history::Pairs("LABEL", label.labels), false, false);
}

void ImageDraft::On(const MaintainerInstruction& maintainer) {
  outer_["author"] = maintainer.maintainer;
  Note("MAINTAINER " + maintainer.maintainer, false, false);
}

void ImageDraft::On(const OnbuildInstruction& onbuild) {
  Json& triggers = config_["OnBuild"];
  if (!triggers.is_array()) triggers = Json::array();
  triggers.push_back(onbuild.expression);
}

void ImageDraft::On(const ShellInstruction& shell) {
  config_["Shell"] = shell.words;
  Note(history::Listed("SHELL", shell.words), false, false);
}

void ImageDraft::On(const StopsignalInstruction& stopsignal) {
  config_["StopSignal"] = stopsignal.signal;
  Note("STOPSIGNAL " + stopsignal.signal, false, false);
}

void ImageDraft::On(const UserInstruction& user) {
  config_["User"] = user.user;
  Note("USER " + user.user, false, false);
}

void ImageDraft::On(const VolumeInstruction& volume) {
  Json& volumes = Object(config_, "Volumes");
  for (const std::string& path : volume.paths) volumes[path] = Json::object();
  Note(history::Listed("VOLUME", volume.paths), false, false);
}

void ImageDraft::On(const WorkdirInstruction& workdir) {
  config_["WorkingDir"] = workdir.path;
  // The root directory is there.
  const bool makes_layer = workdir.path != "/";
  Note("WORKDIR " + workdir.path, makes_layer, makes_layer);
}

std::string ImageDraft::Finish(std::span<const DiffId> layers, std::span<const int64_t> created,
                               std::optional<int64_t> epoch) const {
  std::vector<Json> entries;
  size_t layer = 0;
  for (const Step& step : history_) {
    Json entry = Json::object();
    std::string time = String(step.entry, "created");
    if (step.is_own) {
      if (epoch) {
        time = Rfc3339(*epoch);
      } else if (step.is_layer && layer < created.size()) {
        time = Rfc3339(created[layer]);
      }
      layer += step.is_layer ? 1 : 0;
    }
    if (!time.empty()) entry["created"] = time;
    for (const auto& [name, value] : step.entry.items()) {
      if (name != "created") entry[name] = value;
    }
    entries.push_back(std::move(entry));
  }
  // BuildKit's rule, by which a build that finds everything in the cache gives the same image
  // again: what makes no layer was made with the first layer after the last known time, else with
  // the layer before.
  std::string time;
  bool unknown = false;
  for (const Json& entry : entries) {
    if (!entry.contains("created")) {
      unknown = true;
      continue;
    }
    time = String(entry, "created");
    if (unknown) break;
  }
  unknown = false;
  for (Json& entry : entries) {
    if (entry.contains("created")) {
      if (unknown) time = String(entry, "created");
      continue;
    }
    unknown = true;
    if (time.empty()) continue;
    Json dated = Json::object();
    dated["created"] = time;
    dated.update(entry);
    entry = std::move(dated);
  }

  std::string image_time = base_created_;
  for (const Json& entry : entries) {
    if (entry.contains("created")) image_time = String(entry, "created");
  }
  if (epoch) image_time = Rfc3339(*epoch);

  Json json = Json::object();
  for (const char* field : kOuterFields) {
    if (outer_.contains(field)) json[field] = outer_[field];
  }
  Json config = Json::object();
  for (const char* field : kConfigFields) {
    if (config_.contains(field)) config[field] = config_[field];
  }
  json["config"] = std::move(config);
  if (!image_time.empty()) json["created"] = image_time;
  json["history"] = entries;
  Json ids = Json::array();
  for (const DiffId& id : layers) ids.push_back(id.ToString());
  json["rootfs"] = {{"type", "layers"}, {"diff_ids", std::move(ids)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace veneer::build
