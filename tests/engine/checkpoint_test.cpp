#include "engine/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "random_batch.h"
#include "small_data.h"

namespace retort::engine {
namespace {

using graph::Parameters;

class CheckpointFile : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             (std::string("retort_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder);
    path = folder / "file.retort";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string error_of(const std::function<void()>& function) {
    try {
      function();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Usage);
      const std::string message = error.what();
      EXPECT_EQ(message.find(path.string() + ": "), 0) << message;
      return message.substr(std::min(message.size(), path.string().size() + 2));
    }
    ADD_FAILURE() << "no error";
    return {};
  }

  std::filesystem::path folder;
  std::filesystem::path path;
};

Parameters numbers(const graph::Graph& graph, uint64_t seed) {
  Parameters parameters(graph);
  Rng rng(seed);
  for (float& value : parameters.values()) value = rng.normal();
  return parameters;
}

void expect_same(const Parameters& a, const Parameters& b) {
  ASSERT_EQ(a.specs(), b.specs());
  EXPECT_TRUE(std::equal(a.values().begin(), a.values().end(), b.values().begin()));
}

Checkpoint sample(const graph::Graph& graph) {
  Checkpoint checkpoint;
  checkpoint.parameters = numbers(graph, 1);
  checkpoint.optimizer = {12, numbers(graph, 2), numbers(graph, 3)};
  checkpoint.history.epochs = {{1, 1.0 / 3, 0.1, 2.0 / 7, 0.25, 1.5},
                               {2, 1e-300, 0.9, std::numeric_limits<double>::quiet_NaN(), 0.5, 2.5}};
  checkpoint.history.steps = 12;
  checkpoint.history.seconds = 4;
  checkpoint.rng = {0xFFFFFFFFFFFFFFFFULL, 0x123456789ABCDEFULL, 7};
  checkpoint.step = 12;
  checkpoint.best_monitor = std::numeric_limits<double>::infinity();
  checkpoint.epochs_without_gain = 1;
  return checkpoint;
}

TEST_F(CheckpointFile, GivesBackWhatWasSaved) {
  const graph::Graph graph = small_graph();
  for (const bool masked : {false, true}) {
    Checkpoint saved = sample(graph);
    if (masked) {
      saved.masks = numbers(graph, 4);
      saved.optimizer.second = {};
      saved.best_monitor = 0.1;
    }
    save_checkpoint(path, graph, saved);
    const Checkpoint loaded = load_checkpoint(path, graph);
    expect_same(saved.parameters, loaded.parameters);
    expect_same(saved.optimizer.first, loaded.optimizer.first);
    expect_same(saved.optimizer.second, loaded.optimizer.second);
    expect_same(saved.masks, loaded.masks);
    EXPECT_EQ(loaded.optimizer.steps, 12);
    ASSERT_EQ(loaded.history.epochs.size(), 2);
    EXPECT_EQ(loaded.history.epochs[0], saved.history.epochs[0]);
    EXPECT_EQ(loaded.history.epochs[1].train_loss, 1e-300);
    EXPECT_TRUE(std::isnan(loaded.history.epochs[1].validation_loss));
    EXPECT_EQ(loaded.history.seconds, 4);
    EXPECT_EQ(loaded.rng, saved.rng);
    EXPECT_EQ(loaded.step, 12);
    EXPECT_EQ(loaded.best_monitor, saved.best_monitor);
    EXPECT_EQ(loaded.epochs_without_gain, 1);
  }
}

TEST_F(CheckpointFile, TrainingGoesOnFromTheFile) {
  const graph::Graph graph = small_graph();
  const data::Dataset dataset = small_dataset();
  const auto training = range_of_indices(0, 80);
  const auto validation = range_of_indices(80, 120);
  TrainOptions options;
  options.epochs = 4;
  const auto fresh = [&] {
    auto network = backend("reference").compile(graph, {.batch_size = 32});
    network->set_parameters(graph::initialize(graph, Rng(4)));
    return network;
  };
  TrainCallbacks callbacks;
  callbacks.after_epoch = [&](const Checkpoint& checkpoint) {
    if (checkpoint.history.epochs.size() == 2) save_checkpoint(path, graph, checkpoint);
  };
  const auto whole = fresh();
  const History history = train(*whole, {dataset, training, validation}, options, Rng(9), callbacks, {});
  const auto resumed = fresh();
  const Checkpoint checkpoint = load_checkpoint(path, graph);
  const History again =
      train(*resumed, {dataset, training, validation}, options, Rng(10), {}, {}, &checkpoint);
  expect_same(whole->parameters(), resumed->parameters());
  EXPECT_EQ(history.epochs[3].validation_loss, again.epochs[3].validation_loss);
}

// On the backend that trains, with pruned weights: the file alone brings a new network to the same bits.
TEST_F(CheckpointFile, PrunedTrainingOnTheCpuGoesOnFromTheFile) {
  const graph::Graph graph = small_graph();
  const data::Dataset dataset = small_dataset();
  const auto training = range_of_indices(0, 90);  // batches of 32, 32 and 26
  const auto validation = range_of_indices(90, 120);
  TrainOptions options;
  options.epochs = 4;
  Parameters masks(graph);
  Rng rng(3);
  for (float& value : masks.values()) value = rng.below(2) == 0 ? 0.0F : 1.0F;
  const auto compile = [&] { return backend("cpu").compile(graph, {.batch_size = 32}); };

  const auto whole = compile();
  whole->set_parameters(graph::initialize(graph, Rng(4)));
  whole->set_masks(masks);
  train(*whole, {dataset, training, validation}, options, Rng(9), {}, {});

  const auto cut = compile();
  cut->set_parameters(graph::initialize(graph, Rng(4)));
  cut->set_masks(masks);
  std::stop_source stop;
  TrainCallbacks callbacks;
  callbacks.after_epoch = [&](const Checkpoint& checkpoint) {
    if (checkpoint.history.epochs.size() != 2) return;
    save_checkpoint(path, graph, checkpoint);
    stop.request_stop();
  };
  EXPECT_THROW(train(*cut, {dataset, training, validation}, options, Rng(9), callbacks, stop.get_token()),
               Error);

  const auto resumed = compile();
  const Checkpoint checkpoint = load_checkpoint(path, graph);
  train(*resumed, {dataset, training, validation}, options, Rng(10), {}, {}, &checkpoint);
  expect_same(resumed->parameters(), whole->parameters());
  for (const graph::ParameterSpec& spec : masks.specs()) {
    if (spec.role != graph::Role::Kernel) continue;
    const Parameters trained = resumed->parameters();
    for (size_t i = 0; i < spec.size; ++i)
      EXPECT_EQ(trained.at(spec.node, spec.role)[i] == 0, masks.at(spec.node, spec.role)[i] == 0);
  }
}

TEST_F(CheckpointFile, ModelsKeepGraphAndNumbers) {
  const Model saved{small_graph(), numbers(small_graph(), 6)};
  save_model(path, saved);
  const Model loaded = load_model(path);
  EXPECT_EQ(loaded.graph, saved.graph);
  expect_same(loaded.parameters, saved.parameters);
  EXPECT_FALSE(loaded.split);
}

TEST_F(CheckpointFile, ModelsTellTheSplitThatTheyWereTrainedBy) {
  Model model{small_graph(), numbers(small_graph(), 6)};
  model.split = {
      .options = {.seed = 3, .most_validation_images = 40}, .train_images = 60, .validation_images = 40};
  save_model(path, model);
  const auto loaded = load_model(path).split;
  ASSERT_TRUE(loaded);
  EXPECT_EQ(Json(*loaded), Json(*model.split));
}

TEST_F(CheckpointFile, DamageAnywhereIsNoticed) {
  const graph::Graph graph = small_graph();
  save_checkpoint(path, graph, sample(graph));
  const std::vector<uint8_t> whole = read_file(path);
  Rng rng(2);
  for (int i = 0; i < 60; ++i) {
    std::vector<uint8_t> damaged = whole;
    damaged[rng.below(static_cast<uint32_t>(whole.size()))] ^= static_cast<uint8_t>(1U << rng.below(8));
    write_file_atomic(path, damaged);
    error_of([&] { load_checkpoint(path, graph); });
  }
  for (int i = 0; i < 30; ++i) {
    write_file_atomic(path, std::span(whole).first(rng.below(static_cast<uint32_t>(whole.size()))));
    error_of([&] { load_checkpoint(path, graph); });
  }
}

TEST_F(CheckpointFile, ErrorsNameTheReason) {
  const graph::Graph graph = small_graph();
  save_checkpoint(path, graph, sample(graph));
  EXPECT_NE(error_of([&] { load_checkpoint(path, small_graph(5)); }).find("belongs to another graph"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { load_model(path); }), "not a retort-model file");
  save_model(path, {graph, numbers(graph, 1)});
  EXPECT_EQ(error_of([&] { load_checkpoint(path, graph); }), "not a retort-checkpoint file");

  std::vector<uint8_t> bytes = read_file(path);
  bytes.back() ^= 1;
  write_file_atomic(path, bytes);
  EXPECT_EQ(error_of([&] { load_model(path); }),
            "the file is damaged: its contents do not match their SHA-256");
  const size_t tensors = 4 * numbers(graph, 1).values().size();
  bytes.pop_back();
  write_file_atomic(path, bytes);
  EXPECT_EQ(error_of([&] { load_model(path); }),
            fmt::format("the file is damaged: its tensors have {} bytes where its header lists {}",
                        tensors - 1, tensors));

  for (const std::string text : {"", "\n", "PNG", "{}\n", "[1]\n", "{\"format\":3}\n", "null\n"}) {
    write_text_atomic(path, text);
    EXPECT_EQ(error_of([&] { load_model(path); }), "not a retort-model file") << text;
  }
  write_text_atomic(path, "{\"format\":\"retort-model\",\"version\":2}\n");
  EXPECT_EQ(error_of([&] { load_model(path); }),
            "version 2 of the retort-model format; this program reads version 1");

  // Printing or copying it would need more stack than there is.
  for (const auto& [open, close] : {std::pair("[", "]"), std::pair("{\"a\":", "}")}) {
    constexpr int levels = 300'000;
    std::string deep = "{\"format\":\"retort-model\",\"version\":1,\"graph\":";
    for (int i = 0; i < levels; ++i) deep += open;
    deep += "1";
    for (int i = 0; i < levels; ++i) deep += close;
    write_text_atomic(path, deep + "}\n");
    EXPECT_EQ(error_of([&] { load_model(path); }), "the header is nested more than 24 levels deep");
  }

  std::filesystem::remove(path);
  EXPECT_THROW(load_model(path), Error);
}

// Gigabytes without any disk behind them: those that no header lists are not read.
TEST_F(CheckpointFile, TakesNoMemoryForWhatItsHeaderDoesNotList) {
  constexpr uintmax_t kBytes = uintmax_t{1} << 40U;
  const graph::Graph graph = small_graph();
  save_model(path, {graph, numbers(graph, 1)});
  std::filesystem::resize_file(path, kBytes);
  EXPECT_NE(error_of([&] { load_model(path); }).find("the file is damaged: its tensors have 1099511"),
            std::string::npos);
  write_text_atomic(path, "");
  std::filesystem::resize_file(path, kBytes);
  EXPECT_EQ(error_of([&] { load_model(path); }), "not a retort-model file");
  // Listed, but more than there is memory.
  write_text_atomic(
      path, fmt::format("{{\"format\":\"retort-model\",\"version\":1,\"tensors\":[{{\"dims\":[{}]}}]}}\n",
                        kBytes / 4));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + kBytes);
  EXPECT_NE(error_of([&] { load_model(path); }).find("its tensors would take 1099.5 GB, more than the "),
            std::string::npos);
}

// A graph of a gigabyte in a file of a few hundred bytes.
TEST_F(CheckpointFile, TakesNoMemoryForAGraphWhoseTensorsItLacks) {
  graph::Graph large({1, 1, 16300, true});
  large.add(graph::Dense{.units = 16384});
  Json header = {{"format", "retort-model"},
                 {"version", 1},
                 {"graph", Json::parse(graph::graph_to_json(large))},
                 {"tensors", Json::array()}};
  header["sha256"] =
      sha256_hex(std::span(reinterpret_cast<const uint8_t*>(header.dump().data()), header.dump().size()));
  write_text_atomic(path, header.dump() + "\n");
  const std::string said = error_of([&] { load_model(path); });
  EXPECT_NE(said.find("has 0 bytes of tensors where its graph takes 1068"), std::string::npos) << said;
}

TEST_F(CheckpointFile, NumbersAreFinite) {
  const graph::Graph graph = small_graph();
  for (const float bad : {NAN, INFINITY}) {
    graph::Parameters parameters = numbers(graph, 1);
    parameters.values().back() = bad;
    save_model(path, {graph, parameters});
    EXPECT_EQ(error_of([&] { load_model(path); }), "its parameters are not all finite numbers");
  }
}

// Training goes on with them, wherever they come from.
TEST_F(CheckpointFile, WhatNoTrainingLeavesIsRefused) {
  const graph::Graph graph = small_graph();
  const auto refusal = [&](const auto& change) {
    Checkpoint checkpoint = sample(graph);
    change(checkpoint);
    save_checkpoint(path, graph, checkpoint);
    return error_of([&] { load_checkpoint(path, graph); });
  };
  EXPECT_EQ(refusal([](Checkpoint& checkpoint) { checkpoint.history.epochs.clear(); }),
            "says 0 epochs, 1 without gain, and 12 steps of the optimiser, which no training leaves");
  EXPECT_NE(refusal([](Checkpoint& checkpoint) { checkpoint.epochs_without_gain = INT_MAX; }), "");
  EXPECT_NE(refusal([](Checkpoint& checkpoint) { checkpoint.epochs_without_gain = -1; }), "");
  EXPECT_NE(refusal([](Checkpoint& checkpoint) { checkpoint.optimizer.steps = INT64_MAX; }), "");
  EXPECT_NE(refusal([](Checkpoint& checkpoint) { checkpoint.optimizer.steps = -1; }), "");
}

// What a double beyond a whole number's range becomes is undefined.
TEST_F(CheckpointFile, CountsAreWholeNumbersInRange) {
  const graph::Graph graph = small_graph();
  save_checkpoint(path, graph, sample(graph));
  const std::vector<uint8_t> saved = read_file(path);
  const auto end = std::ranges::find(saved, uint8_t{'\n'});
  const std::vector<uint8_t> tensors(end + 1, saved.end());
  for (const char* field : {"/step", "/optimizer_steps", "/epochs_without_gain", "/rng/1", "/history/steps",
                            "/history/epochs/0/epoch"})
    for (const Json& bad : {Json(1e300), Json(0.5), Json("1")}) {
      Json header = Json::parse(saved.begin(), end);
      header.at(Json::json_pointer(field)) = bad;
      header.erase("sha256");
      const std::string text = header.dump();
      std::vector<uint8_t> hashed(text.begin(), text.end());
      hashed.insert(hashed.end(), tensors.begin(), tensors.end());
      header["sha256"] = sha256_hex(hashed);
      const std::string line = header.dump() + "\n";
      std::vector<uint8_t> bytes(line.begin(), line.end());
      bytes.insert(bytes.end(), tensors.begin(), tensors.end());
      write_file_atomic(path, bytes);
      const std::string said = error_of([&] { load_checkpoint(path, graph); });
      EXPECT_NE(said.find("the header does not have what its format asks for"), std::string::npos)
          << field << " " << bad << ": " << said;
    }
}

// Goes on by hand.
struct HandClock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<HandClock>;
  static time_point now() { return time; }
  static inline time_point time{};
};

TEST(CheckpointPace, TheFirstIsWrittenAtOnceAndTheOthersTakeASmallShareOfTheTime) {
  using std::chrono::milliseconds;
  CheckpointPace<HandClock> pace;
  const auto written_in = [&](int cost) {
    return pace.write_if_due([&] { HandClock::time += milliseconds(cost); });
  };
  EXPECT_TRUE(written_in(10));
  EXPECT_FALSE(written_in(10));
  HandClock::time += milliseconds(999);
  EXPECT_FALSE(written_in(10));
  HandClock::time += milliseconds(1);
  EXPECT_TRUE(written_in(100));
  HandClock::time += milliseconds(1899);
  EXPECT_FALSE(written_in(100));
  HandClock::time += milliseconds(1);
  EXPECT_TRUE(written_in(30'000));
  HandClock::time += std::chrono::minutes(1);
  EXPECT_TRUE(written_in(100)) << "after a slow one, too";
}

}  // namespace
}  // namespace retort::engine
