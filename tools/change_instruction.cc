#include "tools/change_instruction.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <utility>
#include <vector>

#include "tools/instruction_parser.h"
#include "tools/port_spec.h"
#include "tools/shell_word.h"
#include "tools/signal_name.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

bool IsBlank(std::string_view text) { return std::ranges::all_of(text, IsSpace); }

// One run of ApplyChanges over its copy of the config.
class Changer {
 public:
  explicit Changer(Json config) : config_(std::move(config)) {}

  Json Take() { return std::move(config_); }

  Result<> Apply(const Instruction& instruction) {
    using Handler = Result<> (Changer::*)(const std::string&);
    constexpr std::array<std::pair<std::string_view, Handler>, 10> kHandlers = {{
        {"cmd", &Changer::Cmd},
        {"entrypoint", &Changer::Entrypoint},
        {"env", &Changer::Env},
        {"expose", &Changer::Expose},
        {"label", &Changer::Label},
        {"onbuild", &Changer::OnBuild},
        {"stopsignal", &Changer::StopSignal},
        {"user", &Changer::User},
        {"volume", &Changer::Volume},
        {"workdir", &Changer::WorkDir},
    }};
    const auto* const handler = std::ranges::find(kHandlers, instruction.name,
                                                  &std::pair<std::string_view, Handler>::first);
    if (handler == kHandlers.end())
      return Invalid(instruction.name + " is not a valid change command");
    std::string arguments = instruction.arguments;
    TRY(RefuseFlags(arguments));
    return (this->*handler->second)(arguments);
  }

 private:
  // No instruction here has flags; "--" ends them.
  static Result<> RefuseFlags(std::string& arguments) {
    if (!arguments.starts_with("--")) return {};
    const std::string flag = SplitFields(arguments).front().substr(2);
    if (!flag.empty()) return Invalid("unknown flag: " + flag.substr(0, flag.find('=')));
    arguments.erase(0, std::min(arguments.find_first_not_of(" \t", 2), arguments.size()));
    return {};
  }

  // The member as a list or an object of ours, whatever the config had there.
  Json& List(const char* key) {
    if (!config_.contains(key) || !config_[key].is_array()) config_[key] = Json::array();
    return config_[key];
  }
  Json& Map(const char* key) {
    if (!config_.contains(key) || !config_[key].is_object()) config_[key] = Json::object();
    return config_[key];
  }

  std::vector<std::string> Strings(const char* key) const {
    std::vector<std::string> out;
    const auto list = config_.find(key);
    if (list == config_.end() || !list->is_array()) return out;
    for (const Json& element : *list) {
      if (element.is_string()) out.push_back(element.get<std::string>());
    }
    return out;
  }

  Result<std::string> Expand(std::string_view word) const {
    return ExpandWord(word, Strings("Env"));
  }

  static Result<> RequireOne(const char* name, const std::string& arguments) {
    if (arguments.empty()) return Invalid(std::string(name) + " requires exactly one argument");
    return {};
  }

  // A command line: the exec form as it is, the shell form behind the shell.
  Result<std::vector<std::string>> CommandLine(const std::string& arguments) const {
    TRY_ASSIGN(std::optional<std::vector<std::string>> exec, ParseExecForm(arguments));
    if (exec) return std::move(*exec);
    std::vector<std::string> words = Strings("Shell");
    if (words.empty()) words = {"/bin/sh", "-c"};
    words.push_back(arguments);
    return words;
  }

  Result<> Cmd(const std::string& arguments) {
    TRY_ASSIGN(config_["Cmd"], CommandLine(arguments));
    cmd_set_ = true;
    return {};
  }

  Result<> Entrypoint(const std::string& arguments) {
    if (arguments.empty()) {
      config_.erase("Entrypoint");
    } else {
      TRY_ASSIGN(config_["Entrypoint"], CommandLine(arguments));
    }
    // What the image ran by itself makes no sense as arguments of something else.
    if (!cmd_set_) config_.erase("Cmd");
    return {};
  }

  Result<> Env(const std::string& arguments) {
    TRY_ASSIGN(const std::vector<NameValue> pairs, ParseNameValues("ENV", arguments));
    // All of one instruction see the environment from before it.
    const std::vector<std::string> before = Strings("Env");
    for (const auto& [raw_name, raw_value] : pairs) {
      TRY_ASSIGN(const std::string name, ExpandWord(raw_name, before));
      TRY_ASSIGN(const std::string value, ExpandWord(raw_value, before));
      SetVariable(name, fmt::format("{}={}", name, value));
    }
    return {};
  }

  void SetVariable(const std::string& name, const std::string& entry) {
    Json& env = List("Env");
    for (Json& present : env) {
      if (!present.is_string()) continue;
      const std::string& text = present.get_ref<const std::string&>();
      if (text.compare(0, text.find('='), name) != 0) continue;
      present = entry;
      return;
    }
    env.push_back(entry);
  }

  Result<> Label(const std::string& arguments) {
    TRY_ASSIGN(const std::vector<NameValue> pairs, ParseNameValues("LABEL", arguments));
    for (const auto& [raw_name, raw_value] : pairs) {
      TRY_ASSIGN(const std::string name, Expand(raw_name));
      TRY_ASSIGN(const std::string value, Expand(raw_value));
      Map("Labels")[name] = value;
    }
    return {};
  }

  Result<> Expose(const std::string& arguments) {
    const std::vector<std::string> fields = SplitFields(arguments);
    if (fields.empty()) return Invalid("EXPOSE requires at least one argument");
    for (const std::string& field : fields) {
      TRY_ASSIGN(const std::vector<std::string> specs, ExpandWords(field, Strings("Env")));
      for (const std::string& spec : specs) {
        TRY_ASSIGN(const std::vector<std::string> ports, ParsePorts(spec));
        for (const std::string& port : ports) Map("ExposedPorts")[port] = Json::object();
      }
    }
    return {};
  }

  Result<> Volume(const std::string& arguments) {
    TRY_ASSIGN(const std::optional<std::vector<std::string>> exec, ParseExecForm(arguments));
    const std::vector<std::string> paths = exec ? *exec : SplitFields(arguments);
    if (paths.empty()) return Invalid("VOLUME requires at least one argument");
    for (const std::string& raw : paths) {
      TRY_ASSIGN(const std::string path, Expand(raw));
      if (IsBlank(path)) return Invalid("VOLUME specified can not be an empty string");
      Map("Volumes")[path] = Json::object();
    }
    return {};
  }

  Result<> OnBuild(const std::string& arguments) {
    const std::vector<std::string> fields = SplitFields(arguments);
    if (fields.empty()) return Invalid("ONBUILD requires at least one argument");
    const std::string trigger = Upper(fields.front());
    if (trigger == "ONBUILD")
      return Invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (trigger == "MAINTAINER" || trigger == "FROM")
      return Invalid(trigger + " isn't allowed as an ONBUILD trigger");
    List("OnBuild").push_back(arguments);
    return {};
  }

  Result<> StopSignal(const std::string& arguments) {
    TRY(RequireOne("STOPSIGNAL", arguments));
    TRY_ASSIGN(const std::string signal, Expand(arguments));
    if (!IsSignal(signal)) return Invalid("invalid signal: " + signal);
    config_["StopSignal"] = signal;
    return {};
  }

  Result<> User(const std::string& arguments) {
    TRY(RequireOne("USER", arguments));
    TRY_ASSIGN(config_["User"], Expand(arguments));
    return {};
  }

  Result<> WorkDir(const std::string& arguments) {
    TRY(RequireOne("WORKDIR", arguments));
    TRY_ASSIGN(std::string path, Expand(arguments));
    if (path.empty()) return Invalid("cannot normalize nothing");
    if (!path.starts_with('/')) {
      const auto present = config_.find("WorkingDir");
      const bool known = present != config_.end() && present->is_string();
      const std::string base = "/" + (known ? present->get<std::string>() : "");
      path = (std::filesystem::path(base) / path).lexically_normal().string();
      // "//" starts no name of ours, and a directory has no slash behind it.
      path.erase(0, path.find_first_not_of('/') == std::string::npos ? path.size()
                                                                     : path.find_first_not_of('/'));
      while (path.ends_with('/')) path.pop_back();
      path.insert(0, "/");
    }
    config_["WorkingDir"] = path;
    return {};
  }

  Json config_;
  bool cmd_set_ = false;
};

}  // namespace

Result<> ApplyChanges(std::span<const std::string> changes, Json& config) {
  if (changes.empty()) return {};
  const std::vector<Instruction> instructions = SplitInstructions(changes);
  if (instructions.empty()) return Invalid("file with no instructions");
  Changer changer(config.is_object() ? config : Json::object());
  for (const Instruction& instruction : instructions) TRY(changer.Apply(instruction));
  config = changer.Take();
  return {};
}

}  // namespace veneer::tools
