// `created_by` of an image's history: each instruction as BuildKit writes it there.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/build/language/instruction.h"

namespace veneer::build::history {

std::string Text(const AddInstruction& add);
std::string Text(const CopyInstruction& copy);
std::string Text(const ArgInstruction& arg);
std::string Text(const ExposeInstruction& expose);
std::string Text(const HealthcheckInstruction& healthcheck);
// RUN |1 NAME=value /bin/sh -c make
std::string RunText(std::span<const std::string> words, std::span<const std::string> args);
// ENV a=b c=d
std::string Pairs(std::string_view keyword, std::span<const NameValue> pairs);
// CMD ["a" "b"]
std::string Quoted(std::string_view keyword, std::span<const std::string> words);
// VOLUME [/a /b]
std::string Listed(std::string_view keyword, std::span<const std::string> words);

}  // namespace veneer::build::history
