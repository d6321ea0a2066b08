// --format as Docker's client evaluates it. The expected texts were taken from the real one (28.2),
// over this image.
#include "tools/go_template.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace veneer::tools {
namespace {

Json Image() {
  return Json::parse(R"({
    "Id": "sha256:2c5b7f3cdd5f3a2b1e9ad9f6a0ad4de7",
    "RepoTags": ["debian:12", "x:1"],
    "RepoDigests": [],
    "Parent": "",
    "Size": 123456789,
    "Config": {"Env": ["A=b"], "Cmd": ["sh"], "Labels": {"b": "<2>", "a": "1"}, "Healthcheck": null, "Volumes": null},
    "RootFS": {"Type": "layers", "Layers": ["sha256:aaa", "sha256:bbb"]},
    "F": 1.5,
    "Deep": {"N": 3, "B": true, "L": [1, 2.5, "x", null], "Nil": null}
  })");
}

// What `text` prints, or the error without Docker's "template parsing error: template: ".
std::string Format(const std::string& text) {
  const auto message = [](const Error& error) {
    const std::string prefix = "template parsing error: template: ";
    EXPECT_TRUE(error.Message().starts_with(prefix)) << error.Message();
    EXPECT_EQ(error.Message().find('\n'), std::string::npos) << error.Message();
    return "ERR " + error.Message().substr(prefix.size());
  };
  const Result<Template> parsed = Template::Parse(text);
  if (!parsed) return message(parsed.error());
  const Result<std::string> out = parsed->Execute(Image());
  return out ? *out : message(out.error());
}

struct Case {
  std::string text;
  std::string want;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(Format(c.text), c.want) << c.text;
}

TEST(GoTemplate, PrintsFieldsAsGoDoes) {
  Check({
      {"{{.Size}} {{.F}} {{.Deep.B}}", "123456789 1.5 true"},
      {"{{.Deep.L}}", "[1 2.5 x <nil>]"},
      {"{{.Config.Labels}}", "map[a:1 b:<2>]"},
      {"{{.Deep}}", "map[B:true L:[1 2.5 x <nil>] N:3 Nil:<nil>]"},
      {"{{.Config.Healthcheck}}", "<nil>"},
      {"{{   .Parent   }}", ""},
      {"{{$.F}} {{(.Config).Env}} {{.RepoTags}}", "1.5 [A=b] [debian:12 x:1]"},
  });
}

TEST(GoTemplate, RunsTheExamplesOfDockersDocumentation) {
  Check({
      {"{{range .RootFS.Layers}}{{println .}}{{end}}", "sha256:aaa\nsha256:bbb\n"},
      {"{{json .Config.Labels}}", R"({"b":"<2>","a":"1"})"},
      {"{{json .RootFS.Layers}}", R"(["sha256:aaa","sha256:bbb"])"},
      {"{{index .RepoTags 0}}", "debian:12"},
      {"{{join .Config.Env \" , \"}}", "A=b"},
      {"{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a=1 b=<2> "},
      {"{{(index (split .Id \":\") 1) | printf \"%.12s\"}}", "2c5b7f3cdd5f"},
      {"{{if .Parent}}{{.Parent}}{{else}}-{{end}}", "-"},
      {"{{with .Config}}{{index .Cmd 0}}{{end}}", "sh"},
      {"{{len .RootFS.Layers}} layers", "2 layers"},
  });
}

TEST(GoTemplate, AbsentFieldsAreErrorsAtTheTopAndNoValueBelow) {
  Check({
      {"{{.Foo}}", R"(ERR :1:2: executing "" at <.Foo>: can't evaluate field Foo)"},
      {"{{if .Size}}\n {{.Nope}}{{end}}",
       R"(ERR :2:3: executing "" at <.Nope>: can't evaluate field Nope)"},
      {"{{.size}}", R"(ERR :1:2: executing "" at <.size>: can't evaluate field size)"},
      {"{{.Config.Foo}}|{{.Config.Foo.Bar}}", "<no value>|<no value>"},
      {"{{.Config.Labels.z}}|{{index .Config.Labels \"z\"}}|{{index .Config.Volumes \"z\"}}",
       "<no value>||"},
      {"{{index .Deep \"zz\"}}", "<no value>"},
      {"{{.Size.X}}", R"(ERR :1:7: executing "" at <.Size.X>: can't evaluate field X in type int)"},
      {"{{(1).x}}", R"(ERR :1:5: executing "" at <(1).x>: can't evaluate field x in type int)"},
      {"{{range .Config.Foo}}x{{else}}none{{end}}", "none"},
      {"{{len .Config.Volumes}} {{join .Config.Volumes \",\"}}{{json .Config.Volumes}}", "0 null"},
  });
}

TEST(GoTemplate, ControlsFlow) {
  Check({
      {"{{if .Parent}}yes{{else if .Id}}id{{else}}no{{end}}", "id"},
      {"{{if .Parent}}a{{else if .Parent}}b{{else}}c{{end}}", "c"},
      {"{{range .RepoDigests}}x{{else}}none{{end}}", "none"},
      {"{{range $i, $e := .RootFS.Layers}}{{$i}}={{$e}} {{end}}", "0=sha256:aaa 1=sha256:bbb "},
      {"{{range 3}}{{.}}{{end}}", "012"},
      {"{{range .RepoTags}}{{if eq . \"x:1\"}}{{break}}{{end}}{{.}}{{continue}}z{{end}}",
       "debian:12"},
      {"{{with .Parent}}x{{else with .F}}{{.}}{{end}}", "1.5"},
      {"{{with .Parent}}x{{else}}y{{end}}", "y"},
      {"{{with $x := .F}}{{$x}}{{end}}", "1.5"},
      {"{{$x := 1}}{{$x = 2}}{{$x}}", "2"},
      {"{{$x := 1}}{{range .RepoTags}}{{$x = .}}{{end}}{{$x}}", "x:1"},
      {"{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"},
      {"{{range .Id}}x{{end}}",
       "ERR :1:8: executing \"\" at <.Id>: range can't iterate over "
       "sha256:2c5b7f3cdd5f3a2b1e9ad9f6a0ad4de7"},
      {"{{range $i, $c := \"ab\"}}{{end}}",
       "ERR :1:18: executing \"\" at <\"ab\">: range can't iterate over ab"},
      {"{{$x = 1}}", "ERR :1:7: executing \"\" at <1>: undefined variable: $x"},
  });
}

TEST(GoTemplate, TrimsAndComments) {
  Check({
      {"a {{- 1 -}} b", "a1b"},
      {"a {{- /* c */ -}} b", "ab"},
      {"{{/* c */}}x", "x"},
      {"{{1 -}} \n x", "1x"},
      {"{{-1}} {{- -1}}", "-1-1"},
      {"{{range .RepoTags -}}\n {{.}}\n{{- end}}", "debian:12x:1"},
      {"{{.F\n}}}}", "1.5}}"},
      {"{{/* c }}", "ERR :1: unclosed comment"},
      {"{{/* c */ }}", "ERR :1: comment ends before closing delimiter"},
  });
}

TEST(GoTemplate, ReadsLiterals) {
  Check({
      {"{{3}}{{\"a\"}}{{`raw\\n`}}{{'a'}}{{true}} {{0x1F}} {{1_000}} {{1e3}} "
       "{{1.5}}{{\"\\u00e9\\x41\\t\"}}",
       "3araw\\n97true 31 1000 1000 1.5éA\t"},
      {"{{1e21}} {{123456789.0}} {{1e20}} {{0.000001}} {{1e-7}}",
       "1e+21 1.23456789e+08 1e+20 1e-06 1e-07"},
      {"{{json 1e21}} {{json .F}} {{json 1e-7}} {{json 1.0}}", "1e+21 1.5 1e-7 1"},
      {"{{nil}}", "ERR :1:2: executing \"\" at <nil>: nil is not a command"},
      {"{{\"abc}}", "ERR :1: unterminated quoted string"},
      {"{{`abc}}", "ERR :1: unterminated raw quoted string"},
      {"{{'ab'}}", "ERR :1: malformed character constant: 'ab'"},
      {"{{\"a\\qb\"}}", "ERR :1: invalid syntax"},
      {"{{1.2.3}}", "ERR :1: unexpected \".3\" in operand"},
      {"{{1x}}", "ERR :1: bad number syntax: \"1x\""},
      {"{{3.b}}", "ERR :1: bad number syntax: \"3.b\""},
      {"{{99999999999999999999}}", "ERR :1: integer overflow: \"99999999999999999999\""},
  });
}

TEST(GoTemplate, NamesWhatCannotBeParsed) {
  Check({
      {"{{.}", "ERR :1: bad character U+007D '}'"},
      {"{{.Foo", "ERR :1: unclosed action"},
      {"x{{", "ERR :1: unclosed action"},
      {"\n{{if .Id}}\n{{.Id", "ERR :3: unclosed action"},
      {"{{.Id\n", "ERR :2: unclosed action started at :1"},
      {"{{}}", "ERR :1: missing value for command"},
      {"{{if}}x{{end}}", "ERR :1: missing value for if"},
      {"{{| .Foo}}", "ERR :1: unexpected \"|\" in command"},
      {"{{foo .Id}}", "ERR :1: function \"foo\" not defined"},
      {"{{.Id | 3}}", "ERR :1: non executable command in pipeline stage 2"},
      {"{{end}}", "ERR :1: unexpected {{end}}"},
      {"{{else}}", "ERR :1: unexpected {{else}}"},
      {"{{if .Id}}", "ERR :1: unexpected EOF"},
      {"{{if .Id}}a{{else}}b{{else}}c{{end}}", "ERR :1: expected end; found {{else}}"},
      {"{{range $i, $j, $k := .RepoTags}}{{end}}", "ERR :1: too many declarations in range"},
      {"{{range $i, 3 := .RepoTags}}{{end}}", "ERR :1: range can only initialize variables"},
      {"{{$a, $b := 1}}", "ERR :1: too many declarations in command"},
      {"{{(index .RepoTags 0}}", "ERR :1: unclosed left paren"},
      {"{{index .RepoTags 0)}}", "ERR :1: unexpected right paren"},
      {"{{$x}}", "ERR :1: undefined variable \"$x\""},
      {"{{$x := }}", "ERR :1: missing value for command"},
      {"{{x := 1}}", "ERR :1: function \"x\" not defined"},
      {"{{#}}", "ERR :1: unexpected \"#\" in command"},
      {"{{.Foo^}}", "ERR :1: bad character U+005E '^'"},
      {"{{.a-b}}", "ERR :1: bad character U+002D '-'"},
      {"{{é}}", "ERR :1: function \"é\" not defined"},
      {"{{.Id.}}", "ERR :1: unexpected <.> in operand"},
      {"{{\"a\".b}}", "ERR :1: unexpected . after term \"\\\"a\\\"\""},
      {"{{nil.b}}", "ERR :1: unexpected . after term \"nil\""},
      {"{{break}}", "ERR :1: {{break}} outside {{range}}"},
      {"{{define \"x\"}}{{end}}", "ERR :1: {{define}} is not supported"},
      {"{{if .Id}}a{{else with .Id}}b{{end}}", "ERR :1: unexpected <with> in else"},
  });
}

TEST(GoTemplate, CallsDockersFunctions) {
  Check({
      {"{{join .RepoTags \", \"}}", "debian:12, x:1"},
      {"{{split \"a,b,c\" \",\"}} {{len (split \"aé\" \"\")}}", "[a b c] 2"},
      {"{{upper \"abc\"}} {{lower \"ABC\"}} {{title \"hello wORLD foo-bar\"}}",
       "ABC abc Hello WORLD Foo-Bar"},
      {"{{pad \"x\" 2 3}}|{{pad \"\" 2 3}}|", "  x   ||"},
      {"{{truncate .Id 15}} {{truncate \"abc\" 15}}", "sha256:2c5b7f3c abc"},
      {"{{json \"a<b>&\\u2028\\n\\t\\u0001\\x7f\\\"\"}}", "\"a<b>&\\u2028\\n\\t\\u0001\x7f\\\"\""},
      {"{{json .Deep}}", R"({"N":3,"B":true,"L":[1,2.5,"x",null],"Nil":null})"},
      {"{{.Id | upper | printf \"%.9s-%s\" \"x\"}}", "x-SHA256:2C5B7F3CDD5F3A2B1E9AD9F6A0AD4DE7"},
      {"{{.RepoTags | join \",\"}}",
       "ERR :1:19: executing \"\" at <\",\">: can't handle \",\" for arg of type []string"},
      {"{{join .Deep.L \",\"}}",
       "ERR :1:12: executing \"\" at <.Deep.L>: wrong type for value; expected []string; got "
       "[]interface {}"},
      {"{{join .Id \",\"}}",
       "ERR :1:7: executing \"\" at <.Id>: wrong type for value; expected []string; got string"},
      {"{{truncate \"abc\" -1}}",
       "ERR :1:2: executing \"\" at <truncate \"abc\" -1>: error calling truncate: runtime error: "
       "slice bounds out of "
       "range [:-1]"},
      {"{{upper 3}}", "ERR :1:8: executing \"\" at <3>: expected string; found 3"},
      {"{{pad \"x\" \"y\" 1}}",
       "ERR :1:10: executing \"\" at <\"y\">: expected integer; found \"y\""},
      {"{{upper .Deep}}",
       "ERR :1:8: executing \"\" at <.Deep>: wrong type for value; expected string; got "
       "map[string]interface {}"},
      {"{{json}}",
       "ERR :1:2: executing \"\" at <json>: wrong number of args for json: want 1 got 0"},
      {"{{json 1 2}}",
       "ERR :1:2: executing \"\" at <json>: wrong number of args for json: want 1 got 2"},
      {"{{join .RepoTags}}",
       "ERR :1:2: executing \"\" at <join>: wrong number of args for join: want 2 got 1"},
      {"{{pad \"x\" 99999999999 1}}",
       "ERR :1:2: executing \"\" at <pad \"x\" 99999999999 1>: error calling pad: strings: Repeat "
       "output length "
       "overflow"},
  });
}

TEST(GoTemplate, CallsGosFunctions) {
  Check({
      {"{{println \"a\" 1 2 \"b\"}}", "a 1 2 b\n"},
      {"{{print \"a\" 1 2 \"b\" 3 true nil}} {{print 1 2 true}}|{{print}}",
       "a1 2b3 true <nil> 1 2 true|"},
      {"{{len .RepoTags}} {{len \"héllo\"}} {{len .Config.Labels}}", "2 6 2"},
      {"{{slice .Id 7 19}} {{slice .RepoTags 1}} {{slice \"abc\"}}", "2c5b7f3cdd5f [x:1] abc"},
      {"{{index .Deep \"L\" 2}} {{index .Deep.L 0}} {{index \"a\" 0}}", "x 1 97"},
      {"{{eq 1 1}} {{eq \"a\" \"b\" \"a\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} "
       "{{ge 1.5 1.5}}",
       "true true true true true true true"},
      {"{{eq true true}} {{eq nil nil}} {{eq \"a\" .Deep.Nil}} {{eq .Deep.Nil .Deep.Nil}}",
       "true true false true"},
      {"{{and 1 0 2}} {{or 0 \"\" \"x\"}} {{not 0}} {{or .Deep.Nil \"d\"}} {{and true "
       ".Config.Zz.Y}}",
       "0 x true d <no value>"},
      {"{{if and .Id (eq .Parent \"\")}}ok{{end}}", "ok"},
      {"{{or .Id (index .RepoTags 99)}}", "sha256:2c5b7f3cdd5f3a2b1e9ad9f6a0ad4de7"},
      {"{{ . | len }}", "9"},
      {"{{1 | print 2}}", "2 1"},
      {"{{index .RepoTags 5}}",
       "ERR :1:2: executing \"\" at <index .RepoTags 5>: error calling index: index out of range: "
       "5"},
      {"{{index .RepoTags -1}}",
       "ERR :1:2: executing \"\" at <index .RepoTags -1>: error calling index: index out of range: "
       "-1"},
      {"{{index .RepoTags \"a\"}}",
       "ERR :1:2: executing \"\" at <index .RepoTags \"a\">: error calling index: cannot index "
       "slice/array with type "
       "string"},
      {"{{index .Deep 3}}",
       "ERR :1:2: executing \"\" at <index .Deep 3>: error calling index: value has type int; "
       "should be string"},
      {"{{len 3}}", "ERR :1:2: executing \"\" at <len 3>: error calling len: len of type int"},
      {"{{slice .Id 7 9999}}",
       "ERR :1:2: executing \"\" at <slice .Id 7 9999>: error calling slice: index out of range: "
       "9999"},
      {"{{slice .Id 9 2}}",
       "ERR :1:2: executing \"\" at <slice .Id 9 2>: error calling slice: invalid slice index: 9 > "
       "2"},
      {"{{slice 3 1}}",
       "ERR :1:2: executing \"\" at <slice 3 1>: error calling slice: can't slice item of type "
       "int"},
      {"{{eq 1 \"a\"}}",
       "ERR :1:2: executing \"\" at <eq 1 \"a\">: error calling eq: incompatible types for "
       "comparison"},
      {"{{eq 1 1.0}}",
       "ERR :1:2: executing \"\" at <eq 1 1.0>: error calling eq: incompatible types for "
       "comparison"},
      {"{{lt .RepoTags 1}}",
       "ERR :1:2: executing \"\" at <lt .RepoTags 1>: error calling lt: invalid type for "
       "comparison"},
      {"{{eq .RepoTags .RepoTags}}",
       "ERR :1:2: executing \"\" at <eq .RepoTags .RepoTags>: error calling eq: non-comparable "
       "type [debian:12 x:1]: "
       "[]interface {}"},
      {"{{eq 1}}",
       "ERR :1:2: executing \"\" at <eq 1>: error calling eq: missing argument for comparison"},
      {"{{and}}",
       "ERR :1:2: executing \"\" at <and>: wrong number of args for and: want at least 1 got 0"},
      {"{{not}}", "ERR :1:2: executing \"\" at <not>: wrong number of args for not: want 1 got 0"},
      {"{{.Id .Id}}", "ERR :1:2: executing \"\" at <.Id>: Id is not a method but has arguments"},
      {"{{.Id | .Id}}", "ERR :1:8: executing \"\" at <.Id>: Id is not a method but has arguments"},
      {"{{3 4}}", "ERR :1:2: executing \"\" at <3>: can't give argument to non-function 3"},
  });
}

TEST(GoTemplate, PrintfFormatsAsFmtDoes) {
  Check({
      {R"({{printf "%s %d %v %q" "a" 3 .RepoTags "q\"x"}})", R"(a 3 [debian:12 x:1] "q\"x")"},
      {R"({{printf "%-10s|%5d|%05d|%.2f|%5.1f|%x|%X|%t|%c|%U|%T|%%|%z" "ab" 3 7 1.234 2.25 255 "hi" true 65 66 "x" 1}})",
       "ab        |    3|00007|1.23|  2.2|ff|6869|true|A|U+0042|string|%|%!z(int=1)"},
      {R"({{printf "%5t|%+d|% d|%#x|%e|%g|%v" true 3 4 255 1234.5 1e21 1e20}})",
       " true|+3| 4|0xff|1.234500e+03|1e+21|1e+20"},
      {R"({{printf "%q" .RepoTags}} {{printf "%s" .Config.Labels}} {{printf "%v" nil}})",
       R"(["debian:12" "x:1"] map[a:1 b:<2>] <nil>)"},
      {R"({{printf "%d" "a"}} {{printf "%s" 3}} {{printf "%d"}})",
       "%!d(string=a) %!s(int=3) %!d(MISSING)"},
      {R"({{printf "x" 3 "y"}})", "x%!(EXTRA int=3, string=y)"},
      {R"({{printf "%!|%" 1}})", "%!!(int=1)|%!(NOVERB)"},
      {R"({{printf "%[2]d %[1]d" 1 2}} {{printf "%*d" 5 1}})", "2 1     1"},
      {R"({{printf "%05d|%-5d|%d" -3 -3 -9223372036854775808}})",
       "-0003|-3   |-9223372036854775808"},
      {R"({{printf 3}})", "ERR :1:9: executing \"\" at <3>: expected string; found 3"},
  });
}

TEST(GoTemplate, AnObjectCanBeCalledWithAKey) {
  Check({
      {R"({{.Config.Labels "a"}}|{{.Config.Labels "none"}}|{{"b" | .Config.Labels}})", "1||<2>"},
      {R"({{.Config.Labels 3}})", "ERR :1:17: executing \"\" at <3>: expected string; found 3"},
  });
}

TEST(GoTemplate, TakesPlainJsonToo) {
  const nlohmann::json data = {{"b", 1}, {"a", "x"}};
  const Result<Template> parsed = Template::Parse("{{.a}}{{.b}}");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed->Execute(data), "x1");
}

TEST(GoTemplate, DeepNestingIsRefusedNotRecursedInto) {
  const auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  EXPECT_EQ(Format("{{" + repeat("(", 100) + "1" + repeat(")", 100) + "}}"), "1");
  EXPECT_EQ(Format("{{" + repeat("(", 100000) + "1"), "ERR :1: nested too deeply");
  EXPECT_EQ(Format(repeat("{{if 1}}", 100000)), "ERR :1: nested too deeply");
  EXPECT_EQ(Format("{{if 0}}" + repeat("{{else if 0}}", 100000)), "ERR :1: nested too deeply");
  Json deep;
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  EXPECT_FALSE(Template::Parse("{{.}}")->Execute(deep));
}

// Whatever is thrown at it, the parser answers with a template or a one-line error, and running
// ends.
TEST(GoTemplate, SurvivesRandomInput) {
  const std::vector<std::string> pieces = {
      "{{",   "}}",    "{{-",   "-}}",      " ",       "(",
      ")",    "|",     ".",     ".Id",      ".Config", ".Deep.L",
      "$",    "$x",    ":=",    "=",        ",",       "if",
      "else", "end",   "range", "with",     "break",   "continue",
      "json", "index", "slice", "printf",   "\"%d\"",  "\"%[1]*.[2]*[3]f\"",
      "\"",   "`",     "'",     "\\",       "/*",      "*/",
      "0",    "-1",    "1.5",   "0x",       "1e",      "_",
      "nil",  "true",  "and",   "or",       "eq",      "len",
      "join", "split", "pad",   "truncate", "\n",      "\xff",
      "é",    "\x01",  "%",     "#"};
  std::mt19937 random(20240101);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const bool action = random() % 2 == 0;
    if (action) text = "{{";
    for (uint32_t i = 0, count = random() % 16; i < count; ++i) {
      text += random() % 12 == 0 ? std::string(1, static_cast<char>(random() % 256))
                                 : pieces[random() % pieces.size()];
      if (action && random() % 2 == 0) text += ' ';
    }
    if (action) text += "}}";
    Format(text);
  }
}

}  // namespace
}  // namespace veneer::tools
