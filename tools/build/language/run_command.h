// What a RUN runs: its words, with the shell, and the script that a heredoc may be.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/build/language/instruction.h"

namespace veneer::build {

// Where a heredoc that begins with #! stands while it runs.
inline constexpr const char* kScriptFolder = "/dev/pipes";

struct RunCommand {
  std::vector<std::string> words;
  struct Script {
    std::string name;  // in kScriptFolder, mode 0755
    std::string content;
  };
  std::optional<Script> script;
  std::string summary;  // of a heredoc, for people: its first line
};

// The words of an exec form, or the shell's with the text.
std::vector<std::string> WordsOf(const CommandLine& command, std::span<const std::string> shell);

// A RUN that is one heredoc runs its content; in other commands the shell reads the heredocs.
RunCommand CommandOf(const RunInstruction& run, std::span<const std::string> shell);

}  // namespace veneer::build
