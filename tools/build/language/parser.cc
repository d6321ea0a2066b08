#include "tools/build/language/parser.h"

#include <string>
#include <utility>

#include "tools/build/language/argument_parser.h"
#include "tools/build/language/directive.h"
#include "tools/build/language/text.h"

namespace veneer::build {
namespace {

constexpr size_t kMaxLine = 65535;  // without its newline

// Lines with their newlines. One that is too long ends them.
class LineScanner {
 public:
  explicit LineScanner(std::string_view text) : rest_(text) {}

  bool Next() {
    if (rest_.empty() || too_long_) return false;
    const size_t end = rest_.find('\n');
    const size_t size = end == std::string_view::npos ? rest_.size() : end + 1;
    too_long_ = (end == std::string_view::npos ? size : end) > kMaxLine;
    if (too_long_) return false;
    line_ = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view line() const { return line_; }
  bool too_long() const { return too_long_; }

 private:
  std::string_view rest_;
  std::string_view line_;
  bool too_long_ = false;
};

std::string_view TrimNewline(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool IsComment(std::string_view line) { return TrimLeftSpace(line).starts_with('#'); }

class Parser {
 public:
  explicit Parser(std::string_view text) : scanner_(text) {}

  Located<ParsedDockerfile> Run() {
    while (scanner_.Next()) TRY(ReadLine());
    if (out_.root.children.empty())
      return At({line_number_, line_number_}, "file with no instructions");
    if (scanner_.too_long()) {
      return At({line_number_, line_number_},
                "dockerfile line greater than max allowed size of " + std::to_string(kMaxLine));
    }
    out_.root.lines = {out_.root.children.front().lines.first,
                       out_.root.children.back().lines.last};
    return std::move(out_);
  }

 private:
  // A line that an instruction may start at.
  Located<> ReadLine() {
    std::string_view line = scanner_.line();
    if (line_number_ == 0 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (IsComment(line)) {
      // BuildKit counts the white space before # as part of the text, and the # then, too.
      const std::string_view comment = TrimSpace(line.substr(1));
      if (comment.empty()) {
        comments_.clear();
      } else {
        comments_.emplace_back(comment);
      }
    }
    line = TrimLeftSpace(TrimNewline(line));
    Result<bool> directive = TakeDirective(line);
    if (!directive) return At({line_number_, line_number_}, directive.error().Message());
    if (*directive && !comments_.empty()) comments_.pop_back();
    if (IsComment(line)) line = {};
    ++line_number_;
    const int first = line_number_;
    const bool continued = TakeContinuation(line);
    if (!continued && line.empty()) return {};
    std::string joined(line);
    if (continued) Continue(joined);
    return AddInstruction(joined, first);
  }

  Result<bool> TakeDirective(std::string_view line) {
    TRY_ASSIGN(const std::optional<Directive> directive, directives_.Read(line));
    if (directive && directive->name == "escape") {
      if (directive->value != "`" && directive->value != "\\") {
        return Invalid("invalid escape token '" + directive->value + "' does not match ` or \\");
      }
      out_.escape = directive->value.front();
    }
    return directive.has_value();
  }

  // Takes the escape character that continues a line off its end. Two of them continue nothing.
  bool TakeContinuation(std::string_view& line) const {
    std::string_view rest = line;
    while (rest.ends_with(' ') || rest.ends_with('\t')) rest.remove_suffix(1);
    if (!rest.ends_with(out_.escape)) return false;
    rest.remove_suffix(1);
    if (rest.ends_with(out_.escape)) return false;
    line = rest;
    return true;
  }

  // Joins the lines that follow; comments and empty lines among them do not end it.
  void Continue(std::string& joined) {
    bool empty_lines = false;
    while (scanner_.Next()) {
      ++line_number_;
      std::string_view line = TrimNewline(scanner_.line());
      if (IsComment(line)) continue;
      if (TrimLeftSpace(line).empty()) {
        empty_lines = true;
        continue;
      }
      const bool continued = TakeContinuation(line);
      joined += line;
      if (!continued) break;
    }
    if (empty_lines) out_.empty_continuations.push_back(line_number_);
  }

  Located<> AddInstruction(const std::string& line, int first) {
    TRY_ASSIGN(Node node, At({first, line_number_}, ParseInstructionLine(line, out_.escape)));
    if (CanContainHeredoc(node) && line.contains("<<")) {
      TRY_ASSIGN(node.heredocs, At({first, line_number_}, HeredocsOf(line)));
      for (Heredoc& heredoc : node.heredocs) {
        if (!ReadHeredoc(heredoc)) return At({first, line_number_}, "unterminated heredoc");
      }
    }
    node.lines = {first, line_number_};
    node.comments = std::exchange(comments_, {});
    out_.root.children.push_back(std::move(node));
    return {};
  }

  bool ReadHeredoc(Heredoc& heredoc) {
    while (scanner_.Next()) {
      ++line_number_;
      std::string_view line = TrimNewline(scanner_.line());
      if (heredoc.chomp) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line == heredoc.name) return true;
      heredoc.content += scanner_.line();
    }
    return false;
  }

  LineScanner scanner_;
  DirectiveReader directives_;
  ParsedDockerfile out_;
  std::vector<std::string> comments_;
  int line_number_ = 0;
};

}  // namespace

Located<ParsedDockerfile> ParseDockerfile(std::string_view text) { return Parser(text).Run(); }

}  // namespace veneer::build
