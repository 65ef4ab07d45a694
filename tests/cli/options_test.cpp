#include "cli/options.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace retort::cli {
namespace {

// The sentence that parsing gives, "" when it is content.
template <typename Add>
std::string sentence(const Add& add, std::vector<std::string> arguments) {
  CLI::App app;
  add(app);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "";
}

TEST(Options, IntegersAreCheckedWhole) {
  int value = 5;
  const auto add = [&](CLI::App& app) { add_integer(app, "--epochs", value, 1, 100, "passes"); };
  EXPECT_EQ(sentence(add, {"--epochs", "7"}), "");
  EXPECT_EQ(value, 7);
  for (const char* bad : {"0", "101", "1.5", "ten", "", "3x", "99999999999", " 4"})
    EXPECT_EQ(sentence(add, {"--epochs", bad}),
              fmt::format("--epochs: \"{}\" is not a whole number from 1 to 100", bad));
  EXPECT_EQ(value, 7);
}

TEST(Options, NumbersAreCheckedWhole) {
  double value = 0.1;
  const auto add = [&](CLI::App& app) { add_number(app, "--alpha", value, 0, 1, "weight"); };
  EXPECT_EQ(sentence(add, {"--alpha", "0.25"}), "");
  EXPECT_EQ(value, 0.25);
  for (const char* bad : {"1.1", "-0.1", "nan", "inf", "a", "0.5.5"})
    EXPECT_EQ(sentence(add, {"--alpha", bad}),
              fmt::format("--alpha: \"{}\" is not a number from 0 to 1", bad));
}

TEST(Options, SizesCountsAndTimes) {
  std::optional<int64_t> flash;
  std::optional<int64_t> macs;
  std::optional<double> time;
  const auto add = [&](CLI::App& app) {
    add_bytes(app, "--flash", flash, "flash");
    add_count(app, "--macs", macs, "macs");
    add_duration(app, "--time", time, "time");
  };
  EXPECT_EQ(sentence(add, {"--flash", "64K", "--macs", "2M", "--time", "1h30m"}), "");
  EXPECT_EQ(flash, 65536);
  EXPECT_EQ(macs, 2'000'000);
  EXPECT_EQ(time, 5400);
  EXPECT_EQ(sentence(add, {"--flash", "64Q"}),
            "--flash: \"64Q\" is not a size in bytes: write it like 64K, 1.5M or 65536");
  EXPECT_EQ(sentence(add, {"--flash", "0"}), "--flash: \"0\" leaves no room: write a size like 64K");
  EXPECT_EQ(sentence(add, {"--macs", "0"}), "--macs: \"0\" allows nothing: write a count like 2M");
  EXPECT_EQ(sentence(add, {"--time", "0s"}), "--time: \"0s\" is no time at all: write a duration like 30m");
}

TEST(Options, ListsTakeEachNumberOnce) {
  std::vector<int> values = {1};
  const auto add = [&](CLI::App& app) { add_integer_list(app, "--blocks", values, 1, 9, "blocks"); };
  EXPECT_EQ(sentence(add, {"--blocks", "1,2,3"}), "");
  EXPECT_EQ(values, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(sentence(add, {"--blocks", "1,1"}), "--blocks: 1 stands twice in \"1,1\"");
  EXPECT_EQ(sentence(add, {"--blocks", "1,"}), "--blocks: \"\" is not a whole number from 1 to 9");
}

TEST(Options, ImageShapes) {
  std::optional<data::ImageShape> shape;
  const auto add = [&](CLI::App& app) { add_image_shape(app, "--input", shape, "input"); };
  EXPECT_EQ(sentence(add, {"--input", "32x16x3"}), "");
  EXPECT_EQ(shape, (data::ImageShape{32, 16, 3}));
  for (const char* bad : {"32x32", "32x32x0", "32x32x3x1", "x", "axbxc", "32x32x-1", "70000x1x1"})
    EXPECT_EQ(
        sentence(add, {"--input", bad}),
        fmt::format("--input: \"{}\" is not a shape: write height, width and channels like 32x32x1", bad));
}

TEST(Options, Choices) {
  engine::TrainOptions training;
  engine::OptimizerOptions optimizer;
  search::PipelineSettings settings;
  const auto add = [&](CLI::App& app) {
    add_training_options(app, training, "teacher-");
    add_optimizer_options(app, optimizer);
    add_quantize_options(app, settings);
    add_ends_option(app, settings.ends);
  };
  EXPECT_EQ(sentence(add, {"--teacher-schedule", "cosine", "--teacher-early-stopping", "loss", "--optimizer",
                           "sgd", "--keep", "last", "--ends", "int8"}),
            "");
  EXPECT_EQ(training.schedule.kind, engine::ScheduleKind::Cosine);
  EXPECT_EQ(training.early_stopping, engine::MonitorKind::ValidationLoss);
  EXPECT_EQ(optimizer.kind, engine::OptimizerKind::Sgd);
  EXPECT_EQ(settings.qat_keep, search::KeepEpoch::Last);
  EXPECT_EQ(settings.ends, int8::Ends::Int8);
  EXPECT_EQ(sentence(add, {"--ends", "half"}), "--ends: \"half\" is unknown: write float or int8");
  EXPECT_EQ(sentence(add, {"--optimizer", "lion"}), "--optimizer: \"lion\" is unknown: write adam or sgd");
  EXPECT_EQ(sentence(add, {"--keep", "first"}), "--keep: \"first\" is unknown: write best or last");
  EXPECT_NE(sentence(add, {"--teacher-schedule", "linear"}).find("--teacher-schedule: "), std::string::npos);
}

TEST(Options, OptimisersInWords) {
  engine::OptimizerOptions optimizer;
  std::vector<std::string> stages = {"quick"};
  search::PipelineSettings settings;
  const auto add = [&](CLI::App& app) {
    add_optimizer_options(app, optimizer, "teacher-");
    add_stage_options(app, settings);
    add_quantize_options(app, settings, "qat-");
    add_names(app, "--stages", stages, "stages");
  };
  EXPECT_EQ(sentence(add, {"--teacher-beta1", "0.5", "--beta2", "0.75", "--epsilon", "1e-3", "--weight-decay",
                           "0.25", "--qat-range-momentum", "0.5", "--stages", "distill,export"}),
            "");
  EXPECT_EQ(optimizer.beta1, 0.5F);
  EXPECT_EQ(settings.optimizer.beta2, 0.75F);
  EXPECT_EQ(settings.optimizer.epsilon, 1e-3F);
  EXPECT_EQ(settings.optimizer.weight_decay, 0.25F);
  EXPECT_EQ(settings.range_momentum, 0.5F);
  EXPECT_EQ(stages, (std::vector<std::string>{"distill", "export"}));
  EXPECT_EQ(sentence(add, {"--stages", "a,"}), "");
  EXPECT_EQ(stages, (std::vector<std::string>{"a", ""}));
}

TEST(ShellCommand, QuotesWhatAShellWouldChange) {
  const char* const words[] = {"retort", "a/b-c=1,2", "images:p?size=8x8&gray=1", "it's", ""};
  EXPECT_EQ(shell_command(5, words), "retort a/b-c=1,2 'images:p?size=8x8&gray=1' 'it'\\''s' ''");
}

}  // namespace
}  // namespace retort::cli
