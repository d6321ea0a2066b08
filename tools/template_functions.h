// The functions a template can call: those of Go's text/template and those Docker adds to them.
//
// The executor evaluates and checks arguments as the table says, then calls. `and` and `or` are in
// the table for their arity; the executor evaluates them itself, for they stop at the first
// argument that decides.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "store/base/result.h"
#include "tools/go_value.h"

namespace veneer::tools {

// A value in a running template: null where Go has no value at all (it prints <no value>); a JSON
// null is Go's nil. Values inside the data are borrowed from it, so they must not outlive it.
using TemplateValue = std::shared_ptr<const Json>;

inline TemplateValue MakeValue(Json json) { return std::make_shared<const Json>(std::move(json)); }

// Whether if, with, and, or and not take it as true: not false, 0, "", empty, nil, or absent.
bool IsTrue(const TemplateValue& value);

enum class ParamKind { kAny, kString, kInt, kStrings };

// Go's name of the parameter's type, for error messages.
std::string_view ParamTypeName(ParamKind kind);

using TemplateArgs = std::span<const TemplateValue>;

struct TemplateFunction {
  std::string_view name;
  std::vector<ParamKind> fixed;
  std::optional<ParamKind> variadic;
  bool formats =
      false;  // one of Docker's own; above a table's column it gives back its first argument
  Result<TemplateValue> (*call)(TemplateArgs) = nullptr;
};

// Null for an unknown name.
const TemplateFunction* FindTemplateFunction(std::string_view name);

// True where the value can stand for the parameter.
bool FitsParam(const TemplateValue& value, ParamKind kind);

namespace template_functions {
// Comparisons (template_compare.cc); errors are Go's.
Result<TemplateValue> Eq(TemplateArgs args);
Result<TemplateValue> Ne(TemplateArgs args);
Result<TemplateValue> Lt(TemplateArgs args);
Result<TemplateValue> Le(TemplateArgs args);
Result<TemplateValue> Gt(TemplateArgs args);
Result<TemplateValue> Ge(TemplateArgs args);
}  // namespace template_functions

}  // namespace veneer::tools
