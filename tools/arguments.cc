#include "tools/arguments.h"

#include "tools/context.h"

namespace veneer::tools {
namespace {

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() != 0; }

// Short options in one word, as pflag reads them: flags, and perhaps one with a value, which stands
// behind it, with or without "=", or is the next word (true is returned then).
bool ReadCluster(const CLI::App& command, const std::string& text, std::vector<std::string>& out) {
  for (size_t at = 1; at < text.size(); ++at) {
    const std::string name = {'-', text[at]};
    const std::string rest = text.substr(at + 1);
    const CLI::Option* option = command.get_option_no_throw(name);
    if (option == nullptr) {
      out.push_back(at == 1 ? text : "-" + text.substr(at));
      return false;
    }
    if (TakesValue(*option)) {
      out.push_back(name);
      if (!rest.empty()) out.push_back(rest.starts_with('=') ? rest.substr(1) : rest);
      return rest.empty();
    }
    if (rest.starts_with('=')) {
      if (rest == "=") throw UsageError(name + ": its value is true or false");
      out.push_back("--" + option->get_lnames().front() + rest);
      return false;
    }
    out.push_back(name);
  }
  return false;
}

// The same of --NAME and --NAME=VALUE.
bool ReadLong(const CLI::App& command, const std::string& text, std::vector<std::string>& out) {
  const size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const CLI::Option* option = command.get_option_no_throw(name);
  if (option != nullptr && equals + 1 == text.size()) {
    if (!TakesValue(*option)) throw UsageError(name + ": its value is true or false");
    out.push_back(name);
    out.emplace_back();
    return false;
  }
  out.push_back(text);
  return option != nullptr && equals == std::string::npos && TakesValue(*option);
}

}  // namespace

std::vector<std::string> DockerArguments(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  CLI::App* command = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    if (text == "--") {
      arguments.insert(arguments.end(), argv + i, argv + argc);
      break;
    }
    auto named = command->get_subcommands([&](CLI::App* a) { return a->check_name(text); });
    if (!named.empty()) command = named.front();
    if (text.size() < 2 || text[0] != '-') {
      arguments.push_back(text);
      continue;
    }
    const bool value_follows = text[1] == '-' ? ReadLong(*command, text, arguments)
                                              : ReadCluster(*command, text, arguments);
    if (value_follows && i + 1 < argc) arguments.emplace_back(argv[++i]);
  }
  return arguments;
}

}  // namespace veneer::tools
