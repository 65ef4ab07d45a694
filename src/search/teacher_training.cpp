#include "search/teacher_training.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/checkpoint.h"
#include "engine/divergence.h"
#include "graph/parameters.h"
#include "search/keep.h"
#include "search/stored_json.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

struct Files {
  explicit Files(const fs::path& folder)
      : checkpoint(folder / "teacher.checkpoint"), diverged(folder / "diverged.json") {}
  void remove() const {
    std::error_code ignored;
    for (const fs::path& file : {checkpoint, diverged}) fs::remove(file, ignored);
  }

  fs::path checkpoint;
  fs::path diverged;
};

// What ended the trainings so far. Where that is damaged it goes, and so does the checkpoint: of which rate it is, nobody knows.
std::vector<Diverged> load_divergences(const Files& files, ProgressSink& progress) {
  if (!fs::exists(files.diverged)) return {};
  try {
    return read_stored(files.diverged.string(),
                       [&] { return parse_json(read_text(files.diverged)).get<std::vector<Diverged>>(); });
  } catch (const Error& error) {
    progress.message(fmt::format("The teacher begins anew: {}", error.what()));
    files.remove();
    return {};
  }
}

std::optional<engine::Checkpoint> load_checkpoint(const Files& files, const graph::Graph& graph,
                                                  ProgressSink& progress) {
  if (!fs::exists(files.checkpoint)) return std::nullopt;
  try {
    return engine::load_checkpoint(files.checkpoint, graph);
  } catch (const Error& error) {
    progress.message(fmt::format("The teacher begins anew: {}", error.what()));
    return std::nullopt;
  }
}

}  // namespace

TrainedTeacher train_teacher(const TeacherTraining& training, const data::Dataset& dataset,
                             const data::Split& split, const engine::Backend& backend, ProgressSink& progress,
                             const std::stop_token& stop) {
  const Files files(training.folder);
  TrainedTeacher teacher;
  teacher.diverged = load_divergences(files, progress);
  engine::TrainOptions options = training.options;
  if (!teacher.diverged.empty()) options.schedule.peak *= kRateAfterDivergence;
  engine::TrainCallbacks callbacks;
  callbacks.progress = &progress;
  callbacks.task = "teacher";
  while (true) {
    engine::CheckpointPace<> pace;
    callbacks.after_epoch = [&](const engine::Checkpoint& checkpoint) {
      pace.write_if_due(
          [&] { keep([&] { engine::save_checkpoint(files.checkpoint, training.graph, checkpoint); }); });
    };
    teacher.network.reset();  // two at once would take more memory than there may be
    teacher.network = backend.compile(training.graph, training.compile);
    teacher.network->set_parameters(graph::initialize(training.graph, training.weights));
    const auto resumed = load_checkpoint(files, training.graph, progress);
    try {
      teacher.history = engine::train(
          *teacher.network, {.dataset = dataset, .train = split.train, .validation = split.validation},
          options, training.images, callbacks, stop, resumed ? &*resumed : nullptr);
      return teacher;
    } catch (const engine::Divergence& error) {
      teacher.diverged.push_back({"training", error.what()});
      if (teacher.diverged.size() > kMostDivergences)
        throw engine::Divergence(fmt::format("the teacher, {}", error.what()));
      progress.message(fmt::format("The teacher, {}. It begins anew with {} of the rate.", error.what(),
                                   kRateAfterDivergence));
      // The checkpoint goes first: one of the old rate would go on with the new one.
      fs::remove(files.checkpoint);
      keep([&] { write_text_atomic(files.diverged, dump_json(Json(teacher.diverged))); });
      options.schedule.peak *= kRateAfterDivergence;
    }
  }
}

void forget_teacher_training(const fs::path& folder) {
  Files(folder).remove();
}

}  // namespace retort::search
