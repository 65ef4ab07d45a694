// retort search: from images to int8 models.
#include "search/search.h"
#include "base/json.h"
#include "search/study_place.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/restart.h"
#include "cli/search_command.h"
#include "cli/search_display.h"
#include "cli/serve.h"
#include "cli/target.h"
#include "cli/terminal.h"
#include "report/report.h"
#include "search/recipe.h"
#include "search/sampler.h"
#include "search/settings.h"

namespace retort::cli {
namespace {

using search::StudyResult;

// Writes what people look at now and then while the search runs: every few seconds, less often where the study is so
// large that writing takes long.
class Reporter {
 public:
  explicit Reporter(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Called from one thread at a time. Of a large study the files are large: they take no more than a small share of
  // the time.
  void changed(const StudyResult& study) {
    if (Clock::now() >= next_) write(study);
  }
  void write(const StudyResult& study) {
    const auto begin = Clock::now();
    write_text_atomic(folder_ / "report.html",
                      report::html_report(study, report::load_study_files(study, folder_)));
    write_text_atomic(folder_ / "trials.csv", report::trials_csv(study));
    write_text_atomic(folder_ / "study.json", report::study_json(study));
    constexpr int kShare = 20;
    const auto end = Clock::now();
    next_ = end + std::max<Clock::duration>(kPause, kShare * (end - begin));
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPause{5};
  std::filesystem::path folder_;
  Clock::time_point next_ = Clock::now() + kPause;
};

// ---- options that would be without effect are refused ----------------------------------------------------

bool given(const CLI::App& app, const std::string& name) {
  return app.get_option(name)->count() > 0;
}

void refuse_all_without_effect(const CLI::App& app, const search::SearchSettings& settings) {
  const search::PipelineSettings& pipeline = settings.pipeline;
  const auto refuse = [&](const std::vector<std::string>& beginnings, std::string_view because) {
    refuse_without_effect(app, beginnings, because);
  };
  const auto lacks = [&](std::string_view stage) {
    return std::ranges::find(pipeline.stages, stage) == pipeline.stages.end();
  };
  const std::string teacher = search::to_string(settings.teacher);
  if (settings.teacher.kind != search::TeacherKind::Train)
    refuse({"--teacher-epochs", "--teacher-batch", "--teacher-learning-rate", "--teacher-schedule",
            "--teacher-config", "--teacher-optimizer", "--teacher-momentum", "--teacher-weight-decay",
            "--teacher-beta", "--teacher-epsilon"},
           fmt::format("it is for a teacher that is trained here, and --teacher is {}", teacher));
  if (settings.teacher.kind == search::TeacherKind::None) {
    refuse({"--teacher-threads", "--distill-temperature"}, "--teacher is none");
    for (const auto& [name, alpha] :
         {std::pair{"--distill-alpha", pipeline.alpha}, std::pair{"--prune-alpha", pipeline.prune_alpha},
          std::pair{"--qat-alpha", pipeline.qat_alpha}})
      if (given(app, name) && alpha < 1)
        throw_usage("{} {} leaves a part of the loss to a teacher, and --teacher is none", name, alpha);
  }
  if (pipeline.curriculum == compress::Curriculum::None)
    refuse({"--curriculum-start", "--curriculum-end"}, "--curriculum is none");
  if (settings.exploration.epochs == 0)
    refuse({"--explore-first", "--explore-generation", "--explore-population", "--explore-tournament",
            "--explore-start", "--explore-heats", "--explore-heat-epochs", "--explore-rungs",
            "--explore-recipes", "--explore-vary", "--explore-candidates", "--explore-share"},
           "--explore-epochs is 0: nothing is explored");
  if (settings.sampler != "evolution")
    refuse({"--explore-population", "--explore-tournament", "--explore-start"},
           fmt::format("--sampler {} knows no parents", settings.sampler));
  if (settings.exploration.heats == 0)
    refuse({"--explore-heat-epochs", "--explore-rungs", "--explore-recipes", "--explore-vary"},
           "--explore-heats is 0");
  if (!search::follows_recipes(pipeline)) refuse({"--explore-recipes"}, "--stages lacks distill");
  if (!search::compares_recipes(settings)) refuse({"--explore-vary"}, "there are no recipes to compare");
  if (settings.sampler != "evolution" && settings.sampler != "micro")
    refuse({"--space"}, fmt::format("--sampler {} has its own structures", settings.sampler));
  if (!settings.seconds) refuse({"--explore-share"}, "there is no limit of time");
  if (settings.sampler == "list")
    refuse({"--blocks", "--layers", "--filters", "--dense", "--units"}, "--config lists the structures");
  else if (settings.sampler == "micro" || settings.sampler == "evolution")
    refuse({"--blocks", "--layers", "--filters", "--dense", "--units"},
           fmt::format("--sampler {} draws its own structures", settings.sampler));
  if (settings.sampler != "list" && !settings.configs.empty())
    throw_usage("--config is without effect: --sampler {} proposes structures of its own", settings.sampler);
  // Of a stage that recipes may add, what they do not choose themselves has an effect.
  const auto refuse_stage = [&](std::string_view stage, const std::vector<std::string>& all,
                                const std::vector<std::string>& chosen = {}) {
    if (!lacks(stage)) return;
    const bool varies =
        !chosen.empty() && search::compares_recipes(settings) &&
        std::ranges::find(settings.exploration.vary, stage) != settings.exploration.vary.end();
    refuse(varies ? chosen : all,
           fmt::format("--stages lacks {}{}", stage, varies ? ", and recipes have their own" : ""));
  };
  refuse_stage("quick", {"--quick-"});
  refuse_stage("gate", {"--gate"});
  refuse_stage("distill", {"--distill-epochs"});
  if (lacks("channels")) refuse_stage("distill", {"--distill-alpha", "--curriculum-"});
  refuse_stage("channels", {"--channels-"});
  refuse_stage("prune", {"--prune-"}, {"--prune-epochs", "--prune-final-sparsity"});
  refuse_stage("quantize", {"--qat-"}, {"--qat-epochs"});
  refuse_optimizer_without_effect(app, pipeline.optimizer);
  refuse_optimizer_without_effect(app, settings.teacher.optimizer, "teacher-");
}

// What the target leaves to a model, unless --flash and --ram say otherwise.
void settle_target(const CLI::App& app, const TargetOptions& options, search::SearchSettings& settings) {
  settings.target = resolve_target(options);
  if (!settings.target.board) {
    refuse_without_effect(app, {"--latency"}, "it is estimated for a board, and --board names none");
    return;
  }
  search::Limits& limits = settings.limits;
  if (!limits.flash_bytes) limits.flash_bytes = settings.target.board->flash_for_model();
  if (!limits.ram_bytes) limits.ram_bytes = settings.target.board->ram_for_model();
}

void add_limits(CLI::App& app, SearchCommand& command) {
  search::SearchSettings& settings = command.settings;
  add_target_options(app, command.target);
  add_bytes(app, "--flash", settings.limits.flash_bytes,
            "most flash of model and runtime, such as 64K; instead of what the board leaves");
  add_bytes(app, "--ram", settings.limits.ram_bytes,
            "most RAM of arena, static data and stack, such as 32K; instead of what the board leaves");
  add_duration(app, "--latency", settings.limits.latency_seconds,
               "longest inference as estimated for --board, such as 100ms");
  add_count(app, "--macs", settings.limits.macs, "most multiply-accumulates an image, such as 2M");
  add_parsed(app, "--time", "TIME",
             "plan for this time, such as 30m: structures and epochs follow from it; none: epochs as given",
             settings.seconds ? format_duration(*settings.seconds) : std::string(),
             [&settings](const std::string& text) {
               settings.seconds.reset();
               if (text == "none") return;
               const double seconds = parse_duration(text);
               if (seconds < 1) throw_usage("\"{}\" is too short: write a duration like 30m, or none", text);
               settings.seconds = seconds;
             });
  add_parsed(app, "--clock", "CLOCK",
             "what --time counts: wall, or cpu: processor time of this process over its workers, which other "
             "programs on the machine don't take from",
             std::string(to_string(settings.clock)),
             [&settings](const std::string& text) { settings.clock = parse_work_time(text); });
  add_parsed(app, "--trials", "N",
             "most structures to explore, or candidates where none are explored; without --time no limit of "
             "time then",
             "", [&settings](const std::string& text) {
               const int64_t value = parse_count(text);
               if (value < 1 || value > 1'000'000)
                 throw_usage("\"{}\" is not a number of candidates from 1 to 1000000", text);
               settings.trials = static_cast<int>(value);
             });
}

void add_structures(CLI::App& app, search::SearchSettings& settings) {
  add_parsed(app, "--sampler", "NAME", fmt::format("{}", fmt::join(search::sampler_names(), ", ")),
             settings.sampler, [&settings](const std::string& text) {
               if (std::ranges::count(search::sampler_names(), text) == 0)
                 throw_usage("\"{}\" is unknown: write one of {}", text,
                             fmt::join(search::sampler_names(), ", "));
               settings.sampler = text;
             });
  constexpr int kMost = graph::kMaximumDimension;
  add_integer_list(app, "--blocks", settings.space.blocks, 1, 16, "blocks of the structures to try");
  add_integer_list(app, "--layers", settings.space.layers, 1, 100, "convolutions a block");
  add_integer_list(app, "--filters", settings.space.filters, 1, kMost, "filters of the first block");
  add_integer_list(app, "--dense", settings.space.dense_layers, 0, 100, "dense layers before the last");
  add_integer_list(app, "--units", settings.space.dense_units, 1, kMost, "units of each of these");
  app.add_option(
         "--config", settings.configs,
         "a structure to try, such as \"3 blocks, 1 layer, 16 filters\", or a .json file with any graph "
         "(a batch norm's momentum and epsilon are set there); repeat for more")
      ->type_name("CONFIG")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_space_file(CLI::App& app, search::SearchSettings& settings) {
  add_parsed(app, "--space", "FILE.toml",
             "which networks micro and evolution may propose, as docs/search.md says", "",
             [&settings](const std::string& file) { settings.micro_space = search::load_micro_space(file); });
}

void add_exploration(CLI::App& app, search::Exploration& exploration) {
  constexpr int kMost = 1'000'000;
  add_integer(
      app, "--explore-epochs", exploration.epochs, 0, search::kMostEpochs,
      "explore: train every structure so long (with --time as there is room) and only the best ones as "
      "--stages says; 0: all");
  add_integer(app, "--explore-first", exploration.first, 1, kMost, "structures of the first generation");
  add_integer(app, "--explore-generation", exploration.generation, 1, kMost,
              "structures of each later generation");
  add_integer(app, "--explore-population", exploration.population, 1, kMost,
              "youngest structures that evolution takes parents from");
  add_integer(app, "--explore-tournament", exploration.tournament, 1, kMost,
              "structures of which the best becomes a parent");
  add_parsed(app, "--explore-start", "NAME",
             "weights that a child begins with: parent, grow (its parent's unless it has fewer), or fresh",
             std::string(search::to_string(exploration.start)),
             [&exploration](const std::string& text) { exploration.start = search::parse_start(text); });
  add_integer(app, "--explore-heats", exploration.heats, 0, 1000,
              "best explored structures that are trained again on equal terms; 0: none");
  add_integer(app, "--explore-heat-epochs", exploration.heat_epochs, 1, search::kMostEpochs,
              "epochs of each of them (with --time as there is room)");
  add_integer(
      app, "--explore-rungs", exploration.rungs, 1, 10,
      "heats after heats: the better half of the last ones, with twice the epochs (successive halving)");
  add_integer(
      app, "--explore-recipes", exploration.recipes, 0, 1000,
      "recipes (how much distillation, pruning and quantisation-aware training) that the best of the "
      "heats is trained by, to choose the one for all candidates, at least two; fewer, with --time; 0: as "
      "--stages says");
  add_names(app, "--explore-vary", exploration.vary,
            "stages whose part in a recipe varies: distill, channels, prune, quantize");
  add_integer(app, "--explore-candidates", exploration.candidates, 1, 1000,
              "explored structures that go through --stages (with --time as there is room)");
  add_number(app, "--explore-share", exploration.share, 0.01, 0.95,
             "share of --time, the teacher's apart, that exploring takes");
}

void add_stages(CLI::App& app, search::PipelineSettings& pipeline) {
  add_names(app, "--stages", pipeline.stages, "what a candidate goes through; the last is export");
  add_stage_options(app, pipeline);
  add_integer(app, "--quick-epochs", pipeline.quick_epochs, 1, search::kMostEpochs,
              "most epochs of the quick evaluation");
  add_integer(app, "--quick-patience", pipeline.quick_patience, 1, search::kMostEpochs,
              "epochs without a lower validation loss that end it");
  add_number(app, "--gate", pipeline.gate, 0, 1,
             "candidates whose quick accuracy is not above it are skipped; 0: none");
  add_distill_options(app, pipeline, "distill-");
  add_integer(app, "--channels-epochs", pipeline.channels_epochs, 1, search::kMostEpochs,
              "epochs of the wider network, before its channels are removed");
  add_number(app, "--channels-wider", pipeline.wider, 1.01, search::kWidest,
             "its widths, as a multiple of the candidate's");
  add_prune_options(app, pipeline, "prune-");
  add_quantize_options(app, pipeline, "qat-");
  add_number(app, "--qat-rate", pipeline.qat_rate, 1e-6, 1,
             "highest learning rate of quantisation-aware training, as a share of --learning-rate");
  add_ends_option(app, pipeline.ends);
}

void add_teacher(CLI::App& app, SearchCommand& command) {
  search::TeacherSettings& teacher = command.settings.teacher;
  add_parsed(app, "--teacher", "TEACHER",
             "train, none, a weights file, or logits:FILE.npy (images x classes)", search::to_string(teacher),
             [&teacher](const std::string& text) { teacher = search::parse_teacher(text, teacher); });
  app.add_option("--teacher-config", teacher.config, "another network than the notebook's teacher")
      ->type_name("TEXT");
  add_integer(app, "--teacher-epochs", teacher.epochs, 1, search::kMostEpochs, "epochs of a trained teacher");
  add_integer(app, "--teacher-batch", teacher.batch_size, 1, search::kLargestBatch,
              "images a step of the teacher");
  add_schedule_options(app, teacher.schedule, "teacher-");
  add_optimizer_options(app, teacher.optimizer, "teacher-");
  add_integer(app, "--teacher-threads", command.teacher_threads, 0, kMostThreads,
              "threads of the teacher, 0 for all cores; on as many, equal seeds give equal results");
}

// The command's own: how it speaks and where its data is.
struct Invocation {
  SearchCommand search;
  DataOptions data;
  OutputOptions output;
  bool serves = false;
  ServeOptions serve;
};

// Without --data the search in the folder goes on as it was begun, perhaps for longer: what shapes a search is stored
// with it.
void take_stored(Invocation& invocation, const CLI::App& app) {
  constexpr std::string_view kAllowed[] = {
      "--workers",    "--teacher-threads",  "--storage",       "--study", "--artefacts", "--lease",
      "--skip-bad",   "--no-cache",         "--json",          "--quiet", "--memory",    "--serve",
      "--serve-host", "--serve-token-file", "--serve-control", "--time"};
  SearchCommand& command = invocation.search;
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || option->get_positional()) continue;
    const std::string name =
        option->get_lnames().empty() ? option->get_name() : "--" + option->get_lnames().front();
    if (std::ranges::count(kAllowed, name) == 0)
      throw_usage("{} is without effect: without --data the search in {} goes on as it was begun", name,
                  command.folder.string());
  }
  search::StoredSearch stored = search::stored_search(command.folder, command.storage);
  const std::optional<double> seconds = command.settings.seconds;
  command.settings = std::move(stored.settings);
  if (given(app, "--time")) command.settings.seconds = seconds;
  invocation.data.spec = std::move(stored.data_spec);
  command.command_line = std::move(stored.command);
  if (!given(app, "--workers")) command.workers = stored.workers;
  if (!given(app, "--teacher-threads")) command.teacher_threads = stored.teacher_threads;
  if (!given(app, "--memory")) command.memory_bytes = stored.memory_bytes;
}

void run(Invocation& invocation, const CLI::App& app) {
  SearchCommand& command = invocation.search;
  if (!invocation.serves)
    refuse_without_effect(app, {"--serve-"}, "it is for the live page, and --serve is not given");
  if (invocation.data.spec.empty())
    take_stored(invocation, app);
  else
    settle(app, command);
  const search::SearchSettings& settings = command.settings;
  Terminal terminal(invocation.output);
  std::optional<LivePage> page;
  if (invocation.serves) page.emplace(invocation.serve, command.folder, command.storage, terminal);
  std::string epochs;
  for (const char* name : {"--quick-epochs", "--channels-epochs", "--distill-epochs", "--prune-epochs",
                           "--qat-epochs", "--teacher-epochs"})
    if (epochs.empty() && given(app, name)) epochs = name;
  if (settings.seconds && !epochs.empty())
    terminal.message(fmt::format("{}: epochs are scaled to --time {}; --time none keeps them as given.",
                                 epochs, format_duration(*settings.seconds)));
  const auto dataset = load(invocation.data, terminal);
  search::leave_crash_marks(start_again_after_crash);
  StudyResult study;
  {
    SearchDisplay display(terminal, settings);
    study = run_search(command, *dataset,
                       {.progress = display,
                        .stop = interrupt_token(),
                        .changed = [&](const StudyResult& found) { display.changed(found); },
                        .time_left = [&](double seconds) { display.set_seconds_left(seconds); }});
  }
  terminal.result_json(result_json(study, settings.target, command.folder));
  terminal.result(summary(study, settings.target, command.folder));
  require_model(study, command.folder);
}

}  // namespace

// What bounds the search is the preset's time unless candidates are counted, and every structure that is listed.
void settle(const CLI::App& app, SearchCommand& command) {
  search::SearchSettings& settings = command.settings;
  settle_target(app, command.target, settings);
  if (given(app, "--trials") && !given(app, "--time")) settings.seconds.reset();
  // A share that was asked for is not cut by the preset's bound.
  if (given(app, "--validation") && !given(app, "--validation-images"))
    settings.split.most_validation_images.reset();
  if (!settings.configs.empty()) {
    if (!given(app, "--sampler")) settings.sampler = "list";
    if (!given(app, "--trials")) settings.trials.reset();
  }
  if (!given(app, "--storage") && search::is_own(command.folder, search::place_of(command.folder)))
    refuse_without_effect(app, {"--study", "--artefacts", "--lease"},
                          "it is for a study that several machines share, and --storage names none");
  refuse_all_without_effect(app, settings);
  search::validate(settings);
}

StudyResult run_search(const SearchCommand& command, const data::Dataset& dataset,
                       const SearchListeners& listeners) {
  Reporter reporter(command.folder);
  const search::RunOptions options{.folder = command.folder,
                                   .storage = command.storage,
                                   .lease_seconds = command.lease_seconds,
                                   .workers = command.workers,
                                   .teacher_threads = command.teacher_threads,
                                   .memory_bytes = command.memory_bytes,
                                   .command = command.command_line,
                                   .progress = listeners.progress,
                                   .stop = listeners.stop,
                                   .changed =
                                       [&](const StudyResult& study) {
                                         if (listeners.changed) listeners.changed(study);
                                         reporter.changed(study);
                                       },
                                   // One that stops early leaves a report of what it has.
                                   .stopped = [&](const StudyResult& study) { reporter.write(study); },
                                   .time_left = listeners.time_left};
  StudyResult study = search::run_search(command.settings, dataset, options);
  reporter.write(study);
  return study;
}

void add_search_options(CLI::App& app, SearchCommand& command) {
  search::SearchSettings& settings = command.settings;
  // First among the options that are read, so that all others change what it sets.
  add_parsed(app, "--preset", "NAME", "quick, micro or notebook; the defaults shown here are quick's",
             kDefaultPreset,
             [&command](const std::string& text) { command.settings = search::preset(text); });
  add_structures(app, settings);
  add_space_file(app, settings);
  add_exploration(app, settings.exploration);
  add_limits(app, command);
  add_teacher(app, command);
  add_stages(app, settings.pipeline);
  add_integer(app, "--top", settings.top, 1, 1000, "finalists");
  add_integer(app, "--seeds", settings.finalist_seeds, 1, 1000,
              "runs of each finalist, from different seeds");
  add_split_options(app, settings.split);
  add_seed_option(app, settings.seed);
  add_workers_option(app, command.workers);
  add_memory_option(app, command.memory_bytes);
  add_storage_options(app, command.storage, Presence::Optional);
  add_lease_option(app, command.lease_seconds);
}

void add_search_command(CLI::App& app, const std::string& command_line) {
  CLI::App* sub = app.add_subcommand("search", "Search for the best int8 model, from images to files");
  const auto invocation = std::make_shared<Invocation>();
  invocation->search.command_line = command_line;
  sub->add_option("folder", invocation->search.folder, "folder of the search; one that exists is resumed")
      ->type_name("DIR")
      ->required();
  add_data_options(*sub, invocation->data, Presence::Optional);
  add_search_options(*sub, invocation->search);
  add_parsed(
      *sub, "--serve", "[ADDRESS]",
      fmt::format("show the search in a browser while it runs, at 127.0.0.1:{} unless given", kServePort), "",
      [invocation](const std::string& text) {
        invocation->serves = true;
        if (!text.empty()) read_address(text, invocation->serve);
      })
      ->expected(0, 1);
  add_serve_options(*sub, invocation->serve, "serve-", "let readers stop the search");
  add_output_options(*sub, invocation->output);
  add_examples(
      *sub, {"retort search out --data fashion-mnist", "retort search out",
             "retort search out --data fashion-mnist --serve",
             "retort search out --data cifar10:data --preset notebook",
             "retort search out --data 'images:photos?size=32x32' --flash 64K --ram 32K --time 30m",
             "retort search out --data fashion-mnist --board nano33ble --latency 100ms",
             "retort search out --data fashion-mnist --preset micro --flash 16K --ram 16K --time 10m",
             "retort search out --data fashion-mnist --config '2 blocks, 1 layer, 16 filters' --trials 1"});
  sub->callback([invocation, sub] { run(*invocation, *sub); });
}

}  // namespace retort::cli
