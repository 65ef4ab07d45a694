#include "report/live/access.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace retort::report {
namespace {

constexpr const char* kToken = "0123456789abcdef0123";

HttpRequest with(std::multimap<std::string, std::string> headers) {
  return {.method = "POST", .path = "/", .headers = std::move(headers)};
}

TEST(LiveAccess, AnswersToAddressesLocalhostAndItsNames) {
  const LiveAccess access({"Retort.example.org"}, "");
  for (const char* host :
       {"127.0.0.1:8137", "127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:8137", "192.168.0.7:80",
        "x.localhost:80", "retort.example.org", "RETORT.example.org:443"})
    EXPECT_TRUE(access.is_for_us(with({{"host", host}}))) << host;
  for (const char* host :
       {"", "evil.example", "evil.example:8137", "localhost.evil.example", "127.0.0.1.evil.example",
        "retort.example.org.evil.example", "localhost:80@evil.example", "[::1].evil.example",
        "[evil.example]", "localhost:x", "evil.example#localhost", "notlocalhost"})
    EXPECT_FALSE(access.is_for_us(with({{"host", host}}))) << host;
  EXPECT_FALSE(access.is_for_us(with({})));
  EXPECT_FALSE(access.is_for_us(with({{"host", "localhost"}, {"host", "localhost"}})));
}

TEST(LiveAccess, ChangesComeFromItsOwnPages) {
  const LiveAccess access({"retort.example.org"}, "");
  const std::string host = "localhost:8137";
  EXPECT_TRUE(access.is_from_us(with({{"host", host}}))) << "no browser";
  EXPECT_TRUE(access.is_from_us(with({{"host", host}, {"origin", "http://localhost:8137"}})));
  EXPECT_TRUE(access.is_from_us(
      with({{"host", host}, {"origin", "http://localhost:8137"}, {"sec-fetch-site", "same-origin"}})));
  EXPECT_TRUE(access.is_from_us(with({{"host", host}, {"origin", "https://retort.example.org"}})))
      << "a proxy";
  for (const char* origin : {"null", "", "http://evil.example", "http://localhost:8138", "http://localhost",
                             "http://localhost:8137.evil.example", "localhost:8137"})
    EXPECT_FALSE(access.is_from_us(with({{"host", host}, {"origin", origin}}))) << origin;
  for (const char* site : {"cross-site", "same-site", "anything"})
    EXPECT_FALSE(access.is_from_us(with({{"host", host}, {"sec-fetch-site", site}}))) << site;
  EXPECT_FALSE(access.is_from_us(
      with({{"host", host}, {"origin", "http://localhost:8137"}, {"origin", "http://localhost:8137"}})));
}

TEST(LiveAccess, KnowsTheTokenAndTheCookieItGave) {
  const LiveAccess open({}, "");
  EXPECT_TRUE(open.is_known(with({})));
  EXPECT_FALSE(open.is_token(""));
  const LiveAccess access({}, kToken);
  EXPECT_FALSE(access.is_known(with({})));
  EXPECT_TRUE(access.is_token(kToken));
  for (const std::string wrong : {"", "0123456789abcdef012", "0123456789abcdef01234", "0123456789ABCDEF0123"})
    EXPECT_FALSE(access.is_token(wrong)) << wrong;
  EXPECT_TRUE(access.is_known(with({{"authorization", std::string("Bearer ") + kToken}})));
  EXPECT_FALSE(access.is_known(with({{"authorization", kToken}})));
  EXPECT_FALSE(access.is_known(with({{"authorization", "Bearer 0123456789abcdef0124"}})));
  const std::string given = access.cookie();
  EXPECT_NE(given.find("HttpOnly"), std::string::npos);
  EXPECT_NE(given.find("SameSite=Strict"), std::string::npos);
  EXPECT_EQ(given.find(kToken), std::string::npos) << "a cookie that leaks does not give the token away";
  const std::string cookie = given.substr(0, given.find(';'));
  EXPECT_TRUE(access.is_known(with({{"cookie", cookie}})));
  EXPECT_TRUE(access.is_known(with({{"cookie", "a=b; " + cookie + "; c=d"}})));
  EXPECT_FALSE(access.is_known(with({{"cookie", cookie.substr(0, cookie.size() - 1)}})));
  EXPECT_FALSE(access.is_known(with({{"cookie", "x" + cookie}})));
  EXPECT_EQ(LiveAccess({}, kToken).cookie(), given) << "a server that is started anew knows it";
  EXPECT_FALSE(LiveAccess({}, "another token 0123").is_known(with({{"cookie", cookie}})));
}

TEST(LiveAccess, TokensCannotBeGuessed) {
  EXPECT_THROW(check_token("short"), Error);
  EXPECT_THROW(check_token("with a blank 0123456789"), Error);
  EXPECT_THROW(check_token("nicht-ASCII-ä-0123456789"), Error);
  check_token(kToken);
  check_token(new_token());
  EXPECT_NE(new_token(), new_token());
}

TEST(LiveAccess, ToldApart) {
  EXPECT_TRUE(is_loopback("127.0.0.1"));
  EXPECT_TRUE(is_loopback("127.9.9.9"));
  EXPECT_TRUE(is_loopback("::1"));
  for (const char* address : {"0.0.0.0", "::", "192.168.0.1", "128.0.0.1", "localhost.evil.example"})
    EXPECT_FALSE(is_loopback(address)) << address;
  EXPECT_TRUE(equal_secrets("", ""));
  EXPECT_FALSE(equal_secrets("a", "b"));
  EXPECT_FALSE(equal_secrets("a", "aa"));
}

}  // namespace
}  // namespace retort::report
