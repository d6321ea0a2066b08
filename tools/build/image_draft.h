// ImageDraft: the image config of a stage as its instructions change it, with its history.
//
// Known before anything runs: only when layers were made, and what they are called, comes in at the
// end. A value: a stage FROM another starts with a copy.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/digest.h"
#include "store/base/result.h"
#include "tools/build/language/instruction.h"
#include "tools/build/language/platform.h"

namespace veneer::build {

class ImageDraft {
 public:
  // An image without layers.
  static ImageDraft Scratch(const Platform& platform);
  // What `config`, an image's raw JSON, says; fields that images of BuildKit's do not have are
  // dropped. EINVAL: it is no image config.
  static Result<ImageDraft> From(std::string_view config);

  // A stage starts: CMD and ENTRYPOINT are those of its base, and its triggers have been used.
  void StartStage();

  // Applies an expanded instruction. `args`: the NAME=value of the ARGs that a RUN sees, which its
  // history tells.
  void Apply(const Instruction& instruction, std::span<const std::string> args);

  // --label
  void SetLabel(const std::string& name, const std::string& value);

  Platform platform() const;  // what it says, whatever that is
  std::string user() const;
  std::string working_dir() const;               // empty: "/"
  std::vector<std::string> environment() const;  // NAME=value, in order
  // The shell of shell forms: SHELL's, or /bin/sh -c.
  std::vector<std::string> shell() const;
  // The words that run: those of an exec form, or the shell and the text.
  std::vector<std::string> WordsOf(const CommandLine& command) const;

  // Layers that instructions so far have made, or are to make; those of the base not counted.
  size_t own_layers() const { return own_layers_; }

  // The image's config. `layers`: all of them, lowest first; `created`: when each of the last
  // own_layers() was made (seconds since the epoch). With `epoch` everything new was made then.
  std::string Finish(std::span<const DiffId> layers, std::span<const int64_t> created,
                     std::optional<int64_t> epoch) const;

 private:
  using Json = nlohmann::ordered_json;
  struct Step {
    Json entry;  // without "created" where it is one of ours
    bool is_layer = false;
    bool is_own = false;
  };

  void Note(std::string created_by, bool makes_layer, bool has_state = true);
  void SetVariable(const std::string& name, const std::string& value);

  void On(const AddInstruction& add);
  void On(const ArgInstruction& arg);
  void On(const CmdInstruction& cmd);
  void On(const CopyInstruction& copy);
  void On(const EntrypointInstruction& entrypoint);
  void On(const EnvInstruction& env);
  void On(const ExposeInstruction& expose);
  void On(const HealthcheckInstruction& healthcheck);
  void On(const LabelInstruction& label);
  void On(const MaintainerInstruction& maintainer);
  void On(const OnbuildInstruction& onbuild);
  void On(const RunInstruction& run);
  void On(const ShellInstruction& shell);
  void On(const StopsignalInstruction& stopsignal);
  void On(const UserInstruction& user);
  void On(const VolumeInstruction& volume);
  void On(const WorkdirInstruction& workdir);

  Json config_ = Json::object();  // the `config` object
  Json outer_ = Json::object();   // architecture, variant, os, os.version, author
  std::string base_created_;
  std::vector<Step> history_;
  size_t own_layers_ = 0;
  bool cmd_set_ = false;                 // by this stage
  std::span<const std::string> args_{};  // while Apply runs
};

}  // namespace veneer::build
