// Options that subcommands share. Every value is checked as it is read: Error(Usage) names the option, the
// text that was given and what would be right.
//
// Names take a prefix where one command has the options of several stages: add_training_options(app, o,
// "distill-") makes --distill-epochs.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "cli/terminal.h"
#include "data/reader.h"
#include "engine/network.h"
#include "engine/trainer.h"
#include "int8/lower.h"
#include "search/settings.h"
#include "study/storage.h"

namespace retort::cli {

enum class Presence { Optional, Required };

// An option whose text `read` takes. An Error(Usage) of `read` gets the option's name in front. `type` is
// shown in the help ("SIZE"), and `shown_default` too unless empty.
CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& type,
                        const std::string& description, const std::string& shown_default,
                        const std::function<void(const std::string&)>& read);

// Whole number within [minimum, maximum].
CLI::Option* add_integer(CLI::App& app, const std::string& name, int& value, int minimum, int maximum,
                         const std::string& description);
// Number within [minimum, maximum].
CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, double minimum, double maximum,
                        const std::string& description);
CLI::Option* add_number(CLI::App& app, const std::string& name, float& value, double minimum, double maximum,
                        const std::string& description);
// "64K", "2M", "30m"; more than nothing.
CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                       const std::string& description);
CLI::Option* add_count(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                       const std::string& description);
CLI::Option* add_duration(CLI::App& app, const std::string& name, std::optional<double>& seconds,
                          const std::string& description);
// "1,2,3": whole numbers within [minimum, maximum], each once.
CLI::Option* add_integer_list(CLI::App& app, const std::string& name, std::vector<int>& values, int minimum,
                              int maximum, const std::string& description);
// "quick,export": names, as they stand; whoever uses them checks them.
CLI::Option* add_names(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                       const std::string& description);

// A file or folder that will be written; an empty name is refused.
CLI::Option* add_output_path(CLI::App& app, const std::string& name, std::filesystem::path& path,
                             const std::string& type, const std::string& description);
// Error(Usage) where `option`'s file could not be written in the end: asked before hours of work. Makes
// nothing.
void require_writable(std::string_view option, const std::filesystem::path& file);
// Error(Usage) where that file is one that the command reads, `what`: whoever gives the command again would get something else.
void require_not_read(std::string_view option, const std::filesystem::path& file,
                      const std::filesystem::path& read, std::string_view what);

// --data SPEC, --skip-bad, --no-cache.
struct DataOptions {
  std::string spec;  // empty: not given
  data::LoadOptions load;
};
void add_data_options(CLI::App& app, DataOptions& options, Presence presence);
// --skip-bad, --no-cache alone.
void add_load_options(CLI::App& app, data::LoadOptions& options);
std::shared_ptr<const data::Dataset> load(const DataOptions& options, ProgressSink& progress);

// --json, --quiet.
void add_output_options(CLI::App& app, OutputOptions& options);

// --storage URL, --study NAME, --artefacts DIR; --lease SECONDS. In worker.cpp.
void add_storage_options(CLI::App& app, study::Place& place, Presence presence);
// Error(Usage) where the others are given and --storage is not.
void require_storage_of_others(const CLI::App& app, const study::Place& place);
void add_lease_option(CLI::App& app, double& lease_seconds);

// --seed N.
void add_seed_option(CLI::App& app, uint64_t& seed);
// --threads N, --workers N; 0 (the default) is every core this process may use.
void add_threads_option(CLI::App& app, int& threads);
// --threads N of what trains: each thread sums over its part of a batch, and sums of other parts round otherwise.
void add_training_threads_option(CLI::App& app, int& threads);
void add_workers_option(CLI::App& app, int& workers);
// --memory SIZE of those that train candidates.
void add_memory_option(CLI::App& app, std::optional<int64_t>& bytes);
// The number that such an option means: itself, or the cores.
int resolve_threads(int threads);

// --validation F, --validation-images N, --split-seed N, --test-fraction F.
void add_split_options(CLI::App& app, data::SplitOptions& options);

// --epochs, --batch, --learning-rate, --schedule, --early-stopping none|loss, --patience, with `prefix`. The
// values that `options` has at the call are the defaults.
void add_training_options(CLI::App& app, engine::TrainOptions& options, const std::string& prefix = "");
// --optimizer adam|sgd, --momentum, --weight-decay, --beta1, --beta2, --epsilon, with `prefix`.
void add_optimizer_options(CLI::App& app, engine::OptimizerOptions& options, const std::string& prefix = "");
// Error(Usage) that names the first option given whose name begins with one of `beginnings`: it is without
// effect, `because`.
void refuse_without_effect(const CLI::App& app, const std::vector<std::string>& beginnings,
                           std::string_view because);
// The same for what the chosen optimiser does not use.
void refuse_optimizer_without_effect(const CLI::App& app, const engine::OptimizerOptions& options,
                                     const std::string& prefix = "");
// --mirror, --shift.
void add_view_options(CLI::App& app, data::ViewOptions& options);
// --precision float32|bfloat16.
void add_precision_option(CLI::App& app, engine::Precision& precision);

// Options of the pipeline's stages: they set the fields of `settings`, whose values at the call are the
// defaults. What all stages share: --batch, --learning-rate, --schedule, the optimiser's, --mirror, --shift,
// --precision.
void add_stage_options(CLI::App& app, search::PipelineSettings& settings);
// With `prefix`: --epochs, --alpha, --temperature; without it: --curriculum, --curriculum-start,
// --curriculum-end.
void add_distill_options(CLI::App& app, search::PipelineSettings& settings, const std::string& prefix = "");
// With `prefix`: --epochs, --alpha (of distilling there too), --initial-sparsity, --final-sparsity, --power,
// --update-every, --end-fraction.
void add_prune_options(CLI::App& app, search::PipelineSettings& settings, const std::string& prefix = "");
// With `prefix`: --epochs, --alpha (of distilling there too), --range-momentum, --keep best|last.
void add_quantize_options(CLI::App& app, search::PipelineSettings& settings, const std::string& prefix = "");
// --ends float|int8.
void add_ends_option(CLI::App& app, int8::Ends& ends);

// "32x32x1" (height × width × channels), for commands that have no data.
CLI::Option* add_image_shape(CLI::App& app, const std::string& name, std::optional<data::ImageShape>& shape,
                             const std::string& description);

// --schedule and --learning-rate with `prefix`.
void add_schedule_options(CLI::App& app, engine::Schedule& schedule, const std::string& prefix);

// The command line as a shell would read it back: words that need it in single quotes.
std::string shell_command(int argc, const char* const* argv);

// What a command's --help ends with: lines that can be copied.
void add_examples(CLI::App& app, const std::vector<std::string>& lines);

}  // namespace retort::cli
