// The notebook's networks: its general layer lists, its grid of students, its teacher.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace retort::graph {

enum class LayerKind { Conv2D, Dense, Flatten, MaxPool2D, GlobalAveragePooling2D };

// value: filters of Conv2D, units of Dense; 0 for the rest.
struct Layer {
  LayerKind kind = LayerKind::Conv2D;
  int value = 0;
  bool operator==(const Layer&) const = default;
};

// The notebook's create_model: 3×3 same-padded convs with ReLU, 2×2 max-pools, dense layers with ReLU. Convs
// and pools after a flatten are skipped, Dense flattens first when nothing has, the list's last layer is
// dropped and a dense softmax layer of `classes` units always added. Throws Error(Usage) when a pool has
// nothing left to pool.
Graph create_model(const std::vector<Layer>& layers, Shape input, int classes);

// One point of the notebook's grid.
struct StudentConfig {
  int blocks = 1;
  int layers = 1;    // convs a block
  int filters = 16;  // of the first block; they double each block
  int dense_layers = 0;
  int dense_units = 64;  // without effect when dense_layers is 0
  bool operator==(const StudentConfig&) const = default;
};

std::vector<Layer> student_layers(const StudentConfig& config, int classes);
// "3 blocks, 2 layers, 32 filters, 1 dense, 128 units"
std::string to_string(const StudentConfig& config);
// The notebook's way of printing a configuration: "[('Conv2D', 16), ('MaxPool2D', None), …, ('Dense', 10)]".
std::string to_string(const std::vector<Layer>& layers);

// Reads what a person gives with --config: "3 blocks, 2 layers, 32 filters, 1 dense, 128 units" (any order,
// commas optional, missing parts as in StudentConfig), "3,2,32,1,128" (the table's order), the notebook's
// printed list, whose last entry stands for the classes' layer and must be a Dense, or a row of blocks as
// micro.h has them. A text that ends in .json
// is a file with a JSON graph or a JSON layer list. Throws Error(Usage).
Graph graph_from_config(std::string_view text, Shape input, int classes);
// Whether such a text is the name of a file.
bool is_config_file(std::string_view text);

// The notebook's teacher: [conv3, ReLU, BN]×2, pool, dropout with 32, 64, 128 filters; dense 512, 256, 128;
// dropout; softmax; He-uniform.
Graph teacher_graph(Shape input, int classes);

}  // namespace retort::graph
