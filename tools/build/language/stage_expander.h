// Expands the variables of a stage's instructions, one after the other, as each would see them.
//
// ARG, ENV, SHELL, WORKDIR and USER change what later instructions see; a stage FROM another goes
// on where that ended. A value: copy the expander of a base to start the stage on top.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tools/build/language/error.h"
#include "tools/build/language/ignore_file.h"
#include "tools/build/language/linter.h"
#include "tools/build/language/stage_graph.h"
#include "tools/build/language/variables.h"

namespace veneer::build {

// What all stages of a build share. All of it outlives the expanders.
struct ExpansionContext {
  char escape = '\\';
  const BuildOptions* options = nullptr;
  const Variables* global_args = nullptr;
  const IgnoreMatcher* ignore = nullptr;
  Linter* linter = nullptr;
};

class StageExpander {
 public:
  // A stage from scratch, or from an image whose config is known or not.
  StageExpander(const ExpansionContext& context, const BaseImage* image);

  // To be called once where a stage starts on top of this one.
  void StartStage();

  // Expands the step's instruction in place, and checks what only then can be. Errors are
  // BuildKit's, at the instruction's lines: "failed to process …", "invalid signal: x", … and an
  // environment of more than 1 MiB.
  Located<> Expand(StageStep& step);

  const Variables& environment() const { return environment_; }
  const std::string& working_dir() const { return working_dir_; }
  const std::vector<std::string>& shell() const { return shell_; }  // empty: the default

 private:
  Result<> Apply(StageStep& step);
  Result<std::string> Word(const std::string& word);
  Result<> InPlace(std::string& word);
  Result<> InPlace(std::vector<std::string>& words);
  Result<> Heredocs(std::vector<HeredocSource>& heredocs);
  void WarnOfUndefined(const std::vector<std::string>& unmatched);
  void Warn(const LintRule& rule, std::string message);
  void WarnOfSecret(const char* keyword, const std::string& name);
  void WarnOfIgnored(const char* verb, const std::vector<std::string>& sources);
  void WarnOfShellForm(const CommandLine& command);
  void OnlyOnce(std::optional<Lines>& before);

  Result<> On(AddInstruction& add);
  Result<> On(ArgInstruction& arg);
  Result<> On(CmdInstruction& cmd);
  Result<> On(CopyInstruction& copy);
  Result<> On(EntrypointInstruction& entrypoint);
  Result<> On(EnvInstruction& env);
  Result<> On(ExposeInstruction& expose);
  Result<> On(HealthcheckInstruction& healthcheck);
  Result<> On(LabelInstruction& label);
  Result<> On(MaintainerInstruction& maintainer);
  Result<> On(OnbuildInstruction& onbuild);
  Result<> On(RunInstruction& run);
  Result<> On(ShellInstruction& shell);
  Result<> On(StopsignalInstruction& stopsignal);
  Result<> On(UserInstruction& user);
  Result<> On(VolumeInstruction& volume);
  Result<> On(WorkdirInstruction& workdir);

  ExpansionContext context_;
  Variables environment_;
  std::set<std::string, std::less<>> declared_;  // ARGs, with or without a value
  std::string working_dir_ = "/";
  std::vector<std::string> shell_;
  bool workdir_set_ = false;
  std::optional<Lines> cmd_;
  std::optional<Lines> entrypoint_;
  std::optional<Lines> healthcheck_;
  const Instruction* current_ = nullptr;  // while Expand runs
};

}  // namespace veneer::build
