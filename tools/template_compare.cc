// eq, ne, lt, le, gt, ge: Go compares values of one basic kind, and refuses the rest.
#include <fmt/format.h>

#include "tools/template_functions.h"

namespace veneer::tools::template_functions {
namespace {

enum class Kind { kNone, kBool, kInt, kFloat, kString };

Kind KindOf(const TemplateValue& value) {
  if (!value) return Kind::kNone;
  switch (value->type()) {
    case Json::value_t::boolean:
      return Kind::kBool;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return Kind::kInt;
    case Json::value_t::number_float:
      return Kind::kFloat;
    case Json::value_t::string:
      return Kind::kString;
    default:
      return Kind::kNone;
  }
}

bool IsNil(const TemplateValue& value) { return !value || value->is_null(); }

Result<bool> Equal(const TemplateValue& a, const TemplateValue& b) {
  if (IsNil(a) || IsNil(b)) return IsNil(a) == IsNil(b);
  if (KindOf(a) != KindOf(b)) return Invalid("incompatible types for comparison");
  if (KindOf(a) == Kind::kNone) {
    return Invalid(fmt::format("non-comparable type {}: {}", FormatValue(*b), GoTypeName(*b)));
  }
  return *a == *b;
}

Result<bool> Less(const TemplateValue& a, const TemplateValue& b) {
  if (KindOf(a) == Kind::kNone || KindOf(b) == Kind::kNone)
    return Invalid("invalid type for comparison");
  if (KindOf(a) != KindOf(b)) return Invalid("incompatible types for comparison");
  if (KindOf(a) == Kind::kBool) return Invalid("invalid type for comparison");
  return *a < *b;
}

}  // namespace

Result<TemplateValue> Eq(TemplateArgs args) {
  if (args.size() < 2) return Invalid("missing argument for comparison");
  for (const TemplateValue& other : args.subspan(1)) {
    TRY_ASSIGN(const bool equal, Equal(args[0], other));
    if (equal) return MakeValue(true);
  }
  return MakeValue(false);
}

Result<TemplateValue> Ne(TemplateArgs args) {
  TRY_ASSIGN(const bool equal, Equal(args[0], args[1]));
  return MakeValue(!equal);
}

Result<TemplateValue> Lt(TemplateArgs args) {
  TRY_ASSIGN(const bool less, Less(args[0], args[1]));
  return MakeValue(less);
}

Result<TemplateValue> Le(TemplateArgs args) {
  TRY_ASSIGN(const bool less, Less(args[0], args[1]));
  if (less) return MakeValue(true);
  return Eq(args);
}

Result<TemplateValue> Gt(TemplateArgs args) {
  TRY_ASSIGN(const TemplateValue not_greater, Le(args));
  return MakeValue(!IsTrue(not_greater));
}

Result<TemplateValue> Ge(TemplateArgs args) {
  TRY_ASSIGN(const TemplateValue less, Lt(args));
  return MakeValue(!IsTrue(less));
}

}  // namespace veneer::tools::template_functions
