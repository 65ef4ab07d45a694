#include "cli/options.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/units.h"
#include "cli/interrupt.h"

namespace retort::cli {
namespace {

// A whole text as a number, or nothing: no spaces, no rest, no inf.
template <typename T>
std::optional<T> number_of(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int integer_within(std::string_view text, int minimum, int maximum) {
  const auto value = number_of<int>(text);
  if (value && *value >= minimum && *value <= maximum) return *value;
  if (maximum == std::numeric_limits<int>::max())
    throw_usage("\"{}\" is not a whole number of at least {}", text, minimum);
  throw_usage("\"{}\" is not a whole number from {} to {}", text, minimum, maximum);
}

double number_within(std::string_view text, double minimum, double maximum) {
  const auto value = number_of<double>(text);
  if (value && std::isfinite(*value) && *value >= minimum && *value <= maximum) return *value;
  throw_usage("\"{}\" is not a number from {} to {}", text, minimum, maximum);
}

uint64_t seed_of(std::string_view text) {
  const auto value = number_of<uint64_t>(text);
  if (!value) throw_usage("\"{}\" is not a seed: write a whole number of at least 0", text);
  return *value;
}

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

// One of the names, as its index.
size_t choice_of(std::string_view text, const std::vector<std::string>& names) {
  const auto found = std::ranges::find(names, text);
  if (found == names.end()) throw_usage("\"{}\" is unknown: write {}", text, names_of(names));
  return static_cast<size_t>(found - names.begin());
}

std::string shown(double value) {
  return fmt::format("{:g}", value);
}

constexpr const char* kEpochsHelp = "passes over the training images";
constexpr const char* kTeachesTooHelp = "below 1 the teacher has the rest of the loss";

}  // namespace

CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& type,
                        const std::string& description, const std::string& shown_default,
                        const std::function<void(const std::string&)>& read) {
  const auto checked = [name, read](const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", name, error.what()));
    }
  };
  CLI::Option* option = app.add_option_function<std::string>(name, checked, description);
  option->type_name(type);
  if (!shown_default.empty()) option->default_str(shown_default);
  return option;
}

CLI::Option* add_integer(CLI::App& app, const std::string& name, int& value, int minimum, int maximum,
                         const std::string& description) {
  return add_parsed(
      app, name, "N", description, fmt::format("{}", value),
      [&value, minimum, maximum](const auto& text) { value = integer_within(text, minimum, maximum); });
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double& value, double minimum, double maximum,
                        const std::string& description) {
  return add_parsed(app, name, "X", description, shown(value), [&value, minimum, maximum](const auto& text) {
    value = number_within(text, minimum, maximum);
  });
}

CLI::Option* add_number(CLI::App& app, const std::string& name, float& value, double minimum, double maximum,
                        const std::string& description) {
  return add_parsed(app, name, "X", description, shown(value), [&value, minimum, maximum](const auto& text) {
    value = static_cast<float>(number_within(text, minimum, maximum));
  });
}

CLI::Option* add_bytes(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                       const std::string& description) {
  return add_parsed(app, name, "SIZE", description, "", [&value](const auto& text) {
    value = parse_bytes(text);
    if (*value <= 0) throw_usage("\"{}\" leaves no room: write a size like 64K", text);
  });
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                       const std::string& description) {
  return add_parsed(app, name, "COUNT", description, "", [&value](const auto& text) {
    value = parse_count(text);
    if (*value <= 0) throw_usage("\"{}\" allows nothing: write a count like 2M", text);
  });
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, std::optional<double>& seconds,
                          const std::string& description) {
  return add_parsed(app, name, "TIME", description, "", [&seconds](const auto& text) {
    seconds = parse_duration(text);
    if (*seconds <= 0) throw_usage("\"{}\" is no time at all: write a duration like 30m", text);
  });
}

CLI::Option* add_integer_list(CLI::App& app, const std::string& name, std::vector<int>& values, int minimum,
                              int maximum, const std::string& description) {
  return add_parsed(app, name, "N,N,…", description, fmt::format("{}", fmt::join(values, ",")),
                    [&values, minimum, maximum](const std::string& text) {
                      std::vector<int> read;
                      std::string_view rest = text;
                      for (bool more = true; more;) {
                        const size_t comma = rest.find(',');
                        more = comma != std::string_view::npos;
                        const int value = integer_within(rest.substr(0, comma), minimum, maximum);
                        if (std::ranges::count(read, value) > 0)
                          throw_usage("{} stands twice in \"{}\"", value, text);
                        read.push_back(value);
                        if (more) rest.remove_prefix(comma + 1);
                      }
                      values = read;
                    });
}

CLI::Option* add_names(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                       const std::string& description) {
  return add_parsed(app, name, "NAME,…", description, fmt::format("{}", fmt::join(values, ",")),
                    [&values](const std::string& text) {
                      values.clear();
                      for (size_t begin = 0; begin <= text.size();) {
                        const size_t comma = std::min(text.find(',', begin), text.size());
                        values.push_back(text.substr(begin, comma - begin));
                        begin = comma + 1;
                      }
                    });
}

CLI::Option* add_output_path(CLI::App& app, const std::string& name, std::filesystem::path& path,
                             const std::string& type, const std::string& description) {
  return add_parsed(app, name, type, description, "", [&path](const std::string& text) {
    if (text.empty()) throw_usage("it is empty where the name of a file or folder is expected");
    path = text;
  });
}

void require_writable(std::string_view option, const std::filesystem::path& file) {
  namespace fs = std::filesystem;
  std::error_code error;
  // Through a link its target is written.
  const fs::path target = fs::is_symlink(file, error) ? fs::weakly_canonical(file, error) : file;
  fs::file_status status = fs::status(target, error);
  if (fs::is_directory(status))
    throw_usage("{}: {} is a folder where a file is to be written", option, file.string());
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw_usage("{}: {} is not a regular file, so it is not written over", option, file.string());
  // The nearest folder that is there; those below it will be made.
  fs::path folder = fs::absolute(target).lexically_normal();
  do {
    folder = folder.parent_path();
    status = fs::status(folder, error);
  } while (status.type() == fs::file_type::not_found && !fs::is_symlink(folder, error) &&
           folder != folder.root_path());
  if (fs::exists(status) && !fs::is_directory(status))
    throw_usage("{}: {} is a file where a folder is expected", option, folder.string());
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    throw_usage("{}: nothing can be written in {}: {}", option, folder.string(), system_reason(errno));
}

void require_not_read(std::string_view option, const std::filesystem::path& file,
                      const std::filesystem::path& read, std::string_view what) {
  std::error_code missing;
  if (std::filesystem::equivalent(file, read, missing))
    throw_usage("{}: {} is {} itself, which would be lost", option, file.string(), what);
}

void add_data_options(CLI::App& app, DataOptions& options, Presence presence) {
  CLI::Option* data = add_parsed(
      app, "--data", "SPEC",
      "fashion-mnist[:DIR], cifar10:DIR, idx:DIR, images:DIR or npy:DIR, with options as "
      "?size=32x32&gray=1",
      "", [&options](const std::string& text) {
        if (text.empty())
          throw_usage("it is empty where images are expected, such as fashion-mnist or images:DIR");
        options.spec = text;
      });
  if (presence == Presence::Required) data->required();
  add_load_options(app, options.load);
}

void add_load_options(CLI::App& app, data::LoadOptions& options) {
  app.add_flag_callback(
      "--skip-bad", [&options] { options.bad_images = data::BadImages::Skip; },
      "leave broken images out and count them");
  app.add_flag_callback(
      "--no-cache", [&options] { options.use_cache = false; }, "decode images anew, keep no decoded copy");
}

std::shared_ptr<const data::Dataset> load(const DataOptions& options, ProgressSink& progress) {
  StoppingProgress stopping(progress, interrupt_token());
  return data::load_dataset(options.spec, options.load, stopping);
}

void add_output_options(CLI::App& app, OutputOptions& options) {
  app.add_flag_callback(
      "--json", [&options] { options.format = ResultFormat::Json; },
      "results as JSON on standard output, words on standard error");
  app.add_flag_callback(
      "--quiet,-q", [&options] { options.verbosity = Verbosity::Quiet; },
      "no progress and no words, only results");
}

void add_seed_option(CLI::App& app, uint64_t& seed) {
  add_parsed(app, "--seed", "N", "equal seeds give equal results", fmt::format("{}", seed),
             [&seed](const auto& text) { seed = seed_of(text); });
}

void add_threads_option(CLI::App& app, int& threads) {
  add_integer(app, "--threads", threads, 0, kMostThreads, "threads of the work, 0 for all cores");
}

void add_training_threads_option(CLI::App& app, int& threads) {
  add_integer(app, "--threads", threads, 0, kMostThreads,
              "threads of the work, 0 for all cores; on as many, equal seeds give equal results");
}

void add_memory_option(CLI::App& app, std::optional<int64_t>& bytes) {
  add_bytes(
      app, "--memory", bytes,
      "memory that the process may take, such as 8G: as many candidates begin as fit; without it four fifths "
      "of what is free, within its control group");
}

void add_workers_option(CLI::App& app, int& workers) {
  add_integer(app, "--workers", workers, 0, kMostThreads,
              "candidates trained at the same time, 0 for one a core");
}

int resolve_threads(int threads) {
  return threads > 0 ? threads : available_cores();
}

void add_split_options(CLI::App& app, data::SplitOptions& options) {
  add_number(app, "--validation", options.validation_fraction, 0.01, 0.9,
             "share of the training images that validate");
  add_parsed(app, "--validation-images", "N", "at most so many of them, none for no bound",
             options.most_validation_images ? fmt::format("{}", *options.most_validation_images) : "none",
             [&options](const std::string& text) {
               options.most_validation_images.reset();
               if (text == "none") return;
               const auto number = number_of<int64_t>(text);
               if (!number || *number < 1)
                 throw_usage("\"{}\" is not a whole number of at least 1, nor none", text);
               options.most_validation_images = number;
             });
  add_number(app, "--test-fraction", options.test_fraction, 0.01, 0.9,
             "share that tests where the data has no test set");
  add_parsed(app, "--split-seed", "N", "seed of the split into training and validation",
             fmt::format("{}", options.seed), [&options](const auto& text) { options.seed = seed_of(text); });
}

void add_training_options(CLI::App& app, engine::TrainOptions& options, const std::string& prefix) {
  const std::string dash = "--" + prefix;
  add_integer(app, dash + "epochs", options.epochs, 1, search::kMostEpochs, kEpochsHelp);
  add_integer(app, dash + "batch", options.batch_size, 1, search::kLargestBatch, "images a step");
  add_schedule_options(app, options.schedule, prefix);
  const bool stops = options.early_stopping == engine::MonitorKind::ValidationLoss;
  add_parsed(app, dash + "early-stopping", "NAME",
             "none, or loss: stop when the validation loss no longer falls", stops ? "loss" : "none",
             [&options](const auto& text) {
               const size_t choice = choice_of(text, {"none", "loss"});
               options.early_stopping =
                   choice == 0 ? engine::MonitorKind::None : engine::MonitorKind::ValidationLoss;
             });
  add_integer(app, dash + "patience", options.patience, 0, search::kMostEpochs,
              "epochs that early stopping waits for a gain");
}

void add_optimizer_options(CLI::App& app, engine::OptimizerOptions& options, const std::string& prefix) {
  const std::string dash = "--" + prefix;
  const bool adam = options.kind == engine::OptimizerKind::Adam;
  add_parsed(app, dash + "optimizer", "NAME", "adam, or sgd with Nesterov momentum", adam ? "adam" : "sgd",
             [&options](const auto& text) {
               const size_t choice = choice_of(text, {"adam", "sgd"});
               options.kind = choice == 0 ? engine::OptimizerKind::Adam : engine::OptimizerKind::Sgd;
             });
  add_number(app, dash + "momentum", options.momentum, 0, 0.9999, "momentum of sgd");
  add_number(app, dash + "weight-decay", options.weight_decay, 0, 1, "decoupled decay of the kernels");
  add_number(app, dash + "beta1", options.beta1, 0, 0.9999, "adam's memory of gradients");
  add_number(app, dash + "beta2", options.beta2, 0, 0.999999, "adam's memory of their squares");
  add_number(app, dash + "epsilon", options.epsilon, 1e-12, 1, "what adam adds to its divisor");
}

void refuse_without_effect(const CLI::App& app, const std::vector<std::string>& beginnings,
                           std::string_view because) {
  for (const std::string& beginning : beginnings)
    for (const CLI::Option* option : app.get_options())
      if (option->count() > 0 && option->get_name().starts_with(beginning))
        throw_usage("{} is without effect: {}", option->get_name(), because);
}

void refuse_optimizer_without_effect(const CLI::App& app, const engine::OptimizerOptions& options,
                                     const std::string& prefix) {
  const std::string dash = "--" + prefix;
  if (options.kind == engine::OptimizerKind::Adam)
    refuse_without_effect(app, {dash + "momentum"}, fmt::format("{}optimizer is adam", dash));
  else
    refuse_without_effect(app, {dash + "beta1", dash + "beta2", dash + "epsilon"},
                          fmt::format("{}optimizer is sgd", dash));
}

void add_schedule_options(CLI::App& app, engine::Schedule& schedule, const std::string& prefix) {
  const std::string dash = "--" + prefix;
  add_number(app, dash + "learning-rate", schedule.peak, 1e-9, search::kHighestLearningRate,
             "highest learning rate");
  add_parsed(app, dash + "schedule", "NAME", "constant, cosine or one-cycle",
             std::string(engine::to_string(schedule.kind)),
             [&schedule](const auto& text) { schedule.kind = engine::parse_schedule(text); });
}

void add_view_options(CLI::App& app, data::ViewOptions& options) {
  app.add_flag_callback(
      "--mirror", [&options] { options.mirror = data::Mirror::Horizontal; },
      "mirrored images too; not for digits, letters or signs");
  add_integer(app, "--shift", options.max_shift, 0, data::kMaxViewShift,
              fmt::format("images moved by up to N pixels too, at most {}", data::kMaxViewShift));
}

void add_precision_option(CLI::App& app, engine::Precision& precision) {
  add_parsed(app, "--precision", "NAME",
             "float32, or bfloat16 where convolutions are quicker so and the processor can",
             std::string(engine::to_string(precision)),
             [&precision](const auto& text) { precision = engine::parse_precision(text); });
}

void add_stage_options(CLI::App& app, search::PipelineSettings& settings) {
  add_integer(app, "--batch", settings.batch_size, 1, search::kLargestBatch, "images a step");
  add_schedule_options(app, settings.schedule, "");
  add_optimizer_options(app, settings.optimizer);
  add_view_options(app, settings.views);
  add_precision_option(app, settings.precision);
}

void add_distill_options(CLI::App& app, search::PipelineSettings& settings, const std::string& prefix) {
  const std::string dash = "--" + prefix;
  add_integer(app, dash + "epochs", settings.distill_epochs, 1, search::kMostEpochs, kEpochsHelp);
  add_number(app, dash + "alpha", settings.alpha, 0, 1, "weight of the labels; the teacher has the rest");
  add_number(app, dash + "temperature", settings.temperature, 0.01, 1000,
             "how far the teacher's answers are softened");
  add_parsed(app, "--curriculum", "NAME", "none, entropy (easy images first) or random-pacing (its control)",
             std::string(compress::to_string(settings.curriculum)),
             [&settings](const auto& text) { settings.curriculum = compress::parse_curriculum(text); });
  add_number(app, "--curriculum-start", settings.pacing.first_share, 0.001, 1,
             "share of the images that a curriculum begins with");
  add_number(app, "--curriculum-end", settings.pacing.full_after, 0.001, 1,
             "share of the stage after which it has all images");
}

void add_prune_options(CLI::App& app, search::PipelineSettings& settings, const std::string& prefix) {
  const std::string dash = "--" + prefix;
  compress::PruningOptions& options = settings.pruning;
  add_integer(app, dash + "epochs", settings.prune_epochs, 1, search::kMostEpochs, kEpochsHelp);
  add_number(app, dash + "alpha", settings.prune_alpha, 0, 1, kTeachesTooHelp);
  add_number(app, dash + "initial-sparsity", options.initial_sparsity, 0, 0.999,
             "share of zeros at the start");
  add_number(app, dash + "final-sparsity", options.final_sparsity, 0, 0.999, "share of zeros at the end");
  add_number(app, dash + "power", options.power, 0.01, 100, "exponent of the polynomial between them");
  add_integer(app, dash + "update-every", options.update_every, 1, 1'000'000,
              "steps between choices of what is zero");
  add_number(app, dash + "end-fraction", options.end_fraction, 0.01, 1,
             "share of the steps after which the final sparsity is reached");
}

void add_quantize_options(CLI::App& app, search::PipelineSettings& settings, const std::string& prefix) {
  const std::string dash = "--" + prefix;
  add_integer(app, dash + "epochs", settings.qat_epochs, 1, search::kMostEpochs, kEpochsHelp);
  add_number(app, dash + "alpha", settings.qat_alpha, 0, 1, kTeachesTooHelp);
  add_number(app, dash + "range-momentum", settings.range_momentum, 0, 0.9999,
             "how slowly the activations' ranges move");
  add_parsed(app, dash + "keep", "NAME", "best or last: which epoch's weights are kept (the notebook: last)",
             settings.qat_keep == search::KeepEpoch::Best ? "best" : "last", [&settings](const auto& text) {
               const size_t choice = choice_of(text, {"best", "last"});
               settings.qat_keep = choice == 0 ? search::KeepEpoch::Best : search::KeepEpoch::Last;
             });
}

void add_ends_option(CLI::App& app, int8::Ends& ends) {
  add_parsed(app, "--ends", "NAME", "float or int8: what the file takes and gives",
             ends == int8::Ends::Float ? "float" : "int8", [&ends](const auto& text) {
               ends = choice_of(text, {"float", "int8"}) == 0 ? int8::Ends::Float : int8::Ends::Int8;
             });
}

CLI::Option* add_image_shape(CLI::App& app, const std::string& name, std::optional<data::ImageShape>& shape,
                             const std::string& description) {
  return add_parsed(app, name, "HxWxC", description, "", [&shape](const std::string& text) {
    std::vector<int> dims;
    std::string_view rest = text;
    for (bool more = true; more && dims.size() < 4;) {
      const size_t cross = rest.find('x');
      more = cross != std::string_view::npos;
      const auto value = number_of<int>(rest.substr(0, cross));
      dims.push_back(value && *value >= 1 && *value <= 65536 ? *value : 0);
      if (more) rest.remove_prefix(cross + 1);
    }
    if (dims.size() != 3 || std::ranges::count(dims, 0) > 0)
      throw_usage("\"{}\" is not a shape: write height, width and channels like 32x32x1", text);
    shape = data::ImageShape{dims[0], dims[1], dims[2]};
  });
}

std::string shell_command(int argc, const char* const* argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

void add_examples(CLI::App& app, const std::vector<std::string>& lines) {
  std::string footer = "\nExamples:";
  for (const std::string& line : lines) footer += "\n  " + line;
  app.footer(footer);
}

}  // namespace retort::cli
