// What distill, prune and quantize have in common: one of the pipeline's stages on one model.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "cli/models.h"
#include "cli/options.h"
#include "search/settings.h"

namespace retort::cli {

struct StageCommand {
  DataOptions data;
  OutputOptions output;
  data::SplitOptions split;
  search::PipelineSettings settings;
  ModelOptions model;
  std::string teacher = "none";
  std::filesystem::path out;
  uint64_t seed = 42;
  int threads = 0;
};

// MODEL or --config, --data, --out, what all stages share, the split, --seed, --threads, --json, --quiet.
void add_stage_command_options(CLI::App& app, StageCommand& command,
                               const std::string& writes = "folder for weights.retort");
// --teacher FILE|logits:FILE.npy|none.
CLI::Option* add_teacher_option(CLI::App& app, StageCommand& command);

// For stages that train on the labels alone unless told otherwise: an optional --teacher, and --temperature.
void add_optional_teacher(CLI::App& app, StageCommand& command);
// Error(Usage) when --teacher, --temperature and the stage's --alpha do not fit together.
void check_optional_teacher(const CLI::App& app, const StageCommand& command, float alpha);

// Runs the stage (a name of search::stage_names) and writes out/weights.retort; after "quantize"
// out/model.tflite and model.json too.
// Throws Error(Usage) for an option of `app` that would be without effect.
void run_stage(const CLI::App& app, const StageCommand& command, std::string_view stage);

}  // namespace retort::cli
