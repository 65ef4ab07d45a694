#include "search/sampler.h"

#include <fmt/ranges.h>

#include <set>
#include <utility>

#include "base/error.h"

namespace retort::search {
namespace {

using graph::StudentConfig;

enum class Unbuildable { Count, Refuse };

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

using Factory = std::unique_ptr<Sampler> (*)(const SearchSettings&, graph::Shape, int);

struct Entry {
  std::string_view name;
  Factory make;
};

constexpr Entry kSamplers[] = {
    {"grid",
     [](const SearchSettings&, graph::Shape input, int classes) -> std::unique_ptr<Sampler> {
       return std::make_unique<ListSampler>(texts(notebook_grid()), input, classes, Unbuildable::Count);
     }},
    {"ladder",
     [](const SearchSettings&, graph::Shape input, int classes) -> std::unique_ptr<Sampler> {
       return std::make_unique<ListSampler>(texts(ladder()), input, classes, Unbuildable::Count);
     }},
    {"list",
     [](const SearchSettings& settings, graph::Shape input, int classes) -> std::unique_ptr<Sampler> {
       return std::make_unique<ListSampler>(settings.configs, input, classes, Unbuildable::Refuse);
     }},
};

}  // namespace

std::vector<StudentConfig> notebook_grid() {
  std::vector<StudentConfig> grid;
  for (const int blocks : {1, 2, 3})
    for (const int layers : {1, 2})
      for (const int filters : {16, 32, 64})
        for (const int dense_layers : {0, 1, 2})
          for (const int dense_units : {64, 128, 256, 512})
            grid.push_back({blocks, layers, filters, dense_layers, dense_units});
  return grid;
}

std::string notebook_layers(const graph::Graph& graph) {
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
      return {};
    }
  }
  // The list says it all only when it makes the very same network.
  try {
    const graph::Graph made = graph::create_model(layers, graph.input_shape(), graph.classes());
    if (graph::structural_hash(made) == graph::structural_hash(graph)) return graph::to_string(layers);
  } catch (const Error&) {
    return {};
  }
  return {};
}

std::unique_ptr<Sampler> make_sampler(const SearchSettings& settings, graph::Shape input, int classes) {
  for (const Entry& entry : kSamplers)
    if (entry.name == settings.sampler) return entry.make(settings, input, classes);
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
