#include "tools/arguments.h"

namespace veneer::tools {

std::vector<std::string> DockerArguments(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  CLI::App* command = &app;
  for (int i = 1; i < argc; ++i) {
    std::string text = argv[i];
    if (text == "--") {
      arguments.insert(arguments.end(), argv + i, argv + argc);
      break;
    }
    auto named = command->get_subcommands([&](CLI::App* a) { return a->check_name(text); });
    if (!named.empty()) command = named.front();
    const bool is_option = text.size() > 1 && text[0] == '-';
    const bool is_long = is_option && text[1] == '-';
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const CLI::Option* option =
        is_option && (is_long || name.size() == 2) ? command->get_option_no_throw(name) : nullptr;
    const bool takes_value = option != nullptr && option->get_items_expected_max() != 0;
    if (equals == std::string::npos) {
      arguments.push_back(text);
      if (takes_value && i + 1 < argc) arguments.emplace_back(argv[++i]);
    } else if (takes_value && (!is_long || equals + 1 == text.size())) {
      arguments.push_back(name);
      arguments.push_back(text.substr(equals + 1));
    } else if (option != nullptr && !takes_value && !is_long) {
      arguments.push_back("--" + option->get_lnames().front() + text.substr(equals));
    } else {
      arguments.push_back(text);
    }
  }
  return arguments;
}

}  // namespace veneer::tools
