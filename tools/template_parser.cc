#include "tools/template_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "tools/template_functions.h"
#include "tools/template_lexer.h"
#include "tools/template_literal.h"

namespace veneer::tools {
namespace {

// Where a list of statements ended.
enum class ListEnd { kEof, kEnd, kElse };

// Recursive descent over the lexer's tokens, with up to three tokens of look-ahead.
class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Result<std::vector<Statement>> Run() {
    std::vector<Statement> statements;
    TRY_ASSIGN(const ListEnd end, List(statements));
    if (end == ListEnd::kEnd) return Error("unexpected {{end}}");
    if (end == ListEnd::kElse) return Error("unexpected {{else}}");
    return statements;
  }

 private:
  // Counts a level of nesting for as long as it lives.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    bool TooDeep() const { return parser_.depth_ > kMaxTemplateDepth; }

   private:
    Parser& parser_;
  };

  std::unexpected<veneer::Error> Error(std::string message) const {
    return Invalid(fmt::format("template: :{}: {}", line_, message));
  }
  std::unexpected<veneer::Error> Unexpected(const Token& token, std::string_view context) const {
    if (token.kind != TokenKind::kError) {
      return Error(fmt::format("unexpected {} in {}", DescribeToken(token), context));
    }
    std::string extra;
    if (action_line_ != 0 && action_line_ != token.line) {
      const std::string_view started =
          token.text.ends_with(" action") ? " started at" : " in action started at";
      extra = fmt::format("{} :{}", started, action_line_);
    }
    return Error(token.text + extra);
  }

  // --- tokens

  Token Next() {
    if (!pushed_.empty()) {
      Token token = std::move(pushed_.back());
      pushed_.pop_back();
      return token;
    }
    Token token = lexer_.Next();
    line_ = token.line;
    return token;
  }
  void Back(Token token) { pushed_.push_back(std::move(token)); }
  Token NextNonSpace() {
    Token token = Next();
    while (token.kind == TokenKind::kSpace) token = Next();
    return token;
  }
  Token PeekNonSpace() {
    Token token = NextNonSpace();
    Back(token);
    return token;
  }
  Token Peek() {
    Token token = Next();
    Back(token);
    return token;
  }

  // --- statements

  Result<ListEnd> List(std::vector<Statement>& out) {
    const Level level(*this);
    if (level.TooDeep()) return Error("nested too deeply");
    while (true) {
      Token token = Next();
      if (token.kind == TokenKind::kEof) return ListEnd::kEof;
      if (token.kind == TokenKind::kError) return Unexpected(token, "input");
      if (token.kind == TokenKind::kText) {
        Statement text{
            .kind = StatementKind::kText, .pos = token.pos, .text = std::move(token.text)};
        if (!text.text.empty()) out.push_back(std::move(text));
        continue;
      }
      action_line_ = token.line;
      Token word = NextNonSpace();
      if (word.kind == TokenKind::kEnd || word.kind == TokenKind::kElse) {
        const bool end = word.kind == TokenKind::kEnd;
        if (end || !IsChainedElse()) TRY(Close(end ? "end" : "else"));
        action_line_ = 0;
        return end ? ListEnd::kEnd : ListEnd::kElse;
      }
      TRY_ASSIGN(Statement statement, Action(std::move(word)));
      action_line_ = 0;
      out.push_back(std::move(statement));
    }
  }

  // After "else": whether "if" or "with" follows, which stays to be read.
  bool IsChainedElse() {
    const TokenKind kind = PeekNonSpace().kind;
    return kind == TokenKind::kIf || kind == TokenKind::kWith;
  }

  Result<> Close(std::string_view context) {
    const Token token = NextNonSpace();
    if (token.kind != TokenKind::kRightDelim) return Unexpected(token, context);
    return {};
  }

  Result<Statement> Action(Token word) {
    switch (word.kind) {
      case TokenKind::kIf:
        return Control(StatementKind::kIf, word);
      case TokenKind::kRange:
        return Control(StatementKind::kRange, word);
      case TokenKind::kWith:
        return Control(StatementKind::kWith, word);
      case TokenKind::kBreak:
      case TokenKind::kContinue: {
        TRY(Close("{{" + word.text + "}}"));
        if (range_depth_ == 0) return Error("{{" + word.text + "}} outside {{range}}");
        const bool is_break = word.kind == TokenKind::kBreak;
        return Statement{.kind = is_break ? StatementKind::kBreak : StatementKind::kContinue,
                         .pos = word.pos};
      }
      case TokenKind::kDefine:
        return Error("{{" + word.text + "}} is not supported");
      default:
        break;
    }
    Statement action{.kind = StatementKind::kAction, .pos = word.pos};
    Back(std::move(word));
    TRY_ASSIGN(action.pipeline, ParsePipeline("command", TokenKind::kRightDelim));
    return action;
  }

  Result<Statement> Control(StatementKind kind, const Token& word) {
    const Level level(*this);
    if (level.TooDeep()) return Error("nested too deeply");
    Statement statement{.kind = kind, .pos = word.pos};
    const size_t variables = variables_.size();
    TRY_ASSIGN(statement.pipeline, ParsePipeline(word.text, TokenKind::kRightDelim));
    action_line_ = 0;
    if (kind == StatementKind::kRange) ++range_depth_;
    TRY_ASSIGN(ListEnd end, List(statement.body));
    if (kind == StatementKind::kRange) --range_depth_;
    if (end == ListEnd::kElse) {
      const Token next = PeekNonSpace();
      const bool chained = (next.kind == TokenKind::kIf && kind == StatementKind::kIf) ||
                           (next.kind == TokenKind::kWith && kind == StatementKind::kWith);
      if (chained) {
        // {{if a}}x{{else if b}}y{{end}} is {{if a}}x{{else}}{{if b}}y{{end}}{{end}}: one end for
        // both.
        const Token inner = NextNonSpace();
        TRY_ASSIGN(Statement alternative, Control(kind, inner));
        statement.otherwise.push_back(std::move(alternative));
        end = ListEnd::kEnd;
      } else if (next.kind == TokenKind::kIf || next.kind == TokenKind::kWith) {
        return Unexpected(next, "else");
      } else {
        TRY_ASSIGN(end, List(statement.otherwise));
        if (end == ListEnd::kElse) return Error("expected end; found {{else}}");
      }
    }
    if (end == ListEnd::kEof) return Error("unexpected EOF");
    variables_.resize(variables);
    return statement;
  }

  // --- pipelines

  Result<Pipeline> ParsePipeline(std::string_view context, TokenKind end) {
    const Level level(*this);
    if (level.TooDeep()) return Error("nested too deeply");
    Pipeline pipeline{.pos = PeekNonSpace().pos};
    TRY(Declarations(pipeline, context));
    while (true) {
      Token token = NextNonSpace();
      if (token.kind == end) break;
      if (!StartsOperand(token.kind)) return Unexpected(token, context);
      Back(std::move(token));
      TRY_ASSIGN(Command command, ParseCommand());
      pipeline.commands.push_back(std::move(command));
    }
    if (pipeline.commands.empty()) return Error(fmt::format("missing value for {}", context));
    for (size_t i = 1; i < pipeline.commands.size(); ++i) {
      const OperandKind kind = pipeline.commands[i].operands.front().kind;
      if (kind == OperandKind::kConstant || kind == OperandKind::kDot ||
          kind == OperandKind::kNil) {
        return Error(fmt::format("non executable command in pipeline stage {}", i + 1));
      }
    }
    return pipeline;
  }

  // "$x :=", "$x =", "$i, $e :=" before a pipeline; anything else is left to be read.
  Result<> Declarations(Pipeline& pipeline, std::string_view context) {
    while (PeekNonSpace().kind == TokenKind::kVariable) {
      Token variable = NextNonSpace();
      Token after = Next();
      std::optional<Token> space;
      if (after.kind == TokenKind::kSpace) space = std::exchange(after, NextNonSpace());
      if (after.kind == TokenKind::kAssign || after.kind == TokenKind::kDeclare) {
        pipeline.assign = after.kind == TokenKind::kAssign;
        Declare(pipeline, variable);
        return {};
      }
      if (after.kind == TokenKind::kChar && after.text == ",") {
        Declare(pipeline, variable);
        if (context != "range" || pipeline.variables.size() >= 2) {
          return Error(fmt::format("too many declarations in {}", context));
        }
        const TokenKind next = PeekNonSpace().kind;
        if (next != TokenKind::kVariable && next != TokenKind::kRightDelim &&
            next != TokenKind::kRightParen) {
          return Error("range can only initialize variables");
        }
        continue;
      }
      Back(std::move(after));
      if (space) Back(std::move(*space));
      Back(std::move(variable));
      return {};
    }
    return {};
  }

  void Declare(Pipeline& pipeline, const Token& variable) {
    pipeline.variables.push_back(variable.text);
    variables_.push_back(variable.text);
  }

  static bool StartsOperand(TokenKind kind) {
    switch (kind) {
      case TokenKind::kBool:
      case TokenKind::kCharConstant:
      case TokenKind::kDot:
      case TokenKind::kField:
      case TokenKind::kIdentifier:
      case TokenKind::kNumber:
      case TokenKind::kNil:
      case TokenKind::kRawString:
      case TokenKind::kString:
      case TokenKind::kVariable:
      case TokenKind::kLeftParen:
        return true;
      default:
        return false;
    }
  }

  Result<Command> ParseCommand() {
    Command command;
    while (true) {
      PeekNonSpace();
      TRY_ASSIGN(std::optional<Operand> operand, ParseOperand());
      if (operand) command.operands.push_back(std::move(*operand));
      Token token = Next();
      if (token.kind == TokenKind::kSpace) continue;
      if (token.kind == TokenKind::kRightDelim || token.kind == TokenKind::kRightParen) {
        Back(std::move(token));
      } else if (token.kind != TokenKind::kPipe) {
        return Unexpected(token, "operand");
      }
      break;
    }
    if (command.operands.empty()) return Error("empty command");
    return command;
  }

  // A term and the fields hanging on it; nothing when no term starts here.
  Result<std::optional<Operand>> ParseOperand() {
    TRY_ASSIGN(std::optional<Operand> term, ParseTerm());
    if (!term || Peek().kind != TokenKind::kField) return term;
    const size_t chain_pos = Peek().pos;
    while (Peek().kind == TokenKind::kField) term->names.push_back(Next().text.substr(1));
    switch (term->kind) {
      case OperandKind::kField:
      case OperandKind::kVariable:
        break;
      case OperandKind::kPipeline:
        term->kind = OperandKind::kChain;
        break;
      case OperandKind::kIdentifier:
        return Error("fields of the function " + term->text + " need parentheses");
      default:
        term->names.clear();
        return Error("unexpected . after term " + GoQuote(term->Text()));
    }
    term->pos = chain_pos;
    return term;
  }

  Result<std::optional<Operand>> ParseTerm() {
    Token token = NextNonSpace();
    Operand operand{.pos = token.pos, .text = token.text};
    switch (token.kind) {
      case TokenKind::kIdentifier:
        if (!FindTemplateFunction(token.text)) {
          return Error(fmt::format("function {} not defined", GoQuote(token.text)));
        }
        operand.kind = OperandKind::kIdentifier;
        return operand;
      case TokenKind::kDot:
        operand.kind = OperandKind::kDot;
        return operand;
      case TokenKind::kNil:
        operand.kind = OperandKind::kNil;
        return operand;
      case TokenKind::kVariable:
        if (token.text != "$" && std::ranges::find(variables_, token.text) == variables_.end()) {
          return Error("undefined variable " + GoQuote(token.text));
        }
        operand.kind = OperandKind::kVariable;
        return operand;
      case TokenKind::kField:
        operand.kind = OperandKind::kField;
        operand.names.push_back(token.text.substr(1));
        return operand;
      case TokenKind::kBool:
      case TokenKind::kNumber:
      case TokenKind::kCharConstant:
      case TokenKind::kString:
      case TokenKind::kRawString: {
        Result<Json> constant = ParseLiteral(token);
        if (!constant) return Error(constant.error().Message());
        operand.kind = OperandKind::kConstant;
        operand.constant = std::move(*constant);
        return operand;
      }
      case TokenKind::kLeftParen: {
        TRY_ASSIGN(Pipeline inner, ParsePipeline("parenthesized pipeline", TokenKind::kRightParen));
        operand.kind = OperandKind::kPipeline;
        operand.text.clear();
        operand.pipeline = std::make_unique<Pipeline>(std::move(inner));
        return operand;
      }
      default:
        Back(std::move(token));
        return std::optional<Operand>();
    }
  }

  TemplateLexer lexer_;
  std::vector<Token> pushed_;
  std::vector<std::string> variables_;  // in scope
  int line_ = 1;                        // of the furthest token read
  int action_line_ = 0;                 // where the action being read started; 0 outside one
  int depth_ = 0;
  int range_depth_ = 0;
};

}  // namespace

Result<std::vector<Statement>> ParseTemplate(std::string_view text) { return Parser(text).Run(); }

}  // namespace veneer::tools
