#include "tools/go_printf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "tools/utf8.h"

namespace veneer::tools {
namespace {

// Go refuses larger widths and precisions too.
constexpr int kMaxWidth = 1000000;

struct Spec {
  bool minus = false;
  bool plus = false;
  bool sharp = false;
  bool space = false;
  bool zero = false;
  std::optional<int> width;
  std::optional<int> precision;
  char32_t verb = 0;
};

std::string Pad(std::string text, const Spec& spec) {
  const size_t width = static_cast<size_t>(spec.width.value_or(0));
  const size_t have = RuneCount(text);
  if (have >= width) return text;
  if (spec.minus) return text + std::string(width - have, ' ');
  return std::string(width - have, ' ') + text;
}

// "%!d(string=a)"
std::string BadVerb(const Spec& spec, const Json& value) {
  std::string out = "%!";
  AppendRune(out, spec.verb);
  if (value.is_null()) return out + "(<nil>)";
  return out + fmt::format("({}={})", GoTypeName(value), FormatValue(value));
}

std::string FormatInteger(const Spec& spec, const Json& value) {
  const bool negative =
      value.is_number_integer() && !value.is_number_unsigned() && value.get<int64_t>() < 0;
  const uint64_t raw = value.get<uint64_t>();
  const uint64_t magnitude = negative ? 0 - raw : raw;
  std::string digits;
  std::string prefix;
  switch (spec.verb) {
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0";
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      break;
    default:
      digits = fmt::format("{}", magnitude);
      break;
  }
  if (!spec.sharp) prefix.clear();
  std::string sign;
  if (negative)
    sign = "-";
  else if (spec.plus)
    sign = "+";
  else if (spec.space)
    sign = " ";
  size_t least = static_cast<size_t>(spec.precision.value_or(0));
  if (!spec.precision && spec.zero && !spec.minus && spec.width) {
    const size_t taken = sign.size();
    least = static_cast<size_t>(*spec.width) > taken ? *spec.width - taken : 0;
  }
  if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
  return Pad(sign + prefix + digits, spec);
}

std::string FormatFloatVerb(const Spec& spec, double value) {
  if ((spec.verb == 'v' || spec.verb == 'g') && !spec.precision) {
    std::string text = FormatFloat(value);
    if (spec.plus && !text.starts_with('-') && !text.starts_with('+')) text.insert(0, "+");
    return Pad(std::move(text), spec);
  }
  std::string c_format = "%";
  if (spec.minus) c_format += '-';
  if (spec.plus) c_format += '+';
  if (spec.space) c_format += ' ';
  if (spec.zero) c_format += '0';
  if (spec.sharp) c_format += '#';
  c_format += "*.*";
  c_format += spec.verb == 'v' ? 'g' : static_cast<char>(spec.verb);
  const int width = spec.width.value_or(0);
  const int precision = spec.precision.value_or(6);
  const int size = std::snprintf(nullptr, 0, c_format.c_str(), width, precision, value);
  std::string out(static_cast<size_t>(std::max(size, 0)) + 1, '\0');
  std::snprintf(out.data(), out.size(), c_format.c_str(), width, precision, value);
  out.pop_back();
  return out;
}

std::string Hex(const Spec& spec, std::string_view text) {
  std::string out = spec.sharp && !text.empty() ? (spec.verb == 'x' ? "0x" : "0X") : "";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    out += spec.verb == 'x' ? fmt::format("{:02x}", byte) : fmt::format("{:02X}", byte);
  }
  return out;
}

std::string FormatText(const Spec& spec, const Json& value) {
  std::string_view text = value.get_ref<const std::string&>();
  if (spec.precision && spec.verb != 'x' && spec.verb != 'X') {
    size_t end = 0;
    for (int n = 0; n < *spec.precision && end < text.size(); ++n)
      end += DecodeRune(text, end).size;
    text = text.substr(0, end);
  }
  switch (spec.verb) {
    case 'v':
    case 's':
      return Pad(std::string(text), spec);
    case 'q':
      return Pad(GoQuote(text), spec);
    case 'x':
    case 'X':
      return Pad(Hex(spec, text), spec);
    default:
      return BadVerb(spec, value);
  }
}

std::string QuoteRune(char32_t rune) {
  std::string text;
  AppendRune(text, rune);
  std::string quoted = GoQuote(text);
  if (rune == '\'') return R"('\'')";
  if (rune == '"') return "'\"'";
  quoted.front() = quoted.back() = '\'';
  return quoted;
}

std::string FormatArg(const Spec& spec, const Json& value);

// Arrays and maps apply the verb to their elements, as Go does.
std::string FormatStructured(const Spec& spec, const Json& value) {
  std::string out = value.is_array() ? "[" : "map[";
  bool first = true;
  const auto separate = [&] {
    if (!first) out.push_back(' ');
    first = false;
  };
  if (value.is_array()) {
    for (const Json& element : value) {
      separate();
      out += FormatArg(spec, element);
    }
  } else {
    for (const auto& [key, member] : SortedMembers(value)) {
      separate();
      out += FormatArg(spec, Json(*key)) + ":" + FormatArg(spec, *member);
    }
  }
  return out + "]";
}

std::string FormatArg(const Spec& spec, const Json& value) {
  if (spec.verb == 'T') return Pad(std::string(GoTypeName(value)), spec);
  switch (value.type()) {
    case Json::value_t::string:
      return FormatText(spec, value);
    case Json::value_t::array:
    case Json::value_t::object:
      return FormatStructured(spec, value);
    case Json::value_t::boolean:
      if (spec.verb != 'v' && spec.verb != 't') return BadVerb(spec, value);
      return Pad(FormatValue(value), spec);
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      switch (spec.verb) {
        case 'v':
        case 'd':
        case 'b':
        case 'o':
        case 'x':
        case 'X':
          return FormatInteger(spec, value);
        case 'c': {
          std::string text;
          AppendRune(text, static_cast<char32_t>(value.get<uint64_t>()));
          return Pad(std::move(text), spec);
        }
        case 'q':
          return Pad(QuoteRune(static_cast<char32_t>(value.get<uint64_t>())), spec);
        case 'U':
          return Pad(fmt::format("U+{:04X}", value.get<uint64_t>()), spec);
        default:
          return BadVerb(spec, value);
      }
    case Json::value_t::number_float:
      switch (spec.verb) {
        case 'v':
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
          return FormatFloatVerb(spec, value.get<double>());
        default:
          return BadVerb(spec, value);
      }
    default:
      if (spec.verb == 'v') return Pad("<nil>", spec);
      return BadVerb(spec, value);
  }
}

// Reads one format string; the position in it and in the arguments are its state.
class Formatter {
 public:
  Formatter(std::string_view format, std::span<const Json* const> args)
      : format_(format), args_(args) {}

  std::string Run() {
    while (pos_ < format_.size()) {
      if (format_[pos_] == '%') {
        ++pos_;
        Directive();
      } else {
        out_.push_back(format_[pos_++]);
      }
    }
    if (!reordered_ && next_ < args_.size()) {
      out_ += "%!(EXTRA ";
      for (size_t i = next_; i < args_.size(); ++i) {
        if (i != next_) out_ += ", ";
        out_ += args_[i]->is_null()
                    ? "<nil>"
                    : fmt::format("{}={}", GoTypeName(*args_[i]), FormatValue(*args_[i]));
      }
      out_.push_back(')');
    }
    return std::move(out_);
  }

 private:
  void Directive() {
    Spec spec;
    for (bool flags = true; flags && pos_ < format_.size();) {
      switch (format_[pos_]) {
        case '-':
          spec.minus = true;
          break;
        case '+':
          spec.plus = true;
          break;
        case '#':
          spec.sharp = true;
          break;
        case ' ':
          spec.space = true;
          break;
        case '0':
          spec.zero = true;
          break;
        default:
          flags = false;
      }
      if (flags) ++pos_;
    }
    ArgNumber();
    spec.width = Number();
    if (spec.width && *spec.width < 0) {
      spec.minus = true;
      spec.width = -*spec.width;
    }
    if (pos_ < format_.size() && format_[pos_] == '.') {
      ++pos_;
      ArgNumber();
      spec.precision = std::max(0, Number().value_or(0));
    }
    ArgNumber();
    if (pos_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    const Rune verb = DecodeRune(format_, pos_);
    pos_ += verb.size;
    spec.verb = verb.value;
    if (spec.verb == '%') {
      out_.push_back('%');
    } else if (bad_index_ || next_ >= args_.size()) {
      out_ += "%!";
      AppendRune(out_, spec.verb);
      out_ += bad_index_ ? "(BADINDEX)" : "(MISSING)";
      bad_index_ = false;
    } else {
      out_ += FormatArg(spec, *args_[next_++]);
    }
  }

  // "[n]" chooses the next argument.
  void ArgNumber() {
    if (pos_ >= format_.size() || format_[pos_] != '[') return;
    const size_t close = format_.find(']', pos_);
    reordered_ = true;
    if (close == std::string_view::npos) {
      bad_index_ = true;
      ++pos_;
      return;
    }
    ++pos_;
    const std::optional<int> number = Digits();
    if (pos_ != close || !number || *number < 1 || static_cast<size_t>(*number) > args_.size()) {
      bad_index_ = true;
    } else {
      next_ = static_cast<size_t>(*number) - 1;
    }
    pos_ = close + 1;
  }

  std::optional<int> Number() {
    if (pos_ >= format_.size() || format_[pos_] != '*') return Digits();
    ++pos_;
    if (next_ >= args_.size() || !args_[next_]->is_number_integer()) {
      if (next_ < args_.size()) ++next_;
      out_ += "%!(BADWIDTH)";
      return std::nullopt;
    }
    const Json& value = *args_[next_++];
    if (value.is_number_unsigned() && value.get<uint64_t>() > kMaxWidth) return std::nullopt;
    const auto number = value.get<int64_t>();
    if (number > kMaxWidth || number < -kMaxWidth) return std::nullopt;
    return static_cast<int>(number);
  }

  std::optional<int> Digits() {
    std::optional<int> number;
    bool too_large = false;
    for (; pos_ < format_.size() && format_[pos_] >= '0' && format_[pos_] <= '9'; ++pos_) {
      number = number.value_or(0) * 10 + (format_[pos_] - '0');
      if (*number > kMaxWidth) too_large = true, number = 0;
    }
    return too_large ? std::nullopt : number;
  }

  std::string_view format_;
  std::span<const Json* const> args_;
  size_t pos_ = 0;
  size_t next_ = 0;
  bool reordered_ = false;
  bool bad_index_ = false;
  std::string out_;
};

}  // namespace

std::string GoSprintf(std::string_view format, std::span<const Json* const> args) {
  return Formatter(format, args).Run();
}

std::string GoSprint(std::span<const Json* const> args) {
  std::string out;
  for (size_t i = 0; i < args.size(); ++i) {
    if (i > 0 && !args[i]->is_string() && !args[i - 1]->is_string()) out.push_back(' ');
    out += FormatValue(*args[i]);
  }
  return out;
}

std::string GoSprintln(std::span<const Json* const> args) {
  std::string out;
  for (size_t i = 0; i < args.size(); ++i) {
    if (i > 0) out.push_back(' ');
    out += FormatValue(*args[i]);
  }
  return out + "\n";
}

}  // namespace veneer::tools
