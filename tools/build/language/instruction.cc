#include "tools/build/language/instruction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include "tools/build/language/go_number.h"
#include "tools/build/language/instruction_flags.h"
#include "tools/build/language/linter.h"
#include "tools/build/language/run_mount.h"
#include "tools/build/language/text.h"
#include "tools/go_value.h"

namespace veneer::build {
namespace {

using Words = std::vector<std::string>;

Result<> AtLeastOne(const char* name, const Words& words) {
  if (words.empty()) return Invalid(std::string(name) + " requires at least one argument");
  return {};
}

Result<> ExactlyOne(const char* name, const Words& words) {
  if (words.size() != 1) return Invalid(std::string(name) + " requires exactly one argument");
  return {};
}

Result<> NoFlags(const Node& node) {
  TRY(InstructionFlags::Parse(node.flags, {}));
  return {};
}

CommandLine ReadCommand(const Node& node, Words words) {
  if (node.json || words.empty()) return {std::move(words), !node.json};
  return {{Join(words, " ")}, true};
}

// The description in a comment "# name description".
std::string Description(const Words& comments, const std::string& name) {
  if (name.empty()) return "";
  for (const std::string& comment : comments) {
    if (comment.starts_with(name + " ")) return comment.substr(name.size() + 1);
  }
  return "";
}

Result<std::vector<NameValue>> ReadNameValues(const char* name, const Node& node) {
  TRY(NoFlags(node));
  const Words words = ArgumentValues(node);
  TRY(AtLeastOne(name, words));
  std::vector<NameValue> pairs;
  for (size_t i = 0; i + 2 < words.size(); i += 3) {
    if (words[i].empty()) return Invalid(std::string(name) + " names can not be blank");
    pairs.push_back({words[i], words[i + 1], words[i + 2].empty()});
  }
  return pairs;
}

Result<InstructionBody> ReadEnv(const Node& node) {
  TRY_ASSIGN(std::vector<NameValue> pairs, ReadNameValues("ENV", node));
  return EnvInstruction{std::move(pairs)};
}

Result<InstructionBody> ReadLabel(const Node& node) {
  TRY_ASSIGN(std::vector<NameValue> pairs, ReadNameValues("LABEL", node));
  return LabelInstruction{std::move(pairs)};
}

Result<InstructionBody> ReadMaintainer(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(ExactlyOne("MAINTAINER", words));
  TRY(NoFlags(node));
  return MaintainerInstruction{std::move(words[0])};
}

// Sources and destination of ADD and COPY.
template <typename T>
Result<> ReadFiles(const char* name, const Node& node, T& out) {
  Words words = ArgumentValues(node);
  out.destination = std::move(words.back());
  words.pop_back();
  if (HeredocOf(out.destination))
    return Invalid(std::string(name) + " cannot accept a heredoc as a destination");
  for (std::string& word : words) {
    const std::optional<Heredoc> heredoc = HeredocOf(word);
    if (!heredoc) {
      out.sources.push_back(std::move(word));
      continue;
    }
    std::string content;  // of several with one name, the last
    for (const Heredoc& given : node.heredocs) {
      if (given.name == heredoc->name) content = given.content;
    }
    if (heredoc->chomp) content = Chomp(content);
    out.heredocs.push_back({heredoc->name, std::move(content), heredoc->expand});
  }
  return {};
}

Result<> HasDestination(const char* name, const Node& node) {
  if (node.arguments.size() >= 2) return {};
  return Invalid(std::string(name) +
                 " requires at least two arguments, but only one was provided. Destination could "
                 "not be determined");
}

Result<InstructionBody> ReadAdd(const Node& node) {
  TRY(HasDestination("ADD", node));
  TRY_ASSIGN(const InstructionFlags flags,
             InstructionFlags::Parse(node.flags, {{"chown", FlagKind::kString},
                                                  {"chmod", FlagKind::kString},
                                                  {"link", FlagKind::kBool},
                                                  {"keep-git-dir", FlagKind::kBool},
                                                  {"checksum", FlagKind::kString},
                                                  {"unpack", FlagKind::kBool},
                                                  {"exclude", FlagKind::kStrings}}));
  AddInstruction add;
  TRY(ReadFiles("ADD", node, add));
  add.chown = flags.String("chown");
  add.chmod = flags.String("chmod");
  add.link = flags.IsTrue("link");
  add.keep_git_dir = flags.Bool("keep-git-dir");
  add.checksum = flags.String("checksum");
  add.unpack = flags.Bool("unpack");
  add.exclude = flags.Strings("exclude");
  return add;
}

Result<InstructionBody> ReadCopy(const Node& node) {
  TRY(HasDestination("COPY", node));
  TRY_ASSIGN(const InstructionFlags flags,
             InstructionFlags::Parse(node.flags, {{"chown", FlagKind::kString},
                                                  {"from", FlagKind::kString},
                                                  {"chmod", FlagKind::kString},
                                                  {"link", FlagKind::kBool},
                                                  {"exclude", FlagKind::kStrings},
                                                  {"parents", FlagKind::kBool}}));
  CopyInstruction copy;
  TRY(ReadFiles("COPY", node, copy));
  copy.from = flags.String("from");
  copy.chown = flags.String("chown");
  copy.chmod = flags.String("chmod");
  copy.link = flags.IsTrue("link");
  copy.parents = flags.IsTrue("parents");
  copy.exclude = flags.Strings("exclude");
  return copy;
}

Result<InstructionBody> ReadOnbuild(const Node& node) {
  const Words words = ArgumentValues(node);
  TRY(AtLeastOne("ONBUILD", words));
  TRY(NoFlags(node));
  const std::string trigger = ToUpper(TrimSpace(words[0]));
  if (trigger == "ONBUILD") return Invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger == "MAINTAINER" || trigger == "FROM")
    return Invalid(trigger + " isn't allowed as an ONBUILD trigger");
  std::string expression(TrimLeftSpace(node.original));
  expression.erase(0, std::string_view("ONBUILD").size());
  expression = TrimLeftSpace(expression);
  for (const Heredoc& heredoc : node.heredocs) expression += "\n" + heredoc.content + heredoc.name;
  return OnbuildInstruction{std::move(expression)};
}

Result<InstructionBody> ReadWorkdir(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(ExactlyOne("WORKDIR", words));
  TRY(NoFlags(node));
  return WorkdirInstruction{std::move(words[0])};
}

Result<InstructionBody> ReadRun(const Node& node) {
  TRY_ASSIGN(const InstructionFlags flags,
             InstructionFlags::Parse(node.flags, {{"mount", FlagKind::kStrings},
                                                  {"device", FlagKind::kStrings},
                                                  {"network", FlagKind::kString},
                                                  {"security", FlagKind::kString}}));
  RunInstruction run;
  run.command = ReadCommand(node, ArgumentValues(node));
  run.heredocs = node.heredocs;
  run.mounts = flags.Strings("mount");
  run.devices = flags.Strings("device");
  for (const std::string& text : run.mounts) {
    TRY_ASSIGN(const RunMount mount, ParseRunMount(text, nullptr));
    run.mount_sources.push_back(mount.from);
  }
  const auto given = [&](const std::string& name) {
    return std::ranges::any_of(
        node.flags, [&](const std::string& flag) { return flag.starts_with("--" + name + "="); });
  };
  if (given("network")) run.network = flags.String("network");
  if (given("security")) run.security = flags.String("security");
  if (run.network != "default" && run.network != "none" && run.network != "host")
    return Invalid("invalid network mode " + tools::GoQuote(run.network));
  if (run.security != "sandbox" && run.security != "insecure")
    return Invalid("security " + tools::GoQuote(run.security) + " is not valid");
  return run;
}

Result<InstructionBody> ReadCmd(const Node& node) {
  TRY(NoFlags(node));
  return CmdInstruction{ReadCommand(node, ArgumentValues(node))};
}

Result<InstructionBody> ReadEntrypoint(const Node& node) {
  TRY(NoFlags(node));
  return EntrypointInstruction{ReadCommand(node, ArgumentValues(node))};
}

Result<std::chrono::nanoseconds> ReadInterval(const InstructionFlags& flags, const char* name) {
  const std::string text = flags.String(name);
  if (text.empty()) return std::chrono::nanoseconds(0);
  TRY_ASSIGN(const std::chrono::nanoseconds interval, ParseDuration(text));
  if (interval.count() != 0 && interval < std::chrono::milliseconds(1))
    return Invalid(fmt::format("Interval \"{}\" cannot be less than 1ms", name));
  return interval;
}

Result<InstructionBody> ReadHealthcheck(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(AtLeastOne("HEALTHCHECK", words));
  const std::string type = ToUpper(words[0]);
  words.erase(words.begin());
  HealthcheckInstruction check;
  if (type == "NONE") {
    if (!words.empty()) return Invalid("HEALTHCHECK NONE takes no arguments");
    check.test = {type};
    return check;
  }
  TRY_ASSIGN(const InstructionFlags flags,
             InstructionFlags::Parse(node.flags, {{"interval", FlagKind::kString},
                                                  {"timeout", FlagKind::kString},
                                                  {"start-period", FlagKind::kString},
                                                  {"start-interval", FlagKind::kString},
                                                  {"retries", FlagKind::kString}}));
  if (type != "CMD")
    return Invalid("Unknown type " + tools::GoQuote(type) + " in HEALTHCHECK (try CMD)");
  CommandLine command = ReadCommand(node, std::move(words));
  if (command.words.empty()) return Invalid("Missing command after HEALTHCHECK CMD");
  check.test = {node.json ? "CMD" : "CMD-SHELL"};
  std::ranges::move(command.words, std::back_inserter(check.test));
  TRY_ASSIGN(check.interval, ReadInterval(flags, "interval"));
  TRY_ASSIGN(check.timeout, ReadInterval(flags, "timeout"));
  TRY_ASSIGN(check.start_period, ReadInterval(flags, "start-period"));
  TRY_ASSIGN(check.start_interval, ReadInterval(flags, "start-interval"));
  if (const std::string retries = flags.String("retries"); !retries.empty()) {
    TRY_ASSIGN(check.retries, ParseInt32(retries));
    if (check.retries < 0)
      return Invalid(fmt::format("--retries cannot be negative ({})", check.retries));
  }
  return check;
}

Result<InstructionBody> ReadExpose(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(AtLeastOne("EXPOSE", words));
  TRY(NoFlags(node));
  std::ranges::sort(words);
  return ExposeInstruction{std::move(words)};
}

Result<InstructionBody> ReadUser(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(ExactlyOne("USER", words));
  TRY(NoFlags(node));
  return UserInstruction{std::move(words[0])};
}

Result<InstructionBody> ReadVolume(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(AtLeastOne("VOLUME", words));
  TRY(NoFlags(node));
  for (std::string& word : words) {
    word = std::string(TrimSpace(word));
    if (word.empty()) return Invalid("VOLUME specified can not be an empty string");
  }
  return VolumeInstruction{std::move(words)};
}

Result<InstructionBody> ReadStopsignal(const Node& node) {
  Words words = ArgumentValues(node);
  TRY(ExactlyOne("STOPSIGNAL", words));
  return StopsignalInstruction{std::move(words[0])};
}

Result<InstructionBody> ReadArg(const Node& node) {
  const Words words = ArgumentValues(node);
  TRY(AtLeastOne("ARG", words));
  ArgInstruction out;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == 0) return Invalid("ARG names can not be blank");
    ArgInstruction::Arg arg{word.substr(0, equals), std::nullopt, ""};
    if (equals != std::string::npos) arg.value = word.substr(equals + 1);
    arg.description = Description(node.comments, arg.name);
    out.args.push_back(std::move(arg));
  }
  return out;
}

Result<InstructionBody> ReadShell(const Node& node) {
  TRY(NoFlags(node));
  Words words = ArgumentValues(node);
  TRY(AtLeastOne("SHELL", words));
  if (!node.json) return Invalid("SHELL requires the arguments to be in JSON form");
  return ShellInstruction{std::move(words)};
}

using Reader = Result<InstructionBody> (*)(const Node&);
const std::map<std::string, Reader>& Readers() {
  static const std::map<std::string, Reader> readers = {
      {"add", ReadAdd},
      {"arg", ReadArg},
      {"cmd", ReadCmd},
      {"copy", ReadCopy},
      {"entrypoint", ReadEntrypoint},
      {"env", ReadEnv},
      {"expose", ReadExpose},
      {"healthcheck", ReadHealthcheck},
      {"label", ReadLabel},
      {"maintainer", ReadMaintainer},
      {"onbuild", ReadOnbuild},
      {"run", ReadRun},
      {"shell", ReadShell},
      {"stopsignal", ReadStopsignal},
      {"user", ReadUser},
      {"volume", ReadVolume},
      {"workdir", ReadWorkdir},
  };
  return readers;
}

// The last comment before a FROM … AS or an ARG is to describe what that names.
void CheckDescription(const char* keyword, const Words& names, const Node& node, Linter* linter) {
  if (!linter || node.comments.empty() || names.empty()) return;
  const std::string& comment = node.comments.back();
  if (std::ranges::find(names, comment.substr(0, comment.find(' '))) != names.end()) return;
  linter->Warn(rules::kInvalidDefinitionDescription, node.lines,
               fmt::format("Comment for {} should follow the format: `# {} <description>`", keyword,
                           names.size() > 1 ? "<arg_key>" : names[0]),
               node.comments);
}

void CheckFromCasing(const Node& node, const Words& words, Linter* linter) {
  if (!linter || words.size() < 3) return;
  if (words.size() == 3 && words[2] != ToLower(words[2])) {
    linter->Warn(rules::kStageNameCasing, node.lines,
                 fmt::format("Stage name '{}' should be lowercase", words[2]), node.comments);
  }
  const bool lower = node.value == ToLower(node.value);
  const bool upper = node.value == ToUpper(node.value);
  // FROM in mixed case is told of by another rule.
  if ((lower && words[1] != ToLower(words[1])) ||
      (upper && !lower && words[1] != ToUpper(words[1]))) {
    linter->Warn(rules::kFromAsCasing, node.lines,
                 fmt::format("'{}' and '{}' keywords' casing do not match", words[1], node.value),
                 node.comments);
  }
}

Result<Stage> ReadFrom(const Node& node, Linter* linter) {
  const Words words = ArgumentValues(node);
  CheckFromCasing(node, words, linter);
  Stage stage;
  if (words.size() == 3 && EqualFold(words[1], "as")) {
    stage.name = ToLower(words[2]);
    const auto valid = [](char c) {
      return std::islower(static_cast<unsigned char>(c)) != 0 ||
             std::isdigit(static_cast<unsigned char>(c)) != 0 ||
             std::string_view("-_.").contains(c);
    };
    if (stage.name.empty() || std::islower(static_cast<unsigned char>(stage.name[0])) == 0 ||
        !std::ranges::all_of(stage.name, valid)) {
      return Invalid("invalid name for build stage: " + tools::GoQuote(words[2]) +
                     ", name can't start with a number or contain symbols");
    }
  } else if (words.size() != 1) {
    return Invalid("FROM requires either one or three arguments");
  }
  TRY_ASSIGN(const InstructionFlags flags,
             InstructionFlags::Parse(node.flags, {{"platform", FlagKind::kString}}));
  stage.base = words[0];
  stage.platform = flags.String("platform");
  stage.keyword = node.value;
  stage.code = TrimSpace(node.original);
  stage.description = Description(node.comments, stage.name);
  stage.lines = node.lines;
  stage.comments = node.comments;
  if (!stage.name.empty()) CheckDescription("FROM", {stage.name}, node, linter);
  return stage;
}

Result<Instruction> ReadOne(const Node& node, Linter* linter) {
  const auto reader = Readers().find(ToLower(node.value));
  if (reader == Readers().end()) {
    Words names = {"FROM"};
    for (const auto& [name, unused] : Readers()) names.push_back(ToUpper(name));
    return Invalid("unknown instruction: " + node.value + DidYouMean(node.value, names, false));
  }
  if (linter && reader->first == "maintainer") {
    linter->Warn(rules::kMaintainerDeprecated, node.lines,
                 "Maintainer instruction is deprecated in favor of using label", node.comments);
  }
  TRY_ASSIGN(InstructionBody body, reader->second(node));
  if (const auto* arg = std::get_if<ArgInstruction>(&body)) {
    Words names;
    for (const ArgInstruction::Arg& a : arg->args) names.push_back(a.name);
    CheckDescription("ARG", names, node, linter);
  }
  return Instruction{node.value, std::string(TrimSpace(node.original)), node.lines, node.comments,
                     std::move(body)};
}

// The error of a whole file's instruction.
template <typename T>
Located<T> InFile(const Node& node, Result<T> result) {
  if (result) return std::move(*result);
  return At(node.lines, fmt::format("dockerfile parse error on line {}: {}", node.lines.first,
                                    result.error().Message()));
}

}  // namespace

Located<Instruction> ReadInstruction(const Node& node, Linter* linter) {
  return At(node.lines, ReadOne(node, linter));
}

Located<Dockerfile> ReadInstructions(const Node& root, Linter* linter) {
  Dockerfile file;
  for (const Node& node : root.children) {
    if (EqualFold(node.value, "from")) {
      TRY_ASSIGN(Stage stage, InFile(node, ReadFrom(node, linter)));
      file.stages.push_back(std::move(stage));
      continue;
    }
    TRY_ASSIGN(Instruction instruction, InFile(node, ReadOne(node, linter)));
    if (!file.stages.empty()) {
      file.stages.back().instructions.push_back(std::move(instruction));
    } else if (std::holds_alternative<ArgInstruction>(instruction.body)) {
      file.global_args.push_back(std::move(instruction));
    } else {
      return At(node.lines, "no build stage in current context");
    }
  }
  if (file.stages.empty())
    return std::unexpected(DockerfileError("dockerfile contains no stages to build", {}));
  return file;
}

}  // namespace veneer::build
