#include "search/micro_space.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/toml.h"

namespace retort::search {
namespace {

using graph::Block;
using graph::BlockKind;
using graph::Head;

template <typename T>
using Names = std::vector<std::pair<std::string, T>>;

const Names<BlockKind>& kind_names() {
  static const Names<BlockKind> names = [] {
    Names<BlockKind> all;
    for (const BlockKind kind : MicroSpace{}.kinds) all.emplace_back(graph::block_name(kind), kind);
    return all;
  }();
  return names;
}
const Names<Head>& head_names() {
  static const Names<Head> names = {{"gap", Head::GlobalAveragePool}, {"flatten", Head::Flatten}};
  return names;
}

template <typename T>
std::vector<std::string> texts(const std::vector<T>& values, const Names<T>& names) {
  std::vector<std::string> all;
  for (const T value : values)
    all.push_back(std::ranges::find(names, value, &std::pair<std::string, T>::second)->first);
  return all;
}

template <typename T>
std::vector<T> values(const std::vector<std::string>& texts, const Names<T>& names) {
  std::vector<T> all;
  for (const std::string& text : texts) {
    const auto found = std::ranges::find(names, text, &std::pair<std::string, T>::first);
    if (found == names.end()) throw_usage("'{}' is unknown in a space", text);
    all.push_back(found->second);
  }
  return all;
}

// Reads the keys of a file; every sentence begins with the file and the line.
class SpaceReader {
 public:
  SpaceReader(const toml::table& table, const std::string& file) : table_(table), file_(file) {}

  MicroSpace read() const {
    static const std::vector<std::string> keys = {"blocks",  "least_width", "most_width", "width_step",
                                                  "kernels", "strides",     "expansions", "most_blocks",
                                                  "heads",   "most_dense"};
    for (const auto& [key, value] : table_)
      if (std::ranges::find(keys, key.str()) == keys.end()) {
        const std::string name(key.str());
        throw_usage("{}:{}: the unknown key '{}': {}", file_, key.source().begin.line, name,
                    known_names(name, keys));
      }
    MicroSpace space;
    names("blocks", space.kinds, kind_names());
    if (std::ranges::none_of(space.kinds, graph::is_convolution))
      fail(*table_.get("blocks"), "blocks has nothing that learns features: add conv, sep, inv or res");
    integer("least_width", space.least_width, 1, 1024);
    integer("most_width", space.most_width, 1, 1024);
    integer("width_step", space.width_step, 1, 64);
    if (space.least_width > space.most_width)
      throw_usage("{}: least_width {} is more than most_width {}", file_, space.least_width,
                  space.most_width);
    if (space.most_width / space.width_step * space.width_step < space.least_width)
      throw_usage("{}: no multiple of width_step {} is from {} to {}", file_, space.width_step,
                  space.least_width, space.most_width);
    integers("kernels", space.kernels, 1, 15);
    integers("strides", space.strides, 1, 8);
    integers("expansions", space.expansions, 1, 16);
    integer("most_blocks", space.most_blocks, 1, 100);
    names("heads", space.heads, head_names());
    integer("most_dense", space.most_dense, 0, 8);
    return space;
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(const toml::node& at, fmt::format_string<Args...> format, Args&&... args) const {
    throw_usage("{}:{}: {}", file_, at.source().begin.line, fmt::format(format, std::forward<Args>(args)...));
  }

  int checked(const toml::node& node, std::string_view key, int least, int most) const {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < least || *value > most)
      fail(node, "{} must hold a whole number from {} to {}", key, least, most);
    return static_cast<int>(*value);
  }

  void integer(std::string_view key, int& value, int least, int most) const {
    if (const toml::node* node = table_.get(key)) value = checked(*node, key, least, most);
  }

  // Null when the key is left out.
  const toml::array* list(std::string_view key, std::string_view example) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return nullptr;
    const toml::array* array = node->as_array();
    if (array == nullptr || array->empty())
      fail(*node, "{} must be a list of at least one, such as {}", key, example);
    return array;
  }

  void integers(std::string_view key, std::vector<int>& values, int least, int most) const {
    const toml::array* array = list(key, "[1, 3]");
    if (array == nullptr) return;
    values.clear();
    for (const toml::node& node : *array) values.push_back(checked(node, key, least, most));
    std::ranges::sort(values);
    const auto repeated = std::ranges::unique(values);
    values.erase(repeated.begin(), repeated.end());
  }

  template <typename T>
  void names(std::string_view key, std::vector<T>& values, const Names<T>& known) const {
    const toml::array* array = list(key, fmt::format("[\"{}\"]", known.front().first));
    if (array == nullptr) return;
    values.clear();
    for (const toml::node& node : *array) {
      const auto text = node.value_exact<std::string>();
      const auto found = std::ranges::find(known, text.value_or(""), &std::pair<std::string, T>::first);
      if (found == known.end()) {
        std::vector<std::string> all;
        for (const auto& [name, value] : known) all.push_back(name);
        fail(node, "{} holds {}: known are {}", key,
             text ? fmt::format("\"{}\"", *text) : std::string("what is no text"), fmt::join(all, ", "));
      }
      if (std::ranges::find(values, found->second) == values.end()) values.push_back(found->second);
    }
  }

  const toml::table& table_;
  const std::string& file_;
};

int nearest_of(const std::vector<int>& allowed, int value) {
  return std::ranges::min(allowed, {}, [value](int other) { return std::abs(other - value); });
}

int allowed_width(const MicroSpace& space, int width) {
  const int step = space.width_step;
  const int least = (space.least_width + step - 1) / step * step;
  const int most = space.most_width / step * step;
  return std::clamp((width + step / 2) / step * step, least, most);
}

}  // namespace

MicroSpace parse_micro_space(std::string_view toml, const std::string& file) {
  const toml::table table = parse_toml(toml, file);
  return SpaceReader(table, file).read();
}

MicroSpace load_micro_space(const std::filesystem::path& file) {
  return parse_micro_space(read_toml_text(file), file.string());
}

graph::MicroNetwork within(graph::MicroNetwork network, const MicroSpace& space, Rng& rng) {
  std::vector<BlockKind> convolutions = space.kinds;
  std::erase_if(convolutions, [](BlockKind kind) { return !graph::is_convolution(kind); });
  std::erase_if(network.blocks, [&](const Block& block) {
    return !graph::is_convolution(block.kind) &&
           std::ranges::find(space.kinds, block.kind) == space.kinds.end();
  });
  if (network.blocks.size() > static_cast<size_t>(space.most_blocks))
    network.blocks.resize(static_cast<size_t>(space.most_blocks));
  for (Block& block : network.blocks) {
    if (!graph::is_convolution(block.kind)) continue;
    if (std::ranges::find(space.kinds, block.kind) == space.kinds.end())
      block.kind = convolutions[rng.below(static_cast<uint32_t>(convolutions.size()))];
    block.width = allowed_width(space, block.width);
    block.kernel = nearest_of(space.kernels, block.kernel);
    block.stride = nearest_of(space.strides, block.stride);
    block.expansion = nearest_of(space.expansions, block.expansion);
  }
  graph::repair(network);
  if (std::ranges::find(space.heads, network.head) == space.heads.end()) network.head = space.heads.front();
  if (network.dense.size() > static_cast<size_t>(space.most_dense))
    network.dense.resize(static_cast<size_t>(space.most_dense));
  return network;
}

void to_json(Json& out, const MicroSpace& space) {
  out = {{"blocks", texts(space.kinds, kind_names())},
         {"least_width", space.least_width},
         {"most_width", space.most_width},
         {"width_step", space.width_step},
         {"kernels", space.kernels},
         {"strides", space.strides},
         {"expansions", space.expansions},
         {"most_blocks", space.most_blocks},
         {"heads", texts(space.heads, head_names())},
         {"most_dense", space.most_dense}};
}

void from_json(const Json& in, MicroSpace& space) {
  space = {.kinds = values(in.at("blocks").get<std::vector<std::string>>(), kind_names()),
           .least_width = in.at("least_width"),
           .most_width = in.at("most_width"),
           .width_step = in.at("width_step"),
           .kernels = in.at("kernels"),
           .strides = in.at("strides"),
           .expansions = in.at("expansions"),
           .most_blocks = in.at("most_blocks"),
           .heads = values(in.at("heads").get<std::vector<std::string>>(), head_names()),
           .most_dense = in.at("most_dense")};
}

}  // namespace retort::search
