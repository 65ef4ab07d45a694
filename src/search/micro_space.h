// Which of graph/micro.h's networks a search may propose.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/rng.h"
#include "graph/micro.h"

namespace retort::search {

// The default allows everything that the random structures and their changes make.
struct MicroSpace {
  std::vector<graph::BlockKind> kinds = {graph::BlockKind::Conv,     graph::BlockKind::Separable,
                                         graph::BlockKind::Inverted, graph::BlockKind::Residual,
                                         graph::BlockKind::MaxPool,  graph::BlockKind::AvgPool,
                                         graph::BlockKind::Gray};
  int least_width = 2;
  int most_width = 512;
  int width_step = 2;  // widths are multiples of it
  std::vector<int> kernels = {3, 5};
  std::vector<int> strides = {1, 2, 4};
  std::vector<int> expansions = {1, 2, 3, 4, 5, 6, 7, 8};
  int most_blocks = 24;
  std::vector<graph::Head> heads = {graph::Head::GlobalAveragePool, graph::Head::Flatten};
  int most_dense = 2;  // dense layers before the last
  bool operator==(const MicroSpace&) const = default;
};

// A space of one's own, as docs/search.md says; what the file leaves out is as in the default. Throws
// Error(Usage) with `file`, the line and what would be right.
MicroSpace parse_micro_space(std::string_view toml, const std::string& file);
MicroSpace load_micro_space(const std::filesystem::path& file);

// The nearest network of the space: what it does not allow is replaced by the nearest that it does (kinds by a
// random one), blocks too many are left out from the end. One of the space stays as it is.
graph::MicroNetwork within(graph::MicroNetwork network, const MicroSpace& space, Rng& rng);

void to_json(Json& json, const MicroSpace& space);
void from_json(const Json& json, MicroSpace& space);

}  // namespace retort::search
