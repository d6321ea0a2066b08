// The instructions of a Dockerfile, typed: what each says, before any variable is expanded.
//
// Plain values. An instruction is its source (name, lines, comments) and one body; a file is its
// global ARGs and its stages.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tools/build/language/ast.h"
#include "tools/build/language/error.h"
#include "tools/build/language/run_mount.h"

namespace veneer::build {

class Linter;

struct NameValue {
  std::string name;
  std::string value;
  bool legacy = false;  // "ENV name value", without an equals sign
};

// A command of RUN, CMD, ENTRYPOINT: words, or one text for the shell.
struct CommandLine {
  std::vector<std::string> words;
  bool shell = true;  // one word (or none), to be run by the stage's shell
};

struct HeredocSource {
  std::string path;
  std::string content;  // chomped where asked
  bool expand = true;
};

struct AddInstruction {
  std::vector<std::string> sources;
  std::vector<HeredocSource> heredocs;
  std::string destination;
  std::string chown;
  std::string chmod;
  std::vector<std::string> exclude;
  bool link = false;
  std::string checksum;
  std::optional<bool> keep_git_dir;
  std::optional<bool> unpack;
};
struct CopyInstruction {
  std::vector<std::string> sources;
  std::vector<HeredocSource> heredocs;
  std::string destination;
  std::string from;
  std::string chown;
  std::string chmod;
  std::vector<std::string> exclude;
  bool link = false;
  bool parents = false;
};
struct ArgInstruction {
  struct Arg {
    std::string name;
    std::optional<std::string> value;
    std::string description;  // of the comment "# name description" before it
  };
  std::vector<Arg> args;
};
struct CmdInstruction {
  CommandLine command;
};
struct EntrypointInstruction {
  CommandLine command;
};
struct EnvInstruction {
  std::vector<NameValue> variables;
};
struct ExposeInstruction {
  std::vector<std::string> ports;  // sorted
};
struct HealthcheckInstruction {
  std::vector<std::string> test;         // NONE; CMD and words; CMD-SHELL and a text
  std::chrono::nanoseconds interval{0};  // 0: the default, here and below
  std::chrono::nanoseconds timeout{0};
  std::chrono::nanoseconds start_period{0};
  std::chrono::nanoseconds start_interval{0};
  int retries = 0;
};
struct LabelInstruction {
  std::vector<NameValue> labels;
};
struct MaintainerInstruction {
  std::string maintainer;
};
struct OnbuildInstruction {
  std::string expression;  // with its heredocs
};
struct RunInstruction {
  CommandLine command;
  std::vector<Heredoc> heredocs;
  std::vector<std::string> mounts;         // values of --mount, for ParseRunMount
  std::vector<std::string> mount_sources;  // `from` of each; empty: none
  std::vector<RunMount> expanded_mounts;   // filled in when variables are expanded
  std::vector<std::string> devices;
  std::string network = "default";   // or none, host
  std::string security = "sandbox";  // or insecure
};
struct ShellInstruction {
  std::vector<std::string> words;
};
struct StopsignalInstruction {
  std::string signal;
};
struct UserInstruction {
  std::string user;
};
struct VolumeInstruction {
  std::vector<std::string> paths;
};
struct WorkdirInstruction {
  std::string path;
};

using InstructionBody =
    std::variant<AddInstruction, ArgInstruction, CmdInstruction, CopyInstruction,
                 EntrypointInstruction, EnvInstruction, ExposeInstruction, HealthcheckInstruction,
                 LabelInstruction, MaintainerInstruction, OnbuildInstruction, RunInstruction,
                 ShellInstruction, StopsignalInstruction, UserInstruction, VolumeInstruction,
                 WorkdirInstruction>;

struct Instruction {
  std::string name;  // as it stands: "Run"
  std::string code;  // on one line, without heredocs
  Lines lines;
  std::vector<std::string> comments;
  InstructionBody body;
};

struct Stage {
  std::string name;  // lower case; empty if it has none
  std::string base;  // not expanded
  std::string platform;
  std::string keyword;  // FROM as it stands
  std::string code;
  std::string description;  // of the comment "# name description" before it
  Lines lines;
  std::vector<std::string> comments;
  std::vector<Instruction> instructions;
};

struct Dockerfile {
  std::vector<Instruction> global_args;  // ARGs before the first FROM
  std::vector<Stage> stages;             // at least one
};

// All instructions of a parsed file. `linter` (may be null) hears of what is better avoided.
// Errors are BuildKit's: "dockerfile parse error on line 3: unknown instruction: FRO (did you mean
// FROM?)", "no build stage in current context", "dockerfile contains no stages to build".
Located<Dockerfile> ReadInstructions(const Node& root, Linter* linter);

// One instruction that is not FROM: what an ONBUILD trigger holds.
Located<Instruction> ReadInstruction(const Node& node, Linter* linter);

}  // namespace veneer::build
