// Dockerfiles and their syntax trees; what is expected is BuildKit's Node.Dump.
#include "tools/build/language/parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace veneer::build {
namespace {

// The dump, or "ERR message @lines".
std::string Parse(const std::string& text) {
  const Located<ParsedDockerfile> parsed = ParseDockerfile(text);
  if (parsed) return Dump(parsed->root);
  std::string out = "ERR " + parsed.error().message;
  for (const Lines& place : parsed.error().places)
    out += " @" + std::to_string(place.first) + "-" + std::to_string(place.last);
  return out;
}

struct Case {
  std::string text;
  std::string want;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Parse(c.text), c.want) << c.text;
}

TEST(DockerfileParser, KeepsKeywordsFlagsAndArguments) {
  Check({
      {"FROM scratch", R"((from "scratch"))"},
      {"from  a\tAS  b", R"((from "a" "AS" "b"))"},
      {"FROM --platform=x a", R"((from ["--platform=x"] "a"))"},
      {"COPY --from=a --chown='b c' x  y /", R"((copy ["--from=a" "--chown=b c"] "x" "y" "/"))"},
      {"RUN --mount=type=bind,target=/x -- --y", R"((run ["--mount=type=bind,target=/x"] "--y"))"},
      {R"(COPY --a=b\ c x y)", R"((copy ["--a=b c"] "x" "y"))"},
      {R"(RUN --a)", R"((run ["--a"]))"},
      {"RUN - a", R"((run "- a"))"},
      {"RUN", "(run)"},
      {"foo bar", R"((foo ""))"},
      {"USER  a b ", R"((user "a b"))"},
      {"MAINTAINER a <b@c>", R"((maintainer "a <b@c>"))"},
      {"EXPOSE 80  81/udp", R"((expose "80" "81/udp"))"},
      {"RUN a\nRUN b", "(run \"a\")\n(run \"b\")"},
      {"COPY --a=\u00e9\u00a0\u00e0 x y", "(copy [\"--a=\u00e9\\u00a0\u00e0\"] \"x\" \"y\")"},
  });
}

TEST(DockerfileParser, ReadsJsonOnlyWhereItIsJson) {
  Check({
      {R"(CMD ["a", "b c"])", R"((cmd "a" "b c"))"},
      {R"(CMD [ ])", "(cmd)"},
      {R"(CMD ['a'])", R"((cmd "['a']"))"},
      {R"(CMD ["a",])", R"((cmd "[\"a\",]"))"},
      {R"(CMD ["a"] b)", R"((cmd "[\"a\"] b"))"},
      {R"(CMD ["a"] # b)", R"((cmd "[\"a\"] # b"))"},
      {R"(CMD "a")", R"((cmd "\"a\""))"},
      {R"(CMD ["a", 1])",
       "ERR when using JSON array syntax, arrays must be comprised of strings only @1-1"},
      {R"(CMD [["a"]])",
       "ERR when using JSON array syntax, arrays must be comprised of strings only @1-1"},
      {R"(CMD ["a", null])",
       "ERR when using JSON array syntax, arrays must be comprised of strings only @1-1"},
      {R"(CMD ["\u00e9\ud83d\ude00"])", "(cmd \"\u00e9\U0001F600\")"},
      {R"(CMD ["\ud83dx"])", "(cmd \"\uFFFDx\")"},
      {"CMD [\"a\xff\"]", "(cmd \"a\uFFFD\")"},
      {R"(CMD [1e999])", R"((cmd "[1e999]"))"},
      {std::string("CMD [\"a\"]\0x", 11), R"((cmd "[\"a\"]\x00x"))"},
      {R"(COPY ["a b", "/c"])", R"((copy "a b" "/c"))"},
      {R"(COPY ["a b", "/c)", R"((copy "[\"a" "b\"," "\"/c"))"},
      {R"(VOLUME ["/a"])", R"((volume "/a"))"},
      {"VOLUME /a /b", R"((volume "/a" "/b"))"},
      {R"(SHELL ["a"])", R"((shell "a"))"},
  });
}

TEST(DockerfileParser, TellsBothFormsOfNameAndValueApart) {
  Check({
      {"ENV a=b", R"((env "a" "b" "="))"},
      {"ENV a=b c='d e'", R"((env "a" "b" "=" "c" "'d e'" "="))"},
      {"ENV a b  c", R"((env "a" "b  c" ""))"},
      {"ENV a b=c", R"((env "a" "b=c" ""))"},
      {R"(ENV a=b\ c)", R"((env "a" "b\\ c" "="))"},
      {"ENV", "(env)"},
      {"ENV a", "ERR ENV must have two arguments @1-1"},
      {"LABEL a", "ERR LABEL must have two arguments @1-1"},
      {"ENV a=b c",
       "ERR Syntax error - can't find = in \"c\". Must be of the form: name=value @1-1"},
      {"ENV a=b=c", R"((env "a" "b=c" "="))"},
      {R"(LABEL "a b"=c)", R"((label "\"a b\"" "c" "="))"},
      {"ARG a b=c d=\"e f\"", R"((arg "a" "b=c" "d=\"e f\""))"},
      {"HEALTHCHECK none", R"((healthcheck "none"))"},
      {"HEALTHCHECK --retries=3 CMD a  b", R"((healthcheck ["--retries=3"] "CMD" "a  b"))"},
      {R"(HEALTHCHECK cmd ["a"])", R"((healthcheck "cmd" "a"))"},
      {"HEALTHCHECK", "(healthcheck)"},
  });
}

TEST(DockerfileParser, OnBuildHoldsAnInstruction) {
  Check({
      {"ONBUILD RUN a b", R"((onbuild (run "a b")))"},
      {"ONBUILD COPY --from=x a b", R"((onbuild (copy ["--from=x"] "a" "b")))"},
      {"ONBUILD", "(onbuild)"},
      {"ONBUILD ONBUILD RUN a", R"((onbuild (onbuild (run "a"))))"},
      {"ONBUILD RUN <<E\nx\nE\nRUN b", "(onbuild (run \"<<E\"))\n(run \"b\")"},
  });
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "ONBUILD \\\n";
  EXPECT_EQ(Parse(deep + "RUN x"), "ERR ONBUILD nested too deeply @1-5001");
}

TEST(DockerfileParser, ContinuesLines) {
  Check({
      {"RUN a \\\n  b", R"((run "a   b"))"},
      {"RUN a \\  \t\n b", R"((run "a  b"))"},
      {"RUN a \\\n# c\n  # d\n b", R"((run "a  b"))"},
      {"RUN a \\\n\n\n b", R"((run "a  b"))"},
      {"RUN a \\\\\nRUN b", "(run \"a \\\\\\\\\")\n(run \"b\")"},
      {"RUN a \\\\\\\nRUN b", "(run \"a \\\\\\\\\\\\\")\n(run \"b\")"},
      {"RUN a \\", R"((run "a"))"},
      {"RUN \\\n\\\n a", R"((run "a"))"},
      {"\\\nRUN a", R"((run "a"))"},
      {"RUN a \\\r\n b\r\nRUN c\r\n", "(run \"a  b\")\n(run \"c\")"},
      {"RU\\\nN a", R"((run "a"))"},
      {"  RUN a\n\t# c\n RUN b", "(run \"a\")\n(run \"b\")"},
      {"RUN a # b", R"((run "a # b"))"},
      {"RUN a \\ b", R"((run "a \\ b"))"},
  });
  EXPECT_EQ(ParseDockerfile("RUN a \\\n\n b\nRUN c \\\n# d\n e")->empty_continuations,
            std::vector<int>{3});
}

TEST(DockerfileParser, EscapeDirectiveComesFirstOrNotAtAll) {
  Check({
      {"# escape=`\nRUN a `\n b", R"((run "a  b"))"},
      {"#escape = `  \nRUN a `\n b", R"((run "a  b"))"},
      {"# ESCAPE=`\nRUN a \\\nRUN b", "(run \"a \\\\\")\n(run \"b\")"},
      {"# syntax=x\n# escape=`\nRUN a `\n b", R"((run "a  b"))"},
      {"# other=x\n# escape=`\nRUN a `\nRUN b", "(run \"a `\")\n(run \"b\")"},
      {"# comment\n# escape=`\nRUN a `\nRUN b", "(run \"a `\")\n(run \"b\")"},
      {"\n# escape=`\nRUN a `\nRUN b", "(run \"a `\")\n(run \"b\")"},
      {"FROM x\n# escape=`\nRUN a `\nRUN b", "(from \"x\")\n(run \"a `\")\n(run \"b\")"},
      {"\xEF\xBB\xBF# escape=`\nRUN a `\n b", R"((run "a  b"))"},
      {"  # escape=`\nRUN a `\n b", R"((run "a  b"))"},
      {"# escape=x\nRUN a", "ERR invalid escape token 'x' does not match ` or \\ @0-0"},
      {"# escape=``\nRUN a", "ERR invalid escape token '``' does not match ` or \\ @0-0"},
      {"# escape=`\n# escape=`\nRUN a", "ERR only one escape parser directive can be used @1-1"},
      {"# syntax=a\n# Syntax=b\nRUN a", "ERR only one syntax parser directive can be used @1-1"},
      {"# check=skip=all\n# check=error=true\nRUN a",
       "ERR only one check parser directive can be used @1-1"},
      {"# escape=`\nENV a=b` c d=e", R"((env "a" "b` c" "=" "d" "e" "="))"},
  });
}

std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(DockerfileParser, TakesHeredocsWhereTheyMayBe) {
  const auto heredocs = [](const std::string& text) {
    std::string out;
    const Located<ParsedDockerfile> parsed = ParseDockerfile(text);
    if (!parsed) return "ERR " + parsed.error().message;
    for (const Heredoc& h : parsed->root.children.front().heredocs) {
      out += h.name + ":" + std::to_string(h.file_descriptor) + (h.expand ? "e" : "") +
             (h.chomp ? "c" : "") + ":" + h.content + "|";
    }
    return out;
  };
  const std::vector<Case> cases = {
      {"RUN <<EOF\na\n  b\nEOF\n", "EOF:0e:a\n  b\n|"},
      {"RUN <<A <<B\na\nA\nb\nB\n", "A:0e:a\n|B:0e:b\n|"},
      {"RUN <<-EOF\n\ta\n\tEOF\n", "EOF:0ec:\ta\n|"},
      {"RUN <<'EOF'\na\nEOF\n", "EOF:0:a\n|"},
      {"RUN <<\"EOF\"\na\nEOF\n", "EOF:0:a\n|"},
      {"RUN <<E'O'F\na\nEOF\n", "EOF:0:a\n|"},
      {"RUN 3<<EOF\na\nEOF\n", "EOF:3e:a\n|"},
      {"RUN cat << EOF\na\nEOF", "EOF:0e:a\n|"},
      {"COPY <<a.txt <<b.txt /\n1\na.txt\n2\nb.txt\n", "a.txt:0e:1\n|b.txt:0e:2\n|"},
      {"ADD <<a /\n\na\n", "a:0e:\n|"},
      {"RUN <<EOF\r\na\r\nEOF\r\n", "EOF:0e:a\r\n|"},
      {"RUN <<EOF\n# a\n\\\nEOF", "EOF:0e:# a\n\\\n|"},
      {"RUN echo '<<EOF'", ""},
      {"RUN echo \"<<EOF\"", ""},
      {"RUN echo \\<<EOF", ""},
      {"RUN cat <<<EOF", ""},
      {"RUN echo $((1 << 2", "ERR unterminated heredoc"},
      {"RUN [\"a\", \"<<EOF\"]", ""},
      {"RUN [\"<<EOF\"]", ""},
      {"CMD <<EOF", ""},
      {"RUN <<EOF\na", "ERR unterminated heredoc"},
      {"RUN <<EOF\n EOF\n", "ERR unterminated heredoc"},
      {"RUN <<-EOF\n EOF\n", "ERR unterminated heredoc"},
      {"RUN <<E \\\n  a\nx\nE\n", "E:0e:x\n|"},
      {"RUN it's <<EOF", ""},
      {"RUN <<$E\nx\n$E\n", "$E:0e:x\n|"},
      {"ONBUILD COPY <<E /\nx\nE\n", "E:0e:x\n|"},
      {"RUN : ${x:=d}; cat <<E\nx\nE", "E:0e:x\n|"},
      {"RUN echo ${x:0:3} <<E\nx\nE", "E:0e:x\n|"},
      {"COPY <<E ${d:=/x}\nx\nE", "E:0e:x\n|"},
      {"RUN echo " + Repeat("${a:-", 150) + Repeat("}", 150) + " <<E\nx\nE",
       "ERR too long, or nested too deeply, to look for heredocs"},
  };
  for (const Case& c : cases) EXPECT_EQ(heredocs(c.text), c.want) << c.text;
}

TEST(DockerfileParser, CountsLines) {
  const ParsedDockerfile parsed =
      ParseDockerfile("# c\n\nFROM a\nRUN b \\\n  # d\n  c\nRUN <<E\nx\nE\n\nCMD d").value();
  std::vector<Lines> lines;
  lines.reserve(parsed.root.children.size());
  for (const Node& node : parsed.root.children) lines.push_back(node.lines);
  EXPECT_EQ(lines, (std::vector<Lines>{{3, 3}, {4, 6}, {7, 9}, {11, 11}}));
}

TEST(DockerfileParser, KeepsCommentsForTheInstructionBehindThem) {
  const auto comments = [](const std::string& text) {
    return ParseDockerfile(text)->root.children.front().comments;
  };
  using Comments = std::vector<std::string>;
  EXPECT_EQ(comments("# a\n# b\nFROM x"), (Comments{"a", "b"}));
  EXPECT_EQ(comments("# a\n#\n# b\nFROM x"), Comments{"b"});
  EXPECT_EQ(comments("# syntax=a\n# b\nFROM x"), Comments{"b"});
  EXPECT_EQ(comments("# a\n\nFROM x"), Comments{"a"});
}

TEST(DockerfileParser, RefusesWhatHoldsNothing) {
  Check({
      {"", "ERR file with no instructions @0-0"},
      {"# a\n\n", "ERR file with no instructions @2-2"},
      {"RUN " + std::string(65531, 'a'), "(run \"" + std::string(65531, 'a') + "\")"},
      {"FROM a\nRUN " + std::string(65532, 'a'),
       "ERR dockerfile line greater than max allowed size of 65535 @1-1"},
      {std::string(65536, 'a'), "ERR file with no instructions @0-0"},
  });
}

}  // namespace
}  // namespace veneer::build
