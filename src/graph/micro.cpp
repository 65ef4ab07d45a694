#include "graph/micro.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"

namespace retort::graph {

namespace {

constexpr std::array<std::pair<std::string_view, BlockKind>, 7> kKinds = {{{"conv", BlockKind::Conv},
                                                                           {"sep", BlockKind::Separable},
                                                                           {"inv", BlockKind::Inverted},
                                                                           {"res", BlockKind::Residual},
                                                                           {"pool", BlockKind::MaxPool},
                                                                           {"avgpool", BlockKind::AvgPool},
                                                                           {"gray", BlockKind::Gray}}};
constexpr int kLargestKernel = 15;
constexpr int kLargestStride = 8;
constexpr int kLargestExpansion = 16;
constexpr std::string_view kExample = "a right one is \"conv 16, res 16, sep 32 k5 s2, gap, dense 48\"";

std::string to_string(const Block& block) {
  const Block defaults;
  if (block.kind == BlockKind::Gray) return "gray";
  std::string text = fmt::format("{} {}", block_name(block.kind), block.width);
  if (is_pool(block.kind)) return text;
  if (block.kernel != defaults.kernel) text += fmt::format(" k{}", block.kernel);
  if (block.stride != defaults.stride) text += fmt::format(" s{}", block.stride);
  if (block.kind == BlockKind::Inverted && block.expansion != defaults.expansion)
    text += fmt::format(" e{}", block.expansion);
  if (block.skip == Skip::Present) text += " skip";
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words = split(text, ' ');
  std::erase_if(words, [](std::string_view word) { return word.empty(); });
  return words;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > kMaximumDimension)
    return std::nullopt;
  return value;
}

// Reads one entry after the other.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  MicroNetwork run() {
    for (const std::string_view entry : split(text_, ',')) {
      ++index_;
      const std::vector<std::string_view> words = words_of(entry);
      if (words.empty()) fail("is empty");
      read(words);
    }
    if (network_.blocks.empty() && !head_seen_) fail("is no block");
    return network_;
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw_usage("configuration \"{}\": entry {} {}; {}", text_, index_,
                fmt::format(format, std::forward<Args>(args)...), kExample);
  }

  int first_number(const std::vector<std::string_view>& words, std::string_view what) const {
    if (words.size() < 2) fail("(\"{}\") lacks {}", words[0], what);
    const auto value = number(words[1]);
    if (!value)
      fail("(\"{}\") has \"{}\" for {}, which is no number from 1 to {}", words[0], words[1], what,
           kMaximumDimension);
    return *value;
  }

  void read(const std::vector<std::string_view>& words) {
    if (words[0] == "gap" || words[0] == "flatten") {
      if (words.size() > 1) fail("(\"{}\") takes nothing more", words[0]);
      if (head_seen_) fail("is a second head");
      head_seen_ = true;
      network_.head = words[0] == "gap" ? Head::GlobalAveragePool : Head::Flatten;
      return;
    }
    if (words[0] == "dense") {
      network_.dense.push_back(first_number(words, "its units"));
      if (words.size() > 2) fail("(\"dense\") takes one number");
      return;
    }
    const auto kind = std::ranges::find(kKinds, words[0], &std::pair<std::string_view, BlockKind>::first);
    if (kind == kKinds.end())
      fail(
          "begins with \"{}\"; blocks are conv, sep, inv, res, pool, avgpool and gray, then gap or flatten "
          "and "
          "dense",
          words[0]);
    if (head_seen_ || !network_.dense.empty()) fail("(\"{}\") stands behind the head", words[0]);
    Block block{.kind = kind->second};
    if (block.kind == BlockKind::Gray) {
      if (words.size() > 1) fail("(\"gray\") takes nothing more");
      if (!network_.blocks.empty()) fail("(\"gray\") stands behind another block: it is about the image");
      block.width = 1;
      network_.blocks.push_back(block);
      return;
    }
    block.width = first_number(words, is_pool(block.kind) ? "its window" : "its width");
    for (size_t i = 2; i < words.size(); ++i) read_option(words[i], block);
    network_.blocks.push_back(block);
  }

  void read_option(std::string_view word, Block& block) const {
    const std::string_view name = block_name(block.kind);
    if (is_pool(block.kind)) fail("(\"{}\") takes one number", name);
    if (word == "skip") {
      if (block.kind != BlockKind::Separable)
        fail("(\"{}\") takes no \"skip\": sep does, inv and res have theirs", name);
      block.skip = Skip::Present;
      return;
    }
    const auto value = number(word.substr(1));
    const auto set = [&](char letter, int& field, int most, std::string_view what) {
      if (word[0] != letter) return false;
      if (!value || *value > most) fail("has \"{}\": {} is {}1 to {}{}", word, what, letter, letter, most);
      field = *value;
      return true;
    };
    if (set('k', block.kernel, kLargestKernel, "a kernel") ||
        set('s', block.stride, kLargestStride, "a stride"))
      return;
    if (block.kind == BlockKind::Inverted && set('e', block.expansion, kLargestExpansion, "an expansion"))
      return;
    fail("(\"{}\") has \"{}\"; kN, sN{} are known", name, word,
         block.kind == BlockKind::Inverted    ? ", eN"
         : block.kind == BlockKind::Separable ? ", skip"
                                              : "");
  }

  std::string_view text_;
  int index_ = 0;
  bool head_seen_ = false;
  MicroNetwork network_;
};

enum class Nonlinearity { None, Relu, Relu6 };

class Builder {
 public:
  Builder(Shape input, int classes) : graph_(input), classes_(classes) {}

  Graph run(const MicroNetwork& network) {
    if (graph_.input_shape().flat && !network.blocks.empty())
      throw_usage("blocks take images, but the data is flat: give dense layers alone");
    for (const Block& block : network.blocks) {
      add(block);
      ends_.push_back(graph_.size());
    }
    if (!shape().flat) {
      if (network.head == Head::GlobalAveragePool)
        graph_.add(GlobalAvgPool{});
      else
        graph_.add(Flatten{});
    }
    for (const int units : network.dense) {
      graph_.add(Dense{.units = units, .initializer = Initializer::HeUniform});
      graph_.add(Relu{});
    }
    graph_.add(Dense{.units = classes_});
    graph_.add(Softmax{});
    ends_.push_back(graph_.size());
    return std::move(graph_);
  }
  // Where each block's nodes end, then the head's.
  [[nodiscard]] const std::vector<int>& ends() const { return ends_; }

 private:
  [[nodiscard]] Shape shape() const { return graph_.node(graph_.output()).shape; }

  void norm(Nonlinearity nonlinearity) {
    graph_.add(BatchNorm{});
    if (nonlinearity == Nonlinearity::Relu) graph_.add(Relu{});
    if (nonlinearity == Nonlinearity::Relu6) graph_.add(Relu6{});
  }
  static Window window(int kernel, int stride) {
    return {.kernel_height = kernel, .kernel_width = kernel, .stride_height = stride, .stride_width = stride};
  }
  void conv(int from, int filters, int kernel, int stride, Nonlinearity nonlinearity) {
    graph_.add(Conv{.filters = filters,
                    .window = window(kernel, stride),
                    .bias = Bias::Absent,
                    .initializer = Initializer::HeUniform},
               {from});
    norm(nonlinearity);
  }
  void depthwise(int kernel, int stride, Nonlinearity nonlinearity) {
    graph_.add(DepthwiseConv{
        .window = window(kernel, stride), .bias = Bias::Absent, .initializer = Initializer::HeUniform});
    norm(nonlinearity);
  }
  int here() const { return graph_.output(); }

  void add(const Block& block) {
    const int input = here();
    const Shape before = shape();
    switch (block.kind) {
      case BlockKind::Conv:
        conv(input, block.width, block.kernel, block.stride, Nonlinearity::Relu);
        break;
      case BlockKind::Separable:
        depthwise(block.kernel, block.stride, Nonlinearity::Relu);
        conv(here(), block.width, 1, 1,
             block.skip == Skip::Present ? Nonlinearity::None : Nonlinearity::Relu);
        if (block.skip == Skip::Absent) break;
        if (shape() != before)
          throw_usage("\"{}\": a skip needs stride 1 and as many channels as the block's input, which has {}",
                      to_string(block), before.channels);
        graph_.add(Add{}, {here(), input});
        graph_.add(Relu{});
        break;
      case BlockKind::Inverted:
        if (block.expansion > 1) conv(input, before.channels * block.expansion, 1, 1, Nonlinearity::Relu6);
        depthwise(block.kernel, block.stride, Nonlinearity::Relu6);
        conv(here(), block.width, 1, 1, Nonlinearity::None);
        if (shape() == before) graph_.add(Add{}, {here(), input});
        break;
      case BlockKind::Residual: {
        conv(input, block.width, block.kernel, block.stride, Nonlinearity::Relu);
        conv(here(), block.width, block.kernel, 1, Nonlinearity::None);
        const int main = here();
        int shortcut = input;
        if (shape() != before) {
          conv(input, block.width, 1, block.stride, Nonlinearity::None);
          shortcut = here();
        }
        graph_.add(Add{}, {main, shortcut});
        graph_.add(Relu{});
        break;
      }
      case BlockKind::Gray:
        if (before.channels == 1) throw_usage("\"gray\": the images are grey already");
        graph_.add(Conv{.filters = 1,
                        .window = window(1, 1),
                        .bias = Bias::Absent,
                        .initializer = Initializer::HeUniform},
                   {input});
        break;
      case BlockKind::MaxPool:
      case BlockKind::AvgPool: {
        const int size = block.width;
        if (size > before.height || size > before.width)
          throw_usage("\"{}\": a pool of {} × {} is larger than what is left, {} × {}", to_string(block),
                      size, size, before.height, before.width);
        Window pool = window(size, size);
        pool.padding = Padding::Valid;
        if (block.kind == BlockKind::MaxPool)
          graph_.add(MaxPool{pool});
        else
          graph_.add(AvgPool{pool});
        break;
      }
    }
  }

  Graph graph_;
  int classes_;
  std::vector<int> ends_;
};

// How alike two blocks are; 0 where they are of different kinds.
double likeness(const Block& a, const Block& b) {
  if (a.kind != b.kind) return 0;
  const auto bonus = [](bool equal) { return equal ? 0.25 : 0.0; };
  const double widths = static_cast<double>(std::min(a.width, b.width)) / std::max(a.width, b.width);
  return 1 + bonus(a.stride == b.stride) + bonus(a.kernel == b.kernel) + bonus(a.expansion == b.expansion) +
         bonus(a.skip == b.skip) + 0.5 * widths;
}

// For each of the child's blocks the parent's, or −1: the alignment that keeps the order and is most alike in
// all (Needleman and Wunsch, 1970, with gaps that cost nothing).
std::vector<int> aligned_blocks(const std::vector<Block>& parent, const std::vector<Block>& child) {
  const size_t columns = child.size() + 1;
  std::vector<double> best((parent.size() + 1) * columns, 0);
  const auto at = [&](size_t p, size_t c) -> double& { return best[p * columns + c]; };
  for (size_t p = parent.size(); p-- > 0;)
    for (size_t c = child.size(); c-- > 0;) {
      const double pair = likeness(parent[p], child[c]);
      at(p, c) = std::max({at(p + 1, c), at(p, c + 1), pair > 0 ? pair + at(p + 1, c + 1) : 0.0});
    }
  std::vector<int> result(child.size(), -1);
  for (size_t p = 0, c = 0; p < parent.size() && c < child.size();) {
    const double pair = likeness(parent[p], child[c]);
    if (pair > 0 && at(p, c) == pair + at(p + 1, c + 1))
      result[c++] = static_cast<int>(p++);
    else if (at(p, c) == at(p + 1, c))
      ++p;
    else
      ++c;
  }
  return result;
}

struct Span {
  int begin = 0;
  int end = 0;
};

}  // namespace

bool is_pool(BlockKind kind) {
  return kind == BlockKind::MaxPool || kind == BlockKind::AvgPool;
}

bool is_convolution(BlockKind kind) {
  return !is_pool(kind) && kind != BlockKind::Gray;
}

std::string_view block_name(BlockKind kind) {
  return std::ranges::find(kKinds, kind, &std::pair<std::string_view, BlockKind>::second)->first;
}

std::string to_string(const MicroNetwork& network) {
  std::string text;
  for (const Block& block : network.blocks) text += to_string(block) + ", ";
  text += network.head == Head::GlobalAveragePool ? "gap" : "flatten";
  for (const int units : network.dense) text += fmt::format(", dense {}", units);
  return text;
}

void repair(MicroNetwork& network) {
  int channels = 0;  // the input's: no block is as wide
  for (Block& block : network.blocks) {
    if (block.kind == BlockKind::Gray) channels = 1;
    if (!is_convolution(block.kind)) continue;
    if (block.kind != BlockKind::Separable || block.stride != 1 || block.width != channels)
      block.skip = Skip::Absent;
    if (block.kind != BlockKind::Inverted) block.expansion = Block{}.expansion;
    channels = block.width;
  }
}

MicroNetwork micro_network(std::string_view text) {
  return Reader(text).run();
}

bool is_micro_network(std::string_view text) {
  const std::string_view first = text.substr(0, text.find_first_of(" ,"));
  return first == "gap" || first == "flatten" || first == "dense" ||
         std::ranges::find(kKinds, first, &std::pair<std::string_view, BlockKind>::first) != kKinds.end();
}

Graph build(const MicroNetwork& network, Shape input, int classes) {
  return Builder(input, classes).run(network);
}

std::vector<int> corresponding_nodes(const MicroNetwork& parent, const MicroNetwork& child, Shape input,
                                     int classes) {
  Builder parent_builder(input, classes);
  Builder child_builder(input, classes);
  const Graph parent_graph = parent_builder.run(parent);
  const Graph child_graph = child_builder.run(child);
  const auto span = [](const std::vector<int>& ends, size_t block) {
    return Span{block == 0 ? 1 : ends[block - 1], ends[block]};
  };
  const auto alike = [&](int in_parent, int in_child) {
    return parent_graph.node(in_parent).op.index() == child_graph.node(in_child).op.index();
  };
  std::vector<int> result(static_cast<size_t>(child_graph.size()), -1);
  result[0] = 0;
  const std::vector<int> blocks = aligned_blocks(parent.blocks, child.blocks);
  for (size_t block = 0; block < blocks.size(); ++block) {
    if (blocks[block] < 0) continue;
    Span from = span(parent_builder.ends(), static_cast<size_t>(blocks[block]));
    Span to = span(child_builder.ends(), block);
    while (from.begin < from.end && to.begin < to.end && alike(from.begin, to.begin))
      result[static_cast<size_t>(to.begin++)] = from.begin++;
  }
  Span from = span(parent_builder.ends(), parent.blocks.size());
  Span to = span(child_builder.ends(), child.blocks.size());
  while (from.begin < from.end && to.begin < to.end && alike(from.end - 1, to.end - 1))
    result[static_cast<size_t>(--to.end)] = --from.end;
  return result;
}

}  // namespace retort::graph
