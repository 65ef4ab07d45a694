#include "search/insight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/parallel.h"
#include "graph/micro.h"

namespace retort::search {
namespace {

// Ranks from 1, equal values sharing the mean of theirs.
std::vector<double> ranks(const std::vector<double>& values) {
  struct Place {
    double value;
    size_t index;
  };
  std::vector<Place> order;
  order.reserve(values.size());
  for (const double value : values) order.push_back({value, order.size()});
  std::ranges::sort(order, {}, &Place::value);
  std::vector<double> result(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && order[end].value == order[begin].value) ++end;
    for (size_t i = begin; i < end; ++i)
      result[order[i].index] = (static_cast<double>(begin) + 1 + static_cast<double>(end)) / 2;
    begin = end;
  }
  return result;
}

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  const auto mean = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  const double mean_a = mean(a);
  const double mean_b = mean(b);
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : kUnknown;
}

std::vector<const TrialResult*> complete(const StudyResult& study, Effort effort) {
  std::vector<const TrialResult*> trials;
  for (const TrialResult& trial : study.trials)
    if (trial.outcome == Outcome::Complete && trial.effort == effort) trials.push_back(&trial);
  return trials;
}

using Measure = std::function<double(const TrialResult&)>;

std::vector<double> values_of(const std::vector<const TrialResult*>& trials, const Measure& measure) {
  std::vector<double> values;
  for (const TrialResult* trial : trials) values.push_back(measure(*trial));
  return values;
}

const std::vector<std::pair<std::string, Measure>>& free_measures() {
  static const std::vector<std::pair<std::string, Measure>> measures = {
      {"multiply-accumulates", [](const TrialResult& trial) { return static_cast<double>(trial.macs); }},
      {"parameters", [](const TrialResult& trial) { return static_cast<double>(trial.parameters); }},
      {"flash", [](const TrialResult& trial) { return static_cast<double>(trial.footprint.flash_bytes()); }},
      {"RAM", [](const TrialResult& trial) { return static_cast<double>(trial.footprint.ram_bytes()); }}};
  return measures;
}

double accuracy(const TrialResult& trial) {
  return trial.accuracy_int8;
}

void strongest_first(std::vector<Correlation>& correlations) {
  std::erase_if(correlations,
                [](const Correlation& correlation) { return !std::isfinite(correlation.with_accuracy); });
  std::ranges::sort(correlations, std::greater<>(),
                    [](const Correlation& correlation) { return std::abs(correlation.with_accuracy); });
}

}  // namespace

double rank_correlation(std::span<const double> a, std::span<const double> b) {
  std::vector<double> of_a;
  std::vector<double> of_b;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) continue;
    of_a.push_back(a[i]);
    of_b.push_back(b[i]);
  }
  return of_a.size() < 3 ? kUnknown : pearson(ranks(of_a), ranks(of_b));
}

std::vector<Gene> genes(const std::vector<const TrialResult*>& trials) {
  using graph::Block;
  using graph::BlockKind;
  if (!std::ranges::all_of(trials,
                           [](const TrialResult* trial) { return graph::is_micro_network(trial->config); }))
    return {};
  std::vector<graph::MicroNetwork> networks(trials.size());
  constexpr size_t kChunk = 64;
  parallel_for(trials.size(), kChunk, 0,
               [&](size_t i) { networks[i] = graph::micro_network(trials[i]->config); });
  std::vector<Gene> result;
  const auto add = [&](std::string name, const std::function<double(const graph::MicroNetwork&)>& value) {
    Gene gene{.name = std::move(name), .values = {}};
    for (const graph::MicroNetwork& network : networks) gene.values.push_back(value(network));
    result.push_back(std::move(gene));
  };
  // The mean over convolutions' blocks.
  const auto mean = [&](const std::function<double(const Block&)>& value) {
    return [=](const graph::MicroNetwork& network) {
      double sum = 0;
      double count = 0;
      for (const Block& block : network.blocks) {
        if (!graph::is_convolution(block.kind)) continue;
        sum += value(block);
        ++count;
      }
      return count > 0 ? sum / count : 0;
    };
  };
  add("blocks",
      [](const graph::MicroNetwork& network) { return static_cast<double>(network.blocks.size()); });
  add("mean width", mean([](const Block& block) { return static_cast<double>(block.width); }));
  add("first width", [](const graph::MicroNetwork& network) {
    const auto first = std::ranges::find_if(network.blocks, graph::is_convolution, &Block::kind);
    return first == network.blocks.end() ? 0.0 : static_cast<double>(first->width);
  });
  add("last width", [](const graph::MicroNetwork& network) {
    return network.blocks.empty() ? 0.0 : static_cast<double>(network.blocks.back().width);
  });
  add("total stride", [](const graph::MicroNetwork& network) {
    double stride = 1;
    for (const Block& block : network.blocks)
      stride *= graph::is_pool(block.kind) ? block.width : block.stride;  // of "gray" 1
    return stride;
  });
  for (const auto& [name, kind] :
       {std::pair{"plain", BlockKind::Conv}, std::pair{"separable", BlockKind::Separable},
        std::pair{"inverted residual", BlockKind::Inverted}, std::pair{"residual", BlockKind::Residual}})
    add(fmt::format("share of {} blocks", name),
        mean([kind](const Block& block) { return block.kind == kind ? 1.0 : 0.0; }));
  add("kernels of 5", mean([](const Block& block) { return block.kernel == 5 ? 1.0 : 0.0; }));
  add("pools", [](const graph::MicroNetwork& network) {
    return static_cast<double>(std::ranges::count_if(network.blocks, graph::is_pool, &Block::kind));
  });
  add("grey first", [](const graph::MicroNetwork& network) {
    return static_cast<double>(std::ranges::count(network.blocks, BlockKind::Gray, &Block::kind));
  });
  add("dense layers",
      [](const graph::MicroNetwork& network) { return static_cast<double>(network.dense.size()); });
  add("flatten instead of global average",
      [](const graph::MicroNetwork& network) { return network.head == graph::Head::Flatten ? 1.0 : 0.0; });
  return result;
}

std::vector<Correlation> what_mattered(const StudyResult& study) {
  const std::vector<const TrialResult*> trials = complete(study, Effort::Explore);
  const std::vector<double> accuracies = values_of(trials, accuracy);
  std::vector<Gene> measured;
  for (const auto& [name, measure] : free_measures()) measured.push_back({name, values_of(trials, measure)});
  std::ranges::move(genes(trials), std::back_inserter(measured));
  std::vector<Correlation> correlations(measured.size());
  parallel_for(measured.size(), 1, 0, [&](size_t i) {
    correlations[i] = {.name = measured[i].name,
                       .with_accuracy = rank_correlation(measured[i].values, accuracies),
                       .count = trials.size()};
  });
  strongest_first(correlations);
  return correlations;
}

std::vector<Correlation> early_signs(const StudyResult& study) {
  const std::vector<const TrialResult*> trials = complete(study, Effort::Full);
  const std::vector<double> accuracies = values_of(trials, accuracy);
  std::vector<Correlation> correlations;
  const auto add = [&](const std::string& name, const Measure& measure) {
    correlations.push_back({.name = name,
                            .with_accuracy = rank_correlation(values_of(trials, measure), accuracies),
                            .count = trials.size()});
  };
  for (const auto& [name, measure] : free_measures()) add(name, measure);
  // Of the trial before it that was made with this effort.
  const auto before = [&](Effort effort, const Measure& measure) {
    return [&study, effort, measure](const TrialResult& trial) {
      const TrialResult* earlier = find_trial(study, trial.parent);
      while (earlier != nullptr && earlier->effort != effort) earlier = find_trial(study, earlier->parent);
      return earlier == nullptr ? kUnknown : measure(*earlier);
    };
  };
  add("accuracy in its heat", before(Effort::Heat, accuracy));
  add("accuracy when it was explored", before(Effort::Explore, accuracy));
  add("training loss when it was explored", before(Effort::Explore, [](const TrialResult& trial) {
        double sum = 0;
        for (const StageResult& stage : trial.stages)
          for (const engine::EpochResult& epoch : stage.history.epochs) sum += epoch.train_loss;
        return sum;
      }));
  strongest_first(correlations);
  return correlations;
}

}  // namespace retort::search
