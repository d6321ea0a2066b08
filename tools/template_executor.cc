#include "tools/template_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <utility>

namespace veneer::tools {
namespace {

// What a statement says about the loop around it.
enum class Flow { kNext, kBreak, kContinue };

class Executor {
 public:
  Executor(std::string_view source, const Json& data, const Json& zeros, bool header,
           std::string& out)
      : source_(source), root_(TemplateValue(), &data), header_(header), out_(out) {
    NoteStructs(data, zeros);
    variables_.emplace_back("$", root_);
  }

  Result<> Run(const std::vector<Statement>& statements) {
    TRY(Walk(root_, statements));
    return {};
  }

 private:
  std::unexpected<Error> Fail(size_t pos, const std::string& text,
                              const std::string& message) const {
    const std::string_view before = source_.substr(0, pos);
    const size_t newline = before.rfind('\n');
    const size_t column = newline == std::string_view::npos ? pos : pos - newline - 1;
    const auto line = 1 + std::ranges::count(before, '\n');
    return Invalid(
        fmt::format("template: :{}:{}: executing \"\" at <{}>: {}", line, column, text, message));
  }
  std::unexpected<Error> Fail(const Operand& at, const std::string& message) const {
    return Fail(at.pos, at.Text(), message);
  }

  // --- statements

  Result<Flow> Walk(const TemplateValue& dot, const std::vector<Statement>& statements) {
    const size_t variables = variables_.size();
    for (const Statement& statement : statements) {
      TRY_ASSIGN(const Flow flow, Step(dot, statement));
      if (flow != Flow::kNext) {
        variables_.resize(variables);
        return flow;
      }
    }
    variables_.resize(variables);
    return Flow::kNext;
  }

  Result<Flow> Step(const TemplateValue& dot, const Statement& statement) {
    switch (statement.kind) {
      case StatementKind::kText:
        out_ += statement.text;
        return Flow::kNext;
      case StatementKind::kBreak:
        return Flow::kBreak;
      case StatementKind::kContinue:
        return Flow::kContinue;
      case StatementKind::kRange:
        return Range(dot, statement);
      case StatementKind::kAction: {
        TRY_ASSIGN(const TemplateValue value, Evaluate(dot, statement.pipeline));
        if (statement.pipeline.variables.empty())
          out_ += value ? FormatValue(*value) : "<no value>";
        return Flow::kNext;
      }
      case StatementKind::kIf:
      case StatementKind::kWith:
        break;
    }
    const size_t variables = variables_.size();
    TRY_ASSIGN(const TemplateValue value, Evaluate(dot, statement.pipeline));
    const bool with = statement.kind == StatementKind::kWith;
    Result<Flow> flow =
        IsTrue(value) ? Walk(with ? value : dot, statement.body) : Walk(dot, statement.otherwise);
    variables_.resize(variables);
    return flow;
  }

  Result<Flow> Range(const TemplateValue& dot, const Statement& statement) {
    const size_t variables = variables_.size();
    TRY_ASSIGN(const TemplateValue over, Evaluate(dot, statement.pipeline));
    Result<Flow> flow = Iterate(dot, statement, over);
    variables_.resize(variables);
    return flow;
  }

  Result<Flow> Iterate(const TemplateValue& dot, const Statement& statement,
                       const TemplateValue& over) {
    bool any = false;
    // Runs the body once; false ends the loop.
    const auto once = [&](TemplateValue key, const TemplateValue& element) -> Result<bool> {
      any = true;
      TRY(SetLoopVariables(statement.pipeline, std::move(key), element));
      TRY_ASSIGN(const Flow flow, Walk(element, statement.body));
      return flow != Flow::kBreak;
    };
    if (!over || over->is_null()) {
      // nothing to range over
    } else if (over->is_array()) {
      for (size_t i = 0; i < over->size(); ++i) {
        TRY_ASSIGN(const bool more, once(MakeValue(i), TemplateValue(over, &(*over)[i])));
        if (!more) break;
      }
    } else if (over->is_object()) {
      for (const auto& [key, member] : SortedMembers(*over)) {
        TRY_ASSIGN(const bool more, once(MakeValue(*key), TemplateValue(over, member)));
        if (!more) break;
      }
    } else if (over->is_number_integer()) {
      const auto count = over->get<int64_t>();
      for (int64_t i = 0; i < count; ++i) {
        TRY_ASSIGN(const bool more, once(MakeValue(i), MakeValue(i)));
        if (!more) break;
      }
    } else {
      const Pipeline& pipeline = statement.pipeline;
      return Fail(pipeline.commands.back().operands.front().pos, pipeline.commands.back().Text(),
                  "range can't iterate over " + FormatValue(*over));
    }
    if (any) return Flow::kNext;
    return Walk(dot, statement.otherwise);
  }

  Result<> SetLoopVariables(const Pipeline& pipeline, TemplateValue key,
                            const TemplateValue& element) {
    const std::vector<std::string>& names = pipeline.variables;
    if (names.empty()) return {};
    if (names.size() > 1) TRY(Assign(pipeline, names[0], std::move(key)));
    return Assign(pipeline, names.back(), element);
  }

  Result<> Assign(const Pipeline& pipeline, const std::string& name, TemplateValue value) {
    for (auto& [variable, current] : std::views::reverse(variables_)) {
      if (variable != name) continue;
      current = std::move(value);
      return {};
    }
    return Fail(pipeline.commands.back().operands.back(), "undefined variable: " + name);
  }

  // --- pipelines, commands, operands

  Result<TemplateValue> Evaluate(const TemplateValue& dot, const Pipeline& pipeline) {
    TemplateValue value;
    bool first = true;
    for (const Command& command : pipeline.commands) {
      TRY_ASSIGN(value, EvaluateCommand(dot, command, first ? nullptr : &value));
      first = false;
    }
    for (const std::string& name : pipeline.variables) {
      if (pipeline.assign) {
        TRY(Assign(pipeline, name, value));
      } else {
        variables_.emplace_back(name, value);
      }
    }
    return value;
  }

  // `piped` is the value of the command before, or null for the first.
  Result<TemplateValue> EvaluateCommand(const TemplateValue& dot, const Command& command,
                                        const TemplateValue* piped) {
    const Operand& first = command.operands.front();
    const std::span<const Operand> args = std::span(command.operands).subspan(1);
    switch (first.kind) {
      case OperandKind::kIdentifier:
        return Call(dot, first, command.Text(), args, piped);
      case OperandKind::kField:
      case OperandKind::kVariable:
      case OperandKind::kChain:
        if (!args.empty() || piped) return CallField(dot, first, args, piped);
        return EvaluateOperand(dot, first);
      case OperandKind::kNil:
        return Fail(first, "nil is not a command");
      default:
        if (!args.empty() || piped) {
          return Fail(first, "can't give argument to non-function " + first.Text());
        }
        return EvaluateOperand(dot, first);
    }
  }

  Result<TemplateValue> EvaluateOperand(const TemplateValue& dot, const Operand& operand) {
    switch (operand.kind) {
      case OperandKind::kDot:
        return dot;
      case OperandKind::kNil:
        return MakeValue(nullptr);
      // Lives in the parsed template, which outlives this run.
      case OperandKind::kConstant:
        return TemplateValue(TemplateValue(), &operand.constant);
      case OperandKind::kField:
        return Fields(dot, operand);
      case OperandKind::kVariable:
        return Fields(Variable(operand.text), operand);
      case OperandKind::kIdentifier:
        return Call(dot, operand, operand.Text(), {}, nullptr);
      case OperandKind::kPipeline:
      case OperandKind::kChain:
        break;
    }
    const size_t variables = variables_.size();
    TRY_ASSIGN(TemplateValue value, Evaluate(dot, *operand.pipeline));
    variables_.resize(variables);
    return Fields(std::move(value), operand);
  }

  // The objects of the data that are structs, with their zero values.
  void NoteStructs(const Json& data, const Json& zeros) {
    if (!data.is_object() || !zeros.is_object() || zeros.empty()) return;
    structs_.emplace(&data, &zeros);
    for (const auto& [name, zero] : zeros.items()) {
      if (zero.empty() && (zero.is_array() || zero.is_object())) nil_.insert(&zero);
      if (const auto member = data.find(name); member != data.end()) NoteStructs(*member, zero);
    }
  }

  TemplateValue Variable(std::string_view name) const {
    for (const auto& [variable, value] : std::views::reverse(variables_)) {
      if (variable == name) return value;
    }
    return nullptr;  // the parser has refused undefined ones
  }

  Result<TemplateValue> Fields(TemplateValue value, const Operand& operand) {
    for (const std::string& name : operand.names) {
      if (!value || value->is_null()) return TemplateValue();
      if (!value->is_object()) {
        return Fail(operand,
                    fmt::format("can't evaluate field {} in type {}", name, GoTypeName(*value)));
      }
      const auto member = value->find(name);
      const bool left_out = member == value->end();
      const auto as_struct = structs_.find(value.get());
      if ((left_out || member->is_null()) && as_struct != structs_.end()) {
        const auto zero = as_struct->second->find(name);
        if (zero != as_struct->second->end()) {
          value = TemplateValue(TemplateValue(), &*zero);
          continue;
        }
      }
      if (left_out) {
        const bool unknown = value == root_ || as_struct != structs_.end();
        if (unknown && !header_) return Fail(operand, "can't evaluate field " + name);
        return TemplateValue();
      }
      value = TemplateValue(value, &*member);
    }
    return value;
  }

  // `.Label "name"`
  Result<TemplateValue> CallField(const TemplateValue& dot, const Operand& operand,
                                  std::span<const Operand> args, const TemplateValue* piped) {
    TRY_ASSIGN(TemplateValue map, EvaluateOperand(dot, operand));
    if (header_) return map;
    if (!map || !map->is_object() || operand.names.empty() || args.size() + (piped ? 1 : 0) != 1) {
      const std::string& name = operand.names.empty() ? operand.text : operand.names.back();
      return Fail(operand, name + " is not a method but has arguments");
    }
    TemplateValue key;
    if (piped) {
      key = *piped;
    } else {
      TRY_ASSIGN(key, Argument(dot, args.front(), ParamKind::kString));
    }
    if (!FitsParam(key, ParamKind::kString))
      return Fail(operand, "wrong type for value; expected string");
    const auto member = map->find(key->get_ref<const std::string&>());
    if (member == map->end()) return MakeValue("");
    return TemplateValue(map, &*member);
  }

  // --- functions

  Result<TemplateValue> Call(const TemplateValue& dot, const Operand& name, const std::string& text,
                             std::span<const Operand> args, const TemplateValue* piped) {
    const TemplateFunction& function = *FindTemplateFunction(name.text);
    const size_t count = args.size() + (piped ? 1 : 0);
    const size_t fixed = function.fixed.size();
    if (function.variadic ? count < fixed : count != fixed) {
      return Fail(name, fmt::format("wrong number of args for {}: want {}{} got {}", name.text,
                                    function.variadic ? "at least " : "", fixed, count));
    }
    if (!function.call) return Decide(dot, name.text == "or", args, piped);
    const bool heading = header_ && function.formats;
    const auto kind = [&](size_t i) {
      if (heading) return ParamKind::kAny;
      return i < fixed ? function.fixed[i] : *function.variadic;
    };
    std::vector<TemplateValue> values;
    for (size_t i = 0; i < args.size(); ++i) {
      TRY_ASSIGN(TemplateValue value, Argument(dot, args[i], kind(i)));
      values.push_back(std::move(value));
    }
    if (piped) {
      if (!FitsParam(*piped, kind(count - 1))) {
        return Fail(name.pos, text, WrongType(*piped, kind(count - 1)));
      }
      values.push_back(*piped);
    }
    if (heading) return values.front();
    if (name.text == "json" && nil_.contains(values.front().get()))
      values.front() = MakeValue(nullptr);
    Result<TemplateValue> result = function.call(values);
    if (!result) {
      return Fail(name.pos, text,
                  fmt::format("error calling {}: {}", name.text, result.error().Message()));
    }
    return result;
  }

  // and, or: the first argument that decides, else the last.
  Result<TemplateValue> Decide(const TemplateValue& dot, bool stop_at,
                               std::span<const Operand> args, const TemplateValue* piped) {
    TemplateValue value;
    for (const Operand& arg : args) {
      TRY_ASSIGN(value, Argument(dot, arg, ParamKind::kAny));
      if (IsTrue(value) == stop_at) return value;
    }
    return piped ? *piped : value;
  }

  static std::string WrongType(const TemplateValue& value, ParamKind kind) {
    if (!value || value->is_null())
      return fmt::format("invalid value; expected {}", ParamTypeName(kind));
    return fmt::format("wrong type for value; expected {}; got {}", ParamTypeName(kind),
                       GoTypeName(*value));
  }

  Result<TemplateValue> Argument(const TemplateValue& dot, const Operand& operand, ParamKind kind) {
    TRY_ASSIGN(TemplateValue value, EvaluateOperand(dot, operand));
    if (FitsParam(value, kind)) return value;
    if (operand.kind == OperandKind::kNil) {
      return Fail(operand, fmt::format("cannot assign nil to {}", ParamTypeName(kind)));
    }
    if (operand.kind != OperandKind::kConstant) return Fail(operand, WrongType(value, kind));
    if (kind == ParamKind::kStrings) {
      return Fail(operand, fmt::format("can't handle {} for arg of type []string", operand.Text()));
    }
    const std::string_view expected = kind == ParamKind::kInt ? "integer" : "string";
    return Fail(operand, fmt::format("expected {}; found {}", expected, operand.Text()));
  }

  std::string_view source_;
  TemplateValue root_;
  std::map<const Json*, const Json*> structs_;
  std::set<const Json*> nil_;  // zero values that are lists and maps
  bool header_;
  std::string& out_;
  std::vector<std::pair<std::string, TemplateValue>> variables_;
};

}  // namespace

Result<> ExecuteTemplate(std::string_view source, const std::vector<Statement>& statements,
                         const Json& data, const Json& zeros, bool header, std::string& out) {
  return Executor(source, data, zeros, header, out).Run(statements);
}

}  // namespace veneer::tools
