#include "study/secrets.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/error.h"
#include "study/storage.h"

namespace retort::study {
namespace {

TEST(Secrets, AreHiddenWhereverTheyStandInAUrl) {
  for (const auto& [text, shown] : {
           std::pair{"postgresql://ann@host/db", "postgresql://ann@host/db"},
           {"postgresql://ann:pw@host/db", "postgresql://ann:***@host/db"},
           {"postgres://ann:p%40w@host:5432/db?sslmode=require",
            "postgres://ann:***@host:5432/db?sslmode=require"},
           {"postgresql://host/db?user=ann&password=pw&connect_timeout=3",
            "postgresql://host/db?user=ann&password=***&connect_timeout=3"},
           {"postgresql://host/db?p%61ssword=pw", "postgresql://host/db?p%61ssword=***"},
           {"postgresql://host/db?sslpassword=pw&password=",
            "postgresql://host/db?sslpassword=***&password=***"},
           {"mysql://ann:pw@host/db", "mysql://ann:***@host/db"},
           // Only what is known to be harmless is shown, of the query.
           {"postgresql://h/db?Password=pw&scram_client_key=pw&sslmode=require",
            "postgresql://h/db?Password=***&scram_client_key=***&sslmode=require"},
           {"postgresql://h/db?password=p&w&user=ann", "postgresql://h/db?password=***&***&user=ann"},
           // What libpq would refuse.
           {"postgresql://ann:p/w@host/db", "postgresql://ann:***@host/db"},
           {"postgresql://ann:p@w@host/db", "postgresql://ann:***@host/db"},
           {"postgresql://ann:p?w@host/db?password=pw", "postgresql://ann:***@host/db?password=***"},
           {"retort search out --storage 'postgresql://ann:pw@host/db' --study x",
            "retort search out --storage 'postgresql://ann:***@host/db' --study x"},
           {"a postgresql://a:pw@b and postgresql://c:pw@d",
            "a postgresql://a:***@b and postgresql://c:***@d"},
           {"sqlite:file?password=no", "sqlite:file?password=no"},
           {"", ""},
       })
    EXPECT_EQ(hide_passwords(text), shown);
}

TEST(Secrets, ComeApartFromWhatTheDatabaseIs) {
  for (const auto& [url, kept, password] : {
           std::tuple{"postgresql://ann@host/db", "postgresql://ann@host/db", ""},
           {"postgresql://ann:pw@host/db", "postgresql://ann@host/db", "pw"},
           {"postgresql://ann:p%40%2Fw%@host", "postgresql://ann@host", "p@/w%"},
           {"postgres://:pw@/db?host=/run", "postgres://@/db?host=/run", "pw"},
           {"postgresql://host:5432/db", "postgresql://host:5432/db", ""},
           {"postgresql://host:5432/a%40b:c", "postgresql://host:5432/a%40b:c", ""},
           {"postgresql://h/db?password=p%26w", "postgresql://h/db", "p&w"},
           {"postgresql://h/db?port=1&p%61ssword=pw&user=b", "postgresql://h/db?port=1&user=b", "pw"},
           {"postgresql://ann:one@h/db?password=two", "postgresql://ann@h/db", "two"},  // the last holds
           {"mysql://ann:pw@host/db", "mysql://ann:pw@host/db", ""},
           {"sqlite:file", "sqlite:file", ""},
       }) {
    const SplitUrl split = split_password(url);
    EXPECT_EQ(split.url, kept);
    EXPECT_EQ(split.password, password) << url;
    EXPECT_EQ(split.held_back, "") << url;
  }
}

TEST(Secrets, OfOtherNamesAreHeldBackAndPutAgain) {
  const SplitUrl split =
      split_password("postgresql://ann:p?w@h/db?sslpassword=p%26w&sslmode=require&password=pw&Scram=x&y");
  EXPECT_EQ(split.url, "postgresql://ann@h/db?sslmode=require");
  EXPECT_EQ(split.password, "pw");
  EXPECT_EQ(split.held_back, "sslpassword=p%26w&Scram=x&y");
  setenv(kHeldBackVariable, split.held_back.c_str(), 1);
  EXPECT_EQ(with_held_back(split.url), split.url + "&" + split.held_back);
  EXPECT_EQ(with_held_back("postgresql://ann:p?w@h/db"), "postgresql://ann:p?w@h/db?" + split.held_back);
  EXPECT_EQ(with_held_back("sqlite:file"), "sqlite:file");
  unsetenv(kHeldBackVariable);
  EXPECT_EQ(with_held_back(split.url), split.url);
}

TEST(Secrets, AreInNoUrlThatIsRefused) {
  for (const char* url : {
           "host=127.0.0.1 user=u password=geheim dbname=x",
           "password=geheim host=a://b",
           "postgresql:u:geheim@h/db",
           "postgresql:/u:geheim",
           "Postgres:geheim",
           "pg:u:geheim@h",
           "u:geheim://h",
           "postgresql://u:p@geheim@host/db",
           "postgresql://u:p@geheim/x@host/db",
           "postgresql://u:12/geheim@host:1/db",
           "postgresql://u:geheim/db",
           "postgresql://[::1]:geheim/db",
           "postgresql://a:1,b:geheim/db",
           "postgresql://host?password=geheim@x",
           "postgresql://u:ge heim'geheim@host/db",
           "Postgresql://u:geheim@host/db",
       }) {
    const auto sentence = [&](const auto& call) -> std::string {
      try {
        call();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::Usage) << url;
        return error.what();
      }
      ADD_FAILURE() << url << " is taken";
      return {};
    };
    EXPECT_EQ(sentence([&] { check_url(url); }).find("heim"), std::string::npos) << url;
    EXPECT_EQ(sentence([&] { static_cast<void>(study_names(url)); }).find("heim"), std::string::npos) << url;
    EXPECT_FALSE(std::filesystem::exists(url));
    if (is_postgres(url)) {
      EXPECT_THROW(split_password(url), Error) << url;
    }
  }
  for (const char* url :
       {"out/study.db", "sqlite:a=b@c", "sqlite:postgres", "postgresql://h", "postgres:///db?host=%2Frun",
        "postgresql://ann%40x:p%40w@[::1]:5432,h2:1/db?options=-c%20a%3Db",
        "postgresql://u:p?w&x@h/db?user=a@b"})
    EXPECT_NO_THROW(check_url(url)) << url;
}

std::string sentence_of(const std::string& url) {
  try {
    static_cast<void>(study_names(url));
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Secrets, AreInNoSentence) {
  for (const char* url :
       {"mysql://ann:geheim@host/db", "postgresql://ann:geheim/x@host:1/db",
        "postgresql://ann:geheim@127.0.0.1:1/db", "postgresql://ann:geheim%zz@host/db",
        "postgresql://ann@127.0.0.1:1/db?password=geheim", "postgresql://ann@127.0.0.1:1/db?Password=geheim",
        "postgresql://ann@127.0.0.1:1/db?scram_client_key=geheim",
        "postgresql://ann@127.0.0.1:1/db?password=a&geheim", "postgresql://ann:p@geheim@127.0.0.1:1/db",
        "postgresql://ann:geheim@host/db?nonsense=1", "postgresql://ann:geheim@ho[st/db",
        "postgresql://ann:geheim@host:port/db", "postgresql://[ann:geheim@host/db"}) {
    const std::string sentence = sentence_of(url);
    EXPECT_NE(sentence, "") << url;
    EXPECT_EQ(sentence.find("geheim"), std::string::npos) << sentence;
  }
}

}  // namespace
}  // namespace retort::study
