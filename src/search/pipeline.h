// The way of a candidate: stages that one and the same student goes through, each a function on the
// candidate.
//
// A single stage on a model of one's own (adopt_candidate instead of make_candidate for trained weights):
//
//   Context context{.dataset = *dataset, .split = split, .settings = settings, .teacher = &logits};
//   Candidate candidate = make_candidate("student", graph, Rng(seed));
//   distill(candidate, context);
//   engine::save_model(path, {candidate.graph, candidate.parameters, dataset->classes});
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/split_record.h"
#include "engine/network.h"
#include "engine/trainer.h"
#include "graph/graph.h"
#include "graph/parameters.h"
#include "search/results.h"
#include "search/settings.h"

namespace retort::search {

// What the export stage made.
struct ExportedModel {
  std::vector<uint8_t> tflite;
  double validation_accuracy = kUnknown;  // of the file's own numbers, bit-exact int8
  double sparsity = 0;                    // zeros among its kernels' int8 weights
};

// A student on its way. Value type: one thread owns it.
struct Candidate {
  std::string name;  // for progress: "trial 12"
  graph::Graph graph;
  graph::Parameters parameters;
  Rng rng{0};  // each stage draws from rng.fork(stage)
  // Where checkpoints are kept while a stage is trained and after it, so that a run that was cut off goes on to the
  // same numbers. Empty: nothing is kept.
  std::filesystem::path folder;
  std::vector<StageResult> stages;                 // finished so far
  std::map<std::string, int, std::less<>> epochs;  // of each stage, as decided when it began
  std::vector<Diverged> diverged;                  // after the first, rates are lower
  std::optional<ExportedModel> exported;
  std::string reason;  // why a stage said Skip
};

// Fresh weights, drawn from rng.fork("weights").
Candidate make_candidate(std::string name, const graph::Graph& graph, const Rng& rng,
                         std::filesystem::path folder = {});
// A trained network that goes on.
Candidate adopt_candidate(std::string name, const graph::Graph& graph, graph::Parameters parameters,
                          const Rng& rng, std::filesystem::path folder = {});

class MemoryBudget;

// What all candidates share. Read-only: any number of threads may use one Context, each with its own
// Candidate.
struct Context {
  const data::Dataset& dataset;
  const data::Split& split;
  std::optional<data::SplitRecord> split_record = std::nullopt;  // of it, for the files of weights
  const PipelineSettings& settings;
  const engine::TeacherLogits* teacher = nullptr;  // none: distillation trains on the labels alone
  // The training part in the curriculum's order (curriculum_order); needed unless settings.curriculum is
  // None.
  std::span<const uint32_t> curriculum{};
  const engine::Backend& backend = engine::backend();
  int threads = 1;                 // of one candidate's network
  MemoryBudget* memory = nullptr;  // whose shares candidates wait for; none: they all begin at once
  ProgressSink& progress = silent_progress();
  std::stop_token stop{};
  // The epochs that a training stage shall have, asked once as it begins; empty: the settings'. A timed
  // search shortens stages here.
  std::function<int(const Candidate&, std::string_view stage, int epochs)> epochs{};
  // After each epoch of a training stage, with those of the stage so far; candidate.stages has the ones before it.
  std::function<void(const Candidate&, const engine::History&)> epoch_finished{};
  // After each epoch whose checkpoint is in the candidate's folder.
  std::function<void()> epoch_kept{};
  // After each finished stage, with its result as the last of candidate.stages.
  std::function<void(const Candidate&)> stage_finished{};

  // The same with other settings, which it refers to.
  [[nodiscard]] Context with(const PipelineSettings& other) const;
};

// Order of the training part for settings.curriculum: by the entropy of the teacher's prediction,
// H = −Σ p · log(p + 1e-10), easy first; or at random for the control. Empty for Curriculum::None. Throws
// Error(Usage) when the order needs a teacher and there is none.
std::vector<uint32_t> curriculum_order(compress::Curriculum curriculum, const data::Split& split,
                                       const engine::TeacherLogits* teacher, const Rng& rng);

enum class Verdict { Continue, Skip };

// Quick evaluation: plain cross-entropy with early stopping on validation loss. Score: the last validation
// accuracy.
Verdict quick_evaluation(Candidate& candidate, const Context& context);
// Skips a candidate whose last validation accuracy is not above settings.gate.
Verdict gate(Candidate& candidate, const Context& context);
// Distillation on the teacher's logits, with the curriculum.
Verdict distill(Candidate& candidate, const Context& context);
// Structured pruning: a network settings.wider times as wide is trained as distillation would, then its least important
// channels are removed (compress/widening.h), so that what is left is the candidate's structure. A candidate without
// stages behind it begins with fresh wide weights, one that has been trained with its own, widened. The result's history
// is the wide network's, its accuracy that of what is left. Throws Error(Usage) where nothing can be widened.
Verdict channels(Candidate& candidate, const Context& context);
// Magnitude pruning; the schedule ends inside the stage. Every training stage after it holds its zeros.
Verdict prune(Candidate& candidate, const Context& context);
// Takes the quantised form (batch norms folded), sets its ranges, and trains it with the zeros held.
Verdict quantize(Candidate& candidate, const Context& context);
// Lowers to int8 (a graph that was not trained so is quantised here, its ranges measured on training images),
// writes the file's bytes, and measures its accuracy on the validation part with the bit-exact evaluator.
// Writes folder/model.tflite unless the folder is empty.
Verdict export_model(Candidate& candidate, const Context& context);

// A stage by name: a line in the table in pipeline.cpp.
struct Stage {
  std::string_view name;
  Verdict (*run)(Candidate&, const Context&);
};
const Stage& stage(std::string_view name);  // Error(Usage) that lists the names
std::vector<std::string> stage_names();

// Runs settings.stages in order until one says Skip. With a folder, what an earlier run finished there is
// taken up instead of trained again. A stage that diverges begins anew with a lower rate, which those after it keep.
// Throws Error(Interrupted) when stopped, engine::Divergence when it happens again.
Verdict run_stages(Candidate& candidate, const Context& context);

// Accuracy of a .tflite file on images by index, by the bit-exact evaluator. Throws Error(Interrupted) when
// stopped.
double int8_accuracy(std::span<const uint8_t> tflite, const data::ImageSet& images,
                     std::span<const uint32_t> indices, std::stop_token stop);

}  // namespace retort::search
