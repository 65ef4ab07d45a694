#include "cli/interrupt.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace retort::cli {
namespace {

TEST(StoppingProgress, EndsWorkThatKnowsNoStopToken) {
  std::stop_source source;
  StoppingProgress progress(silent_progress(), source.get_token());
  progress.update("loading images", 1, 2, "");
  source.request_stop();
  try {
    progress.update("loading images", 2, 2, "");
    FAIL() << "goes on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Interrupted);
    EXPECT_STREQ(error.what(), "loading images was interrupted");
  }
}

}  // namespace
}  // namespace retort::cli
