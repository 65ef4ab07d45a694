#include "search/earlier_version.h"

#include "base/error.h"
#include "base/json.h"
#include "base/work_clock.h"
#include "engine/network.h"
#include "search/settings.h"

namespace retort::search {

void bring_up_to_date(Json& description, const Json& here, const std::filesystem::path& path) {
  Json& settings = description.at("settings");
  Json& pipeline = settings.at("pipeline");
  pipeline.emplace("precision", engine::to_string(engine::Precision::Float32));
  pipeline.emplace("qat_rate", 1.0);
  pipeline.emplace("channels_epochs", PipelineSettings{}.channels_epochs);
  pipeline.emplace("wider", PipelineSettings{}.wider);
  settings.emplace("clock", to_string(WorkTime::Wall));
  settings.emplace("exploration", Exploration{});
  Json& exploration = settings.at("exploration");
  exploration.emplace("rungs", 1);
  exploration.emplace("recipes", 0);
  exploration.emplace("vary", Exploration{}.vary);
  if (exploration.contains("inherit")) {
    exploration.emplace("start", exploration.at("inherit").get<bool>() ? "parent" : "fresh");
    exploration.erase("inherit");
  }
  settings.emplace("micro_space", MicroSpace{});
  // It keeps its split, whatever a preset says of new ones.
  if (settings.contains("split")) {
    const Json most = here.at("settings").at("split").at("most_validation_images");
    const auto usual = preset(settings.at("preset").get<std::string>()).split.most_validation_images;
    settings.at("split").emplace("most_validation_images", usual && most == *usual ? most : Json());
  }
  if (settings.contains("runtime")) return;
  Json& limits = settings.at("limits");
  if (!limits.at("flash_bytes").is_null() || !limits.at("arena_bytes").is_null())
    throw_usage(
        "{}: holds a search of an earlier version, whose --flash and --ram limited the .tflite file and "
        "TensorFlow "
        "Lite Micro's arena; they limit all that the runtime takes now: give another folder",
        path.string());
  limits.erase("arena_bytes");
  limits["ram_bytes"] = limits["latency_seconds"] = nullptr;
  settings["runtime"] = here.at("settings").at("runtime");
  settings["board"] = nullptr;
}

}  // namespace retort::search
