#include "search/micro_sampler.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "search/draws.h"

namespace retort::search {

namespace {

constexpr size_t kUsualCount = 12;
constexpr size_t kDrawsAProposal = 20;  // that fit
constexpr size_t kMostDraws = 5'000;    // where few fit

int in_fours(double width) {
  return std::max(4, nearest_multiple(width, 4));
}

struct Drawn {
  Proposal proposal;
  int64_t macs = 0;
};

class MicroSampler final : public Sampler {
 public:
  MicroSampler(size_t count, const SearchSettings& settings, graph::Shape input, int classes,
               const Fits& fits)
      : chosen_(draw_micro(count, settings.micro_space, Rng(settings.seed).fork("micro"), input, classes,
                           fits, duplicates_)) {}

  std::optional<Proposal> propose(std::span<const TrialResult> /*known*/) override {
    if (next_ == chosen_.size()) return std::nullopt;
    return std::move(chosen_[next_++]);
  }
  [[nodiscard]] int duplicates() const override { return duplicates_; }
  [[nodiscard]] int unbuildable() const override { return 0; }

 private:
  int duplicates_ = 0;
  std::vector<Proposal> chosen_;
  size_t next_ = 0;
};

}  // namespace

graph::MicroNetwork random_micro_network(Rng& rng, graph::Shape input) {
  using graph::Block;
  using graph::BlockKind;
  graph::MicroNetwork network;
  int side = std::min(input.height, input.width);
  const auto halve = [&side] {
    if (side < 8) return 1;
    side = (side + 1) / 2;
    return 2;
  };
  if (input.channels == 3 && rng.below(5) == 0)
    network.blocks.push_back({.kind = BlockKind::Gray, .width = 1});
  double width = pick(rng, std::vector<double>{4, 8, 8, 12, 16, 16, 20, 24, 32});
  const int stem_stride = rng.below(4) == 0 ? halve() : 1;
  network.blocks.push_back({.kind = BlockKind::Conv, .width = in_fours(width), .stride = stem_stride});
  const uint32_t stages = 2 + rng.below(3);
  for (uint32_t stage = 0; stage < stages; ++stage) {
    const BlockKind kind =
        pick(rng, std::vector<BlockKind>{BlockKind::Conv, BlockKind::Separable, BlockKind::Separable,
                                         BlockKind::Inverted, BlockKind::Residual, BlockKind::Residual});
    const int kernel = kind != BlockKind::Conv && kind != BlockKind::Residual && rng.below(4) == 0 ? 5 : 3;
    const int expansion = pick(rng, std::vector<int>{2, 3, 4, 6});
    if (stage > 0) width *= pick(rng, std::vector<double>{1, 1.25, 1.5, 1.5, 2, 2});
    const uint32_t repeats = 1 + rng.below(3);
    // The first stage often works on the whole image.
    const int stride = stage > 0 || rng.below(2) == 0 ? halve() : 1;
    for (uint32_t i = 0; i < repeats; ++i) {
      const bool first = i == 0;
      network.blocks.push_back(
          {.kind = kind,
           .width = in_fours(width),
           .kernel = kernel,
           .stride = first ? stride : 1,
           .expansion = kind == BlockKind::Inverted ? expansion : Block{}.expansion,
           .skip = kind == BlockKind::Separable && !first ? graph::Skip::Present : graph::Skip::Absent});
    }
  }
  if (rng.below(5) == 0) network.dense.push_back(in_fours(width * pick(rng, std::vector<double>{0.5, 1, 2})));
  return network;
}

std::vector<Proposal> draw_micro(size_t count, const MicroSpace& space, Rng rng, graph::Shape input,
                                 int classes, const Fits& fits, int& duplicates) {
  std::vector<Drawn> fitting;
  std::optional<Drawn> smallest;
  std::set<std::string> seen;
  for (size_t i = 0; i < kMostDraws && fitting.size() < count * kDrawsAProposal; ++i) {
    const graph::MicroNetwork network = within(random_micro_network(rng, input), space, rng);
    Drawn drawn{{.config = to_string(network), .graph = graph::build(network, input, classes)}, 0};
    drawn.proposal.hash = graph::structural_hash(drawn.proposal.graph);
    if (!seen.insert(drawn.proposal.hash).second) {
      ++duplicates;
      continue;
    }
    drawn.macs = graph::total_macs(drawn.proposal.graph);
    if (!fits || fits(drawn.proposal))
      fitting.push_back(std::move(drawn));
    else if (!smallest || drawn.macs < smallest->macs)
      smallest = std::move(drawn);
  }
  std::vector<Proposal> chosen;
  if (fitting.empty()) {
    if (smallest) chosen.push_back(std::move(smallest->proposal));
    return chosen;
  }
  std::ranges::stable_sort(fitting, {}, &Drawn::macs);
  const size_t taken = std::min(count, fitting.size());
  const size_t first = fitting.size() > 2 * taken ? fitting.size() / 2 : 0;
  const size_t span = fitting.size() - 1 - first;
  for (size_t i = 0; i < taken; ++i) {
    const size_t at = taken > 1 ? first + i * span / (taken - 1) : first + span;
    chosen.push_back(std::move(fitting[at].proposal));
  }
  return chosen;
}

std::unique_ptr<Sampler> make_micro_sampler(const SearchSettings& settings, graph::Shape input, int classes,
                                            const Fits& fits) {
  if (input.flat) throw_usage("the sampler 'micro' makes convolutional networks, but the data is no image");
  const size_t count = std::max<size_t>(static_cast<size_t>(settings.trials.value_or(0)), kUsualCount);
  return std::make_unique<MicroSampler>(count, settings, input, classes, fits);
}

}  // namespace retort::search
