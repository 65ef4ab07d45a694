#include "search/evolution.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <ranges>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/micro.h"
#include "graph/parameters.h"
#include "search/micro_sampler.h"
#include "search/mutation.h"
#include "search/starting_points.h"

namespace retort::search {

namespace {

class Evolution final : public Sampler {
 public:
  Evolution(const SearchSettings& settings, graph::Shape input, int classes, const Fits& fits)
      : settings_(settings.exploration),
        space_(settings.micro_space),
        rng_(Rng(settings.seed).fork("evolution")),
        input_(input),
        classes_(classes),
        fits_(fits) {}

  std::optional<Proposal> propose(std::span<const TrialResult> known) override {
    if (known.size() != known_) {
      known_ = known.size();
      since_ = 0;
      for (const TrialResult& trial : known) proposed_.insert(trial.hash);
    }
    const size_t index = known_ + since_;
    std::vector<const TrialResult*> parents;
    for (const TrialResult& trial : known)
      if (trial.outcome == Outcome::Complete) parents.push_back(&trial);
    auto proposal = parents.empty() ? first() : child_of(parents, rng_.fork("child", index));
    if (!proposal) return std::nullopt;
    ++since_;
    proposed_.insert(proposal->hash);
    return proposal;
  }

  [[nodiscard]] int duplicates() const override { return duplicates_; }
  [[nodiscard]] int unbuildable() const override { return unbuildable_; }

 private:
  std::optional<Proposal> first() {
    if (first_.empty() && since_ == 0) first_ = first_generation();
    if (since_ >= first_.size()) return std::nullopt;
    return first_[since_];
  }

  // Up to two thirds of it of well-known shapes, the others at random.
  std::vector<Proposal> first_generation() {
    const auto count = static_cast<size_t>(settings_.first);
    std::vector<Proposal> proposals =
        starting_points(space_, rng_.fork("starting points"), input_, classes_, fits_);
    proposals.resize(std::min(proposals.size(), 2 * count / 3));
    for (Proposal& drawn : draw_micro(count - proposals.size(), space_, rng_.fork("first"), input_, classes_,
                                      fits_, duplicates_)) {
      if (std::ranges::find(proposals, drawn.hash, &Proposal::hash) == proposals.end())
        proposals.push_back(std::move(drawn));
      else
        ++duplicates_;
    }
    return proposals;
  }

  // Of a few at random the most accurate.
  const TrialResult& parent(const std::vector<const TrialResult*>& eligible, Rng& rng) const {
    const TrialResult* best = nullptr;
    for (int i = 0; i < settings_.tournament; ++i) {
      const TrialResult* drawn = eligible[rng.below(static_cast<uint32_t>(eligible.size()))];
      if (best == nullptr || drawn->accuracy_int8 > best->accuracy_int8) best = drawn;
    }
    return *best;
  }

  std::vector<const TrialResult*> youngest(const std::vector<const TrialResult*>& trials) const {
    const auto population = static_cast<std::ptrdiff_t>(settings_.population);
    if (std::ssize(trials) <= population) return trials;
    return {trials.end() - population, trials.end()};
  }

  // Those of any age that a child of at most so many parameters may come from.
  static std::vector<const TrialResult*> around(const std::vector<const TrialResult*>& trials,
                                                int64_t most_parameters) {
    constexpr int64_t kLarger = 4;
    std::vector<const TrialResult*> eligible = trials;
    std::erase_if(eligible,
                  [&](const TrialResult* trial) { return trial->parameters > kLarger * most_parameters; });
    return eligible.empty() ? trials : eligible;
  }

  // A size of the front, all as likely on a logarithmic scale.
  static int64_t parameters_of_front(const std::vector<const TrialResult*>& trials, Rng& rng) {
    constexpr double kRange = 64;  // of the largest to the smallest
    const auto most = std::ranges::max(trials | std::views::transform(&TrialResult::parameters));
    return static_cast<int64_t>(static_cast<double>(most) *
                                std::pow(kRange, -static_cast<double>(rng.uniform())));
  }

  std::optional<Proposal> child_of(const std::vector<const TrialResult*>& trials, Rng rng) {
    constexpr int kTries = 300;
    for (int i = 0; i < kTries; ++i) {
      std::optional<int64_t> most_parameters;
      if (rng.below(3) == 0) most_parameters = parameters_of_front(trials, rng);
      const TrialResult& chosen =
          parent(most_parameters ? around(trials, *most_parameters) : youngest(trials), rng);
      graph::MicroNetwork network = mutated(graph::micro_network(chosen.config), rng);
      if (rng.below(3) == 0) network = mutated(network, rng);
      if (auto proposal = fitted(std::move(network), most_parameters, rng)) {
        proposal->parent = chosen.number;
        return proposal;
      }
    }
    return std::nullopt;
  }

  // Nothing when it can't be built, was proposed before, or does not fit even when it is much narrower.
  std::optional<Proposal> fitted(graph::MicroNetwork network, std::optional<int64_t> most_parameters,
                                 Rng& rng) {
    constexpr int kNarrowings = 5;
    constexpr int kMostNarrowings = 15;  // to a fifth, whose weights are a twenty-fifth
    constexpr double kNarrower = 0.9;
    for (int i = 0; i <= (most_parameters ? kMostNarrowings : kNarrowings); ++i) {
      network = within(std::move(network), space_, rng);
      Proposal proposal{.config = to_string(network)};
      try {
        proposal.graph = graph::build(network, input_, classes_);
      } catch (const Error&) {
        ++unbuildable_;
        return std::nullopt;
      }
      const bool is_small = !most_parameters || graph::parameter_count(proposal.graph) <= *most_parameters;
      if (is_small && (!fits_ || fits_(proposal))) {
        proposal.hash = graph::structural_hash(proposal.graph);
        if (!proposed_.contains(proposal.hash)) return proposal;
        ++duplicates_;
        return std::nullopt;
      }
      network = scaled(std::move(network), kNarrower);
    }
    return std::nullopt;
  }

  Exploration settings_;
  MicroSpace space_;
  Rng rng_;
  graph::Shape input_;
  int classes_;
  Fits fits_;
  std::vector<Proposal> first_;
  size_t known_ = 0;  // trials of the last call
  size_t since_ = 0;  // proposals since it had as many
  std::set<std::string> proposed_;
  int duplicates_ = 0;
  int unbuildable_ = 0;
};

}  // namespace

std::unique_ptr<Sampler> make_evolution(const SearchSettings& settings, graph::Shape input, int classes,
                                        const Fits& fits) {
  if (input.flat)
    throw_usage("the sampler 'evolution' makes convolutional networks, but the data is no image");
  return std::make_unique<Evolution>(settings, input, classes, fits);
}

}  // namespace retort::search
