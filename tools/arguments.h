// A command line in Docker's way of writing, made into one that CLI11 reads the same.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace veneer::tools {

// The words after the program's name, in their order. What CLI11 (2.1.2) reads otherwise than
// Docker's flags is written another way: -H=false is --human=false, -t=x is -t x, and --target=,
// of which CLI11 would take the next word for the value, is --target and an empty word. Values of
// options and what comes after -- stay as they are.
std::vector<std::string> DockerArguments(CLI::App& app, int argc, const char* const* argv);

}  // namespace veneer::tools
