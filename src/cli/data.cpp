// retort data: looks at a data set, and writes it for others.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "data/export.h"

namespace retort::cli {
namespace {

struct DataCommand {
  DataOptions data;
  data::SplitOptions split;
  OutputOptions output;
  std::filesystem::path npy;
};

std::vector<int64_t> count_by_class(const data::ImageSet& images, size_t classes) {
  std::vector<int64_t> counts(classes);
  for (const uint16_t label : images.labels) ++counts.at(label);
  return counts;
}

nlohmann::json describe(const data::Dataset& dataset) {
  const auto train = count_by_class(dataset.train, dataset.classes.size());
  const auto test = count_by_class(dataset.test, dataset.classes.size());
  nlohmann::json classes = nlohmann::json::array();
  for (size_t i = 0; i < dataset.classes.size(); ++i)
    classes.push_back({{"name", dataset.classes[i]}, {"train", train[i]}, {"test", test[i]}});
  const data::ImageShape& shape = dataset.train.shape;
  return {{"spec", dataset.spec},
          {"height", shape.height},
          {"width", shape.width},
          {"channels", shape.channels},
          {"train", dataset.train.count()},
          {"test", dataset.test.count()},
          {"classes", classes},
          {"range", {{"low", dataset.range.low}, {"high", dataset.range.high}}},
          {"skipped", dataset.skipped},
          {"content_hash", dataset.content_hash}};
}

void check(const DataCommand& command) {
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  const nlohmann::json json = describe(*dataset);
  try {
    data::stratified_split(*dataset, command.split);
  } catch (const Error& error) {
    terminal.message(fmt::format("Training would be refused: {}.", error.what()));
  }
  terminal.result_json(json);

  int widest = 5;
  for (const std::string& name : dataset->classes) widest = std::max(widest, display_columns(name));
  std::string text =
      fmt::format("data        {}\nimages      {}, {} for training, {} for testing\n", dataset->spec,
                  to_string(dataset->train.shape), format_integer(json["train"].get<int64_t>()),
                  format_integer(json["test"].get<int64_t>()));
  if (dataset->range != data::ValueRange{})
    text += fmt::format("values      {} to {}\n", dataset->range.low, dataset->range.high);
  if (dataset->skipped > 0)
    text += fmt::format("skipped     {} broken images or empty class folders\n",
                        format_integer(dataset->skipped));
  text += fmt::format("hash        {}\n\n{:<{}}  {:>9}  {:>9}\n", dataset->content_hash, "class", widest,
                      "training", "test");
  for (const nlohmann::json& one : json["classes"]) {
    const auto name = one["name"].get<std::string>();
    const auto padding = static_cast<size_t>(widest - display_columns(name));
    text +=
        fmt::format("{}{}  {:>9}  {:>9}\n", name, std::string(padding, ' '),
                    format_integer(one["train"].get<int64_t>()), format_integer(one["test"].get<int64_t>()));
  }
  terminal.result(text);
}

void export_data(const DataCommand& command) {
  require_writable("--npy", command.npy / "x_train.npy");
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  const data::Split split = data::stratified_split(*dataset, command.split);
  data::export_npy(*dataset, split, command.npy);
  nlohmann::json json = describe(*dataset);
  json["folder"] = command.npy.string();
  json["split"] = {
      {"train", split.train.size()}, {"validation", split.validation.size()}, {"test", split.test.size()}};
  terminal.result_json(json);
  const auto number = [](size_t count) { return format_integer(static_cast<int64_t>(count)); };
  terminal.result(fmt::format(
      "{0} training and {1} test images in {2}\n"
      "Train on x_train[train_indices] ({3} images), tune on validation_indices ({4}){5}.\n"
      "Compute logits of all of x_train, and leave dataset.json beside them: it says which images they are.",
      number(dataset->train.count()), number(dataset->test.count()), command.npy.string(),
      number(split.train.size()), number(split.validation.size()),
      split.test.empty() ? "" : fmt::format(", leave test_indices ({}) alone", number(split.test.size()))));
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("data", "Look at a data set, or write it as .npy files");
  sub->require_subcommand(1);
  add_examples(*sub,
               {"retort data check fashion-mnist", "retort data export --npy images --data fashion-mnist"});

  const auto command = std::make_shared<DataCommand>();
  CLI::App* check_sub = sub->add_subcommand("check", "Classes, counts, sizes, what was skipped, hash");
  check_sub->add_option("spec", command->data.spec, "as --data elsewhere")->type_name("SPEC")->required();
  add_load_options(*check_sub, command->data.load);
  add_output_options(*check_sub, command->output);
  add_examples(*check_sub,
               {"retort data check fashion-mnist", "retort data check 'images:photos?size=48x48' --json",
                "retort data check images:photos --skip-bad"});
  check_sub->callback([command] { check(*command); });

  CLI::App* export_sub =
      sub->add_subcommand("export", "Write images and labels as .npy files, in Retort's order");
  add_data_options(*export_sub, command->data, Presence::Required);
  add_output_path(*export_sub, "--npy", command->npy, "DIR",
                  "folder for x_train.npy, y_train.npy, the split as train_indices.npy, …, and dataset.json, "
                  "which must lie beside logits for --teacher logits:FILE.npy")
      ->required();
  add_split_options(*export_sub, command->split);
  add_output_options(*export_sub, command->output);
  add_examples(*export_sub,
               {"retort data export --npy images --data fashion-mnist",
                "retort data export --npy images --data images:photos --split-seed 7 --validation 0.1"});
  export_sub->callback([command] { export_data(*command); });
}

}  // namespace retort::cli
