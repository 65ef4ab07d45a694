// Which structures a search tries.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/notebook.h"
#include "search/results.h"
#include "search/settings.h"

namespace retort::search {

// A structure to try.
struct Proposal {
  // graph::graph_from_config reads it back; of a student of the notebook's kind "3 blocks, 2 layers, …",
  // whatever form it was given in.
  std::string config;
  std::string layers{};  // the notebook's list; empty for a general graph
  graph::Graph graph{};
  std::string hash{};  // graph::structural_hash
  int parent = -1;     // the trial whose change it is; −1: none
};

// Proposes structures one after another, each network once. What it proposes may depend on `known`, the
// results of all trials below a boundary that the search chooses, and on how many it has proposed since that
// moved, never on the time: the same seed gives the same proposals, those of a sampler too that is made anew at
// a boundary. Adding one: a file pair, a line in the table in sampler.cpp, the contract tests.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // The next structure, or nothing when the space is exhausted.
  virtual std::optional<Proposal> propose(std::span<const TrialResult> known) = 0;
  // Configurations of the space that could not be built, or were one network with another.
  [[nodiscard]] virtual int duplicates() const = 0;
  [[nodiscard]] virtual int unbuildable() const = 0;
};

// The notebook's way of printing a structure, "[('Conv2D', 16), …]"; empty for a graph that create_model does
// not make.
std::string notebook_layers(const graph::Graph& graph);

// Every structure of the space in the notebook's order. The default space is the notebook's grid, 216 points.
std::vector<graph::StudentConfig> grid(const Space& space);

// Whether a structure (config and graph of a proposal) is within the limits. Empty: every one is.
using Fits = std::function<bool(const Proposal&)>;

// "grid": all of settings.space. "ladder": a dozen of its structures that fit, about evenly spaced on a
// logarithmic scale of multiply-accumulates; of the notebook's grid those from tiny to middling. Where none
// fits it proposes the whole space, so that this can be said of all. "list": settings.configs, in their
// order; one that can't be built is an Error(Usage). "micro": networks of graph/micro.h at random. "evolution":
// changes of those, generation after generation.
std::unique_ptr<Sampler> make_sampler(const SearchSettings& settings, graph::Shape input, int classes,
                                      const Fits& fits = {});
const std::vector<std::string>& sampler_names();

}  // namespace retort::search
