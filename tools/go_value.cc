#include "tools/go_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "tools/utf8.h"

namespace veneer::tools {
namespace {

// Shortest digits of `value`; exponent form below `low` and from 10^`high` on.
std::string ShortestFloat(double value, double low, int high) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  std::array<char, 400> buffer{};
  char* const first = buffer.data();
  char* const last = first + buffer.size();
  const auto exponent_form = std::to_chars(first, last, value, std::chars_format::scientific);
  const std::string_view text(first, exponent_form.ptr - first);
  const int exponent = std::atoi(std::string(text.substr(text.find('e') + 1)).c_str());
  const double magnitude = std::fabs(value);
  if (magnitude != 0 && (magnitude < low || exponent >= high)) return std::string(text);
  const auto plain = std::to_chars(first, last, value, std::chars_format::fixed);
  return {first, plain.ptr};
}

void AppendJsonString(std::string& out, std::string_view text, bool escape_html) {
  out.push_back('"');
  for (size_t pos = 0; pos < text.size();) {
    const Rune rune = DecodeRune(text, pos);
    switch (rune.value) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default: {
        const bool html = rune.value == '<' || rune.value == '>' || rune.value == '&';
        const bool separator = rune.value == 0x2028 || rune.value == 0x2029;
        if (rune.value < 0x20 || separator || !rune.valid || (html && escape_html)) {
          out += fmt::format("\\u{:04x}", static_cast<uint32_t>(rune.value));
        } else {
          out += text.substr(pos, rune.size);
        }
      }
    }
    pos += rune.size;
  }
  out.push_back('"');
}

void AppendJson(std::string& out, const Json& value, bool escape_html) {
  switch (value.type()) {
    case Json::value_t::string:
      AppendJsonString(out, value.get_ref<const std::string&>(), escape_html);
      return;
    case Json::value_t::array: {
      out.push_back('[');
      bool first = true;
      for (const Json& element : value) {
        if (!first) out.push_back(',');
        first = false;
        AppendJson(out, element, escape_html);
      }
      out.push_back(']');
      return;
    }
    case Json::value_t::object: {
      out.push_back('{');
      bool first = true;
      for (const auto& [key, member] : value.items()) {
        if (!first) out.push_back(',');
        first = false;
        AppendJsonString(out, key, escape_html);
        out.push_back(':');
        AppendJson(out, member, escape_html);
      }
      out.push_back('}');
      return;
    }
    case Json::value_t::number_float: {
      std::string text = ShortestFloat(value.get<double>(), 1e-6, 21);
      // Go's encoder writes e-7 where strconv writes e-07.
      if (const size_t e = text.find("e-0"); e != std::string::npos) text.erase(e + 2, 1);
      out += text;
      return;
    }
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::number_integer:
      out += std::to_string(value.get<int64_t>());
      return;
    case Json::value_t::number_unsigned:
      out += std::to_string(value.get<uint64_t>());
      return;
    default:
      out += "null";
      return;
  }
}

void AppendValue(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::string:
      out += value.get_ref<const std::string&>();
      return;
    case Json::value_t::array: {
      out.push_back('[');
      bool first = true;
      for (const Json& element : value) {
        if (!first) out.push_back(' ');
        first = false;
        AppendValue(out, element);
      }
      out.push_back(']');
      return;
    }
    case Json::value_t::object: {
      out += "map[";
      bool first = true;
      for (const auto& [key, member] : SortedMembers(value)) {
        if (!first) out.push_back(' ');
        first = false;
        out += *key;
        out.push_back(':');
        AppendValue(out, *member);
      }
      out.push_back(']');
      return;
    }
    case Json::value_t::number_float:
      out += FormatFloat(value.get<double>());
      return;
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::number_integer:
      out += std::to_string(value.get<int64_t>());
      return;
    case Json::value_t::number_unsigned:
      out += std::to_string(value.get<uint64_t>());
      return;
    default:
      out += "<nil>";
      return;
  }
}

}  // namespace

std::string FormatValue(const Json& value) {
  std::string out;
  AppendValue(out, value);
  return out;
}

std::string FormatFloat(double value) { return ShortestFloat(value, 1e-4, 6); }

std::string EncodeJson(const Json& value, bool escape_html) {
  std::string out;
  AppendJson(out, value, escape_html);
  return out;
}

std::string GoQuote(std::string_view text) {
  std::string out = "\"";
  for (size_t pos = 0; pos < text.size();) {
    const Rune rune = DecodeRune(text, pos);
    constexpr std::string_view kLetters = "abtnvfr";  // \a is 7, \b 8, … \r 13
    if (rune.value == '"' || rune.value == '\\') {
      out += {'\\', static_cast<char>(rune.value)};
    } else if (rune.value >= 7 && rune.value <= 13) {
      out += {'\\', kLetters[rune.value - 7]};
    } else if (!rune.valid) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[pos]));
    } else if (rune.value < 0x20 || rune.value == 0x7F) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(rune.value));
    } else if (IsPrintable(rune.value)) {
      out += text.substr(pos, rune.size);
    } else if (rune.value < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(rune.value));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(rune.value));
    }
    pos += rune.size;
  }
  out.push_back('"');
  return out;
}

std::string_view GoTypeName(const Json& value) {
  switch (value.type()) {
    case Json::value_t::string:
      return "string";
    case Json::value_t::array:
      return "[]interface {}";
    case Json::value_t::object:
      return "map[string]interface {}";
    case Json::value_t::number_float:
      return "float64";
    case Json::value_t::boolean:
      return "bool";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "int";
    default:
      return "<nil>";
  }
}

std::vector<Member> SortedMembers(const Json& object) {
  std::vector<Member> members;
  members.reserve(object.size());
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
    members.emplace_back(&key, &value);
  }
  std::ranges::sort(members, [](const Member& a, const Member& b) { return *a.first < *b.first; });
  return members;
}

bool DeeperThan(const Json& value, int limit) {
  if (!value.is_structured()) return false;
  if (limit == 0) return true;
  return std::ranges::any_of(value,
                             [&](const Json& child) { return DeeperThan(child, limit - 1); });
}

}  // namespace veneer::tools
