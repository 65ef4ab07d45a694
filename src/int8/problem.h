// What keeps an int8 network from being supported, as people read it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace retort::int8 {

// One thing that keeps a network from being supported.
struct Problem {
  enum class Place { File, Tensor, Operator };
  Place place = Place::File;
  int index = -1;       // of the tensor or operator
  std::string subject;  // "tensor 5 ('x')", "operator 3 (CONV_2D)"; empty for the file
  std::string why;      // "has 2 scales; an int8 activation needs exactly one"
  std::string remedy;   // what to do instead, where there is something: "quantise the network to int8"
  bool operator==(const Problem&) const = default;
};
// A name from a file, fit for a terminal and for XML: "?" for control characters and for what is no UTF-8, and
// not more than 100 letters, for merged layers have names of many hundreds.
std::string printable(std::string_view name);
std::string tensor_subject(size_t index, std::string_view name);
std::string operator_subject(size_t index, std::string_view name);
// "tensor 5 ('x') has …; quantise …".
std::string sentence(const Problem& problem);

}  // namespace retort::int8
