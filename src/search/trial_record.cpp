#include "search/trial_record.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "graph/micro.h"
#include "search/limits.h"
#include "search/search.h"
#include "study/parameters.h"

namespace retort::search {
namespace {

using study::integer_parameter;
using study::Scale;

// "3 blocks, 2 layers, 32 filters, 1 dense, 128 units": the number before a word that begins so.
std::optional<int> number_before(std::string_view config, std::string_view word) {
  const size_t at = config.find(word);
  if (at == std::string_view::npos || at < 2 || config[at - 1] != ' ') return std::nullopt;
  size_t begin = at - 1;
  while (begin > 0 && config[begin - 1] >= '0' && config[begin - 1] <= '9') --begin;
  int value = 0;
  if (std::from_chars(config.data() + begin, config.data() + at - 1, value).ec != std::errc())
    return std::nullopt;
  return value;
}

// Ranges must be the same for all trials of a study, whatever else is proposed: that of the space, else one
// that has room for all.
study::Parameter gene(const char* name, int value, const std::vector<int>* space, int most) {
  const Scale scale = most > 64 ? Scale::Log : Scale::Linear;
  if (space == nullptr) return integer_parameter(name, value, scale == Scale::Log ? 1 : 0, most, scale);
  const auto [low, high] = std::ranges::minmax(*space);
  return integer_parameter(name, value, low, high, scale);
}

std::vector<study::Parameter> notebook_genes(std::string_view config, const SearchSettings& settings) {
  const bool in_space = settings.sampler == "grid" || settings.sampler == "ladder";
  const auto range = [&](const std::vector<int>& values) { return in_space ? &values : nullptr; };
  const Space& space = settings.space;
  std::vector<study::Parameter> genes;
  const auto add = [&](const char* name, std::string_view word, const std::vector<int>& values, int most) {
    if (const auto value = number_before(config, word))
      genes.push_back(gene(name, *value, range(values), most));
  };
  add("blocks", "block", space.blocks, 16);
  add("layers", "layer", space.layers, 16);
  add("filters", "filter", space.filters, 4096);
  add("dense", "dense", space.dense_layers, 16);
  add("units", "unit", space.dense_units, 16384);
  return genes;
}

std::vector<study::Parameter> micro_genes(const graph::MicroNetwork& network) {
  using graph::BlockKind;
  constexpr std::array<std::pair<BlockKind, std::string_view>, 4> kKinds = {{{BlockKind::Conv, "conv"},
                                                                             {BlockKind::Separable, "sep"},
                                                                             {BlockKind::Inverted, "inv"},
                                                                             {BlockKind::Residual, "res"}}};
  std::vector<std::string> names;
  std::array<int, kKinds.size()> counts{};
  for (const auto& [kind, name] : kKinds) names.emplace_back(name);
  int halvings = 0;
  int first_width = 0;
  int last_width = 0;
  int largest_kernel = 1;
  int blocks = 0;
  for (const graph::Block& block : network.blocks) {
    const auto kind = std::ranges::find(kKinds, block.kind, &std::pair<BlockKind, std::string_view>::first);
    if (kind == kKinds.end()) {
      if (graph::is_pool(block.kind)) ++halvings;
      continue;
    }
    ++blocks;
    ++counts.at(static_cast<size_t>(kind - kKinds.begin()));
    if (block.stride > 1) ++halvings;
    if (first_width == 0) first_width = block.width;
    last_width = block.width;
    largest_kernel = std::max(largest_kernel, block.kernel);
  }
  if (blocks == 0) return {};
  const auto most = std::ranges::max_element(counts) - counts.begin();
  return {integer_parameter("blocks", blocks, 0, 64),
          study::categorical_parameter("kind", names[static_cast<size_t>(most)], names),
          integer_parameter("first width", first_width, 1, 4096, Scale::Log),
          integer_parameter("last width", last_width, 1, 4096, Scale::Log),
          integer_parameter("largest kernel", largest_kernel, 1, 15),
          integer_parameter("halvings", halvings, 0, 16),
          integer_parameter("dense", static_cast<int>(network.dense.size()), 0, 16)};
}

std::vector<study::Parameter> genes_of(const std::string& config, const SearchSettings& settings) {
  if (graph::is_micro_network(config)) return micro_genes(graph::micro_network(config));
  return notebook_genes(config, settings);
}

std::vector<double> excesses(const TrialResult& costs, const Limits& limits) {
  std::vector<double> out;
  for (const CostAndLimit& each : limited_costs(costs, limits)) out.push_back(each.value / each.limit - 1);
  return out;
}

std::vector<study::Attribute> attributes(const Json& object) {
  std::vector<study::Attribute> out;
  for (const auto& [name, value] : object.items()) out.push_back({name, dump_json(value)});
  return out;
}

Json costs_json(const TrialResult& costs) {
  Json out = {
      {"parameters", costs.parameters},           {"macs", costs.macs},
      {"tflite_bytes", costs.flash_bytes},        {"flash_bytes", costs.footprint.flash_bytes()},
      {"ram_bytes", costs.footprint.ram_bytes()}, {"arena_bytes_cortex_m4", costs.arena_bytes_cortex_m4}};
  if (costs.latency) out["latency_ms"] = costs.latency->milliseconds;
  return out;
}

}  // namespace

const std::vector<study::Objective>& objectives() {
  static const std::vector<study::Objective> all = {{"accuracy", study::Direction::Maximize},
                                                    {"flash bytes", study::Direction::Minimize},
                                                    {"RAM bytes", study::Direction::Minimize},
                                                    {"MACs", study::Direction::Minimize}};
  return all;
}

study::NewTrial to_new_trial(const StoredProposal& stored, const SearchSettings& settings) {
  Json shown = costs_json(stored.costs);
  shown["config"] = stored.proposal.config;
  shown["hash"] = stored.proposal.hash;
  if (stored.recipe) shown["recipe"] = *stored.recipe;
  return {.proposal = dump_json(to_stored(stored)),
          .parameters = genes_of(stored.proposal.config, settings),
          .constraints = excesses(stored.costs, settings.limits),
          .attributes = attributes(shown)};
}

study::Ending to_ending(const TrialResult& result) {
  const auto state = [&] {
    switch (result.outcome) {
      case Outcome::Complete:
        return study::TrialState::Complete;
      case Outcome::Skipped:
        return study::TrialState::Skipped;
      case Outcome::Infeasible:
        return study::TrialState::Infeasible;
      case Outcome::Failed:
        break;
    }
    return study::TrialState::Failed;
  };
  Json shown = {{"seed", result.seed}};
  if (!result.reason.empty()) shown["reason"] = result.reason;
  if (!result.diverged.empty()) shown["diverged"] = result.diverged;
  Json stored = result;
  for (Json& stage : stored.at("stages")) {
    stage.erase("layers");
    stage.at("history").erase("epochs");
  }
  study::Ending ending{.state = state(), .result = dump_json(stored), .values = {}, .attributes = {}};
  if (ending.state == study::TrialState::Complete) {
    shown.update(costs_json(result));
    shown["accuracy_float"] = result.accuracy_float;
    shown["sparsity"] = result.sparsity;
    shown["file"] = result.file;
    ending.values = {result.accuracy_int8, static_cast<double>(result.footprint.flash_bytes()),
                     static_cast<double>(result.footprint.ram_bytes()), static_cast<double>(result.macs)};
  }
  ending.attributes = attributes(shown);
  return ending;
}

std::vector<study::IntermediateValue> intermediate_values(std::span<const StageResult> before,
                                                          const engine::History& stage) {
  size_t step = 0;
  for (const StageResult& earlier : before) step += static_cast<size_t>(earlier.trained);
  std::vector<study::IntermediateValue> out;
  for (const engine::EpochResult& epoch : stage.epochs) {
    ++step;
    if (!std::isnan(epoch.validation_accuracy))
      out.push_back({static_cast<int>(step), epoch.validation_accuracy});
  }
  return out;
}

TrialResult stored_result(const study::TrialRecord& record) {
  auto result = parse_json(record.result).get<TrialResult>();
  for (const study::StageRecord& stored : record.stages) {
    const auto stage = std::ranges::find(result.stages, stored.name, &StageResult::name);
    if (stage != result.stages.end()) *stage = parse_json(stored.result).get<StageResult>();
  }
  return result;
}

}  // namespace retort::search
