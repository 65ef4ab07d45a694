#include "search/teacher.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/parallel.h"
#include "base/units.h"
#include "base/work_clock.h"
#include "compress/distillation.h"
#include "data/split_record.h"
#include "engine/checkpoint.h"
#include "graph/notebook.h"
#include "search/keep.h"
#include "search/plan.h"
#include "search/recipe.h"
#include "search/teacher_training.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

bool has_stage(const PipelineSettings& settings, std::string_view stage) {
  return std::ranges::find(settings.stages, stage) != settings.stages.end();
}
bool distils(const PipelineSettings& settings) {
  return has_stage(settings, "distill") || has_stage(settings, "channels");
}

int threads_of(const RunOptions& options) {
  return options.teacher_threads > 0 ? options.teacher_threads : available_cores();
}

std::unique_ptr<engine::Network> compile(const engine::Model& model, engine::CompileOptions compile_options,
                                         const RunOptions& options) {
  compile_options.threads = threads_of(options);
  auto network = options.backend.compile(model.graph, compile_options);
  network->set_parameters(model.parameters);
  return network;
}

engine::Model load_teacher(const fs::path& path, const data::Dataset& dataset) {
  engine::Model model = engine::load_model(path);
  const graph::Shape wanted = input_shape(dataset);
  const graph::Shape has = model.graph.input_shape();
  if (has.height != wanted.height || has.width != wanted.width || has.channels != wanted.channels)
    throw_usage("{}: takes images of {}, the data's are {}", path.string(), to_string(has),
                to_string(wanted));
  if (model.graph.classes() != static_cast<int>(dataset.classes.size()))
    throw_usage("{}: tells {} classes apart, the data has {}", path.string(), model.graph.classes(),
                dataset.classes.size());
  if (model.classes.empty()) model.classes = dataset.classes;
  return model;
}

engine::TeacherLogits load_logits(const SearchSettings& settings, const data::Dataset& dataset) {
  engine::TeacherLogits logits = compress::load_teacher_logits(settings.teacher.path, dataset);
  if (teaches(settings)) check_views(settings.teacher.path, logits, settings.pipeline.views);
  return logits;
}

double logits_accuracy(const engine::TeacherLogits& logits, const data::Dataset& dataset,
                       std::span<const uint32_t> indices) {
  int64_t correct = 0;
  for (const uint32_t index : indices) {
    const auto row = logits.row(index);
    if (std::ranges::max_element(row) - row.begin() == dataset.train.labels[index]) ++correct;
  }
  return static_cast<double>(correct) / static_cast<double>(std::max<size_t>(indices.size(), 1));
}

// Of a teacher that answers for one view of each image, from its speed on some.
double seconds_of_a_view(engine::Network& teacher, const data::ImageSet& images) {
  std::vector<uint32_t> some(std::min<size_t>(images.count(), 1024));
  std::iota(some.begin(), some.end(), 0U);
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 2; ++i) {  // the first also makes the plan
    const ThreadClock::time_point start = ThreadClock::now();
    static_cast<void>(engine::predict(teacher, images, some));
    best = std::min(best, seconds_since(start));
  }
  return best * static_cast<double>(images.count()) / static_cast<double>(some.size());
}

void check_room_for_answers(const MemoryBudget& memory, const data::Dataset& dataset,
                            const data::ViewOptions& views) {
  const size_t bytes =
      data::view_count(views) * dataset.train.count() * dataset.classes.size() * sizeof(float);
  if (const int64_t left = memory.left(); static_cast<int64_t>(bytes) > left)
    throw_failure(
        "the teacher's answers to {} of each image take {} of memory, and of the {} that this process may "
        "have {} are left: allow more (--memory) or fewer views (--shift, --mirror)",
        format_counted(static_cast<int64_t>(data::view_count(views)), "view"),
        format_bytes(static_cast<int64_t>(bytes)), format_bytes(memory.limit()), format_bytes(left));
}

// Trains it as the settings say, and stores it.
engine::Model trained_teacher(const fs::path& folder, const SearchSettings& settings, int epochs,
                              const data::Dataset& dataset, const data::Split& split, MemoryBudget& memory,
                              const RunOptions& options, TeacherResult& result) {
  engine::Model model{.graph = teacher_network(settings.teacher, dataset),
                      .parameters = {},
                      .classes = dataset.classes,
                      .split = data::record_of(settings.split, split)};
  const MemoryBudget::Share share =
      share_of_teacher(memory, model.graph, settings, split.train.size(), options);
  engine::TrainOptions train_options;
  train_options.epochs = epochs;
  train_options.batch_size = settings.teacher.batch_size;
  train_options.schedule = settings.teacher.schedule;
  train_options.views = settings.pipeline.views;
  train_options.validations = kStageValidations;
  const Rng rng = Rng(settings.seed).fork("teacher");
  TrainedTeacher trained = train_teacher({.graph = model.graph,
                                          .compile = teacher_compile_options(settings, options),
                                          .options = train_options,
                                          .weights = rng.fork("weights"),
                                          .images = rng,
                                          .folder = folder},
                                         dataset, split, options.backend, options.progress, options.stop);
  result.seconds = trained.history.seconds;
  result.history = std::move(trained.history);
  result.diverged = std::move(trained.diverged);
  model.parameters = trained.network->parameters();
  keep([&] { engine::save_model(folder / "weights.retort", model); });
  return model;
}

}  // namespace

void check_views(const std::string& path, const engine::TeacherLogits& logits,
                 const data::ViewOptions& views) {
  const std::vector<int> wanted = data::view_numbers(views);
  if (logits.views != wanted)
    throw_usage(
        "{}: logits for {} views of each image, and training with these --mirror and --shift sees {}{}: make "
        "the logits with the same two options",
        path, logits.views.size(), logits.views.size() == wanted.size() ? "other " : "", wanted.size());
}

bool teaches(const SearchSettings& settings) {
  const bool may_teach =
      std::ranges::find(settings.exploration.vary, "distill") != settings.exploration.vary.end();
  return teaches(settings.pipeline) || (compares_recipes(settings) && may_teach);
}

bool teaches(const PipelineSettings& settings) {
  return (distils(settings) && settings.alpha < 1) ||
         (has_stage(settings, "prune") && settings.prune_alpha < 1) ||
         (has_stage(settings, "quantize") && settings.qat_alpha < 1);
}

bool needs_teacher(const SearchSettings& settings) {
  const PipelineSettings& pipeline = settings.pipeline;
  return teaches(settings) || (pipeline.curriculum == compress::Curriculum::Entropy && distils(pipeline));
}

graph::Shape input_shape(const data::Dataset& dataset) {
  const data::ImageShape& shape = dataset.train.shape;
  return {.height = shape.height, .width = shape.width, .channels = shape.channels};
}

graph::Graph teacher_network(const TeacherSettings& teacher, const data::Dataset& dataset) {
  const auto classes = static_cast<int>(dataset.classes.size());
  return teacher.config.empty() ? graph::teacher_graph(input_shape(dataset), classes)
                                : graph::graph_from_config(teacher.config, input_shape(dataset), classes);
}

void check_teacher(const SearchSettings& settings, const data::Dataset& dataset) {
  switch (settings.teacher.kind) {
    case TeacherKind::None:
      return;
    case TeacherKind::Train:
      static_cast<void>(teacher_network(settings.teacher, dataset));
      return;
    case TeacherKind::Model:
      static_cast<void>(load_teacher(settings.teacher.path, dataset));
      return;
    case TeacherKind::Logits:
      static_cast<void>(load_logits(settings, dataset));
      return;
  }
}

engine::CompileOptions teacher_compile_options(const SearchSettings& settings, const RunOptions& options) {
  return {.batch_size = settings.teacher.batch_size,
          .threads = threads_of(options),
          .precision = settings.pipeline.precision,
          .optimizer = settings.teacher.optimizer};
}

MemoryBudget::Share share_of_teacher(MemoryBudget& memory, const graph::Graph& graph,
                                     const SearchSettings& settings, size_t images,
                                     const RunOptions& options) {
  const int64_t bytes = training_bytes(graph, teacher_compile_options(settings, options),
                                       last_batch(images, settings.teacher.batch_size), options.backend);
  try {
    return {memory, bytes, options.stop, "--teacher-batch"};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Interrupted) throw;
    throw Error(error.code(), fmt::format("the teacher: {}", error.what()));
  }
}

Teacher prepare_teacher(StudyFolder& folder, const SearchSettings& settings, int epochs,
                        const data::Dataset& dataset, const data::Split& split, MemoryBudget& memory,
                        const RunOptions& options) {
  const fs::path directory = folder.path() / "teacher";
  const fs::path logits_path = directory / "logits.npy";
  Teacher teacher;
  if (const auto stored = folder.document(kTeacherKey)) {
    teacher.result = *stored;
    if (teacher.result.source != "none") {
      teacher.logits = compress::load_teacher_logits(logits_path, dataset);
      data::ViewOptions answered = settings.pipeline.views;
      answered.most = static_cast<int>(teacher.logits->views.size());
      if (teaches(settings) && teacher.logits->views != data::view_numbers(answered))
        throw_usage(
            "{}: holds a teacher's answers to views of an earlier version, which had them in another order: "
            "begin "
            "the search anew in another folder",
            folder.path().string());
    }
    return teacher;
  }

  TeacherResult& result = teacher.result;
  const auto keep_logits = [&] {
    keep([&] { compress::save_teacher_logits(logits_path, *teacher.logits, dataset); });
  };
  const auto compute_logits = [&](const engine::Model& model) {
    const ThreadClock::time_point start = ThreadClock::now();
    const auto network = compile(
        model, {.batch_size = engine::kPredictsOnly, .precision = settings.pipeline.precision}, options);
    result.threads = threads_of(options);
    data::ViewOptions views = settings.pipeline.views;
    if (!teaches(settings)) {
      views.most = 1;  // a curriculum looks at the images themselves
    } else if (settings.seconds) {
      views = affordable_views(views, seconds_of_a_view(*network, dataset.train), *settings.seconds);
      const size_t all = data::view_count(settings.pipeline.views);
      if (const size_t some = data::view_count(views); some < all)
        options.progress.message(fmt::format(
            "The teacher answers for {} of the {} views that --mirror and --shift allow, so that this takes "
            "little of {}; distillation shows no others.",
            some, all, format_duration(*settings.seconds)));
    }
    check_room_for_answers(memory, dataset, views);
    teacher.logits = compress::teacher_logits(*network, dataset, views, options.progress, options.stop);
    result.logits_seconds = seconds_since(start);
    keep_logits();
  };
  switch (settings.teacher.kind) {
    case TeacherKind::None:
      result.source = "none";
      break;
    case TeacherKind::Logits:
      result.source = "logits " + settings.teacher.path;
      teacher.logits = load_logits(settings, dataset);
      keep_logits();
      break;
    case TeacherKind::Model: {
      result.source = "file " + settings.teacher.path;
      const engine::Model model = load_teacher(settings.teacher.path, dataset);
      keep([&] { engine::save_model(directory / "weights.retort", model); });
      compute_logits(model);
      break;
    }
    case TeacherKind::Train:
      if (epochs == 0) {
        result.source = "none";
        break;
      }
      result.source = "trained";
      compute_logits(trained_teacher(directory, settings, epochs, dataset, split, memory, options, result));
      break;
  }
  if (teacher.logits)
    result.validation_accuracy = logits_accuracy(*teacher.logits, dataset, split.validation);
  folder.put_document(kTeacherKey, result);
  forget_teacher_training(directory);
  return teacher;
}

double teacher_test_accuracy(const StudyFolder& folder, const data::ImageSet& images,
                             std::span<const uint32_t> indices, const RunOptions& options) {
  const fs::path path = folder.path() / "teacher" / "weights.retort";
  if (!fs::exists(path)) return kUnknown;
  const auto network = compile(engine::load_model(path), {.batch_size = engine::kPredictsOnly}, options);
  return engine::evaluate(*network, images, indices).accuracy;
}

}  // namespace retort::search
