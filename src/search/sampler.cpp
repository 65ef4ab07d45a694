#include "search/sampler.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <utility>

#include "base/error.h"
#include "search/evolution.h"
#include "search/micro_sampler.h"

namespace retort::search {
namespace {

using graph::StudentConfig;

enum class Unbuildable { Count, Refuse };

// The list that create_model makes this very graph from, when there is one.
std::optional<std::vector<graph::Layer>> layers_of(const graph::Graph& graph) {
  std::vector<graph::Layer> layers;
  for (int i = 1; i < graph.size(); ++i) {
    const graph::Operator& op = graph.node(i).op;
    if (const auto* conv = std::get_if<graph::Conv>(&op)) {
      layers.push_back({graph::LayerKind::Conv2D, conv->filters});
    } else if (const auto* dense = std::get_if<graph::Dense>(&op)) {
      layers.push_back({graph::LayerKind::Dense, dense->units});
    } else if (std::holds_alternative<graph::MaxPool>(op)) {
      layers.push_back({graph::LayerKind::MaxPool2D, 0});
    } else if (std::holds_alternative<graph::GlobalAvgPool>(op)) {
      layers.push_back({graph::LayerKind::GlobalAveragePooling2D, 0});
    } else if (std::holds_alternative<graph::Flatten>(op)) {
      layers.push_back({graph::LayerKind::Flatten, 0});
    } else if (!std::holds_alternative<graph::Relu>(op) && !std::holds_alternative<graph::Softmax>(op)) {
      return std::nullopt;
    }
  }
  // The list says it all only when it makes the very same network.
  try {
    const graph::Graph made = graph::create_model(layers, graph.input_shape(), graph.classes());
    if (graph::structural_hash(made) == graph::structural_hash(graph)) return layers;
  } catch (const Error&) {
    return std::nullopt;
  }
  return std::nullopt;
}

// The point of a grid that makes this very graph, when there is one.
std::optional<StudentConfig> student_config(const graph::Graph& graph) {
  const auto layers = layers_of(graph);
  if (!layers) return std::nullopt;
  const auto count = [&layers](graph::LayerKind kind) {
    return static_cast<int>(std::ranges::count(*layers, kind, &graph::Layer::kind));
  };
  const auto first = [&layers](graph::LayerKind kind) {
    return std::ranges::find(*layers, kind, &graph::Layer::kind)->value;
  };
  StudentConfig config;
  config.blocks = count(graph::LayerKind::MaxPool2D);
  const int convs = count(graph::LayerKind::Conv2D);
  if (config.blocks == 0 || convs == 0) return std::nullopt;
  config.layers = convs / config.blocks;
  config.filters = first(graph::LayerKind::Conv2D);
  config.dense_layers = count(graph::LayerKind::Dense) - 1;
  if (config.dense_layers > 0) config.dense_units = first(graph::LayerKind::Dense);
  try {
    if (graph::student_layers(config, graph.classes()) == *layers) return config;
  } catch (const Error&) {
    return std::nullopt;
  }
  return std::nullopt;
}

// Goes through a list, leaving out networks it has already proposed.
class ListSampler final : public Sampler {
 public:
  ListSampler(std::vector<std::string> configs, graph::Shape input, int classes, Unbuildable unbuildable)
      : configs_(std::move(configs)), input_(input), classes_(classes), policy_(unbuildable) {}

  std::optional<Proposal> propose(std::span<const TrialResult>) override {
    while (next_ < configs_.size()) {
      Proposal proposal{.config = configs_[next_++]};
      try {
        proposal.graph = graph::graph_from_config(proposal.config, input_, classes_);
      } catch (const Error&) {
        if (policy_ == Unbuildable::Refuse) throw;
        ++unbuildable_;
        continue;
      }
      proposal.hash = graph::structural_hash(proposal.graph);
      if (!proposed_.insert(proposal.hash).second) {
        ++duplicates_;
        continue;
      }
      proposal.layers = notebook_layers(proposal.graph);
      if (const auto config = student_config(proposal.graph)) proposal.config = graph::to_string(*config);
      return proposal;
    }
    return std::nullopt;
  }

  [[nodiscard]] int duplicates() const override { return duplicates_; }
  [[nodiscard]] int unbuildable() const override { return unbuildable_; }

 private:
  std::vector<std::string> configs_;
  graph::Shape input_;
  int classes_;
  Unbuildable policy_;
  size_t next_ = 0;
  std::set<std::string> proposed_;
  int duplicates_ = 0;
  int unbuildable_ = 0;
};

std::vector<std::string> texts(const std::vector<StudentConfig>& configs) {
  std::vector<std::string> out;
  for (const StudentConfig& config : configs) out.push_back(graph::to_string(config));
  return out;
}

// All of the notebook's grid. Multiply-accumulates on 28×28 grey images beside each.
std::vector<StudentConfig> ladder() {
  return {
      {.blocks = 2, .layers = 1, .filters = 16},                                         // 1.0 M
      {.blocks = 3, .layers = 1, .filters = 16},                                         // 1.9 M
      {.blocks = 3, .layers = 1, .filters = 16, .dense_layers = 1, .dense_units = 64},   // 1.9 M
      {.blocks = 2, .layers = 1, .filters = 32},                                         // 3.8 M
      {.blocks = 2, .layers = 2, .filters = 16},                                         // 4.6 M
      {.blocks = 3, .layers = 2, .filters = 16},                                         // 7.3 M
      {.blocks = 3, .layers = 2, .filters = 16, .dense_layers = 1, .dense_units = 64},   // 7.3 M
      {.blocks = 3, .layers = 1, .filters = 32},                                         // 7.5 M
      {.blocks = 3, .layers = 1, .filters = 32, .dense_layers = 1, .dense_units = 128},  // 7.5 M
      {.blocks = 2, .layers = 1, .filters = 64},                                         // 14.9 M
      {.blocks = 2, .layers = 2, .filters = 32},                                         // 18.3 M
      {.blocks = 3, .layers = 2, .filters = 32, .dense_layers = 1, .dense_units = 128},  // 29.1 M
  };
}

// Multiply-accumulates of a student's convolutions and dense layers, but for the last one's.
double student_macs(const StudentConfig& config, graph::Shape input) {
  double macs = 0;
  int height = input.height;
  int width = input.width;
  double channels = input.channels;
  double filters = config.filters;
  for (int block = 0; block < config.blocks; ++block, filters *= 2, height /= 2, width /= 2)
    for (int layer = 0; layer < config.layers; ++layer, channels = filters)
      macs += 9.0 * height * width * channels * filters;
  for (int layer = 0; layer < config.dense_layers; ++layer, channels = config.dense_units)
    macs += channels * config.dense_units;
  return macs;
}

// A dozen of the structures, from the cheapest to the costliest, each nearest to its rung.
std::vector<StudentConfig> rungs(std::vector<StudentConfig> configs, graph::Shape input) {
  constexpr size_t kRungs = 12;
  std::ranges::stable_sort(configs, {}, [&](const auto& config) { return student_macs(config, input); });
  if (configs.size() <= kRungs) return configs;
  const double low = std::log(student_macs(configs.front(), input));
  const double high = std::log(student_macs(configs.back(), input));
  std::vector<StudentConfig> chosen;
  size_t next = 0;
  for (size_t rung = 0; rung < kRungs; ++rung) {
    const double target = low + (high - low) * static_cast<double>(rung) / static_cast<double>(kRungs - 1);
    const auto distance = [&](size_t i) {
      return std::abs(std::log(student_macs(configs[i], input)) - target);
    };
    // Enough are left for the rungs above.
    const size_t last = configs.size() - (kRungs - rung);
    while (next < last && distance(next + 1) <= distance(next)) ++next;
    chosen.push_back(configs[next++]);
  }
  return chosen;
}

// The structures of a ladder.
std::vector<StudentConfig> climb(const Space& space, graph::Shape input, int classes, const Fits& fits) {
  const auto fitting = [&](std::vector<StudentConfig> configs) {
    if (fits)
      std::erase_if(configs, [&](const StudentConfig& config) {
        Proposal proposal{.config = graph::to_string(config)};
        proposal.graph = graph::graph_from_config(proposal.config, input, classes);
        return !fits(proposal);
      });
    return configs;
  };
  std::vector<StudentConfig> configs = grid(space);
  std::erase_if(configs, [&](const StudentConfig& config) {
    return (input.height >> config.blocks) == 0 || (input.width >> config.blocks) == 0;
  });
  // Without dense layers the number of units makes no other network.
  std::set<std::string> seen;
  std::erase_if(configs,
                [&](const StudentConfig& config) { return !seen.insert(graph::to_string(config)).second; });
  if (space != Space{}) {
    const std::vector<StudentConfig> within = fitting(configs);
    return within.empty() ? configs : rungs(within, input);
  }
  std::vector<StudentConfig> known = ladder();
  if (!fits || fitting(known).size() == known.size()) return known;
  std::vector<StudentConfig> within = fitting(configs);
  if (within.empty()) return configs;
  const auto middling = [&, most = student_macs(known.back(), input)](const StudentConfig& config) {
    return student_macs(config, input) <= most;
  };
  if (std::ranges::any_of(within, middling)) std::erase_if(within, std::not_fn(middling));
  return rungs(std::move(within), input);
}

using Factory = std::unique_ptr<Sampler> (*)(const SearchSettings&, graph::Shape, int, const Fits&);

struct Entry {
  std::string_view name;
  Factory make;
};

constexpr Entry kSamplers[] = {
    {"grid",
     [](const SearchSettings& settings, graph::Shape input, int classes,
        const Fits&) -> std::unique_ptr<Sampler> {
       return std::make_unique<ListSampler>(texts(grid(settings.space)), input, classes, Unbuildable::Count);
     }},
    {"ladder",
     [](const SearchSettings& settings, graph::Shape input, int classes,
        const Fits& fits) -> std::unique_ptr<Sampler> {
       return std::make_unique<ListSampler>(texts(climb(settings.space, input, classes, fits)), input,
                                            classes, Unbuildable::Count);
     }},
    {"list",
     [](const SearchSettings& settings, graph::Shape input, int classes,
        const Fits&) -> std::unique_ptr<Sampler> {
       return std::make_unique<ListSampler>(settings.configs, input, classes, Unbuildable::Refuse);
     }},
    {"micro", make_micro_sampler},
    {"evolution", make_evolution},
};

}  // namespace

std::vector<StudentConfig> grid(const Space& space) {
  std::vector<StudentConfig> configs;
  for (const int blocks : space.blocks)
    for (const int layers : space.layers)
      for (const int filters : space.filters)
        for (const int dense_layers : space.dense_layers)
          for (const int dense_units : space.dense_units)
            configs.push_back({blocks, layers, filters, dense_layers, dense_units});
  return configs;
}

std::string notebook_layers(const graph::Graph& graph) {
  const auto layers = layers_of(graph);
  return layers ? graph::to_string(*layers) : std::string();
}

std::unique_ptr<Sampler> make_sampler(const SearchSettings& settings, graph::Shape input, int classes,
                                      const Fits& fits) {
  for (const Entry& entry : kSamplers)
    if (entry.name == settings.sampler) return entry.make(settings, input, classes, fits);
  throw_usage("unknown sampler '{}': known are {}", settings.sampler, fmt::join(sampler_names(), ", "));
}

const std::vector<std::string>& sampler_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Entry& entry : kSamplers) list.emplace_back(entry.name);
    return list;
  }();
  return names;
}

}  // namespace retort::search
