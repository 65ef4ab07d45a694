// A search gives the same files whatever the locale and the time zone of its process.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <clocale>
#include <cstdlib>
#include <locale>
#include <string>

#include "base/json.h"
#include "essence.h"
#include "search/search.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

Json found() {
  SearchSettings settings = preset("notebook");
  settings.sampler = "list";
  settings.configs = {"1,1,8,0", "1,1,8,1,8"};
  settings.teacher.kind = TeacherKind::None;
  settings.pipeline.batch_size = 16;
  settings.pipeline.gate = 0;
  settings.pipeline.curriculum = compress::Curriculum::RandomPacing;
  settings.pipeline.views = {.mirror = data::Mirror::Horizontal, .max_shift = 1, .most = 4};
  settings.pipeline.quick_epochs = 1;
  settings.pipeline.distill_epochs = 1;
  settings.pipeline.qat_epochs = 1;
  settings.top = 1;
  settings.finalist_seeds = 1;
  const TemporaryFolder folder;
  Json out =
      essence(run_search(settings, synthetic(), {.folder = folder.path(), .workers = 2}), folder.path());
  // Read back, as a later run under this locale would.
  out["read"] = essence(load_study(folder.path()), folder.path());
  for (const char* file : {"trials/0/weights.retort", "trials/1/weights.retort", "best/model.json"})
    out[file] = sha256_hex(read_file(folder.path() / file));
  return out;
}

// With a comma before decimals and points between thousands. False where it cannot be made.
bool make_german(const fs::path& folder) {
  const std::string command =
      "localedef -i de_DE -f UTF-8 '" + (folder / "de_DE.UTF-8").string() + "' > /dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

class Surroundings : public testing::Test {
 protected:
  void TearDown() override {
    std::locale::global(std::locale::classic());
    std::setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
    unsetenv("TZ");
    tzset();
  }
};

TEST_F(Surroundings, OtherLocalesGiveTheSame) {
  const TemporaryFolder locales;
  if (!make_german(locales.path())) GTEST_SKIP() << "no localedef, or no sources of locales";
  const Json expected = found();
  setenv("LOCPATH", locales.path().c_str(), 1);
  ASSERT_NE(std::setlocale(LC_ALL, "de_DE.UTF-8"), nullptr);
  ASSERT_EQ(std::string(std::localeconv()->decimal_point), ",");
  EXPECT_EQ(found(), expected) << "with C's locale";
  std::locale::global(std::locale("de_DE.UTF-8"));
  EXPECT_EQ(found(), expected) << "with that of C++ too";
}

TEST_F(Surroundings, OtherTimeZonesGiveTheSame) {
  const Json expected = found();
  for (const char* zone : {"XXX-05:45", "YYY+11"}) {
    setenv("TZ", zone, 1);
    tzset();
    EXPECT_EQ(found(), expected) << zone;
  }
}

}  // namespace
}  // namespace retort::search
