// Models, teachers and parts of the data as commands name them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/progress.h"
#include "base/rng.h"
#include "cli/options.h"
#include "data/dataset.h"
#include "data/views.h"
#include "engine/checkpoint.h"
#include "engine/trainer.h"
#include "graph/graph.h"
#include "int8/quant_graph.h"

namespace retort::cli {

// What a command works on: MODEL, a file of weights, or --config, a fresh network. Exactly one is given.
struct ModelOptions {
  std::filesystem::path file;
  std::string config;
};
// --config; an empty text is refused.
CLI::Option* add_config_option(CLI::App& app, std::string& config, const std::string& description);
void add_model_options(CLI::App& app, ModelOptions& options);

// The network for this data, with its weights (fresh ones drawn from rng.fork("weights")). Throws
// Error(Usage) when nothing or both are given, or when the network's input or classes are not the data's.
engine::Model obtain_model(const ModelOptions& options, const data::Dataset& dataset, const Rng& rng);
void check_fits(const graph::Graph& graph, const data::Dataset& dataset, std::string_view name);

// The data in the size that an int8 model takes: as it is, else converted by the reader. `name` is the
// model's, for errors.
std::shared_ptr<const data::Dataset> load_for(const DataOptions& options, const int8::QuantGraph& graph,
                                              const std::string& name, ProgressSink& progress);

// Input of networks for this data.
graph::Shape input_shape(const data::ImageShape& shape);
std::string to_string(const data::ImageShape& shape);  // "32x32x1"

// Whether the graph is in quantised form.
bool is_quantized(const graph::Graph& graph);

// The logits that --teacher TEXT means: a file of weights, which is run over the data here,
// "logits:FILE.npy", or "none". Throws Error(Usage) for "train".
std::optional<engine::TeacherLogits> obtain_teacher(std::string_view text, const data::Dataset& dataset,
                                                    const data::ViewOptions& views, int threads,
                                                    ProgressSink& progress, std::stop_token stop);

// Images that a command reads, by index.
struct Part {
  const data::ImageSet& images;
  std::vector<uint32_t> indices;
};
// "train", "validation", "test" (of the data's own test set, else of the split) or "all" (what there is but for the data's own
// test set: what a model was trained on is in it). `divide` is asked where a split is needed.
Part part_of(const data::Dataset& dataset, std::string_view name, const std::function<data::Split()>& divide);

// "out" is a folder for weights.retort; "out.retort" is the file itself.
std::filesystem::path weights_path(const std::filesystem::path& out);

Json history_json(const engine::History& history);
std::string percent(double share);  // "71.2%"

}  // namespace retort::cli
