#include "study/secrets.h"

#include <gtest/gtest.h>

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
           {"postgresql://host:5432/a@b:c", "postgresql://host:5432/a@b:c", ""},
           {"postgresql://h/db?password=p%26w", "postgresql://h/db", "p&w"},
           {"postgresql://h/db?a=1&p%61ssword=pw&b=2", "postgresql://h/db?a=1&b=2", "pw"},
           {"postgresql://ann:one@h/db?password=two", "postgresql://ann@h/db", "two"},  // the last holds
           {"mysql://ann:pw@host/db", "mysql://ann:pw@host/db", ""},
           {"sqlite:file", "sqlite:file", ""},
       }) {
    const SplitUrl split = split_password(url);
    EXPECT_EQ(split.url, kept);
    EXPECT_EQ(split.password, password) << url;
  }
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
  for (const char* url : {"mysql://ann:geheim@host/db", "postgresql://ann:geheim/x@host:1/db",
                          "postgresql://ann:geheim@127.0.0.1:1/db", "postgresql://ann:geheim%zz@host/db",
                          "postgresql://ann@127.0.0.1:1/db?password=geheim",
                          "postgresql://ann:geheim@host/db?nonsense=1", "postgresql://ann:geheim@ho[st/db",
                          "postgresql://ann:geheim@host:port/db", "postgresql://[ann:geheim@host/db"}) {
    const std::string sentence = sentence_of(url);
    EXPECT_NE(sentence, "") << url;
    EXPECT_EQ(sentence.find("geheim"), std::string::npos) << sentence;
  }
}

}  // namespace
}  // namespace retort::study
