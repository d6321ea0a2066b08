#include "tools/build/language/stage_expander.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "tools/build/language/copy_rules.h"
#include "tools/build/language/expose.h"
#include "tools/build/language/run_mount.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"
#include "tools/shell_word.h"
#include "tools/signal_name.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxEnvironment = 1 << 20;

// ARGs that tell BuildKit something, and are no variables.
bool IsNoVariable(std::string_view name) {
  return name == "BUILDKIT_SBOM_SCAN_CONTEXT" || name == "BUILDKIT_SBOM_SCAN_STAGE";
}

// Whether a part of the name, between underscores, is one of `words`.
template <size_t N>
bool HasPart(const std::string& name, const std::array<std::string_view, N>& words) {
  return std::ranges::any_of(Split(ToLower(name), '_'), [&](const std::string& part) {
    return std::ranges::find(words, part) != words.end();
  });
}

bool IsSecret(const std::string& name) {
  constexpr std::array<std::string_view, 10> kSecret = {
      "apikey",   "auth",  "credential", "credentials", "key",
      "password", "pword", "passwd",     "secret",      "token"};
  constexpr std::array<std::string_view, 3> kHarmless = {"public", "file", "version"};
  return HasPart(name, kSecret) && !HasPart(name, kHarmless);
}

}  // namespace

StageExpander::StageExpander(const ExpansionContext& context, const BaseImage* image)
    : context_(context) {
  if (image) {
    for (const std::string& entry : image->env) {
      const size_t equals = entry.find('=');
      environment_.Set(entry.substr(0, equals),
                       equals == std::string::npos ? "" : entry.substr(equals + 1));
    }
    if (!image->working_dir.empty()) working_dir_ = CleanPath("/" + image->working_dir);
    shell_ = image->shell;
  }
  if (!environment_.Get("PATH")) environment_.Set("PATH", kDefaultPath);
}

void StageExpander::StartStage() {
  cmd_.reset();
  entrypoint_.reset();
  healthcheck_.reset();
}

Located<> StageExpander::Expand(StageStep& step) {
  current_ = &step.instruction;
  const Result<> done = Apply(step);
  current_ = nullptr;
  TRY(At(step.instruction.lines, done));
  if (environment_.Size() > kMaxEnvironment)
    return At(step.instruction.lines, "the environment is larger than 1 MiB");
  return {};
}

Result<> StageExpander::Apply(StageStep& step) {
  return std::visit([this](auto& body) { return On(body); }, step.instruction.body);
}

void StageExpander::Warn(const LintRule& rule, std::string message) {
  context_.linter->Warn(rule, current_->lines, std::move(message), current_->comments);
}

void StageExpander::WarnOfUndefined(const std::vector<std::string>& unmatched) {
  for (const std::string& name : unmatched) {
    if (declared_.contains(name) || IsNoVariable(name)) continue;
    const std::string near = Suggestion(name, environment_.names(), true);
    Warn(rules::kUndefinedVar,
         fmt::format("Usage of undefined variable '${}'{}", name,
                     near.empty() ? "" : fmt::format(" (did you mean ${}?)", near)));
  }
}

void StageExpander::WarnOfSecret(const char* keyword, const std::string& name) {
  if (!IsSecret(name)) return;
  Warn(rules::kSecretsUsedInArgOrEnv,
       fmt::format("Do not use ARG or ENV instructions for sensitive data ({} {})", keyword,
                   tools::GoQuote(name)));
}

void StageExpander::WarnOfIgnored(const char* verb, const std::vector<std::string>& sources) {
  const IgnoreMatcher* const ignore = context_.ignore;
  // With exceptions, a directory that is ignored may still hold something to copy.
  if (!ignore || ignore->empty() || ignore->has_exceptions()) return;
  for (const std::string& source : sources) {
    if (IsHttpSource(source) || IsGitSource(source)) continue;
    const std::string path = CleanPath(source);
    if ((path == "." || path == "/") && !ignore->IgnoresAll()) continue;
    if (!ignore->Ignores(path)) continue;
    Warn(rules::kCopyIgnoredFile,
         fmt::format("Attempting to {} file {} that is excluded by .dockerignore", verb,
                     tools::GoQuote(path)));
  }
}

void StageExpander::WarnOfShellForm(const CommandLine& command) {
  if (!command.shell || !shell_.empty()) return;
  Warn(rules::kJsonArgsRecommended,
       fmt::format("JSON arguments recommended for {} to prevent unintended behavior related to OS "
                   "signals",
                   current_->name));
}

void StageExpander::OnlyOnce(std::optional<Lines>& before) {
  if (before) {
    // It is the earlier one that has no effect.
    context_.linter->Warn(rules::kMultipleInstructionsDisallowed, *before,
                          fmt::format("Multiple {} instructions should not be used in the same "
                                      "stage because only the last one will be used",
                                      current_->name),
                          current_->comments);
  }
  before = current_->lines;
}

Result<std::string> StageExpander::Word(const std::string& word) {
  tools::ShellWordOptions options;
  options.escape = context_.escape;
  TRY_ASSIGN(tools::ShellWord out, tools::ExpandShellWord(word, environment_.Lookup(), options));
  WarnOfUndefined(out.unmatched);
  return std::move(out.text);
}

Result<> StageExpander::InPlace(std::string& word) {
  TRY_ASSIGN(word, Word(word));
  return {};
}

Result<> StageExpander::InPlace(std::vector<std::string>& words) {
  for (std::string& word : words) TRY(InPlace(word));
  return {};
}

// Contents of files: quotes mean nothing there, and a backslash escapes whatever the directive
// says.
Result<> StageExpander::Heredocs(std::vector<HeredocSource>& heredocs) {
  tools::ShellWordOptions options;
  options.plain_quotes = true;
  for (HeredocSource& heredoc : heredocs) {
    if (!heredoc.expand) continue;
    TRY_ASSIGN(tools::ShellWord out,
               tools::ExpandShellWord(heredoc.content, environment_.Lookup(), options));
    WarnOfUndefined(out.unmatched);
    heredoc.content = std::move(out.text);
  }
  return {};
}

Result<> StageExpander::On(AddInstruction& add) {
  TRY(InPlace(add.chown));
  TRY(InPlace(add.chmod));
  TRY(InPlace(add.checksum));
  TRY(InPlace(add.sources));
  TRY(InPlace(add.destination));
  TRY(Heredocs(add.heredocs));
  TRY(CheckAdd(add));
  WarnOfIgnored("Add", add.sources);
  return {};
}

Result<> StageExpander::On(CopyInstruction& copy) {
  TRY(InPlace(copy.chown));
  TRY(InPlace(copy.chmod));
  TRY(InPlace(copy.sources));
  TRY(InPlace(copy.destination));
  TRY(Heredocs(copy.heredocs));
  TRY(CheckCopy(copy));
  if (copy.from.empty()) WarnOfIgnored("Copy", copy.sources);
  return {};
}

Result<> StageExpander::On(ArgInstruction& arg) {
  for (ArgInstruction::Arg& a : arg.args) {
    WarnOfSecret("ARG", a.name);
    const auto& given = context_.options->build_args;
    if (const auto value = given.find(a.name); value != given.end()) {
      a.value = value->second;
    } else if (a.value) {
      TRY_ASSIGN(a.value, Word(*a.value));
    } else {
      a.value = context_.global_args->Get(a.name);
    }
    if (a.value && !IsNoVariable(a.name)) environment_.Set(a.name, *a.value);
    declared_.insert(a.name);
  }
  return {};
}

Result<> StageExpander::On(EnvInstruction& env) {
  // All of one instruction see the environment from before it.
  for (NameValue& variable : env.variables) {
    TRY(InPlace(variable.name));
    TRY(InPlace(variable.value));
  }
  for (const NameValue& variable : env.variables) {
    if (variable.legacy) {
      Warn(
          rules::kLegacyKeyValueFormat,
          fmt::format("\"{0} key=value\" should be used instead of legacy \"{0} key value\" format",
                      current_->name));
    }
    WarnOfSecret("ENV", variable.name);
    environment_.Set(variable.name, variable.value);
  }
  return {};
}

Result<> StageExpander::On(LabelInstruction& label) {
  for (NameValue& pair : label.labels) {
    TRY(InPlace(pair.name));
    TRY(InPlace(pair.value));
    if (!pair.legacy) continue;
    Warn(rules::kLegacyKeyValueFormat,
         fmt::format("\"{0} key=value\" should be used instead of legacy \"{0} key value\" format",
                     current_->name));
  }
  return {};
}

Result<> StageExpander::On(CmdInstruction& cmd) {
  OnlyOnce(cmd_);
  WarnOfShellForm(cmd.command);
  return {};
}

Result<> StageExpander::On(EntrypointInstruction& entrypoint) {
  OnlyOnce(entrypoint_);
  WarnOfShellForm(entrypoint.command);
  return {};
}

Result<> StageExpander::On(HealthcheckInstruction& /*healthcheck*/) {
  OnlyOnce(healthcheck_);
  return {};
}

Result<> StageExpander::On(ExposeInstruction& expose) {
  tools::ShellWordOptions options;
  options.escape = context_.escape;
  std::vector<std::string> out;
  for (const std::string& word : expose.ports) {
    TRY_ASSIGN(const tools::ShellWord specs,
               tools::ExpandShellWord(word, environment_.Lookup(), options));
    for (const std::string& spec : specs.words) {
      TRY_ASSIGN(ExposedPorts ports, ReadPorts(spec));
      if (ports.upper_case) {
        Warn(rules::kExposeProtoCasing,
             fmt::format("Defined protocol '{}' in EXPOSE instruction should be lowercase", spec));
      }
      if (ports.has_host) {
        Warn(rules::kExposeInvalidFormat,
             fmt::format("EXPOSE instruction should not define an IP address or host-port mapping, "
                         "found '{}'",
                         spec));
      }
      std::ranges::move(ports.ports, std::back_inserter(out));
      constexpr size_t kAllPorts = 3 * 65536;
      if (out.size() > kAllPorts) return Invalid("EXPOSE names more ports than there are");
    }
  }
  expose.ports = std::move(out);
  return {};
}

Result<> StageExpander::On(MaintainerInstruction& /*maintainer*/) { return {}; }

Result<> StageExpander::On(OnbuildInstruction& /*onbuild*/) { return {}; }

Result<> StageExpander::On(RunInstruction& run) {
  const WordExpander expand = [this](std::string_view word) { return Word(std::string(word)); };
  for (const std::string& text : run.mounts) {
    TRY_ASSIGN(RunMount mount, ParseRunMount(text, expand));
    const bool has_target = mount.type != MountType::kSecret && mount.type != MountType::kSsh;
    const std::string target =
        CleanPath(mount.target.starts_with('/') ? mount.target : working_dir_ + "/" + mount.target);
    if (has_target && target == "/")
      return Invalid("invalid mount target " + tools::GoQuote(target));
    run.expanded_mounts.push_back(std::move(mount));
  }
  return {};
}

Result<> StageExpander::On(ShellInstruction& shell) {
  shell_ = shell.words;
  return {};
}

Result<> StageExpander::On(StopsignalInstruction& stopsignal) {
  TRY(InPlace(stopsignal.signal));
  if (!tools::IsSignal(stopsignal.signal)) return Invalid("invalid signal: " + stopsignal.signal);
  return {};
}

Result<> StageExpander::On(UserInstruction& user) { return InPlace(user.user); }

Result<> StageExpander::On(VolumeInstruction& volume) {
  TRY(InPlace(volume.paths));
  if (std::ranges::find(volume.paths, "") != volume.paths.end())
    return Invalid("VOLUME specified can not be an empty string");
  return {};
}

Result<> StageExpander::On(WorkdirInstruction& workdir) {
  TRY(InPlace(workdir.path));
  const bool absolute = workdir.path.starts_with('/');
  if (!workdir_set_ && !absolute) {
    Warn(rules::kWorkdirRelativePath,
         fmt::format("Relative workdir {} can have unexpected results if the base image changes",
                     tools::GoQuote(workdir.path)));
  }
  workdir_set_ = true;
  working_dir_ = CleanPath(absolute ? workdir.path : working_dir_ + "/" + workdir.path);
  workdir.path = working_dir_;
  return {};
}

}  // namespace veneer::build
