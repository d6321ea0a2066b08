#include "tools/template_ast.h"

namespace veneer::tools {

std::string Operand::Text() const {
  std::string out;
  switch (kind) {
    case OperandKind::kDot:
      return ".";
    case OperandKind::kNil:
      return "nil";
    case OperandKind::kField:
      break;
    case OperandKind::kConstant:
    case OperandKind::kIdentifier:
    case OperandKind::kVariable:
      out = text;
      break;
    case OperandKind::kPipeline:
    case OperandKind::kChain:
      out = "(" + pipeline->Text() + ")";
      break;
  }
  for (const std::string& name : names) out += "." + name;
  return out;
}

std::string Command::Text() const {
  std::string out;
  for (const Operand& operand : operands) {
    if (!out.empty()) out += ' ';
    out += operand.Text();
  }
  return out;
}

std::string Pipeline::Text() const {
  std::string out;
  for (const std::string& variable : variables) out += (out.empty() ? "" : ", ") + variable;
  if (!variables.empty()) out += assign ? " = " : " := ";
  for (size_t i = 0; i < commands.size(); ++i) {
    if (i > 0) out += " | ";
    out += commands[i].Text();
  }
  return out;
}

}  // namespace veneer::tools
