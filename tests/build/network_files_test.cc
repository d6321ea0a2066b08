// /etc/hosts and /etc/resolv.conf of a step.
#include "tools/build/run/network_files.h"

#include <gtest/gtest.h>

namespace veneer::build {
namespace {

TEST(NetworkFiles, HostsAreThisOneAndTheGivenOnes) {
  EXPECT_EQ(HostsFile("sandbox", {}).value(),
            "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n");
  EXPECT_EQ(HostsFile("x", {"a:1.2.3.4", "b:::1", "c:[fe80::1]", "d:host-gateway"}).value(),
            "127.0.0.1\tlocalhost x\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            "1.2.3.4\ta\n::1\tb\nfe80::1\tc\n127.0.0.1\td\n");
}

TEST(NetworkFiles, HostsThatAreNoneAreErrors) {
  EXPECT_EQ(HostsFile("x", {"a:1.2.3"}).error().Message(),
            "invalid IP address in add-host: \"1.2.3\"");
  EXPECT_EQ(HostsFile("x", {"a"}).error().Message(), "invalid IP address in add-host: \"\"");
  EXPECT_EQ(HostsFile("x", {"a b:1.2.3.4"}).error().Message(), "invalid name in add-host: \"a b\"");
  EXPECT_FALSE(HostsFile("x", {"a\n6.6.6.6 evil:1.2.3.4"}));
}

constexpr const char* kText =
    "# mine\nsearch example\nnameserver 127.0.0.53\nnameserver 10.0.0.1\n nameserver\t::1 # c\n"
    "options edns0\n";

TEST(NetworkFiles, TheHostsNetworkHasTheHostsServers) {
  EXPECT_EQ(ResolvConf(kText, /*hosts_network=*/true), kText);
  EXPECT_EQ(ResolvConf("nameserver 127.0.0.53", true), "nameserver 127.0.0.53\n");
}

TEST(NetworkFiles, ElsewhereServersOnLoopbackAreOutOfReach) {
  EXPECT_EQ(ResolvConf(kText, false),
            "# mine\nsearch example\nnameserver 10.0.0.1\noptions edns0\n");
}

TEST(NetworkFiles, WithoutAServerThereAreDefaultOnes) {
  for (const bool hosts_network : {true, false}) {
    const std::string text = ResolvConf("search example\n# nameserver 1.1.1.1\n", hosts_network);
    EXPECT_TRUE(text.starts_with("search example\n# nameserver 1.1.1.1\nnameserver 8.8.8.8\n"))
        << text;
    EXPECT_TRUE(ResolvConf("", hosts_network).starts_with("nameserver 8.8.8.8\n"));
  }
  EXPECT_TRUE(ResolvConf("nameserver 127.0.0.1\n", false).starts_with("nameserver 8.8.8.8\n"));
}

}  // namespace
}  // namespace veneer::build
