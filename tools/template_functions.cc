#include "tools/template_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "tools/go_printf.h"
#include "tools/utf8.h"

namespace veneer::tools {
namespace {

using enum ParamKind;

// pad can be asked for any number of spaces.
constexpr int64_t kMaxPad = 1 << 20;

const std::string& Text(const TemplateValue& value) { return value->get_ref<const std::string&>(); }

std::vector<const Json*> Pointers(TemplateArgs args) {
  static const Json nil;
  std::vector<const Json*> out;
  for (const TemplateValue& arg : args) out.push_back(arg ? arg.get() : &nil);
  return out;
}

// Letters beyond ASCII stay as they are.
std::string MapText(const TemplateValue& value, int (*map)(int)) {
  std::string text = Text(value);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x80) c = static_cast<char>(map(c));
  }
  return text;
}

Result<TemplateValue> EncodeAsJson(TemplateArgs args) {
  return MakeValue(args[0] ? EncodeJson(*args[0], false) : "null");
}

Result<TemplateValue> Split(TemplateArgs args) {
  const std::string& text = Text(args[0]);
  const std::string& separator = Text(args[1]);
  Json parts = Json::array();
  size_t from = 0;
  if (separator.empty()) {
    for (size_t size = 0; from < text.size(); from += size) {
      size = DecodeRune(text, from).size;
      parts.push_back(text.substr(from, size));
    }
    return MakeValue(std::move(parts));
  }
  for (size_t at = text.find(separator); at != std::string::npos; at = text.find(separator, from)) {
    parts.push_back(text.substr(from, at - from));
    from = at + separator.size();
  }
  parts.push_back(text.substr(from));
  return MakeValue(std::move(parts));
}

Result<TemplateValue> Join(TemplateArgs args) {
  std::string out;
  if (!args[0] || args[0]->is_null()) return MakeValue(out);
  bool first = true;
  for (const Json& element : *args[0]) {
    if (!first) out += Text(args[1]);
    first = false;
    out += element.get_ref<const std::string&>();
  }
  return MakeValue(std::move(out));
}

Result<TemplateValue> Lower(TemplateArgs args) { return MakeValue(MapText(args[0], std::tolower)); }
Result<TemplateValue> Upper(TemplateArgs args) { return MakeValue(MapText(args[0], std::toupper)); }

// strings.Title: the first letter of each word.
Result<TemplateValue> Title(TemplateArgs args) {
  std::string text = Text(args[0]);
  bool in_word = false;
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!in_word && byte < 0x80) c = static_cast<char>(std::toupper(byte));
    in_word = byte >= 0x80 || c == '_' || std::isalnum(byte) != 0;
  }
  return MakeValue(std::move(text));
}

Result<TemplateValue> PadText(TemplateArgs args) {
  const std::string& text = Text(args[0]);
  if (text.empty()) return MakeValue(text);
  const auto before = args[1]->get<int64_t>();
  const auto after = args[2]->get<int64_t>();
  if (before < 0 || after < 0) return Invalid("strings: negative Repeat count");
  if (before > kMaxPad || after > kMaxPad) return Invalid("strings: Repeat output length overflow");
  return MakeValue(std::string(before, ' ') + text + std::string(after, ' '));
}

Result<TemplateValue> Truncate(TemplateArgs args) {
  const std::string& text = Text(args[0]);
  const auto length = args[1]->get<int64_t>();
  if (length < 0) {
    return Invalid(fmt::format("runtime error: slice bounds out of range [:{}]", length));
  }
  return MakeValue(text.substr(0, static_cast<size_t>(length)));
}

Result<TemplateValue> Print(TemplateArgs args) { return MakeValue(GoSprint(Pointers(args))); }
Result<TemplateValue> Println(TemplateArgs args) { return MakeValue(GoSprintln(Pointers(args))); }
Result<TemplateValue> Printf(TemplateArgs args) {
  return MakeValue(GoSprintf(Text(args[0]), Pointers(args.subspan(1))));
}

Result<TemplateValue> Len(TemplateArgs args) {
  const TemplateValue& value = args[0];
  if (!value || value->is_null()) return MakeValue(0);
  if (value->is_string()) return MakeValue(Text(value).size());
  if (value->is_structured()) return MakeValue(value->size());
  return Invalid(fmt::format("len of type {}", GoTypeName(*value)));
}

// An index into something `size` long; `size` itself is allowed when `end` says so.
Result<size_t> Position(const TemplateValue& index, size_t size, bool end) {
  if (!index || index->is_null()) return Invalid("cannot index slice/array with nil");
  if (!index->is_number_integer()) {
    return Invalid(fmt::format("cannot index slice/array with type {}", GoTypeName(*index)));
  }
  const auto at = index->get<int64_t>();
  if (at < 0 || static_cast<uint64_t>(at) > size || (!end && static_cast<uint64_t>(at) == size)) {
    return Invalid(fmt::format("index out of range: {}", at));
  }
  return static_cast<size_t>(at);
}

// A map of strings gives "" for an absent key, as Go's typed maps do; a map of anything else has no
// value there.
TemplateValue AbsentMember(const Json& object) {
  const auto is_string = [](const Json& member) { return member.is_string(); };
  return std::ranges::all_of(object, is_string) ? MakeValue("") : nullptr;
}

Result<TemplateValue> IndexOnce(const TemplateValue& value, const TemplateValue& key) {
  // A list or map left out, or null, is an empty one: Docker's own values are typed.
  const bool nil = !value || value->is_null();
  if (nil && key && key->is_string()) return MakeValue("");
  if (nil) return Invalid("index of nil pointer");
  if (value->is_object()) {
    if (!key || !key->is_string()) {
      const std::string_view type = key ? GoTypeName(*key) : "nil";
      return Invalid(fmt::format("value has type {}; should be string", type));
    }
    const auto member = value->find(Text(key));
    if (member == value->end()) return AbsentMember(*value);
    return TemplateValue(value, &*member);
  }
  if (value->is_string()) {
    TRY_ASSIGN(const size_t at, Position(key, Text(value).size(), false));
    return MakeValue(static_cast<unsigned char>(Text(value)[at]));
  }
  if (!value->is_array())
    return Invalid(fmt::format("can't index item of type {}", GoTypeName(*value)));
  TRY_ASSIGN(const size_t at, Position(key, value->size(), false));
  return TemplateValue(value, &(*value)[at]);
}

Result<TemplateValue> Index(TemplateArgs args) {
  TemplateValue value = args[0];
  for (const TemplateValue& key : args.subspan(1)) {
    TRY_ASSIGN(value, IndexOnce(value, key));
  }
  return value;
}

Result<TemplateValue> Slice(TemplateArgs args) {
  const TemplateValue& value = args[0];
  if (!value || value->is_null()) return Invalid("slice of untyped nil");
  if (args.size() > 4) return Invalid(fmt::format("too many slice indexes: {}", args.size() - 1));
  if (!value->is_string() && !value->is_array()) {
    return Invalid(fmt::format("can't slice item of type {}", GoTypeName(*value)));
  }
  if (value->is_string() && args.size() == 4) return Invalid("cannot 3-index slice a string");
  const size_t size = value->is_string() ? Text(value).size() : value->size();
  std::vector<size_t> bounds = {0, size};
  for (size_t i = 1; i < args.size(); ++i) {
    TRY_ASSIGN(const size_t at, Position(args[i], size, true));
    if (i == 3)
      bounds.push_back(at);
    else
      bounds[i - 1] = at;
  }
  for (size_t i = 1; i < bounds.size(); ++i) {
    if (bounds[i - 1] > bounds[i]) {
      return Invalid(fmt::format("invalid slice index: {} > {}", bounds[i - 1], bounds[i]));
    }
  }
  if (value->is_string()) return MakeValue(Text(value).substr(bounds[0], bounds[1] - bounds[0]));
  Json part = Json::array();
  for (size_t i = bounds[0]; i < bounds[1]; ++i) part.push_back((*value)[i]);
  return MakeValue(std::move(part));
}

Result<TemplateValue> Not(TemplateArgs args) { return MakeValue(!IsTrue(args[0])); }

namespace fn = template_functions;

const std::vector<TemplateFunction>& Functions() {
  static const std::vector<TemplateFunction> functions = {
      // Docker's
      {"json", {kAny}, {}, true, EncodeAsJson},
      {"split", {kString, kString}, {}, true, Split},
      {"join", {kStrings, kString}, {}, true, Join},
      {"title", {kString}, {}, true, Title},
      {"lower", {kString}, {}, true, Lower},
      {"upper", {kString}, {}, true, Upper},
      {"pad", {kString, kInt, kInt}, {}, true, PadText},
      {"truncate", {kString, kInt}, {}, true, Truncate},
      // Go's
      {"and", {kAny}, kAny, false, nullptr},
      {"or", {kAny}, kAny, false, nullptr},
      {"not", {kAny}, {}, false, Not},
      {"len", {kAny}, {}, false, Len},
      {"index", {kAny}, kAny, false, Index},
      {"slice", {kAny}, kAny, false, Slice},
      {"print", {}, kAny, false, Print},
      {"println", {}, kAny, false, Println},
      {"printf", {kString}, kAny, false, Printf},
      {"eq", {kAny}, kAny, false, fn::Eq},
      {"ne", {kAny, kAny}, {}, false, fn::Ne},
      {"lt", {kAny, kAny}, {}, false, fn::Lt},
      {"le", {kAny, kAny}, {}, false, fn::Le},
      {"gt", {kAny, kAny}, {}, false, fn::Gt},
      {"ge", {kAny, kAny}, {}, false, fn::Ge},
  };
  return functions;
}

}  // namespace

bool IsTrue(const TemplateValue& value) {
  if (!value) return false;
  switch (value->type()) {
    case Json::value_t::boolean:
      return value->get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return value->get<int64_t>() != 0;
    case Json::value_t::number_float:
      return value->get<double>() != 0;
    case Json::value_t::string:
      return !Text(value).empty();
    case Json::value_t::array:
    case Json::value_t::object:
      return !value->empty();
    default:
      return false;
  }
}

std::string_view ParamTypeName(ParamKind kind) {
  switch (kind) {
    case kString:
      return "string";
    case kInt:
      return "int";
    case kStrings:
      return "[]string";
    default:
      return "interface {}";
  }
}

const TemplateFunction* FindTemplateFunction(std::string_view name) {
  const auto found = std::ranges::find(Functions(), name, &TemplateFunction::name);
  return found == Functions().end() ? nullptr : &*found;
}

bool FitsParam(const TemplateValue& value, ParamKind kind) {
  switch (kind) {
    case kAny:
      return true;
    case kString:
      return value && value->is_string();
    case kInt:
      return value && value->is_number_integer();
    case kStrings: {
      if (!value || value->is_null()) return true;
      const auto is_string = [](const Json& element) { return element.is_string(); };
      return value->is_array() && std::ranges::all_of(*value, is_string);
    }
  }
  return false;
}

}  // namespace veneer::tools
