// The parsed form of a template: statements, pipelines, commands and operands, as
// text/template/parse has them.
//
// Plain data, owned top-down; built by ParseTemplate and read by the executor. Text() shows a node
// as an error message does, in Go's own normal form.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/go_value.h"

namespace veneer::tools {

struct Pipeline;

enum class OperandKind {
  kDot,
  kNil,
  kConstant,    // bool, number, string: `constant` is its value, `text` its source
  kField,       // .A.B: `names` are A, B
  kVariable,    // $x.A: `text` is $x, `names` are A
  kIdentifier,  // a function: `text` is its name
  kPipeline,    // ( … )
  kChain,       // (…).A.B: `names` after the parenthesis
};

struct Operand {
  OperandKind kind = OperandKind::kDot;
  size_t pos = 0;
  std::string text;
  std::vector<std::string> names;
  Json constant;
  std::unique_ptr<Pipeline> pipeline;

  std::string Text() const;
};

struct Command {
  std::vector<Operand> operands;  // never empty

  size_t pos() const { return operands.front().pos; }
  std::string Text() const;
};

struct Pipeline {
  size_t pos = 0;
  bool assign = false;                 // = rather than :=
  std::vector<std::string> variables;  // $x, with the dollar
  std::vector<Command> commands;       // never empty

  std::string Text() const;
};

enum class StatementKind { kText, kAction, kIf, kRange, kWith, kBreak, kContinue };

struct Statement {
  StatementKind kind = StatementKind::kText;
  size_t pos = 0;
  std::string text;  // kText
  Pipeline pipeline;
  std::vector<Statement> body;
  std::vector<Statement> otherwise;
};

}  // namespace veneer::tools
