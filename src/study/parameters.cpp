#include "study/parameters.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/json.h"

namespace retort::study {
namespace {

std::string distribution(std::string_view name, const Json& attributes) {
  return dump_json(Json{{"name", name}, {"attributes", attributes}});
}

}  // namespace

Parameter integer_parameter(std::string name, int value, int low, int high, Scale scale) {
  return {.name = std::move(name),
          .distribution = distribution(
              "IntDistribution", {{"log", scale == Scale::Log}, {"step", 1}, {"low", low}, {"high", high}}),
          .value = static_cast<double>(value)};
}

Parameter real_parameter(std::string name, double value, double low, double high, Scale scale) {
  return {.name = std::move(name),
          .distribution =
              distribution("FloatDistribution",
                           {{"step", nullptr}, {"low", low}, {"high", high}, {"log", scale == Scale::Log}}),
          .value = value};
}

Parameter categorical_parameter(std::string name, std::string_view choice,
                                std::span<const std::string> choices) {
  const auto index = std::ranges::find(choices, choice) - choices.begin();
  return {.name = std::move(name),
          .distribution = distribution("CategoricalDistribution",
                                       {{"choices", std::vector(choices.begin(), choices.end())}}),
          .value = static_cast<double>(index)};
}

}  // namespace retort::study
