#include "tools/build/language/run_command.h"

#include <algorithm>

#include "tools/build/language/heredoc.h"

namespace veneer::build {
namespace {

// The first line that says something, shortened.
std::string Summary(const std::string& content) {
  constexpr size_t kLongest = 20;
  const size_t start = content.find_first_not_of(" \t\n");
  if (start == std::string::npos) return "";
  std::string line = content.substr(start, content.find('\n', start) - start);
  const bool more = start + line.size() + 1 < content.size() || line.size() > kLongest;
  if (line.size() > kLongest) line.resize(kLongest);
  return more ? line + "..." : line;
}

}  // namespace

std::vector<std::string> WordsOf(const CommandLine& command, std::span<const std::string> shell) {
  if (!command.shell) return command.words;
  std::vector<std::string> words(shell.begin(), shell.end());
  std::string text;
  for (const std::string& word : command.words) text += (text.empty() ? "" : " ") + word;
  words.push_back(std::move(text));
  return words;
}

RunCommand CommandOf(const RunInstruction& run, std::span<const std::string> shell) {
  RunCommand out;
  if (run.heredocs.empty() || run.command.words.empty()) {
    out.words = WordsOf(run.command, shell);
    return out;
  }
  CommandLine command = run.command;
  std::string& text = command.words.front();
  if (HeredocOf(text)) {
    const Heredoc& heredoc = run.heredocs.front();
    std::string content = heredoc.chomp ? Chomp(heredoc.content) : heredoc.content;
    out.summary = Summary(content);
    if (content.starts_with("#!")) {
      text = std::string(kScriptFolder) + "/" + heredoc.name;
      out.script = {heredoc.name, std::move(content)};
    } else {
      text = std::move(content);
    }
  } else {
    for (const Heredoc& heredoc : run.heredocs) text += "\n" + heredoc.content + heredoc.name;
  }
  out.words = WordsOf(command, shell);
  return out;
}

}  // namespace veneer::build
