// retort data: looks at a data set, fetches known ones, and writes one for others.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "data/export.h"
#include "data/fetch.h"
#include "data/inspection.h"
#include "report/data_page.h"

namespace retort::cli {
namespace {

struct DataCommand {
  DataOptions data;
  data::SplitOptions split;
  OutputOptions output;
  std::filesystem::path npy;
  std::filesystem::path images;
  std::filesystem::path html;
};

std::vector<int64_t> count_by_class(const data::ImageSet& images, size_t classes) {
  std::vector<int64_t> counts(classes);
  for (const uint16_t label : images.labels) ++counts.at(label);
  return counts;
}

Json describe(const data::Dataset& dataset) {
  const auto train = count_by_class(dataset.train, dataset.classes.size());
  const auto test = count_by_class(dataset.test, dataset.classes.size());
  Json classes = Json::array();
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

std::string_view to_string(data::CopyKind kind) {
  switch (kind) {
    case data::CopyKind::SameClass:
      return "same-class";
    case data::CopyKind::AcrossSets:
      return "across-sets";
    case data::CopyKind::OtherClasses:
      return "other-classes";
  }
  return "";
}

Json describe(const std::vector<data::Finding>& findings) {
  Json list = Json::array();
  for (const data::Finding& finding : findings)
    list.push_back({{"name", finding.name}, {"sentence", finding.sentence}, {"examples", finding.examples}});
  return list;
}

Json describe(const data::Inspection& inspection) {
  Json json = inspection.dataset ? describe(*inspection.dataset) : Json::object();
  json["spec"] = inspection.spec;
  json["problems"] = describe(inspection.problems);
  json["notes"] = describe(inspection.notes);
  for (const char* list : {"left_out", "stored"}) json[list] = Json::array();
  for (const data::LeftOut& one : inspection.survey.left_out)
    json["left_out"].push_back({{"name", one.name}, {"reason", one.reason}});
  for (const data::StoredShape& one : inspection.shapes)
    json["stored"].push_back({{"height", one.shape.height},
                              {"width", one.shape.width},
                              {"channels", one.shape.channels},
                              {"images", one.images}});
  const auto groups = [&](const std::vector<data::Copies>& copies) {
    Json list = Json::array();
    for (const data::Copies& group : copies) {
      Json images = Json::array();
      for (const data::ImageReference image : group.images)
        images.push_back({{"name", data::surveyed(inspection, image).name},
                          {"set", image.set == data::SetName::Train ? "train" : "test"},
                          {"class", inspection.dataset->classes[data::label_of(inspection, image)]}});
      list.push_back({{"kind", to_string(group.kind)}, {"images", std::move(images)}});
    }
    return list;
  };
  json["copies"] = groups(inspection.copies);
  json["near_copies"] = groups(inspection.near_copies);
  return json;
}

void append_findings(std::string& text, std::string_view title, const std::vector<data::Finding>& findings) {
  constexpr size_t kMostExamples = 10;
  if (findings.empty()) return;
  text += fmt::format("\n{}\n", title);
  for (const data::Finding& finding : findings) {
    text += fmt::format("  {}.\n", without_controls(finding.sentence));
    for (size_t i = 0; i < std::min(finding.examples.size(), kMostExamples); ++i)
      text += fmt::format("    {}\n", without_controls(finding.examples[i]));
    if (finding.examples.size() > kMostExamples)
      text +=
          fmt::format("    and {} more: --json lists them all\n", finding.examples.size() - kMostExamples);
  }
}

std::string stored_text(const data::Inspection& inspection) {
  constexpr size_t kMostShapes = 4;
  std::string text = "stored      ";
  for (size_t i = 0; i < std::min(inspection.shapes.size(), kMostShapes); ++i)
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", cli::to_string(inspection.shapes[i].shape),
                        format_integer(inspection.shapes[i].images));
  if (inspection.shapes.size() > kMostShapes)
    text += fmt::format(" and {} more shapes", inspection.shapes.size() - kMostShapes);
  return text + "\n";
}

std::string dataset_text(const data::Inspection& inspection) {
  const data::Dataset& dataset = *inspection.dataset;
  int widest = 5;
  for (const std::string& name : dataset.classes) widest = std::max(widest, display_columns(name));
  std::string text =
      fmt::format("images      {}, {} for training, {} for testing\n", cli::to_string(dataset.train.shape),
                  format_integer(static_cast<int64_t>(dataset.train.count())),
                  format_integer(static_cast<int64_t>(dataset.test.count())));
  if (inspection.shapes.size() != 1 || inspection.shapes.front().shape != dataset.train.shape)
    text += stored_text(inspection);
  if (dataset.range != data::ValueRange{})
    text += fmt::format("values      {} to {}\n", dataset.range.low, dataset.range.high);
  if (dataset.skipped > 0)
    text +=
        fmt::format("left out    {}\n", format_counted(dataset.skipped, "broken image or empty class folder",
                                                       "broken images or empty class folders"));
  text += fmt::format("hash        {}\n\n{:<{}}  {:>9}  {:>9}\n", dataset.content_hash, "class", widest,
                      "training", "test");
  for (size_t c = 0; c < dataset.classes.size(); ++c) {
    const std::string name = without_controls(dataset.classes[c]);
    text += fmt::format(
        "{}{}  {:>9}  {:>9}\n", name, std::string(static_cast<size_t>(widest - display_columns(name)), ' '),
        format_integer(inspection.train_counts[c]), format_integer(inspection.test_counts[c]));
  }
  return text;
}

void check(const DataCommand& command) {
  if (!command.html.empty()) require_writable("--html", command.html);
  Terminal terminal(command.output);
  StoppingProgress progress(terminal, interrupt_token());
  const data::Inspection inspection =
      data::inspect(data::spec_of_folder(command.data.spec), command.data.load, command.split, progress);
  terminal.result_json(describe(inspection));
  std::string text = fmt::format("data        {}\n", inspection.spec);
  if (inspection.dataset) text += dataset_text(inspection);
  append_findings(text, "Problems", inspection.problems);
  append_findings(text, "Worth knowing", inspection.notes);
  if (inspection.problems.empty()) text += "\nReady to train on.\n";
  terminal.result(text);
  if (!command.html.empty()) {
    write_text_atomic(through_link(command.html), report::data_page(inspection));
    terminal.message(fmt::format("The page with pictures is {}.", command.html.string()));
  }
  if (const size_t count = inspection.problems.size(); count > 0)
    throw_failure("{}: {} would spoil a training", inspection.spec,
                  count == 1 ? "one problem" : fmt::format("{} problems", count));
}

void export_images(const DataCommand& command) {
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  data::export_images(*dataset, command.images);
  Json json = describe(*dataset);
  json["folder"] = command.images.string();
  terminal.result_json(json);
  terminal.result(fmt::format("{} training and {} test images as PNG files in {}",
                              format_integer(static_cast<int64_t>(dataset->train.count())),
                              format_integer(static_cast<int64_t>(dataset->test.count())),
                              command.images.string()));
}

void export_arrays(const DataCommand& command) {
  require_writable("--npy", command.npy / "x_train.npy");
  Terminal terminal(command.output);
  const auto dataset = load(command.data, terminal);
  const data::Split split = data::stratified_split(*dataset, command.split);
  data::export_npy(*dataset, split, command.npy);
  Json json = describe(*dataset);
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

// The variables that curl and OpenSSL know.
std::filesystem::path certificates() {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (const char* file = std::getenv(name); file != nullptr && *file != '\0') return file;
  return {};
}

std::string shell_word(const std::string& text) {
  const char* word = text.c_str();
  return shell_command(1, &word);
}

struct FetchCommand {
  std::string name;
  std::filesystem::path folder;
  std::string from;
  OutputOptions output;
};

void fetch(const FetchCommand& command) {
  data::RemoteSet set = data::remote_set(command.name);
  if (!command.from.empty()) set.bases = {command.from};
  const std::filesystem::path folder =
      command.folder.empty() ? std::filesystem::path(set.name) : command.folder;
  Terminal terminal(command.output);
  StoppingProgress progress(terminal, interrupt_token());
  data::fetch(set, folder, {.ca_file = certificates()}, progress);
  const std::string spec = fmt::format("{}:{}", set.format, folder.string());
  terminal.result_json({{"name", set.name}, {"folder", folder.string()}, {"spec", spec}});
  terminal.result(
      fmt::format("{} lies in {}. Use it as --data {}", set.name, folder.string(), shell_word(spec)));
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("data", "Look at a data set, fetch a known one, or write one as files");
  sub->require_subcommand(1);
  add_examples(*sub,
               {"retort data check fashion-mnist", "retort data export --npy images --data fashion-mnist"});

  const auto command = std::make_shared<DataCommand>();
  CLI::App* check_sub = sub->add_subcommand(
      "check",
      "Classes, counts, sizes, what is broken, copies, imbalance; exit code 1 if a training would suffer");
  check_sub->add_option("spec", command->data.spec, "as --data elsewhere, or a folder")
      ->type_name("SPEC")
      ->required();
  add_output_path(*check_sub, "--html", command->html, "FILE", "write a page with pictures too");
  add_load_options(*check_sub, command->data.load);
  add_split_options(*check_sub, command->split);
  add_output_options(*check_sub, command->output);
  add_examples(*check_sub,
               {"retort data check fashion-mnist", "retort data check 'images:photos?size=48x48' --json",
                "retort data check photos --html photos.html"});
  check_sub->callback([command] { check(*command); });

  const auto fetched = std::make_shared<FetchCommand>();
  CLI::App* fetch_sub = sub->add_subcommand(
      "fetch", "Download a known data set, checked by its published SHA-256; goes on where it was cut off");
  std::string names;
  for (const data::RemoteSet& set : data::remote_sets()) names += (names.empty() ? "" : ", ") + set.name;
  fetch_sub->add_option("name", fetched->name, names)->type_name("NAME")->required();
  fetch_sub->add_option("folder", fetched->folder, "where to, in place of a folder of that name here")
      ->type_name("DIR");
  add_parsed(*fetch_sub, "--from", "URL", "a mirror: the folder there with the files, https:// alone", "",
             [fetched](const std::string& text) {
               if (!text.starts_with("https://"))
                 throw_usage("\"{}\" is no address: write one that begins with https://", text);
               fetched->from = text;
             });
  add_output_options(*fetch_sub, fetched->output);
  add_examples(*fetch_sub, {"retort data fetch cifar10", "retort data fetch mnist data/mnist"});
  fetch_sub->callback([fetched] { fetch(*fetched); });

  CLI::App* export_sub = sub->add_subcommand(
      "export", "Write images and labels as .npy files, in Retort's order, or as PNG files");
  add_data_options(*export_sub, command->data, Presence::Required);
  add_output_path(*export_sub, "--npy", command->npy, "DIR",
                  "folder for x_train.npy, y_train.npy, the split as train_indices.npy, …, and dataset.json, "
                  "which must lie beside logits for --teacher logits:FILE.npy");
  add_output_path(*export_sub, "--images", command->images, "DIR",
                  "new folder for the images as PNG files, a folder a class");
  add_split_options(*export_sub, command->split);
  add_output_options(*export_sub, command->output);
  add_examples(*export_sub,
               {"retort data export --npy images --data fashion-mnist",
                "retort data export --npy images --data images:photos --split-seed 7 --validation 0.1",
                "retort data export --images my-photos --data fashion-mnist"});
  export_sub->callback([command, export_sub] {
    if (command->npy.empty() == command->images.empty()) throw_usage("give either --npy DIR or --images DIR");
    if (!command->images.empty())
      refuse_without_effect(*export_sub, {"--split-seed", "--validation", "--test-fraction"},
                            "--images divides nothing");
    command->npy.empty() ? export_images(*command) : export_arrays(*command);
  });
}

}  // namespace retort::cli
