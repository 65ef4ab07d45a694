// retort bench proxies: how well numbers of untrained networks rank the structures of a finished search.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "data/reader.h"
#include "graph/notebook.h"
#include "search/insight.h"
#include "search/proxies.h"
#include "search/search.h"
#include "search/teacher.h"

namespace retort::cli {
namespace {

constexpr size_t kFewest = 8;  // structures that a correlation is worth telling of

struct BenchProxiesCommand {
  std::filesystem::path folder;
  DataOptions data;
  int batch = 64;
  OutputOptions output;
};

// Structures that were trained on equal terms: of an exploration those of its first heats, else all.
std::vector<const search::TrialResult*> comparable(const search::StudyResult& study) {
  const bool explored = std::ranges::any_of(
      study.trials, [](const search::TrialResult& trial) { return trial.effort == search::Effort::Explore; });
  std::vector<const search::TrialResult*> trials;
  for (const search::TrialResult& trial : study.trials) {
    if (trial.outcome != search::Outcome::Complete) continue;
    const search::TrialResult* parent = search::find_trial(study, trial.parent);
    const bool is_first_heat = trial.effort == search::Effort::Heat && parent != nullptr &&
                               parent->effort == search::Effort::Explore;
    if (explored ? is_first_heat : trial.effort == search::Effort::Full) trials.push_back(&trial);
  }
  return trials;
}

// What is left of a rank correlation when both are known to follow a third number (partial correlation).
double beside(double ab, double ac, double bc) {
  return (ab - ac * bc) / std::sqrt((1 - ac * ac) * (1 - bc * bc));
}

void run(const BenchProxiesCommand& command) {
  Terminal terminal(command.output);
  const search::StudyResult study = search::load_study(command.folder);
  const std::vector<const search::TrialResult*> trials = comparable(study);
  if (trials.size() < kFewest)
    throw_usage("{}: has {} structures that were trained on equal terms; a correlation needs at least {}",
                command.folder.string(), trials.size(), kFewest);
  const auto dataset = load(command.data, terminal);
  const data::ImageSet& images = dataset->train;
  // Every so manieth, so that sorted data give all classes.
  const size_t count = std::min(static_cast<size_t>(command.batch), images.count());
  std::vector<uint8_t> pixels;
  std::vector<uint16_t> labels;
  for (size_t i = 0; i < count; ++i) {
    const size_t index = i * images.count() / count;
    const auto image = images.image(index);
    pixels.insert(pixels.end(), image.begin(), image.end());
    labels.push_back(images.labels[index]);
  }
  const engine::Batch batch{.images = pixels, .labels = labels};
  std::vector<search::Proxies> proxies(trials.size());
  std::atomic<size_t> done = 0;
  parallel_for(trials.size(), 1, 0, [&](size_t i) {
    const graph::Graph graph = graph::graph_from_config(trials[i]->config, search::input_shape(*dataset),
                                                        static_cast<int>(dataset->classes.size()));
    proxies[i] = search::measure_proxies(graph, batch, engine::backend(), Rng(1));
    terminal.update("proxies", static_cast<double>(++done), static_cast<double>(trials.size()), {});
  });
  std::vector<double> accuracy;
  std::vector<double> macs;
  std::vector<double> parameters;
  for (const search::TrialResult* trial : trials) {
    accuracy.push_back(trial->accuracy_int8);
    macs.push_back(static_cast<double>(trial->macs));
    parameters.push_back(static_cast<double>(trial->parameters));
  }
  const auto of = [&](double search::Proxies::* member) {
    std::vector<double> values;
    for (const search::Proxies& each : proxies) values.push_back(each.*member);
    return values;
  };
  const std::vector<std::pair<std::string, std::vector<double>>> columns = {
      {"multiply-accumulates", macs},
      {"parameters", parameters},
      {"gradient norm", of(&search::Proxies::gradient_norm)},
      {"snip", of(&search::Proxies::snip)},
      {"activation patterns", of(&search::Proxies::activation_patterns)}};
  const double size_with_accuracy = search::rank_correlation(macs, accuracy);
  Json json = {{"structures", trials.size()}, {"proxies", Json::array()}};
  std::string text = fmt::format(
      "{} structures of {}; Spearman's rank correlation with int8 accuracy\n{:<22} {:>8} {:>14}\n",
      trials.size(), command.folder.string(), "", "alone", "at equal MACs");
  for (const auto& [name, values] : columns) {
    const double alone = search::rank_correlation(values, accuracy);
    const bool is_size = &values == &columns.front().second;
    const double equal = is_size ? search::kUnknown
                                 : beside(alone, search::rank_correlation(values, macs), size_with_accuracy);
    json["proxies"].push_back(
        {{"name", name}, {"correlation", alone}, {"at_equal_macs", is_size ? Json() : Json(equal)}});
    text += fmt::format("{:<22} {:>8.2f} {:>14}\n", name, alone,
                        is_size                ? ""
                        : std::isfinite(equal) ? fmt::format("{:.2f}", equal)
                                               : "–");
  }
  terminal.finish("proxies");
  terminal.result(text);
  terminal.result_json(json);
}

}  // namespace

void add_bench_proxies_command(CLI::App& bench) {
  CLI::App* sub = bench.add_subcommand(
      "proxies", "How well numbers of untrained networks (zero-cost proxies) rank what a search has trained");
  const auto command = std::make_shared<BenchProxiesCommand>();
  sub->add_option("folder", command->folder, "the folder of a finished search")->type_name("DIR")->required();
  add_data_options(*sub, command->data, Presence::Required);
  add_integer(*sub, "--batch", command->batch, 2, 4096, "images that the numbers come from");
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort bench proxies out --data fashion-mnist"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
